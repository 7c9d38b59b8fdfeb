#include "daemon/daemon.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/kernel.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/api.h"
#include "daemon/service.h"
#include "model/blas.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KAFKA_WAIT_MS 30000 /* for a first answer, at start */
#define LEAVE_MS 5000       /* for leaving the group and the last closings */

static void leave(struct daemon *daemon);

struct meta_place daemon_place(const struct daemon *daemon)
{
    const struct state_meta *meta = history_meta(daemon->history);
    return (struct meta_place){meta->epoch, meta->swap};
}

/* -- what the stations say --------------------------------------------------------------------- */

static void fail(struct daemon *daemon, const struct error *err)
{
    if (daemon->failure.code == 0)
        daemon->failure = *err;
    log_error("%s", err->text);
    leave(daemon);
}

static int64_t start_offset(bool items, int32_t partition, void *arg)
{
    struct daemon *daemon = arg;
    return history_next_offset(daemon->history, items, partition);
}

/* A worker may be reading just now. */
static int assign(struct daemon *daemon, const int32_t *partitions, size_t count, struct error *err)
{
    line_lock(daemon->line);
    FAILPOINT("assign.load");
    int status = history_assign(daemon->history, partitions, count, err);
    FAILPOINT("assign.loaded");
    if (status == 0)
        scorers_learned(daemon->scorers, NULL);
    line_unlock(daemon->line);
    return status;
}

/* The popular list, and what says whose it is, are of the instance that has partition 0. */
static void publish_plainly(struct daemon *daemon)
{
    int32_t first = -1;
    bool plain = history_partitions(daemon->history, &first, 1) > 0 && first == 0;
    line_set_popular(daemon->line, plain);
    publisher_set_plain(daemon->publisher, plain);
}

static void assigned(const int32_t *partitions, size_t count, void *arg)
{
    struct daemon *daemon = arg;
    struct error err = {0};
    log_info("consumer: %zu partitions assigned", count);
    if (assign(daemon, partitions, count, &err) != 0) {
        error_wrap(&err, "history");
        fail(daemon, &err);
        return;
    }
    watch_forget_baselines(daemon->watch);
    publish_plainly(daemon);
    publisher_claim(daemon->publisher);
    refill_assigned(&daemon->refill);
}

static void revoked(const int32_t *partitions, size_t count, void *arg)
{
    struct daemon *daemon = arg;
    log_info("consumer: %zu partitions revoked", count);
    line_lock(daemon->line);
    FAILPOINT("assign.revoke");
    history_revoke(daemon->history, partitions, count);
    FAILPOINT("assign.revoked");
    scorers_learned(daemon->scorers, NULL);
    line_unlock(daemon->line);
    watch_forget_baselines(daemon->watch);
    publish_plainly(daemon);
}

static void records_ready(void *arg)
{
    struct daemon *daemon = arg;
    line_wake(daemon->line);
}

static void kafka_health(const struct error *err, void *arg)
{
    struct daemon *daemon = arg;
    bool up = err == NULL;
    if (up && !daemon->kafka_up)
        log_info("kafka: up");
    if (!up && log_once_a_minute(&daemon->kafka_told_ms))
        log_warn("kafka: %s", err->text);
    snprintf(daemon->kafka_why, sizeof daemon->kafka_why, "%s", up ? "" : err->text);
    daemon->kafka_up = up;
}

static void consumer_failed(const struct error *err, void *arg)
{
    fail(arg, err);
}

static void users_spilled(void *arg)
{
    struct daemon *daemon = arg;
    renewal_start(daemon->renewal, CAUSE_EVENT, false);
}

static void generation_written(void *arg)
{
    struct daemon *daemon = arg;
    swapper_look(daemon->swapper);
}

static void sweep_due(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    if (!renewal_running(daemon->sweep))
        renewal_start(daemon->sweep, CAUSE_SWEEP, true);
}

/* -- taking it apart --------------------------------------------------------------------------- */

/* The line goes after all that may call it, and the deadline last of all. */
static void line_freed(void *arg)
{
    struct daemon *daemon = arg;
    uv_close((uv_handle_t *)&daemon->deadline, NULL);
}

static void part_closed(void *arg)
{
    struct daemon *daemon = arg;
    if (--daemon->closing > 0)
        return;
    if (daemon->line != NULL)
        line_free(daemon->line, line_freed, daemon);
    else
        line_freed(daemon);
}

static void abandon(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    log_error("could not stop by the deadline; what is left is in the log and in the state");
    _exit(daemon->failure.code ? -daemon->failure.code : -ERR_DOWN);
}

/* All is durable that will be: close whatever is open. What was never opened is NULL. */
static void close_parts(struct daemon *daemon)
{
    if (daemon->line != NULL)
        settling_close(line_settling(daemon->line));
    daemon->leaving = true;
    uv_timer_start(&daemon->deadline, abandon, LEAVE_MS, 0);
    uv_close((uv_handle_t *)&daemon->sweep_timer, NULL);
    uv_close((uv_handle_t *)&daemon->refused_timer, NULL);
    daemon->closing = 12; /* the eleven below, and one for having gone through them */
    pulse_close(&daemon->pulse);
    if (daemon->swapper != NULL)
        swapper_free(daemon->swapper, part_closed, daemon);
    if (daemon->control != NULL)
        control_close(daemon->control, part_closed, daemon);
    if (daemon->http != NULL)
        http_close(daemon->http, part_closed, daemon);
    if (daemon->trainer != NULL)
        trainer_free(daemon->trainer, part_closed, daemon);
    if (daemon->follower != NULL)
        follower_free(daemon->follower, part_closed, daemon);
    if (daemon->renewal != NULL)
        renewal_free(daemon->renewal, part_closed, daemon);
    if (daemon->sweep != NULL)
        renewal_free(daemon->sweep, part_closed, daemon);
    if (daemon->recorder != NULL)
        recorder_free(daemon->recorder, part_closed, daemon);
    if (daemon->experiment != NULL)
        experiment_free(daemon->experiment, part_closed, daemon);
    if (daemon->publisher != NULL)
        publisher_close(daemon->publisher, part_closed, daemon);
    if (daemon->consumer != NULL)
        consumer_close(daemon->consumer, LEAVE_MS / 2, part_closed, daemon);
    daemon->closing -=
        (daemon->swapper == NULL) + (daemon->control == NULL) + (daemon->trainer == NULL) +
        (daemon->renewal == NULL) + (daemon->sweep == NULL) + (daemon->experiment == NULL) +
        (daemon->publisher == NULL) + (daemon->consumer == NULL) + (daemon->http == NULL) +
        (daemon->recorder == NULL) + (daemon->follower == NULL);
    part_closed(daemon);
}

static void last_commit(const struct error *err, void *arg)
{
    struct daemon *daemon = arg;
    if (err != NULL)
        log_error("state: %s; the log replays what was not written", err->text);
    if (err != NULL && daemon->failure.code == 0)
        daemon->failure = *err;
    close_parts(daemon);
}

static void at_rest(void *arg)
{
    struct daemon *daemon = arg;
    settling_commit(line_settling(daemon->line), last_commit, daemon);
}

/* No more lists: wait for the worker, make all durable, close. */
static void leave(struct daemon *daemon)
{
    if (daemon->leaving)
        return;
    daemon->leaving = true;
    uv_timer_start(&daemon->deadline, abandon, LEAVE_MS, 0);
    line_stop(daemon->line, at_rest, daemon);
}

static void drained(bool ok, void *arg)
{
    (void)ok; /* lists that could not be sent stay owed */
    leave(arg);
}

static void drain_late(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    log_warn("lists are still waiting at the deadline; they stay owed");
    leave(daemon);
}

static void ask_to_end(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->data;
    if (daemon->leaving)
        return;
    if (daemon->draining) {
        leave(daemon);
        return;
    }
    log_info("signal %d: draining", number);
    service_tell("STOPPING=1");
    daemon->draining = true;
    consumer_pause(daemon->consumer);
    line_stop_learning(daemon->line);
    if (!line_publishes(daemon->line)) {
        leave(daemon);
        return;
    }
    uv_timer_start(&daemon->deadline, drain_late, (uint64_t)daemon->settings->daemon.drain_ms, 0);
    line_when_sent(daemon->line, drained, daemon);
}

static void log_complaints(const struct buffer *complaints)
{
    for (size_t at = 0; at < complaints->length;) {
        const char *line = complaints->data + at,
                   *end = memchr(line, '\n', complaints->length - at);
        size_t length = end != NULL ? (size_t)(end - line) : complaints->length - at;
        log_error("%.*s", (int)length, line);
        at += length + 1;
    }
}

static void ask_to_reload(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->data;
    struct buffer complaints = {0};
    struct error err = {0};
    (void)number;
    if (!daemon->draining && !daemon->leaving && daemon_reload(daemon, &complaints, &err) != 0) {
        log_complaints(&complaints);
        log_error("%s; going on as before", err.text);
    }
    buffer_deinit(&complaints);
}

/* -- putting it together ----------------------------------------------------------------------- */

static int open_kafka(struct daemon *daemon, struct error *err)
{
    static const struct consumer_hooks hooks = {
        .start_offset = start_offset,
        .assigned = assigned,
        .revoked = revoked,
        .ready = records_ready,
        .health = kafka_health,
        .failed = consumer_failed,
    };
    struct consumer_settings settings;
    settings_consumer(daemon->settings, &settings);
    if (consumer_open(&daemon->consumer, &daemon->loop, &settings, &hooks, daemon, KAFKA_WAIT_MS,
                      err) != 0)
        return error_wrap(err, "kafka");
    daemon->kafka_up = true;
    return history_bind(daemon->history, consumer_cluster_id(daemon->consumer),
                        consumer_partition_count(daemon->consumer), err);
}

static void build_line(struct daemon *daemon)
{
    const struct settings *s = daemon->settings;
    struct line_settings line = {(size_t)s->consumer.batch_events, (size_t)s->lists.batch_users,
                                 s->state.commit_ms};
    struct line_parts parts = {daemon->consumer, daemon->history, daemon->scorers,
                               daemon->publisher, daemon->watch};
    struct line_arm arms[ARMS_MAX];
    daemon_line_arms(s, arms);
    daemon->line = line_new(&daemon->loop, &line, &parts, arms, users_spilled, daemon);
}

static void build_keepers(struct daemon *daemon)
{
    const struct settings *s = daemon->settings;
    struct renewal_settings owed = {(double)s->lists.pace, 0, s->lists.active_ms, 64};
    struct renewal_settings sweep = {0, s->lists.sweep_ms, s->lists.active_ms, 16};
    daemon->renewal = renewal_new(&daemon->loop, &owed, daemon->line, daemon->history);
    daemon->sweep = renewal_new(&daemon->loop, &sweep, daemon->line, daemon->history);
    daemon->refill = (struct refill){
        .history = daemon->history, .line = daemon->line, .renewal = daemon->renewal};
    struct swapper_parts parts = {daemon->line,      daemon->history, daemon->scorers,
                                  daemon->publisher, daemon->renewal, daemon->watch};
    daemon->swapper = swapper_new(&daemon->loop, s->state.dir, (size_t)s->train.keep, &parts);
    struct trainer_settings trainer = {daemon->config, s->train.every_ms, s->train.timeout_ms,
                                       (uint64_t)s->train.min_events,
                                       (uint64_t)s->train.first_events};
    daemon->trainer = trainer_new(&daemon->loop, &trainer, daemon->line, daemon->history,
                                  generation_written, daemon);
    if (s->train.follow[0] != '\0')
        daemon->follower = follower_new(&daemon->loop, s->train.follow, s->state.dir,
                                        daemon->history, daemon->swapper);
    daemon_tell_trainer(daemon);
    struct recorder_parts recorded = {daemon->line, daemon->consumer, daemon->publisher,
                                      daemon->history, daemon->watch};
    daemon->recorder = recorder_new(&daemon->loop, &recorded);
}

static void init_handles(struct daemon *daemon)
{
    uv_timer_init(&daemon->loop, &daemon->deadline);
    uv_timer_init(&daemon->loop, &daemon->sweep_timer);
    uv_timer_init(&daemon->loop, &daemon->refused_timer);
    pulse_init(&daemon->pulse, &daemon->loop);
    uv_signal_init(&daemon->loop, &daemon->sigterm);
    uv_signal_init(&daemon->loop, &daemon->sigint);
    uv_signal_init(&daemon->loop, &daemon->sighup);
    daemon->deadline.data = daemon->sweep_timer.data = daemon->refused_timer.data = daemon;
    daemon->sigterm.data = daemon->sigint.data = daemon->sighup.data = daemon;
}

static void close_signals(struct daemon *daemon)
{
    uv_close((uv_handle_t *)&daemon->sigterm, NULL);
    uv_close((uv_handle_t *)&daemon->sigint, NULL);
    uv_close((uv_handle_t *)&daemon->sighup, NULL);
}

static void watch(struct daemon *daemon)
{
    signal(SIGPIPE, SIG_IGN);
    uv_signal_start(&daemon->sigterm, ask_to_end, SIGTERM);
    uv_signal_start(&daemon->sigint, ask_to_end, SIGINT);
    uv_signal_start(&daemon->sighup, ask_to_reload, SIGHUP);
    uv_unref((uv_handle_t *)&daemon->sigterm); /* they watch until all else is closed */
    uv_unref((uv_handle_t *)&daemon->sigint);
    uv_unref((uv_handle_t *)&daemon->sighup);

    pulse_start(&daemon->pulse);
    uint64_t sweep_ms = (uint64_t)daemon->settings->lists.sweep_ms;
    if (sweep_ms > 0)
        uv_timer_start(&daemon->sweep_timer, sweep_due, sweep_ms, sweep_ms);
}

static int open_http(struct daemon *daemon, struct error *err)
{
    struct http_settings settings = {.listen = daemon->settings->http.listen,
                                     .token = daemon->settings->http.token};
    if (settings.listen[0] == '\0')
        return 0;
    if (http_open(&daemon->http, &daemon->loop, &settings, api_handle, daemon, err) != 0)
        return error_wrap(err, "http.listen");
    log_info("http: on %s", http_listens(daemon->http));
    return 0;
}

/* Everything up to the first turn of the loop. */
static int open_all(struct daemon *daemon, struct error *err)
{
    struct history_settings history;
    settings_history(daemon->settings, &history);
    if (history_open(&daemon->history, &daemon->loop, &history, scorer_release_cache, err) != 0)
        return error_wrap(err, "state");
    if (open_kafka(daemon, err) != 0 || daemon_open_redis(daemon, err) != 0)
        return err->code;
    daemon_build_arms(daemon);
    build_line(daemon);
    build_keepers(daemon);
    swapper_restore(daemon->swapper, daemon->scorers, NULL);
    if (control_open(&daemon->control, &daemon->loop, daemon->settings->state.dir, daemon_request,
                     daemon, err) != 0 ||
        open_http(daemon, err) != 0)
        return err->code;
    watch(daemon);
    return consumer_start(daemon->consumer, err);
}

int daemon_run(const struct settings *settings, const char *config, struct error *err)
{
    struct daemon daemon = {.config = config,
                            .settings = settings,
                            .began_ns = clock_monotonic_ns(),
                            .began_ms = clock_wall_ms()};
    mem_give_back();
    blas_init();
    uv_loop_init(&daemon.loop);
    init_handles(&daemon);
    if (open_all(&daemon, &daemon.failure) == 0) {
        log_info("running; topic %s, state %s; numbers by %s and OpenBLAS's %s",
                 settings->consumer.topic, settings->state.dir, kernel_names[kernel_chosen()],
                 blas_core_name());
        service_tell("READY=1");
        swapper_look(daemon.swapper);
        experiment_begin(daemon.experiment);
    } else {
        close_parts(&daemon);
    }
    uv_run(&daemon.loop, UV_RUN_DEFAULT);

    scorers_free(daemon.scorers);
    watch_free(daemon.watch);
    settings_free(daemon.reloaded);
    settings_free(daemon.next);
    ids_deinit(&daemon.arm_names);
    history_close(daemon.history);
    close_signals(&daemon);
    uv_run(&daemon.loop, UV_RUN_DEFAULT); /* the state's own handles, too */
    uv_loop_close(&daemon.loop);
    *err = daemon.failure;
    if (err->code == 0)
        log_info("stopped");
    return err->code;
}
