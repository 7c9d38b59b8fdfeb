/* What the model hands on: slates, the lists of a batch of users. The station's product header.
 *
 * A slate is scored as a whole on a worker thread, sent as a whole by the publisher, and its
 * outcomes come back in it. Its lists may be of several arms. Slices point into the item table and
 * the users, which outlive it; `items` and `explored` belong to the slate. Outside the worker's
 * turn: loop thread. */
#ifndef FRESHET_MODEL_SLATE_H
#define FRESHET_MODEL_SLATE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARMS_MAX 16 /* arms of an experiment, control and shadows included */

/* Where a list stands in its user's history. Newer is greater, compared field by field; lists of
 * different partitions of one epoch cannot be compared. Published as fixed-width lower-case hex,
 * "EEEEEEEE.PPPP.OOOOOOOOOOOOOOOO.SSSSSSSS", which compares as bytes. */
struct version {
    uint32_t epoch;      /* of the states that share it: when the first of them met Redis, in
                            seconds since 1970. A state begun anew is newer than the lists its
                            predecessor left there */
    int32_t partition;   /* of the events topic; 0 to 65535 */
    int64_t next_offset; /* of the user's partition, when the list was scored */
    uint32_t swap;       /* how often generations or arms had been swapped; also greater with each
                            instance that takes partitions over from another */
};

#define LIST_DEPTH 20 /* how much of a list is looked at, where a figure has no other depth */

#define VERSION_TEXT_BYTES 40 /* with the closing NUL */

void version_format(char text[VERSION_TEXT_BYTES], const struct version *version);

/* Back again; false, and nothing set, if the text is not of that form. */
bool version_parse(struct version *version, struct slice text);

enum slate_cause {
    CAUSE_EVENT,
    CAUSE_GENERATION,
    CAUSE_ARMS, /* who is in which arm changed, or what an arm does */
    CAUSE_SWEEP,
    CAUSE_FORCED,
    CAUSE_COUNT
};
const char *slate_cause_name(enum slate_cause cause); /* "event", "generation", ... */

struct slate_item {
    uint32_t item; /* number in the item table */
    float score;
    struct slice id; /* lives as long as the item table */
};

enum slate_outcome {
    SLATE_UNSENT, /* not acknowledged: the user stays owed */
    SLATE_HELD,   /* not to be sent: too near to the list in Redis, which stays */
    SLATE_STORED, /* Redis has it */
    SLATE_OLDER,  /* Redis has a newer one: as good as stored */
    SLATE_REFUSED /* wrong type or wrong partition at the key: an operator's matter, told once */
};

/* A slot given to an item that is there to be tried, not for its score. */
struct slate_explored {
    uint32_t at;       /* index into items */
    double propensity; /* of that item being in a slot of this list */
};

/* How far a list is from the one that Redis last acknowledged: 0 the same, 1 nothing in common.
 * `net`: leaving out items that may not be in the new one (used, blocked, expired, excluded).
 * docs/METRICS.md has the formulas. */
struct list_change {
    bool first;    /* there was none; the rest is 0 */
    uint32_t gone; /* items of it that may not be in the new one */
    float jaccard, rbo, net_jaccard, net_rbo;
};

/* What the list's user factors make of the events that it answers, for the few lists that are
 * probed (model/probe.h). NaN: there is none. */
struct slate_probe {
    bool made;                               /* else the rest is 0 */
    float gap_closed, neighbour_lift, drift; /* only of lists caused by events */
    float diversity;                         /* of the first LIST_DEPTH items */
};

struct user; /* the history's; opaque to the publisher */
struct user_record;

struct slate_list {
    struct user *user; /* NULL for the popular list */
    struct slice user_id;
    struct version version;
    enum slate_cause cause;
    bool insist;              /* it is also wanted for a cause for which none is held back */
    bool forgotten;           /* a tombstone: no items, and the key says so */
    bool changed;             /* not the items, in this order, that Redis last acknowledged */
    int64_t oldest_event_ms;  /* record timestamp of the oldest event it answers; 0 if none */
    int64_t oldest_ts_ms;     /* that event's own time */
    uint32_t arm;             /* index of the arm that it was made by, */
    struct slice arm_name;    /* outlives the slate; */
    bool shadow;              /* one that only measures: not for Redis */
    uint64_t generation;      /* 0: before the first */
    struct slate_item *items; /* [count] best first */
    uint32_t count;
    struct slate_explored *explored; /* [explored_count], by place */
    uint32_t explored_count;
    uint32_t new_items; /* of the first LIST_DEPTH: without factors in the generation */
    bool fallback;      /* made without the user's factors */
    struct list_change change;
    struct slate_probe probe;
    int hold;                   /* why it is SLATE_HELD: enum hold of publisher/budget.h */
    enum slate_outcome outcome; /* set by the publisher, but for SLATE_HELD */
    struct version newer;       /* SLATE_OLDER: what Redis has; zeros if it did not say */
    /* the rest is the scorer's */
    const struct user_record *record; /* what is scored: one reference; NULL for the popular list */
};

struct slate {
    struct slate_list *lists; /* [count] */
    size_t count, capacity;
    size_t to_send;          /* the first so many are for Redis; the others are held back, or are
                                shadows */
    int64_t stream_ts_ms;    /* the `now` of all its scores */
    int64_t oldest_score_ns; /* clock_monotonic_ns when scoring began */
};

/* Whether Redis has acknowledged another list of the user since this one was scored, so that
 * `changed` and `change` compare it with one that is gone. Loop thread. */
bool slate_list_is_stale(const struct slate_list *list);

/* Zero-initialise. slate_clear empties the slate for the next batch, slate_deinit also gives its
 * memory back. Loop thread, because they let go of users' records. */
void slate_clear(struct slate *slate);
void slate_deinit(struct slate *slate);

#endif
