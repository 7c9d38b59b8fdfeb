/* The line's last step: what was learned becomes durable, and then the group's offsets follow.
 *
 * About once in commit_ms, and whenever somebody asks, everything learned so far is committed to
 * the state as one; when it is on the disk the offsets are settled with the consumer. It never
 * waits for Redis. At most one commit is under way; who asks meanwhile gets the next one. After a
 * commit that failed, the next is tried with the next tick. Loop thread; callbacks from the loop.
 */
#ifndef FRESHET_DAEMON_SETTLING_H
#define FRESHET_DAEMON_SETTLING_H

#include "consumer/consumer.h"
#include "model/history.h"

#include <uv.h>

struct settling_figures {
    uint64_t commits, failures;
};

struct settling;

/* `ticked` is called after every tick and every commit, good or bad. Stations are borrowed. */
struct settling *settling_new(uv_loop_t *loop, int64_t commit_ms, struct consumer *consumer,
                              struct history *history, void (*ticked)(void *arg), void *arg);

/* When all learned so far is durable, or with the error why it is not. */
typedef void (*settling_cb)(const struct error *err, void *arg);
void settling_commit(struct settling *settling, settling_cb committed, void *arg);

/* Why what is learned does not become durable: the last commit failed, or the one under way takes
 * longer than SETTLING_LATE_MS. NULL: it does. */
#define SETTLING_LATE_MS 10000
const char *settling_trouble(const struct settling *settling);
const struct settling_figures *settling_figures(const struct settling *settling);

/* No more commits: whoever waits for one is told with an error, and whoever asks later when it is
 * freed. For the end, before those who may wait are freed. */
void settling_close(struct settling *settling);
bool settling_is_closed(const struct settling *settling);

/* Waits for a commit under way. */
void settling_free(struct settling *settling, void (*freed)(void *arg), void *arg);

#endif
