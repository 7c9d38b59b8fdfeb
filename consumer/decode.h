/* Kafka record -> event.
 *
 * A strict scanner for the one shape that matters,
 *   {"id":"…","user":"u1","item":"i9","type":"click","ts":1700000000000,"value":1.0,"list":"…","pos":3}
 * in any key order, with any further keys (of any JSON value) skipped but checked. Strict means RFC
 * 8259 in full: UTF-8 checked, no NaN, no trailing bytes, no duplicate of a key that we read, depth
 * at most DECODE_DEPTH_MAX; and, as in base/json.h, no U+0000 and no number that overflows. A field
 * whose value is null counts as absent. Users, items, id, ref and list are strings of 1 to
 * ID_BYTES_MAX bytes or integers, which become their decimal text; control characters are not
 * allowed in them. Every field that we read is checked, whatever the type of the event. Types
 * `retract` (user, ref), `forget_user` (user) and `impression` (user, item) are control events. Of
 * several reasons to refuse a record the first counts in this order: too_large, no_value, bad_utf8,
 * bad_json, missing_field, bad_field, unknown_type, wrong_key, ahead. It allocates nothing but the
 * unescaped copy of a string that has escapes (from the batch). Tested against jansson on the same
 * bytes: both accept or both refuse, but for duplicates of keys that we do not read. */
#ifndef FRESHET_CONSUMER_DECODE_H
#define FRESHET_CONSUMER_DECODE_H

#include "consumer/event.h"

#define DECODE_DEPTH_MAX 32
#define DECODE_TS_MAX_MS 253402300799999 /* the last millisecond of the year 9999 */

struct decode_settings {
    const char *const *types; /* names under events:, [type_count]; index = event.type */
    uint32_t type_count;      /* at most EVENT_TYPES_MAX */
    int32_t default_type;     /* index of "default", or -1: unknown types are dead letters */
    int64_t max_ahead_ms;
    uint32_t event_bytes_max;
};

/* Fills `event` from its key, bytes, partition, offset and record_ts_ms, which the caller has set.
 * Never fails: what is no event becomes EVENT_DEAD with a reason. */
void decode_event(const struct decode_settings *settings, struct batch *batch, struct event *event);

/* The same for a record of the items topic (key = item id; a null value is a tombstone), whose
 * fields may all be absent but `item`:
 *   {"item":"i9","blocked":false,"available_from":ms,"available_until":ms,"categories":["…"],"title":"…"}
 */
void decode_item(const struct decode_settings *settings, struct batch *batch, struct event *event);

#endif
