/* How alike two lists are: what churn is measured with.
 *
 *   Jaccard distance at k   1 - |A n B| / |A u B| of the first k of each
 *   RBO                     rank-biased overlap, extrapolated to the shorter list's depth s
 * (Webber, Moffat, Zobel 2010, equation 30 with l = s): RBO = p^s A_s + (1 - p)/p sum over d = 1..s
 * of p^d A_d, A_d the share of the first d that the lists have in common; p = OVERLAP_P
 *
 * An item at place i in one list and j in the other is had in common from depth m = max(i, j) on,
 * so it adds the sum over d = m..s of p^d / d, of which a table has the prefixes: one pass over one
 * list says both figures.
 *
 * A list names an item once. Both are symmetric; time grows with the lists' length, and the
 * first time with the largest item's number, as memory does (base/marks.h). One thread at a time.
 */
#ifndef FRESHET_MODEL_OVERLAP_H
#define FRESHET_MODEL_OVERLAP_H

#include "base/marks.h"

#define OVERLAP_P 0.9
#define OVERLAP_K 20 /* of the Jaccard distance, where churn is one number */
#define OVERLAP_NOWHERE UINT32_MAX
#define OVERLAP_DEPTHS 512 /* p^d / d below it are nothing beside those above, in float64 */

struct overlap {
    double jaccard_distance; /* at k */
    double rbo;              /* 1: the same lists; 0: nothing in common, or only one is empty */
};

/* What lists are compared with; zero-initialise. */
struct overlapping {
    struct marks marks; /* by item: its place in the list that was laid out last */
    uint32_t *places;   /* [places_max] */
    uint32_t places_max;
    double sums[OVERLAP_DEPTHS + 1]; /* of p^d / d over d = 1..index */
};

void overlapping_deinit(struct overlapping *overlapping);

/* Where in b each item of a is, or OVERLAP_NOWHERE: [a_count], until the next call. */
uint32_t *overlap_places(struct overlapping *overlapping, const uint32_t *a, uint32_t a_count,
                         const uint32_t *b, uint32_t b_count);

/* Of a list whose items have these places in another, of b_count items. A Jaccard distance of
 * nothing is 0. */
struct overlap overlap_at(struct overlapping *overlapping, const uint32_t *places, uint32_t a_count,
                          uint32_t b_count, uint32_t k);

/* The same of two lists. */
struct overlap overlap_of(struct overlapping *overlapping, const uint32_t *a, uint32_t a_count,
                          const uint32_t *b, uint32_t b_count, uint32_t k);

#endif
