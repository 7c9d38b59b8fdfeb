/* The limit of the line: how old records are when Kafka's own way has brought them here, with
 * nothing done to them. Beside bench/line.py's figures for the whole line, on the same machine.
 *
 *   line-driver BOOTSTRAP TOPIC RECORDS
 *
 * Prints "ready" when partitions are assigned, takes so many records, and prints one JSON line:
 * {"records":…,"p50_ms":…,"p99_ms":…,"max_ms":…}, from a record's timestamp to when it was taken.
 */
#include "base/clock.h"
#include "consumer/consumer.h"
#include "monitor/histogram.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_RECORDS 1024
#define OPEN_MS 10000

struct path {
    uv_loop_t loop;
    struct consumer *consumer;
    struct batch batch;
    struct histogram ages_ms;
    uint64_t wanted;
    bool closed;
};

static void fail(const char *what, const struct error *err)
{
    fprintf(stderr, "line: %s: %s\n", what, err->text);
    exit(70);
}

static int64_t from_the_start(bool items, int32_t partition, void *arg)
{
    return CONSUMER_START_OF_LOG;
}

static void say_ready(const int32_t *partitions, size_t count, void *arg)
{
    if (count > 0)
        printf("ready\n");
    fflush(stdout);
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

static void on_closed(void *arg)
{
    ((struct path *)arg)->closed = true;
}

static void end(struct path *path)
{
    const struct histogram *ages = &path->ages_ms;
    printf("{\"records\":%" PRIu64 ",\"p50_ms\":%.4g,\"p99_ms\":%.4g,\"max_ms\":%.4g}\n",
           ages->count, histogram_quantile(ages, 0.5), histogram_quantile(ages, 0.99),
           histogram_quantile(ages, 1));
    consumer_close(path->consumer, OPEN_MS, on_closed, path);
}

static void take(struct path *path)
{
    size_t taken;
    do {
        taken = consumer_take(path->consumer, &path->batch, BATCH_RECORDS);
        int64_t now_ms = clock_wall_ms();
        for (size_t i = 0; i < taken; i++)
            histogram_add(&path->ages_ms, (double)(now_ms - path->batch.events[i].record_ts_ms));
        batch_clear(&path->batch);
    } while (taken == BATCH_RECORDS);
}

static const struct consumer_hooks hooks = {from_the_start, say_ready,     ignore_partitions,
                                            ignore_ready,   ignore_health, stop_at_failure};

int main(int argc, char **argv)
{
    static struct path path;
    struct error err;
    struct kafka_property property = {"bootstrap.servers", argc > 1 ? argv[1] : ""};
    const struct consumer_settings settings = {
        .topic = argc > 2 ? argv[2] : "",
        .items_topic = "",
        .dead_topic = "line.dead",
        .group = "line-path",
        .instance = "",
        .create_partitions = 1,
        .properties = &property,
        .property_count = 1,
        .decode = {.default_type = -1, .max_ahead_ms = INT64_MAX / 2, .event_bytes_max = 1 << 20}};
    path.wanted = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    batch_init(&path.batch);
    uv_loop_init(&path.loop);
    if (consumer_open(&path.consumer, &path.loop, &settings, &hooks, &path, OPEN_MS, &err) != 0 ||
        consumer_start(path.consumer, &err) != 0)
        fail("consumer", &err);
    while (path.ages_ms.count < path.wanted) {
        uv_run(&path.loop, UV_RUN_ONCE);
        take(&path);
    }
    end(&path);
    while (!path.closed)
        uv_run(&path.loop, UV_RUN_ONCE);
    return 0;
}
