#include "base/clock.h"
#include "base/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MS 1000000

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

static void test_who_yields_rests_for_what_others_took(void **state)
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

static void test_clocks_that_differ_make_no_rest(void **state)
{
    struct pace pace = {.duty = 1, .yields = true};
    assert_int_equal(pace_rest_ns(pace, 10 * MS, 11 * MS), 0);
    assert_int_equal(pace_rest_ns(pace, 0, 0), 0);
}

/* Works for that long by the clock. */
static void work(int64_t ns)
{
    int64_t end_ns = clock_monotonic_ns() + ns;
    while (clock_monotonic_ns() < end_ns) {
    }
}

static void test_it_rests_at_the_end_of_a_slice_and_not_before(void **state)
{
    struct pacing pacing;
    pacing_begin(&pacing, (struct pace){.duty = 0.5});
    int64_t first_ns = pacing.began_ns, cpu_ns = clock_thread_cpu_ns();
    work(PACE_SLICE_NS);
    pacing_rest(&pacing);
    int64_t took_ns = pacing.began_ns - first_ns;
    assert_true(took_ns >= 2 * PACE_SLICE_NS);
    assert_true(clock_thread_cpu_ns() - cpu_ns < took_ns);

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
        cmocka_unit_test(test_who_yields_rests_for_what_others_took),
        cmocka_unit_test(test_who_yields_goes_on_at_the_least_share),
        cmocka_unit_test(test_clocks_that_differ_make_no_rest),
        cmocka_unit_test(test_it_rests_at_the_end_of_a_slice_and_not_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
