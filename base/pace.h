/* How work in the background leaves the processors to others: in slices of PACE_SLICE_NS, between
 * which it rests.
 *
 * An idle priority alone is not enough. Who works at it is put aside at once for whoever wakes on
 * the same processor; but where all processors are taken, by him too, Linux no longer looks for one
 * to wake on (kernel/sched/fair.c, select_idle_cpu), and others queue behind each other beside the
 * one that he is on. So he measures how much of a slice he got, and works for as large a share of
 * the time, PACE_SHARE_LEAST at least: on a machine with nothing else to do, all of it.
 *
 * One struct pacing a thread; any thread. */
#ifndef FRESHET_BASE_PACE_H
#define FRESHET_BASE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_SLICE_NS 4000000
#define PACE_SHARE_LEAST 0.25

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

/* How long to rest after a slice that took `worked_ns`, of which the thread ran for `ran_ns`. */
int64_t pace_rest_ns(struct pace pace, int64_t worked_ns, int64_t ran_ns);

#endif
