#include "consumer/log_look.h"
#include "base/clock.h"
#include "base/mem.h"
#include "consumer/kafka_config.h"
#include "consumer/topics.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_BYTES 64 /* of a partitioner */

/* ---- partitioners: the library's own, which want neither topic nor opaque ---- */

#define BY(name)                                                                          \
    static int32_t by_##name(const void *key, size_t bytes, int32_t partitions)           \
    {                                                                                     \
        return rd_kafka_msg_partitioner_##name(NULL, key, bytes, partitions, NULL, NULL); \
    }
BY(consistent)
BY(murmur2)
BY(fnv1a)
#undef BY

/* The `_random` ones draw for records without a key only, and events have one. */
static const struct {
    const char *name;
    int32_t (*partition)(const void *key, size_t bytes, int32_t partitions);
} partitioners[] = {
    {"murmur2_random", by_murmur2},       {"murmur2", by_murmur2}, {"consistent", by_consistent},
    {"consistent_random", by_consistent}, {"fnv1a", by_fnv1a},     {"fnv1a_random", by_fnv1a},
};

static int find_partitioner(struct log_look *look, const struct rd_kafka_conf_s *conf,
                            struct error *err)
{
    char name[NAME_MAX_BYTES] = "";
    size_t bytes = sizeof name;
    rd_kafka_conf_get(conf, "partitioner", name, &bytes);
    for (size_t i = 0; i < sizeof partitioners / sizeof partitioners[0]; i++)
        if (strcmp(name, partitioners[i].name) == 0)
            look->partitioner = partitioners[i].partition;
    if (look->partitioner != NULL)
        return 0;
    return error_set(err, ERR_SETTINGS,
                     "kafka.partitioner %s does not say which partition a user is in", name);
}

int32_t log_partition_of(const struct log_look *look, struct slice key)
{
    return look->partitioner(key.data, key.length, look->events.partitions);
}

/* ---- looking ---- */

static int ms_left(int64_t deadline_ns)
{
    int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / 1000000;
    return left_ms > 0 ? (int)left_ms : 0;
}

static int look_at_cluster(struct log_look *look, rd_kafka_t *client, int64_t deadline_ns,
                           struct error *err)
{
    char *id = rd_kafka_clusterid(client, ms_left(deadline_ns));
    if (id == NULL)
        return error_set(err, ERR_DOWN, "kafka: no broker answers");
    snprintf(look->cluster_id, sizeof look->cluster_id, "%s", id);
    rd_kafka_mem_free(client, id);
    return 0;
}

static int look_at_topic(struct log_topic *topic, rd_kafka_t *client, const char *name, int create,
                         bool compacted, int64_t deadline_ns, struct error *err)
{
    int status = topic_ensure(client, name, create, compacted, ms_left(deadline_ns),
                              &topic->partitions, err);
    if (status != 0)
        return status;
    topic->ends = mem_zalloc((size_t)topic->partitions * sizeof *topic->ends);
    for (int i = 0; i < topic->partitions && status == 0; i++)
        status = topic_ends(client, name, i, ms_left(deadline_ns), &topic->ends[i].low,
                            &topic->ends[i].high, err);
    return status;
}

static int look_around(struct log_look *look, rd_kafka_t *client,
                       const struct consumer_settings *settings, int timeout_ms, struct error *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
    int create = settings->create_partitions;
    int status = look_at_cluster(look, client, deadline_ns, err);
    if (status == 0)
        status =
            look_at_topic(&look->events, client, settings->topic, create, false, deadline_ns, err);
    if (status == 0 && settings->items_topic[0] != '\0')
        status = look_at_topic(&look->items, client, settings->items_topic, create, true,
                               deadline_ns, err);
    return status;
}

int log_look(struct log_look *look, const struct consumer_settings *settings, int timeout_ms,
             struct error *err)
{
    *look = (struct log_look){0};
    struct rd_kafka_conf_s *conf = kafka_producer_config(settings, err);
    if (conf == NULL)
        return ERR_SETTINGS;
    int status = find_partitioner(look, conf, err);
    if (status != 0) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_t *client;
    status = kafka_client(true, conf, &client, err);
    if (status != 0)
        return status;
    status = look_around(look, client, settings, timeout_ms, err);
    rd_kafka_destroy(client);
    if (status != 0)
        log_look_deinit(look);
    return status;
}

void log_look_deinit(struct log_look *look)
{
    free(look->events.ends);
    free(look->items.ends);
    *look = (struct log_look){0};
}
