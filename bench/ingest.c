/* Ingest: records -> events, beside jansson on the same bytes; and the consumer of a real broker.
 *
 *   ingest-driver [BOOTSTRAP TOPIC EVENTS]
 *
 * Runs: `decode` and `jansson` go through EVENTS_MADE records of 160 to 216 bytes, with the same
 * checks; `fill` sends EVENTS of them to the topic; `consume` takes them from there, and says what
 * it cost from the first record taken to the last, all threads. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/driver.h"
#include "consumer/consumer.h"
#include "consumer/produce.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENTS_MADE 20000
#define BATCH_EVENTS 1024
#define RECORD_TS 1700000000000
#define OPEN_MS 10000

static const char *const types[] = {"view", "click", "purchase"};
static const struct decode_settings decode_settings = {.types = types,
                                                       .type_count = 3,
                                                       .default_type = -1,
                                                       .max_ahead_ms = 300000,
                                                       .event_bytes_max = 1 << 20};

struct record {
    struct slice key, value;
};

struct work {
    struct record *records; /* [EVENTS_MADE] */
    struct batch batch;
    struct consumer_settings settings;
    uint64_t events; /* in the topic */
    uv_loop_t loop;
    struct consumer *consumer;
    bool closed;
    char group[32];
    unsigned runs;
    uint64_t checksum; /* so that no work is for nothing */
};

static void fail(const char *what, const struct error *err)
{
    fprintf(stderr, "ingest: %s: %s\n", what, err->text);
    exit(70);
}

/* -- the records ------------------------------------------------------------------------------- */

static struct slice kept(const struct buffer *text)
{
    return (struct slice){mem_strndup(text->data, text->length), (uint32_t)text->length};
}

/* What a web shop's events look like: half of them say which list was shown. */
static void make_records(struct work *work)
{
    struct buffer key = {0}, value = {0};
    uint64_t random = 7;
    work->records = mem_array(NULL, EVENTS_MADE, sizeof *work->records);
    for (int i = 0; i < EVENTS_MADE; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
        uint32_t draw = (uint32_t)(random >> 33);
        buffer_clear(&key);
        buffer_clear(&value);
        buffer_printf(&key, "user-%07u", draw % 1000000);
        buffer_printf(&value,
                      "{\"id\":\"%08x-%04x-4000-8000-%012" PRIx64 "\",\"user\":\"%.*s\","
                      "\"item\":\"item-%06u\",\"type\":\"%s\",\"ts\":%" PRId64 ",\"value\":%u.%u",
                      draw, draw % 65536, random >> 16, (int)key.length, key.data, draw % 200000,
                      types[draw % 3], RECORD_TS + draw % 300000, draw % 90 + 1, draw % 10);
        if (draw % 2 == 0)
            buffer_printf(&value, ",\"list\":\"%08x.%04x.%012x.%04x\",\"pos\":%u", draw, 3, draw, 1,
                          draw % 20);
        else
            buffer_text(&value, ",\"shop\":\"north\",\"device\":\"phone\"");
        buffer_byte(&value, '}');
        work->records[i] = (struct record){kept(&key), kept(&value)};
    }
    buffer_deinit(&key);
    buffer_deinit(&value);
}

static struct event *next_event(struct work *work, int i)
{
    if (work->batch.count == BATCH_EVENTS)
        batch_clear(&work->batch);
    struct event *event = batch_add(&work->batch);
    event->key = work->records[i].key;
    event->bytes = work->records[i].value;
    event->record_ts_ms = RECORD_TS;
    return event;
}

static void finish(struct work *work, const struct event *event)
{
    work->checksum += (uint64_t)event->kind + event->user.length + event->item.length +
                      event->id.length + (uint64_t)event->ts_ms + event->type +
                      (uint64_t)event->pos;
}

/* -- ours -------------------------------------------------------------------------------------- */

static void decode(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    for (int i = 0; i < EVENTS_MADE; i++) {
        struct event *event = next_event(work, i);
        decode_event(&decode_settings, &work->batch, event);
        finish(work, event);
    }
    snprintf(fields, fields_size, "\"checksum\":%" PRIu64, work->checksum);
    work->checksum = 0;
}

/* -- jansson's --------------------------------------------------------------------------------- */

static struct slice text_of(const json_t *value)
{
    return (struct slice){json_string_value(value), (uint32_t)json_string_length(value)};
}

/* As decode.h wants ids, but for integers, of which there are none here. */
static bool take_id(const json_t *root, const char *key, struct slice *out)
{
    const json_t *value = json_object_get(root, key);
    *out = (struct slice){"", 0};
    if (value == NULL)
        return true;
    if (!json_is_string(value))
        return false;
    *out = text_of(value);
    for (uint32_t i = 0; i < out->length; i++)
        if ((unsigned char)out->data[i] < 0x20 || out->data[i] == 0x7F ||
            ((unsigned char)out->data[i] == 0xC2 && (unsigned char)out->data[i + 1] < 0xA0))
            return false;
    return out->length >= 1 && out->length <= ID_BYTES_MAX;
}

static bool take_int(const json_t *root, const char *key, int64_t max, int64_t otherwise,
                     int64_t *out)
{
    const json_t *value = json_object_get(root, key);
    *out = value != NULL ? json_integer_value(value) : otherwise;
    return value == NULL || (json_is_integer(value) && *out >= 0 && *out <= max);
}

static bool take_value(const json_t *root, double *out)
{
    const json_t *value = json_object_get(root, "value");
    *out = value != NULL ? json_number_value(value) : 1;
    return value == NULL || (json_is_number(value) && *out >= 0);
}

static bool take_type(const json_t *root, uint16_t *out)
{
    const json_t *value = json_object_get(root, "type");
    for (uint16_t i = 0; json_is_string(value) && i < decode_settings.type_count; i++) {
        *out = i;
        if (strcmp(json_string_value(value), types[i]) == 0)
            return true;
    }
    return false;
}

static bool take_fields(const json_t *root, struct event *event)
{
    int64_t pos;
    bool good = take_type(root, &event->type) && take_id(root, "user", &event->user) &&
                take_id(root, "item", &event->item) && take_id(root, "id", &event->id) &&
                take_id(root, "ref", &event->ref) && take_id(root, "list", &event->list) &&
                take_value(root, &event->value) &&
                take_int(root, "ts", DECODE_TS_MAX_MS, event->record_ts_ms, &event->ts_ms) &&
                take_int(root, "pos", INT32_MAX, -1, &pos);
    event->pos = good ? (int32_t)pos : -1;
    return good && event->user.length > 0 && event->item.length > 0 &&
           slice_equal(event->key, event->user) &&
           event->ts_ms - decode_settings.max_ahead_ms <= event->record_ts_ms;
}

static void decode_with_jansson(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    for (int i = 0; i < EVENTS_MADE; i++) {
        struct event *event = next_event(work, i);
        json_error_t what;
        json_t *root =
            json_loadb(event->bytes.data, event->bytes.length, JSON_REJECT_DUPLICATES, &what);
        if (root == NULL || !take_fields(root, event))
            event->kind = EVENT_DEAD;
        finish(work, event);
        json_decref(root); /* a consumer would have to keep it, or copy */
    }
    snprintf(fields, fields_size, "\"checksum\":%" PRIu64, work->checksum);
    work->checksum = 0;
}

/* -- consuming --------------------------------------------------------------------------------- */

static void fill(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    struct error err;
    struct producer *producer;
    if (producer_open(&producer, &work->settings, &err) != 0)
        fail("producer", &err);
    for (uint64_t i = 0; i < work->events; i++) {
        const struct record *record = &work->records[i % EVENTS_MADE];
        if (producer_send(producer, false, record->key, record->value, &err) != 0)
            fail("producer", &err);
    }
    if (producer_flush(producer, 60000, &err) != 0)
        fail("producer", &err);
    producer_close(producer);
}

static int64_t from_the_start(bool items, int32_t partition, void *arg)
{
    return 0;
}

static void ignore_partitions(const int32_t *partitions, size_t count, void *arg)
{
}

static void ignore_ready(void *arg)
{
}

static void ignore_health(const struct error *err, void *arg)
{
}

static void stop_at_failure(const struct error *err, void *arg)
{
    fail("consumer", err);
}

static const struct consumer_hooks hooks = {from_the_start, ignore_partitions, ignore_partitions,
                                            ignore_ready,   ignore_health,     stop_at_failure};

static void take_all(struct work *work, int64_t *cpu_ns, int64_t *wall_ns)
{
    uint64_t taken = 0;
    while (taken < work->events) {
        uv_run(&work->loop, UV_RUN_NOWAIT);
        size_t now = consumer_take(work->consumer, &work->batch, BATCH_EVENTS);
        if (taken == 0 && now > 0) {
            *cpu_ns = clock_cpu_ns();
            *wall_ns = clock_monotonic_ns();
        }
        taken += now;
        batch_clear(&work->batch);
        if (now == 0)
            uv_run(&work->loop, UV_RUN_ONCE); /* its timer, if nothing else */
    }
    *cpu_ns = clock_cpu_ns() - *cpu_ns;
    *wall_ns = clock_monotonic_ns() - *wall_ns;
}

static void on_closed(void *arg)
{
    ((struct work *)arg)->closed = true;
}

static void consume(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    struct error err;
    int64_t cpu_ns = 0, wall_ns = 0;
    /* A group each time: the embedded broker waits long for members that have left. */
    snprintf(work->group, sizeof work->group, "ingest-%u", ++work->runs);
    if (consumer_open(&work->consumer, &work->loop, &work->settings, &hooks, work, OPEN_MS, &err) !=
            0 ||
        consumer_start(work->consumer, &err) != 0)
        fail("consumer", &err);
    take_all(work, &cpu_ns, &wall_ns);
    work->closed = false;
    consumer_close(work->consumer, OPEN_MS, on_closed, work);
    while (!work->closed)
        uv_run(&work->loop, UV_RUN_ONCE);
    snprintf(fields, fields_size, "\"consume_cpu_ms\":%.3f,\"consume_wall_ms\":%.3f",
             (double)cpu_ns * 1e-6, (double)wall_ns * 1e-6);
}

int main(int argc, char **argv)
{
    static struct work work;
    struct kafka_property property = {"bootstrap.servers", argc > 1 ? argv[1] : ""};
    work.settings = (struct consumer_settings){.topic = argc > 2 ? argv[2] : "",
                                               .items_topic = "",
                                               .dead_topic = "ingest.dead",
                                               .group = work.group,
                                               .instance = "",
                                               .create_partitions = 6,
                                               .properties = &property,
                                               .property_count = 1,
                                               .decode = decode_settings};
    work.events = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    make_records(&work);
    batch_init(&work.batch);
    uv_loop_init(&work.loop);
    const struct driver_run runs[] = {{"decode", decode, &work},
                                      {"jansson", decode_with_jansson, &work},
                                      {"fill", fill, &work},
                                      {"consume", consume, &work}};
    return driver_serve(runs, sizeof runs / sizeof *runs);
}
