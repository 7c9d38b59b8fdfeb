/* Exact top-N of  a x_u.y_i + bias_i + extra_ui  for a block of users, tile by tile.
 *
 * Items are packed once per generation (topn_index) for the kernel that the processor has
 * (base/kernel.h). The kernel's product is a filter, with its rounding error allowed for; what
 * passes is scored again by topn_score, whose bits depend on the user and the item alone: not on
 * who shares the block, nor on the kernel, nor on the order of items. So lists are the same bit for
 * bit whichever kernel made them. Scores are never all in memory.
 *
 * Threshold: a user's last list, scored again, has n eligible items whose worst is a lower bound
 * (the warm threshold); without one the threshold grows as candidates are found. Panels whose
 * largest norm cannot reach it (|x| |y| + bias, Cauchy-Schwarz) are passed over.
 *
 * Extras: some items of a user (together, c C_ui > 0) score more than the dense terms say. They
 * are offered first with their full score; the exact top-N lies in the union of them and the dense
 * top-N. Items beyond the factors' rows (newer than the generation) have x.y = 0.
 * Ties go to the smaller id in byte order. Excluded and hidden items never enter, nor does a score
 * that is not a number. Any thread; scratch is the caller's, an index may be shared by readers. */
#ifndef FRESHET_MODEL_TOPN_H
#define FRESHET_MODEL_TOPN_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define TOPN_USERS_MAX \
    128 /* users per block: the items' biases are gathered once for all of them */

struct topn_index; /* the packed items of one generation; borrows Y */

/* Y: [rows, stride], 64-byte aligned, zero beyond rank; must outlive the index. NULL if memory
 * lacks. For the kernel chosen when it is made. */
struct topn_index *topn_index_new(const float *Y, size_t rows, size_t stride, int rank);
void topn_index_free(struct topn_index *index);

struct topn_items {
    const struct topn_index *index; /* NULL if there is no generation */
    const float *bias;              /* [count]: by column; columns 0..rows-1 are Y's rows */
    size_t count;                   /* columns in all: rows, then newer items */
    const struct slice *ids;        /* [count]: for ties */
    const uint64_t *excluded;       /* bit per column: nobody gets it; NULL: none */
};

struct topn_extra {
    uint32_t column;
    float value; /* > 0, added to a x.y + bias */
};

struct topn_user {
    const float *x;         /* [stride], zero beyond rank, already times a; NULL: bias and extras
                             alone */
    const uint32_t *hidden; /* [hidden_count] columns this user does not get, ascending */
    size_t hidden_count;
    const struct topn_extra *extras; /* [extra_count], each column once */
    size_t extra_count;
    const uint32_t *last; /* [last_count] columns of an earlier list, in any order, each once; a
                             hint for speed alone, and no matter if it is no column */
    size_t last_count;
};

struct topn_entry {
    uint32_t column;
    float score;
};

/* The score of one pair, the one that lists hold: (x.y + bias) + extra, in this order, x.y by
 * fused multiply-add in an order that is the same everywhere. x NULL: no product. */
float topn_score(const struct topn_items *items, const float *x, uint32_t column, float extra);

struct topn_scratch;
struct topn_scratch *topn_scratch_new(void);
void topn_scratch_free(struct topn_scratch *scratch);

/* out: [users, n]; counts: [users], fewer than n only if fewer are eligible. users <=
 * TOPN_USERS_MAX. */
void topn(const struct topn_items *items, const struct topn_user *users, size_t user_count,
          uint32_t n, struct topn_entry *out, uint32_t *counts, struct topn_scratch *scratch);

#endif
