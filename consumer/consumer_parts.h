/* The parts of the consumer, for its own .c files: opening.c makes one, consumer.c takes and
 * settles, assignment.c answers the group, notices.c tells of health and failure, closing.c ends it
 * all. */
#ifndef FRESHET_CONSUMER_CONSUMER_PARTS_H
#define FRESHET_CONSUMER_CONSUMER_PARTS_H

#include "consumer/consumer.h"

#include <pthread.h>

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct rd_kafka_message_s;
struct rd_kafka_topic_partition_list_s;
struct dead_letters;

/* How far a partition has been read. */
struct position {
    bool assigned;
    int64_t next;    /* offset; what is below has been taken, or is dropped */
    int64_t end;     /* of the log, when it was assigned; -1 unknown */
    int64_t settled; /* the state is durable below it */
};

struct positions {
    struct position *of; /* [count], by partition number */
    int count;
};

struct notices {
    bool failed, failed_told;
    struct error failure;
    bool down, down_told; /* Kafka is away; and the hook knows */
    bool health_changed;
    struct error trouble;
    bool suspected; /* a broker went, and nothing came from any since */
    struct error suspicion;
    bool probing; /* a commit asks whether anybody is there */
    int64_t probed_at_ns;
};

struct closing {
    bool begun;
    int64_t deadline_ns;
    void (*closed)(void *arg);
    void *arg;
    pthread_t thread;
    int handles_open;

    pthread_mutex_t mutex; /* what follows is between the loop and the thread */
    bool finished;         /* the thread: librdkafka has given all back */
    bool abandoned;        /* the loop: waited long enough; the thread frees the struct */
};

struct consumer {
    struct consumer_settings settings;
    struct consumer_hooks hooks;
    void *arg;
    struct rd_kafka_s *client;
    struct rd_kafka_queue_s *queue;
    struct dead_letters *letters;
    char *cluster_id;
    int partition_count; /* of the events topic, at open */
    bool has_items;

    uv_async_t wake; /* something waits in librdkafka, or was found out here */
    uv_timer_t tick; /* every TICK_MS; while closing: the deadline */
    bool started;
    bool has_assignment;             /* though it may be of no partition */
    bool paused;                     /* for good, by consumer_pause */
    bool holding;                    /* until the next take */
    int64_t taken_at_ns;             /* the last consumer_take */
    struct rd_kafka_message_s *held; /* came while holding: the first of the next take */

    struct positions events, items;
    struct notices notices;
    struct closing closing;
};

static inline bool consumer_takes(const struct consumer *consumer)
{
    return consumer->started && !consumer->paused && !consumer->notices.failed &&
           !consumer->closing.begun;
}

/* ---- consumer.c ---- */

/* Of the handle `wake`. */
void consumer_on_wake(uv_async_t *handle);

/* ---- assignment.c ---- */

/* librdkafka's callbacks, for its configuration. */
struct rd_kafka_conf_s;
void assignment_configure(struct rd_kafka_conf_s *conf);

/* Stops and goes on fetching what is assigned. */
void assignment_pause(struct consumer *consumer);
void assignment_resume(struct consumer *consumer);

/* NULL for a partition that is not assigned. */
struct position *assignment_position(struct consumer *consumer, bool items, int32_t partition);
void assignment_deinit(struct consumer *consumer);

/* ---- notices.c ---- */

/* librdkafka's callbacks for errors and commits, for its configuration. */
void notices_configure(struct rd_kafka_conf_s *conf);

/* To be told from the loop: never again from here; Kafka is away; it has answered. */
void notices_fail(struct consumer *consumer, const struct error *err);
void notices_trouble(struct consumer *consumer, const struct error *err);
void notices_recovered(struct consumer *consumer);

/* The partitions are lost, not taken back: if a broker went before, Kafka is away. */
void notices_lost(struct consumer *consumer);

/* Calls the hooks for what is new; may close the consumer. */
void notices_tell(struct consumer *consumer);

/* While Kafka is away: asks now and then whether it is back. */
void notices_probe(struct consumer *consumer);

/* ---- closing.c ---- */

/* In place of the normal work of the two handles, once closing has begun. */
void closing_on_wake(struct consumer *consumer);

#endif
