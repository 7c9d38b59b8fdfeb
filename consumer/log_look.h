/* A look at the logs from outside the daemon: which cluster it is, how many partitions there are,
 * where each begins and ends, and which of them a key belongs to. Blocking, any thread. */
#ifndef FRESHET_CONSUMER_LOG_LOOK_H
#define FRESHET_CONSUMER_LOG_LOOK_H

#include "consumer/consumer.h"

struct log_ends {
    int64_t low, high; /* offsets of the oldest record and of the next one */
};

struct log_topic {
    int partitions;
    struct log_ends *ends; /* [partitions], owned */
};

struct log_look {
    char cluster_id[128];
    struct log_topic events, items; /* no items topic: no partitions */
    int32_t (*partitioner)(const void *key, size_t bytes, int32_t partitions);
};

/* As the settings' producer would see it. A missing topic is created or refused as by
 * consumer_open. ERR_DOWN if no broker answers within `timeout_ms`; ERR_SETTINGS if
 * kafka.partitioner is one that draws at random. */
int log_look(struct log_look *look, const struct consumer_settings *settings, int timeout_ms,
             struct error *err);
void log_look_deinit(struct log_look *look);

/* The partition of the events topic that producers send a key to. */
int32_t log_partition_of(const struct log_look *look, struct slice key);

#endif
