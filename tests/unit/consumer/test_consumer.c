/* The consumer at its work: taking, settling, holding back, sharing. */
#include "consumer_fixture.h"

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
    assert_true(one->revocations >= 1); /* on a busy machine the group may need more than one go */
    wait_until(fixture, two->batch.count > 0); /* it knows nothing: its partition from the start */
    size_t before = one->batch.count + two->batch.count;
    produce_clicks(fixture, 1000, 500);
    wait_until(fixture, one->batch.count + two->batch.count >= before + 500);
    for (size_t i = 0; i < two->batch.count; i++)
        assert_int_equal(two->batch.events[i].partition, two->batch.events[0].partition);
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
        TEST(test_holding_back_loses_nothing),
        TEST(test_holding_back_from_the_start_loses_nothing),
        TEST(test_a_paused_consumer_takes_nothing),
        TEST(test_a_second_member_takes_over_its_share),
        TEST(test_a_batch_outlives_the_consumer),
        TEST(test_what_the_broker_is_is_known_after_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
