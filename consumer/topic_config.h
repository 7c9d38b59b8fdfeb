/* How long the brokers keep the records of a topic. Blocking; any thread. */
#ifndef FRESHET_CONSUMER_TOPIC_CONFIG_H
#define FRESHET_CONSUMER_TOPIC_CONFIG_H

#include "consumer/consumer.h"

struct topic_config {         /* texts as the brokers say them; empty where they do not */
    char cleanup_policy[64];  /* "delete", "compact", "compact,delete" */
    char retention_ms[32];    /* "-1": for ever */
    char retention_bytes[32]; /* of a partition; "-1": any */
};

/* ERR_DOWN if no broker answers within `timeout_ms`, or they refuse to say. */
int topic_config_read(struct topic_config *config, const struct consumer_settings *settings,
                      const char *topic, int timeout_ms, struct error *err);

#endif
