#include "consumer/kafka_config.h"

#include <librdkafka/rdkafka.h>

#define CLIENT_ERROR_MAX 512

static void stay_silent(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
}

static int set_property(rd_kafka_conf_t *conf, const char *name, const char *value,
                        struct error *err)
{
    char text[CLIENT_ERROR_MAX];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return 0;
    return error_set(err, ERR_SETTINGS, "kafka.%s: %s", name, text);
}

static int set_all(rd_kafka_conf_t *conf, const struct kafka_property *properties, size_t count,
                   struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        int failed = set_property(conf, properties[i].name, properties[i].value, err);
        if (failed)
            return failed;
    }
    return 0;
}

static int check_properties(const struct consumer_settings *settings, struct error *err)
{
    bool has_brokers = false;
    for (size_t i = 0; i < settings->property_count; i++) {
        const char *name = settings->properties[i].name;
        const char *reason = kafka_property_denied(name, settings->properties[i].value);
        if (reason != NULL)
            return error_set(err, ERR_SETTINGS, "kafka.%s may not be set: %s", name, reason);
        has_brokers |=
            strcmp(name, "bootstrap.servers") == 0 || strcmp(name, "metadata.broker.list") == 0;
    }
    if (!has_brokers)
        return error_set(err, ERR_SETTINGS, "kafka.bootstrap.servers is missing");
    return 0;
}

/* What both kinds of client begin with; the user may change all of it. The partitioner is the Java
 * client's, so that a user's events meet in one partition whoever sends them. Without a mechanism
 * the client would take GSSAPI, which is denied. */
static const struct kafka_property defaults[] = {
    {"client.id", "freshet"},
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"partitioner", "murmur2_random"},
    {"message.timeout.ms", "30000"},
    {"sasl.mechanism", "SCRAM-SHA-512"},
};

/* librdkafka 2.0 looks only once a second whether its queue has room again for what is fetched; by
 * then the 100,000 records that it wants to hold are long taken when a backlog is worked off. What
 * it holds is bounded by queued.max.messages.kbytes (64 MiB), too. */
static const struct kafka_property consumer_defaults[] = {{"queued.min.messages", "400000"}};

static const struct kafka_property consumer_fixed[] = {
    {"enable.auto.commit", "false"},  {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},   {"partition.assignment.strategy", "range"},
    {"enable.partition.eof", "true"}, {"allow.auto.create.topics", "false"},
    {"log.queue", "false"},
};

static const struct kafka_property producer_fixed[] = {
    {"enable.idempotence", "true"},
    {"log.queue", "false"},
};

struct properties {
    const struct kafka_property *at; /* [count] */
    size_t count;
};
#define PROPERTIES(array) ((struct properties){(array), sizeof(array) / sizeof *(array)})

/* The later wins: what is common, the kind's own, the user's, and what nobody may change. */
static rd_kafka_conf_t *make_config(const struct consumer_settings *settings, struct properties own,
                                    struct properties fixed, struct error *err)
{
    if (check_properties(settings, err) != 0)
        return NULL;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, stay_silent);
    if (set_all(conf, defaults, sizeof defaults / sizeof *defaults, err) == 0 &&
        set_all(conf, own.at, own.count, err) == 0 &&
        set_all(conf, settings->properties, settings->property_count, err) == 0 &&
        set_all(conf, fixed.at, fixed.count, err) == 0)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

struct rd_kafka_conf_s *kafka_consumer_config(const struct consumer_settings *settings,
                                              struct error *err)
{
    rd_kafka_conf_t *conf =
        make_config(settings, PROPERTIES(consumer_defaults), PROPERTIES(consumer_fixed), err);
    if (conf == NULL)
        return NULL;
    bool is_static = settings->instance != NULL && settings->instance[0] != '\0';
    if (set_property(conf, "group.id", settings->group, err) == 0 &&
        (!is_static || set_property(conf, "group.instance.id", settings->instance, err) == 0))
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

struct rd_kafka_conf_s *kafka_producer_config(const struct consumer_settings *settings,
                                              struct error *err)
{
    return make_config(settings, (struct properties){NULL, 0}, PROPERTIES(producer_fixed), err);
}

int kafka_config_check(const struct consumer_settings *settings, struct error *err)
{
    rd_kafka_conf_t *conf = kafka_consumer_config(settings, err);
    if (conf == NULL)
        return ERR_SETTINGS;
    rd_kafka_conf_destroy(conf);
    return 0;
}

int kafka_client(bool producer, struct rd_kafka_conf_s *conf, struct rd_kafka_s **client,
                 struct error *err)
{
    char text[CLIENT_ERROR_MAX];
    *client =
        rd_kafka_new(producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (*client != NULL)
        return 0;
    rd_kafka_conf_destroy(conf); /* taken over only on success */
    return error_set(err, ERR_SETTINGS, "kafka: %s", text);
}
