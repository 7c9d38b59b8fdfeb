#include "base/clock.h"
#include "base/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MS 1000000

/* Works for that long by the clock. */
static void work(int64_t ns)
{
    int64_t end_ns = clock_monotonic_ns() + ns;
    while (clock_monotonic_ns() < end_ns) {
    }
}

static void test_who_has_all_of_the_time_does_not_rest(void **state)
{
    struct pace pace = {.duty = 1};
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 10 * MS), 0);
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 1 * MS), 0); /* whoever else is there */
}

static void test_the_rest_leaves_the_duty_of_the_time(void **state)
{
    struct pace pace = {.duty = 0.25};
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 10 * MS), 30 * MS);
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 2 * MS), 30 * MS);
}

static void test_who_yields_works_for_the_share_that_he_got(void **state)
{
    struct pace pace = {.duty = 1, .yields = true};
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 10 * MS), 0);
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 5 * MS), 10 * MS); /* half of half of the time */
    pace.duty = 0.5;
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 5 * MS), 30 * MS);
}

static void test_who_yields_goes_on_at_the_least_share(void **state)
{
    struct pace pace = {.duty = 1, .yields = true};
    int64_t longest = (int64_t)(10 * MS * (1 / PACE_SHARE_LEAST - 1));
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 0), longest);
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 1 * MS), longest);
}

static void test_rests_are_neither_short_nor_for_ever(void **state)
{
    struct pace pace = {.duty = 1, .yields = true};
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 10 * MS - 1000), 0);
    pace.duty = 1e-300;
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 10 * MS), PACE_REST_MOST_NS);
}

static void test_the_end_rests_for_less_than_a_slice(void **state)
{
    struct pacing pacing;
    pacing_begin(&pacing, (struct pace){.duty = 0.1});
    int64_t first_ns = pacing.began_ns;
    work(MS);
    pacing_end(&pacing);
    assert_true(pacing.began_ns - first_ns >= 10 * MS);
}

static void test_clocks_that_differ_make_no_rest(void **state)
{
    struct pace pace = {.duty = 1, .yields = true};
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 11 * MS), 0);
    assert_int_equal(pace_rest_ns(pace, 0, 0), 0);
}

static void test_it_rests_at_the_end_of_a_slice_and_not_before(void **state)
{
    struct pacing pacing;
    pacing_begin(&pacing, (struct pace){.duty = 0.5});
    int64_t first_ns = pacing.began_ns;
    work(PACE_SLICE_NS);
    pacing_rest(&pacing);
    assert_true(pacing.began_ns - first_ns >= 2 * PACE_SLICE_NS);

    pacing.began_ns = clock_monotonic_ns() + PACE_SLICE_NS; /* the slice has hardly begun */
    first_ns = pacing.began_ns;
    pacing_rest(&pacing);
    assert_int_equal(pacing.began_ns, first_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_has_all_of_the_time_does_not_rest),
        cmocka_unit_test(test_the_rest_leaves_the_duty_of_the_time),
        cmocka_unit_test(test_who_yields_works_for_the_share_that_he_got),
        cmocka_unit_test(test_who_yields_goes_on_at_the_least_share),
        cmocka_unit_test(test_rests_are_neither_short_nor_for_ever),
        cmocka_unit_test(test_the_end_rests_for_less_than_a_slice),
        cmocka_unit_test(test_clocks_that_differ_make_no_rest),
        cmocka_unit_test(test_it_rests_at_the_end_of_a_slice_and_not_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
