/* Choosing the best of a few hundred scores. Internal to topn.
 *
 * Scores and columns lie apart, so that a pass over the scores alone is a few vector instructions.
 * Arrays have room for TOPN_SPARE more than they hold, which some of this writes to.
 * Nothing here is given a NaN. */
#ifndef FRESHET_MODEL_TOPN_SELECT_H
#define FRESHET_MODEL_TOPN_SELECT_H

#include "base/kernel.h"
#include "model/topn.h"

#include <stdbool.h>

#define TOPN_SPARE 16
#define TOPN_PENDING 0x80000000u /* in a column: the score is a filter's, less its doubt */

struct topn_passing {        /* what a filter lets through of a panel */
    const float *scores;     /* [a multiple of 16], 64-byte aligned */
    const uint32_t *columns; /* the same number */
    uint64_t bits;           /* which */
    float doubt;             /* how far the scores may err */
};

/* The passes over all, in a form for each kernel; all give the same. */
struct topn_select {
    /* The n-th score from above, or, found sooner, one of the next `more`; 0 < n <= count. */
    float (*nth)(float *scores, size_t count, size_t n, size_t more);
    /* Moves those that are not below `least` to the front, in order; returns how many. */
    size_t (*keep)(float *scores, uint32_t *columns, size_t count, float least);
    /* Writes down those of the bits, as pending; returns how many. */
    size_t (*take)(float *scores, uint32_t *columns, const struct topn_passing *from);
    /* ranks[i]: how many scores are above the i-th. Has the same room to spare. */
    void (*rank)(float *scores, size_t count, uint32_t *ranks);
};
const struct topn_select *topn_select_for(enum kernel kernel); /* one that is available */

size_t topn_keep_avx512(float *scores, uint32_t *columns, size_t count, float least);
size_t topn_take_avx512(float *scores, uint32_t *columns, const struct topn_passing *from);

/* The order of lists: the higher score first, then the smaller id. The column decides between equal
 * ids, which no caller has, so that the order is total whatever comes in. */
bool topn_beats(const struct topn_entry *a, const struct topn_entry *b, const struct slice *ids);

void topn_sort(struct topn_entry *entries, size_t count, const struct slice *ids);

#endif
