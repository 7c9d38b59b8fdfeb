#include "base/json.h"
#include "consumer/decode_parts.h"
#include "consumer/scan.h"

#include <inttypes.h>
#include <stdio.h>

/* Item records are rare (a catalogue's changes), so they go through the general reader. */

static void free_json(void *json)
{
    json_free(json);
}

/* A member, or NULL where it is absent or null. */
static const struct json *member(const struct json *root, const char *key)
{
    const struct json *value = json_get(root, key);
    return json_type(value) == JSON_NULL ? NULL : value;
}

static bool take_item(const struct json *root, struct batch *batch, struct slice *item)
{
    enum { DECIMAL_BYTES_MAX = 24 };
    const struct json *value = member(root, "item");
    if (json_type(value) == JSON_INT) {
        char *text = batch_alloc(batch, DECIMAL_BYTES_MAX);
        int length = snprintf(text, DECIMAL_BYTES_MAX, "%" PRId64, json_get_int(root, "item", 0));
        *item = (struct slice){text, (uint32_t)length};
    } else {
        *item = json_to_string(value, SLICE(""));
    }
    return decode_is_id(*item);
}

static bool take_bool(const struct json *root, const char *key, bool *out)
{
    const struct json *value = member(root, key);
    *out = json_get_bool(root, key, false);
    return value == NULL || json_type(value) == JSON_BOOL;
}

static bool take_ts(const struct json *root, const char *key, int64_t otherwise, int64_t *out)
{
    const struct json *value = member(root, key);
    *out = json_get_int(root, key, otherwise);
    return value == NULL || (json_type(value) == JSON_INT && *out >= 0 && *out <= DECODE_TS_MAX_MS);
}

static bool take_title(const struct json *root, struct slice *out)
{
    const struct json *value = member(root, "title");
    *out = json_to_string(value, SLICE(""));
    return value == NULL || json_type(value) == JSON_STRING;
}

static bool take_categories(const struct json *root, struct batch *batch,
                            struct item_record *record)
{
    const struct json *array = member(root, "categories");
    if (array == NULL)
        return true;
    if (json_type(array) != JSON_ARRAY)
        return false;
    size_t count = json_count(array);
    record->categories = batch_alloc(batch, count * sizeof *record->categories);
    record->category_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        record->categories[i] = json_to_string(json_at(array, i), SLICE(""));
        if (!decode_is_id(record->categories[i]))
            return false;
    }
    return true;
}

static enum dead_reason check_record(const struct json *root, struct batch *batch,
                                     struct event *event, struct item_record *record)
{
    if (json_type(root) != JSON_OBJECT)
        return DEAD_BAD_JSON;
    if (member(root, "item") == NULL)
        return DEAD_MISSING_FIELD;
    bool good = take_item(root, batch, &event->item) &&
                take_bool(root, "blocked", &record->blocked) &&
                take_ts(root, "available_from", INT64_MIN, &record->available_from_ms) &&
                take_ts(root, "available_until", INT64_MAX, &record->available_until_ms) &&
                take_title(root, &record->title) && take_categories(root, batch, record);
    if (!good)
        return DEAD_BAD_FIELD;
    return slice_equal(event->key, event->item) ? DECODE_FINE : DEAD_WRONG_KEY;
}

static enum dead_reason check_item(const struct decode_settings *settings, struct batch *batch,
                                   struct event *event, struct item_record *record)
{
    if (event->bytes.data == NULL) { /* a tombstone, whose key alone says what it is of */
        event->item = event->key;
        return utf8_is_valid(event->key) && decode_is_id(event->key) ? DECODE_FINE : DEAD_WRONG_KEY;
    }
    enum dead_reason reason = decode_check_bytes(settings, event->bytes);
    if (reason != DECODE_FINE)
        return reason;
    struct json *root = json_parse(event->bytes, NULL);
    if (root == NULL)
        return DEAD_BAD_JSON;
    batch_own(batch, root, free_json); /* the record's slices point into it */
    record->present = true;
    return check_record(root, batch, event, record);
}

void decode_item(const struct decode_settings *settings, struct batch *batch, struct event *event)
{
    struct item_record *record = batch_alloc(batch, sizeof *record);
    *record = (struct item_record){.available_from_ms = INT64_MIN, .available_until_ms = INT64_MAX};
    event->from_items = true;
    enum dead_reason reason = check_item(settings, batch, event, record);
    if (reason != DECODE_FINE) {
        decode_bury(event, reason);
        return;
    }
    event->kind = EVENT_ITEM;
    event->record = record;
    event->ts_ms = event->record_ts_ms;
    event->value = 1;
    event->pos = -1;
}
