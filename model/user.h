/* What is kept of a user: one flat value, the same bytes in memory and in the state.
 *
 * An event never changes a record that others hold; it makes the next one. So the writer thread and
 * a scoring worker may read a record while the loop thread already has a newer one. References are
 * counted by the loop thread alone, outside the record; one that nobody else holds is changed where
 * it is. After the fixed part come five arrays, in this order, each 8-byte aligned:
 *   interactions  the newest `history_max`, ordered by (ts_ms, offset), oldest first
 *   seen          up to `seen_max` items with the types seen, least recently touched first
 *   dedup         hashes of the last `dedup_window` event ids, impressions' too, oldest first
 *   shown         up to `impressions_max` items shown to the user since he last used them, least
 *                 recently shown first
 *   list          item numbers of the last list that Redis acknowledged, best first
 *
 * What is shown is kept with users and items that are known already: see learn_impression.
 *
 * Format 1 had neither `shown` nor what follows acked_swap; it is read, and converted as it is. */
#ifndef FRESHET_MODEL_USER_H
#define FRESHET_MODEL_USER_H

#include "base/error.h"
#include "base/slice.h"
#include "model/trial.h"

#include <stdbool.h>
#include <stdint.h>

struct interaction {
    int64_t ts_ms;
    int64_t offset;
    double value;
    uint64_t id_hash; /* hash_stable of the event id, 0 if it had none */
    uint32_t item;
    uint16_t type; /* the state's type number, not the settings' index */
    uint16_t reserved;
};

struct seen_item {
    uint64_t types; /* bit t: an interaction of the state's type number t */
    uint32_t item;
    uint32_t reserved;
};

struct shown_item {
    int64_t ts_ms; /* largest event time of its impressions */
    uint32_t item;
    uint32_t count; /* of impressions */
};

struct user_record {
    uint32_t bytes; /* of the whole record */
    uint16_t format;
    uint16_t forgotten; /* 1: erased, but for the tombstone */
    uint32_t interaction_count, seen_count, dedup_count, list_count;
    int64_t last_ts_ms;                  /* largest event time applied; when he was forgotten */
    uint64_t events;                     /* applied, ever */
    int64_t wanted_offset, acked_offset; /* versions of lists: see struct version */
    uint32_t wanted_swap, acked_swap;    /* acked_offset -1: no list was ever acknowledged */
    uint64_t changed_events;             /* `events` when the acknowledged list last changed */
    uint32_t shown_count;
    uint32_t reserved;
    struct trial_counts trial; /* what his lists achieved in the trial he is in */
    /* the five arrays */
};

#define USER_RECORD_FORMAT 2

struct user_limits {
    uint32_t history_max;     /* interactions */
    uint32_t seen_max;        /* items */
    uint32_t dedup_window;    /* event ids */
    uint32_t impressions_max; /* items shown; 0: none are kept */
};

const struct interaction *user_interactions(const struct user_record *record);
const struct seen_item *user_seen(const struct user_record *record);
const uint64_t *user_dedup(const struct user_record *record);
const struct shown_item *user_shown(const struct user_record *record);
const uint32_t *user_list(const struct user_record *record);

/* References; loop thread. user_record_unref frees the last. NULL is allowed. */
const struct user_record *user_record_ref(const struct user_record *record);
void user_record_unref(const struct user_record *record);

/* Bytes of memory that it takes, with room for it to become longer. */
uint32_t user_record_room(const struct user_record *record);

/* The record as bytes for the state, and back (copied, checked in full: ERR_DATA), of either
 * format. */
struct slice user_record_bytes(const struct user_record *record);
int user_record_parse(const struct user_record **record, struct slice bytes, struct error *err);

/* The fixed part alone, by the format written now; false if there is none. */
bool user_record_head(struct user_record *head, struct slice bytes);

/* In the seen set or in the kept history; a NULL record has seen nothing. */
bool user_has_seen(const struct user_record *record, uint32_t item);
bool user_knows_id(const struct user_record *record, uint64_t id_hash);

/* Each returns a new record with one reference; `old` may be NULL (a new user) and is not released.
 *
 * An item that is used is not among the shown any more. `counts`: what the user has in his trial
 * from now on; NULL: as before. */
const struct user_record *user_apply(const struct user_record *old,
                                     const struct interaction *interaction,
                                     const struct user_limits *limits,
                                     const struct trial_counts *counts);
/* Takes back the latest kept interaction with that id; NULL if there is none. Its type goes from
 * the item's seen types unless another kept interaction has it, and an item without types is
 * un-seen. The id stays in the dedup window. */
const struct user_record *user_retract(const struct user_record *old, uint64_t ref_hash);
/* `at_ms` is kept as last_ts_ms. */
const struct user_record *user_forget(int64_t at_ms);
/* `changed`: the list is not the one acknowledged before. */
const struct user_record *user_acknowledge(const struct user_record *old, int64_t offset,
                                           uint32_t swap, const uint32_t *items, uint32_t count,
                                           bool changed);

struct buffer;

/* The next three take over the reference to `old`, which is not NULL; where there is no other, the
 * record itself is changed and returned: nobody else can have seen it. */
const struct user_record *user_want(const struct user_record *old, int64_t offset, uint32_t swap);
/* aside: the caller's memory for what is in the way meanwhile; to be given again next time. */
const struct user_record *user_apply_onto(const struct user_record *old,
                                          const struct interaction *interaction,
                                          const struct user_limits *limits,
                                          const struct trial_counts *counts, struct buffer *aside);
/* An impression. The least recently shown leave if there are too many. */
const struct user_record *user_impress_onto(const struct user_record *old, uint32_t item,
                                            int64_t ts_ms, uint64_t id_hash,
                                            const struct user_limits *limits, struct buffer *aside);

/* What of a record its factors would be made of without the interactions at or after an offset:
 * those before it, and nothing else. A record of the caller's own, on any thread. */
const struct user_record *user_without_since(const struct user_record *record, int64_t offset);

/* wanted > acknowledged, or the acknowledged list is of an earlier swap than `swap`. */
bool user_is_owed(const struct user_record *record, uint32_t swap);

/* Forgotten at or before that time, and Redis has the tombstone: nothing is left to keep it for. */
bool user_is_erased(const struct user_record *record, int64_t before_ms);

#endif
