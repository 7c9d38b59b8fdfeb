#include "publisher/budget.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static char a_user; /* the publisher only asks whether there is one */

/* A rewrite after an event, that far from the list in Redis. */
static struct slate_list rewrite(float distance)
{
    return (struct slate_list){
        .user = (struct user *)&a_user, .cause = CAUSE_EVENT, .change = {.rbo = distance}};
}

static enum hold decide(struct budget *budget, double min_change, double churn_limit,
                        struct slate_list list)
{
    struct budget_settings settings = {min_change, churn_limit};
    return budget_decide(budget, &settings, &list);
}

static void test_with_no_settings_nothing_is_held_back(void **state)
{
    struct budget budget = {0};
    for (int i = 0; i <= 10; i++)
        assert_int_equal(decide(&budget, 0, 0, rewrite((float)i / 10)), HOLD_NOTHING);
}

static void test_what_is_nearer_than_min_change_is_held_back(void **state)
{
    struct budget budget = {0};
    assert_int_equal(decide(&budget, 0.25, 0, rewrite(0.24f)), HOLD_MIN_CHANGE);
    assert_int_equal(decide(&budget, 0.25, 0, rewrite(0.25f)), HOLD_NOTHING);
    assert_int_equal(decide(&budget, 0.25, 0, rewrite(0)), HOLD_MIN_CHANGE);
}

static void test_a_generations_rewrites_are_held_back_as_an_events_are(void **state)
{
    struct budget budget = {0};
    struct slate_list list = rewrite(0.1f);
    list.cause = CAUSE_GENERATION;
    assert_int_equal(decide(&budget, 0.25, 0, list), HOLD_MIN_CHANGE);
}

static void test_what_would_lift_the_mean_above_the_limit_is_held_back(void **state)
{
    struct budget budget = {.mean = 0.1};
    /* 0.1 + (x - 0.1) / 100 > 0.104 for x > 0.5 */
    assert_int_equal(decide(&budget, 0, 0.104, rewrite(0.51f)), HOLD_CHURN_LIMIT);
    budget.mean = 0.1;
    assert_int_equal(decide(&budget, 0, 0.104, rewrite(0.49f)), HOLD_NOTHING);
    assert_true(fabs(budget.mean - (0.1 + 0.39 / BUDGET_REWRITES)) < 1e-8);
}

static void test_a_list_held_back_counts_nothing_in_the_mean(void **state)
{
    struct budget budget = {.mean = 0.3};
    decide(&budget, 0, 0.2, rewrite(1));
    assert_true(fabs(budget.mean - 0.3 * (1 - 1.0 / BUDGET_REWRITES)) < 1e-12);
    budget.mean = 0.3;
    decide(&budget, 0.5, 0, rewrite(0.4f));
    assert_true(fabs(budget.mean - 0.3 * (1 - 1.0 / BUDGET_REWRITES)) < 1e-12);
}

static void test_over_many_rewrites_the_churn_is_what_is_allowed(void **state)
{
    struct budget budget = {0};
    double churn = 0;
    int sent = 0;
    for (int i = 0; i < 20000; i++)
        if (decide(&budget, 0, 0.2, rewrite(0.8f)) == HOLD_NOTHING) {
            churn += 0.8;
            sent++;
        }
    assert_true(sent > 20000 / 5); /* 0.8 x 1/4 is 0.2 */
    /* the mean never passes 0.2, and its sum of weights, 1 / BUDGET_REWRITES a rewrite, telescopes:
     * sum (x - mean) = BUDGET_REWRITES (last mean - first) */
    assert_true(churn / 20000 <= 0.2 * (1 + (double)BUDGET_REWRITES / 20000) + 1e-6);
    assert_true(churn / 20000 > 0.19);
}

static void assert_never_held(struct slate_list list)
{
    struct budget budget = {.mean = 0.9};
    assert_int_equal(decide(&budget, 1, 0.01, list), HOLD_NOTHING);
}

static void test_a_list_is_never_held_back_that_takes_a_users_item_away(void **state)
{
    struct slate_list list = rewrite(0.01f);
    list.change.gone = 1;
    assert_never_held(list);
    struct budget budget = {0};
    decide(&budget, 1, 0, list);
    assert_true(budget.mean > 0); /* but it counts */
}

static void test_a_list_that_explores_is_never_held_back(void **state)
{
    struct slate_list list = rewrite(0.01f);
    struct slate_explored explored = {.at = 3, .propensity = 0.1};
    list.explored = &explored;
    list.explored_count = 1;
    assert_never_held(list);
}

static void test_what_is_no_rewrite_is_never_held_back_and_costs_nothing(void **state)
{
    struct slate_list first = rewrite(0), forgotten = rewrite(0), popular = rewrite(0);
    first.change.first = true;
    forgotten.forgotten = true;
    popular.user = NULL;
    assert_never_held(first);
    assert_never_held(forgotten);
    assert_never_held(popular);
    struct budget budget = {.mean = 0.5};
    decide(&budget, 1, 0.01, first);
    assert_true(budget.mean == 0.5);
}

static void test_what_no_event_and_no_generation_causes_is_never_held_back(void **state)
{
    for (int cause = 0; cause < CAUSE_COUNT; cause++) {
        struct slate_list list = rewrite(0.01f);
        list.cause = (enum slate_cause)cause;
        if (cause != CAUSE_EVENT && cause != CAUSE_GENERATION)
            assert_never_held(list);
    }
}

static void test_each_reason_has_a_name(void **state)
{
    assert_string_equal(hold_name(HOLD_MIN_CHANGE), "min_change");
    assert_string_equal(hold_name(HOLD_CHURN_LIMIT), "churn_limit");
    assert_string_equal(hold_name(HOLD_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_with_no_settings_nothing_is_held_back),
        cmocka_unit_test(test_what_is_nearer_than_min_change_is_held_back),
        cmocka_unit_test(test_a_generations_rewrites_are_held_back_as_an_events_are),
        cmocka_unit_test(test_what_would_lift_the_mean_above_the_limit_is_held_back),
        cmocka_unit_test(test_a_list_held_back_counts_nothing_in_the_mean),
        cmocka_unit_test(test_over_many_rewrites_the_churn_is_what_is_allowed),
        cmocka_unit_test(test_a_list_is_never_held_back_that_takes_a_users_item_away),
        cmocka_unit_test(test_a_list_that_explores_is_never_held_back),
        cmocka_unit_test(test_what_is_no_rewrite_is_never_held_back_and_costs_nothing),
        cmocka_unit_test(test_what_no_event_and_no_generation_causes_is_never_held_back),
        cmocka_unit_test(test_each_reason_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
