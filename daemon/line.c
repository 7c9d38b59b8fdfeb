#include "daemon/line_internal.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

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

/* -- who waits --------------------------------------------------------------------------------- */

size_t line_queued_renewals(const struct line *line)
{
    return waiting_renewals(line->waiting);
}

size_t line_queued(const struct line *line)
{
    return waiting_count(line->waiting);
}

void line_queue(struct line *line, struct user *user, enum slate_cause cause)
{
    uint32_t arm = scorers_arm_of(line->scorers, user->id);
    int64_t delay_ms = user->record->forgotten ? 0 : line->arms[arm].debounce_ms;
    if (waiting_add(line->waiting, user, cause, delay_ms))
        line_wake(line);
    else
        line->spill = true; /* the state knows that the user is owed */
}

uint32_t line_swap_of(const struct line *line, struct slice user)
{
    uint32_t arm = scorers_arm_of(line->scorers, user);
    return history_owed_swap(line->history, scorers_series_of(line->scorers, arm));
}

void line_swaps(const struct line *line, struct scorers_swaps *swaps)
{
    scorers_swaps_take(line->scorers, line->history, swaps);
}

static void wake(void *arg)
{
    line_wake(arg);
}

void line_when_sent(struct line *line, waiting_sent_cb done, void *arg)
{
    waiting_when_sent(line->waiting, done, arg);
    line_wake(line);
}

/* -- learn ------------------------------------------------------------------------------------- */

static struct outcome observe(const struct use *use, void *arg)
{
    struct line *line = arg;
    return watch_event(line->watch, use, scorers_arm_of(line->scorers, use->event->user));
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

/* While the disk fails, what is learned waits in memory, as long as there is room for it. */
static bool has_room(const struct line *line)
{
    return settling_trouble(line->settling) == NULL || !history_is_full(line->history);
}

static bool may_learn(const struct line *line)
{
    bool score_station_busy = line->at_score != NULL && !line->scored;
    bool users_wait = waiting_has_fresh(line->waiting) && line_publishes(line);
    return !line->stop_learning && !line->still.wanted && has_room(line) && !score_station_busy &&
           !users_wait && !history_dead_full(line->history);
}

/* Takes and learns one batch; true if more may be waiting in Kafka. */
static bool learn(struct line *line)
{
    if (history_ready(line->history, NULL) != 0)
        return false; /* the next commit says why, and mends it if it can */
    size_t taken = consumer_take(line->consumer, &line->batch, line->settings.batch_events);
    if (taken == 0) {
        history_rest(line->history);
        return false;
    }
    int64_t begin_ns = clock_monotonic_ns();
    watch_batch(line->watch);
    struct learned learned;
    FAILPOINT("learn.taken");
    history_learn(line->history, &line->batch, observe, line, &learned);
    FAILPOINT("learn.learned");
    scorers_learned(line->scorers, &learned);
    for (size_t i = 0; i < learned.user_count; i++)
        line_queue(line, learned.users[i], CAUSE_EVENT);
    batch_clear(&line->batch);
    line_look_at_replay(line);
    line->popular_stale |= learned.item_count > 0 || learned.items_described;
    line->figures.batches++;
    line->figures.events += taken;
    line->figures.learn_s += (double)(clock_monotonic_ns() - begin_ns) * 1e-9;
    send_dead_letters(line);
    return taken == line->settings.batch_events;
}

bool line_publishes(const struct line *line)
{
    return publisher_is_up(line->publisher) && !history_is_catching_up(line->history);
}

/* Everybody is owed a list now, and a scan finds them. */
static void look_whether_caught_up(struct line *line)
{
    if (!consumer_has_caught_up(line->consumer))
        return;
    log_info("caught up with the log: lists are published from now on");
    history_caught_up(line->history);
    line->spill = true;
    line_wake(line);
}

/* -- score ------------------------------------------------------------------------------------- */

/* Who comes to be queued again begins anew; unpinned last, since that may end him. */
static void end_waiting(struct line *line, struct user *user)
{
    user->queued = user->insist = false;
    user->oldest_event_ms = user->oldest_ts_ms = 0;
    history_unpin(line->history, user);
}

static void add_user(struct line *line, struct slate *slate, struct user *user)
{
    size_t first = slate->count;
    scorers_add(line->scorers, slate, user); /* pins it for each list */
    for (size_t i = first; i < slate->count; i++)
        slate->lists[i].insist = user->insist;
    end_waiting(line, user); /* his times are put back if the list is not sent */
}

static bool popular_is_due(const struct line *line)
{
    return line->popular_stale &&
           clock_monotonic_ns() / 1000000 - line->popular_ms >= LINE_POPULAR_MS;
}

/* A partition has gone since its user began to wait: its next owner publishes the list, and should
 * it come back, the state knows that the user is owed. */
static bool is_of_another(struct line *line, struct user *user)
{
    if (history_is_assigned(line->history, user->partition))
        return false;
    waiting_resolve(line->waiting, user->cause);
    end_waiting(line, user);
    return true;
}

/* Fresh users first; the rest of the slate is for renewals. */
static void fill_slate(struct line *line, struct slate *slate)
{
    struct user *user;
    slate_clear(slate);
    while (slate->count < line->settings.batch_users &&
           (user = waiting_next(line->waiting)) != NULL)
        if (!is_of_another(line, user))
            add_user(line, slate, user);
    if (popular_is_due(line)) {
        line->popular_stale = false;
        line->popular_ms = clock_monotonic_ns() / 1000000;
        scorers_add_popular(line->scorers, slate);
    }
}

void line_lock(struct line *line)
{
    uv_mutex_lock(&line->reading);
}

void line_unlock(struct line *line)
{
    uv_mutex_unlock(&line->reading);
}

static void score_on_worker(uv_work_t *work)
{
    struct line *line = work->data;
    line_lock(line);
    FAILPOINT("publish.score");
    scorers_run(line->scorers, line->at_score);
    line_unlock(line);
}

static void score_done(uv_work_t *work, int status)
{
    struct line *line = work->data;
    (void)status;
    FAILPOINT("publish.scored");
    line->scored = true;
    line->figures.score_s +=
        (double)(clock_monotonic_ns() - line->at_score->oldest_score_ns) * 1e-9;
    line_wake(line);
}

static bool may_score(const struct line *line)
{
    bool wanted = waiting_has_any(line->waiting) || popular_is_due(line);
    return wanted && line->at_score == NULL && !line->still.wanted && !line->stop &&
           line_publishes(line);
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
    if (line->stop) /* who asks now may be gone before he could be told */
        return;
    standstill_ask(&line->still, held, arg);
    line_wake(line);
}

void line_release(struct line *line)
{
    standstill_release(&line->still);
    line_wake(line);
}

void line_renew_popular(struct line *line)
{
    line->popular_stale = true;
    line_wake(line);
}

void line_set_popular(struct line *line, bool ours)
{
    line->popular_stale |= ours && !line->popular_ours;
    line->popular_ours = ours;
    line_wake(line);
}

void line_stop_learning(struct line *line)
{
    line->stop_learning = true;
    waiting_hurry(line->waiting);
    line_wake(line);
}

void line_set_scorers(struct line *line, struct scorers *scorers, const struct line_arm *arms)
{
    line->scorers = scorers;
    memcpy(line->arms, arms, scorers_count(scorers) * sizeof *arms);
    memset(line->budgets, 0, sizeof line->budgets);
    line->popular_stale = true;
    if (line->waiting != NULL) /* not at first; else for a time that the old settings said */
        waiting_release(line->waiting);
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
    if ((line->at_score != NULL && !line->scored) || line->still.held)
        return;
    standstill_tell(&line->still);
    if (line->still.held || (line->stop && line->still.first != NULL))
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
    standstill_begin_turn(&line->still, line->stop);
    tell_quiet(line);
    if (line->stop)
        return;
    waiting_tell(line->waiting, true); /* those who asked while nobody waited */
    if (line->scored && !publisher_is_up(line->publisher))
        line_give_up_slate(line);
    if (line->scored && line->at_send == NULL)
        line_send_slate(line);
    if (may_learn(line) && learn(line))
        line_wake(line);
    if (history_is_catching_up(line->history))
        look_whether_caught_up(line);
    if (may_score(line))
        score(line);
    if (standstill_end_turn(&line->still))
        line_wake(line);
    if (line->spill && line_queued(line) == 0) {
        line->spill = false;
        line->spilled(line->arg);
    }
}

/* -- life -------------------------------------------------------------------------------------- */

struct line *line_new(uv_loop_t *loop, const struct line_settings *settings,
                      const struct line_parts *parts, const struct line_arm *arms,
                      void (*spilled)(void *arg), void *arg)
{
    struct line *line = mem_zalloc(sizeof *line);
    *line = (struct line){
        .loop = loop,
        .settings = *settings,
        .consumer = parts->consumer,
        .history = parts->history,
        .publisher = parts->publisher,
        .watch = parts->watch,
        .spilled = spilled,
        .arg = arg,
    };
    line_set_scorers(line, parts->scorers, arms);
    batch_init(&line->batch);
    uv_mutex_init(&line->reading);
    uv_idle_init(loop, &line->turn);
    line->turn.data = line;
    line->waiting = waiting_new(loop, line->history, wake, line);
    line->settling =
        settling_new(loop, settings->commit_ms, line->consumer, line->history, ticked, line);
    return line;
}

static void turn_closed(uv_handle_t *handle)
{
    struct line *line = handle->data;
    standstill_deinit(&line->still);
    batch_deinit(&line->batch);
    uv_mutex_destroy(&line->reading);
    slate_deinit(&line->slates[0]);
    slate_deinit(&line->slates[1]);
    void (*freed)(void *arg) = line->freed;
    void *arg = line->freed_arg;
    free(line);
    freed(arg);
}

static void waiting_freed(void *arg)
{
    struct line *line = arg;
    uv_close((uv_handle_t *)&line->turn, turn_closed);
}

static void settling_freed(void *arg)
{
    struct line *line = arg;
    waiting_free(line->waiting, waiting_freed, line);
}

void line_free(struct line *line, void (*freed)(void *arg), void *arg)
{
    line->freed = freed;
    line->freed_arg = arg;
    waiting_tell(line->waiting, false);
    settling_free(line->settling, settling_freed, line);
}
