/* When the log is told that a server is away, and when it counts as up. */
#include "daemon/outage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define BEGIN_MS 10000
#define HOUR_MS 3600000

static struct outage was_up_for(int64_t ms)
{
    struct outage outage = {0};
    assert_true(outage_up(&outage, BEGIN_MS - ms)); /* the first time is told */
    return outage;
}

static void test_an_outage_is_told_once_a_minute_and_its_end_once(void **state)
{
    (void)state;
    struct outage outage = was_up_for(OUTAGE_STEADY_MS);
    assert_true(outage_down(&outage, "refused", BEGIN_MS));
    assert_false(outage_down(&outage, "refused", BEGIN_MS + OUTAGE_TOLD_MS - 1));
    assert_true(outage_down(&outage, "refused", BEGIN_MS + OUTAGE_TOLD_MS));
    assert_false(outage_down(&outage, "refused", BEGIN_MS + OUTAGE_TOLD_MS + 1));
    assert_true(outage_up(&outage, BEGIN_MS + HOUR_MS));
    assert_false(outage_up(&outage, BEGIN_MS + HOUR_MS)); /* nothing is owed any more */
}

static void test_a_new_outage_after_a_steady_time_is_told_at_once(void **state)
{
    (void)state;
    struct outage outage = was_up_for(OUTAGE_STEADY_MS);
    assert_true(outage_down(&outage, "refused", BEGIN_MS));
    assert_true(outage_up(&outage, BEGIN_MS + 1));
    assert_true(outage_down(&outage, "reset", BEGIN_MS + 1 + OUTAGE_STEADY_MS));
}

static void test_one_that_comes_and_goes_at_once_is_told_once_a_minute(void **state)
{
    (void)state;
    struct outage outage = was_up_for(OUTAGE_STEADY_MS);
    assert_true(outage_down(&outage, "OOM", BEGIN_MS));
    assert_true(outage_up(&outage, BEGIN_MS + 1));
    for (int64_t ms = 2; ms < OUTAGE_TOLD_MS; ms += 1000) {
        assert_false(outage_down(&outage, "OOM", BEGIN_MS + ms));
        assert_false(outage_up(&outage, BEGIN_MS + ms + 1));
    }
    assert_true(outage_down(&outage, "OOM", BEGIN_MS + OUTAGE_TOLD_MS));
}

static void test_one_that_went_at_once_counts_as_up_when_it_has_stayed(void **state)
{
    (void)state;
    struct outage outage = was_up_for(OUTAGE_STEADY_MS - 1);
    assert_true(outage_is_up(&outage, BEGIN_MS)); /* it never went before */
    outage_down(&outage, "OOM", BEGIN_MS);
    assert_false(outage_is_up(&outage, BEGIN_MS));
    outage_up(&outage, BEGIN_MS + 10);
    assert_false(outage_is_up(&outage, BEGIN_MS + 10 + OUTAGE_STEADY_MS - 1));
    assert_string_equal(outage_why(&outage, BEGIN_MS + 10), "OOM");
    assert_true(outage_is_up(&outage, BEGIN_MS + 10 + OUTAGE_STEADY_MS));
    assert_string_equal(outage_why(&outage, BEGIN_MS + 10 + OUTAGE_STEADY_MS), "");
}

static void test_one_that_went_after_a_steady_time_counts_as_up_at_once(void **state)
{
    (void)state;
    struct outage outage = was_up_for(OUTAGE_STEADY_MS);
    outage_down(&outage, "refused", BEGIN_MS);
    outage_up(&outage, BEGIN_MS + 1);
    assert_true(outage_is_up(&outage, BEGIN_MS + 1));
}

static void test_a_failed_try_in_between_does_not_hide_that_it_goes_at_once(void **state)
{
    (void)state;
    struct outage outage = was_up_for(OUTAGE_STEADY_MS - 1);
    outage_down(&outage, "OOM", BEGIN_MS);
    outage_down(&outage, "refused", BEGIN_MS + HOUR_MS);
    outage_up(&outage, BEGIN_MS + HOUR_MS);
    assert_false(outage_is_up(&outage, BEGIN_MS + HOUR_MS));
}

static void test_trouble_is_shown_for_a_minute_and_does_not_count_as_down(void **state)
{
    (void)state;
    struct outage outage = was_up_for(OUTAGE_STEADY_MS);
    assert_string_equal(outage_why(&outage, BEGIN_MS), "");
    assert_true(outage_trouble(&outage, "WRONGTYPE", BEGIN_MS));
    assert_false(outage_trouble(&outage, "another", BEGIN_MS + 1));
    assert_true(outage_is_up(&outage, BEGIN_MS + 1));
    assert_string_equal(outage_why(&outage, BEGIN_MS + OUTAGE_TOLD_MS), "another");
    assert_string_equal(outage_why(&outage, BEGIN_MS + 1 + OUTAGE_TOLD_MS), "");
    assert_true(outage_trouble(&outage, "WRONGTYPE", BEGIN_MS + OUTAGE_TOLD_MS));
    outage_down(&outage, "refused", BEGIN_MS + OUTAGE_TOLD_MS);
    assert_string_equal(outage_why(&outage, BEGIN_MS + OUTAGE_TOLD_MS), "refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_outage_is_told_once_a_minute_and_its_end_once),
        cmocka_unit_test(test_a_new_outage_after_a_steady_time_is_told_at_once),
        cmocka_unit_test(test_one_that_comes_and_goes_at_once_is_told_once_a_minute),
        cmocka_unit_test(test_one_that_went_at_once_counts_as_up_when_it_has_stayed),
        cmocka_unit_test(test_one_that_went_after_a_steady_time_counts_as_up_at_once),
        cmocka_unit_test(test_a_failed_try_in_between_does_not_hide_that_it_goes_at_once),
        cmocka_unit_test(test_trouble_is_shown_for_a_minute_and_does_not_count_as_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
