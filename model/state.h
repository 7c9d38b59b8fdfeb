/* The durable state: one LMDB environment, one transaction for everything that belongs together.
 *
 * Keys and values are bytes here; model/user.h, model/sums.h and model/history.h say what they
 * mean. One process writes (an exclusive flock on DIR/lock); any number of processes may read, each
 * opening the directory once. Writes are gathered in a `state_commit` on the loop thread, handed to
 * a writer thread of the state's own, and reported back on the loop when they are on the disk
 * (fsync). At most one commit is under way.
 *
 * Databases and keys. Integers are big-endian, so that byte order is number order. T = the topic's
 * length as one byte, then its bytes; P = the partition, 4 bytes; H = the item's number, 4 bytes.
 *
 *   meta        name           value: see struct state_meta; "format", "byte_order"
 *   types       2-byte number  event type's name
 *   items       H              item id
 *   catalog     H              what the items topic says of the item (model/items.h)
 *   users       T P user-id    struct user_record
 *   sums        T P H          struct item_sums
 *   pairs       T P H          an item's co-occurrence (model/pairs.h)
 *   journal     T P offset(8)  what the tables of `pairs` may lack (model/history_pairs.c)
 *   trials      T P trial(8)   struct trial_record (model/history_internal.h): model/trial.h
 *   partitions  T P            struct partition_record
 *   dead        T P offset(8)  dead letter, key and JSON, until delivered
 *
 * Numbers in values are in the machine's own order; `meta` names it, and another order is refused.
 * A state of an older format is upgraded in place when opened for writing, all steps in one
 * transaction; a newer one is refused with the name of the way out. Format 2 has co-occurrence,
 * which begins empty in a state of format 1. Format 3 has trials, which begin empty, and longer
 * records of users and partitions, which are converted as they are read. A full map is ERR_IO and
 * names state.map; nothing is lost by it. After any failed write the next commit may work,
 * without a restart: only views that are being read can put that off. LMDB:
 * http://www.lmdb.tech/doc/.
 *
 * A directory with an `incoming` in it is about to get another state (model/place.h): whoever opens
 * it for writing completes that first. */
#ifndef FRESHET_MODEL_STATE_H
#define FRESHET_MODEL_STATE_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <uv.h>

#define STATE_FORMAT 3
#define STATE_KEY_MAX 400   /* bytes */
#define STATE_TOPIC_MAX 249 /* bytes of a topic's name, as in Kafka */

enum state_db {
    STATE_META,
    STATE_TYPES,
    STATE_ITEMS,
    STATE_CATALOG,
    STATE_USERS,
    STATE_SUMS,
    STATE_PAIRS,
    STATE_JOURNAL,
    STATE_TRIALS,
    STATE_PARTITIONS,
    STATE_DEAD,
    STATE_DB_COUNT
};

struct state_settings {
    const char *dir;   /* created (mode 0700) if missing and writing */
    int64_t map_bytes; /* the most the state may ever take; sparse */
};

struct state;
struct state_commit;

/* A writing state takes the lock: ERR_SETTINGS "in use by process N" if another holds it. Without a
 * `loop` only state_commit_now may be used. A reader of a directory without a state gets
 * ERR_SETTINGS. */
int state_open_writer(struct state **state, uv_loop_t *loop, const struct state_settings *settings,
                      struct error *err);
int state_open_reader(struct state **state, const struct state_settings *settings,
                      struct error *err);

/* Waits for the writer thread, then closes. A commit under way finishes, and its callback still
 * comes when the loop is turned, which it must be once more to give back the last memory. NULL is
 * allowed. */
void state_close(struct state *state);

/* Writes a consistent copy of all that is committed to the file `fd`, without the pages that are
 * free: others go on reading and writing meanwhile. Like a view it keeps pages pinned that are
 * freed while it runs. Blocking; any thread. state_bytes: how long the copy gets, at most. */
int state_copy(struct state *state, int fd, struct error *err);
uint64_t state_bytes(const struct state *state);

/* Key builders; return the length. `key` has room for STATE_KEY_MAX bytes. */
size_t state_key_topic(char *key, struct slice topic); /* to scan all of a topic */
size_t state_key_partition(char *key, struct slice topic, int32_t partition);
size_t state_key_user(char *key, struct slice topic, int32_t partition, struct slice user);
size_t state_key_item(char *key, uint32_t item);
size_t state_key_partition_item(char *key, struct slice topic, int32_t partition, uint32_t item);
size_t state_key_trial(char *key, struct slice topic, int32_t partition, uint64_t trial);
size_t state_key_offset(char *key, struct slice topic, int32_t partition, int64_t offset);

/* And back. False if the bytes are no such key. */
struct state_key {
    struct slice topic;
    int32_t partition;
    struct slice rest; /* what follows T P: user id, item number, offset */
};
bool state_key_parse(struct slice key, struct state_key *parts);
bool state_key_number(struct slice bytes, uint32_t *number); /* an item's number */
bool state_key_offset_number(struct slice bytes, int64_t *offset);
bool state_key_trial_number(struct slice bytes, uint64_t *trial);

/* A consistent view for reading; keeps freed pages pinned, so close it soon. Any one thread. */
struct state_view;
int state_view_open(struct state_view **view, struct state *state, struct error *err);
void state_view_close(struct state_view *view);

/* For a view used now and then: _rest lets go of the snapshot, _renew takes the newest. Between the
 * two nothing may be read. */
void state_view_rest(struct state_view *view);
int state_view_renew(struct state_view *view, struct error *err);

/* 1 and `value` (until the view closes), 0 if there is none, or an error. */
int state_view_get(struct state_view *view, enum state_db db, struct slice key, struct slice *value,
                   struct error *err);

/* Calls `visit` for each entry whose key begins with `prefix`, in key order, until it returns
 * non-zero, which is then returned. Values are aligned to 8 bytes only if LMDB has them so: copy
 * before use. */
typedef int (*state_visit)(struct slice key, struct slice value, void *arg);
int state_view_scan(struct state_view *view, enum state_db db, struct slice prefix,
                    state_visit visit, void *arg, struct error *err);

/* A commit being gathered. Keys are copied; values are copied by _put and borrowed by _put_lent
 * until the commit's `done`. Order matters only for the same key: the last one wins. */
struct state_commit *state_commit_new(struct state *state);
void state_commit_put(struct state_commit *commit, enum state_db db, struct slice key,
                      struct slice value);
void state_commit_put_lent(struct state_commit *commit, enum state_db db, struct slice key,
                           struct slice value);
void state_commit_delete(struct state_commit *commit, enum state_db db, struct slice key);
void state_commit_drop(struct state_commit *commit); /* gathered in vain */

/* Hands the commit to the writer thread and consumes it. `done` comes once, on the loop, err NULL
 * if everything is on the disk, else nothing of it is. */
typedef void (*state_commit_cb)(const struct error *err, void *arg);
void state_commit_start(struct state_commit *commit, state_commit_cb done, void *arg);

/* True until just before `done`, which may start the next one. */
bool state_commit_running(const struct state *state);

/* The same at once, in the caller's thread (opening, tests); consumes the commit, too. No other may
 * be under way. */
int state_commit_now(struct state_commit *commit, struct error *err);

#endif
