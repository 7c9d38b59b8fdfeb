/* Swapping generations: from a file on the disk to the factors that lists are made of.
 *
 * A candidate is read, checked and prepared on a worker; a refused one is counted and left. For the
 * others: the swap (a count, and which generation is live) becomes durable while lists go on under
 * the old generation; then, between two slates, the pointer changes and every active user is owed a
 * list. So no list is ever published under a swap that a crash could take back, and none waits for
 * the disk. One at a time; requests queue. Loop thread. */
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
