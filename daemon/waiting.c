#include "daemon/waiting.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

enum queue_kind { FRESH, RENEWAL, QUEUE_KINDS };

struct queue {
    struct user *first, *last;
    size_t length;
};

/* Users of one delay, so that who came first is due first. */
struct patient {
    int64_t delay_ms;
    struct queue queue;
};

struct waiter { /* for lists to be sent */
    struct waiter *next;
    waiting_sent_cb sent;
    void *arg;
    uint64_t targets[QUEUE_KINDS];
};

struct waiting {
    struct history *history;
    void (*due)(void *arg);
    void *arg;
    struct queue queues[QUEUE_KINDS];
    uint64_t added[QUEUE_KINDS], resolved[QUEUE_KINDS]; /* ever; equal when nobody waits or is
                                                           under way */
    struct patient patients[ARMS_MAX];                  /* [patient_count]; one a delay */
    size_t patient_count, patient_users;
    bool hurry;
    uv_timer_t timer;
    struct waiter *waiters;
    void (*freed)(void *arg);
    void *freed_arg;
};

static void push(struct queue *queue, struct user *user)
{
    user->queue_next = NULL;
    if (queue->last != NULL)
        queue->last->queue_next = user;
    else
        queue->first = user;
    queue->last = user;
    queue->length++;
}

static struct user *pop(struct queue *queue)
{
    struct user *user = queue->first;
    queue->first = user->queue_next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->length--;
    return user;
}

static enum queue_kind kind_of(enum slate_cause cause)
{
    return cause == CAUSE_EVENT ? FRESH : RENEWAL;
}

/* -- those who are made to wait ---------------------------------------------------------------- */

static int64_t now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

/* The one of that delay, or NULL if there are as many delays as there may be: then nobody waits. */
static struct patient *patient_of(struct waiting *waiting, int64_t delay_ms)
{
    size_t free_at = ARMS_MAX;
    for (size_t i = 0; i < waiting->patient_count; i++) {
        if (waiting->patients[i].delay_ms == delay_ms)
            return &waiting->patients[i];
        if (waiting->patients[i].queue.length == 0)
            free_at = i;
    }
    if (waiting->patient_count < ARMS_MAX)
        free_at = waiting->patient_count++;
    if (free_at == ARMS_MAX)
        return NULL;
    waiting->patients[free_at] = (struct patient){.delay_ms = delay_ms};
    return &waiting->patients[free_at];
}

static void release_due(uv_timer_t *timer);

static void set_timer(struct waiting *waiting)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < waiting->patient_count; i++) {
        const struct user *first = waiting->patients[i].queue.first;
        if (first != NULL && first->due_ms < next_ms)
            next_ms = first->due_ms;
    }
    if (next_ms == INT64_MAX)
        return;
    int64_t wait_ms = next_ms - now_ms();
    uv_timer_start(&waiting->timer, release_due, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

static void release(struct waiting *waiting, bool everybody)
{
    int64_t now = now_ms();
    for (size_t i = 0; i < waiting->patient_count; i++) {
        struct queue *queue = &waiting->patients[i].queue;
        while (queue->length > 0 && (everybody || queue->first->due_ms <= now)) {
            queue->first->due_ms = 0;
            push(&waiting->queues[FRESH], pop(queue));
            waiting->patient_users--;
        }
    }
}

/* Takes one out of the midst. */
static bool take_out(struct queue *queue, struct user *user)
{
    struct user *before = NULL, *at = queue->first;
    for (; at != NULL && at != user; at = at->queue_next)
        before = at;
    if (at == NULL)
        return false;
    if (before == NULL)
        queue->first = user->queue_next;
    else
        before->queue_next = user->queue_next;
    if (queue->last == user)
        queue->last = before;
    queue->length--;
    return true;
}

/* One who was made to wait no longer is. */
static void release_one(struct waiting *waiting, struct user *user)
{
    for (size_t i = 0; i < waiting->patient_count; i++)
        if (take_out(&waiting->patients[i].queue, user)) {
            user->due_ms = 0;
            waiting->patient_users--;
            push(&waiting->queues[FRESH], user);
            return;
        }
}

static void release_due(uv_timer_t *timer)
{
    struct waiting *waiting = timer->data;
    release(waiting, false);
    set_timer(waiting);
    waiting->due(waiting->arg);
}

void waiting_release(struct waiting *waiting)
{
    release(waiting, true);
}

void waiting_hurry(struct waiting *waiting)
{
    waiting->hurry = true;
    release(waiting, true);
}

static bool make_wait(struct waiting *waiting, struct user *user, int64_t delay_ms)
{
    struct patient *patient =
        delay_ms > 0 && !waiting->hurry ? patient_of(waiting, delay_ms) : NULL;
    if (patient == NULL)
        return false;
    user->due_ms = now_ms() + delay_ms;
    push(&patient->queue, user);
    waiting->patient_users++;
    if (waiting->patient_users == 1 || patient->queue.length == 1)
        set_timer(waiting);
    return true;
}

/* -- waiting ----------------------------------------------------------------------------------- */

/* Somebody wants the list in Redis, whatever is there: Redis may have nothing. */
static bool insists(enum slate_cause cause)
{
    return cause != CAUSE_EVENT && cause != CAUSE_GENERATION;
}

bool waiting_add(struct waiting *waiting, struct user *user, enum slate_cause cause,
                 int64_t delay_ms)
{
    if (user->queued) {
        user->insist |= insists(cause);
        if (delay_ms == 0 && user->due_ms != 0)
            release_one(waiting, user);
        return true;
    }
    size_t length = waiting->queues[FRESH].length + waiting->queues[RENEWAL].length;
    if (length + waiting->patient_users >= WAITING_MAX)
        return false;
    user->queued = true;
    user->cause = cause;
    user->insist |= insists(cause);
    history_pin(waiting->history, user);
    waiting->added[kind_of(cause)]++;
    if (cause != CAUSE_EVENT || !make_wait(waiting, user, delay_ms))
        push(&waiting->queues[kind_of(cause)], user);
    return true;
}

struct user *waiting_next(struct waiting *waiting)
{
    for (int kind = 0; kind < QUEUE_KINDS; kind++)
        if (waiting->queues[kind].length > 0)
            return pop(&waiting->queues[kind]);
    return NULL;
}

bool waiting_has_fresh(const struct waiting *waiting)
{
    return waiting->queues[FRESH].length > 0;
}

bool waiting_has_any(const struct waiting *waiting)
{
    return waiting_has_fresh(waiting) || waiting->queues[RENEWAL].length > 0;
}

size_t waiting_renewals(const struct waiting *waiting)
{
    return (size_t)(waiting->added[RENEWAL] - waiting->resolved[RENEWAL]);
}

size_t waiting_count(const struct waiting *waiting)
{
    return (size_t)(waiting->added[FRESH] - waiting->resolved[FRESH]) + waiting_renewals(waiting);
}

void waiting_resolve(struct waiting *waiting, enum slate_cause cause)
{
    waiting->resolved[kind_of(cause)]++;
}

/* -- those who ask when ------------------------------------------------------------------------ */

void waiting_when_sent(struct waiting *waiting, waiting_sent_cb sent, void *arg)
{
    struct waiter *waiter = mem_zalloc(sizeof *waiter);
    *waiter = (struct waiter){.next = waiting->waiters, .sent = sent, .arg = arg};
    for (int kind = 0; kind < QUEUE_KINDS; kind++)
        waiter->targets[kind] = waiting->added[kind];
    waiting->waiters = waiter;
    release(waiting, true); /* somebody waits for them */
}

static bool is_waiting(const struct waiting *waiting, const struct waiter *waiter)
{
    return waiting->resolved[FRESH] < waiter->targets[FRESH] ||
           waiting->resolved[RENEWAL] < waiter->targets[RENEWAL];
}

void waiting_tell(struct waiting *waiting, bool ok)
{
    for (struct waiter **at = &waiting->waiters; *at != NULL;) {
        struct waiter *waiter = *at;
        if (ok && is_waiting(waiting, waiter)) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->sent(ok, waiter->arg);
        free(waiter);
    }
}

/* -- life -------------------------------------------------------------------------------------- */

struct waiting *waiting_new(uv_loop_t *loop, struct history *history, void (*due)(void *arg),
                            void *arg)
{
    struct waiting *waiting = mem_zalloc(sizeof *waiting);
    *waiting = (struct waiting){.history = history, .due = due, .arg = arg};
    uv_timer_init(loop, &waiting->timer);
    waiting->timer.data = waiting;
    return waiting;
}

static void timer_closed(uv_handle_t *handle)
{
    struct waiting *waiting = handle->data;
    void (*freed)(void *arg) = waiting->freed;
    void *arg = waiting->freed_arg;
    free(waiting);
    freed(arg);
}

void waiting_free(struct waiting *waiting, void (*freed)(void *arg), void *arg)
{
    waiting_tell(waiting, false);
    waiting->freed = freed;
    waiting->freed_arg = arg;
    uv_close((uv_handle_t *)&waiting->timer, timer_closed);
}
