/* The process: what daemon/daemon.c and daemon/arms.c do around the line, with their hooks word for
 * word, and somebody who asks for things at odd times. */
#include "tests/sim/process.h"
#include "base/mem.h"
#include "daemon/redis_mark.h"
#include "daemon/refill.h"
#include "daemon/swapper.h"
#include "tests/sim/lists.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE "sim.config"
#define ASKED_MAX 64

struct asked { /* somebody waits for a callback, which must come once */
    bool used, told;
    const char *what;
};

static struct {
    uint32_t file_config; /* of the settings file, which outlives the process */

    bool running, draining, leaving, ended;
    uint32_t config, next_config; /* of the scorers; asked for by a reload, or CONFIGS: none */
    struct history *history;
    struct publisher *publisher;
    struct scorers *scorers;
    struct line *line;
    struct renewal *renewal, *sweep;
    struct refill refill;
    struct swapper *swapper;
    uv_timer_t sweep_timer, refused_timer, deadline;
    int closing;
    bool holding; /* somebody holds the line */
    struct asked asked[ASKED_MAX];
} process;

bool process_is_running(void)
{
    return process.running;
}

bool process_is_leaving(void)
{
    return process.leaving;
}

struct history *process_history(void)
{
    return process.history;
}

uint32_t process_config(void)
{
    return process.config;
}

void process_begin(void)
{
    memset(&process, 0, sizeof process);
    process.file_config = sim_below(CONFIGS);
}

/* -- what the stations say --------------------------------------------------------------------- */

int64_t process_start_offset(bool items, int32_t partition)
{
    return history_next_offset(process.history, items, partition);
}

static void publish_plainly(void)
{
    int32_t first = -1;
    bool plain = history_partitions(process.history, &first, 1) > 0 && first == 0;
    line_set_popular(process.line, plain);
    publisher_set_plain(process.publisher, plain);
}

void process_assigned(const int32_t *partitions, size_t count)
{
    struct error err = {0};
    line_lock(process.line);
    int status = history_assign(process.history, partitions, count, &err);
    if (status == 0)
        scorers_learned(process.scorers, NULL);
    line_unlock(process.line);
    sim_check(status == 0, "assign: %s", err.text);
    publish_plainly();
    publisher_claim(process.publisher);
    refill_assigned(&process.refill);
}

void process_revoked(const int32_t *partitions, size_t count)
{
    line_lock(process.line);
    history_revoke(process.history, partitions, count);
    scorers_learned(process.scorers, NULL);
    line_unlock(process.line);
    publish_plainly();
}

void process_records_ready(void)
{
    line_wake(process.line);
}

static struct meta_place place(void)
{
    const struct state_meta *meta = history_meta(process.history);
    return (struct meta_place){meta->epoch, meta->swap};
}

static void redis_met(const struct publisher_group *group, struct meta_place *met, void *arg)
{
    struct state_others others = {group->epoch, group->alive, group->swap_least, group->taken_over};
    uint32_t swap = history_meta(process.history)->swap;
    (void)arg;
    if (history_join(process.history, &others))
        renewal_start(process.renewal, CAUSE_ARMS, false);
    if (history_meta(process.history)->swap != swap)
        checks_joined();
    *met = place();
}

static void redis_up(void *arg)
{
    (void)arg;
    sim_trace("publisher: up");
    line_wake(process.line);
}

static void redis_down(const struct error *why, void *arg)
{
    (void)why;
    (void)arg;
    line_wake(process.line);
}

static void redis_lost(void *arg)
{
    (void)arg;
    sim_trace("publisher: lost");
    refill_begin(&process.refill);
}

static bool redis_filled(void *arg)
{
    (void)arg;
    return refill_is_done(&process.refill);
}

static void retry_refused(uv_timer_t *timer)
{
    (void)timer;
    if (!process.leaving)
        renewal_start(process.renewal, CAUSE_EVENT, false);
}

static void redis_refused(const struct error *what, void *arg)
{
    (void)arg;
    sim_trace("publisher: %s", what->text);
    if (!uv_is_active((uv_handle_t *)&process.refused_timer))
        uv_timer_start(&process.refused_timer, retry_refused, REFUSED_RETRY_MS, 0);
}

static void redis_marked(int64_t mark_ms, void *arg)
{
    (void)arg;
    redis_mark_keep(process.history, mark_ms);
}

static void users_spilled(void *arg)
{
    (void)arg;
    renewal_start(process.renewal, CAUSE_EVENT, false);
}

static void sweep_due(uv_timer_t *timer)
{
    (void)timer;
    if (!renewal_running(process.sweep))
        renewal_start(process.sweep, CAUSE_SWEEP, true);
}

/* -- arms -------------------------------------------------------------------------------------- */

static struct scorers *make_scorers(uint32_t config)
{
    const struct lists_config *arms = lists_config(config);
    return scorers_new(process.history, &arms->assignment, arms->arms, arms->count);
}

static void keep_series(void)
{
    const struct lists_config *arms = lists_config(process.config);
    uint64_t keys[ARMS_MAX];
    for (uint32_t i = 0; i < arms->count; i++)
        keys[i] = arms->arms[i].series;
    history_keep_series(process.history, keys, arms->count);
}

static void note_config(void)
{
    char text[8];
    snprintf(text, sizeof text, "%u", process.config);
    history_set_note(process.history, NOTE, slice_of(text));
}

static void take_config(void)
{
    struct scorers *old = process.scorers;
    process.config = process.next_config;
    process.next_config = CONFIGS;
    process.scorers = make_scorers(process.config);
    swapper_restore(process.swapper, process.scorers, old);
    swapper_set_scorers(process.swapper, process.scorers);
    line_set_scorers(process.line, process.scorers, lists_config(process.config)->line);
    keep_series();
    scorers_free(old);
    swapper_look(process.swapper);
    sim_trace("arms: configuration %u", process.config);
}

static void apply(void *arg)
{
    (void)arg;
    if (process.next_config != CONFIGS)
        take_config();
    note_config();
}

static void reload(int arg)
{
    (void)arg;
    process.file_config = sim_below(CONFIGS);
    sim_trace("settings: configuration %u", process.file_config);
    if (!process.running || process.draining || process.leaving || sim_chance(20))
        return; /* it is found at the next start */
    process.next_config = process.file_config;
    swapper_change_arms(process.swapper, apply, NULL);
}

/* As experiment_begin does. */
static void begin_arms(void)
{
    struct slice noted = history_note(process.history, NOTE);
    char text[8];
    snprintf(text, sizeof text, "%u", process.config);
    if (noted.length == 0)
        note_config();
    else if (!slice_equal(noted, slice_of(text)))
        swapper_change_arms(process.swapper, apply, NULL);
}

/* -- starting ---------------------------------------------------------------------------------- */

static void open_history(void)
{
    struct error err = {0};
    struct history_settings settings = {
        .state = {.dir = "sim", .map_bytes = 64 << 20},
        .topic = SLICE("events"),
        .items_topic = SLICE("items"),
        .limits = stream.limits,
        .neighbours_max = stream.neighbours,
        .impressions_want_lists = stream.impressions_want_lists,
        .max_age_ms = stream.max_age_ms,
        .tombstone_ms = stream.tombstone_ms,
        .hot_bytes = sim_chance(50) ? 2000 : 1 << 20,
        .dead_pending_max = stream.dead_pending_max,
        .type_count = STREAM_TYPES,
        .types = stream_types,
        .type_counts = stream_type_counts,
    };
    int status = history_open(&process.history, loop_of(), &settings, scorer_release_cache, &err);
    sim_check(status == 0, "open: %s", err.text);
    status = history_bind(process.history, "simulated", stream.partitions, &err);
    sim_check(status == 0, "bind: %s", err.text);
}

static void open_publisher(void)
{
    static const struct publisher_hooks hooks = {.met = redis_met,
                                                 .up = redis_up,
                                                 .down = redis_down,
                                                 .lost = redis_lost,
                                                 .filled = redis_filled,
                                                 .refused = redis_refused,
                                                 .marked = redis_marked};
    struct error err = {0};
    struct publisher_settings settings = {.prefix = "rec:",
                                          .expiry_ms = 1000000,
                                          .changes_max = sim_chance(50) ? 100 : 0,
                                          .nonce = history_meta(process.history)->nonce,
                                          .log = "the simulated log",
                                          .mark_ms = redis_mark_kept(process.history),
                                          .place = place()};
    publisher_open(&process.publisher, loop_of(), &settings, &hooks, NULL, &err);
}

static void build_line(void)
{
    struct line_settings settings = {sim_chance(50) ? 1 : sim_between(1, 32),
                                     sim_chance(50) ? 1 : sim_between(1, 32),
                                     sim_chance(50) ? 10 : 1000};
    struct line_parts parts = {NULL, process.history, process.scorers, process.publisher, NULL};
    process.line = line_new(loop_of(), &settings, &parts, lists_config(process.config)->line,
                            users_spilled, NULL);
    struct renewal_settings owed = {sim_chance(50) ? 1000 : 20, 0, 0, sim_between(1, 64)};
    struct renewal_settings sweep = {0, 10000, 0, 16};
    process.renewal = renewal_new(loop_of(), &owed, process.line, process.history);
    process.sweep = renewal_new(loop_of(), &sweep, process.line, process.history);
    process.refill = (struct refill){process.history, process.line, process.renewal, {false}};
    struct swapper_parts swap = {process.line,      process.history, process.scorers,
                                 process.publisher, process.renewal, NULL};
    process.swapper = swapper_new(loop_of(), "sim", 2, &swap);
}

void process_start(void)
{
    uint32_t file_config = process.file_config;
    memset(&process, 0, sizeof process);
    process.file_config = process.config = file_config;
    process.next_config = CONFIGS;
    process.running = true;
    sim_trace("start: configuration %u", process.config);
    uv_timer_init(loop_of(), &process.deadline);
    uv_timer_init(loop_of(), &process.sweep_timer);
    uv_timer_init(loop_of(), &process.refused_timer);
    open_history();
    open_publisher();
    process.scorers = make_scorers(process.config);
    build_line();
    swapper_restore(process.swapper, process.scorers, NULL);
    if (!sim.calm && sim_chance(30))
        uv_timer_start(&process.sweep_timer, sweep_due, 10000, 10000);
    keep_series();
    swapper_look(process.swapper);
    begin_arms();
}

/* -- ending ------------------------------------------------------------------------------------ */

static void forget(void)
{
    uint32_t file_config = process.file_config;
    memset(&process, 0, sizeof process);
    process.file_config = file_config;
}

void process_crash(void)
{
    sim_trace("crash");
    kafka_crash();
    redis_crash();
    disk_crash();
    loop_drop();
    memory_drop();
    forget();
}

static void check_told(void)
{
    for (int i = 0; i < ASKED_MAX; i++)
        sim_check(!process.asked[i].used || process.asked[i].told, "who asked for %s is never told",
                  process.asked[i].what);
}

static void line_freed(void *arg)
{
    (void)arg;
    uv_close((uv_handle_t *)&process.deadline, NULL);
    scorers_free(process.scorers);
    history_close(process.history);
    process.ended = true;
    process.history = NULL;
}

static void part_closed(void *arg)
{
    (void)arg;
    if (--process.closing == 0)
        line_free(process.line, line_freed, NULL);
}

static void close_parts(void)
{
    settling_close(line_settling(process.line));
    uv_close((uv_handle_t *)&process.sweep_timer, NULL);
    uv_close((uv_handle_t *)&process.refused_timer, NULL);
    process.closing = 5;
    swapper_free(process.swapper, part_closed, NULL);
    renewal_free(process.renewal, part_closed, NULL);
    renewal_free(process.sweep, part_closed, NULL);
    publisher_close(process.publisher, part_closed, NULL);
    kafka_close();
    part_closed(NULL);
}

static void last_commit(const struct error *err, void *arg)
{
    (void)arg;
    sim_trace("last commit: %s", err != NULL ? err->text : "all is durable");
    if (err == NULL)
        checks_all_durable();
    close_parts();
}

static void at_rest(void *arg)
{
    (void)arg;
    settling_commit(line_settling(process.line), last_commit, NULL);
}

static void leave(void)
{
    if (process.leaving)
        return;
    process.leaving = true;
    line_stop(process.line, at_rest, NULL);
}

static void drained(bool ok, void *arg)
{
    (void)ok;
    (void)arg;
    leave();
}

static void drain_late(uv_timer_t *timer)
{
    (void)timer;
    leave();
}

/* SIGTERM; the second time there is no more waiting. */
void process_end(void)
{
    if (process.draining) {
        leave();
        return;
    }
    sim_trace("end: draining");
    process.draining = true;
    consumer_pause(NULL);
    line_stop_learning(process.line);
    if (!publisher_is_up(process.publisher)) {
        leave();
        return;
    }
    uv_timer_start(&process.deadline, drain_late, 5000, 0);
    line_when_sent(process.line, drained, NULL);
}

static void finish_end(void)
{
    check_told();
    sim_check(memory_blocks() == 0, "%zu blocks of memory are never given back", memory_blocks());
    sim_trace("ended");
    loop_drop();
    disk_crash();
    forget();
}

/* -- those who ask ----------------------------------------------------------------------------- */

static struct asked *ask(const char *what)
{
    for (int i = 0; i < ASKED_MAX; i++) {
        struct asked *at = &process.asked[i];
        if (at->used && !at->told)
            continue;
        *at = (struct asked){.used = true, .what = what};
        return at;
    }
    return NULL;
}

static void told(struct asked *asked)
{
    sim_check(asked->used && !asked->told, "who asked for %s is told twice", asked->what);
    asked->told = true;
}

static void sent(bool ok, void *arg)
{
    (void)ok;
    told(arg);
}

static void committed(const struct error *err, void *arg)
{
    (void)err;
    told(arg);
}

static void queued(void *arg)
{
    told(arg);
}

static void held(void *arg)
{
    told(arg);
    process.holding = true;
}

static void forced(const struct error *err, void *arg)
{
    (void)err;
    told(arg);
}

static void ask_something(int arg)
{
    (void)arg;
    struct asked *asked = ask("something");
    if (asked == NULL)
        return;
    switch (sim_below(6)) {
    case 0:
        asked->what = "lists to be sent";
        line_when_sent(process.line, sent, asked);
        break;
    case 1:
        asked->what = "a commit";
        settling_commit(line_settling(process.line), committed, asked);
        break;
    case 2:
        asked->what = "the line to stand still";
        line_hold(process.line, held, asked);
        break;
    case 3:
        asked->what = "a rollback";
        if (scorer_newest(0) == 0)
            asked->used = false;
        else
            swapper_force(process.swapper, 0, sim_between(1, (uint32_t)scorer_newest(0)), forced,
                          asked);
        break;
    case 4:
        asked->what = "publish --all";
        renewal_start(process.renewal, CAUSE_FORCED, true);
        renewal_when_queued(process.renewal, queued, asked);
        break;
    default:
        asked->used = false;
        renewal_start(process.renewal, CAUSE_EVENT, false);
    }
}

static void release(int arg)
{
    (void)arg;
    process.holding = false;
    line_release(process.line);
}

static void generation(int arg)
{
    (void)arg;
    scorer_add_generation();
    if (process.running && !process.leaving)
        swapper_look(process.swapper);
}

static void crash(int arg)
{
    (void)arg;
    sim.faults++;
    process_crash();
    if (sim.mood.redis_copy > 0 && sim_chance(60))
        redis_restart(); /* they were on one machine */
}

static void end(int arg)
{
    (void)arg;
    sim.faults++;
    process_end();
}

static void start(int arg)
{
    (void)arg;
    process_start();
}

void process_choices(struct choices *choices)
{
    if (!process.running) {
        choices_add(choices, sim.mood.loop, "start", start, 0);
        return;
    }
    choices_add(choices, process.holding ? sim.mood.loop : 0, "release", release, 0);
    if (sim.calm)
        return;
    bool may_fail = sim.faults < sim.mood.faults_max;
    choices_add(choices, may_fail ? sim.mood.crash : 0, "crash", crash, 0);
    if (process.leaving)
        return;
    choices_add(choices, may_fail ? sim.mood.end : 0, "end", end, 0);
    choices_add(choices, sim.mood.reload, "reload", reload, 0);
    choices_add(choices, sim.mood.generation, "generation", generation, 0);
    if (!process.draining)
        choices_add(choices, sim.mood.ask, "ask", ask_something, 0);
}

/* -- looking ----------------------------------------------------------------------------------- */

void process_check(void)
{
    if (process.running && process.history != NULL)
        checks_live(history_meta(process.history), process.config);
    if (process.ended && loop_is_empty())
        finish_end();
}

/* NULL: at rest. */
const char *process_why_not(void)
{
    if (!process.running || process.draining || process.holding)
        return "the process is not up";
    if (line_queued(process.line) > 0)
        return "users wait for lists";
    if (renewal_running(process.renewal) || renewal_running(process.sweep))
        return "a renewal is under way";
    if (uv_is_active((const uv_handle_t *)&process.refused_timer))
        return "Redis is to be asked again for what it refused";
    if (swapper_busy(process.swapper))
        return "a swap is under way";
    if (history_is_dirty(process.history))
        return "something is not durable";
    if (!publisher_is_up(process.publisher) || !redis_is_quiet())
        return "Redis is not quiet";
    if (!kafka_is_drained())
        return "Kafka is not drained";
    return loop_is_idle() ? NULL : "the loop has something to do";
}

bool process_is_at_rest(void)
{
    return process_why_not() == NULL;
}

void process_settle_down(void)
{
    if (process.running && !process.leaving)
        uv_timer_stop(&process.sweep_timer);
}

/* Nobody waits any more, at rest. */
void process_check_rest(void)
{
    struct user *users[STREAM_USERS_MAX];
    check_told();
    size_t count = history_hot_users(process.history, users, STREAM_USERS_MAX);
    for (size_t i = 0; i < count; i++)
        sim_check(users[i]->pins == 0 && !users[i]->queued, "%.*s stays pinned %u times",
                  SLICE_ARG(users[i]->id), users[i]->pins);
}
