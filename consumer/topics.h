/* What the brokers know of a topic: its partitions, its ends; and creating it. Blocking, each call
 * within its `timeout_ms`; any thread. */
#ifndef FRESHET_CONSUMER_TOPICS_H
#define FRESHET_CONSUMER_TOPICS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct rd_kafka_s;

/* Sets `*partitions`, 0 if there is no such topic. ERR_DOWN if the brokers do not say. */
int topic_partitions(struct rd_kafka_s *client, const char *topic, int timeout_ms, int *partitions,
                     struct error *err);

/* The same, but a topic that is missing is created with `create_partitions` partitions, or refused
 * (ERR_SETTINGS) if that is 0. `compacted`: keep the last record of every key. */
int topic_ensure(struct rd_kafka_s *client, const char *topic, int create_partitions,
                 bool compacted, int timeout_ms, int *partitions, struct error *err);

/* The offsets of the oldest record and of the next one. */
int topic_ends(struct rd_kafka_s *client, const char *topic, int32_t partition, int timeout_ms,
               int64_t *low, int64_t *high, struct error *err);

#endif
