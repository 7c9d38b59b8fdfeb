/* A consumer and the embedded broker: a real protocol over a real socket. Every test gets a broker,
 * a loop and up to two consumers of its own, and ends on an empty loop. */
#ifndef FRESHET_TESTS_CONSUMER_FIXTURE_H
#define FRESHET_TESTS_CONSUMER_FIXTURE_H

#include "base/clock.h"
#include "base/mem.h"
#include "consumer/broker.h"
#include "consumer/consumer.h"
#include "consumer/consumer_parts.h"
#include "consumer/produce.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PARTITIONS 2
#define OPEN_MS 10000
#define CLOSE_MS 5000
#define WAIT_MS 30000 /* for anything to happen; the first join of a group takes three seconds */

static const char *const types[] = {"click"};

struct member {
    struct fixture *fixture;
    struct consumer *consumer;
    struct batch batch;
    bool taking;                  /* takes whenever records may be waiting */
    int64_t start[2][PARTITIONS]; /* events, items; later: the next offset */
    int assignments, revocations, downs, ups, failures, closes;
    size_t assigned; /* partitions */
    struct error failure;
    bool ready;
};

struct fixture {
    struct broker *broker;
    struct kafka_property properties[4];
    struct consumer_settings settings;
    uv_loop_t loop;
    uv_timer_t timer; /* so that the loop turns while nothing happens */
    struct member members[2];
    struct producer *producer;
    int letters_ok, letters_lost;
};

/* ---- hooks ---- */

static inline int64_t on_start_offset(bool items, int32_t partition, void *arg)
{
    struct member *member = arg;
    return member->start[items][partition];
}

static inline void on_assigned(const int32_t *partitions, size_t count, void *arg)
{
    struct member *member = arg;
    member->assignments++;
    member->assigned = count;
}

static inline void on_revoked(const int32_t *partitions, size_t count, void *arg)
{
    struct member *member = arg;
    member->revocations++;
    member->assigned = 0;
}

static inline void on_ready(void *arg)
{
    ((struct member *)arg)->ready = true;
}

static inline void on_health(const struct error *err, void *arg)
{
    struct member *member = arg;
    member->downs += err != NULL;
    member->ups += err == NULL;
}

static inline void on_failed(const struct error *err, void *arg)
{
    struct member *member = arg;
    member->failures++;
    member->failure = *err;
}

static inline void on_closed(void *arg)
{
    ((struct member *)arg)->closes++;
}

static const struct consumer_hooks hooks = {.start_offset = on_start_offset,
                                            .assigned = on_assigned,
                                            .revoked = on_revoked,
                                            .ready = on_ready,
                                            .health = on_health,
                                            .failed = on_failed};

/* ---- the loop ---- */

/* What a history would do: remember how far each partition was taken. */
static inline void take(struct member *member)
{
    size_t before = member->batch.count;
    consumer_take(member->consumer, &member->batch, 1000);
    for (size_t i = before; i < member->batch.count; i++) {
        const struct event *event = &member->batch.events[i];
        member->start[event->from_items][event->partition] = event->offset + 1;
    }
}

static inline void turn(struct fixture *fixture)
{
    uv_run(&fixture->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < 2; i++) {
        struct member *member = &fixture->members[i];
        if (member->consumer != NULL && member->taking && member->ready) {
            member->ready = false;
            take(member);
        }
    }
}

#define wait_until(fixture, condition)                                          \
    do {                                                                        \
        int64_t give_up_ns = clock_monotonic_ns() + WAIT_MS * INT64_C(1000000); \
        while (!(condition)) {                                                  \
            if (clock_monotonic_ns() > give_up_ns)                              \
                fail_msg("waited in vain for " #condition);                     \
            turn(fixture);                                                      \
        }                                                                       \
    } while (0)

static inline void on_timer(uv_timer_t *timer)
{
}

static inline void open_member(struct fixture *fixture, int number)
{
    struct member *member = &fixture->members[number];
    struct error err;
    if (consumer_open(&member->consumer, &fixture->loop, &fixture->settings, &hooks, member,
                      OPEN_MS, &err) != 0)
        fail_msg("%s", err.text);
}

static inline void start_member(struct fixture *fixture, int number)
{
    struct error err;
    if (fixture->members[number].consumer == NULL)
        open_member(fixture, number);
    if (consumer_start(fixture->members[number].consumer, &err) != 0)
        fail_msg("%s", err.text);
}

static inline void close_member(struct fixture *fixture, int number, int deadline_ms)
{
    struct member *member = &fixture->members[number];
    struct consumer *consumer = member->consumer;
    if (consumer == NULL)
        return;
    member->consumer = NULL;
    consumer_close(consumer, deadline_ms, on_closed, member);
    wait_until(fixture, member->closes == 1);
}

static inline int set_up(void **state)
{
    static const char *const topics[] = {"events", "items", "events.dead", NULL};
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    struct error err;
    if (broker_open(&fixture->broker, topics, PARTITIONS, &err) != 0)
        fail_msg("%s", err.text);
    struct kafka_property properties[] = {
        {"bootstrap.servers", broker_bootstrap(fixture->broker)},
        {"session.timeout.ms", "6000"},
        {"heartbeat.interval.ms", "200"},
        {"reconnect.backoff.max.ms", "500"},
    };
    memcpy(fixture->properties, properties, sizeof properties);
    fixture->settings = (struct consumer_settings){.topic = "events",
                                                   .items_topic = "items",
                                                   .dead_topic = "events.dead",
                                                   .group = "freshet",
                                                   .instance = "",
                                                   .properties = fixture->properties,
                                                   .property_count = 4,
                                                   .decode = {.types = types,
                                                              .type_count = 1,
                                                              .default_type = -1,
                                                              .max_ahead_ms = 300000,
                                                              .event_bytes_max = 65536}};
    uv_loop_init(&fixture->loop);
    uv_timer_init(&fixture->loop, &fixture->timer);
    uv_timer_start(&fixture->timer, on_timer, 20, 20);
    for (size_t i = 0; i < 2; i++) {
        struct member *member = &fixture->members[i];
        batch_init(&member->batch);
        member->taking = true;
        for (int partition = 0; partition < PARTITIONS; partition++)
            member->start[0][partition] = member->start[1][partition] = CONSUMER_START_OF_LOG;
    }
    if (producer_open(&fixture->producer, &fixture->settings, &err) != 0)
        fail_msg("%s", err.text);
    *state = fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++)
        close_member(fixture, i, CLOSE_MS);
    uv_close((uv_handle_t *)&fixture->timer, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    for (int i = 0; i < 2; i++)
        batch_deinit(&fixture->members[i].batch);
    producer_close(fixture->producer);
    broker_close(fixture->broker);
    free(fixture);
    return 0;
}

/* ---- producing ---- */

static inline void produce(struct fixture *fixture, bool items, const char *key, const char *json)
{
    struct error err;
    if (producer_send(fixture->producer, items, slice_of(key), slice_of(json), &err) != 0)
        fail_msg("%s", err.text);
}

static inline void produce_clicks(struct fixture *fixture, int from, int count)
{
    char user[32], json[160];
    struct error err;
    for (int i = from; i < from + count; i++) {
        snprintf(user, sizeof user, "u%d", i % 50);
        snprintf(json, sizeof json, "{\"user\":\"%s\",\"item\":\"i%d\",\"type\":\"click\"}", user,
                 i);
        produce(fixture, false, user, json);
    }
    if (producer_flush(fixture->producer, WAIT_MS, &err) != 0)
        fail_msg("%s", err.text);
}

/* Each of `count` clicks once, and the offsets of a partition one after the other. */
static inline void assert_all_clicks_once(const struct batch *batch, int count)
{
    int64_t next[PARTITIONS] = {0};
    char *seen = mem_zalloc((size_t)count);
    assert_int_equal(batch->count, count);
    for (size_t i = 0; i < batch->count; i++) {
        const struct event *event = &batch->events[i];
        assert_int_equal(event->kind, EVENT_INTERACTION);
        assert_int_equal(event->offset, next[event->partition]++);
        int number = atoi(event->item.data + 1);
        assert_in_range(number, 0, count - 1);
        assert_int_equal(seen[number]++, 0);
    }
    free(seen);
}

#endif
