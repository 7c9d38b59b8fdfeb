/* Choosing the best of a few hundred entries. Internal to topn. */
#ifndef FRESHET_MODEL_TOPN_SELECT_H
#define FRESHET_MODEL_TOPN_SELECT_H

#include "model/topn.h"

#include <stdbool.h>

/* The order of lists: the higher score first, then the smaller id. The column decides between equal
 * ids, which no caller has, so that the order is total whatever comes in. */
bool topn_beats(const struct topn_entry *a, const struct topn_entry *b, const struct slice *ids);

/* Moves the best `wanted` <= count to the front, in any order. No score is a NaN. */
void topn_select_best(struct topn_entry *entries, size_t count, size_t wanted,
                      const struct slice *ids);

/* The n-th score from above, or, found sooner, one of the next `more`; 0 < n <= count. No score is
 * a NaN. */
float topn_nth(const struct topn_entry *entries, size_t count, size_t n, size_t more);

void topn_sort(struct topn_entry *entries, size_t count, const struct slice *ids);

#endif
