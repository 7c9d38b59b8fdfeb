/* Together: which items the same users use, one after the other. Co-occurrence counts of one
 * partition, bounded.
 *
 * When a user uses item i for the first time, each of the PAIRS_WINDOW latest distinct items j of
 * the history kept when the event arrives, at distance d = 0, 1, ... (0 the latest), gains
 *
 *   forward(j, i) += PAIRS_FADE^d        and, seen from the other side,    backward(i, j) += the
 * same,
 *
 * counted at two horizons: with a half-life of one day, and ever. So j's table holds, for each
 * neighbour i, how often i came after j (forward) and how often it came before (backward).
 *
 * A table holds at most `neighbours_max` neighbours. A newcomer to a full one takes the place of
 * the weakest (by its sum of the `ever` counts; the first of equals) of PAIRS_CONTENDERS drawn by a
 * hash of the event's offset: what is dropped depends on the partition's own events alone. With
 * h = hash_stable of the two int64_t {offset, d}, contender k = 0, 1, ... is at the place
 * (upper 32 bits of h rotated left by 11 k) * count / 2^32. Counts of a neighbour dropped begin at
 * zero when it is back.
 *
 * Counts are kept at their `ts_ms`, the largest event time applied to them; an event out of order
 * adds its decayed share. As float32, a count of 2^24 grows no more. The tables are a pure function
 * of the partition's events in offset order and of neighbours_max, up to the item numbers; each
 * table is one of the events that name its item. One thread writes; readers may be others while it
 * does not. */
#ifndef FRESHET_MODEL_PAIRS_H
#define FRESHET_MODEL_PAIRS_H

#include "base/error.h"
#include "base/slice.h"
#include "model/user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAIRS_WINDOW 10
#define PAIRS_FADE 0.8f
#define PAIRS_CONTENDERS 8
#define PAIRS_NEIGHBOURS_MAX 4096 /* the most that neighbours_max may be */

enum pairs_horizon { PAIRS_DAY, PAIRS_EVER, PAIRS_HORIZONS };
extern const char *const pairs_horizon_names[PAIRS_HORIZONS]; /* "1d", "ever" */

struct pairs_ever {
    float forward, backward;
};

struct pairs_day { /* as of ts_ms */
    int64_t ts_ms;
    float forward, backward;
};

#define PAIRS_SAVED INT64_MAX

struct pairs_table {
    int64_t applied;       /* offset of the last event that changed it */
    int64_t unsaved_since; /* and of the first that the state's table lacks, or PAIRS_SAVED, which
                              is for model/history_pairs.c to say */
    uint32_t count, capacity;
    uint32_t *items;         /* [count], in the order of their places; these three are one block, */
    struct pairs_ever *ever; /* [count], each array apart, since lists read one horizon of many */
    struct pairs_day *day;   /* [count]  tables and wait for memory alone; owned by `items` */
};

struct pairs {
    uint32_t neighbours_max;     /* 0: nothing is counted */
    uint32_t table_count;        /* item numbers below it may have a table */
    struct pairs_table **tables; /* [table_count]; NULL: the item has none */
};

/* What an event adds, which is all that is needed to add it again. */
struct pairs_event {
    int64_t ts_ms, offset;
    uint32_t item;
    uint32_t count;                /* of `before` */
    uint32_t before[PAIRS_WINDOW]; /* distinct, none of them `item`; latest first */
};

/* The cap of one partition's tables, so that those of all its partitions together hold at most
 * twice `neighbours` of an item, and at least PAIRS_SHARE_MIN each: with one, `neighbours`. */
#define PAIRS_SHARE_MIN 16
uint32_t pairs_share(uint32_t neighbours, int32_t partition_count);

/* The latest distinct items of a history whose type is in `types` (bit by type number), latest
 * first, without `but` (ITEM numbers; UINT32_MAX: nothing is left out). history: [count], oldest
 * first. Returns how many, at most `max`. */
size_t pairs_latest_items(const struct interaction *history, size_t count, uint64_t types,
                          uint32_t but, uint32_t *items, size_t max);

/* The event of a user's first use of an item; false if there is nothing before it. */
bool pairs_event_make(struct pairs_event *event, const struct interaction *history, size_t count,
                      uint64_t types, uint32_t item, int64_t ts_ms, int64_t offset);

/* Adds it to the tables of event->item and event->before[]; a table that already holds this offset
 * or a later one stays as it is, so that events may be applied again. */
void pairs_learn(struct pairs *pairs, const struct pairs_event *event);

/* NULL: none. */
const struct pairs_table *pairs_table(const struct pairs *pairs, uint32_t item);

/* Of the caller's own. */
struct pairs_table *pairs_table_copy(const struct pairs_table *table);

/* A table as bytes for the state, and back. The bytes are `applied`, `count`, then the three
 * arrays; their number is pairs_table_bytes. Checked is all that the code relies on (ERR_DATA):
 * items are below item_count, none is there twice, counts are finite and not negative. marks:
 * [item_count] bits, zeros between calls. After an error the table is as good as lost: pairs_clear.
 */
struct buffer;
size_t pairs_table_bytes(const struct pairs_table *table);
void pairs_table_write(struct buffer *out, const struct pairs_table *table);
int pairs_table_read(struct pairs *pairs, uint32_t item, struct slice bytes, uint32_t item_count,
                     uint64_t *marks, struct error *err);

/* An event as bytes, and back: takes it off the front of `bytes` (ERR_DATA). */
void pairs_event_write(struct buffer *out, const struct pairs_event *event);
int pairs_event_read(struct slice *bytes, struct pairs_event *event, uint32_t item_count,
                     struct error *err);

/* Releases the tables; neighbours_max stays. */
void pairs_clear(struct pairs *pairs);

/* A fork learns without the other's knowing: it shares the tables, and copies one before it changes
 * it. `from` neither learns nor goes while there is a fork; may be made where it may be read. */
void pairs_fork(struct pairs *fork, const struct pairs *from);
void pairs_fork_learn(struct pairs *fork, const struct pairs *from,
                      const struct pairs_event *event);
void pairs_fork_free(struct pairs *fork, const struct pairs *from);

#endif
