/* Online accuracy: before an event is learned, where does its item stand in the list then live?
 *
 * For each interaction, and apart for those whose item is new to the user (neither in the kept
 * history nor in the seen set): hit@10, hit@20 and reciprocal rank (1/rank within the first 20,
 * else 0) of the item in
 *
 *   freshet     the user's last acknowledged list; for a user without one, the popular list last
 * sent popular     items by all-time count recent[h]   items by decayed count, at each half-life of
 * the bank
 *
 * The baselines leave out what the user has seen, so they get the same help as our lists do, and an
 * item the user comes back to is a miss for them. They are taken from top lists of BASELINE_DEPTH
 * items (equal counts: the smaller item number first; items without events: not at all), renewed
 * between batches once there was an event for every ACCURACY_ITEMS_PER_EVENT items, so that the
 * cost is a small constant per event whatever the catalogue, and every batch while that is small.
 * docs/METRICS.md has the formulas. Loop thread. */
#ifndef FRESHET_MONITOR_ACCURACY_H
#define FRESHET_MONITOR_ACCURACY_H

#include "model/history.h"

#define BASELINE_DEPTH 512 /* a user who has seen all of these gets a miss */
#define ACCURACY_ITEMS_PER_EVENT 64
#define ACCURACY_RANK_MAX 20

struct accuracy_count {
    uint64_t events, hits10, hits20;
    double reciprocal_ranks;
};

enum accuracy_scope { ACCURACY_ALL, ACCURACY_NEW, ACCURACY_SCOPES };
enum accuracy_method {
    ACCURACY_FRESHET,
    ACCURACY_POPULAR,
    ACCURACY_RECENT, /* + half-life index */
    ACCURACY_METHODS = ACCURACY_RECENT + HALF_LIFE_COUNT
};

struct accuracy {
    struct accuracy_count counts[ACCURACY_SCOPES][ACCURACY_METHODS];
    /* the rest is private */
    uint32_t *top[ACCURACY_METHODS]; /* [BASELINE_DEPTH] item numbers, best first; FRESHET: the
                                        popular list sent, as long as it was */
    uint32_t top_count[ACCURACY_METHODS];
    double *scratch; /* [scratch_capacity] an item's count by one method */
    uint32_t scratch_capacity;
    uint64_t events_since_renewal;
    uint64_t *seen; /* [seen_words] bit per item: the user under observation knows it; else zeros */
    uint32_t seen_words;
};

void accuracy_deinit(struct accuracy *accuracy);

/* Before a batch is learned: renews the baselines if it is time. */
void accuracy_renew(struct accuracy *accuracy, const struct history *history, uint32_t items);

/* The list for users who have none of their own. */
void accuracy_set_popular(struct accuracy *accuracy, const uint32_t *items, uint32_t count);

/* A history_observer's work. `before` NULL: a new user. */
void accuracy_observe(struct accuracy *accuracy, const struct user_record *before, uint32_t item);

/* The half-life whose recent list has most hit@20 on new items so far. */
int accuracy_best_half_life(const struct accuracy *accuracy);

#endif
