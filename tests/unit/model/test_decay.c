/* Our powers of two against the C library's. */
#include "model/decay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED 41u
#define TRIES 200000
#define START_MS INT64_C(1700000000000)

static double draw(void)
{
    return rand() / (RAND_MAX + 1.0);
}

/* In long doubles, whose exp2l is right to 2^-63: 2^-51 is what the header promises. */
static void assert_is_power(double x)
{
    long double want = exp2l((long double)x);
    double have = decay_exp2(x);
    if (fabsl((long double)have - want) > want * 0x1p-51L)
        fail_msg("2^%.17g: want %.21Lg, have %.17g", x, want, have);
}

static void test_decay_exp2_is_right_to_the_promised_digits_over_the_whole_range(void **state)
{
    print_message("seed %u\n", SEED);
    srand(SEED);
    for (int i = 0; i < TRIES; i++) {
        assert_is_power(-1022 + draw() * 2045);
        assert_is_power(-draw());
        assert_is_power(-ldexp(draw(), -(int)(draw() * 60)));
    }
}

static void test_decay_exp2_is_right_on_both_sides_of_every_step_of_its_table(void **state)
{
    for (int step = -3 * 128; step <= 3 * 128; step++) {
        double x = step / 128.0;
        assert_is_power(x);
        assert_is_power(nextafter(x, -INFINITY));
        assert_is_power(nextafter(x, INFINITY));
    }
}

static void test_decay_exp2_is_exact_at_whole_numbers(void **state)
{
    for (int exponent = -1022; exponent <= 1023; exponent++)
        assert_true(decay_exp2(exponent) == ldexp(1, exponent));
}

static void test_decay_exp2_is_zero_below_the_normal_doubles(void **state)
{
    assert_true(decay_exp2(-1022.001) == 0);
    assert_true(decay_exp2(-1e300) == 0);
    assert_true(decay_exp2(-INFINITY) == 0);
    assert_true(decay_exp2(-1022) == 0x1p-1022);
}

static void test_decay_exp2_stays_finite(void **state)
{
    assert_true(decay_exp2(1e300) == 0x1p1023);
}

/* Elapsed times from nothing to all of time, dense at the short ones. */
static void test_decay_bank_has_the_bits_of_one_by_one(void **state)
{
    srand(SEED);
    for (int i = 0; i < TRIES; i++) {
        int64_t to_ms = START_MS + (int64_t)ldexp(draw(), (int)(draw() * 62));
        double bank[HALF_LIFE_COUNT];
        decay_bank(START_MS, to_ms, bank);
        for (int h = 0; h < HALF_LIFE_COUNT; h++)
            assert_true(bank[h] == decay_exp2(-decay_half_lives(h, START_MS, to_ms)));
    }
}

static void test_decay_weights_grow_from_each_landmark(void **state)
{
    srand(SEED);
    for (int i = 0; i < TRIES; i++) {
        int64_t landmarks_ms[HALF_LIFE_COUNT];
        for (int h = 0; h < HALF_LIFE_COUNT; h++)
            landmarks_ms[h] =
                START_MS + (int64_t)((draw() * 2000 - 1000) * (double)half_life_ms[h]);
        double weights[HALF_LIFE_COUNT];
        decay_weights(landmarks_ms, START_MS, weights);
        for (int h = 0; h < HALF_LIFE_COUNT; h++)
            assert_true(weights[h] == decay_exp2(decay_half_lives(h, landmarks_ms[h], START_MS)));
    }
}

static void test_decay_bank_of_no_time_is_one(void **state)
{
    double bank[HALF_LIFE_COUNT];
    decay_bank(START_MS, START_MS, bank);
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        assert_true(bank[h] == 1);
}

static void test_decay_bank_spans_all_of_time(void **state)
{
    double bank[HALF_LIFE_COUNT];
    decay_bank(INT64_MIN, INT64_MAX, bank);
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        assert_true(bank[h] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decay_exp2_is_right_to_the_promised_digits_over_the_whole_range),
        cmocka_unit_test(test_decay_exp2_is_right_on_both_sides_of_every_step_of_its_table),
        cmocka_unit_test(test_decay_exp2_is_exact_at_whole_numbers),
        cmocka_unit_test(test_decay_exp2_is_zero_below_the_normal_doubles),
        cmocka_unit_test(test_decay_exp2_stays_finite),
        cmocka_unit_test(test_decay_bank_has_the_bits_of_one_by_one),
        cmocka_unit_test(test_decay_weights_grow_from_each_landmark),
        cmocka_unit_test(test_decay_bank_of_no_time_is_one),
        cmocka_unit_test(test_decay_bank_spans_all_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
