/* Swaps: another generation, or other arms, from one slate to the next.
 *
 * A candidate generation is read, checked and prepared on a worker; a refused one is counted and
 * left. For the others, and for arms that change, the swap (a count, and which generation is live)
 * becomes durable while lists go on as they were; then, between two slates, the pointers change and
 * every active user whom it concerns is owed a list. So no list is ever published under a swap that
 * a crash could take back, and none waits for the disk. One at a time; requests queue. Each series
 * of generations (model/history.h) is looked after by itself. Loop thread. */
#ifndef FRESHET_DAEMON_SWAPPER_H
#define FRESHET_DAEMON_SWAPPER_H

#include "daemon/line.h"
#include "daemon/renewal.h"

struct swapper_parts { /* borrowed */
    struct line *line;
    struct history *history;
    struct scorers *scorers;
    struct publisher *publisher;
    struct renewal *renewal;
    struct watch *watch;
};

struct swapper;
struct swapper *swapper_new(uv_loop_t *loop, const char *state_dir, size_t keep,
                            const struct swapper_parts *parts);
void swapper_free(struct swapper *swapper, void (*freed)(void *arg), void *arg);

/* Other scorers from now on; while the line is held. */
void swapper_set_scorers(struct swapper *swapper, struct scorers *scorers);

/* The live generation of each series that `scorers` has none of, from the disk into memory, or as
 * `old` (NULL: none) has it. A file that cannot be read is told in the log, and its arms' lists are
 * trend lists until the next generation. Blocks while it reads; nothing may be scored. */
void swapper_restore(struct swapper *swapper, struct scorers *scorers, const struct scorers *old);

/* Looks for generations newer than any considered so far, and considers them. */
void swapper_look(struct swapper *swapper);

/* Makes this generation of an arm's series live whatever the gate said (rollback). `done` once,
 * from the loop. */
typedef void (*swapper_cb)(const struct error *err, void *arg);
void swapper_force(struct swapper *swapper, uint64_t series, uint64_t number, swapper_cb done,
                   void *arg);

/* Users are given other arms, or arms do something else: `apply` is called once that is durable,
 * while nothing is scored; then every active user is owed a list. Not called if the daemon stops
 * before. A second request before the first is applied takes its place. */
void swapper_change_arms(struct swapper *swapper, void (*apply)(void *arg), void *arg);
bool swapper_busy(const struct swapper *swapper);

#endif
