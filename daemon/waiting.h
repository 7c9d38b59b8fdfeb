/* Who waits for a list: users with events first, then those owed one for another reason.
 *
 * A user waits once, at the place and for the cause that he first got; whether a list is wanted
 * that may not be held back is kept beside it. An event may be made to wait for others of its user
 * (`delay_ms`, lists.debounce): then they share one list. Each user is pinned from waiting_add
 * until the caller, who got him by waiting_next, unpins him. Loop thread.
 */
#ifndef FRESHET_DAEMON_WAITING_H
#define FRESHET_DAEMON_WAITING_H

#include "model/history.h"
#include "model/slate.h"

#include <uv.h>

#define WAITING_MAX \
    200000 /* users in memory only because they wait; beyond, they are found by a scan */

struct waiting;

/* `due`: users who had to wait for others of their events no longer do. */
struct waiting *waiting_new(uv_loop_t *loop, struct history *history, void (*due)(void *arg),
                            void *arg);
void waiting_free(struct waiting *waiting, void (*freed)(void *arg), void *arg);

/* False if there is no room; the state knows that the user is owed. Without a delay, whoever was
 * made to wait before no longer is. */
bool waiting_add(struct waiting *waiting, struct user *user, enum slate_cause cause,
                 int64_t delay_ms);
struct user *waiting_next(struct waiting *waiting); /* NULL: nobody, now */

bool waiting_has_fresh(const struct waiting *waiting);  /* for an event, and due */
bool waiting_has_any(const struct waiting *waiting);    /* due */
size_t waiting_count(const struct waiting *waiting);    /* waiting or under way */
size_t waiting_renewals(const struct waiting *waiting); /* of those, not for an event */

/* A list that was asked for by waiting_next is sent, or its user waits again. */
void waiting_resolve(struct waiting *waiting, enum slate_cause cause);

/* Who was made to wait for later events no longer is; who comes may be again. */
void waiting_release(struct waiting *waiting);

/* From now on nobody is made to wait for later events. */
void waiting_hurry(struct waiting *waiting);

/* When all users who wait now have been resolved: ok, or not if Redis went away meanwhile. Nobody
 * of them is made to wait for later events any more. Told by waiting_tell, which the line calls
 * after every slate (ok), and when lists were not sent. */
typedef void (*waiting_sent_cb)(bool ok, void *arg);
void waiting_when_sent(struct waiting *waiting, waiting_sent_cb sent, void *arg);
void waiting_tell(struct waiting *waiting, bool ok);

#endif
