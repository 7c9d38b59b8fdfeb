/* The consumer against the embedded broker: a real protocol over a real socket. Every test gets a
 * broker, a loop and a consumer of its own, and ends on an empty loop. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
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

static int64_t on_start_offset(bool items, int32_t partition, void *arg)
{
    struct member *member = arg;
    return member->start[items][partition];
}

static void on_assigned(const int32_t *partitions, size_t count, void *arg)
{
    struct member *member = arg;
    member->assignments++;
    member->assigned = count;
}

static void on_revoked(const int32_t *partitions, size_t count, void *arg)
{
    struct member *member = arg;
    member->revocations++;
    member->assigned = 0;
}

static void on_ready(void *arg)
{
    ((struct member *)arg)->ready = true;
}

static void on_health(const struct error *err, void *arg)
{
    struct member *member = arg;
    member->downs += err != NULL;
    member->ups += err == NULL;
}

static void on_failed(const struct error *err, void *arg)
{
    struct member *member = arg;
    member->failures++;
    member->failure = *err;
}

static void on_closed(void *arg)
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
static void take(struct member *member)
{
    size_t before = member->batch.count;
    consumer_take(member->consumer, &member->batch, 1000);
    for (size_t i = before; i < member->batch.count; i++) {
        const struct event *event = &member->batch.events[i];
        member->start[event->from_items][event->partition] = event->offset + 1;
    }
}

static void turn(struct fixture *fixture)
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

static void on_timer(uv_timer_t *timer)
{
}

static void open_member(struct fixture *fixture, int number)
{
    struct member *member = &fixture->members[number];
    struct error err;
    if (consumer_open(&member->consumer, &fixture->loop, &fixture->settings, &hooks, member,
                      OPEN_MS, &err) != 0)
        fail_msg("%s", err.text);
}

static void start_member(struct fixture *fixture, int number)
{
    struct error err;
    if (fixture->members[number].consumer == NULL)
        open_member(fixture, number);
    if (consumer_start(fixture->members[number].consumer, &err) != 0)
        fail_msg("%s", err.text);
}

static void close_member(struct fixture *fixture, int number, int deadline_ms)
{
    struct member *member = &fixture->members[number];
    struct consumer *consumer = member->consumer;
    if (consumer == NULL)
        return;
    member->consumer = NULL;
    consumer_close(consumer, deadline_ms, on_closed, member);
    wait_until(fixture, member->closes == 1);
}

static int set_up(void **state)
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

static int tear_down(void **state)
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

static void produce(struct fixture *fixture, bool items, const char *key, const char *json)
{
    struct error err;
    if (producer_send(fixture->producer, items, slice_of(key), slice_of(json), &err) != 0)
        fail_msg("%s", err.text);
}

static void produce_clicks(struct fixture *fixture, int from, int count)
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
static void assert_all_clicks_once(const struct batch *batch, int count)
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

/* ---- the tests ---- */

static void test_all_records_are_taken_in_offset_order(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce_clicks(fixture, 0, 3000);
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count >= 3000);
    assert_all_clicks_once(&member->batch, 3000);
    assert_int_equal(member->assigned, PARTITIONS);
}

static void test_records_that_come_while_idle_are_taken(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    start_member(fixture, 0);
    wait_until(fixture, member->assignments == 1);
    for (int i = 0; i < 5; i++) {
        produce_clicks(fixture, i * 100, 100);
        wait_until(fixture, member->batch.count == (size_t)(i + 1) * 100);
    }
    assert_all_clicks_once(&member->batch, 500);
}

static void test_take_stops_at_its_limit(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    size_t taken = 0, calls = 0;
    produce_clicks(fixture, 0, 300);
    member->taking = false;
    start_member(fixture, 0);
    while (taken < 300) {
        wait_until(fixture, member->ready);
        size_t now = consumer_take(member->consumer, &member->batch, 7);
        assert_in_range(now, 0, 7);
        taken += now;
        calls += now > 0;
        member->ready = now == 7;
    }
    assert_in_range(calls, 300 / 7, 300);
    assert_all_clicks_once(&member->batch, 300);
}

static void test_the_start_offset_is_honoured(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce_clicks(fixture, 0, 400);
    member->start[0][0] = 5;
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count >= 395);
    int64_t first[PARTITIONS] = {-1, -1};
    for (size_t i = 0; i < member->batch.count; i++)
        if (first[member->batch.events[i].partition] < 0)
            first[member->batch.events[i].partition] = member->batch.events[i].offset;
    assert_int_equal(first[0], 5);
    assert_int_equal(first[1], 0);
}

static void test_the_start_offset_counts_and_not_the_groups(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce_clicks(fixture, 0, 200);
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count == 200);
    struct settled_offset settled[] = {{0, member->start[0][0]}, {1, member->start[0][1]}};
    consumer_settle(member->consumer, settled, 2);
    close_member(fixture, 0, CLOSE_MS);

    struct member *again = &fixture->members[1]; /* knows nothing: from the start of the log */
    start_member(fixture, 1);
    wait_until(fixture, again->batch.count == 200);
    assert_all_clicks_once(&again->batch, 200);
}

static void test_the_items_topic_is_read_beside_the_events(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce(fixture, true, "i1", "{\"item\":\"i1\",\"blocked\":true}");
    produce_clicks(fixture, 0, 1);
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count == 2);
    const struct event *events = member->batch.events;
    const struct event *item = events[0].from_items ? &events[0] : &events[1];
    assert_int_equal(item->kind, EVENT_ITEM);
    assert_true(item->record->blocked);
}

static void test_a_bad_record_comes_as_a_dead_event(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce(fixture, false, "u", "{\"user\":\"v\",\"item\":\"i\",\"type\":\"click\"}");
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count == 1);
    assert_int_equal(member->batch.events[0].kind, EVENT_DEAD);
    assert_int_equal(member->batch.events[0].reason, DEAD_WRONG_KEY);
    assert_true(slice_equal(member->batch.events[0].key, SLICE("u")));
}

static void test_records_carry_the_time_they_were_produced(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    int64_t before_ms = clock_wall_ms();
    produce_clicks(fixture, 0, 1);
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count == 1);
    assert_in_range(member->batch.events[0].record_ts_ms, before_ms, clock_wall_ms());
}

static void test_lag_falls_to_zero_when_all_is_taken(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce_clicks(fixture, 0, 500);
    open_member(fixture, 0);
    assert_int_equal(consumer_lag(member->consumer), -1);
    start_member(fixture, 0);
    wait_until(fixture, member->assignments == 1);
    assert_int_equal(consumer_lag(member->consumer), 500 - member->batch.count);
    wait_until(fixture, member->batch.count == 500);
    assert_int_equal(consumer_lag(member->consumer), 0);
}

static void test_settled_offsets_reach_the_group(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    struct error err;
    int64_t ahead = -1;
    produce_clicks(fixture, 0, 300);
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count == 300);
    assert_int_equal(producer_wait_for_group(fixture->producer, 0, 0, &ahead, &err), 0);
    assert_int_equal(ahead, 300);
    struct settled_offset settled[] = {{0, member->start[0][0]}, {1, member->start[0][1] - 10}};
    consumer_settle(member->consumer, settled, 2);
    assert_int_equal(producer_wait_for_group(fixture->producer, 10, WAIT_MS, &ahead, &err), 0);
    assert_int_equal(ahead, 10);
}

static void on_letter(bool ok, uint64_t token, void *arg)
{
    struct fixture *fixture = arg;
    assert_int_equal(token, 42);
    fixture->letters_ok += ok;
    fixture->letters_lost += !ok;
}

static void send_letter(struct fixture *fixture)
{
    struct error err;
    if (consumer_send_dead_letter(fixture->members[0].consumer, SLICE("u7"),
                                  SLICE("{\"reason\":\"bad_json\"}"), 42, on_letter, fixture,
                                  &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(fixture->letters_ok + fixture->letters_lost, 0); /* not before it returns */
}

static void test_a_dead_letter_arrives_with_its_key(void **state)
{
    struct fixture *fixture = *state;
    start_member(fixture, 0);
    send_letter(fixture);
    wait_until(fixture, fixture->letters_ok == 1);
    close_member(fixture, 0, CLOSE_MS);

    /* The dead topic, read as if it had events. */
    fixture->settings.topic = "events.dead";
    fixture->settings.dead_topic = "events";
    fixture->settings.group = "undertaker";
    struct member *reader = &fixture->members[1];
    start_member(fixture, 1);
    wait_until(fixture, reader->batch.count == 1);
    assert_true(slice_equal(reader->batch.events[0].key, SLICE("u7")));
    assert_true(slice_equal(reader->batch.events[0].bytes, SLICE("{\"reason\":\"bad_json\"}")));
}

static void test_a_letter_under_way_at_close_has_its_callback_once(void **state)
{
    struct fixture *fixture = *state;
    start_member(fixture, 0);
    broker_set_down(fixture->broker, true);
    send_letter(fixture);
    close_member(fixture, 0, 2000);
    assert_int_equal(fixture->letters_ok, 0);
    assert_int_equal(fixture->letters_lost, 1);
}

static void expect_failure(struct fixture *fixture, const char *what)
{
    struct member *member = &fixture->members[0];
    start_member(fixture, 0);
    wait_until(fixture, member->failures == 1);
    if (strstr(member->failure.text, what) == NULL ||
        strstr(member->failure.text, "freshet reset") == NULL)
        fail_msg("%s", member->failure.text);
    assert_int_equal(member->assignments, 0);
    assert_int_equal(member->batch.count, 0);
}

static void test_an_offset_beyond_the_end_is_a_failure(void **state)
{
    struct fixture *fixture = *state;
    produce_clicks(fixture, 0, 10);
    fixture->members[0].start[0][1] = 1000;
    expect_failure(fixture, "ends at offset");
}

static void test_an_items_offset_beyond_the_end_is_a_failure(void **state)
{
    struct fixture *fixture = *state;
    fixture->members[0].start[1][0] = 7;
    expect_failure(fixture, "partition 0 of items");
}

static void test_another_partition_count_is_a_failure(void **state)
{
    struct fixture *fixture = *state;
    open_member(fixture, 0);
    fixture->members[0].consumer->partition_count = 3; /* as if one had gone since */
    expect_failure(fixture, "has 2 partitions now");
}

static void test_an_offset_at_the_end_is_fine(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    member->start[0][0] = 0; /* of an empty log */
    start_member(fixture, 0);
    wait_until(fixture, member->assignments == 1);
    produce_clicks(fixture, 0, 50);
    wait_until(fixture, member->batch.count == 50);
    assert_int_equal(member->failures, 0);
}

static void test_holding_back_loses_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce_clicks(fixture, 0, 1000);
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count > 0);
    member->taking = false;
    produce_clicks(fixture, 1000, 1000);
    wait_until(fixture, member->consumer->holding);
    produce_clicks(fixture, 2000, 1000);
    assert_null(member->consumer->held);
    member->taking = member->ready = true;
    wait_until(fixture, member->batch.count >= 3000);
    assert_false(member->consumer->holding);
    assert_all_clicks_once(&member->batch, 3000);
}

static void test_holding_back_from_the_start_loses_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce_clicks(fixture, 0, 1000);
    member->taking = false;
    start_member(fixture, 0);
    wait_until(fixture, member->assignments == 1); /* served although nothing was ever taken */
    assert_true(member->consumer->holding);
    for (int64_t end_ns = clock_monotonic_ns() + 300000000; clock_monotonic_ns() < end_ns;)
        turn(fixture);
    assert_null(member->consumer->held);
    member->taking = member->ready = true;
    wait_until(fixture, member->batch.count >= 1000);
    assert_all_clicks_once(&member->batch, 1000);
}

static void test_a_paused_consumer_takes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    start_member(fixture, 0);
    wait_until(fixture, member->assignments == 1);
    consumer_pause(member->consumer);
    member->taking = member->ready = false;
    produce_clicks(fixture, 0, 10);
    for (int i = 0; i < 20; i++)
        turn(fixture);
    assert_false(member->ready);
    assert_int_equal(consumer_take(member->consumer, &member->batch, 10), 0);
}

static void test_a_second_member_takes_over_its_share(void **state)
{
    struct fixture *fixture = *state;
    struct member *one = &fixture->members[0], *two = &fixture->members[1];
    produce_clicks(fixture, 0, 1000);
    start_member(fixture, 0);
    wait_until(fixture, one->batch.count >= 1000);
    start_member(fixture, 1);
    wait_until(fixture, one->assigned == 1 && two->assigned == 1);
    assert_int_equal(one->revocations, 1);
    wait_until(fixture, two->batch.count > 0); /* it knows nothing: its partition from the start */
    size_t before = one->batch.count + two->batch.count;
    produce_clicks(fixture, 1000, 500);
    wait_until(fixture, one->batch.count + two->batch.count >= before + 500);
    for (size_t i = 0; i < two->batch.count; i++)
        assert_int_equal(two->batch.events[i].partition, two->batch.events[0].partition);
}

static void test_health_tells_of_an_outage_and_of_its_end(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    start_member(fixture, 0);
    wait_until(fixture, member->assignments == 1);
    broker_set_down(fixture->broker, true);
    wait_until(fixture, member->downs > 0);
    assert_int_equal(member->ups, 0);
    broker_set_down(fixture->broker, false);
    wait_until(fixture, member->ups == 1);
}

static void test_taking_goes_on_after_an_outage(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce_clicks(fixture, 0, 100);
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count == 100);
    broker_set_down(fixture->broker, true);
    wait_until(fixture, member->downs > 0);
    broker_set_down(fixture->broker, false);
    produce_clicks(fixture, 100, 100);
    wait_until(fixture, member->batch.count >= 200);
    assert_all_clicks_once(&member->batch, 200);
}

static void test_closing_keeps_its_deadline_when_kafka_is_away(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    start_member(fixture, 0);
    wait_until(fixture, member->assignments == 1);
    broker_set_down(fixture->broker, true);
    int64_t begun_ns = clock_monotonic_ns();
    close_member(fixture, 0, 1500);
    /* A loop that is busy elsewhere may see the timer late. */
    assert_in_range((clock_monotonic_ns() - begun_ns) / 1000000, 0, 2000);
}

static void test_closing_with_records_waiting_is_quick(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce_clicks(fixture, 0, 5000);
    member->taking = false;
    start_member(fixture, 0);
    while (consumer_take(member->consumer, &member->batch, 1) == 0)
        turn(fixture);
    int64_t begun_ns = clock_monotonic_ns();
    close_member(fixture, 0, CLOSE_MS);
    assert_in_range((clock_monotonic_ns() - begun_ns) / 1000000, 0, CLOSE_MS / 2);
}

/* librdkafka waits for ever for such a list, as it would for a resolver. */
static void test_closing_does_not_wait_for_what_hangs(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    rd_kafka_topic_partition_list_t *list;
    start_member(fixture, 0);
    wait_until(fixture, member->assignments == 1);
    assert_int_equal(rd_kafka_assignment(member->consumer->client, &list), 0);
    rd_kafka_pause_partitions(member->consumer->client, list);
    int64_t begun_ns = clock_monotonic_ns();
    send_letter(fixture);
    close_member(fixture, 0, 1500);
    assert_in_range((clock_monotonic_ns() - begun_ns) / 1000000, 1500, 2000);
    assert_int_equal(fixture->letters_ok + fixture->letters_lost, 1);
    rd_kafka_topic_partition_list_destroy(list); /* the thread goes on and frees the rest */
}

static void test_closing_before_the_start_is_quick(void **state)
{
    struct fixture *fixture = *state;
    open_member(fixture, 0);
    int64_t begun_ns = clock_monotonic_ns();
    close_member(fixture, 0, CLOSE_MS);
    assert_in_range((clock_monotonic_ns() - begun_ns) / 1000000, 0, CLOSE_MS / 2);
}

static void test_a_batch_outlives_the_consumer(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce_clicks(fixture, 0, 100);
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count == 100);
    int64_t begun_ns = clock_monotonic_ns();
    close_member(fixture, 0, CLOSE_MS);
    assert_in_range((clock_monotonic_ns() - begun_ns) / 1000000, 0, CLOSE_MS / 2);
    assert_all_clicks_once(&member->batch, 100);
}

static void test_what_the_broker_is_is_known_after_opening(void **state)
{
    struct fixture *fixture = *state;
    open_member(fixture, 0);
    assert_int_equal(consumer_partition_count(fixture->members[0].consumer), PARTITIONS);
    assert_true(strlen(consumer_cluster_id(fixture->members[0].consumer)) > 0);
    assert_true(producer_broker_is_embedded(fixture->producer));
}

static int try_to_open(struct fixture *fixture, int timeout_ms, struct error *err)
{
    struct consumer *consumer;
    return consumer_open(&consumer, &fixture->loop, &fixture->settings, &hooks,
                         &fixture->members[0], timeout_ms, err);
}

static void test_opening_without_a_broker_is_down_in_time(void **state)
{
    struct fixture *fixture = *state;
    struct error err;
    int64_t begun_ns = clock_monotonic_ns();
    fixture->properties[0].value = "127.0.0.1:1"; /* nobody listens at tcpmux */
    assert_int_equal(try_to_open(fixture, 1000, &err), ERR_DOWN);
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
    assert_in_range((clock_monotonic_ns() - begun_ns) / 1000000, 0, 3000);
}

static void test_a_denied_property_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error err;
    fixture->properties[1] = (struct kafka_property){"auto.offset.reset", "latest"};
    assert_int_equal(try_to_open(fixture, 1000, &err), ERR_SETTINGS);
    assert_non_null(strstr(err.text, "auto.offset.reset"));
}

static void test_an_unknown_property_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error err;
    fixture->properties[1] = (struct kafka_property){"fetch.wait.max", "1"};
    assert_int_equal(try_to_open(fixture, 1000, &err), ERR_SETTINGS);
    assert_non_null(strstr(err.text, "fetch.wait.max"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_records_are_taken_in_offset_order),
        TEST(test_records_that_come_while_idle_are_taken),
        TEST(test_take_stops_at_its_limit),
        TEST(test_the_start_offset_is_honoured),
        TEST(test_the_start_offset_counts_and_not_the_groups),
        TEST(test_the_items_topic_is_read_beside_the_events),
        TEST(test_a_bad_record_comes_as_a_dead_event),
        TEST(test_records_carry_the_time_they_were_produced),
        TEST(test_lag_falls_to_zero_when_all_is_taken),
        TEST(test_settled_offsets_reach_the_group),
        TEST(test_a_dead_letter_arrives_with_its_key),
        TEST(test_a_letter_under_way_at_close_has_its_callback_once),
        TEST(test_an_offset_beyond_the_end_is_a_failure),
        TEST(test_an_items_offset_beyond_the_end_is_a_failure),
        TEST(test_another_partition_count_is_a_failure),
        TEST(test_an_offset_at_the_end_is_fine),
        TEST(test_holding_back_loses_nothing),
        TEST(test_holding_back_from_the_start_loses_nothing),
        TEST(test_a_paused_consumer_takes_nothing),
        TEST(test_a_second_member_takes_over_its_share),
        TEST(test_health_tells_of_an_outage_and_of_its_end),
        TEST(test_taking_goes_on_after_an_outage),
        TEST(test_closing_keeps_its_deadline_when_kafka_is_away),
        TEST(test_closing_with_records_waiting_is_quick),
        TEST(test_closing_does_not_wait_for_what_hangs),
        TEST(test_closing_before_the_start_is_quick),
        TEST(test_a_batch_outlives_the_consumer),
        TEST(test_what_the_broker_is_is_known_after_opening),
        TEST(test_opening_without_a_broker_is_down_in_time),
        TEST(test_a_denied_property_is_refused),
        TEST(test_an_unknown_property_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
