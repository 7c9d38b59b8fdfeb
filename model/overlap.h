/* How alike two lists are: what churn is measured with.
 *
 *   Jaccard distance at k   1 - |A n B| / |A u B| of the first k of each
 *   RBO                     rank-biased overlap, extrapolated to the shorter list's depth s
 * (Webber, Moffat, Zobel 2010, equation 30 with l = s): RBO = p^s A_s + (1 - p)/p sum over d = 1..s
 * of p^d A_d, A_d the share of the first d that the lists have in common
 *
 * A list names an item once. Both are symmetric; time grows with the lists' length, not its square.
 * Pure functions. */
#ifndef FRESHET_MODEL_OVERLAP_H
#define FRESHET_MODEL_OVERLAP_H

#include <stdint.h>

#define OVERLAP_P 0.9
#define OVERLAP_K 20 /* of the Jaccard distance, where churn is one number */

struct overlap {
    double jaccard_distance; /* at k */
    double rbo;
};

#define OVERLAP_NOWHERE UINT32_MAX

/* Where in b each item of a is; places: [a_count]. */
void overlap_places(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count,
                    uint32_t *places);

/* Of a list whose items have these places in another, of b_count items. */
struct overlap overlap_at(const uint32_t *places, uint32_t a_count, uint32_t b_count, uint32_t k,
                          double p);

/* The same of two lists. */
struct overlap overlap_of(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count,
                          uint32_t k, double p);

/* 1 for equal lists and for two empty ones, 0 for lists with nothing in common. */
double overlap_rbo(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count,
                   double p);

/* 0 if both are empty. */
double overlap_jaccard_distance(const uint32_t *a, uint32_t a_count, const uint32_t *b,
                                uint32_t b_count, uint32_t k);

#endif
