/* The consumer in trouble: dead letters, failures, outages, closing. */
#include "consumer_fixture.h"

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

static void test_a_letter_too_many_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error err;
    fixture->properties[3] = (struct kafka_property){"queue.buffering.max.messages", "1"};
    open_member(fixture, 0);
    broker_set_down(fixture->broker, true);
    send_letter(fixture);
    assert_int_equal(consumer_send_dead_letter(fixture->members[0].consumer, SLICE("u7"),
                                               SLICE("{}"), 42, on_letter, fixture, &err),
                     ERR_DOWN);
    close_member(fixture, 0, 1000);
    assert_int_equal(fixture->letters_lost, 1); /* the first; of the second nothing was taken */
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

/* Of the protocol: https://kafka.apache.org/protocol#protocol_api_keys */
enum { API_FETCH = 1, API_OFFSET_COMMIT = 8, API_JOIN = 11, API_HEARTBEAT = 12, API_SYNC = 14 };

static void test_taking_goes_on_after_fetches_that_failed(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    start_member(fixture, 0);
    wait_until(fixture, member->assignments == 1);
    broker_fail_requests(fixture->broker, API_FETCH, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 3);
    produce_clicks(fixture, 0, 100);
    wait_until(fixture, member->batch.count >= 100);
    assert_all_clicks_once(&member->batch, 100);
    assert_int_equal(member->failures, 0);
}

static void test_a_group_is_joined_though_it_refused_at_first(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    broker_fail_requests(fixture->broker, API_JOIN, RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 2);
    broker_fail_requests(fixture->broker, API_SYNC, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, 1);
    produce_clicks(fixture, 0, 50);
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count >= 50);
    assert_all_clicks_once(&member->batch, 50);
}

static void test_a_member_that_the_group_has_forgotten_joins_again(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce_clicks(fixture, 0, 50);
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count >= 50);
    broker_fail_requests(fixture->broker, API_HEARTBEAT, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, 1);
    wait_until(fixture, member->revocations == 1 && member->assignments == 2);
    produce_clicks(fixture, 50, 50);
    wait_until(fixture, member->batch.count >= 100);
    assert_all_clicks_once(&member->batch, 100);
}

static void settle_all(struct member *member)
{
    struct settled_offset offsets[PARTITIONS];
    for (int i = 0; i < PARTITIONS; i++)
        offsets[i] = (struct settled_offset){i, member->start[0][i]};
    consumer_settle(member->consumer, offsets, PARTITIONS);
}

static void test_a_commit_that_failed_is_told_and_tried_again(void **state)
{
    struct fixture *fixture = *state;
    struct member *member = &fixture->members[0];
    produce_clicks(fixture, 0, 50);
    start_member(fixture, 0);
    wait_until(fixture, member->batch.count >= 50);
    broker_fail_requests(fixture->broker, API_OFFSET_COMMIT,
                         RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, 1);
    settle_all(member);
    wait_until(fixture, member->downs == 1);
    wait_until(fixture, member->ups == 1); /* nothing else happens meanwhile */
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
    /* Not before the deadline (libuv counts in whole milliseconds), and not long after. */
    assert_in_range((clock_monotonic_ns() - begun_ns) / 1000000, 1498, 2000);
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
        TEST(test_a_dead_letter_arrives_with_its_key),
        TEST(test_a_letter_under_way_at_close_has_its_callback_once),
        TEST(test_a_letter_too_many_is_refused),
        TEST(test_an_offset_beyond_the_end_is_a_failure),
        TEST(test_an_items_offset_beyond_the_end_is_a_failure),
        TEST(test_another_partition_count_is_a_failure),
        TEST(test_an_offset_at_the_end_is_fine),
        TEST(test_health_tells_of_an_outage_and_of_its_end),
        TEST(test_taking_goes_on_after_fetches_that_failed),
        TEST(test_a_group_is_joined_though_it_refused_at_first),
        TEST(test_a_member_that_the_group_has_forgotten_joins_again),
        TEST(test_a_commit_that_failed_is_told_and_tried_again),
        TEST(test_taking_goes_on_after_an_outage),
        TEST(test_closing_keeps_its_deadline_when_kafka_is_away),
        TEST(test_closing_with_records_waiting_is_quick),
        TEST(test_closing_does_not_wait_for_what_hangs),
        TEST(test_closing_before_the_start_is_quick),
        TEST(test_opening_without_a_broker_is_down_in_time),
        TEST(test_a_denied_property_is_refused),
        TEST(test_an_unknown_property_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
