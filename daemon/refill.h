/* Redis has lost our lists: who is still to be published again.
 *
 * A run of the renewal reaches users of the partitions that are assigned; Redis may be found empty
 * before any is. So each partition lacks its lists until a run went through while it was assigned.
 * Not durable: the publisher keeps in Redis itself that a refill has begun and is not done, so that
 * after a crash it begins again. Loop thread; zero-initialise but for what is borrowed. */
#ifndef FRESHET_DAEMON_REFILL_H
#define FRESHET_DAEMON_REFILL_H

#include "daemon/renewal.h"

struct refill {
    struct history *history; /* borrowed, like the next two */
    struct line *line;
    struct renewal *renewal;
    bool lacks[PARTITIONS_MAX]; /* by partition */
};

/* Every list is gone. */
void refill_begin(struct refill *refill);

/* Partitions were assigned: publishes what their users are owed, or all if they lack their lists.
 */
void refill_assigned(struct refill *refill);

/* Whether all is published again, of every partition that the state knows. */
bool refill_is_done(struct refill *refill);

#endif
