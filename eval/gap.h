/* How much of what an event says the user's factors take up: the response gap closed,
 *
 *   (s' - s) / (1 - s),     s = x_u.y_i just before the event with item i, s' just after it,
 *
 * since 1 is what the objective wants of an item used. The taste term alone, without its weight. */
#ifndef FRESHET_EVAL_GAP_H
#define FRESHET_EVAL_GAP_H

#include "model/columns.h"
#include "model/history.h"
#include "model/taste.h"

struct gap;

/* types: by settings index, [type_count]. */
struct gap *gap_new(struct history *history, const struct type_weight *types, uint32_t type_count,
                    enum update update, double sgd_rate);
void gap_free(struct gap *gap); /* NULL is allowed */

/* The generation to use from now on: rotated, borrowed until the next. */
void gap_set(struct gap *gap, const struct generation *generation, double rho);

/* s of an item (the history's number) for a record (NULL: 0). False: the item has no factors. */
bool gap_score(struct gap *gap, const struct user_record *record, uint32_t item, double *score);

#endif
