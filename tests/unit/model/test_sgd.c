#include "model/sgd.h"
#include "base/kernel.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { RANK = 20, STRIDE = 32, ROWS = 12 };

static float Y[ROWS * STRIDE] __attribute__((aligned(64)));
static double g[RANK];
static const struct basis basis = {Y, g, ROWS, STRIDE, RANK};
static const struct hyperparameters hyper = {OBJECTIVE_IALS, RANK, 0.1, 0.01, 1, LAMBDA_NONE};

static double uniform(uint64_t *state) /* [-1, 1) */
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-52 - 1;
}

static int fill(void **state)
{
    uint64_t seed = 20240601;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int row = 0; row < ROWS; row++)
        for (int k = 0; k < RANK; k++) {
            Y[row * STRIDE + k] = (float)uniform(&seed);
            g[k] += (double)Y[row * STRIDE + k] * (double)Y[row * STRIDE + k];
        }
    return 0;
}

/* The two lines of model/sgd.h, in double. */
static void reference_step(const struct hyperparameters *h, double rate, const struct pair *pair,
                           uint32_t t, double *x)
{
    const float *y = Y + pair->row * STRIDE;
    double lambda = h->lambda_scaling == LAMBDA_COUNT ? h->lambda * t : h->lambda;
    double xy = 0, yy = 0;
    for (int k = 0; k < RANK; k++) {
        x[k] /= 1 + rate / t * (h->w0 * g[k] + lambda);
        xy += x[k] * (double)y[k];
        yy += (double)y[k] * (double)y[k];
    }
    double p = (double)pair->p, q = (double)pair->q;
    for (int k = 0; k < RANK; k++)
        x[k] += rate * (q - p * xy) / (1 + rate * (p > 0 ? p : 0) * yy) * (double)y[k];
}

static void test_a_hundred_steps_follow_the_formula(void **state)
{
    float x[STRIDE] = {0};
    double wanted[RANK] = {0};
    uint64_t seed = 7;
    for (uint32_t t = 1; t <= 100; t++) {
        struct pair pair = {t % ROWS, (float)(1 + uniform(&seed)), 1};
        sgd_step(&basis, &hyper, 0.05, &pair, t, x);
        reference_step(&hyper, 0.05, &pair, t, wanted);
    }
    /* Each step is a contraction, so rounding errors of 2^-24 of |x| <= 10 a step at most add up:
     * 100 * 10 * 6e-8. */
    for (int k = 0; k < RANK; k++)
        assert_true(fabs((double)x[k] - wanted[k]) <= 6e-5);
}

static void test_lambda_scaled_by_count_is_the_rows_lambda(void **state)
{
    struct hyperparameters scaled = hyper;
    scaled.lambda_scaling = LAMBDA_COUNT;
    scaled.lambda = 0.3;
    struct pair pair = {1, 1, 1};
    float x[STRIDE];
    double wanted[RANK];
    memset(x, 0, sizeof x);
    for (int k = 0; k < RANK; k++)
        wanted[k] = (double)(x[k] = 1);
    sgd_step(&basis, &scaled, 0.1, &pair, 5, x);
    reference_step(&scaled, 0.1, &pair, 5, wanted);
    for (int k = 0; k < RANK; k++)
        assert_true(fabs((double)x[k] - wanted[k]) <= 1e-6);
}

static double score(const float *x, uint32_t row)
{
    double sum = 0;
    for (int k = 0; k < RANK; k++)
        sum += (double)x[k] * (double)Y[row * STRIDE + k];
    return sum;
}

static void test_no_rate_overshoots(void **state)
{
    for (double rate = 0.01; rate < 1e7; rate *= 10) {
        float x[STRIDE] = {0};
        struct pair pair = {3, 1, 1};
        sgd_step(&basis, &hyper, rate, &pair, 1, x);
        assert_true(score(x, 3) > 0);
        assert_true(score(x, 3) <= 1 + 1e-6);
    }
}

static void test_repeating_a_pair_pulls_its_score_up(void **state)
{
    float x[STRIDE] = {0};
    struct pair pair = {2, 1, 1};
    double before = 0;
    for (uint32_t t = 1; t <= 5; t++) {
        sgd_step(&basis, &hyper, 0.02, &pair, t, x);
        assert_true(score(x, 2) > before);
        before = score(x, 2);
    }
}

static void test_padding_stays_zero(void **state)
{
    float x[STRIDE] = {0};
    struct pair pair = {2, 1, 1};
    sgd_step(&basis, &hyper, 0.5, &pair, 1, x);
    for (int k = RANK; k < STRIDE; k++)
        assert_true(x[k] == 0);
}

static void test_a_negative_p_keeps_the_step_finite(void **state)
{
    /* rate p |y|^2 = -1 would divide by zero if p below zero were taken as it is. */
    double yy = 0;
    for (int k = 0; k < RANK; k++)
        yy += (double)Y[k] * (double)Y[k];
    float x[STRIDE] = {0};
    struct pair pair = {0, (float)(-1 / yy), 1};
    sgd_step(&basis, &hyper, 1, &pair, 1, x);
    for (int k = 0; k < RANK; k++)
        assert_true(fabs((double)x[k]) <= 2);
}

struct many { /* steps of a few users by random items */
    struct basis basis;
    float *X;
    size_t users, count;
    struct sgd_step *steps;
};

static struct many many_new(int rank, size_t count, double scale)
{
    uint64_t seed = (uint64_t)rank;
    struct many m = {.users = 7, .count = count};
    size_t stride = ((size_t)rank + 15) / 16 * 16;
    float *factors = mem_try(50 * stride, sizeof *factors);
    double *diagonal = mem_zalloc((size_t)rank * sizeof *diagonal);
    for (size_t row = 0; row < 50; row++)
        for (size_t k = 0; k < (size_t)rank; k++) {
            float y = (float)(scale * uniform(&seed));
            factors[row * stride + k] = y;
            diagonal[k] += (double)y * (double)y;
        }
    m.basis = (struct basis){factors, diagonal, 50, stride, rank};
    m.X = mem_try(m.users * stride, sizeof *m.X);
    m.steps = mem_array(NULL, count, sizeof *m.steps);
    for (size_t i = 0; i < count; i++) {
        struct pair pair = {(uint32_t)((uniform(&seed) + 1) * 25), (float)(uniform(&seed) + 1), 1};
        size_t user = (size_t)((uniform(&seed) + 1) * 3.5);
        m.steps[i] = (struct sgd_step){pair, (uint32_t)(1 + i / m.users), m.X + user * stride};
    }
    return m;
}

static void many_free(struct many *m)
{
    free((void *)(uintptr_t)m->basis.Y);
    free((void *)(uintptr_t)m->basis.g);
    free(m->X);
    free(m->steps);
}

static void test_every_kernel_is_its_plain_twin(void **state)
{
    static const int ranks[] = {1, 8, 16, 40, 64, 100, 128, 300};
    enum kernel best = kernel_chosen();
    for (int kernel = KERNEL_AVX2; kernel < KERNEL_COUNT; kernel++)
        for (size_t r = 0; r < sizeof ranks / sizeof *ranks; r++)
            for (double scale = 1e-6; scale < 1e7; scale *= 1e4) {
                struct many fast = many_new(ranks[r], 200, scale);
                struct many plain = many_new(ranks[r], 200, scale);
                kernel_force((enum kernel)kernel); /* or the best there is */
                sgd_steps(&fast.basis, &hyper, 0.05, fast.steps, fast.count);
                assert_true(kernel_force(KERNEL_PLAIN));
                sgd_steps(&plain.basis, &hyper, 0.05, plain.steps, plain.count);
                float largest = 0, worst = 0;
                for (size_t k = 0; k < plain.users * plain.basis.stride; k++) {
                    largest = fmaxf(largest, fabsf(plain.X[k]));
                    worst = fmaxf(worst, fabsf(plain.X[k] - fast.X[k]));
                }
                /* A sum in another order differs by some 2^-24 of its terms; a step is a
                 * contraction, so some thirty steps a user add up at most: 30 * 2^-24 * sqrt(300)
                 */
                assert_true(largest > 0 && worst <= 3e-5f * largest);
                many_free(&fast);
                many_free(&plain);
            }
    assert_true(kernel_force(best));
}

static void test_a_batch_gives_the_bits_of_single_steps(void **state)
{
    enum kernel best = kernel_chosen();
    for (int kernel = KERNEL_PLAIN; kernel < KERNEL_COUNT; kernel++) {
        if (!kernel_force((enum kernel)kernel))
            continue;
        struct many batch = many_new(64, 300, 1), single = many_new(64, 300, 1);
        sgd_steps(&batch.basis, &hyper, 0.05, batch.steps, batch.count);
        for (size_t i = 0; i < single.count; i++)
            sgd_step(&single.basis, &hyper, 0.05, &single.steps[i].pair, single.steps[i].t,
                     single.steps[i].x);
        assert_memory_equal(batch.X, single.X, batch.users * 64 * sizeof *batch.X);
        many_free(&batch);
        many_free(&single);
    }
    assert_true(kernel_force(best));
}

static void test_a_vector_off_the_boundary_is_stepped(void **state)
{
    float memory[STRIDE + 1] = {0}, x[STRIDE] = {0};
    struct pair pair = {4, 1, 1};
    sgd_step(&basis, &hyper, 0.1, &pair, 1, x);
    sgd_step(&basis, &hyper, 0.1, &pair, 1, memory + 1);
    assert_memory_equal(x, memory + 1, sizeof x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hundred_steps_follow_the_formula),
        cmocka_unit_test(test_lambda_scaled_by_count_is_the_rows_lambda),
        cmocka_unit_test(test_no_rate_overshoots),
        cmocka_unit_test(test_repeating_a_pair_pulls_its_score_up),
        cmocka_unit_test(test_padding_stays_zero),
        cmocka_unit_test(test_a_negative_p_keeps_the_step_finite),
        cmocka_unit_test(test_every_kernel_is_its_plain_twin),
        cmocka_unit_test(test_a_batch_gives_the_bits_of_single_steps),
        cmocka_unit_test(test_a_vector_off_the_boundary_is_stepped),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
