/* An embedded Kafka broker for trying things: librdkafka's mock cluster, one broker on 127.0.0.1.
 *
 * It speaks the real protocol over TCP but keeps little (5 MiB or 100,000 batches a partition) and
 * nothing durably: for a first try and for fault tests, never for data that matters. It runs in
 * threads of librdkafka; calls from one thread. The port is chosen by the system. */
#ifndef FRESHET_CONSUMER_BROKER_H
#define FRESHET_CONSUMER_BROKER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;

/* `topics` (NULL-terminated) are created with `partitions` partitions each. */
int broker_open(struct broker **broker, const char *const *topics, int partitions,
                struct error *err);
const char *broker_bootstrap(const struct broker *broker); /* "127.0.0.1:PORT" */

/* For fault tests: drops all connections and takes no new ones, or takes them again. */
void broker_set_down(struct broker *broker, bool down);

/* The next `count` requests of this kind (an API key of the protocol) are answered with the error
 * (one of its codes). */
void broker_fail_requests(struct broker *broker, int16_t api_key, int error, size_t count);
void broker_close(struct broker *broker);

#endif
