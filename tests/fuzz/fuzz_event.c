/* A record of the events topic: no bytes may upset the decoder, and it calls JSON what jansson
 * calls JSON. */
#include "base/buffer.h"
#include "base/json.h"
#include "consumer/decode.h"
#include "tests/fuzz/fuzz.h"

static bool refused_as_json(const struct event *event)
{
    return event->kind == EVENT_DEAD &&
           (event->reason == DEAD_BAD_JSON || event->reason == DEAD_BAD_UTF8 ||
            event->reason == DEAD_NO_VALUE);
}

/* json_parse refuses any second key, the decoder only those it reads; json_parse allows more depth,
 * and loses a byte 0 that follows a number or a word. */
static bool may_differ(const struct error *err, struct slice bytes)
{
    int opened = 0;
    for (uint32_t i = 0; i < bytes.length; i++)
        opened += bytes.data[i] == '[' || bytes.data[i] == '{';
    return strstr(err->text, "duplicate") != NULL || opened > DECODE_DEPTH_MAX ||
           (bytes.length > 0 && memchr(bytes.data, 0, bytes.length) != NULL);
}

static void check_event(const struct event *event)
{
    if (event->kind == EVENT_DEAD || event->kind == EVENT_FORGET_USER)
        return;
    MUST(event->user.length > 0 && event->user.length <= ID_BYTES_MAX);
    MUST(event->item.length <= ID_BYTES_MAX && event->value >= 0);
    MUST(event->ts_ms <= event->record_ts_ms + 300000);
}

/* Whatever came, its dead letter is JSON; but json_parse takes no U+0000, which JSON itself may
 * have as an escape. */
static void write_dead_letter(struct event *event)
{
    struct buffer letter = {0};
    struct error err = {0};
    event->kind = EVENT_DEAD;
    dead_letter_write(&letter, "events", event);
    struct json *json = json_parse(buffer_slice(&letter), &err);
    MUST(json_type(json) == JSON_OBJECT || strstr(err.text, "\\u0000") != NULL);
    json_free(json);
    buffer_deinit(&letter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"click", "default"};
    const struct decode_settings settings = {.types = types,
                                             .type_count = 2,
                                             .default_type = 1,
                                             .max_ahead_ms = 300000,
                                             .event_bytes_max = 1 << 20};
    struct error err = {0};
    struct batch batch;
    if (size > settings.event_bytes_max)
        return 0;
    char *copy = copy_exactly((struct slice){(const char *)data, (uint32_t)size});
    struct slice bytes = {copy, (uint32_t)size};
    batch_init(&batch);
    struct event *event = batch_add(&batch);
    event->bytes = bytes;
    event->key = SLICE("u");
    event->record_ts_ms = 1700000000000;
    decode_event(&settings, &batch, event);
    check_event(event);

    struct json *json = json_parse(bytes, &err);
    bool is_object = json_type(json) == JSON_OBJECT;
    MUST(is_object != refused_as_json(event) || may_differ(&err, bytes));
    json_free(json);
    write_dead_letter(event);
    batch_deinit(&batch);
    free(copy);
    return 0;
}
