/* The lists that need no model: items by all-time count, and by decayed count at each half-life.
 *
 * Kept in order at a cost that depends on the events alone, not on the catalogue. A decayed count
 * S(now) = 2^-((now - L) / h) G falls for all items alike, so their order is that of G, a sum that
 * an event makes larger and time leaves alone (forward decay: Cormode et al. 2009); and as counts
 * only grow, nothing but the items of the last events can enter a list or rise in it. A renewal
 * sorts these and merges them in.
 *
 * Equal counts: the smaller item number first; items without events, or with a decayed count below
 * 2^-1022 of one event's: not at all. Loop thread. */
#ifndef FRESHET_MONITOR_BASELINES_H
#define FRESHET_MONITOR_BASELINES_H

#include "model/history.h"

#define BASELINE_DEPTH 512

enum baseline {
    BASELINE_POPULAR,
    BASELINE_RECENT, /* + half-life index */
    BASELINE_COUNT = BASELINE_RECENT + HALF_LIFE_COUNT
};

struct baseline_entry {
    double count; /* as of the renewal, relative to the landmark */
    uint32_t item;
};

struct baseline_list {
    struct baseline_entry top[BASELINE_DEPTH]; /* [count], best first */
    uint32_t count;
};

struct baseline_event {
    int64_t ts_ms;
    uint32_t item;
};

struct baselines {
    struct baseline_list lists[BASELINE_COUNT];
    /* the rest is private */
    bool known; /* counts are those of the history */
    bool has_landmarks;
    int64_t landmarks_ms[HALF_LIFE_COUNT];
    int64_t weights_ts_ms; /* what `weights` are for */
    double weights[HALF_LIFE_COUNT];
    double (*counts)[BASELINE_COUNT]; /* [items_max] relative to the landmarks */
    uint64_t uses_total;              /* of all items' counts */
    uint16_t *least_place;            /* [items_max] in any list, from 0; BASELINE_DEPTH: in none */
    uint32_t items_max;
    struct baseline_event *waiting; /* [waiting_count] not counted yet */
    size_t waiting_count, waiting_max;
    uint32_t waiting_items; /* all of theirs are below */
    bool *is_touched;       /* [items_max] counted since the last renewal */
    uint32_t *touched;      /* [touched_count], each once */
    uint32_t touched_count, touched_max;
    struct sorting *sorting; /* scratch */
};

/* Zeroed: no lists. */
void baselines_deinit(struct baselines *baselines);

/* The counts have changed otherwise than by baselines_add (partitions came or went): the next
 * renewal takes them from the history. */
void baselines_forget(struct baselines *baselines);

/* An event that counts in the item sums. It waits to be counted with others, and the lists stay as
 * they are until they are renewed. */
void baselines_add(struct baselines *baselines, uint32_t item, int64_t ts_ms);

/* Between batches: the lists become those of what was counted by then. items: how many there are.
 */
void baselines_renew(struct baselines *baselines, const struct history *history, uint32_t items);

/* Events with the item so far; 0 before the first renewal. uses_total is right afterwards. */
double baselines_uses(struct baselines *baselines, uint32_t item);

/* Whether in any list the item has at most `rank` items before it. */
bool baselines_may_have(const struct baselines *baselines, uint32_t item, uint32_t rank);

#endif
