/* The line: consumer takes, history learns, model scores, publisher sends, consumer settles.
 *
 * The one place that knows all stations. Batches move in stream order, at most one per station:
 *   - a batch is taken and learned when the users of the one before have been scored, or when there
 * is nobody to publish to (then users become owed and learning goes on);
 *   - a slate is scored on a worker thread when the score station is empty; meanwhile the loop does
 * not learn, for the worker reads the item table and the sums;
 *   - it is sent when the one before has been acknowledged;
 *   - about once in commit_ms what was learned is made durable, and then settled with the group.
 * Loop thread. Callbacks come from the loop, never before the call that asked for them has
 * returned. */
#ifndef FRESHET_DAEMON_LINE_H
#define FRESHET_DAEMON_LINE_H

#include "consumer/consumer.h"
#include "daemon/settling.h"
#include "daemon/waiting.h"
#include "model/scorers.h"
#include "monitor/watch.h"
#include "publisher/budget.h"
#include "publisher/publisher.h"

#define LINE_POPULAR_MS 200 /* the popular list is renewed at most this often */

struct line_settings {
    size_t batch_events; /* most events learned at once */
    size_t batch_users;  /* most lists in a slate */
    int64_t commit_ms;
};

struct line_arm { /* what the line does for an arm */
    struct budget_settings budget;
    int64_t debounce_ms;
};

struct line_figures {
    uint64_t batches, events; /* learned, this run */
    uint64_t slates, lists[CAUSE_COUNT];
    uint64_t held[HOLD_COUNT];
    double learn_s, score_s; /* wall time spent */
};

struct line;

struct line_parts { /* borrowed */
    struct consumer *consumer;
    struct history *history;
    struct scorers *scorers;
    struct publisher *publisher;
    struct watch *watch;
};

/* arms: [of the scorers], copied. `spilled` is called when users could not be queued, so that a
 * scan for owed users is needed once nobody waits. */
struct line *line_new(uv_loop_t *loop, const struct line_settings *settings,
                      const struct line_parts *parts, const struct line_arm *arms,
                      void (*spilled)(void *arg), void *arg);
void line_free(struct line *line, void (*freed)(void *arg), void *arg);

/* Something may have become possible: look, in this turn of the loop. */
void line_wake(struct line *line);

/* The user wants a list for this cause; a user already waiting keeps its place and its cause. */
void line_queue(struct line *line, struct user *user, enum slate_cause cause);
size_t line_queued(const struct line *line);          /* users waiting or under way */
size_t line_queued_renewals(const struct line *line); /* of those, not for an event */

/* Whether there is somebody to publish to: Redis is up, and a state that took another's place has
 * caught up with the log. Until then users become owed, and learning goes on. */
bool line_publishes(const struct line *line);

/* As waiting_when_sent. */
void line_when_sent(struct line *line, waiting_sent_cb sent, void *arg);

/* Its last step, for those who want something durable. */
struct settling *line_settling(struct line *line);

/* When nothing is being scored, and nothing will be until line_release: to change what scoring
 * reads, or to use the scorer. Who holds may do so over several turns of the loop (a worker);
 * others who want to hold wait in a queue, and between two of them the line gets its turn. Whoever
 * asked before line_stop is still told, and `stopped` waits for them; who asks after it never is.
 */
void line_hold(struct line *line, void (*held)(void *arg), void *arg);
void line_release(struct line *line);

/* A worker that reads the history or the scorers holds the lock while it does; the loop takes it to
 * change them when it cannot wait to be held (partitions come and go). It waits for one slate at
 * the most. */
void line_lock(struct line *line);
void line_unlock(struct line *line);

/* Other scorers from now on, only while held; the old ones are no longer used. */
void line_set_scorers(struct line *line, struct scorers *scorers, const struct line_arm *arms);

/* The swap that the user's list must not be older than (user_is_owed), and the same of all arms. */
uint32_t line_swap_of(const struct line *line, struct slice user);
void line_swaps(const struct line *line, struct scorers_swaps *swaps);

/* The popular list is made again, too; at most every LINE_POPULAR_MS. */
void line_renew_popular(struct line *line);

/* Whether the popular list is this instance's to publish; else it is made, to be measured by. */
void line_set_popular(struct line *line, bool ours);

/* Learns no more (SIGTERM); nobody waits for later events. */
void line_stop_learning(struct line *line);

/* Neither learns nor scores any more; `stopped` when the worker is done. Commits still work. */
void line_stop(struct line *line, void (*stopped)(void *arg), void *arg);

struct line_figures *line_figures(struct line *line);

#endif
