/* From the settings to a librdkafka client: defaults of ours, then what the user gives under
 * kafka:, then what we depend on and nobody may change. Any thread. */
#ifndef FRESHET_CONSUMER_KAFKA_CONFIG_H
#define FRESHET_CONSUMER_KAFKA_CONFIG_H

#include "consumer/consumer.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;

/* NULL and ERR_SETTINGS if a property is denied, unknown or has a bad value. Then the caller sets
 * its callbacks, and kafka_client takes the configuration over. */
struct rd_kafka_conf_s *kafka_consumer_config(const struct consumer_settings *settings,
                                              struct error *err);
struct rd_kafka_conf_s *kafka_producer_config(const struct consumer_settings *settings,
                                              struct error *err);

/* Only whether it would be one; asks no broker. */
int kafka_config_check(const struct consumer_settings *settings, struct error *err);

/* The client; frees `conf` in any case. */
int kafka_client(bool producer, struct rd_kafka_conf_s *conf, struct rd_kafka_s **client,
                 struct error *err);

#endif
