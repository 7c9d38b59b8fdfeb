/* Decayed counts against their definition, S_h(t) = sum of 2^-((t - t_e) / h). */
#include "model/sums.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENTS 2000
#define START_MS INT64_C(1700000000000)

static double define(const int64_t *times, size_t count, int half_life, int64_t now_ms)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += pow(2.0, -(double)(now_ms - times[i]) / (double)half_life_ms[half_life]);
    return sum;
}

/* Each event multiplies by a factor rounded to 2^-53 and adds positive terms, so the relative error
 * grows by at most some 3 * 2^-53 an event: 2000 events stay below 1e-12. */
static void test_sums_are_those_of_the_definition_in_any_order_of_events(void **state)
{
    unsigned seed = 20240811;
    print_message("seed %u\n", seed);
    srand(seed);
    int64_t times[EVENTS];
    struct item_sums sums = {0};
    int64_t latest = 0;
    for (size_t i = 0; i < EVENTS; i++) {
        times[i] = START_MS + (int64_t)i * 60000 + rand() % 7200000 - 3600000;
        latest = times[i] > latest ? times[i] : latest;
        sums_add(&sums, times[i]);
    }
    assert_int_equal(sums.count, EVENTS);
    assert_int_equal(sums.ts_ms, latest);
    for (int h = 0; h < HALF_LIFE_COUNT; h++) {
        double want = define(times, EVENTS, h, latest + 1234567);
        double have = sums_at(&sums, h, latest + 1234567);
        if (fabs(have - want) > 1e-12 * want)
            fail_msg("%s: want %.17g, have %.17g", half_life_names[h], want, have);
    }
}

static void test_a_count_halves_in_a_half_life(void **state)
{
    struct item_sums sums = {0};
    sums_add(&sums, START_MS);
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        assert_true(sums_at(&sums, h, START_MS + half_life_ms[h]) == 0.5);
}

static void test_an_item_without_events_counts_nothing(void **state)
{
    struct item_sums sums = {0};
    assert_true(sums_at(&sums, 0, START_MS) == 0.0);
}

static void test_a_now_before_the_last_event_counts_as_that(void **state)
{
    struct item_sums sums = {0};
    sums_add(&sums, START_MS);
    assert_true(sums_at(&sums, 0, START_MS - 600000) == 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_are_those_of_the_definition_in_any_order_of_events),
        cmocka_unit_test(test_a_count_halves_in_a_half_life),
        cmocka_unit_test(test_an_item_without_events_counts_nothing),
        cmocka_unit_test(test_a_now_before_the_last_event_counts_as_that),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
