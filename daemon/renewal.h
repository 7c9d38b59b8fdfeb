/* Renewals: lists that are owed for another reason than an event, sent again at a pace.
 *
 * After a swap, after a start, after Redis lost its data, for `freshet publish --all`, and by the
 * slow sweep that renews expiries, a scan of the state says who is owed (or everybody); they are
 * queued on the line most recently active first, never faster than the pace and never so many at
 * once that events wait. A request that comes while one is under way begins again with the wider of
 * both. Loop thread. */
#ifndef FRESHET_DAEMON_RENEWAL_H
#define FRESHET_DAEMON_RENEWAL_H

#include "daemon/line.h"

#define REFUSED_RETRY_MS 30000 /* after Redis refused a list: then those owed are looked for */

struct renewal_settings {
    double pace; /* lists a second; 0: so that a run takes `span_ms` */
    int64_t span_ms;
    int64_t active_ms; /* leave out users whose last event is older, in stream time; 0: nobody */
    size_t backlog;    /* queued renewals at most */
};

struct renewal;
struct renewal *renewal_new(uv_loop_t *loop, const struct renewal_settings *settings,
                            struct line *line, struct history *history);
void renewal_free(struct renewal *renewal, void (*freed)(void *arg), void *arg);

/* `all`: everybody kept, not only active users that are owed a list. */
void renewal_start(struct renewal *renewal, enum slate_cause cause, bool all);
bool renewal_running(const struct renewal *renewal);
size_t renewal_left(const struct renewal *renewal); /* users not yet queued; 0 while scanning */

/* When the run (started before) has queued its last user: then ask line_when_sent. */
void renewal_when_queued(struct renewal *renewal, void (*queued)(void *arg), void *arg);

#endif
