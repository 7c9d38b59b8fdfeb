#include "consumer/broker.h"
#include "base/mem.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

struct broker {
    rd_kafka_t *keeper; /* the client that librdkafka wants for its book-keeping */
    rd_kafka_mock_cluster_t *cluster;
};

static void stay_silent(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
}

static int start(struct broker *broker, struct error *err)
{
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, stay_silent);
    broker->keeper = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (broker->keeper == NULL) {
        rd_kafka_conf_destroy(conf);
        return error_set(err, ERR_IO, "embedded broker: %s", text);
    }
    broker->cluster = rd_kafka_mock_cluster_new(broker->keeper, 1);
    if (broker->cluster == NULL)
        return error_set(err, ERR_IO, "embedded broker: it does not start");
    return 0;
}

static int create_topics(struct broker *broker, const char *const *topics, int partitions,
                         struct error *err)
{
    for (; *topics != NULL; topics++) {
        rd_kafka_resp_err_t failed =
            rd_kafka_mock_topic_create(broker->cluster, *topics, partitions, 1);
        if (failed)
            return error_set(err, ERR_SETTINGS, "embedded broker: topic %s: %s", *topics,
                             rd_kafka_err2str(failed));
    }
    return 0;
}

int broker_open(struct broker **broker, const char *const *topics, int partitions,
                struct error *err)
{
    struct broker *opened = mem_zalloc(sizeof *opened);
    int failed = start(opened, err);
    if (!failed)
        failed = create_topics(opened, topics, partitions, err);
    if (failed)
        broker_close(opened);
    else
        *broker = opened;
    return failed;
}

const char *broker_bootstrap(const struct broker *broker)
{
    return rd_kafka_mock_cluster_bootstraps(broker->cluster);
}

void broker_set_down(struct broker *broker, bool down)
{
    if (down)
        rd_kafka_mock_broker_set_down(broker->cluster, -1);
    else
        rd_kafka_mock_broker_set_up(broker->cluster, -1);
}

void broker_fail_requests(struct broker *broker, int16_t api_key, int error, size_t count)
{
    while (count-- > 0)
        rd_kafka_mock_push_request_errors(broker->cluster, api_key, 1, (rd_kafka_resp_err_t)error);
}

void broker_close(struct broker *broker)
{
    if (broker == NULL)
        return;
    if (broker->cluster != NULL)
        rd_kafka_mock_cluster_destroy(broker->cluster);
    if (broker->keeper != NULL)
        rd_kafka_destroy(broker->keeper);
    free(broker);
}
