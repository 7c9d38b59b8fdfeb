/* The loop's pulse: a timer that measures how late the loop is, and tells the service manager that
 * it turns.
 *
 * Every PULSE_MS it is due, and what it is late by is how long something else held the loop. Exact
 * to about a millisecond, the loop's own. Loop thread. */
#ifndef FRESHET_DAEMON_PULSE_H
#define FRESHET_DAEMON_PULSE_H

#include "monitor/histogram.h"

#include <uv.h>

#define PULSE_MS 200

struct pulse {
    uv_timer_t timer;
    int64_t due_ns;
    int64_t told_ns; /* the service manager, last */
    struct histogram lateness;
};

/* pulse_init makes the handle, which pulse_close gives back. */
void pulse_init(struct pulse *pulse, uv_loop_t *loop);
void pulse_start(struct pulse *pulse);
void pulse_close(struct pulse *pulse);

#endif
