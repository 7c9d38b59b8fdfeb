/* How far a list is from the one that Redis last acknowledged, by Jaccard@k and RBO
 * (model/overlap.h), and the same without the items that left because their user may not have them
 * any more: used, blocked, expired, excluded. docs/METRICS.md has the formulas.
 *
 * The two lists meet once: what of the old one is in the new one, and where, says both; only what
 * is not there has to be asked whether it could be. One thread at a time. */
#ifndef FRESHET_MODEL_LIST_CHANGE_H
#define FRESHET_MODEL_LIST_CHANGE_H

#include "model/columns.h"
#include "model/overlap.h"
#include "model/slate.h"

struct list_comparing { /* scratch; zero-initialise */
    uint32_t *now;      /* [now_capacity] items of the new list */
    uint32_t now_capacity;
    struct marks hidden; /* columns */
    struct overlapping overlapping;
};

void list_comparing_deinit(struct list_comparing *comparing);

/* Sets list->changed, and list->change, which is zeroes before. hidden: [hidden_count] ascending
 * columns that this user may not have. The list has a record, and its items. */
void list_compare(struct list_comparing *comparing, const struct columns *columns,
                  const uint32_t *hidden, size_t hidden_count, struct slate_list *list);

#endif
