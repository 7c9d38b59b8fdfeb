/* What monitor/sequential.c says at its edges. tests/reference/test_sequential.py has the formulas,
 * test_peeking.c the levels. */
#include "monitor/sequential.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct sequential_test TEST = {.scale = 0.01, .level = 0.05};

/* `users` with `n` events each, of whom one in ten hits each time and the others `s` times. */
static struct rate_sums even_users(uint64_t users, double n, double s)
{
    struct rate_sums sums = {.users = users, .events = users * (uint64_t)n};
    double always = (double)(users / 10), rest = (double)users - always;
    sums.sum = always * n + rest * s;
    sums.nn = (double)users * n * n;
    sums.ns = always * n * n + rest * n * s;
    sums.ss = always * n * n + rest * s * s;
    return sums;
}

static struct uplift one_look(struct rate_sums arm, struct rate_sums control)
{
    struct sequential sequential = {0};
    return sequential_uplift(&sequential, &arm, &control, TEST);
}

static void assert_silent(struct uplift uplift)
{
    assert_true(isnan(uplift.low) && isnan(uplift.high));
    assert_true(uplift.p == 1);
}

static void test_sequential_says_nothing_of_nothing(void **state)
{
    struct uplift uplift = one_look((struct rate_sums){0}, (struct rate_sums){0});
    assert_silent(uplift);
    assert_true(isnan(uplift.mean) && isnan(uplift.relative));
    struct rate_sums none = {0};
    assert_true(isnan(sequential_rate(&none, &none, TEST).high));
    assert_false(sequential_worse(&none, &none, 0, TEST));
}

static void test_sequential_is_silent_below_a_hundred_users(void **state)
{
    assert_silent(one_look(even_users(99, 10, 3), even_users(5000, 10, 1)));
    assert_false(isnan(one_look(even_users(100, 10, 3), even_users(100, 10, 1)).low));
}

static void test_sequential_is_silent_while_one_user_has_most_events(void **state)
{
    struct rate_sums arm = even_users(1000, 10, 2);
    arm.events += 100000;
    arm.sum += 20000;
    arm.nn += 1e10;
    arm.ns += 2e9;
    arm.ss += 4e8;
    assert_silent(one_look(arm, even_users(1000, 10, 1)));
}

static void test_sequential_is_silent_while_hits_are_too_few(void **state)
{
    struct rate_sums arm = {.users = 1000, .events = 1000, .sum = 9, .nn = 1000, .ns = 9, .ss = 9};
    assert_silent(one_look(arm, arm)); /* of nine users, if each had one */
    arm.sum = arm.ns = arm.ss = 25;
    assert_false(isnan(one_look(arm, arm).low));
    assert_true(isnan(sequential_rate(&arm, &arm, TEST).low)); /* alone it takes more */
}

static void test_sequential_is_silent_where_all_users_are_alike(void **state)
{
    struct rate_sums alike = {.users = 500, .events = 1000, .sum = 500};
    alike.nn = 2000;
    alike.ns = 1000;
    alike.ss = 500;
    assert_silent(one_look(alike, alike));
}

static void test_sequential_judges_an_arm_that_never_hits(void **state)
{
    struct rate_sums dead = {.users = 2000, .events = 20000, .nn = 2000 * 100};
    struct rate_sums control = even_users(2000, 10, 1);
    struct uplift uplift = one_look(dead, control);
    assert_true(uplift.p < 1e-6 && uplift.high < 0);
    assert_true(uplift.relative == -1);
    assert_true(sequential_worse(&dead, &control, 0.5, TEST));
    struct rate_sums pool = rate_add(&dead, &control);
    struct rate_interval rate = sequential_rate(&dead, &pool, TEST);
    assert_true(rate.low == 0 && rate.high > 0 && rate.high < 0.2);
}

static void test_sequential_worse_asks_for_more_than_the_drop(void **state)
{
    struct rate_sums control = even_users(20000, 10, 2), arm = even_users(20000, 10, 1);
    double drop = 1 - rate_of(&arm).mean / rate_of(&control).mean; /* 0.32 */
    assert_true(sequential_worse(&arm, &control, 0, TEST));
    assert_true(sequential_worse(&arm, &control, drop - 0.1, TEST));
    assert_false(sequential_worse(&arm, &control, drop, TEST));
    assert_false(sequential_worse(&arm, &control, drop + 0.1, TEST));
    assert_false(sequential_worse(&control, &arm, 0, TEST)); /* better is not worse */
}

static void test_sequential_p_and_interval_are_two_sides_of_one_look(void **state)
{
    struct rate_sums control = even_users(4000, 10, 2), arm = control;
    for (int more = 0; more < 400; more++) { /* a user a step with one hit more */
        struct uplift uplift = one_look(arm, control);
        assert_true((uplift.p < TEST.level) == (uplift.low > 0));
        arm.sum += 1;
        arm.ns += 10;
        arm.ss += 2 * 2 + 1;
    }
}

static void test_sequential_remembers_its_smallest_p(void **state)
{
    struct sequential sequential = {0};
    struct rate_sums control = even_users(20000, 10, 2), arm = even_users(20000, 10, 1);
    double p = sequential_uplift(&sequential, &arm, &control, TEST).p;
    assert_true(p < 0.05);
    assert_true(sequential_uplift(&sequential, &control, &control, TEST).p == p);
}

static void test_sequential_counts_a_user_for_at_least_as_much_as_one_of_the_pool(void **state)
{
    struct rate_sums arm = even_users(2000, 10, 2), control = even_users(2000, 10, 2), alike = arm;
    alike.ss = arm.sum * arm.sum / (double)arm.users; /* as if its users were all alike */
    alike.ns = arm.sum * 10;
    assert_true(rate_of(&alike).variance < 1e-9);
    struct sequential_test wide = {.scale = 1, .level = 0.05}; /* reach is sqrt(V), nearly */
    struct sequential none = {0};
    struct uplift differing = sequential_uplift(&none, &arm, &control, wide);
    struct uplift found = sequential_uplift(&none, &alike, &control, wide);
    double ratio = (found.high - found.mean) / (differing.high - differing.mean);
    assert_true(ratio >
                sqrt((1 + 0.5) / 2)); /* half as much as control's: so the pool's users do */
    assert_true(ratio < 0.9);         /* and 0.71 without the rule */
}

static void test_sequential_rate_stays_between_0_and_1(void **state)
{
    struct rate_sums arm = even_users(4000, 5, 0);
    for (double scale = 1e-4; scale <= 10; scale *= 10) {
        struct sequential_test test = {scale, 0.001};
        struct rate_interval rate = sequential_rate(&arm, &arm, test);
        assert_true(0 <= rate.low && rate.low < rate.mean);
        assert_true(rate.mean < rate.high && rate.high <= 1);
    }
}

static void test_sequential_ratio_begins_at_1_and_stays_there_while_it_fits(void **state)
{
    struct sequential sequential = {0};
    const double shares[] = {0.8, 0.1, 0.1};
    assert_true(sequential_ratio(&sequential, (uint64_t[]){0, 0, 0}, shares, 3) == 1);
    assert_true(sequential_ratio(&sequential, (uint64_t[]){80000, 10000, 10000}, shares, 3) == 1);
    assert_true(sequential_ratio(&sequential, (uint64_t[]){80000, 9000, 11000}, shares, 3) < 1e-6);
    assert_true(sequential_ratio(&sequential, (uint64_t[]){0, 0, 0}, shares, 3) < 1e-6);
}

static void test_sequential_ratio_of_one_arm_has_nothing_to_say(void **state)
{
    struct sequential sequential = {0};
    assert_true(sequential_ratio(&sequential, (uint64_t[]){1000}, (double[]){1}, 1) > 1 - 1e-9);
    assert_true(sequential_ratio(&sequential, (uint64_t[]){5}, (double[]){0}, 1) > 1 - 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequential_says_nothing_of_nothing),
        cmocka_unit_test(test_sequential_is_silent_below_a_hundred_users),
        cmocka_unit_test(test_sequential_is_silent_while_one_user_has_most_events),
        cmocka_unit_test(test_sequential_is_silent_while_hits_are_too_few),
        cmocka_unit_test(test_sequential_is_silent_where_all_users_are_alike),
        cmocka_unit_test(test_sequential_judges_an_arm_that_never_hits),
        cmocka_unit_test(test_sequential_worse_asks_for_more_than_the_drop),
        cmocka_unit_test(test_sequential_p_and_interval_are_two_sides_of_one_look),
        cmocka_unit_test(test_sequential_remembers_its_smallest_p),
        cmocka_unit_test(test_sequential_counts_a_user_for_at_least_as_much_as_one_of_the_pool),
        cmocka_unit_test(test_sequential_rate_stays_between_0_and_1),
        cmocka_unit_test(test_sequential_ratio_begins_at_1_and_stays_there_while_it_fits),
        cmocka_unit_test(test_sequential_ratio_of_one_arm_has_nothing_to_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
