/* `freshet train`: a snapshot of the state -> one generation file, in a process of its own.
 *
 * 1. Copy the histories out of one read view, close it (model/corpus.h).
 * 2. Order all interactions by (ts, user id), cut at TRAIN_TAIL, train on the part before, and on a
 *    bounded sample of the events after it fit the weights of the score's three terms and judge the
 *    candidate and the running generation alike (model/tail.h). Weights switch from the running
 *    generation's, or from train_default_weights if there is none, only if better by a standard
 *    error. A running generation that already knows too much of the tail is not judged (ndcg20_live
 *    is NaN) and the candidate then starts from nothing, too; with fewer than TAIL_EVENTS_MIN
 * events nothing is (ndcg20 is NaN) and the weights are those.
 * 3. Finish warm on everything.
 * 4. The gate: refused only if worse than the running generation by both `gate` (relative) and two
 *    standard errors of the difference; a refused candidate is written all the same, marked, and
 *    left for the daemon to pass over.
 *
 * The running generation is the one that the state names. The same snapshot, settings and seed give
 * the same file to the byte, whatever the number of threads and the order in which partitions were
 * consumed (for the same kernel: base/kernel.h). Idle priority is set by the caller.
 */
#ifndef FRESHET_MODEL_TRAIN_H
#define FRESHET_MODEL_TRAIN_H

#include "model/als.h"
#include "model/generation.h"
#include "model/state.h"
#include "model/tail.h"

#define TRAIN_TAIL 0.9            /* share of the interactions before the cut */
#define TRAIN_INTERACTIONS_MIN 50 /* fewer say nothing */
#define TRAIN_TAIL_EVENTS 3000    /* sampled from the tail, at most */

struct train_settings {
    struct state_settings state;
    struct slice topic;
    struct als_settings als; /* iterations: from a cold start */
    int warm_iterations;     /* from the running generation's factors */
    double gate;             /* e.g. 0.05 */
    uint64_t seed;
    struct tail_choice choice;       /* of the score's weights */
    uint32_t neighbours_max;         /* as in struct history_settings */
    const struct type_weight *types; /* by settings index, [type_count] */
    const char *const *type_names;
    uint32_t type_count;
    uint64_t interactions_min; /* fewer: ERR_DATA */
    uint64_t series;           /* key of the series that the generation is of: model/generation.h */
};

struct train_report {
    const char *stage;              /* "reading", "tail", "fitting", "finishing", "writing" */
    const struct als_progress *als; /* in "tail" and "finishing", else NULL */
};
typedef void (*train_progress_cb)(const struct train_report *report, void *arg);

extern const struct score_weights train_default_weights; /* when there is nothing to fit them to */

/* Writes the file, numbered one above the highest there, and returns what it wrote (caller frees).
 * ERR_DATA if there are fewer interactions than interactions_min, or none. */
int train_run(const struct train_settings *settings, train_progress_cb progress, void *arg,
              struct generation **written, struct error *err);

#endif
