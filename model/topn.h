/* Exact top-N of  a x_u.y_i + bias_i  for a block of users, tile by tile.
 *
 * Items come in tiles; the products of a tile are one matrix product into a buffer that stays in
 * cache, and each user's candidates are selected from it at once, so scores are never all in
 * memory. The product is a filter, with its rounding error allowed for; what passes is scored again
 * by topn_score, whose bits depend on the user and the item alone: not on who shares the block, nor
 * on OpenBLAS's choice of kernel. Items beyond the factors' rows (newer than the generation) have
 * x.y = 0 and their bias alone. Ties go to the smaller id in byte order. Excluded items never
 * enter, nor does a score that is not a number. Any thread; scratch is the caller's. */
#ifndef FRESHET_MODEL_TOPN_H
#define FRESHET_MODEL_TOPN_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define TOPN_USERS_MAX 32 /* users per block */

struct topn_items {
    const float *Y; /* [rows, stride]; NULL if there is no generation */
    size_t rows, stride;
    int rank;
    double norm_max;          /* topn_norm_max of Y; 0: found out in each call */
    const float *bias;        /* [count]: by column; columns 0..rows-1 are Y's rows */
    size_t count;             /* columns in all: rows, then newer items */
    const struct slice *ids;  /* [count]: for ties */
    const uint64_t *excluded; /* bit per column: nobody gets it; NULL: none */
};

struct topn_user {
    const float *x;         /* [stride], already times a; NULL: bias alone */
    const uint32_t *hidden; /* [hidden_count] columns this user does not get, ascending */
    size_t hidden_count;
};

struct topn_entry {
    uint32_t column;
    float score;
};

/* The score of one pair, the one that lists hold. x NULL: the bias. */
float topn_score(const struct topn_items *items, const float *x, uint32_t column);

/* The largest |y| of the rows, once per generation. */
double topn_norm_max(const float *Y, size_t rows, size_t stride, int rank);

struct topn_scratch;
struct topn_scratch *topn_scratch_new(void);
void topn_scratch_free(struct topn_scratch *scratch);

/* out: [users, n]; counts: [users], fewer than n only if fewer are eligible. users <=
 * TOPN_USERS_MAX. */
void topn(const struct topn_items *items, const struct topn_user *users, size_t user_count,
          uint32_t n, struct topn_entry *out, uint32_t *counts, struct topn_scratch *scratch);

#endif
