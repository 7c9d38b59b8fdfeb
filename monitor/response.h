/* Responsiveness: how soon, and how much, lists answer to events.
 *
 * Event to list: wall time from the oldest event that a list answers to Redis' acknowledgement,
 * once from its Kafka record's timestamp and once from the event's own time. Events to change: how
 * many events of his a user's list took to become another one. What his factors make of an event
 * comes with the list, for the few that were probed (model/probe.h). Loop thread. */
#ifndef FRESHET_MONITOR_RESPONSE_H
#define FRESHET_MONITOR_RESPONSE_H

#include "model/slate.h"
#include "monitor/histogram.h"

#define RESPONSE_EVENTS_MAX 16 /* told apart */

struct response_mean {
    uint64_t count;
    double sum;
};

struct response { /* zero-initialise */
    struct histogram record_ms, ts_ms;
    /* changes[n]: lists that became another with the n-th event since they last had; 0: none, the
     * last: that many events or more. */
    uint64_t changes[RESPONSE_EVENTS_MAX + 1];
    struct response_mean to_change; /* events */
    struct response_mean gap_closed, neighbour_lift, drift;
};

/* A list that Redis has. */
void response_add(struct response *response, const struct slate_list *list, int64_t wall_ms);

/* What the list's probe says, if it had one; a shadow arm's, too. */
void response_add_probe(struct response *response, const struct slate_list *list);

/* NaN if there is nothing. */
double response_mean(const struct response_mean *mean);

#endif
