/* Churn: how much of a user's list is another when a new one takes its place.
 *
 * A rewrite is a list that Redis has taken (SLATE_STORED) in the place of another one of ours; its
 * distances come with it (struct list_change; model/overlap.h has the formulas), and are 0 for a
 * list that is the same. Sums by cause; a mean is a sum over the rewrites. A shadow arm's lists
 * replace each other in memory alone, and count in the same way. Loop thread. */
#ifndef FRESHET_MONITOR_CHURN_H
#define FRESHET_MONITOR_CHURN_H

#include "model/slate.h"

#define CHURN_RECENT 200 /* rewrites after events that the recent mean is of */

#define CHURN_HOLDS 8 /* room for the reasons of publisher/budget.h */

struct churn_sums {
    uint64_t rewrites;
    uint64_t changed;    /* of those, with other items or in another order */
    uint64_t gone;       /* items that left because they had to: used, blocked, expired, excluded */
    double jaccard, rbo; /* of the distances */
    uint64_t net_rewrites;       /* those of which it is known what had to leave: not a shadow's */
    double net_jaccard, net_rbo; /* over them */
};

struct churn { /* zero-initialise */
    struct churn_sums causes[CAUSE_COUNT];
    uint64_t first;             /* lists that took no other's place */
    uint64_t held[CHURN_HOLDS]; /* lists that were held back, by list->hold */
    float recent[CHURN_RECENT]; /* 1 - RBO of the latest rewrites after events, a ring */
    uint64_t recent_count;      /* ever */
};

/* A list that Redis has, or a shadow arm's; `change->net_rbo` NaN: nothing is known of that. */
void churn_add(struct churn *churn, enum slate_cause cause, bool changed,
               const struct list_change *change);

void churn_add_held(struct churn *churn, int hold);

/* Over all causes. */
struct churn_sums churn_total(const struct churn *churn);

/* Mean 1 - RBO of the last CHURN_RECENT rewrites after events; 0 before there are so many. */
double churn_recent(const struct churn *churn);

#endif
