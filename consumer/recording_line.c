#include "consumer/recording_line.h"
#include "base/json.h"
#include "consumer/decode.h"
#include "consumer/scan.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_TEXT_MAX 64 /* bytes of a number in a column */

/* ---- tab-separated ---- */

/* Cuts the next column off `rest`; false if there is none. */
static bool next_column(struct slice *rest, struct slice *column)
{
    if (rest->data == NULL)
        return false;
    const char *tab = memchr(rest->data, '\t', rest->length);
    if (tab == NULL) {
        *column = *rest;
        *rest = (struct slice){NULL, 0};
        return true;
    }
    *column = (struct slice){rest->data, (uint32_t)(tab - rest->data)};
    *rest = (struct slice){tab + 1, rest->length - column->length - 1};
    return true;
}

static bool read_int(struct slice text, int64_t *out)
{
    int64_t value = 0;
    if (text.length == 0 || text.length > 15) /* 15 digits: the year 9999 in ms */
        return false;
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *out = value;
    return true;
}

static bool read_value(struct slice text, double *out)
{
    char copy[NUMBER_TEXT_MAX], *end;
    if (text.length == 0 || text.length >= sizeof copy || text.data[0] == ' ')
        return false;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    *out = strtod(copy, &end);
    return end == copy + text.length && isfinite(*out) && *out >= 0;
}

static int check_event(const struct recorded_event *event, struct error *err)
{
    if (event->ts_ms < 0 || event->ts_ms > DECODE_TS_MAX_MS)
        return error_set(err, ERR_DATA, "time %" PRId64 " is out of range", event->ts_ms);
    if (event->user.length == 0 || event->user.length > ID_BYTES_MAX)
        return error_set(err, ERR_DATA, "a user has 1 to %d bytes", ID_BYTES_MAX);
    if (event->item.length > ID_BYTES_MAX)
        return error_set(err, ERR_DATA, "an item has 1 to %d bytes", ID_BYTES_MAX);
    if (event->type.length == 0 || event->type.length > TYPE_NAME_BYTES_MAX)
        return error_set(err, ERR_DATA, "an event type has 1 to %d bytes", TYPE_NAME_BYTES_MAX);
    if (!isfinite(event->value) || event->value < 0)
        return error_set(err, ERR_DATA, "value is not a number of at least 0");
    return 0;
}

int recording_read_tsv(struct slice line, struct recorded_event *event, struct error *err)
{
    struct slice rest = line, ts, value, more;
    *event = (struct recorded_event){.json = {NULL, 0}};
    if (!utf8_is_valid(line) || memchr(line.data, '\0', line.length) != NULL)
        return error_set(err, ERR_DATA, "not UTF-8 without U+0000");
    if (!next_column(&rest, &ts) || !next_column(&rest, &event->user) ||
        !next_column(&rest, &event->item) || !next_column(&rest, &event->type) ||
        !next_column(&rest, &value) || next_column(&rest, &more))
        return error_set(err, ERR_DATA, "not five columns");
    if (!read_int(ts, &event->ts_ms))
        return error_set(err, ERR_DATA, "\"%.*s\" is no time in milliseconds", SLICE_ARG(ts));
    if (!read_value(value, &event->value))
        return error_set(err, ERR_DATA, "\"%.*s\" is no value (a number of at least 0)",
                         SLICE_ARG(value));
    if (event->item.length == 0)
        return error_set(err, ERR_DATA, "an item has 1 to %d bytes", ID_BYTES_MAX);
    return check_event(event, err);
}

/* ---- JSON lines ---- */

/* A string, or an integer as its decimal text in `room`; empty if it is neither. */
static struct slice read_id(const struct json *root, const char *key, char *room)
{
    const struct json *value = json_get(root, key);
    if (json_type(value) != JSON_INT)
        return json_to_string(value, SLICE(""));
    int length = snprintf(room, RECORDING_NUMBER_BYTES, "%" PRId64, json_get_int(root, key, 0));
    return (struct slice){room, (uint32_t)length};
}

/* Control events name no item; of the others the consumer decides what it thinks of them. */
int recording_read_json(struct slice line, struct recorded_event *event, struct json **json,
                        struct recording_numbers *numbers, struct error *err)
{
    struct json *root = *json = json_parse(line, err);
    if (root == NULL)
        return ERR_DATA;
    if (json_type(root) != JSON_OBJECT)
        return error_set(err, ERR_DATA, "not a JSON object");
    if (json_type(json_get(root, "ts")) != JSON_INT)
        return error_set(err, ERR_DATA, "no ts: a recording must say when (in milliseconds)");
    *event = (struct recorded_event){.ts_ms = json_get_int(root, "ts", -1),
                                     .user = read_id(root, "user", numbers->user),
                                     .item = read_id(root, "item", numbers->item),
                                     .type = json_get_string(root, "type", SLICE("")),
                                     .value = json_get_number(root, "value", 1),
                                     .json = line};
    return check_event(event, err);
}

/* ---- and back ---- */

void recorded_event_write(struct buffer *out, const struct recorded_event *event)
{
    if (event->json.length > 0) {
        buffer_add(out, event->json.data, event->json.length);
        return;
    }
    struct json_writer w = {.out = out};
    json_begin_object(&w, NULL);
    json_string(&w, "user", event->user);
    json_string(&w, "item", event->item);
    json_string(&w, "type", event->type);
    json_int(&w, "ts", event->ts_ms);
    json_real(&w, "value", event->value);
    json_end_object(&w);
}
