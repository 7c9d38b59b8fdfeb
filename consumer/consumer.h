/* The first station: Kafka -> batches of events, and settled offsets back.
 *
 * One member of a consumer group (eager `range`; static membership if `instance` is set), driven by
 * the libuv loop: librdkafka's queue wakes the loop (uv_async), and nothing here blocks it but the
 * checks at assignment (bounded by CONSUMER_CHECK_MS). The consumer never decides where to
 * start: at every assignment it asks the history (start_offset) and believes it over the group's
 * offsets. The items topic is read whole, by every instance, beside the assigned partitions.
 *
 * Pull: the pipeline calls consumer_take when it has room. What waits stays in librdkafka's bounded
 * queues and then in Kafka, so back-pressure needs no further code. If nothing is taken for
 * CONSUMER_HOLD_MS, fetching is paused until the next take, so that the group's callbacks and
 * max.poll.interval.ms can be served meanwhile. Records below the start offset of their partition
 * are dropped. All calls and callbacks on the loop thread; no callback runs before the call that
 * caused it has returned, except start_offset, assigned and revoked, which run inside consumer_take
 * or from a timer of ours, and from which the consumer must not be called. Protocol:
 * https://kafka.apache.org/protocol; librdkafka 2.0.2. */
#ifndef FRESHET_CONSUMER_CONSUMER_H
#define FRESHET_CONSUMER_CONSUMER_H

#include "base/error.h"
#include "consumer/decode.h"
#include "consumer/event.h"

#include <uv.h>

#define CONSUMER_CHECK_MS 10000 /* one look at cluster, partitions and log ends, at most */
#define CONSUMER_HOLD_MS 2000   /* without a take: then fetching pauses */
#define CONSUMER_START_OF_LOG INT64_MIN

struct kafka_property {
    const char *name;
    const char *value;
};

struct consumer_settings {
    const char *topic;
    const char *items_topic; /* "" for none */
    const char *dead_topic;
    const char *group;
    const char *instance;                    /* group.instance.id, "" for dynamic membership */
    int create_partitions;                   /* > 0: create missing topics with that many */
    const struct kafka_property *properties; /* handed to librdkafka, [property_count] */
    size_t property_count;
    struct decode_settings decode;
};

struct consumer_hooks {
    /* The next offset to read of a partition, or CONSUMER_START_OF_LOG if the state knows nothing
     * of it. `items` says which of the two topics is meant. */
    int64_t (*start_offset)(bool items, int32_t partition, void *arg);
    /* The partitions of the events topic this instance has from now on, or no longer has. */
    void (*assigned)(const int32_t *partitions, size_t count, void *arg);
    void (*revoked)(const int32_t *partitions, size_t count, void *arg);
    /* Records may be waiting: call consumer_take (soon, not from here). */
    void (*ready)(void *arg);
    /* Kafka is away (err set) or back (err NULL). librdkafka goes on trying by itself. */
    void (*health)(const struct error *err, void *arg);
    /* It makes no sense to go on: other cluster, other partition count, offsets outside the log
     * (the text names the way out). Once. */
    void (*failed)(const struct error *err, void *arg);
};

struct consumer;

/* Finds the brokers, and the topics (ERR_SETTINGS for one that is missing and not to be created).
 * Waits up to `timeout_ms`: ERR_DOWN if no broker answers. What `settings` points at is borrowed
 * until `closed`. Then the cluster id and the partition count of the events topic are known, for
 * the state to compare or keep before consumer_start. */
int consumer_open(struct consumer **consumer, uv_loop_t *loop,
                  const struct consumer_settings *settings, const struct consumer_hooks *hooks,
                  void *arg, int timeout_ms, struct error *err);
const char *consumer_cluster_id(const struct consumer *consumer);
int consumer_partition_count(const struct consumer *consumer);

/* Joins the group. */
int consumer_start(struct consumer *consumer, struct error *err);

/* Moves up to `events_max` waiting records into `batch` (appending; copies, so the batch may
 * outlive the consumer), without waiting; returns how many. If it returns events_max, more may
 * wait: call again, `ready` comes late for them. After a rebalance records may come a second time
 * that were taken but not yet learned when start_offset was asked; the history knows its offsets.
 */
size_t consumer_take(struct consumer *consumer, struct batch *batch, size_t events_max);

/* The state up to (excluding) these offsets is durable: commit them to the group. Asynchronous; a
 * failure is only logged by the hooks' health, since the group's offsets are for lag alone. */
struct settled_offset {
    int32_t partition; /* of the events topic */
    int64_t next_offset;
};
void consumer_settle(struct consumer *consumer, const struct settled_offset *offsets, size_t count);

/* Sends one dead letter to the dead topic, keyed by `key`; the bytes are copied (`key.data` NULL:
 * no key). `delivered` comes exactly once, from the loop, with ok = false if it could not be
 * delivered in time (send again). Returns ERR_DOWN if the producer's queue is full: nothing was
 * taken, no callback will come. */
typedef void (*dead_letter_cb)(bool ok, uint64_t token, void *arg);
int consumer_send_dead_letter(struct consumer *consumer, struct slice key, struct slice json,
                              uint64_t token, dead_letter_cb delivered, void *arg,
                              struct error *err);

/* Records not yet taken, over the assigned partitions: end of log - next offset, as last heard
 * from the brokers; -1 if unknown, as before the first assignment. */
int64_t consumer_lag(const struct consumer *consumer);

/* Whether all that both logs held when their partitions were assigned has been taken. False before
 * the first assignment, and while an end is unknown. */
bool consumer_has_caught_up(const struct consumer *consumer);

/* Stops taking (SIGTERM): pauses fetching, still polls. */
void consumer_pause(struct consumer *consumer);

/* Leaves the group, flushes dead letters and frees all, within `deadline_ms` of wall time; `closed`
 * comes from the loop when nothing of the consumer is left on it. Every dead letter gets its
 * callback before. What librdkafka has not given back by then (its threads may be stuck in a
 * resolver) is left to a thread of its own. */
void consumer_close(struct consumer *consumer, int deadline_ms, void (*closed)(void *arg),
                    void *arg);

/* The JSON of a dead letter: {"reason","topic","partition","offset","ts","payload"} with the first
 * 64 KiB as text, or as "payload_base64" where they are not UTF-8. Appends to `out`. */
struct buffer;
void dead_letter_write(struct buffer *out, const char *topic, const struct event *event);

/* Why a property may not be given this value under kafka:, or NULL if it may. `value` NULL: any.
 * All that may not, whatever the value, is in the list; a name may end in a star, for any end. */
struct kafka_denied {
    const char *name, *reason;
};
const struct kafka_denied *kafka_properties_denied(size_t *count);
const char *kafka_property_denied(const char *name, const char *value);

#endif
