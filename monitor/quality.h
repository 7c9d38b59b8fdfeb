/* What lists are made of: how many items they reach, how far they stray from the well known.
 *
 * Over lists that Redis has taken, and a shadow arm's, by their first LIST_DEPTH places. Shares are
 * of all lists so far; coverage and the share of the item in most lists are of the last
 * QUALITY_WINDOW lists; diversity and novelty (model/variety.h) of the lists that were probed. Loop
 * thread. */
#ifndef FRESHET_MONITOR_QUALITY_H
#define FRESHET_MONITOR_QUALITY_H

#include "model/slate.h"
#include "monitor/response.h"

#define QUALITY_WINDOW 2048

struct quality { /* zero-initialise */
    uint64_t lists;
    uint64_t places;    /* that have an item */
    uint64_t new_items; /* places whose item has no factors */
    uint64_t fallback;  /* lists without a taste term */
    uint64_t explored;  /* places, of the whole list */
    struct response_mean diversity, novelty;
    uint32_t window[QUALITY_WINDOW][LIST_DEPTH]; /* a ring of lists; QUALITY_NO_ITEM: none there */
};
#define QUALITY_NO_ITEM UINT32_MAX

struct quality_window {
    uint32_t lists;
    uint32_t items;    /* distinct, in them */
    uint32_t top_item; /* in most of them, the smallest number of those; QUALITY_NO_ITEM: none */
    uint32_t top_lists;
};

/* novelty: of this list; NaN: not looked at, or nothing known. */
void quality_add(struct quality *quality, const struct slate_list *list, double novelty);

/* Costs a look at each place of the window: up to a millisecond. */
struct quality_window quality_window(const struct quality *quality);

#endif
