#include "daemon/line.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

enum queue_kind { FRESH, RENEWAL, QUEUE_KINDS };

struct queue {
    struct user *first, *last;
    uint64_t queued, resolved; /* ever; equal when nobody waits or is under way */
    size_t length;             /* waiting */
};

struct waiter { /* for lists to be sent */
    struct waiter *next;
    line_sent_cb sent;
    void *arg;
    uint64_t targets[QUEUE_KINDS];
};

struct hold { /* somebody who wants the line to stand still */
    struct hold *next;
    void (*told)(void *arg);
    void *arg;
};

struct line {
    uv_loop_t *loop;
    struct line_settings settings;
    struct consumer *consumer;
    struct history *history;
    struct scorer *scorer;
    struct publisher *publisher;
    void (*spilled)(void *arg);
    void *arg;

    struct batch batch;
    struct queue queues[QUEUE_KINDS];
    struct slate slates[2];           /* one in the score station, one in the send station */
    struct slate *at_score, *at_send; /* NULL: the station is empty */
    bool scored;                      /* at_score is finished and waits for the send station */
    uv_work_t score_work;
    uv_idle_t turn;
    struct settling *settling;
    bool stop_learning, stop;
    struct hold *holds; /* waiting, in the order of asking */
    bool holding;       /* neither learns nor scores: somebody holds, or waits for the worker */
    bool held;          /* somebody holds */
    bool passing;       /* one has let go: a turn for the line before the next holds */
    void (*stopped)(void *arg);
    void *stopped_arg;
    bool spill;
    int64_t popular_ms; /* when the popular list was last scored */
    bool popular_stale;
    struct waiter *sent_waiters;
    struct line_figures figures;
    int64_t dead_told_ms;
    void (*freed)(void *arg);
    void *freed_arg;
};

struct line_figures *line_figures(struct line *line)
{
    return &line->figures;
}

static void turn(uv_idle_t *idle);

/* An idle handle, so that the turn runs in this round of the loop and I/O is never waited for
 * first. */
void line_wake(struct line *line)
{
    if (!uv_is_closing((uv_handle_t *)&line->turn))
        uv_idle_start(&line->turn, turn);
}

/* -- queues ------------------------------------------------------------------------------------ */

static void push(struct queue *queue, struct user *user)
{
    user->queue_next = NULL;
    if (queue->last != NULL)
        queue->last->queue_next = user;
    else
        queue->first = user;
    queue->last = user;
    queue->length++;
    queue->queued++;
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

size_t line_queued_renewals(const struct line *line)
{
    return (size_t)(line->queues[RENEWAL].queued - line->queues[RENEWAL].resolved);
}

size_t line_queued(const struct line *line)
{
    return (size_t)(line->queues[FRESH].queued - line->queues[FRESH].resolved) +
           line_queued_renewals(line);
}

void line_queue(struct line *line, struct user *user, enum slate_cause cause)
{
    if (user->queued)
        return;
    if (line->queues[FRESH].length + line->queues[RENEWAL].length >= LINE_QUEUED_MAX) {
        line->spill = true; /* the state knows that the user is owed */
        return;
    }
    user->queued = true;
    user->cause = cause;
    history_pin(line->history, user);
    push(&line->queues[kind_of(cause)], user);
    line_wake(line);
}

/* -- learn ------------------------------------------------------------------------------------- */

static void observe(const struct event *event, const struct user_record *before, uint32_t item,
                    void *arg)
{
    struct line *line = arg;
    accuracy_observe(&line->figures.accuracy, event, before, item,
                     history_type_counts(line->history, event->type));
}

static void dead_letter_done(bool ok, uint64_t token, void *arg)
{
    struct line *line = arg;
    history_dead_delivered(line->history, token, ok);
    line_wake(line);
}

static void send_dead_letters(struct line *line)
{
    struct dead_letter letter;
    struct error err = {0};
    while (history_dead_next(line->history, &letter)) {
        if (consumer_send_dead_letter(line->consumer, letter.key, letter.json, letter.token,
                                      dead_letter_done, line, &err) == 0)
            continue;
        history_dead_delivered(line->history, letter.token, false);
        if (log_once_a_minute(&line->dead_told_ms))
            log_warn("dead letters wait: %s", err.text);
        return;
    }
}

static bool may_learn(const struct line *line)
{
    bool score_station_busy = line->at_score != NULL && !line->scored;
    bool users_wait = line->queues[FRESH].length > 0 && publisher_is_up(line->publisher);
    return !line->stop_learning && !line->holding && !settling_failed(line->settling) &&
           !score_station_busy && !users_wait && !history_dead_full(line->history);
}

/* Takes and learns one batch; true if more may be waiting in Kafka. */
static bool learn(struct line *line)
{
    size_t taken = consumer_take(line->consumer, &line->batch, line->settings.batch_events);
    if (taken == 0)
        return false;
    int64_t begin_ns = clock_monotonic_ns();
    accuracy_renew(&line->figures.accuracy, line->history,
                   items_count(history_items(line->history)));
    struct learned learned;
    history_learn(line->history, &line->batch, observe, line, &learned);
    scorer_learned(line->scorer, &learned);
    for (size_t i = 0; i < learned.user_count; i++)
        line_queue(line, learned.users[i], CAUSE_EVENT);
    batch_clear(&line->batch);
    line->popular_stale |= learned.item_count > 0 || learned.items_described;
    line->figures.batches++;
    line->figures.events += taken;
    line->figures.learn_s += (double)(clock_monotonic_ns() - begin_ns) * 1e-9;
    send_dead_letters(line);
    return taken == line->settings.batch_events;
}

/* -- score ------------------------------------------------------------------------------------- */

static void add_user(struct line *line, struct slate *slate, struct user *user)
{
    scorer_add(line->scorer, slate, user); /* pins it for the slate */
    history_unpin(line->history, user);    /* and the queue's pin goes */
    user->queued = false;
    user->oldest_event_ms = 0; /* answered by this list, or put back if it is not sent */
}

static bool popular_is_due(const struct line *line)
{
    return line->popular_stale &&
           clock_monotonic_ns() / 1000000 - line->popular_ms >= LINE_POPULAR_MS;
}

/* Fresh users first; the rest of the slate is for renewals. */
static void fill_slate(struct line *line, struct slate *slate)
{
    slate_clear(slate);
    for (int kind = 0; kind < QUEUE_KINDS; kind++)
        while (line->queues[kind].length > 0 && slate->count < line->settings.batch_users)
            add_user(line, slate, pop(&line->queues[kind]));
    if (popular_is_due(line)) {
        line->popular_stale = false;
        line->popular_ms = clock_monotonic_ns() / 1000000;
        scorer_add_popular(line->scorer, slate);
    }
}

static void score_on_worker(uv_work_t *work)
{
    struct line *line = work->data;
    scorer_run(line->scorer, line->at_score);
}

static void score_done(uv_work_t *work, int status)
{
    struct line *line = work->data;
    (void)status;
    line->scored = true;
    line->figures.score_s +=
        (double)(clock_monotonic_ns() - line->at_score->oldest_score_ns) * 1e-9;
    line_wake(line);
}

static bool may_score(const struct line *line)
{
    bool wanted =
        line->queues[FRESH].length > 0 || line->queues[RENEWAL].length > 0 || popular_is_due(line);
    return wanted && line->at_score == NULL && !line->holding && !line->stop &&
           publisher_is_up(line->publisher);
}

static void score(struct line *line)
{
    struct slate *slate = line->at_send == &line->slates[0] ? &line->slates[1] : &line->slates[0];
    fill_slate(line, slate);
    slate->oldest_score_ns = clock_monotonic_ns();
    line->at_score = slate;
    line->scored = false;
    line->score_work.data = line;
    uv_queue_work(line->loop, &line->score_work, score_on_worker, score_done);
}

/* -- send -------------------------------------------------------------------------------------- */

static void put_back(struct line *line, const struct slate_list *list)
{
    struct user *user = list->user;
    if (list->oldest_event_ms != 0 &&
        (user->oldest_event_ms == 0 || list->oldest_event_ms < user->oldest_event_ms))
        user->oldest_event_ms = list->oldest_event_ms;
    line_queue(line, user, list->cause);
}

static void acknowledge(struct line *line, const struct slate_list *list, uint32_t *items)
{
    for (uint32_t i = 0; i < list->count; i++)
        items[i] = list->items[i].item;
    if (list->user == NULL) {
        accuracy_set_popular(&line->figures.accuracy, items, list->count);
        return;
    }
    history_acknowledge(line->history, list->user, &list->version, items, list->count);
    line->figures.lists[list->cause]++;
    if (list->oldest_event_ms > 0 && list->outcome == SLATE_STORED)
        histogram_add(&line->figures.event_to_list,
                      (double)(clock_wall_ms() - list->oldest_event_ms));
}

/* Calls those whose users have all been resolved; all of them, with ok = false, if some were not
 * sent. */
static void tell_sent(struct line *line, bool ok)
{
    for (struct waiter **at = &line->sent_waiters; *at != NULL;) {
        struct waiter *waiter = *at;
        if (ok && (line->queues[FRESH].resolved < waiter->targets[FRESH] ||
                   line->queues[RENEWAL].resolved < waiter->targets[RENEWAL])) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->sent(ok, waiter->arg);
        free(waiter);
    }
}

static void sent(struct slate *slate, void *arg)
{
    struct line *line = arg;
    uint32_t longest = 1;
    for (size_t i = 0; i < slate->count; i++)
        if (slate->lists[i].count > longest)
            longest = slate->lists[i].count;
    uint32_t *items = mem_array(NULL, longest, sizeof *items);
    bool all = true;
    for (size_t i = 0; i < slate->count; i++) {
        const struct slate_list *list = &slate->lists[i];
        bool resolved = list->outcome != SLATE_UNSENT;
        if (resolved)
            acknowledge(line, list, items);
        if (list->user == NULL)
            continue;
        line->queues[kind_of(list->cause)].resolved++;
        if (!resolved)
            put_back(line, list);
        history_unpin(line->history, list->user);
        all &= resolved;
    }
    free(items);
    slate_clear(slate);
    line->figures.slates++;
    if (line->at_send == slate) /* one that was given up never got there */
        line->at_send = NULL;
    tell_sent(line, all);
    line_wake(line);
}

/* Redis went away while a slate waited: its users are owed. */
static void give_up_slate(struct line *line)
{
    struct slate *slate = line->at_score;
    for (size_t i = 0; i < slate->count; i++)
        slate->lists[i].outcome = SLATE_UNSENT;
    line->at_score = NULL;
    line->scored = false;
    sent(slate, line);
}

static void send_slate(struct line *line)
{
    struct slate *slate = line->at_score;
    line->at_score = NULL;
    line->scored = false;
    line->at_send = slate;
    publisher_send(line->publisher, slate, sent, line);
}

void line_when_sent(struct line *line, line_sent_cb done, void *arg)
{
    struct waiter *waiter = mem_zalloc(sizeof *waiter);
    *waiter = (struct waiter){.next = line->sent_waiters, .sent = done, .arg = arg};
    for (int kind = 0; kind < QUEUE_KINDS; kind++)
        waiter->targets[kind] = line->queues[kind].queued;
    line->sent_waiters = waiter;
    line_wake(line);
}

/* -- settle ------------------------------------------------------------------------------------ */

static void ticked(void *arg)
{
    struct line *line = arg;
    if (!line->stop)
        send_dead_letters(line); /* those that were refused come again */
    line_wake(line);
}

struct settling *line_settling(struct line *line)
{
    return line->settling;
}

/* -- the turn ---------------------------------------------------------------------------------- */

void line_hold(struct line *line, void (*held)(void *arg), void *arg)
{
    struct hold **at = &line->holds;
    while (*at != NULL)
        at = &(*at)->next;
    *at = mem_alloc(sizeof **at);
    **at = (struct hold){NULL, held, arg};
    line_wake(line);
}

void line_release(struct line *line)
{
    line->holding = line->held = false;
    line->passing = true;
    line_wake(line);
}

static void tell_first_hold(struct line *line)
{
    struct hold *hold = line->holds;
    line->holds = hold->next;
    line->held = true;
    hold->told(hold->arg); /* may release */
    free(hold);
}

void line_stop_learning(struct line *line)
{
    line->stop_learning = true;
}

void line_stop(struct line *line, void (*stopped)(void *arg), void *arg)
{
    line->stop = line->stop_learning = true;
    line->stopped = stopped;
    line->stopped_arg = arg;
    line_wake(line);
}

/* Those who wait for the worker to be done. */
static void tell_quiet(struct line *line)
{
    if ((line->at_score != NULL && !line->scored) || line->held)
        return;
    if (line->holding && line->holds != NULL)
        tell_first_hold(line);
    if (line->held || (line->stop && line->holds != NULL))
        return;
    void (*stopped)(void *arg) = line->stopped;
    line->stopped = NULL;
    if (stopped != NULL)
        stopped(line->stopped_arg);
}

static void turn(uv_idle_t *idle)
{
    struct line *line = idle->data;
    uv_idle_stop(idle);
    line->holding |= line->holds != NULL && (!line->passing || line->stop);
    tell_quiet(line);
    if (line->stop)
        return;
    tell_sent(line, true); /* those who asked while nobody waited */
    if (line->scored && !publisher_is_up(line->publisher))
        give_up_slate(line);
    if (line->scored && line->at_send == NULL)
        send_slate(line);
    if (may_learn(line) && learn(line))
        line_wake(line);
    if (may_score(line))
        score(line);
    if (line->passing && line->holds != NULL)
        line_wake(line);
    line->passing = false;
    if (line->spill && line_queued(line) == 0) {
        line->spill = false;
        line->spilled(line->arg);
    }
}

/* -- life -------------------------------------------------------------------------------------- */

struct line *line_new(uv_loop_t *loop, const struct line_settings *settings,
                      struct consumer *consumer, struct history *history, struct scorer *scorer,
                      struct publisher *publisher, void (*spilled)(void *arg), void *arg)
{
    struct line *line = mem_zalloc(sizeof *line);
    *line = (struct line){
        .loop = loop,
        .settings = *settings,
        .consumer = consumer,
        .history = history,
        .scorer = scorer,
        .publisher = publisher,
        .spilled = spilled,
        .arg = arg,
    };
    batch_init(&line->batch);
    uv_idle_init(loop, &line->turn);
    line->turn.data = line;
    line->settling = settling_new(loop, settings->commit_ms, consumer, history, ticked, line);
    return line;
}

static void turn_closed(uv_handle_t *handle)
{
    struct line *line = handle->data;
    for (struct hold *next, *hold = line->holds; hold != NULL; hold = next) {
        next = hold->next;
        free(hold);
    }
    batch_deinit(&line->batch);
    slate_deinit(&line->slates[0]);
    slate_deinit(&line->slates[1]);
    accuracy_deinit(&line->figures.accuracy);
    void (*freed)(void *arg) = line->freed;
    void *arg = line->freed_arg;
    free(line);
    freed(arg);
}

static void settling_freed(void *arg)
{
    struct line *line = arg;
    uv_close((uv_handle_t *)&line->turn, turn_closed);
}

void line_free(struct line *line, void (*freed)(void *arg), void *arg)
{
    line->freed = freed;
    line->freed_arg = arg;
    tell_sent(line, false);
    settling_free(line->settling, settling_freed, line);
}
