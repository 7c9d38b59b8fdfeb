#include "daemon/trainer.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 250        /* how often the schedule is looked at */
#define RETRY_MS 30000     /* after a run that failed */
#define KILL_AFTER_MS 2000 /* between SIGTERM and SIGKILL at the end */

struct schedule { /* of a series */
    struct trainer_series of;
    bool began;  /* a run began since the daemon did */
    bool failed; /* the last run did: the next is due at retry_ns */
    int64_t began_ns, retry_ns;
    uint64_t applied_at_begin;
};

struct trainer {
    uv_loop_t *loop;
    struct trainer_settings settings;
    char *config; /* owned: arguments may not be const */
    struct line *line;
    struct history *history;
    void (*written)(void *arg);
    void *arg;
    struct trainer_figures figures;
    struct schedule schedules[ARMS_MAX]; /* [schedule_count] */
    size_t schedule_count;
    uint64_t training; /* key of the series under way */
    uv_timer_t timer;
    uv_process_t process;
    bool process_open;                /* the handle must be closed before we are gone */
    bool committing, ending, overdue; /* overdue: SIGKILL is on its way to the run */
    int64_t born_ns, began_ns;
    int handles_open;
    void (*freed)(void *arg);
    void *freed_arg;
};

const struct trainer_figures *trainer_figures(const struct trainer *trainer)
{
    return &trainer->figures;
}

static bool has_generation(const struct trainer *trainer, uint64_t key)
{
    const struct state_series *series = history_series(trainer->history, key);
    return series != NULL && series->generation != 0;
}

static bool is_due(const struct trainer *trainer, const struct schedule *schedule)
{
    int64_t now_ns = clock_monotonic_ns();
    if (now_ns < schedule->retry_ns)
        return false;
    if (schedule->failed)
        return true;
    uint64_t applied = history_counter(trainer->history, COUNTER_APPLIED);
    if (!has_generation(trainer, schedule->of.key) && !schedule->began)
        return applied >= trainer->settings.first_events;
    return now_ns - schedule->began_ns >= trainer->settings.every_ms * 1000000 &&
           applied - schedule->applied_at_begin >= trainer->settings.min_events;
}

static struct schedule *schedule_of(struct trainer *trainer, uint64_t key)
{
    for (size_t i = 0; i < trainer->schedule_count; i++)
        if (trainer->schedules[i].of.key == key)
            return &trainer->schedules[i];
    return NULL;
}

static bool any_failed(const struct trainer *trainer)
{
    bool any = false;
    for (size_t i = 0; i < trainer->schedule_count; i++)
        any |= trainer->schedules[i].failed;
    return any;
}

void trainer_set_series(struct trainer *trainer, const struct trainer_series *series, size_t count)
{
    struct schedule schedules[ARMS_MAX];
    for (size_t i = 0; i < count; i++) {
        const struct schedule *known = schedule_of(trainer, series[i].key);
        schedules[i] = known != NULL ? *known : (struct schedule){.began_ns = trainer->born_ns};
        schedules[i].of = series[i];
    }
    memcpy(trainer->schedules, schedules, count * sizeof *schedules);
    trainer->schedule_count = count;
    trainer->figures.failing = any_failed(trainer);
}

static void handle_closed(uv_handle_t *handle)
{
    struct trainer *trainer = handle->data;
    if (handle == (uv_handle_t *)&trainer->process)
        trainer->process_open = false;
    if (--trainer->handles_open > 0)
        return;
    void (*freed)(void *arg) = trainer->freed;
    void *arg = trainer->freed_arg;
    free(trainer->config);
    free(trainer);
    freed(arg);
}

static void failed(struct trainer *trainer, struct schedule *schedule, const char *why)
{
    trainer->figures.failures++;
    snprintf(trainer->figures.why, sizeof trainer->figures.why, "%s", why);
    log_error("training failed (%s); the live generation stays", why);
    if (schedule == NULL) /* its arms are gone */
        return;
    schedule->failed = trainer->figures.failing = true;
    schedule->retry_ns = clock_monotonic_ns() + (int64_t)RETRY_MS * 1000000;
}

static void say_why(const struct trainer *trainer, int status, int signal_number, char *why,
                    size_t bytes)
{
    if (trainer->overdue)
        snprintf(why, bytes, "it took longer than train.timeout");
    else if (signal_number != 0)
        snprintf(why, bytes, "signal %d", signal_number);
    else
        snprintf(why, bytes, "status %d", status);
}

static void ended(uv_process_t *process, int64_t status, int signal_number)
{
    struct trainer *trainer = process->data;
    FAILPOINT("train.ended");
    trainer->figures.running = false;
    trainer->figures.last_s = (double)(clock_monotonic_ns() - trainer->began_ns) * 1e-9;
    uv_close((uv_handle_t *)process, handle_closed);
    if (trainer->ending) {
        uv_close((uv_handle_t *)&trainer->timer, handle_closed);
        return;
    }
    struct schedule *schedule = schedule_of(trainer, trainer->training);
    bool ok = status == 0 && signal_number == 0;
    if (schedule != NULL)
        schedule->failed = !ok;
    trainer->figures.failing = any_failed(trainer);
    if (ok) {
        trainer->written(trainer->arg);
        return;
    }
    char why[64];
    say_why(trainer, (int)status, signal_number, why, sizeof why);
    failed(trainer, schedule, why);
}

static void begin_run(struct trainer *trainer, struct schedule *schedule)
{
    trainer->training = schedule->of.key;
    trainer->began_ns = clock_monotonic_ns();
    trainer->process.data = trainer;
    trainer->process_open = true;
    trainer->overdue = false;
    trainer->handles_open++;
    trainer->figures.runs++;
    schedule->began = true;
    schedule->began_ns = trainer->began_ns;
    schedule->applied_at_begin = history_counter(trainer->history, COUNTER_APPLIED);
}

static void spawn(struct trainer *trainer, struct schedule *schedule)
{
    char freshet[] = "freshet", train[] = "train", spawned[] = "--spawned", config[] = "--config";
    char arm[] = "--arm", series[] = "--series", key[17];
    char *name = mem_strndup(schedule->of.arm.data, schedule->of.arm.length);
    char *arguments[] = {freshet, train, spawned, config, trainer->config,
                         series,  key,   arm,     name,   NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = 2}};
    uv_process_options_t options = {
        .file = "/proc/self/exe",
        .args = arguments,
        .exit_cb = ended,
        .stdio = stdio,
        .stdio_count = 3,
    };
    snprintf(key, sizeof key, "%016" PRIx64, schedule->of.key);
    begin_run(trainer, schedule);
    int status = FAILPOINT_FAILS("train.spawn")
                     ? UV_EAGAIN
                     : uv_spawn(trainer->loop, &trainer->process, &options);
    free(name);
    trainer->figures.running = status == 0;
    if (status == 0)
        return;
    failed(trainer, schedule, uv_strerror(status));
    uv_close((uv_handle_t *)&trainer->process, handle_closed);
}

/* The series whose run is due for longest; NULL: none. */
static struct schedule *find_due(struct trainer *trainer)
{
    struct schedule *due = NULL;
    for (size_t i = 0; i < trainer->schedule_count; i++) {
        struct schedule *schedule = &trainer->schedules[i];
        if (is_due(trainer, schedule) && (due == NULL || schedule->began_ns < due->began_ns))
            due = schedule;
    }
    return due;
}

static void committed(const struct error *err, void *arg)
{
    struct trainer *trainer = arg;
    struct schedule *due = find_due(trainer);
    trainer->committing = false;
    if (err == NULL && due != NULL && !trainer->ending && !trainer->process_open)
        spawn(trainer, due);
}

/* It may hang: only what can not be refused helps then. */
static void end_overdue(struct trainer *trainer)
{
    int64_t ran_ns = clock_monotonic_ns() - trainer->began_ns;
    if (!trainer->figures.running || trainer->overdue ||
        ran_ns < trainer->settings.timeout_ms * 1000000)
        return;
    trainer->overdue = true;
    uv_process_kill(&trainer->process, SIGKILL);
}

static void look(uv_timer_t *timer)
{
    struct trainer *trainer = timer->data;
    end_overdue(trainer);
    bool busy = trainer->process_open || trainer->committing || trainer->ending;
    if (busy || find_due(trainer) == NULL)
        return;
    trainer->committing = true; /* the snapshot is read from the state: bring it up to date */
    settling_commit(line_settling(trainer->line), committed, trainer);
}

struct trainer *trainer_new(uv_loop_t *loop, const struct trainer_settings *settings,
                            struct line *line, struct history *history, void (*written)(void *arg),
                            void *arg)
{
    struct trainer *trainer = mem_zalloc(sizeof *trainer);
    *trainer = (struct trainer){.loop = loop,
                                .settings = *settings,
                                .line = line,
                                .history = history,
                                .written = written,
                                .arg = arg,
                                .handles_open = 1,
                                .born_ns = clock_monotonic_ns()};
    trainer->config = mem_strdup(settings->config);
    uv_timer_init(loop, &trainer->timer);
    trainer->timer.data = trainer;
    uv_timer_start(&trainer->timer, look, LOOK_MS, LOOK_MS);
    return trainer;
}

static void kill_late(uv_timer_t *timer)
{
    struct trainer *trainer = timer->data;
    if (trainer->figures.running)
        uv_process_kill(&trainer->process, SIGKILL);
}

void trainer_free(struct trainer *trainer, void (*freed)(void *arg), void *arg)
{
    trainer->ending = true;
    trainer->freed = freed;
    trainer->freed_arg = arg;
    uv_timer_stop(&trainer->timer);
    if (!trainer->figures.running) {
        uv_close((uv_handle_t *)&trainer->timer, handle_closed);
        return;
    }
    uv_process_kill(&trainer->process, SIGTERM);
    uv_timer_start(&trainer->timer, kill_late, KILL_AFTER_MS, 0);
}
