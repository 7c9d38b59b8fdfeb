#include "monitor/histogram.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SEED 5u
#define SAMPLES 10000

/* The header promises 2%. A bucket's middle is within 1/128 of what fell into it, and as a share of
 * the answer never more than 1/128 / (1 - 1/128) = 0.79%; so 1% holds with rounding to spare. */
#define TOLERANCE 0.01

static uint64_t next_random(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return *random >> 33;
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void assert_near(double found, double expected)
{
    assert_true(fabs(found - expected) <= TOLERANCE * expected);
}

static void test_histogram_quantile_is_near_the_sorted_sample(void **state)
{
    static double samples[SAMPLES];
    struct histogram histogram = {0};
    uint64_t random = SEED;
    for (int i = 0; i < SAMPLES; i++) { /* from 2 us to 2000 s, evenly over the octaves */
        samples[i] = 2e-3 * pow(1e9, (double)(next_random(&random) % 100000) / 100000);
        histogram_add(&histogram, samples[i]);
    }
    qsort(samples, SAMPLES, sizeof *samples, compare_doubles);
    const double shares[] = {0.0001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        int rank = (int)ceil(shares[i] * SAMPLES);
        assert_near(histogram_quantile(&histogram, shares[i]), samples[rank - 1]);
    }
}

static void test_histogram_tells_any_duration_back(void **state)
{
    for (double ms = 1e-3; ms < 3600e3; ms *= 1.003) {
        struct histogram histogram = {0};
        histogram_add(&histogram, ms);
        assert_near(histogram_quantile(&histogram, 0.5), ms);
    }
}

static void test_histogram_of_nothing_has_no_quantile(void **state)
{
    struct histogram histogram = {0};
    assert_true(isnan(histogram_quantile(&histogram, 0.5)));
}

static void test_histogram_clamps_what_is_beyond_its_range(void **state)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, -5); /* the clocks of two machines */
    histogram_add(&histogram, 0);
    histogram_add(&histogram, 1e-9);
    histogram_add(&histogram, 1e12);
    assert_near(histogram_quantile(&histogram, 0.75), 1.0 / 1024);
    assert_near(histogram_quantile(&histogram, 1), 3600e3);
}

static void test_histogram_counts_and_sums(void **state)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, 1.5);
    histogram_add(&histogram, 2.5);
    assert_int_equal(histogram.count, 2);
    assert_true(fabs(histogram.sum_ms - 4) < 1e-12);
}

static void test_histogram_least_quantile_is_the_smallest(void **state)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, 10);
    histogram_add(&histogram, 1000);
    assert_near(histogram_quantile(&histogram, 0), 10);
}

static void test_histogram_counts_exactly_up_to_its_bounds(void **state)
{
    uint64_t counts[HISTOGRAM_BOUNDS];
    for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
        struct histogram histogram = {0};
        histogram_add(&histogram, nextafter(histogram_bounds_ms[i], 0));
        histogram_add(&histogram, histogram_bounds_ms[i]);
        histogram_add(&histogram, nextafter(histogram_bounds_ms[i], 1e9));
        histogram_cumulate(&histogram, counts);
        for (int j = 0; j < HISTOGRAM_BOUNDS; j++)
            assert_int_equal(counts[j], j < i ? 0 : j == i ? 2 : 3);
    }
}

static void test_histogram_beyond_the_last_bound_is_in_no_count(void **state)
{
    uint64_t counts[HISTOGRAM_BOUNDS];
    struct histogram histogram = {0};
    histogram_add(&histogram, -1);
    histogram_add(&histogram, 1e12);
    histogram_cumulate(&histogram, counts);
    for (int j = 0; j < HISTOGRAM_BOUNDS; j++)
        assert_int_equal(counts[j], 1);
}

int main(void)
{
    printf("seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_quantile_is_near_the_sorted_sample),
        cmocka_unit_test(test_histogram_tells_any_duration_back),
        cmocka_unit_test(test_histogram_of_nothing_has_no_quantile),
        cmocka_unit_test(test_histogram_clamps_what_is_beyond_its_range),
        cmocka_unit_test(test_histogram_counts_and_sums),
        cmocka_unit_test(test_histogram_counts_exactly_up_to_its_bounds),
        cmocka_unit_test(test_histogram_beyond_the_last_bound_is_in_no_count),
        cmocka_unit_test(test_histogram_least_quantile_is_the_smallest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
