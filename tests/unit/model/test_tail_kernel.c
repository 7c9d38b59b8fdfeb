/* The tail's kernels: the same bits as the plain one's, whatever they are given. */
#include "model/tail_kernel.h"
#include "base/kernel.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED 20240606
enum { ITEMS = 1000 }; /* no multiple of any vector */

static uint64_t random_state = SEED;

static float uniform(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(random_state >> 40) * 0x1p-24);
}

/* Ties, zeros, huge, tiny and denormal numbers among ordinary ones. */
static float adverse(void)
{
    static const float odd[] = {0, 1, 0.5f, 1e30f, 1e-30f, FLT_MIN / 8, 0.25f, 0.25f};
    float die = uniform();
    return die < 0.5f ? odd[(int)(die * 16)] : uniform();
}

struct inputs {
    float taste[ITEMS], trend[ITEMS], mask[ITEMS], C[ITEMS];
    double gathered[ITEMS];
    struct tail_terms terms;
};

static void fill(struct inputs *in)
{
    for (int i = 0; i < ITEMS; i++) {
        in->taste[i] = (uniform() < 0.5f ? -1.0f : 1.0f) * adverse();
        in->trend[i] = adverse();
        in->mask[i] = uniform() < 0.1f ? -INFINITY : 0;
        in->C[i] = adverse();
        in->gathered[i] = exp2(240 * (double)uniform() - 120) * (uniform() < 0.1f ? 0 : 1);
    }
    in->terms = (struct tail_terms){in->taste, in->trend, in->mask, uniform(), adverse()};
}

struct outputs {
    float T[ITEMS], scores[ITEMS];
    struct tail_count count, extra;
};

static struct outputs compute(const struct inputs *in, float target, float c)
{
    struct outputs out = {.count = {0}};
    const struct tail_kernel *kernel = tail_kernel_chosen();
    kernel->trend(in->gathered, 0.75, ITEMS, out.T);
    kernel->mix(&in->terms, 3, ITEMS, out.scores);
    kernel->count(out.scores, 3, ITEMS, target, &out.count);
    kernel->count_extra(out.scores, in->C, c, ITEMS, target, &out.extra);
    return out;
}

static void test_all_kernels_give_the_same_bits(void **state)
{
    printf("seed %d\n", SEED);
    for (int round = 0; round < 50; round++) {
        struct inputs in;
        fill(&in);
        float target = adverse(), c = adverse();
        assert_true(kernel_force(KERNEL_PLAIN));
        struct outputs plain = compute(&in, target, c);
        for (int kernel = KERNEL_AVX2; kernel < KERNEL_COUNT; kernel++) {
            if (!kernel_force((enum kernel)kernel))
                continue;
            struct outputs other = compute(&in, target, c);
            assert_memory_equal(&other, &plain, sizeof plain);
        }
    }
}

static void test_counts_are_those_of_a_loop(void **state)
{
    struct inputs in;
    fill(&in);
    in.terms.a = 0; /* so that scores are what the trend is, 0.25 now and then */
    in.terms.b = 1;
    assert_true(kernel_force(KERNEL_PLAIN));
    struct outputs out = compute(&in, 0.25f, 0.5f);
    struct tail_count dense = {0}, all = {0};
    for (int i = 0; i < ITEMS; i++) {
        float score = tail_with_extra(out.scores[i], in.C[i], 0.5f);
        dense.above += i >= 3 && out.scores[i] > 0.25f;
        dense.same += i >= 3 && out.scores[i] == 0.25f;
        all.above += (score > 0.25f) - (out.scores[i] > 0.25f);
        all.same += (score == 0.25f) - (out.scores[i] == 0.25f);
    }
    assert_memory_equal(&out.count, &dense, sizeof dense);
    assert_memory_equal(&out.extra, &all, sizeof all);
    assert_true(dense.above > 0);
    assert_true(dense.same > 0);
    assert_true(all.above > 0);
}

static void test_the_trend_is_the_logarithm_within_its_error(void **state)
{
    for (double exponent = -120; exponent < 120; exponent += 0.0037) {
        double gathered = exp2(exponent);
        float T;
        tail_kernel_chosen()->trend(&gathered, 1, 1, &T);
        double wanted = log1p((double)(float)gathered);
        assert_true(fabs((double)T - wanted) <= TAIL_TREND_ERROR * wanted);
    }
    double none = 0;
    float T = 1;
    tail_kernel_chosen()->trend(&none, 1, 1, &T);
    assert_true(T == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_kernels_give_the_same_bits),
        cmocka_unit_test(test_counts_are_those_of_a_loop),
        cmocka_unit_test(test_the_trend_is_the_logarithm_within_its_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
