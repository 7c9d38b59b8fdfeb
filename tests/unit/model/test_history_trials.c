/* Trials in a history: counted once, with the event, whatever is lost, forgotten or dropped. */
#include "history_fixture.h"
#include "model/history_internal.h"

#define TRIAL 0xabcdef0123456789u

static struct trial_sums sums_of(struct place *place, uint64_t trial)
{
    struct trial_sums sums;
    history_trial(place->history, trial, &sums);
    return sums;
}

static void assert_sums(struct place *place, uint64_t trial, uint64_t users, uint64_t events,
                        uint64_t hits20)
{
    struct trial_sums sums = sums_of(place, trial);
    assert_int_equal(sums.users, users);
    assert_int_equal(sums.events, events);
    assert_int_equal(sums.hits20, hits20);
}

/* One event, learned with that outcome. */
static void use(struct place *place, int64_t offset, const char *user, uint64_t trial,
                uint32_t rank)
{
    click(place, offset, user, "i1", 5000);
    learn_in_trial(place, trial, rank);
}

static void begin(struct place *place)
{
    open_history(place);
    assign(place, 1);
}

/* -- counting ---------------------------------------------------------------------------------- */

static void test_an_outcome_is_counted_with_the_user_and_in_the_trial(void **at)
{
    struct place *place = *at;
    begin(place);
    use(place, 0, "u1", TRIAL, 4);
    use(place, 1, "u1", TRIAL, 0);
    use(place, 2, "u2", TRIAL, 12);
    struct trial_sums sums = sums_of(place, TRIAL);
    assert_sums(place, TRIAL, 2, 3, 2);
    assert_int_equal(sums.hits10, 1);
    assert_true(sums.nn == 5 && sums.nh == 3 && sums.hh == 2);
    const struct trial_counts *counts = &user_of(place, "u1")->record->trial;
    assert_int_equal(counts->trial, TRIAL);
    assert_int_equal(counts->events, 2);
    assert_int_equal(counts->hits20, 1);
    assert_true(counts->rr == 0.25);
}

static void test_an_event_of_no_trial_leaves_the_users_counts(void **at)
{
    struct place *place = *at;
    struct trial_sums sums;
    begin(place);
    use(place, 0, "u1", TRIAL, 1);
    use(place, 1, "u1", 0, 1);
    assert_int_equal(user_of(place, "u1")->record->trial.events, 1);
    assert_int_equal(user_of(place, "u1")->record->events, 2);
    assert_sums(place, TRIAL, 1, 1, 1);
    assert_false(history_trial(place->history, 0, &sums));
    assert_false(history_trial(place->history, 5, &sums));
    assert_int_equal(sums.users, 0);
}

static void test_what_was_counted_in_the_old_trial_stays(void **at)
{
    struct place *place = *at;
    begin(place);
    use(place, 0, "u1", TRIAL, 1);
    use(place, 1, "u1", 5, 0);
    assert_sums(place, TRIAL, 1, 1, 1);
    assert_sums(place, 5, 1, 1, 0);
    assert_int_equal(user_of(place, "u1")->record->trial.trial, 5);
}

static void test_a_retraction_takes_no_outcome_back(void **at)
{
    struct place *place = *at;
    begin(place);
    click(place, 0, "u1", "i1", 5000)->id = SLICE("e1");
    learn_in_trial(place, TRIAL, 1);
    retract(place, 1, "u1", "e1");
    learn(place);
    assert_sums(place, TRIAL, 1, 1, 1);
    assert_int_equal(user_of(place, "u1")->record->trial.events, 1);
}

static void test_a_forgotten_user_is_taken_out_of_his_trial(void **at)
{
    struct place *place = *at;
    begin(place);
    use(place, 0, "u1", TRIAL, 1);
    struct trial_sums before = sums_of(place, TRIAL);
    use(place, 1, "u2", TRIAL, 3);
    use(place, 2, "u2", TRIAL, 0);
    forget(place, 3, "u2");
    learn(place);
    struct trial_sums after = sums_of(place, TRIAL);
    assert_memory_equal(&after, &before, sizeof after);
    use(place, 4, "u2", TRIAL, 0); /* back as somebody new */
    assert_sums(place, TRIAL, 2, 2, 1);
    assert_int_equal(user_of(place, "u2")->record->trial.events, 1);
}

static void test_a_trial_is_the_sum_of_the_assigned_partitions(void **at)
{
    struct place *place = *at;
    int32_t one = 1;
    begin(place);
    assign(place, 2);
    use(place, 0, "u1", TRIAL, 1);
    click(place, 0, "u2", "i1", 5000)->partition = 1;
    learn_in_trial(place, TRIAL, 2);
    assert_sums(place, TRIAL, 2, 2, 2);
    history_revoke(place->history, &one, 1);
    assert_sums(place, TRIAL, 1, 1, 1);
    assign(place, 2);
    assert_sums(place, TRIAL, 2, 2, 2);
    commit(place);
    history_revoke(place->history, &one, 1); /* now from memory, too */
    assign(place, 2);
    assert_sums(place, TRIAL, 2, 2, 2);
    assert_int_equal(partition_find(&place->history->partitions, 1)->trials.count, 1);
}

/* -- durable, and once ------------------------------------------------------------------------- */

static void test_what_was_committed_is_counted_once_when_the_log_comes_again(void **at)
{
    struct place *place = *at;
    begin(place);
    use(place, 0, "u1", TRIAL, 1);
    commit(place);
    use(place, 1, "u1", TRIAL, 0); /* lost */
    reopen(place, 1);
    assert_sums(place, TRIAL, 1, 1, 1);
    use(place, 0, "u1", TRIAL, 1);
    use(place, 1, "u1", TRIAL, 0);
    assert_sums(place, TRIAL, 1, 2, 1);
    assert_int_equal(user_of(place, "u1")->record->trial.events, 2);
}

/* A commit that the disk refuses, with more learned before it is known. */
static void test_a_commit_that_fails_leaves_the_sums_to_the_next(void **at)
{
    struct place *place = *at;
    begin(place);
    use(place, 0, "u1", TRIAL, 1);
    use(place, 1, "u1", 5, 1);
    struct partition *partition = partition_find(&place->history->partitions, 0);
    struct state_commit *refused = state_commit_new(place->history->state);
    take_trials(partition, TOPIC, refused);
    use(place, 2, "u1", 5, 1);
    state_commit_drop(refused);
    trials_committed(&partition->trials, false);
    commit(place);
    reopen(place, 1);
    assert_sums(place, TRIAL, 1, 1, 1);
    assert_sums(place, 5, 1, 2, 2);
}

/* -- the bound --------------------------------------------------------------------------------- */

/* Trials 1 to TRIALS_MAX, of a user each; the first is touched again, so that the second is the one
 * to leave. */
static void fill(struct place *place)
{
    char name[16];
    begin(place);
    for (uint64_t trial = 1; trial <= TRIALS_MAX; trial++) {
        snprintf(name, sizeof name, "u%d", (int)trial);
        use(place, (int64_t)trial, name, trial, 1);
    }
    use(place, 100, "u1", 1, 1);
}

static void test_the_least_recently_touched_trial_leaves_first(void **at)
{
    struct place *place = *at;
    struct trial_sums sums;
    fill(place);
    commit(place);
    use(place, 101, "new", 1000, 0);
    for (int opening = 0; opening < 2; opening++) {
        assert_false(history_trial(place->history, 2, &sums));
        assert_sums(place, 1, 1, 2, 2);
        assert_sums(place, 3, 1, 1, 1);
        assert_sums(place, 1000, 1, 1, 0);
        commit(place);
        reopen(place, 1);
    }
}

static void test_a_trial_that_left_begins_anew_with_those_who_come(void **at)
{
    struct place *place = *at;
    fill(place);
    use(place, 101, "new", 1000, 0);
    use(place, 102, "newer", 2, 0); /* trial 2 again, without u2; 3 leaves */
    assert_sums(place, 2, 1, 1, 0);
    forget(place, 103, "u2"); /* of whom it knows nothing, */
    learn(place);
    assert_sums(place, 2, 1, 1, 0);
    forget(place, 104, "u3"); /* as there is nothing of 3 at all */
    learn(place);
    commit(place);
    reopen(place, 1);
    assert_sums(place, 2, 1, 1, 0);
}

static void test_a_user_of_a_trial_that_left_counts_anew_in_it(void **at)
{
    struct place *place = *at;
    fill(place);
    use(place, 101, "new", 1000, 0);
    use(place, 102, "u2", 2, 0);
    assert_sums(place, 2, 1, 1, 0);
    assert_int_equal(user_of(place, "u2")->record->trial.events, 1);
    forget(place, 103, "u2");
    learn(place);
    assert_sums(place, 2, 0, 0, 0);
}

static void test_a_trial_may_leave_and_come_while_it_is_written(void **at)
{
    struct place *place = *at;
    struct commit_outcome outcome = {0};
    fill(place);
    assert_true(history_commit(place->history, note_commit, &outcome));
    use(place, 101, "new", 1000, 0); /* 2 leaves, */
    use(place, 102, "u2", 2, 0);     /* and comes, and 3 leaves */
    uv_run(&place->loop, UV_RUN_DEFAULT);
    commit(place);
    reopen(place, 1);
    struct trial_sums sums;
    assert_sums(place, 2, 1, 1, 0);
    assert_false(history_trial(place->history, 3, &sums));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_outcome_is_counted_with_the_user_and_in_the_trial),
        TEST(test_an_event_of_no_trial_leaves_the_users_counts),
        TEST(test_what_was_counted_in_the_old_trial_stays),
        TEST(test_a_retraction_takes_no_outcome_back),
        TEST(test_a_forgotten_user_is_taken_out_of_his_trial),
        TEST(test_a_trial_is_the_sum_of_the_assigned_partitions),
        TEST(test_what_was_committed_is_counted_once_when_the_log_comes_again),
        TEST(test_a_commit_that_fails_leaves_the_sums_to_the_next),
        TEST(test_the_least_recently_touched_trial_leaves_first),
        TEST(test_a_trial_that_left_begins_anew_with_those_who_come),
        TEST(test_a_user_of_a_trial_that_left_counts_anew_in_it),
        TEST(test_a_trial_may_leave_and_come_while_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
