#include "consumer/produce.h"
#include "base/clock.h"
#include "base/mem.h"
#include "consumer/kafka_config.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#define CLUSTER_MS 10000 /* to find out which cluster it is */
#define FULL_POLL_MS 100 /* between two tries while the local queue is full */
#define GROUP_POLL_MS 20 /* between two looks at the group's offsets */
#define EMBEDDED_PREFIX "mockCluster"

/* What of one partition of the events topic came from this producer: [first, next). */
struct produced {
    int64_t first;
    int64_t next; /* 0: nothing yet */
};

struct producer {
    rd_kafka_t *client;
    rd_kafka_t *group; /* a client that asks for the group's offsets and never joins it */
    char *topic, *items_topic;
    bool embedded;
    uint64_t delivered;
    rd_kafka_resp_err_t failure; /* of the first record that was not delivered */
    struct produced *produced;   /* [partitions] */
    int partitions;
    int32_t last_partition; /* of the events topic: what was delivered last */
    int64_t last_offset;    /* -1: nothing yet */
};

/* ---- reports ---- */

static void note_offset(struct producer *producer, int32_t partition, int64_t offset)
{
    if (partition >= producer->partitions) {
        size_t count = (size_t)partition + 1, had = (size_t)producer->partitions;
        producer->produced = mem_array(producer->produced, count, sizeof *producer->produced);
        memset(producer->produced + had, 0, (count - had) * sizeof *producer->produced);
        producer->partitions = (int)count;
    }
    producer->last_partition = partition;
    producer->last_offset = offset;
    struct produced *produced = &producer->produced[partition];
    if (produced->next == 0 || offset < produced->first)
        produced->first = offset;
    if (offset >= produced->next)
        produced->next = offset + 1;
}

static void on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct producer *producer = opaque;
    if (message->err) {
        if (!producer->failure)
            producer->failure = message->err;
        return;
    }
    producer->delivered++;
    if (message->offset >= 0 && strcmp(rd_kafka_topic_name(message->rkt), producer->topic) == 0)
        note_offset(producer, message->partition, message->offset);
}

static int check_failure(const struct producer *producer, struct error *err)
{
    if (!producer->failure)
        return 0;
    return error_set(err, ERR_DOWN, "kafka: a record was not delivered: %s",
                     rd_kafka_err2str(producer->failure));
}

/* ---- opening and closing ---- */

static int find_cluster(struct producer *producer, struct error *err)
{
    char *id = rd_kafka_clusterid(producer->client, CLUSTER_MS);
    if (id == NULL)
        return error_set(err, ERR_DOWN, "kafka: no broker answers within %d ms", CLUSTER_MS);
    producer->embedded = strncmp(id, EMBEDDED_PREFIX, strlen(EMBEDDED_PREFIX)) == 0;
    rd_kafka_mem_free(producer->client, id);
    return 0;
}

static int connect_clients(struct producer *producer, const struct consumer_settings *settings,
                           struct error *err)
{
    struct rd_kafka_conf_s *conf = kafka_producer_config(settings, err);
    if (conf == NULL)
        return ERR_SETTINGS;
    rd_kafka_conf_set_opaque(conf, producer);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    int failed = kafka_client(true, conf, &producer->client, err);
    if (!failed)
        failed = find_cluster(producer, err);
    if (failed)
        return failed;

    struct consumer_settings asking = *settings;
    asking.instance = ""; /* it must not take the daemon's place */
    conf = kafka_consumer_config(&asking, err);
    return conf != NULL ? kafka_client(false, conf, &producer->group, err) : ERR_SETTINGS;
}

int producer_open(struct producer **producer, const struct consumer_settings *settings,
                  struct error *err)
{
    struct producer *opened = mem_zalloc(sizeof *opened);
    opened->topic = mem_strdup(settings->topic);
    opened->items_topic = mem_strdup(settings->items_topic);
    opened->last_offset = -1;
    int failed = connect_clients(opened, settings, err);
    if (failed)
        producer_close(opened);
    else
        *producer = opened;
    return failed;
}

bool producer_broker_is_embedded(const struct producer *producer)
{
    return producer->embedded;
}

uint64_t producer_delivered(const struct producer *producer)
{
    return producer->delivered;
}

bool producer_last(const struct producer *producer, int32_t *partition, int64_t *offset)
{
    *partition = producer->last_partition;
    *offset = producer->last_offset;
    return producer->last_offset >= 0;
}

void producer_close(struct producer *producer)
{
    if (producer == NULL)
        return;
    if (producer->group != NULL)
        rd_kafka_destroy_flags(producer->group, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (producer->client != NULL)
        rd_kafka_destroy(producer->client);
    free(producer->produced);
    free(producer->topic);
    free(producer->items_topic);
    free(producer);
}

/* ---- sending ---- */

static rd_kafka_resp_err_t send_record(struct producer *producer, bool items, struct slice key,
                                       struct slice value)
{
    return rd_kafka_producev(producer->client,
                             RD_KAFKA_V_TOPIC(items ? producer->items_topic : producer->topic),
                             RD_KAFKA_V_KEY(key.data, key.length),
                             RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.length),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
}

/* A full queue empties itself: a record leaves it delivered, or failed when its time is up. */
int producer_send(struct producer *producer, bool items, struct slice key, struct slice value,
                  struct error *err)
{
    rd_kafka_poll(producer->client, 0);
    while (!producer->failure) {
        rd_kafka_resp_err_t failed = send_record(producer, items, key, value);
        if (!failed)
            return 0;
        if (failed != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return error_set(err, ERR_DOWN, "kafka: %s", rd_kafka_err2str(failed));
        rd_kafka_poll(producer->client, FULL_POLL_MS);
    }
    return check_failure(producer, err);
}

int producer_flush(struct producer *producer, int timeout_ms, struct error *err)
{
    rd_kafka_resp_err_t failed = rd_kafka_flush(producer->client, timeout_ms);
    if (producer->failure)
        return check_failure(producer, err);
    if (failed)
        return error_set(err, ERR_DOWN, "kafka: %d records are not delivered after %d ms",
                         rd_kafka_outq_len(producer->client), timeout_ms);
    return 0;
}

/* ---- the group ---- */

static rd_kafka_topic_partition_list_t *produced_partitions(const struct producer *producer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(producer->partitions);
    for (int i = 0; i < producer->partitions; i++)
        if (producer->produced[i].next > 0)
            rd_kafka_topic_partition_list_add(list, producer->topic, i);
    return list;
}

/* The sum over partitions of next - committed, no more than what came from here, and what is still
 * on its way to the broker. */
static int64_t count_ahead(const struct producer *producer,
                           const rd_kafka_topic_partition_list_t *committed)
{
    int64_t ahead = rd_kafka_outq_len(producer->client);
    for (int i = 0; i < committed->cnt; i++) {
        const struct produced *produced = &producer->produced[committed->elems[i].partition];
        int64_t offset = committed->elems[i].offset; /* negative if nothing is committed */
        int64_t from = offset > produced->first ? offset : produced->first;
        ahead += produced->next > from ? produced->next - from : 0;
    }
    return ahead;
}

static int look_at_group(struct producer *producer, int timeout_ms, int64_t *ahead,
                         struct error *err)
{
    rd_kafka_topic_partition_list_t *list = produced_partitions(producer);
    rd_kafka_resp_err_t failed = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (list->cnt > 0)
        failed = rd_kafka_committed(producer->group, list, timeout_ms);
    if (!failed)
        *ahead = count_ahead(producer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (!failed)
        return 0;
    return error_set(err, ERR_DOWN, "kafka: the group's offsets: %s", rd_kafka_err2str(failed));
}

int producer_wait_for_group(struct producer *producer, int64_t ahead_max, int timeout_ms,
                            int64_t *ahead, struct error *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
    for (;;) {
        rd_kafka_poll(producer->client, 0);
        int failed = check_failure(producer, err);
        if (!failed)
            failed = look_at_group(producer, timeout_ms > 1000 ? timeout_ms : 1000, ahead, err);
        if (failed || *ahead <= ahead_max || clock_monotonic_ns() > deadline_ns)
            return failed;
        rd_kafka_poll(producer->client, GROUP_POLL_MS);
    }
}
