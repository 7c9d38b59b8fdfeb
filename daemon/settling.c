#include "daemon/settling.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

struct waiter {
    struct waiter *next;
    settling_cb committed;
    void *arg;
};

struct settling {
    struct consumer *consumer;
    struct history *history;
    void (*ticked)(void *arg);
    void *arg;
    uv_timer_t timer;
    bool running, closed;
    int64_t began_ns;          /* the commit under way did */
    struct error failure;      /* of the last commit; code 0: none */
    struct waiter *now, *next; /* for the commit under way, for the one after it */
    struct settling_figures figures;
    bool told; /* the log says that there is trouble */
    int64_t told_ms;
    void (*freed)(void *arg);
    void *freed_arg;
};

static void start(struct settling *settling);
static void close_timer(struct settling *settling);

static struct error closed_error(void)
{
    struct error err = {0};
    error_set(&err, ERR_DOWN, "the daemon is stopping");
    return err;
}

/* In the order in which they asked. */
static void tell(struct waiter **waiters, const struct error *err)
{
    while (*waiters != NULL) {
        struct waiter *waiter = *waiters;
        *waiters = waiter->next;
        waiter->committed(err, waiter->arg);
        free(waiter);
    }
}

static void settle(struct settling *settling, const int32_t *partitions,
                   const int64_t *next_offsets, size_t count)
{
    struct settled_offset *offsets = mem_array(NULL, count, sizeof *offsets);
    for (size_t i = 0; i < count; i++)
        offsets[i] = (struct settled_offset){partitions[i], next_offsets[i]};
    consumer_settle(settling->consumer, offsets, count);
    free(offsets);
}

/* Once a minute, and when it is over. */
static void tell_log(struct settling *settling)
{
    const char *trouble = settling_trouble(settling);
    if (trouble != NULL && log_once_a_minute(&settling->told_ms)) {
        bool damaged = settling->failure.code == ERR_DATA;
        log_error("state: %s; %s", trouble,
                  damaged ? "nothing more is learned"
                          : "learning goes on in memory until state.hot is full");
        settling->told = true;
    } else if (trouble == NULL && settling->told) {
        log_info("state: written again");
        settling->told = false;
        settling->told_ms = 0;
    }
}

static void committed(const struct error *err, const int32_t *partitions,
                      const int64_t *next_offsets, size_t count, void *arg)
{
    struct settling *settling = arg;
    settling->running = false;
    settling->failure = err != NULL ? *err : (struct error){0};
    if (settling->freed != NULL) {
        close_timer(settling);
        return;
    }
    if (err == NULL) {
        settling->figures.commits++;
        FAILPOINT("commit.settle");
        settle(settling, partitions, next_offsets, count);
        FAILPOINT("commit.settled");
    } else {
        settling->figures.failures++;
    }
    tell_log(settling);
    tell(&settling->now, err);
    if (settling->next != NULL && err == NULL && !settling->closed)
        start(settling);
    settling->ticked(settling->arg);
}

static void start(struct settling *settling)
{
    if (settling->running || !history_commit(settling->history, committed, settling))
        return; /* one is under way: `committed` looks again */
    settling->running = true;
    settling->began_ns = clock_monotonic_ns();
    settling->now = settling->next;
    settling->next = NULL;
}

void settling_commit(struct settling *settling, settling_cb done, void *arg)
{
    struct waiter **end = &settling->next;
    while (*end != NULL)
        end = &(*end)->next;
    *end = mem_alloc(sizeof **end);
    **end = (struct waiter){NULL, done, arg};
    if (settling->failure.code == 0 && !settling->closed)
        start(settling);
}

const char *settling_trouble(const struct settling *settling)
{
    if (settling->failure.code != 0)
        return settling->failure.text;
    bool late = settling->running &&
                clock_monotonic_ns() - settling->began_ns > SETTLING_LATE_MS * INT64_C(1000000);
    return late ? "the disk takes longer than 10 s to write it" : NULL;
}

const struct settling_figures *settling_figures(const struct settling *settling)
{
    return &settling->figures;
}

void settling_close(struct settling *settling)
{
    struct error err = closed_error();
    settling->closed = true;
    uv_timer_stop(&settling->timer);
    tell(&settling->now, &err);
    tell(&settling->next, &err);
}

bool settling_is_closed(const struct settling *settling)
{
    return settling->closed;
}

static void tick(uv_timer_t *timer)
{
    struct settling *settling = timer->data;
    if (history_is_dirty(settling->history) || settling->next != NULL)
        start(settling);
    tell_log(settling);
    settling->ticked(settling->arg);
}

struct settling *settling_new(uv_loop_t *loop, int64_t commit_ms, struct consumer *consumer,
                              struct history *history, void (*ticked)(void *arg), void *arg)
{
    struct settling *settling = mem_zalloc(sizeof *settling);
    *settling =
        (struct settling){.consumer = consumer, .history = history, .ticked = ticked, .arg = arg};
    uv_timer_init(loop, &settling->timer);
    settling->timer.data = settling;
    uv_timer_start(&settling->timer, tick, (uint64_t)commit_ms, (uint64_t)commit_ms);
    return settling;
}

static void timer_closed(uv_handle_t *handle)
{
    struct settling *settling = handle->data;
    struct error err = closed_error();
    tell(&settling->now, &err);
    tell(&settling->next, &err);
    void (*freed)(void *arg) = settling->freed;
    void *arg = settling->freed_arg;
    free(settling);
    freed(arg);
}

static void close_timer(struct settling *settling)
{
    uv_close((uv_handle_t *)&settling->timer, timer_closed);
}

void settling_free(struct settling *settling, void (*freed)(void *arg), void *arg)
{
    settling->freed = freed;
    settling->freed_arg = arg;
    if (!settling->running) /* else its callback still needs us, and closes us */
        close_timer(settling);
}
