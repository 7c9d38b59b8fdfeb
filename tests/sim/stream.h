/* The log of a seed, and what it means: an independent fold of each prefix of each partition.
 *
 * Written from the documents (model/user.h, model/history.h), not from the code: a plain array a
 * user, changed event by event, and a copy of it kept for every offset that changed it. So what is
 * kept of a user, and counted of a partition, is known for every prefix before the first step. */
#ifndef FRESHET_TESTS_SIM_STREAM_H
#define FRESHET_TESTS_SIM_STREAM_H

#include "base/buffer.h"
#include "consumer/event.h"
#include "model/history.h"

#define STREAM_PARTITIONS_MAX 3
#define STREAM_USERS_MAX 12
#define STREAM_ITEMS_MAX 16
#define STREAM_RECORDS_MAX 192 /* of a partition */
#define STREAM_TYPES 3
#define KEPT_MAX 6 /* interactions, seen items, ids, shown items: each limit is at most this */
#define TRIAL_OF_USER 1000 /* a user's trial is this + his number % 2, or none */

struct record { /* of a topic; item records are a partition of their own */
    enum event_kind kind;
    int user, item; /* numbers in names: "u3", "i7"; -1 none */
    int id, ref;    /* "e12"; -1 none */
    uint16_t type;
    int64_t ts_ms, record_ts_ms;
    double value;
    uint32_t rank;         /* of the outcome that the watch will say it had */
    bool blocked, present; /* of an item record */
};

struct kept {
    int64_t ts_ms, offset;
    double value;
    int id, item;
    uint16_t type;
};

struct kept_item {
    int item;
    uint64_t types; /* seen */
    int64_t ts_ms;  /* shown */
    uint32_t count;
};

struct folded { /* what is kept of a user after a prefix */
    bool exists, forgotten;
    int count, seen_count, id_count, shown_count;
    struct kept kept[KEPT_MAX];
    struct kept_item seen[KEPT_MAX], shown[KEPT_MAX];
    int ids[KEPT_MAX];
    int64_t last_ts_ms, wanted_offset;
    uint64_t events;
    struct trial_counts trial;
};

struct fold_step { /* a user as of after the record at `offset` */
    int64_t offset;
    struct folded user;
};

struct prefix { /* what is counted of a partition after so many records */
    int64_t stream_ts_ms;
    uint64_t counters[COUNTER_COUNT];
};

struct stream_partition {
    struct record records[STREAM_RECORDS_MAX];
    int count;
    struct prefix prefixes[STREAM_RECORDS_MAX + 1];
    bool counts[STREAM_RECORDS_MAX];                               /* it was applied */
    struct fold_step *steps[STREAM_USERS_MAX][STREAM_RECORDS_MAX]; /* [step_counts], by offset */
    int step_counts[STREAM_USERS_MAX];
};

struct stream {
    int partitions, users, items;
    struct user_limits limits;
    uint32_t dead_pending_max, neighbours;
    bool impressions_want_lists;
    int64_t max_age_ms, tombstone_ms;
    struct stream_partition at[STREAM_PARTITIONS_MAX];
    struct record item_records[STREAM_RECORDS_MAX];
    int item_record_count;
};
extern struct stream stream;

extern const char *const stream_types[STREAM_TYPES];
extern const bool stream_type_counts[STREAM_TYPES];

void stream_begin(void); /* draws the log of the seed and folds it */
int stream_partition_of(int user);

/* The user after the records below `next_offset`; one who does not exist if there is none. */
const struct folded *stream_user(int user, int64_t next_offset);

/* Fills an event of a batch, whose memory it uses. */
void stream_event(struct batch *batch, bool items, int32_t partition, int64_t offset);
bool stream_is_dead(bool items, int32_t partition, int64_t offset);

/* "u3" -> 3; -1: none of ours. */
int stream_number(char letter, struct slice name);

#endif
