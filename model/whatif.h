/* What if: the list that a user would get had he just had some events, beside the one he would get
 * as things are.
 *
 * The events are supposed at stream time, one after the other, as the next of their partition:
 * his history, the item sums behind trend and together, and co-occurrence become what
 * history_learn would make of them, and are what they were afterwards. So the list is the one that
 * would be published after such events, if nothing else came (scores to a rounding or two of
 * float64 in the item sums).
 *
 * May run wherever scorer_run may, not at the same time as it; costs two lists, and a copy of the
 * pointers to one partition's co-occurrence tables. */
#ifndef FRESHET_MODEL_WHATIF_H
#define FRESHET_MODEL_WHATIF_H

#include "model/explain.h"

#define WHATIF_ITEMS_MAX 32

struct whatif_place {
    uint32_t item;
    uint32_t before, after;          /* ranks from 1; 0: not in that list */
    float score_before, score_after; /* 0 where it is not in it */
};

struct whatif {
    struct slice arm; /* the scorer's */
    int64_t now_ms;
    uint64_t generation;
    struct whatif_place *places; /* [count]: the list after, then those that left */
    uint32_t count;
    uint32_t before_count, after_count; /* the lists' lengths */
    uint32_t entered, left, moved;
    double jaccard, rbo; /* distances: 1 - Jaccard at OVERLAP_K, 1 - RBO at OVERLAP_P */
};

/* items: [count <= WHATIF_ITEMS_MAX], known ones. type: the state's number of the events' type.
 * user: outside or inside the history; with no record for one of whom nothing is kept. ERR_DATA
 * before the first event of all, because there is no time to suppose one at. */
int whatif(struct scorer *scorer, const struct user *user, const uint32_t *items, uint32_t count,
           uint16_t type, struct whatif *out, struct error *err);
void whatif_deinit(struct whatif *whatif);

#endif
