/* Swapping generations: from a file on the disk to the factors that lists are made of.
 *
 * A candidate is read, checked and rotated on a worker; a refused one is counted and left. For the
 * others: scoring holds still, the swap (a count, and which generation is live) becomes durable,
 * the pointer changes, scoring goes on, and every active user is owed a list. Holding over the
 * commit keeps versions honest: no list is ever published under a swap that a crash could take
 * back. One at a time; requests queue. Loop thread. */
#ifndef FRESHET_DAEMON_SWAPPER_H
#define FRESHET_DAEMON_SWAPPER_H

#include "daemon/line.h"
#include "daemon/renewal.h"

struct swapper;
struct swapper *swapper_new(uv_loop_t *loop, const char *state_dir, size_t keep, struct line *line,
                            struct history *history, struct scorer *scorer,
                            struct publisher *publisher, struct renewal *renewal);
void swapper_free(struct swapper *swapper, void (*freed)(void *arg), void *arg);

/* At start, before the line moves: the live generation back into memory. A file that cannot be read
 * is told in the log, and lists are trend lists until the next generation. Blocks while it reads.
 */
void swapper_restore(struct swapper *swapper);

/* Looks for a generation newer than any considered so far, and considers it. */
void swapper_look(struct swapper *swapper);

/* Makes this generation live whatever the gate said (rollback). `done` once, from the loop. */
typedef void (*swapper_cb)(const struct error *err, void *arg);
void swapper_force(struct swapper *swapper, uint64_t number, swapper_cb done, void *arg);
bool swapper_busy(const struct swapper *swapper);

#endif
