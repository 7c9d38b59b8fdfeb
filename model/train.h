/* `freshet train`: a snapshot of the state -> one generation file, in a process of its own.
 *
 * 1. Copy the histories out of one read view, close it. 2. Order all interactions by (ts, user id),
 * cut at TRAIN_TAIL: train on the part before, rebuild item sums there, and on a bounded sample of
 * the events after it (each ranked in the list live just before it, learned then; items new to the
 * user) fit the score's weights over a coarse grid and judge the candidate and the running
 * generation alike (NDCG@20). Weights switch from the running generation's only if better by a
 * standard error. 3. Finish warm on everything.
 * 4. The gate: refused only if worse than the running generation by both `gate` (relative) and two
 * standard errors; a refused candidate is written all the same, marked, and not swapped in.
 * Equal timestamps are shuffled by the seed when judging. Idle priority is set by the caller. */
#ifndef FRESHET_MODEL_TRAIN_H
#define FRESHET_MODEL_TRAIN_H

#include "model/als.h"
#include "model/generation.h"
#include "model/state.h"

#define TRAIN_TAIL 0.9         /* share of the interactions before the cut */
#define TRAIN_TAIL_EVENTS 2000 /* sampled from the tail, at most */

struct train_settings {
    struct state_settings state;
    struct slice topic;
    struct als_settings als; /* iterations: from a cold start */
    int warm_iterations;     /* from the running generation's factors */
    double gate;             /* e.g. 0.05 */
    uint64_t seed;
    double rho;                      /* 0: fitted */
    double trend_weight;             /* negative: fitted */
    int trend_half_life;             /* negative: fitted */
    const struct type_weight *types; /* by settings index, [type_count] */
    const char *const *type_names;
    uint32_t type_count;
    uint64_t interactions_min; /* fewer: ERR_DATA */
};

struct train_report {
    const char *stage;              /* "reading", "tail", "fitting", "finishing", "writing" */
    const struct als_progress *als; /* in "tail" and "finishing", else NULL */
};
typedef void (*train_progress_cb)(const struct train_report *report, void *arg);

/* Writes the file and returns what it wrote (caller frees). */
int train_run(const struct train_settings *settings, train_progress_cb progress, void *arg,
              struct generation **written, struct error *err);

#endif
