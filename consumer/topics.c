#include "consumer/topics.h"
#include "base/clock.h"

#include <librdkafka/rdkafka.h>
#include <time.h>

#define RETRY_MS 100 /* between two looks at a topic that has no leader yet */
#define CREATE_ERROR_MAX 512

static int ms_left(int64_t deadline_ns)
{
    int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / 1000000;
    return left_ms > 0 ? (int)left_ms : 0;
}

static int64_t deadline_after(int timeout_ms)
{
    return clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
}

static void wait_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* ---- metadata ---- */

/* One question: what the brokers say of the topic, and of how many partitions. */
static rd_kafka_resp_err_t ask(rd_kafka_t *client, const char *topic, int timeout_ms,
                               int *partitions)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    if (handle == NULL)
        return rd_kafka_last_error();
    rd_kafka_resp_err_t failed = rd_kafka_metadata(client, 0, handle, &metadata, timeout_ms);
    rd_kafka_topic_destroy(handle);
    if (failed)
        return failed;
    failed = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (metadata->topic_cnt > 0) {
        failed = metadata->topics[0].err;
        *partitions = metadata->topics[0].partition_cnt;
    }
    rd_kafka_metadata_destroy(metadata);
    return failed;
}

int topic_partitions(struct rd_kafka_s *client, const char *topic, int timeout_ms, int *partitions,
                     struct error *err)
{
    int64_t deadline_ns = deadline_after(timeout_ms);
    for (;;) {
        rd_kafka_resp_err_t failed = ask(client, topic, ms_left(deadline_ns), partitions);
        if (!failed)
            return 0;
        if (failed == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
            failed == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
            *partitions = 0;
            return 0;
        }
        if (failed == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
            failed == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
            return error_set(err, ERR_SETTINGS, "topic %s: %s", topic, rd_kafka_err2str(failed));
        if (failed != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || ms_left(deadline_ns) == 0)
            return error_set(err, ERR_DOWN, "topic %s: %s", topic, rd_kafka_err2str(failed));
        wait_ms(RETRY_MS);
    }
}

/* ---- creating ---- */

static int check_created(rd_kafka_event_t *event, const char *topic, struct error *err)
{
    if (event == NULL)
        return error_set(err, ERR_DOWN, "creating topic %s: no answer", topic);
    if (rd_kafka_event_error(event))
        return error_set(err, ERR_DOWN, "creating topic %s: %s", topic,
                         rd_kafka_event_error_string(event));
    size_t count;
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &count);
    rd_kafka_resp_err_t failed =
        count == 1 ? rd_kafka_topic_result_error(topics[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
    if (!failed || failed == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) /* somebody was faster */
        return 0;
    return error_set(err, ERR_SETTINGS, "creating topic %s: %s", topic, rd_kafka_err2str(failed));
}

static int create(rd_kafka_t *client, rd_kafka_NewTopic_t *wanted, const char *topic,
                  int timeout_ms, struct error *err)
{
    char text[CREATE_ERROR_MAX];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_CreateTopics(client, &wanted, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    int failed = check_created(event, topic, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return failed;
}

/* Replication is the brokers' default (-1, KIP-464): they know how many they are. */
static int create_topic(rd_kafka_t *client, const char *topic, int partitions, bool compacted,
                        int timeout_ms, struct error *err)
{
    char text[CREATE_ERROR_MAX];
    rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic, partitions, -1, text, sizeof text);
    if (wanted == NULL)
        return error_set(err, ERR_SETTINGS, "creating topic %s: %s", topic, text);
    if (compacted)
        rd_kafka_NewTopic_set_config(wanted, "cleanup.policy", "compact");
    int failed = create(client, wanted, topic, timeout_ms, err);
    rd_kafka_NewTopic_destroy(wanted);
    return failed;
}

int topic_ensure(struct rd_kafka_s *client, const char *topic, int create_partitions,
                 bool compacted, int timeout_ms, int *partitions, struct error *err)
{
    int64_t deadline_ns = deadline_after(timeout_ms);
    int failed = topic_partitions(client, topic, timeout_ms, partitions, err);
    if (failed || *partitions > 0)
        return failed;
    if (create_partitions <= 0)
        return error_set(err, ERR_SETTINGS,
                         "there is no topic %s: create it, or set consumer.create_partitions",
                         topic);
    failed = create_topic(client, topic, create_partitions, compacted, ms_left(deadline_ns), err);
    while (!failed && *partitions == 0) { /* until the brokers have told each other */
        if (ms_left(deadline_ns) == 0)
            return error_set(err, ERR_DOWN, "topic %s was created but is not there yet", topic);
        wait_ms(RETRY_MS);
        failed = topic_partitions(client, topic, ms_left(deadline_ns), partitions, err);
    }
    return failed;
}

int topic_ends(struct rd_kafka_s *client, const char *topic, int32_t partition, int timeout_ms,
               int64_t *low, int64_t *high, struct error *err)
{
    rd_kafka_resp_err_t failed =
        rd_kafka_query_watermark_offsets(client, topic, partition, low, high, timeout_ms);
    if (!failed)
        return 0;
    return error_set(err, ERR_DOWN, "topic %s, partition %d: %s", topic, (int)partition,
                     rd_kafka_err2str(failed));
}
