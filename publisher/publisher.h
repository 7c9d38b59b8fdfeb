/* The fourth station: slates -> Redis, until acknowledged.
 *
 *   PREFIX<user>    STRING {"v","user","arm","gen","ts","cause","items":[["i9",0.91],...]}, expires
 *   PREFIX popular  the trend list, same shape, "user":null ("rec:popular")
 *   PREFIX meta     HASH generation, schema, nonce, heartbeat (Unix ms)
 *   PREFIX changes  STREAM of {user, v}, capped: users whose list changed
 *
 * A user whose id is "popular", "meta" or "changes" would collide; such users' keys get the prefix
 * "PREFIX" "user:" in front, as do ids that begin with "user:" (publisher_key).
 * Each list is written by one Lua script on one key, which replaces only what is not newer (struct
 * version compared as bytes, by GETRANGE of the value's head) and of the same epoch's partition.
 * Tombstones of forgotten users are {"v","user","forgotten":true,"items":[]}. Lists carry an expiry
 * with jitter.
 *
 * If the nonce in PREFIX meta is gone or another's (flush, failover, another server), `lost` is
 * called: every list is owed again. Loop thread; at most one slate under way. */
#ifndef FRESHET_PUBLISHER_PUBLISHER_H
#define FRESHET_PUBLISHER_PUBLISHER_H

#include "base/buffer.h"
#include "model/slate.h"
#include "publisher/redis.h"

#define LIST_SCHEMA 1
#define PUBLISHER_HEARTBEAT_MS 2000

struct publisher_settings {
    struct redis_settings redis;
    const char *prefix;
    int64_t expiry_ms;
    double expiry_jitter; /* 0.1: between 90% and 100% of expiry_ms */
    int64_t changes_max;  /* entries kept in the stream of changes; 0: none written */
    const char *nonce;    /* of the state */
};

struct publisher;
struct publisher_hooks {
    void (*up)(void *arg);
    void (*down)(const struct error *why, void *arg);
    void (*lost)(void *arg); /* this Redis does not hold our lists; after up */
};

int publisher_open(struct publisher **publisher, uv_loop_t *loop,
                   const struct publisher_settings *settings, const struct publisher_hooks *hooks,
                   void *arg, struct error *err);

/* True from when Redis is up and the nonce has been looked at. */
bool publisher_is_up(const struct publisher *publisher);

/* Sends a slate (lent until `sent`, which comes exactly once, from the loop) and sets each list's
 * outcome. A connection lost on the way leaves lists SLATE_UNSENT. Only when up and none is under
 * way. */
typedef void (*publisher_sent_cb)(struct slate *slate, void *arg);
void publisher_send(struct publisher *publisher, struct slate *slate, publisher_sent_cb sent,
                    void *arg);

/* What goes into PREFIX meta with the next heartbeat. */
void publisher_set_generation(struct publisher *publisher, uint64_t generation);

/* GETs a user's live list: the JSON, or absent (data NULL), or err. Once, from the loop. */
typedef void (*publisher_list_cb)(struct slice json, const struct error *err, void *arg);
void publisher_get(struct publisher *publisher, struct slice user, publisher_list_cb got,
                   void *arg);

struct publisher_figures {
    uint64_t sent, stored, older, refused, unsent; /* lists */
    uint64_t connects, losses;
    uint64_t bytes; /* of list JSON */
};
const struct publisher_figures *publisher_figures(const struct publisher *publisher);

void publisher_close(struct publisher *publisher, void (*closed)(void *arg), void *arg);

/* The key of a user's list and its JSON, appended to `out` (also for tests). */
void publisher_key(struct buffer *out, const char *prefix, struct slice user);
void list_write(struct buffer *out, const struct slate *slate, const struct slate_list *list);

#endif
