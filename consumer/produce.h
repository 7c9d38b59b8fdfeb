/* Recorded events -> Kafka: what `freshet replay` is made of.
 *
 * A paced, idempotent producer. It never has more than `ahead_max` records between itself and the
 * group's committed offsets if `ahead_max` > 0, so that a broker which keeps little (the embedded
 * one) drops nothing. Blocking calls, own thread of the process; not for the loop. */
#ifndef FRESHET_CONSUMER_PRODUCE_H
#define FRESHET_CONSUMER_PRODUCE_H

#include "base/error.h"
#include "consumer/consumer.h"

struct producer;

int producer_open(struct producer **producer, const struct consumer_settings *settings,
                  struct error *err);

/* True if the broker is the embedded one, which drops old records: pace by the group. */
bool producer_broker_is_embedded(const struct producer *producer);

/* Queues one record (bytes copied), waiting while the local queue is full. `items`: to the items
 * topic. Fails if an earlier record could not be delivered. */
int producer_send(struct producer *producer, bool items, struct slice key, struct slice value,
                  struct error *err);

/* Waits until no more than `ahead_max` records lie between what was produced by this producer and
 * what the group has committed, or `timeout_ms` have passed; sets `*ahead`. */
int producer_wait_for_group(struct producer *producer, int64_t ahead_max, int timeout_ms,
                            int64_t *ahead, struct error *err);

/* Waits until all is delivered. */
int producer_flush(struct producer *producer, int timeout_ms, struct error *err);
uint64_t producer_delivered(const struct producer *producer);

/* Where the last record delivered to the events topic stands; false if there is none. */
bool producer_last(const struct producer *producer, int32_t *partition, int64_t *offset);
void producer_close(struct producer *producer);

#endif
