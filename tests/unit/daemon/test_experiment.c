#include "daemon/experiment.h"
#include "base/hash.h"
#include "base/log.h"
#include "settings_fixture.h"

#include <math.h>
#include <string.h>
#include <uv.h>

#define USERS 2000
#define DEADLINE_MS 30000
#define HOUR_MS INT64_C(3600000)
#define START_MS INT64_C(1793491200000) /* 2026-11-01T00:00:00Z, as in the settings */

#define ARMS                       \
    "arms:\n"                      \
    "  control: {control: true}\n" \
    "  fast: {share: 0.3}\n"       \
    "  dark: {share: 0.5, shadow: true}\n"

#define TIMED \
    "experiment: {id: e, salt: s, start: 2026-11-01T00:00:00Z, end: 2026-11-02T00:00:00Z}\n"
#define UNTIMED "experiment: {id: e, salt: s}\n"

static const char *const types[] = {"view"};
static const bool counts[] = {true};

struct bench {
    char dir[64];
    uv_loop_t loop;
    struct history *history;
    struct watch *watch;
    struct reading reading;
    struct experiment *experiment;
    struct batch batch;
    int64_t next_offset;
    uint32_t next_item;
    int changes, freed;
};

/* -- the world around -------------------------------------------------------------------------- */

static void on_change(void *arg)
{
    ((struct bench *)arg)->changes++;
}

static void on_freed(void *arg)
{
    ((struct bench *)arg)->freed++;
}

static void on_commit(const struct error *err, const int32_t *partitions,
                      const int64_t *next_offsets, size_t count, void *arg)
{
    assert_null(err);
    ++*(int *)arg;
}

static void open_history(struct bench *bench)
{
    struct history_settings settings = {.state = {.dir = bench->dir, .map_bytes = 64 << 20},
                                        .topic = SLICE("events"),
                                        .items_topic = SLICE("items"),
                                        .limits = {.history_max = 5, .seen_max = 5},
                                        .hot_bytes = 1 << 26,
                                        .dead_pending_max = 3,
                                        .type_count = 1,
                                        .types = types,
                                        .type_counts = counts};
    struct error err = {0};
    if (history_open(&bench->history, &bench->loop, &settings, free, &err) != 0)
        fail_msg("%s", err.text);
    bench->watch = watch_new(bench->history, NULL, 0);
}

static void assign(struct bench *bench)
{
    struct error err = {0};
    int32_t zero = 0;
    assert_int_equal(history_assign(bench->history, &zero, 1, &err), 0);
}

/* Settings of this text, and an experiment by them that has begun. */
static void start_with(struct bench *bench, const char *text)
{
    load(&bench->reading, text);
    bench->experiment = experiment_new(&bench->loop, bench->reading.settings, bench->history,
                                       bench->watch, on_change, bench);
}

static void start(struct bench *bench, const char *text)
{
    assign(bench);
    start_with(bench, text);
    experiment_begin(bench->experiment);
}

static void stop_experiment(struct bench *bench)
{
    bench->freed = 0;
    experiment_free(bench->experiment, on_freed, bench);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    assert_int_equal(bench->freed, 1);
    reading_end(&bench->reading);
    bench->experiment = NULL;
}

/* The process ends, with all committed, and another begins; no partition is assigned yet. */
static void restart(struct bench *bench, const char *text)
{
    int commits = 0;
    stop_experiment(bench);
    if (history_commit(bench->history, on_commit, &commits))
        while (commits == 0)
            uv_run(&bench->loop, UV_RUN_ONCE);
    watch_free(bench->watch);
    history_close(bench->history);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    open_history(bench);
    bench->changes = 0;
    start_with(bench, text);
}

static void other_settings(struct bench *bench, const char *text)
{
    struct reading old = bench->reading;
    load(&bench->reading, text);
    experiment_set(bench->experiment, bench->reading.settings);
    experiment_apply(bench->experiment);
    reading_end(&old);
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    snprintf(bench->dir, sizeof bench->dir, "%s/freshet-experiment-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(bench->dir));
    uv_loop_init(&bench->loop);
    batch_init(&bench->batch);
    open_history(bench);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock"};
    if (bench->experiment != NULL)
        stop_experiment(bench);
    watch_free(bench->watch);
    history_close(bench->history);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&bench->loop), 0);
    batch_deinit(&bench->batch);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", bench->dir, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(bench->dir), 0);
    free(bench);
    return 0;
}

/* -- events ------------------------------------------------------------------------------------ */

struct behaviour { /* how many of a hundred events meet an item of the list, by arm */
    const struct experiment *experiment;
    uint32_t percent[3];
    uint32_t leave_out; /* of 100 users of arm 1 */
};

static struct outcome observe(const struct use *use, void *arg)
{
    const struct behaviour *how = arg;
    const struct event *event = use->event;
    uint32_t arm = arms_of(experiment_assignment(how->experiment), event->user);
    uint64_t hash = hash_stable(event->user.data, event->user.length);
    uint64_t draw = hash_stable_with(event->user.data, event->user.length, (uint64_t)event->offset);
    if (arm == 1 && hash % 100 < how->leave_out)
        return (struct outcome){0};
    return (struct outcome){experiment_trial(how->experiment, arm),
                            draw % 100 < how->percent[arm] ? 1 : 0};
}

static void add_event(struct bench *bench, uint32_t user, int64_t ts_ms)
{
    struct event *event = batch_add(&bench->batch);
    char *id = batch_alloc(&bench->batch, 16);
    int length = snprintf(id, 16, "u%u", user);
    event->kind = EVENT_INTERACTION;
    event->offset = bench->next_offset++;
    event->ts_ms = event->record_ts_ms = ts_ms;
    event->value = 1;
    event->pos = -1;
    event->user = (struct slice){id, (uint32_t)length};
    event->item = SLICE("i1");
}

static void learn(struct bench *bench, const struct behaviour *how)
{
    struct learned learned;
    history_learn(bench->history, &bench->batch, observe, (void *)(uintptr_t)how, &learned);
    batch_clear(&bench->batch);
}

/* One event, so that it is that late in the stream. */
static void at(struct bench *bench, int64_t ts_ms)
{
    struct behaviour how = {.experiment = bench->experiment};
    add_event(bench, 0, ts_ms);
    learn(bench, &how);
}

/* Four events of each user. */
static void use(struct bench *bench, const struct behaviour *how)
{
    struct behaviour own = *how;
    own.experiment = bench->experiment;
    for (uint32_t i = 0; i < 4 * USERS; i++)
        add_event(bench, i % USERS, START_MS + HOUR_MS);
    learn(bench, &own);
}

static void on_wait_over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Until it asks for a change, once more than before; then it is given one. */
static void wait_for_change(struct bench *bench)
{
    bool over = false;
    int before = bench->changes;
    uv_timer_t timer;
    uv_timer_init(&bench->loop, &timer);
    timer.data = &over;
    uv_update_time(&bench->loop);
    uv_timer_start(&timer, on_wait_over, DEADLINE_MS, 0);
    while (bench->changes == before && !over)
        uv_run(&bench->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&bench->loop, UV_RUN_NOWAIT);
    assert_true(bench->changes > before);
    experiment_apply(bench->experiment);
}

/* -- looking ----------------------------------------------------------------------------------- */

static uint32_t owned(struct bench *bench, uint32_t arm)
{
    return experiment_assignment(bench->experiment)->owned[arm];
}

static const struct scoreboard *board(struct bench *bench)
{
    return experiment_scoreboard(bench->experiment);
}

static void assert_phase(struct bench *bench, enum experiment_phase phase)
{
    assert_int_equal(experiment_phase(bench->experiment), phase);
    bool runs = phase == EXPERIMENT_RUNNING;
    assert_int_equal(owned(bench, 1), runs ? 3000 : 0);
    assert_int_equal(experiment_trial(bench->experiment, 1) != 0, runs);
    assert_int_equal(experiment_trial(bench->experiment, 0) != 0, runs);
    assert_int_equal(experiment_trial(bench->experiment, 2), 0); /* a shadow */
}

/* -- phases ------------------------------------------------------------------------------------ */

static void test_without_times_it_runs_from_the_first_moment(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED ARMS);
    assert_phase(bench, EXPERIMENT_RUNNING);
    assert_int_equal(bench->changes, 0);
}

static void test_it_begins_and_ends_by_the_streams_time(void **state)
{
    struct bench *bench = *state;
    start(bench, TIMED ARMS);
    assert_phase(bench, EXPERIMENT_WAITING); /* nothing known yet */
    at(bench, START_MS - 1);
    experiment_apply(bench->experiment);
    assert_phase(bench, EXPERIMENT_WAITING);
    at(bench, START_MS);
    assert_phase(bench, EXPERIMENT_WAITING); /* until it is applied */
    wait_for_change(bench);
    assert_phase(bench, EXPERIMENT_RUNNING);
    at(bench, START_MS + 24 * HOUR_MS);
    wait_for_change(bench);
    assert_phase(bench, EXPERIMENT_ENDED);
}

static void test_after_a_restart_it_is_where_it_was_before_anything_is_assigned(void **state)
{
    struct bench *bench = *state;
    start(bench, TIMED ARMS);
    at(bench, START_MS);
    wait_for_change(bench);
    restart(bench, TIMED ARMS);
    assert_phase(bench, EXPERIMENT_RUNNING);
    experiment_begin(bench->experiment);
    assert_int_equal(bench->changes, 0); /* the same as before: nobody's list is owed */
}

static void test_other_arms_at_a_restart_ask_for_a_change_until_they_have_it(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED ARMS);
    restart(bench, UNTIMED ARMS "  more: {share: 0.1}\n");
    experiment_begin(bench->experiment);
    assert_int_equal(bench->changes, 1);
    restart(bench, UNTIMED ARMS "  more: {share: 0.1}\n"); /* before it had it */
    experiment_begin(bench->experiment);
    assert_int_equal(bench->changes, 1);
    experiment_apply(bench->experiment);
    restart(bench, UNTIMED ARMS "  more: {share: 0.1}\n");
    experiment_begin(bench->experiment);
    assert_int_equal(bench->changes, 0);
}

/* -- figures ----------------------------------------------------------------------------------- */

static void test_figures_are_those_of_the_trials(void **state)
{
    struct bench *bench = *state;
    struct trial_sums sums;
    start(bench, UNTIMED ARMS);
    use(bench, &(struct behaviour){.percent = {30, 40}});
    experiment_apply(bench->experiment);
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t trial = experiment_trial(bench->experiment, i);
        assert_true(history_trial(bench->history, trial, &sums));
        assert_memory_equal(&board(bench)->arms[i].sums, &sums, sizeof sums);
    }
    uint64_t users = board(bench)->arms[0].sums.users + board(bench)->arms[1].sums.users;
    assert_int_equal(users, USERS);
    assert_int_equal(board(bench)->arms[2].sums.users, 0);
    assert_true(board(bench)->arms[0].control && board(bench)->arms[2].shadow);
    assert_true(board(bench)->arms[0].share == 0.7 && board(bench)->arms[1].share == 0.3);
    assert_true(fabs(board(bench)->arms[1].hit20.mean - 0.4) < 0.1);
    assert_true(board(bench)->sample_ratio_p > SAMPLE_RATIO_LEVEL);
}

static void test_a_trial_is_named_by_experiment_and_arm(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED ARMS);
    uint64_t first = experiment_trial(bench->experiment, 1);
    assert_true(first == hash_stable("e\nfast", 6));
    other_settings(bench, "experiment: {id: f, salt: s}\n" ARMS);
    assert_true(experiment_trial(bench->experiment, 1) == hash_stable("f\nfast", 6));
    other_settings(bench, "experiment: {id: e, salt: another}\n" ARMS);
    assert_true(experiment_trial(bench->experiment, 1) == first);
}

static void test_what_was_found_is_still_shown_when_it_has_ended(void **state)
{
    struct bench *bench = *state;
    start(bench, TIMED ARMS);
    at(bench, START_MS);
    wait_for_change(bench);
    use(bench, &(struct behaviour){.percent = {30, 60}});
    at(bench, START_MS + 24 * HOUR_MS - 1);
    experiment_apply(bench->experiment);
    struct scoreboard before = *board(bench);
    assert_true(before.arms[1].uplift.p < 0.05);
    at(bench, START_MS + 24 * HOUR_MS);
    struct trial_sums last = {0};
    history_trial(bench->history, experiment_trial(bench->experiment, 1), &last);
    wait_for_change(bench);
    assert_phase(bench, EXPERIMENT_ENDED);
    assert_int_equal(board(bench)->arms[1].sums.users, last.users);
    assert_true(fabs(board(bench)->arms[1].uplift.mean - before.arms[1].uplift.mean) < 0.01);
    assert_false(board(bench)->ratio_void);
}

static void test_evidence_outlives_the_process(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED ARMS);
    use(bench, &(struct behaviour){.percent = {30, 60}, .leave_out = 60});
    experiment_apply(bench->experiment);
    double p = board(bench)->arms[1].uplift.p, mrr = board(bench)->arms[1].mrr20_test.evidence;
    double ratio = board(bench)->ratio_test.evidence;
    assert_true(p < 0.05 && mrr > 0 && scoreboard_ratio_alarm(board(bench)));
    restart(bench, UNTIMED ARMS);
    assert_true(fabs(log(sequential_p(&board(bench)->arms[1].hit20_test) / p)) < 1e-12);
    assert_true(board(bench)->arms[1].mrr20_test.evidence == mrr);
    assert_true(board(bench)->ratio_test.evidence == ratio);
}

static void test_before_its_first_look_it_says_nothing_false(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED ARMS);
    assert_int_equal(board(bench)->count, 3);
    assert_true(board(bench)->arms[0].control && board(bench)->arms[2].shadow);
    assert_true(board(bench)->arms[0].share == 0.7 && isnan(board(bench)->arms[0].hit20.mean));
    assert_true(board(bench)->arms[1].uplift.p == 1);
    assert_false(scoreboard_ratio_alarm(board(bench)));
}

static void test_evidence_against_another_control_is_forgotten(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED ARMS);
    use(bench, &(struct behaviour){.percent = {30, 60}});
    experiment_apply(bench->experiment);
    assert_true(board(bench)->arms[1].uplift.p < 0.05);
    other_settings(bench, UNTIMED "arms:\n  boss: {control: true}\n  fast: {share: 0.3}\n");
    assert_true(board(bench)->arms[1].uplift.p == 1);
}

static void test_trials_of_arms_that_are_gone_are_known(void **state)
{
    struct bench *bench = *state;
    size_t count;
    start(bench, UNTIMED ARMS);
    uint64_t gone = experiment_trial(bench->experiment, 1);
    other_settings(bench, UNTIMED "arms:\n  control: {control: true}\n  slow: {share: 0.3}\n");
    restart(bench, UNTIMED "arms:\n  control: {control: true}\n  slow: {share: 0.3}\n");
    const uint64_t *known = experiment_trials(bench->experiment, &count);
    bool found = false;
    for (size_t i = 0; i < count; i++)
        found |= known[i] == gone;
    assert_int_equal(count, 3);
    assert_true(found);
}

static void test_another_experiment_begins_anew(void **state)
{
    struct bench *bench = *state;
    struct error err = {0};
    start(bench, UNTIMED ARMS);
    use(bench, &(struct behaviour){.percent = {30, 60}, .leave_out = 60});
    experiment_apply(bench->experiment);
    assert_int_equal(experiment_stop(bench->experiment, "fast", "as asked", &err), 0);
    experiment_apply(bench->experiment);
    other_settings(bench, "experiment: {id: f, salt: s}\n" ARMS);
    assert_null(experiment_why_stopped(bench->experiment, 1));
    assert_int_equal(board(bench)->arms[1].sums.users, 0);
    assert_true(board(bench)->arms[1].uplift.p == 1);
    assert_false(board(bench)->ratio_void);
    assert_int_equal(owned(bench, 1), 3000);
}

/* -- the sample ratio -------------------------------------------------------------------------- */

static void use_evenly(struct bench *bench)
{
    use(bench, &(struct behaviour){.percent = {30, 30}});
    experiment_apply(bench->experiment);
    assert_false(isnan(board(bench)->sample_ratio_p));
}

static void assert_void(struct bench *bench, bool is_void)
{
    assert_int_equal(board(bench)->ratio_void, is_void);
    assert_int_equal(isnan(board(bench)->sample_ratio_p) != 0, is_void);
}

static void test_other_shares_void_the_ratio(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED ARMS);
    use_evenly(bench);
    other_settings(bench, UNTIMED "arms:\n  control: {control: true}\n  fast: {share: 0.4}\n");
    assert_void(bench, true);
    other_settings(bench, UNTIMED ARMS); /* back again: too late */
    assert_void(bench, true);
}

static void test_an_arm_of_another_name_voids_the_ratio(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED ARMS);
    use_evenly(bench);
    other_settings(bench, UNTIMED "arms:\n  control: {control: true}\n  slow: {share: 0.3}\n");
    assert_void(bench, true);
}

static void test_what_is_not_shares_voids_no_ratio(void **state)
{
    static const char *const texts[] = {
        UNTIMED ARMS,
        UNTIMED "model: {trend_weight: 0.5}\n" ARMS,
        UNTIMED ARMS "  darker: {share: 0.1, shadow: true}\n",               /* one shadow more, */
        UNTIMED "arms:\n  control: {control: true}\n  fast: {share: 0.3}\n", /* and none */
        UNTIMED "arms:\n  fast: {share: 0.3}\n  control: {control: true}\n",
        UNTIMED ARMS "  none: {share: 0}\n",
        "experiment: {id: e, salt: s, level: 0.01}\n" ARMS,
    };
    struct bench *bench = *state;
    start(bench, UNTIMED ARMS);
    use_evenly(bench);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        other_settings(bench, texts[i]);
        assert_void(bench, false);
    }
}

static void test_a_restart_voids_no_ratio(void **state)
{
    struct bench *bench = *state;
    start(bench, TIMED ARMS);
    at(bench, START_MS);
    wait_for_change(bench);
    use_evenly(bench);
    for (int i = 0; i < 2; i++) {
        restart(bench, TIMED ARMS);
        assign(bench);
        experiment_begin(bench->experiment);
        experiment_apply(bench->experiment);
        assert_void(bench, false);
    }
}

static void test_its_beginning_and_end_void_no_ratio(void **state)
{
    struct bench *bench = *state;
    start(bench, TIMED ARMS);
    at(bench, START_MS);
    wait_for_change(bench);
    assert_void(bench, false);
    use(bench, &(struct behaviour){.percent = {30, 30}, .leave_out = 60});
    experiment_apply(bench->experiment);
    assert_true(scoreboard_ratio_alarm(board(bench)));
    at(bench, START_MS + 24 * HOUR_MS);
    wait_for_change(bench);
    assert_void(bench, false);
    assert_true(scoreboard_ratio_alarm(board(bench)));
}

static void test_shares_changed_before_anybody_was_counted_void_no_ratio(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED ARMS);
    other_settings(bench, UNTIMED "arms:\n  control: {control: true}\n  fast: {share: 0.4}\n");
    use_evenly(bench);
    assert_void(bench, false);
}

static void look_until_noted(struct bench *bench)
{
    bool over = false;
    uv_timer_t timer;
    uv_timer_init(&bench->loop, &timer);
    timer.data = &over;
    uv_update_time(&bench->loop);
    uv_timer_start(&timer, on_wait_over, DEADLINE_MS, 0);
    struct slice counted = SLICE("\"counted\":true");
    bool noted = false;
    while (!noted && !over) {
        uv_run(&bench->loop, UV_RUN_ONCE);
        struct slice note = history_note(bench->history, "experiment");
        noted = memmem(note.data, note.length, counted.data, counted.length) != NULL;
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&bench->loop, UV_RUN_NOWAIT);
    assert_true(noted);
}

/* Without a change between the first user and the end of the process. */
static void test_shares_changed_while_it_was_down_void_the_ratio(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED ARMS);
    use(bench, &(struct behaviour){.percent = {30, 30}});
    look_until_noted(bench);
    restart(bench, UNTIMED "arms:\n  control: {control: true}\n  fast: {share: 0.4}\n");
    assert_true(board(bench)->ratio_void);
    experiment_apply(bench->experiment);
    restart(bench, UNTIMED ARMS); /* and stays so */
    assert_true(board(bench)->ratio_void);
    experiment_apply(bench->experiment);
    restart(bench, UNTIMED ARMS);
    assert_true(board(bench)->ratio_void);
}

/* -- stopping ---------------------------------------------------------------------------------- */

static void test_a_stopped_arm_loses_its_users_once_applied(void **state)
{
    struct bench *bench = *state;
    struct error err = {0};
    start(bench, UNTIMED ARMS);
    use_evenly(bench);
    assert_int_equal(experiment_stop(bench->experiment, "fast", "as asked", &err), 0);
    assert_int_equal(bench->changes, 1);
    assert_string_equal(experiment_why_stopped(bench->experiment, 1), "as asked");
    assert_int_equal(owned(bench, 1), 3000);
    experiment_apply(bench->experiment);
    assert_int_equal(owned(bench, 1), 0);
    assert_int_equal(owned(bench, 0), ARM_BUCKETS);
    assert_true(board(bench)->arms[1].sums.users > 0); /* what it did is not forgotten */
    assert_void(bench, true);
    assert_int_equal(experiment_resume(bench->experiment, "fast", &err), 0);
    assert_int_equal(bench->changes, 2);
    experiment_apply(bench->experiment);
    assert_null(experiment_why_stopped(bench->experiment, 1));
    assert_int_equal(owned(bench, 1), 3000);
}

static void test_a_stopped_arm_stays_so_over_restarts_and_other_settings(void **state)
{
    static const char *const reasons[] = {"as \"asked\"\n", ""};
    struct bench *bench = *state;
    struct error err = {0};
    start(bench, UNTIMED ARMS);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        assert_int_equal(experiment_stop(bench->experiment, "fast", reasons[i], &err), 0);
        experiment_apply(bench->experiment);
        restart(bench, UNTIMED ARMS);
        assert_non_null(experiment_why_stopped(bench->experiment, 1));
        assert_string_equal(experiment_why_stopped(bench->experiment, 1), reasons[i]);
        assert_int_equal(owned(bench, 1), 0);
        experiment_begin(bench->experiment);
        assert_int_equal(bench->changes, 0);
        other_settings(bench, UNTIMED "arms:\n  first: {share: 0.1}\n  control: {control: true}\n"
                                      "  fast: {share: 0.4}\n");
        assert_null(experiment_why_stopped(bench->experiment, 1)); /* control, now */
        assert_string_equal(experiment_why_stopped(bench->experiment, 2), reasons[i]);
        assert_int_equal(owned(bench, 2), 0);
        assert_int_equal(owned(bench, 0), 1000);
        other_settings(bench, UNTIMED ARMS);
    }
}

static void test_a_long_reason_is_cut_and_read_back(void **state)
{
    struct bench *bench = *state;
    struct error err = {0};
    char why[3 * STOP_REASON_MAX];
    for (size_t i = 0; i + 3 < sizeof why; i += 3)
        memcpy(why + i, "\xe2\x82\xac", 4); /* euro signs: the cut may fall within one */
    start(bench, UNTIMED ARMS);
    assert_int_equal(experiment_stop(bench->experiment, "fast", why, &err), 0);
    experiment_apply(bench->experiment);
    restart(bench, UNTIMED ARMS);
    assert_non_null(experiment_why_stopped(bench->experiment, 1));
    assert_memory_equal(experiment_why_stopped(bench->experiment, 1), why, 150);
}

static void test_what_cannot_be_stopped_is_said(void **state)
{
    struct bench *bench = *state;
    struct error err = {0};
    start(bench, UNTIMED ARMS);
    assert_int_equal(experiment_stop(bench->experiment, "control", "x", &err), ERR_USAGE);
    assert_non_null(strstr(err.text, "\"control\" is control"));
    assert_int_equal(experiment_stop(bench->experiment, "nobody", "x", &err), ERR_USAGE);
    assert_string_equal(err.text, "there is no arm \"nobody\"");
    assert_int_equal(experiment_resume(bench->experiment, "nobody", &err), ERR_USAGE);
    assert_int_equal(bench->changes, 0);
}

static void test_a_guard_stops_an_arm_that_is_worse(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED "arms:\n  control: {control: true}\n"
                         "  fast: {share: 0.3, guard: {hit20_drop: 0.1}}\n");
    use(bench, &(struct behaviour){.percent = {50, 20}});
    wait_for_change(bench);
    const char *why = experiment_why_stopped(bench->experiment, 1);
    assert_non_null(why);
    assert_non_null(strstr(why, "lower by more than guard.hit20_drop 0.1"));
    assert_int_equal(owned(bench, 1), 0);
}

static void test_an_arm_that_would_be_stopped_at_once_does_not_go_on(void **state)
{
    struct bench *bench = *state;
    struct error err = {0};
    start(bench, UNTIMED "arms:\n  control: {control: true}\n"
                         "  fast: {share: 0.3, guard: {hit20_drop: 0.1}}\n");
    use(bench, &(struct behaviour){.percent = {50, 20}});
    wait_for_change(bench);
    int changes = (int)bench->changes;
    assert_int_equal(experiment_resume(bench->experiment, "fast", &err), ERR_USAGE);
    assert_non_null(strstr(err.text, "would stop arm \"fast\" at once"));
    assert_non_null(experiment_why_stopped(bench->experiment, 1));
    assert_int_equal(bench->changes, changes);
}

static void test_no_guard_no_stop(void **state)
{
    struct bench *bench = *state;
    start(bench, UNTIMED "arms:\n  control: {control: true}\n"
                         "  fast: {share: 0.3, guard: {hit20_drop: 0.7}}\n"); /* 0.6 below */
    use(bench, &(struct behaviour){.percent = {50, 20}});
    look_until_noted(bench);
    assert_null(experiment_why_stopped(bench->experiment, 1));
    assert_int_equal(bench->changes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_times_it_runs_from_the_first_moment),
        TEST(test_it_begins_and_ends_by_the_streams_time),
        TEST(test_after_a_restart_it_is_where_it_was_before_anything_is_assigned),
        TEST(test_other_arms_at_a_restart_ask_for_a_change_until_they_have_it),
        TEST(test_figures_are_those_of_the_trials),
        TEST(test_a_trial_is_named_by_experiment_and_arm),
        TEST(test_what_was_found_is_still_shown_when_it_has_ended),
        TEST(test_evidence_outlives_the_process),
        TEST(test_trials_of_arms_that_are_gone_are_known),
        TEST(test_evidence_against_another_control_is_forgotten),
        TEST(test_before_its_first_look_it_says_nothing_false),
        TEST(test_another_experiment_begins_anew),
        TEST(test_other_shares_void_the_ratio),
        TEST(test_an_arm_of_another_name_voids_the_ratio),
        TEST(test_what_is_not_shares_voids_no_ratio),
        TEST(test_a_restart_voids_no_ratio),
        TEST(test_its_beginning_and_end_void_no_ratio),
        TEST(test_shares_changed_before_anybody_was_counted_void_no_ratio),
        TEST(test_shares_changed_while_it_was_down_void_the_ratio),
        TEST(test_a_stopped_arm_loses_its_users_once_applied),
        TEST(test_a_stopped_arm_stays_so_over_restarts_and_other_settings),
        TEST(test_a_long_reason_is_cut_and_read_back),
        TEST(test_what_cannot_be_stopped_is_said),
        TEST(test_a_guard_stops_an_arm_that_is_worse),
        TEST(test_an_arm_that_would_be_stopped_at_once_does_not_go_on),
        TEST(test_no_guard_no_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
