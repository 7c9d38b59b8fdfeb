#include "daemon/renewal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

#define FEED_MS 10
#define SCAN_RETRY_MS 1000

struct renewal_waiter {
    struct renewal_waiter *next;
    void (*queued)(void *arg);
    void *arg;
};

enum stage { IDLE, COMMITTING, SCANNING, FEEDING };

struct renewal {
    uv_loop_t *loop;
    struct renewal_settings settings;
    struct line *line;
    struct history *history;
    enum stage stage;
    enum slate_cause cause;
    bool all;
    bool again; /* asked for while under way */
    struct owed_list owed;
    size_t next;
    double tokens; /* lists that may be queued now */
    int64_t fed_ns;
    uv_work_t scan_work;
    int64_t scan_since_ms;
    struct scorers_swaps scan_swaps;
    int scan_status;
    struct error scan_error;
    uv_timer_t timer;
    struct renewal_waiter *waiters;
    void (*freed)(void *arg);
    void *freed_arg;
};

static void begin(struct renewal *renewal);

bool renewal_running(const struct renewal *renewal)
{
    return renewal->stage != IDLE;
}

size_t renewal_left(const struct renewal *renewal)
{
    return renewal->stage == FEEDING ? renewal->owed.count - renewal->next : 0;
}

static void tell_queued(struct renewal *renewal)
{
    struct renewal_waiter *waiter = renewal->waiters;
    renewal->waiters = NULL;
    while (waiter != NULL) {
        struct renewal_waiter *next = waiter->next;
        waiter->queued(waiter->arg);
        free(waiter);
        waiter = next;
    }
}

static void finish(struct renewal *renewal)
{
    uv_timer_stop(&renewal->timer);
    owed_list_deinit(&renewal->owed);
    renewal->owed = (struct owed_list){0};
    renewal->next = 0;
    renewal->stage = IDLE;
    renewal->all = false;
    tell_queued(renewal);
}

/* Of a run for all that are owed: why this one is. Which cause it is decides whether the list may
 * be held back, and whether shadow arms look at it. */
static enum slate_cause cause_of(const struct renewal *renewal, const struct user_record *record)
{
    if (renewal->all)
        return renewal->cause;
    if (record->acked_swap < history_meta(renewal->history)->arms_swap)
        return CAUSE_ARMS;
    return record->wanted_offset > record->acked_offset ? CAUSE_EVENT : CAUSE_GENERATION;
}

static void queue_one(struct renewal *renewal, const struct owed_user *owed)
{
    struct error err = {0};
    struct slice id = {owed->id, owed->id_length};
    struct user *user = history_user(renewal->history, owed->partition, id, &err);
    if (user == NULL)
        return; /* gone since the scan, or of a partition that was revoked */
    if (renewal->all || user_is_owed(user->record, line_swap_of(renewal->line, user->id)))
        line_queue(renewal->line, user, cause_of(renewal, user->record));
}

static double pace_of(const struct renewal *renewal)
{
    if (renewal->settings.pace > 0)
        return renewal->settings.pace;
    return (double)renewal->owed.count * 1000.0 / (double)renewal->settings.span_ms;
}

static void feed(uv_timer_t *timer)
{
    struct renewal *renewal = timer->data;
    int64_t now_ns = clock_monotonic_ns();
    double burst = pace_of(renewal) * FEED_MS / 1000.0 + 1.0;
    renewal->tokens += pace_of(renewal) * (double)(now_ns - renewal->fed_ns) * 1e-9;
    renewal->fed_ns = now_ns;
    if (renewal->tokens > 4 * burst)
        renewal->tokens = 4 * burst;
    if (!line_publishes(renewal->line))
        return;
    while (renewal->next < renewal->owed.count && renewal->tokens >= 1.0 &&
           line_queued_renewals(renewal->line) < renewal->settings.backlog) {
        queue_one(renewal, &renewal->owed.users[renewal->next++]);
        renewal->tokens -= 1.0;
    }
    if (renewal->next == renewal->owed.count)
        finish(renewal);
}

static void timer_closed(uv_handle_t *handle)
{
    struct renewal *renewal = handle->data;
    void (*freed)(void *arg) = renewal->freed;
    void *arg = renewal->freed_arg;
    owed_list_deinit(&renewal->owed);
    free(renewal);
    freed(arg);
}

static void close_timer(struct renewal *renewal)
{
    uv_close((uv_handle_t *)&renewal->timer, timer_closed);
}

static void scan_on_worker(uv_work_t *work)
{
    struct renewal *renewal = work->data;
    renewal->scan_status =
        history_scan_owed(renewal->history, renewal->all, renewal->scan_since_ms, scorers_swap_of,
                          &renewal->scan_swaps, &renewal->owed, &renewal->scan_error);
}

static void scan_again(uv_timer_t *timer)
{
    begin(timer->data);
}

static void scanned(uv_work_t *work, int status)
{
    struct renewal *renewal = work->data;
    (void)status;
    if (renewal->freed != NULL) {
        close_timer(renewal);
        return;
    }
    if (renewal->scan_status != 0) {
        log_error("looking for owed lists: %s", renewal->scan_error.text);
        uv_timer_start(&renewal->timer, scan_again, SCAN_RETRY_MS, 0);
        return;
    }
    if (renewal->again) {
        begin(renewal);
        return;
    }
    renewal->stage = FEEDING;
    renewal->next = 0;
    renewal->tokens = 1.0;
    renewal->fed_ns = clock_monotonic_ns();
    uv_timer_start(&renewal->timer, feed, 0, FEED_MS);
}

/* The scan reads the state, so what is only in memory goes there first. */
static void commit_done(const struct error *err, void *arg)
{
    struct renewal *renewal = arg;
    if (renewal->stage != COMMITTING)
        return; /* closed meanwhile */
    if (err != NULL) {
        if (!settling_is_closed(
                line_settling(renewal->line))) /* the line waits before it tries again */
            settling_commit(line_settling(renewal->line), commit_done, renewal);
        return;
    }
    renewal->stage = SCANNING;
    int64_t now_ms = history_now_ms(renewal->history);
    bool everybody = renewal->cause == CAUSE_FORCED || renewal->settings.active_ms == 0 ||
                     now_ms < INT64_MIN + renewal->settings.active_ms;
    renewal->scan_since_ms = everybody ? INT64_MIN : now_ms - renewal->settings.active_ms;
    line_swaps(renewal->line, &renewal->scan_swaps);
    renewal->scan_work.data = renewal;
    uv_queue_work(renewal->loop, &renewal->scan_work, scan_on_worker, scanned);
}

static void begin(struct renewal *renewal)
{
    uv_timer_stop(&renewal->timer);
    owed_list_deinit(&renewal->owed);
    renewal->owed = (struct owed_list){0};
    renewal->next = 0;
    renewal->again = false;
    renewal->stage = COMMITTING;
    settling_commit(line_settling(renewal->line), commit_done, renewal);
}

void renewal_start(struct renewal *renewal, enum slate_cause cause, bool all)
{
    if (!renewal->all) /* a forced run stays one, whatever comes between */
        renewal->cause = cause;
    renewal->all |= all;
    line_renew_popular(renewal->line);
    if (renewal->stage == IDLE || renewal->stage == FEEDING)
        begin(renewal);
    else
        renewal->again = true; /* what changed since its commit began is not in its scan */
}

void renewal_when_queued(struct renewal *renewal, void (*queued)(void *arg), void *arg)
{
    struct renewal_waiter *waiter = mem_alloc(sizeof *waiter);
    *waiter = (struct renewal_waiter){renewal->waiters, queued, arg};
    renewal->waiters = waiter;
}

struct renewal *renewal_new(uv_loop_t *loop, const struct renewal_settings *settings,
                            struct line *line, struct history *history)
{
    struct renewal *renewal = mem_zalloc(sizeof *renewal);
    *renewal =
        (struct renewal){.loop = loop, .settings = *settings, .line = line, .history = history};
    uv_timer_init(loop, &renewal->timer);
    renewal->timer.data = renewal;
    return renewal;
}

void renewal_free(struct renewal *renewal, void (*freed)(void *arg), void *arg)
{
    bool scanning = renewal->stage == SCANNING; /* then the worker still writes to it */
    renewal->freed = freed;
    renewal->freed_arg = arg;
    uv_timer_stop(&renewal->timer);
    tell_queued(renewal);
    renewal->stage = IDLE;
    if (!scanning)
        close_timer(renewal);
}
