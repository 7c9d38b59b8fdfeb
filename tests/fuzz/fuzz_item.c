/* A record of the items topic, and what the state makes of it: what was decoded is described,
 * written as a value of the catalog, and read back to the same. */
#include "base/buffer.h"
#include "base/json.h"
#include "consumer/decode.h"
#include "model/items.h"
#include "tests/fuzz/fuzz.h"

static bool refused_as_json(const struct event *event)
{
    return event->kind == EVENT_DEAD &&
           (event->reason == DEAD_BAD_JSON || event->reason == DEAD_BAD_UTF8);
}

/* What is JSON to the decoder is so to jansson; the other way round it may be too deep. */
static void check_json(const struct event *event)
{
    struct error err = {0};
    struct json *json = json_parse(event->bytes, &err);
    if (event->bytes.length > 0 && event->kind == EVENT_ITEM)
        MUST(json_type(json) == JSON_OBJECT || strstr(err.text, "duplicate") != NULL);
    if (event->bytes.length > 0 && refused_as_json(event))
        MUST(json_type(json) != JSON_OBJECT || json_count(json) > 0);
    json_free(json);
}

static void keep_and_read_back(const struct event *event)
{
    struct items items = {0};
    struct buffer value = {0}, again = {0};
    struct error err = {0};
    ids_add(&items.ids, event->item);
    items_describe(&items, 0, event->record);
    items_info_write(&value, &items, 0);
    if (value.length > 0) {
        MUST(items_info_read(&items, 0, buffer_slice(&value), &err) == 0);
        items_info_write(&again, &items, 0);
        MUST(slice_equal(buffer_slice(&value), buffer_slice(&again)));
    }
    buffer_deinit(&value);
    buffer_deinit(&again);
    items_deinit(&items);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct decode_settings settings = {.event_bytes_max = 1 << 20};
    struct batch batch;
    if (size > settings.event_bytes_max)
        return 0;
    char *copy = copy_exactly((struct slice){(const char *)data, (uint32_t)size});
    batch_init(&batch);
    struct event *event = batch_add(&batch);
    event->from_items = true;
    event->bytes = (struct slice){size > 0 ? copy : NULL, (uint32_t)size};
    event->key = SLICE("i");
    event->record_ts_ms = 1700000000000;
    decode_item(&settings, &batch, event);
    check_json(event);
    if (event->kind == EVENT_ITEM)
        keep_and_read_back(event);
    batch_deinit(&batch);
    free(copy);
    return 0;
}
