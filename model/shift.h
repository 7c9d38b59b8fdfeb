/* How far users move with a swap: the old generation's fold-ins against the new one's.
 *
 * Of at most SHIFT_USERS users in memory who have a list and factors in both generations, over
 * those of the list's first LIST_DEPTH items that have factors in both, by the taste term alone,
 * without its weight:
 *
 *   score distance   mean over users of the mean over items of |x.y_i - x'.y'_i|
 *   rank distance    mean over users of 1 - RBO (model/overlap.h) of these items in the order of
 *                    the old scores and in that of the new; equal scores: by item number
 *
 * Costs two fold-ins a user, a millisecond or so in all. Loop thread, while nothing is scored. */
#ifndef FRESHET_MODEL_SHIFT_H
#define FRESHET_MODEL_SHIFT_H

#include "model/scorer.h"

#define SHIFT_USERS 64
#define SHIFT_LOOKED_AT 512 /* users in memory, to find so many */

struct shift_figures {
    uint64_t from, to; /* generations; 0: none */
    uint32_t users;    /* looked at; 0: the rest is NaN, or nothing was done */
    double score_distance, rank_distance;
};

struct shift;

/* Before the scorer gets another generation: takes down what the old one says. */
struct shift *shift_begin(struct scorer *scorer);

/* After. Nothing was learned in between. Frees `shift`. */
void shift_end(struct shift *shift, struct scorer *scorer, struct shift_figures *figures);

#endif
