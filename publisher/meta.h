/* PREFIX meta: how a state knows its lists are still in the Redis it talks to.
 *
 * Each state writes its nonce and the time of its heartbeat into two fields of its own, named by
 * the nonce's first 8 bytes, so that instances that share a prefix do not take each other for a
 * loss. A nonce that is gone or different, or a heartbeat older than the last that was acknowledged
 * here, means that the lists are gone or old. For people and readers, generation, schema, nonce and
 * heartbeat also lie there plainly, of whoever wrote last.
 *
 * The heartbeat's field is written alone, too, as a mark behind other writes. Redis keeps a prefix
 * of what it was told whatever happens to it (a copy, a replica, the tail of its log), so a mark
 * that is there speaks for all before it. While lists that were lost are given again, the nonce's
 * place has a word of this process instead. Loop thread; belongs to the publisher. */
#ifndef FRESHET_PUBLISHER_META_H
#define FRESHET_PUBLISHER_META_H

#include "publisher/redis.h"

#define META_FIELD_BYTES 32

struct meta {
    struct redis *redis;                /* borrowed */
    char *key;                          /* owned */
    char *nonce;                        /* owned */
    char nonce_field[META_FIELD_BYTES]; /* "nonce:XXXXXXXX" */
    char heartbeat_field[META_FIELD_BYTES];
    char filling_word[META_FIELD_BYTES]; /* of this process alone */
    bool filling;                        /* lists are being given again */
    bool there;                          /* the last look found us */
    uint64_t generation;
    int64_t written_ms; /* the heartbeat last sent */
    int64_t stored_ms;  /* the heartbeat last acknowledged; 0: none yet */
    void (*looked)(bool lost, void *arg);
    void (*wrote)(bool gone, void *arg);
    void *arg;
};

/* mark_ms: the last one known to be acknowledged, 0: none. */
void meta_init(struct meta *meta, const char *prefix, const char *nonce, int64_t mark_ms);
void meta_deinit(struct meta *meta);

/* Reads: `looked` comes when the answer does, and never if the connection is lost first, which is
 * also what an answer that makes no sense (no hash at the key) leads to. One at a time; ERR_DOWN
 * as redis_command. */
int meta_look(struct meta *meta, void (*looked)(bool lost, void *arg), void *arg);

/* Writes the plain fields, and with `ours` those of this state as well; `wrote` comes as `looked`
 * does. `gone`: the last look found ours, and now they had to be made anew. */
int meta_write(struct meta *meta, bool ours, void (*wrote)(bool gone, void *arg), void *arg);

/* From now on `meta_write` says that lists are being given again; until meta->filling is unset. */
void meta_fill(struct meta *meta);

/* Writes the heartbeat's field alone. `marked` comes once, with 0 if the server did not take it or
 * the connection was lost. */
typedef void (*meta_marked_cb)(int64_t mark_ms, void *arg);
int meta_mark(struct meta *meta, meta_marked_cb marked, void *arg);

#endif
