/* The passes of each kernel against what is plain to see, over scores that are hard on them. */
#include "base/mem.h"
#include "model/topn_select.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED 20261122u
#define MOST 700
#define PANEL 48

static uint64_t random_state = SEED;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return (uint32_t)(random_state >> 33) % below;
}

static float any(void)
{
    return (float)draw(1u << 24) / (1 << 23) - 1;
}

static float one_of_five(void)
{
    return (float)draw(5) - 2;
}

static float always_one(void)
{
    return 1;
}

static float either_zero(void)
{
    return draw(2) ? 0.0f : -0.0f;
}

static float about_zero(void)
{
    static const float values[] = {-1, -0.0f, 1};
    return values[draw(3)];
}

static float any_scale(void)
{
    return ldexpf(any(), (int)draw(250) - 140); /* denormal to huge */
}

static float neighbours(void)
{
    return 1 + (float)draw(3) * 0x1p-23f;
}

static float infinite_now_and_then(void)
{
    return draw(4) ? any() : draw(2) ? INFINITY : -INFINITY;
}

static float (*const kinds[])(void) = {any,        one_of_five, always_one, either_zero,
                                       about_zero, any_scale,   neighbours, infinite_now_and_then};
static const size_t counts[] = {1, 2, 15, 16, 17, 31, 32, 33, 100, 127, 128, 129, 255, 356, MOST};

struct work {
    const struct topn_select *select;
    size_t count;
    float scores[MOST + 2 * TOPN_SPARE], before[MOST];
    uint32_t columns[MOST + 2 * TOPN_SPARE];
};

#define CANARY 12345

static void set_canaries(struct work *work)
{
    for (size_t at = work->count + TOPN_SPARE; at < work->count + 2 * TOPN_SPARE; at++) {
        work->scores[at] = CANARY;
        work->columns[at] = CANARY;
    }
}

static void assert_canaries(const struct work *work)
{
    for (size_t at = work->count + TOPN_SPARE; at < work->count + 2 * TOPN_SPARE; at++) {
        assert_true(work->scores[at] == CANARY);
        assert_int_equal(work->columns[at], CANARY);
    }
}

/* Calls it for each kernel, count and kind of score. */
static void for_all(void (*check)(struct work *work))
{
    struct work *work = mem_zalloc(sizeof *work);
    for (int kernel = 0; kernel < KERNEL_COUNT; kernel++) {
        if (!kernel_available((enum kernel)kernel))
            continue;
        work->select = topn_select_for((enum kernel)kernel);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
                work->count = counts[i];
                for (uint32_t at = 0; at < work->count; at++) {
                    work->scores[at] = work->before[at] = kinds[kind]();
                    work->columns[at] = at;
                }
                for (size_t at = work->count; at < work->count + TOPN_SPARE; at++)
                    work->scores[at] = at % 2 ? NAN : INFINITY; /* whatever is left there */
                set_canaries(work);
                check(work);
                assert_canaries(work);
            }
    }
    free(work);
}

static size_t reaching(const struct work *work, float least)
{
    size_t reach = 0;
    for (size_t i = 0; i < work->count; i++)
        reach += work->before[i] >= least;
    return reach;
}

static void check_nth(struct work *work)
{
    for (size_t n = 1; n <= work->count; n += 1 + work->count / 7)
        for (size_t more = 0; more <= n / 2; more += 1 + n / 4) {
            float nth = work->select->nth(work->scores, work->count, n, more);
            bool is_one = false;
            for (size_t i = 0; i < work->count; i++)
                is_one |= work->before[i] == nth;
            assert_true(is_one);
            assert_true(reaching(work, nth) >= n);
            /* the one above it, if there is one, is within the n + more */
            assert_true(reaching(work, nextafterf(nth, INFINITY)) < n + more || nth == INFINITY);
        }
    assert_memory_equal(work->scores, work->before, work->count * sizeof(float));
}

static void test_nth_is_that_score_or_one_of_the_next_few(void **state)
{
    for_all(check_nth);
}

static void check_keep(struct work *work)
{
    float least = work->before[draw((uint32_t)work->count)];
    size_t kept = work->select->keep(work->scores, work->columns, work->count, least), expected = 0;
    for (uint32_t i = 0; i < work->count; i++)
        if (work->before[i] >= least) {
            assert_int_equal(work->columns[expected], i);
            assert_memory_equal(&work->scores[expected], &work->before[i], sizeof(float));
            expected++;
        }
    assert_int_equal(kept, expected);
}

static void test_keep_leaves_what_is_not_below_in_order(void **state)
{
    for_all(check_keep);
}

static void check_rank(struct work *work)
{
    uint32_t ranks[MOST + TOPN_SPARE];
    work->select->rank(work->scores, work->count, ranks);
    for (size_t i = 0; i < work->count; i++) {
        size_t above = 0;
        for (size_t j = 0; j < work->count; j++)
            above += work->before[j] > work->before[i];
        assert_int_equal(ranks[i], above);
    }
}

static void test_rank_is_the_number_of_those_above(void **state)
{
    for_all(check_rank);
}

static void check_take(const struct topn_select *select, uint64_t bits)
{
    _Alignas(64) float from[PANEL];
    uint32_t from_columns[PANEL], columns[PANEL + TOPN_SPARE];
    float scores[PANEL + TOPN_SPARE];
    for (uint32_t i = 0; i < PANEL; i++) {
        from[i] = any();
        from_columns[i] = draw(1000000);
    }
    struct topn_passing passing = {from, from_columns, bits, 0.25f};
    size_t taken = select->take(scores, columns, &passing), expected = 0;
    for (int i = 0; i < PANEL; i++)
        if (bits >> i & 1) {
            assert_int_equal(columns[expected], from_columns[i] | TOPN_PENDING);
            assert_true(scores[expected] == from[i] - 0.25f);
            expected++;
        }
    assert_int_equal(taken, expected);
}

static void test_take_writes_down_those_of_the_bits(void **state)
{
    static const uint64_t all = (UINT64_C(1) << PANEL) - 1;
    for (int kernel = 0; kernel < KERNEL_COUNT; kernel++) {
        if (!kernel_available((enum kernel)kernel))
            continue;
        const struct topn_select *select = topn_select_for((enum kernel)kernel);
        check_take(select, all);
        for (int i = 0; i < PANEL; i++)
            check_take(select, UINT64_C(1) << i);
        for (int i = 0; i < 200; i++)
            check_take(select, ((uint64_t)draw(1u << 31) << 31 | draw(1u << 31)) & all);
    }
}

#define ID_SIZE 8

static void test_sort_goes_by_score_and_then_by_id(void **state)
{
    struct slice ids[MOST];
    char bytes[MOST][ID_SIZE];
    for (uint32_t i = 0; i < MOST; i++) { /* in no order */
        int length = snprintf(bytes[i], ID_SIZE, "%u", i * 7919 % 100003);
        ids[i] = (struct slice){bytes[i], (uint32_t)length};
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
            struct topn_entry entries[MOST];
            bool there[MOST] = {false};
            for (uint32_t at = 0; at < counts[i]; at++)
                entries[at] = (struct topn_entry){at, kinds[kind]()};
            topn_sort(entries, counts[i], ids);
            for (size_t at = 0; at < counts[i]; at++) {
                assert_false(there[entries[at].column]);
                there[entries[at].column] = true;
                assert_true(at == 0 || topn_beats(&entries[at - 1], &entries[at], ids));
            }
        }
}

int main(void)
{
    printf("seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nth_is_that_score_or_one_of_the_next_few),
        cmocka_unit_test(test_keep_leaves_what_is_not_below_in_order),
        cmocka_unit_test(test_rank_is_the_number_of_those_above),
        cmocka_unit_test(test_take_writes_down_those_of_the_bits),
        cmocka_unit_test(test_sort_goes_by_score_and_then_by_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
