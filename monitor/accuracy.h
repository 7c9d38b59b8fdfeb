/* Online accuracy: before an event is learned, where does its item stand in the list then live?
 *
 * For each interaction, and apart for those whose item is new to the user (neither in the kept
 * history nor in the seen set): hit@10, hit@20 and reciprocal rank (1/rank within the first 20,
 * else 0) of the item in
 *
 *   freshet     the user's last acknowledged list; for a user without one, the popular list last
 *               sent
 *   popular     items by all-time count
 *   recent[h]   items by decayed count, at each half-life of the bank
 *
 * The baselines leave out what the user has seen, so they get the same help as our lists do, and an
 * item the user comes back to is a miss for them. They are lists of BASELINE_DEPTH items
 * (monitor/baselines.h), renewed between batches once the last renewal is
 * ACCURACY_RENEWAL_MS ago: events that come slowly find all before them, and their cost has a bound
 * however fast they come.
 *
 * An event costs a few comparisons: an item that stands too low in every baseline is not looked
 * for. For others the user's items are marked, once in a run of the user's events, and the first
 * ACCURACY_RANK_MAX that are left of each baseline written down. docs/METRICS.md has the formulas.
 * Loop thread. */
#ifndef FRESHET_MONITOR_ACCURACY_H
#define FRESHET_MONITOR_ACCURACY_H

#include "base/marks.h"
#include "monitor/baselines.h"

#define ACCURACY_RENEWAL_MS 100 /* docs/METRICS.md says what it costs the baselines */
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

/* The user of the last event, and what is known of him as long as he goes on. */
struct accuracy_run {
    int32_t partition;
    char user[ID_BYTES_MAX];
    uint32_t user_length;
    bool marked;          /* `known` says of every item whether he knows it */
    bool follows;         /* and will after the next event, too, if the record is as expected */
    uint64_t next_events; /* that record's count of events, */
    uint32_t next_seen;   /* and of seen items */
    uint32_t known_count;
    bool listed;                                       /* `lists` are those of the live baselines */
    uint32_t lists[BASELINE_COUNT][ACCURACY_RANK_MAX]; /* what he does not know, best first; then
                                                        * IDS_NONE */
    uint32_t list_count[BASELINE_COUNT];
    uint32_t list_next[BASELINE_COUNT]; /* where in the baseline to go on */
};

struct accuracy {
    struct accuracy_count counts[ACCURACY_SCOPES][ACCURACY_METHODS];
    /* the rest is private */
    struct baselines baselines;
    bool events_since_renewal;
    int64_t renewed_ms;
    uint32_t *popular; /* [popular_count] the popular list sent, up to ACCURACY_RANK_MAX */
    uint32_t popular_count;
    struct accuracy_run run;
    struct marks known; /* the items that the run's user knows */
};

void accuracy_deinit(struct accuracy *accuracy);

/* Before a batch is learned: renews the baselines if it is time. now_ms: of any clock that does not
 * go back. */
void accuracy_renew(struct accuracy *accuracy, const struct history *history, uint32_t items,
                    int64_t now_ms);

/* Partitions came or went: the baselines are to be taken from the history at the next renewal. */
void accuracy_forget_baselines(struct accuracy *accuracy);

/* The list for users who have none of their own. */
void accuracy_set_popular(struct accuracy *accuracy, const uint32_t *items, uint32_t count);

/* A history_observer's work. `counts`: the event counts in the item sums. Returns the item's rank
 * in our list, from 1; 0: it is not among ACCURACY_RANK_MAX. */
uint32_t accuracy_observe(struct accuracy *accuracy, const struct use *use, bool counts);

/* One more event, whose item has this rank. */
static inline void accuracy_count(struct accuracy_count *count, uint32_t rank)
{
    count->events++;
    if (rank == 0)
        return;
    count->hits10 += rank <= 10;
    count->hits20 += rank <= 20;
    count->reciprocal_ranks += 1.0 / rank;
}

/* The half-life whose recent list has most hit@20 on new items so far. */
int accuracy_best_half_life(const struct accuracy *accuracy);

#endif
