/* How work in the background leaves the processors to others: in slices of PACE_SLICE_NS, between
 * which it rests.
 *
 * An idle priority alone is not enough. A thread that has it makes way at once for another that
 * wakes on its processor. But where all processors are taken, with its help, Linux no longer looks
 * for one to wake on (kernel/sched/fair.c, select_idle_cpu), and other threads queue behind each
 * other while the idle one goes on beside them. So a thread measures for which share of a slice it
 * ran, and works for as large a share of the time, PACE_SHARE_LEAST at least. Whoever always runs
 * does not rest; waiting for a disk counts as waiting for others, too.
 *
 * One struct pacing a thread; any thread. */
#ifndef FRESHET_BASE_PACE_H
#define FRESHET_BASE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_SLICE_NS 4000000
#define PACE_SHARE_LEAST 0.25
#define PACE_REST_LEAST_NS 100000              /* a shorter sleep is not worth its wake-up */
#define PACE_REST_MOST_NS INT64_C(10000000000) /* whatever the duty */

struct pace {
    double duty; /* the share of time to work at most, (0, 1] */
    bool yields; /* less, where others want the processor */
};

struct pacing {
    struct pace pace;
    int64_t began_ns, began_cpu_ns; /* of the slice */
};

void pacing_begin(struct pacing *pacing, struct pace pace);

/* Between two pieces of work; rests at the end of a slice. */
void pacing_rest(struct pacing *pacing);

/* After the last piece: rests for what is left of a slice. */
void pacing_end(struct pacing *pacing);

/* How long to rest after a slice that took `worked_ns`, of which the thread ran for `ran_ns`. */
int64_t pace_rest_ns(struct pace pace, int64_t worked_ns, int64_t ran_ns);

#endif
