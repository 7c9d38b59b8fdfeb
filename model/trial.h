/* What the lists of an arm achieve: a trial, its sums over users, and what an event adds to them.
 *
 * A trial is named by a 64-bit number that stands for an experiment and an arm of it. A counted
 * event is one whose item was new to its user; its outcome is where that item stood in the list
 * then live. A user counts in one trial at a time, and begins with zeros in each. Besides the plain
 * sums there are those of the users' squares and products, from which the variance of a ratio over
 * users that are drawn, not events, can be had at any time: with n a user's events, h hits, p =
 * hits / events, N = events, U = users,
 *
 *   var(p) = (hh - 2 p nh + p^2 nn) / N^2 * U / (U - 1)      (the delta method; Deng, Knoblich, Lu:
 *                                                             "Applying the Delta Method in Metric
 *                                                             Analytics", KDD 2018, eq. 3)
 *
 * What is of whole numbers stays exact when a user is taken out again (below 2^53); reciprocal
 * ranks come back to within a rounding of each step, and to zero with the last user. Pure
 * functions. */
#ifndef FRESHET_MODEL_TRIAL_H
#define FRESHET_MODEL_TRIAL_H

#include <stdint.h>

#define TRIAL_RANK_MAX 20 /* a list counts so far */
#define TRIALS_MAX 64     /* kept of a partition; the least recently touched leaves */

struct outcome {    /* of one event */
    uint64_t trial; /* 0: there is nothing to count */
    uint32_t rank;  /* of the item in the list then live, from 1; 0: not among TRIAL_RANK_MAX */
};

struct trial_counts { /* a user's, in the trial he is in; all zero: in none yet */
    uint64_t trial;
    int64_t begun; /* offset of the first event counted */
    uint32_t events, hits10, hits20;
    uint32_t reserved;
    double rr; /* sum of 1 / rank */
};

struct trial_sums {
    uint64_t users, events, hits10, hits20;
    double rr;
    double nn, nh, hh, nr, r2; /* over users: n^2, n h, h^2, n r, r^2; n events, h hits20, r rr */
};

/* A user's counts after one more event, at `offset`: zeros first if the trial is another. */
struct trial_counts trial_count(const struct trial_counts *before, const struct outcome *outcome,
                                int64_t offset);

/* The sums with a user whose counts were `before` and are `after`; each may be empty (events 0). */
void trial_replace(struct trial_sums *sums, const struct trial_counts *before,
                   const struct trial_counts *after);
void trial_add(struct trial_sums *sums, const struct trial_counts *counts);    /* a user comes */
void trial_remove(struct trial_sums *sums, const struct trial_counts *counts); /* and goes */

/* Both partitions together. */
void trial_merge(struct trial_sums *sums, const struct trial_sums *other);

#endif
