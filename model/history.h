/* The second station: learns a batch. Users' histories, item sums, offsets, counters, dead letters.
 *
 * What is kept of a partition is a pure function of a prefix of it (and of the settings' limits),
 * applied in offset order: replaying changes nothing. (But for impressions of an item that another
 * partition makes known, and outcomes of lists: those are as things were when they came.) The users
 * lately touched live in memory, bounded; the others are read from the state when needed. Changes
 * become durable by history_commit, a whole number of batches at a time. Everything here on the
 * loop thread, but for what says "worker"; while a worker scores, the loop does not learn. */
#ifndef FRESHET_MODEL_HISTORY_H
#define FRESHET_MODEL_HISTORY_H

#include "base/error.h"
#include "consumer/event.h"
#include "model/items.h"
#include "model/pairs.h"
#include "model/slate.h"
#include "model/state.h"
#include "model/sums.h"
#include "model/user.h"

#include <stdio.h>

#define PARTITIONS_MAX 1024
#define ITEMS_MAX 4000000 /* distinct items a state can hold; further ones are dead letters */

enum counter {
    COUNTER_APPLIED,      /* interactions folded in */
    COUNTER_DUPLICATE,    /* id known */
    COUNTER_LATE,         /* older than events.max_age */
    COUNTER_RETRACTED,    /* retractions that found their interaction */
    COUNTER_RETRACT_MISS, /* and those that did not */
    COUNTER_FORGOTTEN,    /* forget_user */
    COUNTER_ITEM_RECORDS,
    COUNTER_DEAD,
    COUNTER_IMPRESSION, /* of users and items known or not */
    COUNTER_COUNT       /* their sum is the number of records consumed */
};
extern const char *const counter_names[COUNTER_COUNT];

struct partition_record { /* as kept in the state */
    int64_t next_offset;
    int64_t stream_ts_ms; /* largest event time applied; INT64_MIN before the first event */
    uint64_t counters[COUNTER_COUNT];
};

struct history_settings {
    struct state_settings state;
    struct slice topic, items_topic;
    struct user_limits limits;
    uint32_t neighbours_max;     /* of an item and partition (model/pairs.h); 0: none are counted */
    bool impressions_want_lists; /* a kept impression makes its user's list wanted anew; or see
                                    history_want_lists_for_impressions */
    int64_t max_age_ms;          /* 0: nothing is late */
    int64_t hot_bytes;           /* users kept in memory, about */
    uint32_t dead_pending_max;
    int64_t tombstone_ms; /* stream time that a forgotten user's record outlives the tombstone in
                             Redis: a Redis put back to an older copy lacks that; 0: none */
    uint32_t type_count;  /* of the settings' event types */
    const char *const *types;
    const bool *type_counts; /* whether an event of the type counts in the item sums */
};

/* A user in memory. Lives while queued or pinned, and as long as memory allows. */
struct user {
    struct slice id; /* owned with the struct */
    int32_t partition;
    const struct user_record *record;      /* one reference; never NULL */
    uint32_t pins;                         /* > 0: must stay in memory (queued, scoring, sending) */
    bool dirty;                            /* record is newer than the last commit begun */
    bool committing;                       /* a commit under way holds a record of this user */
    bool queued;                           /* for the pipeline: waits to be scored */
    enum slate_cause cause;                /* for the pipeline: why */
    bool insist;                           /* for the pipeline: and also for a cause for which no
                                              list is held back */
    int64_t oldest_event_ms, oldest_ts_ms; /* for the pipeline: see struct slate_list */
    int64_t due_ms;                        /* for the pipeline: when it need not wait any more */
    struct user *queue_next;               /* for the pipeline */
    void *cache;                           /* the scorer's; released by the hook given at open */

    /* the history's own */
    uint64_t hash;
    struct user *bucket_next;
    struct user *lru_newer, *lru_older;
    bool in_lru;            /* clean and unpinned: may leave memory */
    int64_t learned_offset; /* while a batch is learned: the version to want; 0: none */
};

struct history;

/* Opens the state for writing and loads items, types and meta. The settings' types are given their
 * numbers at once; ERR_SETTINGS if there have ever been more than EVENT_TYPES_MAX of them.
 * `release_cache` frees user->cache.
 */
int history_open(struct history **history, uv_loop_t *loop, const struct history_settings *settings,
                 void (*release_cache)(void *cache), struct error *err);
void history_close(struct history *history); /* loses what was not committed */

/* Remembers cluster and partition count at first, compares them later: ERR_SETTINGS with what
 * differs and the way out. */
int history_bind(struct history *history, const char *cluster_id, int partition_count,
                 struct error *err);

/* Loads or drops what is kept of partitions (a dropped one stays in the state). Uncommitted changes
 * of a revoked partition are kept for the next commit. */
int history_assign(struct history *history, const int32_t *partitions, size_t count,
                   struct error *err);
void history_revoke(struct history *history, const int32_t *partitions, size_t count);

/* INT64_MIN if nothing is known of it. Works for any partition, assigned or not. */
int64_t history_next_offset(const struct history *history, bool items, int32_t partition);

/* An interaction that is about to be applied. */
struct use {
    const struct event *event;
    const struct user_record *before; /* the user's, as it was; NULL: a new user */
    uint32_t item;
    bool is_new; /* the item to the user: see user_has_seen */
};

/* Called before an interaction is applied. Not called for duplicates and late events. What it
 * returns is counted with the event, once: in the user's record and in the partition's sums of that
 * trial, durable with both. */
typedef struct outcome (*history_observer)(const struct use *use, void *arg);

/* Whether events of this type (the settings' index) count in the item sums. */
bool history_type_counts(const struct history *history, uint16_t type);

/* From now on, or not any more: settings' impressions_want_lists. */
void history_want_lists_for_impressions(struct history *history, bool want);

/* What a batch did, for the pipeline. Arrays are owned by the history and live until the next
 * learn. */
struct learned {
    struct user **users; /* each once, with oldest_event_ms set; in order of first event */
    size_t user_count;
    const uint32_t *items; /* whose sums changed; may repeat */
    size_t item_count;
    bool items_described; /* something was blocked, unblocked, described */
};

/* Before a batch is taken: whether it can be learned now, for what it needs of the state is read
 * from a snapshot that this takes. An error if the state cannot be read just now (a later try may
 * work), or is damaged. */
int history_ready(struct history *history, struct error *err);
void history_rest(struct history *history); /* no batch came: the snapshot is not needed */

/* What waits in memory to be committed has taken all of hot_bytes, about: while commits fail, learn
 * no more. */
bool history_is_full(const struct history *history);

/* Applies a batch. Events of partitions not assigned, or below the partition's next offset, are
 * dropped; those of the items topic are for every instance. Marks the users' wanted version (their
 * event's offset + 1). If the state cannot be read, or is damaged, nothing from that event on is
 * learned any more, and every later history_commit reports the error: stop. */
void history_learn(struct history *history, const struct batch *batch, history_observer observe,
                   void *arg, struct learned *learned);

/* The user, from memory or the state; NULL if nothing is kept or the partition is not assigned
 * (err.code 0), or on an error. Lives until the history is next asked for anything, unless pinned.
 */
struct user *history_user(struct history *history, int32_t partition, struct slice id,
                          struct error *err);
struct user *history_find_user(struct history *history, struct slice id, struct error *err);
void history_pin(struct history *history, struct user *user);
void history_unpin(struct history *history, struct user *user);

/* Some of the users in memory, at most `max`, chosen by a hash that is another in each process;
 * returns how many. They live as history_user's do. */
size_t history_hot_users(const struct history *history, struct user **users, size_t max);

/* Redis has this list (or a newer one): remember it, unless it is older than what was acknowledged
 * before. A forgotten user's record goes, once it is the tombstone that Redis has and
 * tombstone_ms have passed. `changed`: it is
 * another list than the one acknowledged before (see user_record.changed_events). */
void history_acknowledge(struct history *history, struct user *user, const struct version *version,
                         const uint32_t *items, uint32_t count, bool changed);

/* Redis has no list of this user, whatever was acknowledged before: one is owed. */
void history_disown_list(struct history *history, struct user *user);

/* Commits all changes so far; `done` comes once, with the offsets that are now durable (err NULL)
 * or the error (the changes stay, to be tried again): those of the events topic's partitions that
 * changed, revoked ones too. Returns false, and no callback, if a commit is under way. If the
 * history is closed meanwhile, `done` comes all the same. */
typedef void (*history_commit_cb)(const struct error *err, const int32_t *partitions,
                                  const int64_t *next_offsets, size_t count, void *arg);
bool history_commit(struct history *history, history_commit_cb done, void *arg);

/* The next commit writes every table of co-occurrence and no journal: the journal is ordered by
 * offset, and can not hold offsets below 0 (freshet import). */
void history_write_pairs(struct history *history);

/* Whether there is anything for the next commit to write. */
bool history_is_dirty(const struct history *history);

/* Dead letters not yet delivered: in the state until history_dead_delivered. Slices live until
 * then. One whose delivery failed comes again, after the others. After a forgotten user's
 * letters comes a tombstone (json.data NULL), which erases them from a compacted topic. */
struct dead_letter {
    uint64_t token;
    struct slice key, json;
};
uint32_t history_dead_of(const struct history *history, struct slice key); /* tombstones, too */

/* The next one that is not in flight; from then on it is. */
bool history_dead_next(struct history *history, struct dead_letter *letter);
void history_dead_delivered(struct history *history, uint64_t token, bool ok);
bool history_dead_full(const struct history *history); /* dead_pending_max reached: take no more */

/* Which users are owed a list? Reads the state (commit first) in a worker, most recently active
 * first. `all`: everybody with a record. `since_ms`: only users active since then (stream time),
 * and the forgotten, whose tombstones do not wait. Users of the partitions assigned when it begins:
 * assignments may change meanwhile, so ask history_user for each on the loop. */
struct owed_user {
    int64_t last_ts_ms;
    int32_t partition;
    uint16_t id_length;
    char id[ID_BYTES_MAX];
};
struct owed_list {
    struct owed_user *users; /* owned; free with owed_list_deinit */
    size_t count;
};
/* The swap that a user's list must not be older than, asked in the worker; see user_is_owed. */
typedef uint32_t (*history_swap_of)(struct slice user, void *arg);
int history_scan_owed(struct history *history, bool all, int64_t since_ms, history_swap_of swap_of,
                      void *arg, struct owed_list *owed, struct error *err); /* worker */
void owed_list_deinit(struct owed_list *owed);

/* Reading what is known. */
struct items *history_items(struct history *history);

/* Stream time: the maximum over the assigned partitions; INT64_MIN before the first event. */
int64_t history_now_ms(const struct history *history);

/* The assigned partitions, ascending, at most `max`; returns how many there are. */
size_t history_partitions(const struct history *history, int32_t *partitions, size_t max);

bool history_is_assigned(const struct history *history, int32_t partition);

/* NULL: unknown. */
const struct partition_record *history_partition(const struct history *history, bool items,
                                                 int32_t partition);

/* Over all partitions known, of both topics. */
uint64_t history_counter(const struct history *history, enum counter counter);
uint64_t history_dead_count(const struct history *history, enum dead_reason reason); /* this run */

/* Item sums of the assigned partitions, `index` counting them in ascending order: [*items] entries
 * by item number, maybe fewer than there are items. Until the next learn. */
size_t history_sums_count(const struct history *history);
const struct item_sums *history_sums(const struct history *history, size_t index, uint32_t *items);

/* What was achieved in a trial: the assigned partitions' sums together, in number order. False, and
 * zeros, if none of them has it. */
bool history_trial(const struct history *history, uint64_t trial, struct trial_sums *sums);

/* What is kept of a user, as given at open. */
const struct user_limits *history_limits(const struct history *history);

/* Type numbers of the state for the settings' types, and back (-1: not in the settings now). */
uint16_t history_type_number(const struct history *history, uint16_t settings_type);
int history_type_index(const struct history *history, uint16_t state_type);

/* Co-occurrence of the same partitions, in the same order. Until the next learn. */
const struct pairs *history_pairs(const struct history *history, size_t index);

/* Which interactions count in the item sums and in co-occurrence: bit by the state's type number.
 */
uint64_t history_types_counting(const struct history *history);

/* Meta. */
#define SERIES_MAX 16

struct state_series {           /* of generations, by the same training settings */
    uint64_t key;               /* 0: the base settings */
    uint64_t generation;        /* live now, 0 none */
    uint64_t newest_generation; /* the newest ever considered: files above it are news */
    uint32_t swap;              /* the state's count at this series' last swap */
    uint32_t gate_refusals;     /* in a row */
};

struct state_meta {
    uint32_t epoch;     /* 0: none yet (history_join) */
    uint32_t swap;      /* of generations and of arms, ever */
    uint32_t arms_swap; /* the count when the users were last given other arms */
    char nonce[33];     /* hex; random, drawn with the state */
    char cluster_id[128];
    int32_t partition_count;
    uint32_t series_count;
    struct state_series series[SERIES_MAX]; /* [series_count]; the first is the base's, always */
};
const struct state_meta *history_meta(const struct history *history);
/* NULL: nothing was ever trained by it. Until the next change of a series. */
const struct state_series *history_series(const struct history *history, uint64_t key);
/* The swap that lists of a series must not be older than: its last, or that of the arms. */
uint32_t history_owed_swap(const struct history *history, uint64_t key);
/* Forgets all series but the base's and those in use. Takes effect at once, as the next does. */
void history_keep_series(struct history *history, const uint64_t *keys, size_t count);
/* Without a swap. Durable with the next commit. A series not known yet begins; false, and nothing
 * done, if there are SERIES_MAX others (history_keep_series). Not of the series whose swap is
 * announced. */
bool history_set_generation(struct history *history, uint64_t key, uint64_t generation,
                            uint64_t newest, uint32_t gate_refusals);

/* A swap in two steps, so that it is durable before the first list under it, and lists go on under
 * the old generation until then: the next commit writes the swap, and when it is done
 * history_take_swap makes it history_meta's. After a crash between the two it has happened. False
 * as above. */
bool history_announce_swap(struct history *history, uint64_t key, uint64_t generation,
                           uint64_t newest);
/* The states that write lists where this one does, as met there. */
struct state_others {
    uint32_t epoch;      /* the greatest of theirs and ours; 0: there is none */
    bool alive;          /* one of them is */
    uint32_t swap_least; /* our swap may not be less */
    bool taken_over;     /* our partitions may have been theirs */
};

/* Makes versions comparable with theirs. A state that has no epoch yet joins those that are alive;
 * where nobody is, it begins a new one, so that its lists replace all that lie there. A state that
 * has one goes over to a greater one. Whoever takes over gets a swap greater than any before. True
 * if every list is owed now, as after a change of arms. Takes effect at once, durable with the next
 * commit: others go by what lies there, not by our disk. */
bool history_join(struct history *history, const struct state_others *others);

/* The same two steps when users were given other arms: every list is owed. */
void history_announce_arms_swap(struct history *history);
void history_take_swap(struct history *history);
bool history_swap_is_announced(const struct history *history); /* one at a time */

/* A text that outlives the process, by name. Durable with the next commit; empty: none. False, and
 * nothing done, if it is longer than NOTE_BYTES_MAX or there are NOTES_MAX others. What is returned
 * lives until it is set again. */
#define NOTES_MAX 64 /* one for each of SERIES_MAX, a few of the daemon's, and old ones */
#define NOTE_BYTES_MAX (64 << 10)
bool history_set_note(struct history *history, const char *name, struct slice text);
struct slice history_note(const struct history *history, const char *name);

/* Whether the state took another's place (model/anew.h) and has not read the log to its end since.
 * _caught_up: it has; durable with the next commit. */
bool history_is_catching_up(const struct history *history);
void history_caught_up(struct history *history);

/* `freshet dump`: reads the state and writes JSON lines (docs/ARCHITECTURE.md has their shape):
 * users, item sums, co-occurrence, trials, items, partitions, meta. From any process but the one
 * that writes the state. `user.data` NULL: everything; else the lines of that user alone. */
int history_dump(const struct state_settings *settings, struct slice user, FILE *out,
                 struct error *err);

#endif
