/* PREFIX meta: how a state knows its lists are still in the Redis it talks to, and how the states
 * that write under one prefix know of each other.
 *
 * Each state writes its nonce, the time of its heartbeat and which log it reads into three fields
 * of its own, named by the nonce's first 8 bytes, so that instances that share a prefix do not take
 * each other for a loss. A nonce that is gone or different, or a heartbeat older than the last that
 * was acknowledged here, means that the lists are gone or old. The nonce is written for that reason
 * alone, never with a later heartbeat: what is lost between a look and a write is seen by the next
 * look. With the nonce goes a time, `begun`, and once all lists have been published again the same
 * time as `filled`: where the two differ and it is not we who are publishing, who did has died, and
 * the lists are still missing. Another state is alive if its
 * heartbeat moved between two looks: no clock is compared with another's.
 *
 * The heartbeat's field is written alone, too, as a mark behind other writes. Redis keeps a prefix
 * of what it was told whatever happens to it (a copy, a replica, the tail of its log), so a mark
 * that is there speaks for all before it.
 *
 * Of all states together: `epoch` and `swap`, the greatest that any of them has in its versions,
 * and `claimed`, who wrote that swap. For people and readers, generation, schema, nonce and
 * heartbeat also lie there plainly, of the one that publishes the popular list. Loop thread;
 * belongs to the publisher. */
#ifndef FRESHET_PUBLISHER_META_H
#define FRESHET_PUBLISHER_META_H

#include "publisher/redis.h"

#define META_ID_BYTES 9      /* of a state, with the closing NUL */
#define META_FIELD_BYTES 32  /* "heartbeat:XXXXXXXX" and its like */
#define META_OTHERS_MAX 1024 /* states that ever wrote there; of more, some are not noticed */

/* What versions begin and end with (struct version of model/slate.h). */
struct meta_place {
    uint32_t epoch, swap;
};

struct meta_found {
    bool lost;                /* our lists are not there, old, or not all there yet */
    struct meta_place place;  /* the greatest there; 0: none */
    bool claimed_elsewhere;   /* another state wrote place.swap */
    bool others, strangers;   /* fields of other states of our log, of another log; maybe dead */
    bool alive;               /* a state of our log is */
    const char *stranger_log; /* of a living one that reads another log; NULL: none. Lent */
};

struct meta_other { /* state */
    char id[META_ID_BYTES];
    int64_t beat_ms;
    char *log; /* owned; NULL: does not say */
    bool moved;
};

struct meta {
    struct redis *redis;     /* borrowed */
    char *key, *nonce, *log; /* owned */
    char id[META_ID_BYTES];
    char nonce_field[META_FIELD_BYTES], heartbeat_field[META_FIELD_BYTES],
        log_field[META_FIELD_BYTES], begun_field[META_FIELD_BYTES], filled_field[META_FIELD_BYTES];
    int64_t begun_ms; /* when we last found our lists lost; or as it is there; 0: never */
    bool begins;      /* the next write says so */
    bool filled;      /* all lists have been published since: for the publisher to set */
    uint64_t generation;
    bool plain;                /* whether the plain fields are ours to write */
    int64_t written_ms;        /* the heartbeat last sent */
    int64_t beat_ms;           /* the one in the write under way */
    int64_t stored_ms;         /* the heartbeat last acknowledged; 0: none yet */
    uint32_t found_swap;       /* by the last look */
    struct meta_other *others; /* [other_count] owned */
    size_t other_count;
    bool looked_once;
    void (*looked)(const struct meta_found *found, void *arg);
    void (*wrote)(void *arg);
    void *arg;
};

/* `log`: which log the state reads, as a text to be compared and shown. Both are copied. */
void meta_init(struct meta *meta, const char *prefix, const char *nonce, const char *log);
void meta_deinit(struct meta *meta);

/* Reads: `looked` comes when the answer does, and never if the connection is lost first, which is
 * also what an answer that makes no sense (no hash at the key) leads to. One at a time; ERR_DOWN
 * as redis_command. */
int meta_look(struct meta *meta, void (*looked)(const struct meta_found *found, void *arg),
              void *arg);

/* Writes our place, the plain fields if they are ours, and with `beat` those of this state as well;
 * `wrote` comes as `looked` does. */
int meta_write(struct meta *meta, const struct meta_place *place, bool beat,
               void (*wrote)(void *arg), void *arg);

/* Writes the heartbeat's field alone. `marked` comes once, with 0 if the server did not take it or
 * the connection was lost. */
typedef void (*meta_marked_cb)(int64_t mark_ms, void *arg);
int meta_mark(struct meta *meta, meta_marked_cb marked, void *arg);

#endif
