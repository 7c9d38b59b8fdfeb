/* libFuzzer: no bytes may upset the decoder, and it calls JSON what jansson calls JSON.
 *   fuzz_event -max_len=4096 CORPUS */
#include "base/json.h"
#include "consumer/decode.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"click", "default"};
    const struct decode_settings settings = {.types = types,
                                             .type_count = 2,
                                             .default_type = 1,
                                             .max_ahead_ms = 300000,
                                             .event_bytes_max = 1 << 20};
    struct slice bytes = {(const char *)data, (uint32_t)size};
    struct error err = {0};
    struct batch batch;
    if (size > settings.event_bytes_max)
        return 0;
    batch_init(&batch);
    struct event *event = batch_add(&batch);
    event->bytes = bytes;
    event->key = SLICE("u");
    event->record_ts_ms = 1700000000000;
    decode_event(&settings, &batch, event);

    struct json *json = json_parse(bytes, &err);
    bool is_object = json_type(json) == JSON_OBJECT;
    if (is_object == refused_as_json(event) && !may_differ(&err, bytes))
        abort();
    json_free(json);
    batch_deinit(&batch);
    return 0;
}
