#include "consumer/decode_parts.h"
#include "consumer/scan.h"

enum field {
    FIELD_ID,
    FIELD_USER,
    FIELD_ITEM,
    FIELD_TYPE,
    FIELD_TS,
    FIELD_VALUE,
    FIELD_LIST,
    FIELD_POS,
    FIELD_REF,
    FIELD_COUNT,
};

struct fields {
    uint32_t seen;                         /* bit: the key was there */
    uint32_t present;                      /* bit: and its value was not null */
    struct scan_value values[FIELD_COUNT]; /* set where present */
};

static bool has(const struct fields *fields, enum field field)
{
    return fields->present >> field & 1;
}

static enum field field_of(struct slice key)
{
#define IS(name) (memcmp(key.data, name, sizeof(name) - 1) == 0)
    switch (key.length) {
    case 2:
        return IS("id") ? FIELD_ID : IS("ts") ? FIELD_TS : FIELD_COUNT;
    case 3:
        return IS("pos") ? FIELD_POS : IS("ref") ? FIELD_REF : FIELD_COUNT;
    case 4:
        return IS("user")   ? FIELD_USER
               : IS("item") ? FIELD_ITEM
               : IS("type") ? FIELD_TYPE
               : IS("list") ? FIELD_LIST
                            : FIELD_COUNT;
    case 5:
        return IS("value") ? FIELD_VALUE : FIELD_COUNT;
    default:
        return FIELD_COUNT;
    }
#undef IS
}

static bool read_member(struct scan *scan, struct slice key, struct fields *fields)
{
    enum field field = field_of(key);
    if (field == FIELD_COUNT)
        return scan_skip(scan);
    if (fields->seen >> field & 1) /* which of the two would be meant? */
        return false;
    fields->seen |= 1u << field;
    if (!scan_value(scan, &fields->values[field]))
        return false;
    if (fields->values[field].type != SCAN_NULL)
        fields->present |= 1u << field;
    return true;
}

static bool read_fields(struct slice text, struct batch *batch, struct fields *fields)
{
    struct scan scan;
    struct slice key;
    bool first = true;
    scan_init(&scan, text, batch, DECODE_DEPTH_MAX);
    fields->seen = fields->present = 0;
    if (!scan_object(&scan))
        return false;
    while (scan_member(&scan, &first, &key))
        if (!read_member(&scan, key, fields))
            return false;
    return scan_object_end(&scan) && scan_at_end(&scan);
}

/* ---- the checks, in the order of precedence of their reasons ---- */

/* What the type says the record is; a type that cannot be read is refused later. */
static enum event_kind kind_of(const struct fields *fields)
{
    const struct scan_value *type = &fields->values[FIELD_TYPE];
    if (!has(fields, FIELD_TYPE) || type->type != SCAN_STRING)
        return EVENT_INTERACTION;
    if (slice_equal(type->text, SLICE("retract")))
        return EVENT_RETRACT;
    if (slice_equal(type->text, SLICE("forget_user")))
        return EVENT_FORGET_USER;
    if (slice_equal(type->text, SLICE("impression")))
        return EVENT_IMPRESSION;
    return EVENT_INTERACTION;
}

static bool lacks_field(const struct fields *fields, enum event_kind kind)
{
    return !has(fields, FIELD_USER) || !has(fields, FIELD_TYPE) ||
           ((kind == EVENT_INTERACTION || kind == EVENT_IMPRESSION) && !has(fields, FIELD_ITEM)) ||
           (kind == EVENT_RETRACT && !has(fields, FIELD_REF));
}

/* An id into `out`, which is empty where the field is absent. */
static bool take_id(const struct fields *fields, enum field field, struct slice *out)
{
    const struct scan_value *value = &fields->values[field];
    if (!has(fields, field)) {
        *out = SLICE("");
        return true;
    }
    if (value->type != SCAN_STRING && value->type != SCAN_INT)
        return false;
    *out = value->text;
    return decode_is_id(*out);
}

static bool take_int(const struct fields *fields, enum field field, int64_t max, int64_t otherwise,
                     int64_t *out)
{
    const struct scan_value *value = &fields->values[field];
    *out = otherwise;
    if (!has(fields, field))
        return true;
    if (value->type != SCAN_INT)
        return false;
    *out = value->integer;
    return value->integer >= 0 && value->integer <= max;
}

static bool take_weight(const struct fields *fields, double *out)
{
    const struct scan_value *value = &fields->values[FIELD_VALUE];
    *out = 1;
    if (!has(fields, FIELD_VALUE))
        return true;
    if (value->type != SCAN_INT && value->type != SCAN_REAL)
        return false;
    *out = value->number;
    return value->number >= 0;
}

static bool take_type(const struct fields *fields)
{
    const struct scan_value *value = &fields->values[FIELD_TYPE];
    return value->type == SCAN_STRING && value->text.length > 0;
}

static bool take_fields(const struct fields *fields, struct event *event)
{
    int64_t pos;
    bool good = take_type(fields) && take_id(fields, FIELD_USER, &event->user) &&
                take_id(fields, FIELD_ITEM, &event->item) &&
                take_id(fields, FIELD_ID, &event->id) && take_id(fields, FIELD_REF, &event->ref) &&
                take_id(fields, FIELD_LIST, &event->list) && take_weight(fields, &event->value) &&
                take_int(fields, FIELD_TS, DECODE_TS_MAX_MS, event->record_ts_ms, &event->ts_ms) &&
                take_int(fields, FIELD_POS, INT32_MAX, -1, &pos);
    if (good)
        event->pos = (int32_t)pos;
    return good;
}

/* The type's index in the settings, or -1. */
static int32_t find_type(const struct decode_settings *settings, struct slice name)
{
    for (uint32_t i = 0; i < settings->type_count; i++)
        if (strncmp(settings->types[i], name.data, name.length) == 0 &&
            settings->types[i][name.length] == '\0')
            return (int32_t)i;
    return settings->default_type;
}

static enum dead_reason check_event(const struct decode_settings *settings, struct batch *batch,
                                    struct event *event)
{
    struct fields fields;
    enum dead_reason reason = decode_check_bytes(settings, event->bytes);
    if (reason != DECODE_FINE)
        return reason;
    if (!read_fields(event->bytes, batch, &fields))
        return DEAD_BAD_JSON;
    event->kind = kind_of(&fields);
    if (lacks_field(&fields, event->kind))
        return DEAD_MISSING_FIELD;
    if (!take_fields(&fields, event))
        return DEAD_BAD_FIELD;
    if (event->kind == EVENT_INTERACTION) {
        int32_t type = find_type(settings, fields.values[FIELD_TYPE].text);
        if (type < 0)
            return DEAD_UNKNOWN_TYPE;
        event->type = (uint16_t)type;
    }
    if (!slice_equal(event->key, event->user))
        return DEAD_WRONG_KEY;
    if (event->ts_ms - settings->max_ahead_ms > event->record_ts_ms)
        return DEAD_AHEAD;
    return DECODE_FINE;
}

void decode_event(const struct decode_settings *settings, struct batch *batch, struct event *event)
{
    event->from_items = false;
    enum dead_reason reason = check_event(settings, batch, event);
    if (reason != DECODE_FINE)
        decode_bury(event, reason);
}
