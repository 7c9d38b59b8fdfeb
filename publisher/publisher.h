/* The fourth station: slates -> Redis, until acknowledged.
 *
 *   PREFIX<user>    STRING {"v","user","arm","gen","ts","cause","items":[["i9",0.91],...]},
 * expires; a list that explores also has "explored":[[place, item, propensity],...] PREFIX popular
 * the trend list, same shape, "user":null ("rec:popular") PREFIX meta     HASH generation, schema,
 * nonce, heartbeat (Unix ms) of who publishes the popular list; epoch, swap, claimed of all states;
 * nonce:XXXXXXXX, heartbeat:XXXXXXXX, log:XXXXXXXX of each (publisher/meta.h) PREFIX changes STREAM
 * of {user, v}, capped: users whose list changed
 *
 * A user whose id is "popular", "meta" or "changes" would collide; such users' keys get the prefix
 * "PREFIX" "user:" in front, as do ids that begin with "user:" (publisher_key).
 * Each list is written by one Lua script on one key (publisher/fence.h), which replaces only what
 * is not newer (struct version compared field by field, by GETRANGE of the value's head) and of the
 * same epoch's partition. Tombstones of forgotten users are
 * {"v","user","forgotten":true,"items":[]}. Lists carry an expiry with jitter, which depends on
 * user and version alone.
 *
 * Up means that the server has taken a write, to PREFIX meta, on this connection. If the nonce of
 * our state is gone from there, or its heartbeat has gone back (flush, failover, a restart from an
 * old copy, another server), `lost` is called: every list is owed again, those of the slate under
 * way that were acknowledged before included. It is looked at on every connect and every
 * PUBLISHER_HEARTBEAT_MS. The heartbeat is also the mark behind each slate: a server forgets the
 * latest writes first, so while the mark is there, what was written before it is.
 *
 * Several states may write under one prefix. With each look the publisher tells, by `met`, what
 * versions the others have, and is told the place that ours begin with; no list is sent before that
 * place is in PREFIX meta. A state that has no epoch yet first watches for PUBLISHER_WATCH_MS
 * whether others are alive, and one that meets states of another log whether those are: then it is
 * not up, but `down` with the way out, until they have gone. Loop thread; at most one slate under
 * way. */
#ifndef FRESHET_PUBLISHER_PUBLISHER_H
#define FRESHET_PUBLISHER_PUBLISHER_H

#include "base/buffer.h"
#include "model/slate.h"
#include "publisher/meta.h"

#define LIST_SCHEMA 1
#define PUBLISHER_HEARTBEAT_MS 2000
#define PUBLISHER_WATCH_MS 5000 /* a living state beats at least once in that time */

struct publisher_settings {
    struct redis_settings redis;
    const char *prefix;
    int64_t expiry_ms;
    double expiry_jitter; /* 0.1: between 90% and 100% of expiry_ms */
    int64_t changes_max;  /* entries kept in the stream of changes; 0: none written */
    const char *nonce;    /* of the state: random text of at least 8 bytes */
    const char *log;      /* which log it reads: cluster, topic, partitions; to compare and show */
    int64_t mark_ms;      /* the last one that `marked` told and the state kept; 0: none */
    struct meta_place place; /* of its versions; epoch 0: it has none yet */
};

struct publisher_group { /* of the states under the prefix */
    uint32_t epoch;      /* the greatest; 0: none */
    bool alive;          /* another one was, between the last two looks */
    uint32_t swap_least; /* ours must not be below it */
    bool taken_over;     /* since publisher_claim: another state wrote the greatest swap */
};

struct publisher;
struct publisher_hooks {
    /* Sets `place`, which has ours, for all later lists. */
    void (*met)(const struct publisher_group *group, struct meta_place *place, void *arg);
    void (*up)(void *arg); /* also after each publisher_claim */
    void (*down)(const struct error *why, void *arg);
    void (*lost)(void *arg); /* this Redis does not hold our lists; after up */
    /* Whether all lists have been published since `lost`: until it is true, and Redis knows, a
     * restart means that they are lost still. Asked before a heartbeat. */
    bool (*filled)(void *arg);
    /* One list or entry could not be written, for what lies at its key; the rest goes on. */
    void (*refused)(const struct error *what, void *arg);
    /* A slate's lists are in Redis, and so is this behind them; just before its `sent`. */
    void (*marked)(int64_t mark_ms, void *arg);
};

/* `settings` are copied, `hooks` borrowed. ERR_SETTINGS if the address is none; that Redis is away
 * is told by `down`, for each try. */
int publisher_open(struct publisher **publisher, uv_loop_t *loop,
                   const struct publisher_settings *settings, const struct publisher_hooks *hooks,
                   void *arg, struct error *err);

/* True from when Redis is up and the nonce has been looked at. */
bool publisher_is_up(const struct publisher *publisher);

/* Sends a slate's first `to_send` lists (it is lent until `sent`, which comes exactly once, from
 * the loop) and sets the outcome of each. It goes out in portions as the cap on commands in flight
 * allows, a mark behind it. A connection lost before the mark was answered leaves all of them
 * SLATE_UNSENT, because what the server had said it might forget; so does one that is not up; a
 * server that has lost the script leaves those that needed it. Only when none is under way. */
typedef void (*publisher_sent_cb)(struct slate *slate, void *arg);
void publisher_send(struct publisher *publisher, struct slate *slate, publisher_sent_cb sent,
                    void *arg);

/* What goes into PREFIX meta with the next heartbeat. */
void publisher_set_generation(struct publisher *publisher, uint64_t generation);

/* Whether the fields without a state's name are ours to write: those of one instance are. */
void publisher_set_plain(struct publisher *publisher, bool plain);

/* Partitions are ours from now on: no list is sent before we have met those who wrote theirs, and
 * our swap is greater than theirs. Up again, by the hook, two answers of Redis later. */
void publisher_claim(struct publisher *publisher);

/* Our versions have another place. No list is sent before it is in PREFIX meta. */
void publisher_set_place(struct publisher *publisher, const struct meta_place *place);

/* GETs a user's live list, or the popular one (user.data NULL): the JSON, lent for the call, or
 * absent (data NULL), or err. Once, from the loop; goes ahead of a slate that waits for room. */
typedef void (*publisher_list_cb)(struct slice json, const struct error *err, void *arg);
void publisher_get(struct publisher *publisher, struct slice user, publisher_list_cb got,
                   void *arg);

struct publisher_figures {
    uint64_t sent, stored, older, refused, unsent; /* lists */
    uint64_t connects, losses;
    uint64_t bytes;           /* of list JSON */
    uint64_t changes_refused; /* entries that PREFIX changes did not take: it is no stream */
};
const struct publisher_figures *publisher_figures(const struct publisher *publisher);

/* Gives up what is under way (`sent` and `got` are called for it), then calls `closed` from the
 * loop. The other hooks are not called any more. */
void publisher_close(struct publisher *publisher, void (*closed)(void *arg), void *arg);

/* The key of a user's list (of the popular one: user.data NULL) and its JSON, appended to `out`. */
void publisher_key(struct buffer *out, const char *prefix, struct slice user);
void list_write(struct buffer *out, const struct slate *slate, const struct slate_list *list);

/* Whose list it is: data NULL for the popular one. */
struct slice list_user(const struct slate_list *list);

/* The expiry of a list: settings' expiry_ms, less a share of up to expiry_jitter that is the same
 * each time for the same user and version. At least 1. */
int64_t list_expiry_ms(const struct publisher_settings *settings, const struct slate_list *list);

#endif
