/* What the scoreboard says against monitor/sequential.h, asked directly. */
#include "monitor/scoreboard.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct sequential_test test = {.scale = 0.02, .level = 0.05};

/* Users who all have `events` events; every other has two hits more than the rest. */
static struct trial_sums users_with(uint64_t users, uint32_t events, uint32_t hits)
{
    struct trial_sums sums = {0};
    for (uint64_t i = 0; i < users; i++) {
        struct trial_counts counts = {
            .events = events, .hits10 = hits / 2, .hits20 = hits + 2 * (i % 2), .rr = 0.3 * hits};
        trial_add(&sums, &counts);
    }
    return sums;
}

/* Control, an arm of 30% that has `hits` a user to control's 4, and a shadow. */
static struct scoreboard board_of(uint64_t arm_users, uint32_t hits)
{
    return (struct scoreboard){
        .arms = {{.control = true, .share = 0.7, .sums = users_with(7000, 10, 4)},
                 {.share = 0.3, .sums = users_with(arm_users, 10, hits)},
                 {.shadow = true}},
        .count = 3,
    };
}

static struct rate_sums hits_of(const struct trial_sums *sums)
{
    return (struct rate_sums){sums->users, sums->events, (double)sums->hits20,
                              sums->nn,    sums->nh,     sums->hh};
}

static struct rate_sums ranks_of(const struct trial_sums *sums)
{
    return (struct rate_sums){sums->users, sums->events, sums->rr, sums->nn, sums->nr, sums->r2};
}

static void assert_same(const void *found, const void *expected, size_t doubles)
{
    const double *a = found, *b = expected;
    for (size_t i = 0; i < doubles; i++)
        if (!(a[i] == b[i] || (isnan(a[i]) && isnan(b[i]))))
            fail_msg("%zu: %g, not %g", i, a[i], b[i]);
}

static void assert_arm(const struct scoreboard *board, uint32_t i)
{
    const struct scoreboard_arm *arm = &board->arms[i];
    struct rate_sums hits[3], ranks[3], all_hits = {0}, all_ranks = {0};
    for (uint32_t j = 0; j < board->count; j++) {
        hits[j] = hits_of(&board->arms[j].sums);
        ranks[j] = ranks_of(&board->arms[j].sums);
        all_hits = rate_add(&all_hits, &hits[j]);
        all_ranks = rate_add(&all_ranks, &ranks[j]);
    }
    struct rate_interval hit20 = sequential_rate(&hits[i], &all_hits, test);
    struct rate_interval mrr20 = sequential_rate(&ranks[i], &all_ranks, test);
    assert_same(&arm->hit20, &hit20, 3);
    assert_same(&arm->mrr20, &mrr20, 3);
}

static void test_rates_are_those_of_the_statistics(void **state)
{
    struct scoreboard board = board_of(3000, 5);
    scoreboard_make(&board, test);
    assert_arm(&board, 0);
    assert_arm(&board, 1);
    assert_true(fabs(board.arms[0].hit20.mean - 0.5) < 1e-12);
    assert_true(fabs(board.arms[1].hit20.mean - 0.6) < 1e-12);
    assert_true(board.arms[1].hit10 == 0.2);
    assert_true(board.arms[1].hit20.low < 0.6 && board.arms[1].hit20.high > 0.6);
}

static void test_an_uplift_is_that_over_control_wherever_control_stands(void **state)
{
    struct scoreboard board = board_of(3000, 5);
    struct scoreboard_arm control = board.arms[0];
    board.arms[0] = board.arms[1], board.arms[1] = control;
    scoreboard_make(&board, test);
    struct sequential hit20_test = {0}, mrr20_test = {0};
    struct rate_sums hits = hits_of(&board.arms[0].sums), ranks = ranks_of(&board.arms[0].sums);
    struct rate_sums control_hits = hits_of(&control.sums), control_ranks = ranks_of(&control.sums);
    struct uplift uplift = sequential_uplift(&hit20_test, &hits, &control_hits, test);
    struct uplift mrr20 = sequential_uplift(&mrr20_test, &ranks, &control_ranks, test);
    assert_same(&board.arms[0].uplift, &uplift, 5);
    assert_same(&board.arms[0].mrr20_uplift, &mrr20, 5);
    assert_true(fabs(uplift.mean - 0.1) < 1e-12 && uplift.p < 0.05);
}

static void test_of_control_and_a_shadow_no_uplift_is_said(void **state)
{
    struct scoreboard board = board_of(3000, 5);
    scoreboard_make(&board, test);
    for (uint32_t i = 0; i < 3; i += 2) {
        const struct uplift *uplift = &board.arms[i].uplift;
        assert_true(isnan(uplift->mean) && isnan(uplift->low) && isnan(uplift->relative));
        assert_true(uplift->p == 1 && board.arms[i].mrr20_uplift.p == 1);
    }
    assert_true(isnan(board.arms[2].hit20.mean) && isnan(board.arms[2].hit10));
}

static void test_a_test_remembers_its_strongest_evidence(void **state)
{
    struct scoreboard board = board_of(3000, 5);
    scoreboard_make(&board, test);
    double p = board.arms[1].uplift.p;
    board.arms[1].sums = users_with(3000, 10, 4);
    scoreboard_make(&board, test);
    assert_true(board.arms[1].uplift.p == p && fabs(board.arms[1].uplift.mean) < 1e-12);
}

static void test_of_few_users_nothing_is_said(void **state)
{
    struct scoreboard board = board_of(SEQUENTIAL_USERS_MIN - 1, 5);
    scoreboard_make(&board, test);
    assert_true(isnan(board.arms[1].uplift.low) && board.arms[1].uplift.p == 1);
    assert_false(scoreboard_is_worse(&board, 1, 0, test));
}

static void test_no_users_at_all_are_no_alarm(void **state)
{
    struct scoreboard board = {.arms = {{.control = true, .share = 1}}, .count = 1};
    scoreboard_make(&board, test);
    assert_true(isnan(board.arms[0].hit20.mean) && isnan(board.sample_ratio_p));
    assert_false(scoreboard_ratio_alarm(&board));
}

/* -- guards ------------------------------------------------------------------------------------ */

static void test_an_arm_is_worse_where_the_guard_says_so(void **state)
{
    struct scoreboard board = board_of(3000, 2); /* 0.3 to 0.5: 40% below */
    struct rate_sums hits = hits_of(&board.arms[1].sums), control = hits_of(&board.arms[0].sums);
    for (double drop = 0; drop < 0.9; drop += 0.05)
        assert_int_equal(scoreboard_is_worse(&board, 1, drop, test),
                         sequential_worse(&hits, &control, drop, test));
    assert_true(scoreboard_is_worse(&board, 1, 0.1, test));
    assert_false(scoreboard_is_worse(&board, 1, 0.5, test));
}

/* -- the sample ratio -------------------------------------------------------------------------- */

static void test_users_as_the_shares_say_are_no_alarm(void **state)
{
    struct scoreboard board = board_of(3000, 4);
    scoreboard_make(&board, test);
    assert_true(board.sample_ratio_p == 1);
    assert_false(scoreboard_ratio_alarm(&board));
}

static void test_users_not_as_the_shares_say_are_an_alarm(void **state)
{
    struct scoreboard board = board_of(2400, 4);
    scoreboard_make(&board, test);
    struct sequential ratio = {0};
    const uint64_t users[] = {7000, 2400};
    const double shares[] = {0.7, 0.3};
    assert_true(board.sample_ratio_p == sequential_ratio(&ratio, users, shares, 2));
    assert_true(scoreboard_ratio_alarm(&board));
}

static void test_a_shadow_is_in_no_ratio(void **state)
{
    struct scoreboard board = board_of(3000, 4);
    board.arms[2].share = 0.5;
    board.arms[2].sums = users_with(500, 10, 4);
    scoreboard_make(&board, test);
    assert_true(board.sample_ratio_p == 1);
}

static void test_a_void_ratio_says_nothing(void **state)
{
    struct scoreboard board = board_of(2400, 4);
    board.ratio_void = true;
    scoreboard_make(&board, test);
    assert_true(isnan(board.sample_ratio_p));
    assert_false(scoreboard_ratio_alarm(&board));
    board.ratio_test.evidence = 100;
    board.arms[1].share = 0;
    scoreboard_make(&board, test);
    assert_true(isnan(board.sample_ratio_p));
}

static void test_the_ratio_stays_when_the_experiment_is_over(void **state)
{
    struct scoreboard board = board_of(2400, 4);
    scoreboard_make(&board, test);
    double p = board.sample_ratio_p;
    board.arms[0].share = 1, board.arms[1].share = 0; /* everybody is in control */
    scoreboard_make(&board, test);
    assert_true(board.sample_ratio_p == p && scoreboard_ratio_alarm(&board));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_are_those_of_the_statistics),
        cmocka_unit_test(test_an_uplift_is_that_over_control_wherever_control_stands),
        cmocka_unit_test(test_of_control_and_a_shadow_no_uplift_is_said),
        cmocka_unit_test(test_a_test_remembers_its_strongest_evidence),
        cmocka_unit_test(test_of_few_users_nothing_is_said),
        cmocka_unit_test(test_no_users_at_all_are_no_alarm),
        cmocka_unit_test(test_an_arm_is_worse_where_the_guard_says_so),
        cmocka_unit_test(test_users_as_the_shares_say_are_no_alarm),
        cmocka_unit_test(test_users_not_as_the_shares_say_are_an_alarm),
        cmocka_unit_test(test_a_shadow_is_in_no_ratio),
        cmocka_unit_test(test_a_void_ratio_says_nothing),
        cmocka_unit_test(test_the_ratio_stays_when_the_experiment_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
