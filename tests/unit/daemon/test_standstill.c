/* Who holds the line, and that the line has its turn between two of them. */
#include "daemon/standstill.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

static void count(void *arg)
{
    ++*(int *)arg;
}

static void turn(struct standstill *still, bool stopping)
{
    standstill_begin_turn(still, stopping);
    standstill_tell(still);
}

static void holders_are_told_in_the_order_of_asking(void **state)
{
    (void)state;
    struct standstill still = {0};
    int first = 0, second = 0;
    standstill_ask(&still, count, &first);
    standstill_ask(&still, count, &second);
    turn(&still, false);
    assert_int_equal(first, 1);
    assert_int_equal(second, 0);
    assert_true(still.wanted);
    standstill_release(&still);
    assert_true(standstill_end_turn(&still));
    turn(&still, false);
    assert_int_equal(second, 1);
    standstill_deinit(&still);
}

static void the_line_has_a_turn_between_two_holders(void **state)
{
    (void)state;
    struct standstill still = {0};
    int told = 0;
    standstill_ask(&still, count, &told);
    turn(&still, false);
    standstill_end_turn(&still);
    standstill_ask(&still, count, &told);
    standstill_release(&still);
    turn(&still, false);
    assert_false(still.wanted); /* the line may learn and score */
    assert_int_equal(told, 1);
    assert_true(standstill_end_turn(&still));
    turn(&still, false);
    assert_true(still.wanted);
    assert_int_equal(told, 2);
    standstill_deinit(&still);
}

static void a_line_that_stops_needs_no_turn_between(void **state)
{
    (void)state;
    struct standstill still = {0};
    int told = 0;
    standstill_ask(&still, count, &told);
    standstill_ask(&still, count, &told);
    turn(&still, true);
    standstill_release(&still);
    turn(&still, true);
    assert_int_equal(told, 2);
    standstill_deinit(&still);
}

static void who_holds_is_not_told_again(void **state)
{
    (void)state;
    struct standstill still = {0};
    int first = 0, second = 0;
    standstill_ask(&still, count, &first);
    turn(&still, false);
    standstill_ask(&still, count, &second);
    turn(&still, false);
    assert_int_equal(first, 1);
    assert_int_equal(second, 0);
    standstill_deinit(&still);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holders_are_told_in_the_order_of_asking),
        cmocka_unit_test(the_line_has_a_turn_between_two_holders),
        cmocka_unit_test(a_line_that_stops_needs_no_turn_between),
        cmocka_unit_test(who_holds_is_not_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
