/* State is a view of the log: the same log makes the same state, whatever crashed, was evicted,
 * could not be written, or was committed when. */
#include "history_log.h"
#include "model/history_internal.h"

static void assert_same_dump(struct place *place, const char *expected)
{
    char *text = dump(place);
    assert_string_equal(text, expected);
    free(text);
    remove_state(place);
}

/* -- the log makes the state ------------------------------------------------------------------- */

static void test_the_log_has_something_of_everything(void **at)
{
    struct place *place = *at;
    struct log *log = make_log();
    open_history(place);
    assign(place, PARTITIONS);
    learn_range(place, log, 0, EVENTS);
    uint64_t sum = 0;
    for (int counter = 0; counter < COUNTER_COUNT; counter++) {
        uint64_t count = history_counter(place->history, counter);
        if (count == 0)
            fail_msg("nothing %s", counter_names[counter]);
        sum += count;
    }
    assert_int_equal(sum, EVENTS);
    free(log);
}

static void test_batches_of_any_size_make_the_same_state(void **at)
{
    struct place *place = *at;
    struct log *log = make_log();
    char *expected = plain_dump(place, log);
    static const int sizes[] = {1, 7, EVENTS};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        open_history(place);
        assign(place, PARTITIONS);
        for (int from = 0; from < EVENTS; from += sizes[i])
            learn_range(place, log, from, from + sizes[i] < EVENTS ? from + sizes[i] : EVENTS);
        commit(place);
        assert_same_dump(place, expected);
    }
    free(expected);
    free(log);
}

/* Commits after `committed` batches, learns some more and crashes; then the log comes again, as
 * Kafka gives it: from the stored offsets on, or from further back. */
static void crash_and_replay(struct place *place, const struct log *log, int committed, int lost)
{
    open_history(place);
    assign(place, PARTITIONS);
    for (int batch = 0; batch < committed; batch++)
        learn_batch(place, log, batch);
    commit(place);
    for (int batch = committed; batch < committed + lost && batch < BATCHES; batch++)
        learn_batch(place, log, batch);
    reopen(place, PARTITIONS);
    for (int batch = 0; batch < BATCHES; batch++)
        learn_batch(place, log, batch);
    commit(place);
}

static void test_a_crash_at_any_commit_is_healed_by_replay(void **at)
{
    struct place *place = *at;
    struct log *log = make_log();
    char *expected = plain_dump(place, log);
    for (int committed = 0; committed <= BATCHES; committed++) {
        crash_and_replay(place, log, committed, committed % 4);
        assert_same_dump(place, expected);
    }
    free(expected);
    free(log);
}

static void test_a_restart_after_every_batch_changes_nothing(void **at)
{
    struct place *place = *at;
    struct log *log = make_log();
    char *expected = plain_dump(place, log);
    open_history(place);
    assign(place, PARTITIONS);
    for (int batch = 0; batch < BATCHES; batch++) {
        learn_batch(place, log, batch);
        commit(place);
        reopen(place, PARTITIONS);
    }
    assert_same_dump(place, expected);
    free(expected);
    free(log);
}

static void test_users_evicted_at_once_make_the_same_state(void **at)
{
    struct place *place = *at;
    struct log *log = make_log();
    char *expected = plain_dump(place, log);
    place->settings.hot_bytes = 1;
    open_history(place);
    assign(place, PARTITIONS);
    for (int batch = 0; batch < BATCHES; batch++) {
        learn_batch(place, log, batch);
        commit(place);
        assert_int_equal(place->history->users.count, 0);
    }
    assert_same_dump(place, expected);
    free(expected);
    free(log);
}

static void test_partitions_that_come_and_go_make_the_same_state(void **at)
{
    struct place *place = *at;
    struct log *log = make_log();
    char *expected = plain_dump(place, log);
    open_history(place);
    assign(place, PARTITIONS);
    for (int batch = 0; batch < BATCHES; batch++) {
        int32_t gone = batch % PARTITIONS;
        struct commit_outcome outcome = {0};
        learn_batch(place, log, batch);
        history_revoke(place->history, &gone, 1);
        if (batch % 2 == 0)
            assert_true(history_commit(place->history, note_commit, &outcome));
        assign(place, PARTITIONS); /* while the commit is under way, or without any */
        uv_run(&place->loop, UV_RUN_DEFAULT);
    }
    commit(place);
    assert_same_dump(place, expected);
    free(expected);
    free(log);
}

/* -- co-occurrence, whatever was committed when ----------------------------------------------- */

#define SCHEDULES 20

enum step { STEP_LEARN, STEP_COMMIT, STEP_FAIL, STEP_FAIL_LATE, STEP_CRASH, STEP_COME_AND_GO };

/* What happened in all schedules, so that none of it is missing. */
struct seen {
    int failures, crashes_with_journal, returns_with_journal, records_left;
};

static size_t count_records(const struct place *place)
{
    size_t count = 0;
    for (size_t i = 0; i < place->history->partitions.count; i++)
        count += place->history->partitions.at[i]->journal.record_count;
    return count;
}

/* Changes if and only if a record leaves, or the first one comes. */
static int64_t oldest_records(const struct place *place)
{
    int64_t sum = 0;
    for (size_t i = 0; i < place->history->partitions.count; i++) {
        const struct pairs_journal *journal = &place->history->partitions.at[i]->journal;
        sum += journal->record_count > 0 ? journal->records[0].first : 0;
    }
    return sum;
}

/* The log up to `at` is learned, from wherever the partitions are. */
static void catch_up(struct place *place, const struct log *log, int at)
{
    learn_range(place, log, 0, at);
}

/* What history_commit does with pairs, but for the disk, which refuses; up to `later` is learned
 * meanwhile. */
static void fail_commit(struct place *place, struct log *log, int later, struct seen *seen)
{
    const struct partition_set *set = &place->history->partitions;
    struct state_commit *refused = state_commit_new(place->history->state);
    for (size_t i = 0; i < set->count; i++)
        take_pairs(set->at[i], TOPIC, refused, draw(log, 2000), &place->history->scratch);
    catch_up(place, log, later);
    state_commit_drop(refused);
    for (size_t i = 0; i < set->count; i++)
        pairs_committed(set->at[i], false);
    seen->failures++;
}

static void come_and_go(struct place *place, struct log *log, struct seen *seen)
{
    int32_t gone = (int32_t)draw(log, PARTITIONS);
    history_revoke(place->history, &gone, 1);
    if (draw(log, 2) == 0)
        commit(place);
    assign(place, PARTITIONS);
    seen->returns_with_journal += count_records(place) > 0;
}

static void take_step(struct place *place, struct log *log, int at, int later, struct seen *seen)
{
    int64_t oldest = oldest_records(place);
    switch ((enum step)draw(log, STEP_COME_AND_GO + 1)) {
    case STEP_LEARN:
        break;
    case STEP_COMMIT:
        commit(place);
        seen->records_left += oldest > 0 && oldest_records(place) != oldest;
        break;
    case STEP_FAIL:
        fail_commit(place, log, at, seen);
        break;
    case STEP_FAIL_LATE:
        fail_commit(place, log, later, seen);
        break;
    case STEP_CRASH:
        reopen(place, PARTITIONS);
        seen->crashes_with_journal += count_records(place) > 0;
        break;
    case STEP_COME_AND_GO:
        come_and_go(place, log, seen);
        break;
    }
}

static void test_pairs_are_the_same_whatever_was_committed_or_lost_when(void **at)
{
    struct place *place = *at;
    struct log *log = make_log();
    struct seen seen = {0};
    char *expected = plain_dump(place, log);
    assert_non_null(strstr(expected, "\"pairs\""));
    for (int schedule = 0; schedule < SCHEDULES; schedule++) {
        open_history(place);
        assign(place, PARTITIONS);
        for (int learned = 0; learned < EVENTS;) {
            int more = 1 + (int)draw(log, 2 * BATCH);
            learned = learned + more < EVENTS ? learned + more : EVENTS;
            catch_up(place, log, learned);
            take_step(place, log, learned, learned + more < EVENTS ? learned + more : EVENTS,
                      &seen);
        }
        catch_up(place, log, EVENTS);
        commit(place);
        assert_same_dump(place, expected);
    }
    assert_true(seen.failures > 0);
    assert_true(seen.crashes_with_journal > 0);
    assert_true(seen.returns_with_journal > 0);
    assert_true(seen.records_left > 0);
    free(expected);
    free(log);
}

/* -- commits under way ------------------------------------------------------------------------- */

/* The writer thread reads records that the loop thread is replacing: to be run under the thread
 * sanitizer, too. */
static void test_learning_goes_on_while_a_commit_is_written(void **at)
{
    struct place *place = *at;
    struct log *log = make_log();
    char *expected = plain_dump(place, log);
    place->settings.hot_bytes = 1;
    open_history(place);
    assign(place, PARTITIONS);
    struct commit_outcome outcome = {0};
    int commits = 0;
    for (int batch = 0; batch < BATCHES; batch++) {
        learn_batch(place, log, batch);
        commits += history_commit(place->history, note_commit, &outcome);
        uv_run(&place->loop, UV_RUN_NOWAIT);
    }
    assert_true(commits > 0);
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(outcome.calls, commits);
    commit(place);
    assert_same_dump(place, expected);
    free(expected);
    free(log);
}

#define SCANS 50 /* enough that some fall between two assignments */

struct scanning {
    struct place *place;
    uv_work_t work;
    int status;
    size_t found;
};

static uint32_t swap_0(struct slice user, void *arg)
{
    return 0;
}

static void scan(uv_work_t *work)
{
    struct scanning *scanning = work->data;
    struct history *history = scanning->place->history;
    for (int i = 0; i < SCANS && scanning->status == 0; i++) {
        struct owed_list owed;
        scanning->status = history_scan_owed(history, true, INT64_MIN, swap_0, NULL, &owed, NULL);
        scanning->found += owed.count;
        owed_list_deinit(&owed);
    }
}

static void scanned(uv_work_t *work, int status)
{
    (void)work;
    (void)status;
}

static void test_a_worker_scans_while_the_loop_learns_commits_and_reassigns(void **at)
{
    struct place *place = *at;
    struct log *log = make_log();
    struct scanning scanning = {.place = place};
    struct commit_outcome outcome = {0};
    scanning.work.data = &scanning;
    open_history(place);
    assign(place, PARTITIONS);
    for (int batch = 0; batch < BATCHES / 2; batch++)
        learn_batch(place, log, batch);
    commit(place);
    uv_queue_work(&place->loop, &scanning.work, scan, scanned);
    for (int batch = BATCHES / 2; batch < BATCHES; batch++) {
        learn_batch(place, log, batch);
        history_commit(place->history, note_commit, &outcome);
        assign(place, PARTITIONS);
    }
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(scanning.status, 0);
    assert_true(scanning.found > 0);
    free(log);
}

/* -- commits that fail ------------------------------------------------------------------------- */

#define SMALL_MAP (1 << 20)
#define BALLAST 8

static void change_ballast(struct place *place, bool present)
{
    size_t bytes = SMALL_MAP / (BALLAST + 2);
    char *nothing = calloc(1, bytes);
    struct error err = {0};
    for (int i = 0; i < BALLAST; i++) {
        char key[] = {'b', (char)('0' + i), '\0'};
        struct state_commit *change = state_commit_new(place->history->state);
        if (present)
            state_commit_put(change, STATE_PAIRS, slice_of(key),
                             (struct slice){nothing, (uint32_t)bytes});
        else
            state_commit_delete(change, STATE_PAIRS, slice_of(key));
        if (state_commit_now(change, &err) != 0)
            fail_msg("%s", err.text);
    }
    free(nothing);
}

/* The disk is full for a while: commits fail, learning goes on, and in the end all is there. */
static void test_what_a_failed_commit_held_is_in_the_next_one(void **at)
{
    struct place *place = *at;
    struct log *log = make_log();
    place->settings.state.map_bytes = SMALL_MAP;
    char *expected = plain_dump(place, log);
    open_history(place);
    assign(place, PARTITIONS);
    change_ballast(place, true);
    int failures = 0;
    for (int batch = 0; batch < BATCHES; batch++) {
        learn_batch(place, log, batch);
        struct commit_outcome outcome = try_commit(place);
        if (outcome.err.code == 0)
            continue;
        failures++;
        assert_int_equal(outcome.err.code, ERR_IO);
        assert_non_null(strstr(outcome.err.text, "state.map = "));
        assert_int_equal(outcome.count, 0);
        assert_true(history_is_dirty(place->history));
    }
    assert_true(failures > 1);
    change_ballast(place, false);
    commit(place);
    assert_false(history_is_dirty(place->history));
    assert_same_dump(place, expected);
    free(expected);
    free(log);
}

/* The same with changes between the commit's begin and its failure. */
static void test_what_changed_during_a_failing_commit_is_not_lost(void **at)
{
    struct place *place = *at;
    struct log *log = make_log();
    place->settings.state.map_bytes = SMALL_MAP;
    char *expected = plain_dump(place, log);
    open_history(place);
    assign(place, PARTITIONS);
    change_ballast(place, true);
    int failures = 0;
    for (int batch = 0; batch + 1 < BATCHES; batch += 2) {
        struct commit_outcome outcome = {0};
        learn_batch(place, log, batch);
        assert_true(history_commit(place->history, note_commit, &outcome));
        learn_batch(place, log, batch + 1);
        uv_run(&place->loop, UV_RUN_DEFAULT);
        failures += outcome.err.code != 0;
    }
    assert_true(failures > 1);
    change_ballast(place, false);
    commit(place);
    assert_same_dump(place, expected);
    free(expected);
    free(log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_replay, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_log_has_something_of_everything),
        TEST(test_batches_of_any_size_make_the_same_state),
        TEST(test_a_crash_at_any_commit_is_healed_by_replay),
        TEST(test_a_restart_after_every_batch_changes_nothing),
        TEST(test_users_evicted_at_once_make_the_same_state),
        TEST(test_partitions_that_come_and_go_make_the_same_state),
        TEST(test_pairs_are_the_same_whatever_was_committed_or_lost_when),
        TEST(test_learning_goes_on_while_a_commit_is_written),
        TEST(test_a_worker_scans_while_the_loop_learns_commits_and_reassigns),
        TEST(test_what_a_failed_commit_held_is_in_the_next_one),
        TEST(test_what_changed_during_a_failing_commit_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
