#include "consumer/topic_config.h"
#include "consumer/kafka_config.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>

#define TEXT_MAX 512 /* of librdkafka's reasons */

static void take_entry(struct topic_config *config, const rd_kafka_ConfigEntry_t *entry)
{
    const char *name = rd_kafka_ConfigEntry_name(entry), *value = rd_kafka_ConfigEntry_value(entry);
    if (value == NULL)
        return;
    if (strcmp(name, "cleanup.policy") == 0)
        snprintf(config->cleanup_policy, sizeof config->cleanup_policy, "%s", value);
    else if (strcmp(name, "retention.ms") == 0)
        snprintf(config->retention_ms, sizeof config->retention_ms, "%s", value);
    else if (strcmp(name, "retention.bytes") == 0)
        snprintf(config->retention_bytes, sizeof config->retention_bytes, "%s", value);
}

static int take_answer(struct topic_config *config, rd_kafka_event_t *event, const char *topic,
                       struct error *err)
{
    if (event == NULL || rd_kafka_event_error(event))
        return error_set(err, ERR_DOWN, "the settings of topic %s: %s", topic,
                         event != NULL ? rd_kafka_event_error_string(event) : "no answer");
    size_t count, entry_count;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    if (count != 1 || rd_kafka_ConfigResource_error(resources[0]))
        return error_set(err, ERR_DOWN, "the settings of topic %s: %s", topic,
                         count == 1 ? rd_kafka_ConfigResource_error_string(resources[0]) : "none");
    const rd_kafka_ConfigEntry_t **entries =
        rd_kafka_ConfigResource_configs(resources[0], &entry_count);
    for (size_t i = 0; i < entry_count; i++)
        take_entry(config, entries[i]);
    return 0;
}

static int ask(struct topic_config *config, rd_kafka_t *client, const char *topic, int timeout_ms,
               struct error *err)
{
    char text[TEXT_MAX];
    rd_kafka_ConfigResource_t *wanted = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DescribeConfigs(client, &wanted, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    int status = take_answer(config, event, topic, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(wanted);
    return status;
}

int topic_config_read(struct topic_config *config, const struct consumer_settings *settings,
                      const char *topic, int timeout_ms, struct error *err)
{
    *config = (struct topic_config){0};
    struct rd_kafka_conf_s *conf = kafka_producer_config(settings, err);
    if (conf == NULL)
        return ERR_SETTINGS;
    rd_kafka_t *client;
    int status = kafka_client(true, conf, &client, err);
    if (status != 0)
        return status;
    status = ask(config, client, topic, timeout_ms, err);
    rd_kafka_destroy(client);
    return status;
}
