/* What the lists do: all figures of the running daemon about events met and lists made.
 *
 * The line feeds it: each interaction before it is learned, each list when its fate is known. The
 * figures are of this process, by arm; what must outlive it (users, events and hits of a trial) is
 * the history's (model/trial.h), told by the outcome that watch_event returns. docs/METRICS.md has
 * the formulas. Loop thread. */
#ifndef FRESHET_MONITOR_WATCH_H
#define FRESHET_MONITOR_WATCH_H

#include "model/shift.h"
#include "model/trial.h"
#include "monitor/accuracy.h"
#include "monitor/churn.h"
#include "monitor/hits.h"
#include "monitor/quality.h"
#include "monitor/response.h"

struct watch;

struct watch_arm {
    struct slice name;
    uint64_t trial; /* of its events' outcomes; 0: none is counted */
    bool shadow;    /* its lists are only measured, */
    bool paused;    /* and just now not made */
};

/* arms: [count <= ARMS_MAX], copied, names borrowed for good. */
struct watch *watch_new(struct history *history, const struct watch_arm *arms, size_t count);
void watch_free(struct watch *watch);

/* Other arms from now on; those of the same name keep their figures. */
void watch_set_arms(struct watch *watch, const struct watch_arm *arms, size_t count);

/* The trials of all arms that the experiment ever had: of a user who was counted in one of them and
 * is in another arm now, no outcome is counted. [count <= TRIALS_MAX], copied. */
void watch_set_trials(struct watch *watch, const uint64_t *trials, size_t count);

/* The arm's recent churn begins anew. */
void watch_forget_churn(struct watch *watch, uint32_t arm);

/* The least value of an event whose hit counts in cHR; 1 at first. */
/* Events count in trials from `start_ms` to before `end_ms` of their own time; INT64_MIN and
 * INT64_MAX: always. */
void watch_set_span(struct watch *watch, int64_t start_ms, int64_t end_ms);

void watch_set_chr_min(struct watch *watch, double chr_min);

/* Before a batch is learned. */
void watch_batch(struct watch *watch);

/* Before an interaction is learned; `arm`: the user's. No outcome is counted of a user who was
 * counted in another of the arms before. */
struct outcome watch_event(struct watch *watch, const struct use *use, uint32_t arm);

/* Redis has the list, or a newer one, or it was held back, or it is a shadow arm's. Before the
 * user's record is told. */
void watch_list(struct watch *watch, const struct slate_list *list);

/* The popular list that is live from now on. */
void watch_popular(struct watch *watch, const uint32_t *items, uint32_t count);

/* An arm's lists are made with another generation. */
void watch_shift(struct watch *watch, uint32_t arm, const struct shift_figures *figures);

/* Partitions came or went. */
void watch_forget_baselines(struct watch *watch);

/* -- the figures ------------------------------------------------------------------------------- */

struct watch_figures {
    struct slice name; /* empty: of all published arms together */
    bool shadow;
    struct churn churn;
    struct response response;
    struct hits hits;
    struct quality quality;
    struct shift_figures shift; /* of the arm's last swap */
};

/* Of an arm, by its index, or of all that are published, those that went included. Valid until
 * watch_set_arms, and goes on counting. NULL: no such arm. */
#define WATCH_ALL UINT32_MAX
const struct watch_figures *watch_figures(const struct watch *watch, uint32_t arm);
size_t watch_arm_count(const struct watch *watch);

/* Mean 1 - RBO of an arm's latest rewrites after events; 0 before there are WATCH_CHURN_LISTS. */
#define WATCH_CHURN_LISTS CHURN_RECENT
double watch_recent_churn(const struct watch *watch, uint32_t arm);

const struct accuracy *watch_accuracy(const struct watch *watch);
const struct histogram *watch_event_to_list(const struct watch *watch); /* ms */

#endif
