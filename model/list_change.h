/* How far a list is from the one that Redis last acknowledged, by Jaccard@k and RBO
 * (model/overlap.h), and the same without the items that left because their user may not have them
 * any more: used, blocked, expired, excluded. docs/METRICS.md has the formulas.
 *
 * The two lists meet once: what of the old one is in the new one, and where, says both; only what
 * is not there has to be asked whether it could be. One thread at a time. */
#ifndef FRESHET_MODEL_LIST_CHANGE_H
#define FRESHET_MODEL_LIST_CHANGE_H

#include "base/marks.h"
#include "model/columns.h"
#include "model/overlap.h"
#include "model/slate.h"
#include "model/topn.h"

struct list_comparing { /* scratch; zero-initialise */
    uint32_t *now;      /* [now_capacity] columns of the new list */
    uint32_t now_capacity;
    struct marks hidden; /* columns */
    struct overlapping overlapping;
};

void list_comparing_deinit(struct list_comparing *comparing);

/* Where the columns of a list of so many items go before it is compared. */
uint32_t *list_comparing_room(struct list_comparing *comparing, uint32_t count);

/* Sets list->changed and list->change, but for `first`, which says whether there is an old list;
 * the rest of it is zeroes before. user: what he does not get, and the columns of the old list. */
void list_compare(struct list_comparing *comparing, const struct columns *columns,
                  const struct topn_user *user, struct slate_list *list);

#endif
