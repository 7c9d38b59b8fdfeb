/* What the files of the history share; nobody else includes this.
 *
 *   history.c             opening and closing
 *   history_meta.c        what there is one of: cluster, series of generations, swaps, notes
 *   history_anew.c        what a new state begins with, and whether it has caught up (anew.c)
 *   history_partitions.c  partitions, their item sums, which are assigned
 *   history_load.c        state -> memory: items, types, meta, partitions, sums
 *   history_pairs.c       co-occurrence: its tables and their journal, both ways
 *   history_trials.c      what trials achieved: their sums, both ways
 *   history_users.c       the users in memory, and which may leave it
 *   history_learn.c       events -> changes
 *   history_commit.c      changes -> state
 *   history_dead.c        dead letters
 *   history_scan.c        who is owed a list (worker)
 *   history_dump.c        the state as JSON lines (another process)
 *   history_dump_user.c   a user's part of them
 *
 * A change is in one of two places: gathered (dirty) until a commit takes it, then in the commit
 * (committing) until that is done. A commit that fails puts back what was not changed again. */
#ifndef FRESHET_MODEL_HISTORY_INTERNAL_H
#define FRESHET_MODEL_HISTORY_INTERNAL_H

#include "base/buffer.h"
#include "base/ids.h"
#include "model/history.h"

struct numbers { /* a growing array; zero-initialise */
    uint32_t *at;
    size_t count, capacity;
};
void numbers_add(struct numbers *numbers, uint32_t number);
void numbers_swap(struct numbers *a, struct numbers *b);

struct user_set { /* the same of users, borrowed */
    struct user **at;
    size_t count, capacity;
};
void user_set_add(struct user_set *set, struct user *user);

#define PAIRS_COMMIT_BYTES (16 << 20) /* of tables in a commit at most, over all partitions, */
#define PAIRS_ALL SIZE_MAX
#define PAIRS_JOURNAL_SHARE 4 /* and a fourth of the journal's */
/* Of a journal record at most: what one page of LMDB's takes (page 4096, head 16). Values of many
 * pages need them side by side; a state that is full of holes grows to find such a place. */
#define JOURNAL_RECORD_BYTES_MAX 4080

struct unsaved_table {
    int64_t since; /* first event that the state's table lacks */
    uint32_t item;
};

struct journal_record {  /* in the state */
    int64_t first, last; /* offsets of its events */
    size_t bytes;
};

struct pairs_journal { /* what the state lacks of a partition's co-occurrence */
    /* Records to be, one after the other, and those of the commit under way. */
    struct buffer gathered, committing;
    size_t open_at;                 /* in `gathered`: the record being filled; its end: none is */
    int64_t last;                   /* offset of the last event of all */
    struct journal_record *records; /* [record_count] oldest first */
    size_t record_count, record_capacity;
    size_t records_leaving; /* the first so many leave with the commit under way */
    size_t records_added;   /* and the last so many are new with it */
    /* [unsaved_count] oldest first; counts only if it says what the table's unsaved_since says. */
    struct unsaved_table *unsaved;
    size_t unsaved_count, unsaved_capacity;
    size_t unsaved_taken; /* the first so many are in the commit under way */
};

struct trial_record { /* in the state */
    struct trial_sums sums;
    int64_t begun, touched; /* offsets of the first and the latest event counted */
};

struct trial_entry {
    uint64_t trial;
    struct trial_record record;
    bool gone; /* there is none (any more); stays until the state says so, too */
    bool dirty, committing;
};

struct partition_trials {
    struct trial_entry *at; /* [count], of which `live` are not gone: TRIALS_MAX at most */
    size_t count, capacity, live;
};

struct partition {
    int32_t number;
    bool assigned;
    bool loaded; /* sums are in memory; a revoked partition keeps them until they are committed */
    bool dirty, committing;
    struct partition_record record;
    struct item_sums *sums; /* [sums_count], by item number */
    bool *sum_dirty;        /* [sums_count]: the item is in dirty_sums */
    uint32_t sums_count;
    struct numbers dirty_sums, committing_sums;
    struct pairs pairs; /* loaded and unloaded with the sums, as is */
    struct pairs_journal journal;
    struct partition_trials trials; /* the same */
};

struct partition_set {     /* of one topic */
    struct partition **at; /* [count] ascending */
    size_t count;
};

enum dead_stage {
    DEAD_NEW,      /* no commit has it yet */
    DEAD_WRITING,  /* in the commit under way */
    DEAD_STORED,   /* in the state */
    DEAD_REMOVING, /* its removal is in the commit under way */
};

struct dead_entry {
    bool items;
    int32_t partition;
    int64_t offset;
    enum dead_stage stage;
    bool delivered;
    struct dead_entry *follower; /* the tombstone that waits for this one, of the same key */
    uint32_t leaders;            /* and of how many it waits */
    struct slice key, json;      /* owned, at `bytes`; json.data NULL: a tombstone */
    char *bytes;
    struct dead_entry *next;       /* of all */
    struct dead_entry *next_ready; /* of those not in flight */
};

struct dead_letters {
    struct dead_entry *all;
    struct dead_entry *ready, **ready_tail;
    uint32_t undelivered;
    bool dirty; /* something waits to be written or removed */
    uint64_t counts[DEAD_REASON_COUNT];
};

struct event_types {
    struct ids names;                    /* by the state's number */
    uint16_t number_of[EVENT_TYPES_MAX]; /* by settings index */
    int index_of[EVENT_TYPES_MAX];       /* by the state's number; -1: not in the settings */
};

struct users {             /* in memory */
    struct user **buckets; /* [mask + 1] */
    size_t mask, count;
    int64_t bytes;
    struct user *newest, *oldest; /* of those that may leave */
    struct user_set dirty, committing;
};

struct note {
    char *name, *text; /* owned */
    uint32_t length;   /* 0: there is none */
};

struct commit_job;

struct history {
    struct history_settings settings; /* its slices point to the next two; names of types: NULL */
    char *topic, *items_topic;
    bool type_counts[EVENT_TYPES_MAX]; /* by settings index */
    uint64_t types_counting;           /* the same, bit by the state's type number */
    void (*release_cache)(void *cache);
    struct state *state;
    struct state_view *view; /* for loading users */
    bool view_is_fresh;      /* and holds a snapshot */

    struct items items;
    uint32_t items_stored; /* the first so many are in the state, */
    uint32_t items_taken;  /* so many there or in the commit under way */
    struct numbers dirty_catalog, committing_catalog;
    struct event_types types;
    struct state_meta meta;
    struct state_meta announced; /* what is written from now on, if swap_announced */
    bool swap_announced;
    bool announced_series; /* the swap is of the series announced_key, not of the arms */
    uint64_t announced_key;
    struct note notes[NOTES_MAX]; /* [note_count] */
    size_t note_count;
    bool meta_dirty, meta_committing;
    bool pairs_whole; /* the next commit writes all tables, and no journal */

    struct partition_set partitions, items_partitions;
    struct partition **assigned; /* [assigned_count] ascending; written under the mutex */
    size_t assigned_count;
    uv_mutex_t assigned_mutex; /* for the worker that scans */

    struct users users;
    struct dead_letters dead;
    struct user_set learned; /* of the last batch */
    struct numbers learned_items;
    bool items_described;
    struct buffer scratch;
    struct buffer aside;    /* of a record that is changed */
    struct commit_job *job; /* under way, or NULL */
    struct error failure;   /* code != 0: a batch could not be learned */
};

static inline struct slice history_topic(const struct history *history, bool items)
{
    return items ? history->settings.items_topic : history->settings.topic;
}

/* -- history_partitions.c */
struct partition *partition_find(const struct partition_set *set, int32_t number);
struct partition *partition_ensure(struct partition_set *set, int32_t number);
struct item_sums *partition_sums(struct partition *partition, uint32_t item); /* made if new */
void partition_mark_sums(struct partition *partition, uint32_t item);
void partition_unload(struct partition *partition);
void partition_set_deinit(struct partition_set *set);

/* -- history_load.c; a view is lent for the call */
int load_items(struct state_view *view, struct items *items, struct error *err);
int load_types(struct state_view *view, struct ids *names, struct error *err);
int load_partitions(struct state_view *view, struct slice topic, struct partition_set *set,
                    struct error *err);
int load_sums(struct state_view *view, struct slice topic, struct partition *partition,
              uint32_t items, struct error *err);
bool partition_record_parse(struct partition_record *record, struct slice value);

/* -- history_anew.c */
/* A new state's nonce. */
int meta_draw(struct state_meta *meta, struct error *err);
/* It has to catch up with the log first. */
void catching_up_save(struct state_commit *commit);

/* -- history_meta.c */
#define NOTE_PREFIX "note:" /* of a note's key */
/* Of a state of format 2, too: what was its only series is the base's. */
int load_meta(struct state_view *view, struct state_meta *meta, struct error *err);
int load_notes(struct history *history, struct error *err);
void meta_save(const struct state_meta *meta, struct state_commit *commit);
void save_meta(const struct history *history, struct state_commit *commit); /* and notes */
void notes_deinit(struct history *history);
const struct state_series *series_find(const struct state_meta *meta, uint64_t key);

/* -- history_pairs.c */
void partition_count_pairs(struct partition *partition, const struct pairs_event *event);
/* Tables and journal, with partition->record as it is in the view. After an error: unload. */
int load_pairs(struct state_view *view, struct slice topic, struct partition *partition,
               uint32_t items, struct error *err);
/* bytes_max: of tables, about; PAIRS_ALL: every one, and no journal. What is put stays lent until
 * _committed. */
void take_pairs(struct partition *partition, struct slice topic, struct state_commit *commit,
                size_t bytes_max, struct buffer *scratch);
void pairs_committed(struct partition *partition, bool ok);
void journal_clear(struct pairs_journal *journal);

/* -- history_trials.c */
/* Counts an event in its trial, which is not 0: in the sums, and in the user's counts, returned. */
struct trial_counts trials_count(struct partition_trials *trials, const struct trial_counts *counts,
                                 const struct outcome *outcome, int64_t offset);
void trials_forget(struct partition_trials *trials, const struct trial_counts *counts);
int load_trials(struct state_view *view, struct slice topic, struct partition *partition,
                struct error *err);
void take_trials(struct partition *partition, struct slice topic, struct state_commit *commit);
void trials_committed(struct partition_trials *trials, bool ok);
void trials_deinit(struct partition_trials *trials);
bool trial_record_parse(struct trial_record *record, struct slice value);

/* -- history_dump_user.c; an object is open */
struct json_writer;
void dump_user_record(struct json_writer *json, const struct user_record *record,
                      const struct ids *items, const struct ids *types);
struct slice dump_name(const struct ids *ids, uint32_t number);
void dump_hex(struct json_writer *json, const char *key, uint64_t number);

/* -- history_users.c */
/* 1 and the user, 0 if nothing is kept, or an error. Erased users are found while in memory. */
int users_get(struct history *history, int32_t partition, struct slice id, struct user **user,
              struct error *err);
/* A new user in memory, and dirty; takes over the record's reference. */
struct user *users_add(struct history *history, int32_t partition, struct slice id,
                       const struct user_record *record);
/* Replaces the record, taking over the reference of the new one: dirty. */
void users_replace(struct history *history, struct user *user, const struct user_record *record);

/* The user's record after an interaction, or an impression: changed in place where nobody else
 * holds it. */
void users_apply(struct history *history, struct user *user, const struct interaction *interaction,
                 const struct trial_counts *counts);
void users_impress(struct history *history, struct user *user, uint32_t item, int64_t ts_ms,
                   uint64_t id_hash);
void users_mark(struct history *history, struct user *user);
void users_settle(struct history *history, struct user *user); /* may leave memory, if it may */

/* Forgotten, Redis knows, and no older copy of it can have his list any more. */
bool history_has_erased(const struct history *history, const struct user *user);
void users_evict(struct history *history);
void users_deinit(struct history *history);

/* -- history_commit.c */
void history_job_detach(struct history *history);

/* -- history_dead.c */
int dead_load(struct history *history, bool items, struct state_view *view, struct error *err);
void dead_deinit(struct history *history);
void dead_add(struct history *history, const struct event *event, enum dead_reason reason);
/* A user is forgotten by the event: a tombstone goes out when no earlier letter of that key is
 * left, so that it comes after all of them. */
void dead_forget(struct history *history, const struct event *event);
void dead_commit(struct history *history, struct state_commit *commit);
void dead_committed(struct history *history, bool ok);

#endif
