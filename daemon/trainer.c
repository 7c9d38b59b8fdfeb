#include "daemon/trainer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 250        /* how often the schedule is looked at */
#define RETRY_MS 30000     /* after a run that failed */
#define KILL_AFTER_MS 2000 /* between SIGTERM and SIGKILL at the end */

struct trainer {
    uv_loop_t *loop;
    struct trainer_settings settings;
    char *config; /* owned: arguments may not be const */
    struct line *line;
    struct history *history;
    void (*written)(void *arg);
    void *arg;
    struct trainer_figures figures;
    uv_timer_t timer;
    uv_process_t process;
    bool process_open; /* the handle must be closed before we are gone */
    bool committing, ending;
    bool began;  /* a run began since the daemon did */
    bool failed; /* the last run did: the next is due at retry_ns */
    int64_t began_ns, retry_ns;
    uint64_t applied_at_begin;
    int handles_open;
    void (*freed)(void *arg);
    void *freed_arg;
};

const struct trainer_figures *trainer_figures(const struct trainer *trainer)
{
    return &trainer->figures;
}

static bool is_due(const struct trainer *trainer)
{
    const struct trainer_figures *figures = &trainer->figures;
    int64_t now_ns = clock_monotonic_ns();
    if (figures->running || trainer->committing || trainer->ending || now_ns < trainer->retry_ns)
        return false;
    if (trainer->failed)
        return true;
    uint64_t applied = history_counter(trainer->history, COUNTER_APPLIED);
    if (history_series(trainer->history, 0)->generation == 0 && !trainer->began)
        return applied >= trainer->settings.first_events;
    return now_ns - trainer->began_ns >= trainer->settings.every_ms * 1000000 &&
           applied - trainer->applied_at_begin >= trainer->settings.min_events;
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

static void ended(uv_process_t *process, int64_t status, int signal_number)
{
    struct trainer *trainer = process->data;
    trainer->figures.running = false;
    trainer->figures.last_s = (double)(clock_monotonic_ns() - trainer->began_ns) * 1e-9;
    uv_close((uv_handle_t *)process, handle_closed);
    if (trainer->ending) {
        uv_close((uv_handle_t *)&trainer->timer, handle_closed);
        return;
    }
    if (status == 0 && signal_number == 0) {
        trainer->failed = false;
        trainer->written(trainer->arg);
        return;
    }
    trainer->failed = true;
    trainer->figures.failures++;
    trainer->retry_ns = clock_monotonic_ns() + (int64_t)RETRY_MS * 1000000;
    log_error("training failed (%s %d); the live generation stays",
              signal_number ? "signal" : "status", signal_number ? signal_number : (int)status);
}

static void spawn(struct trainer *trainer)
{
    char freshet[] = "freshet", train[] = "train", spawned[] = "--spawned", config[] = "--config";
    char *arguments[] = {freshet, train, spawned, config, trainer->config, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = 2}};
    uv_process_options_t options = {
        .file = "/proc/self/exe",
        .args = arguments,
        .exit_cb = ended,
        .stdio = stdio,
        .stdio_count = 3,
    };
    trainer->began = true;
    trainer->began_ns = clock_monotonic_ns();
    trainer->applied_at_begin = history_counter(trainer->history, COUNTER_APPLIED);
    trainer->process.data = trainer;
    trainer->process_open = true;
    trainer->handles_open++;
    trainer->figures.runs++;
    int status = uv_spawn(trainer->loop, &trainer->process, &options);
    trainer->figures.running = status == 0;
    if (status == 0)
        return;
    log_error("training could not start: %s", uv_strerror(status));
    trainer->failed = true;
    trainer->figures.failures++;
    trainer->retry_ns = clock_monotonic_ns() + (int64_t)RETRY_MS * 1000000;
    uv_close((uv_handle_t *)&trainer->process, handle_closed);
}

static void committed(const struct error *err, void *arg)
{
    struct trainer *trainer = arg;
    trainer->committing = false;
    if (err == NULL && !trainer->ending && !trainer->process_open)
        spawn(trainer);
}

static void look(uv_timer_t *timer)
{
    struct trainer *trainer = timer->data;
    if (!is_due(trainer) || trainer->process_open)
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
                                .began_ns = clock_monotonic_ns()};
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
