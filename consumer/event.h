/* What the consumer hands on: events, in batches. This is the station's product header.
 *
 * A batch is a run of records as Kafka gave them: in offset order within each partition. Every
 * record becomes exactly one event, a bad one too (EVENT_DEAD), so that the offsets a batch covers
 * have no holes that matter. All slices point into memory that the batch owns; they live until
 * batch_clear. Loop thread. */
#ifndef FRESHET_CONSUMER_EVENT_H
#define FRESHET_CONSUMER_EVENT_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_BYTES_MAX 128 /* bytes of a user, item or event id */
#define EVENT_TYPES_MAX 64
#define TYPE_NAME_BYTES_MAX 64

enum event_kind {
    EVENT_INTERACTION, /* user, item, type, value, ts_ms */
    EVENT_RETRACT,     /* user, ref: takes back the interaction with that id */
    EVENT_FORGET_USER, /* user: erases all that is kept of the user */
    EVENT_IMPRESSION,  /* user, item, ts_ms, list, pos: the item was shown to the user */
    EVENT_ITEM,        /* item, record: from the items topic */
    EVENT_DEAD,        /* reason, key, value: cannot be an event */
};

/* Why a record is a dead letter. The name goes into the dead letter and the counters. */
#define DEAD_REASONS(X)                                                                           \
    X(DEAD_NO_VALUE, "no_value")   /* a null or empty value on the events topic */                \
    X(DEAD_TOO_LARGE, "too_large") /* over consumer.event_bytes_max */                            \
    X(DEAD_BAD_UTF8, "bad_utf8")                                                                  \
    X(DEAD_BAD_JSON, "bad_json")           /* not one JSON object; NaN, depth, duplicate keys */  \
    X(DEAD_MISSING_FIELD, "missing_field") /* no user, item, type or ref where one must be */     \
    X(DEAD_BAD_FIELD, "bad_field")         /* a field of the wrong type, empty or out of range */ \
    X(DEAD_UNKNOWN_TYPE, "unknown_type")   /* not under events: and no default there */           \
    X(DEAD_WRONG_KEY, "wrong_key")         /* the record's key is not its user (or item) */       \
    X(DEAD_AHEAD, "ahead")                 /* ts more than events.max_ahead after the record */

#define DEAD_ENUM(name, text) name,
enum dead_reason { DEAD_REASONS(DEAD_ENUM) DEAD_REASON_COUNT };
#undef DEAD_ENUM

/* "bad_json"; also how reasons are named in metrics. */
const char *dead_reason_name(enum dead_reason reason);

/* The JSON of a dead letter: {"reason","topic","partition","offset","ts","payload"} with the first
 * 64 KiB as text, or as "payload_base64" where they are not UTF-8. Appends to `out`. */
struct buffer;
struct event;
void dead_letter_write(struct buffer *out, const char *topic, const struct event *event);

/* What the items topic says of an item; the last record of a key stands for the whole item. */
struct item_record {
    bool present; /* false: a tombstone, nothing is said of this item any more */
    bool blocked;
    int64_t available_from_ms;  /* stream time; INT64_MIN: always was */
    int64_t available_until_ms; /* exclusive; INT64_MAX: always will be */
    struct slice title;         /* UTF-8, empty if none */
    struct slice *categories;   /* [category_count] */
    uint32_t category_count;
};

struct event {
    enum event_kind kind;
    uint16_t type; /* index into the settings' event types */
    enum dead_reason reason;
    int32_t partition; /* of the events topic, or of the items topic for EVENT_ITEM */
    bool from_items;   /* came from the items topic (a dead letter may, too) */
    int64_t offset;
    int64_t record_ts_ms; /* the record's timestamp: what latencies run from */
    int64_t ts_ms;        /* event time */
    double value;         /* 1 if absent; finite, >= 0 */
    struct slice user, item;
    struct slice id;   /* event id, empty if absent */
    struct slice ref;  /* of a retract */
    struct slice list; /* version of the list that was shown, empty if absent */
    int32_t pos;       /* position in that list, -1 if absent */
    const struct item_record *record;
    struct slice key, bytes; /* the raw record, for dead letters (bytes.data NULL: no value) */
};

struct batch_memory; /* what the events' slices point into */

struct batch {
    struct event *events; /* [count], owned */
    size_t count;
    size_t capacity;
    struct batch_memory *memory;
};

void batch_init(struct batch *batch);
void batch_deinit(struct batch *batch);

/* Empties the batch and gives back what its slices point into (keeps the arrays). */
void batch_clear(struct batch *batch);

/* For those who fill a batch: a zeroed event at its end; bytes that live until batch_clear. */
struct event *batch_add(struct batch *batch);
void *batch_alloc(struct batch *batch, size_t bytes);

/* Registers something to be released by batch_clear, e.g. a document that slices point into. */
void batch_own(struct batch *batch, void *thing, void (*release)(void *thing));

#endif
