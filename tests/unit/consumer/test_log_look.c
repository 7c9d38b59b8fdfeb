/* A look at the logs: where each partition begins and ends, and where a key belongs. */
#include "consumer/log_look.h"
#include "consumer_fixture.h"

static struct log_look look(struct fixture *fixture)
{
    struct log_look look;
    struct error err = {0};
    if (log_look(&look, &fixture->settings, OPEN_MS, &err) != 0)
        fail_msg("%s", err.text);
    return look;
}

static void test_a_look_sees_partitions_and_ends_of_both_topics(void **state)
{
    struct fixture *fixture = *state;
    produce_clicks(fixture, 0, 100);
    struct log_look seen = look(fixture);
    assert_true(seen.cluster_id[0] != '\0');
    assert_int_equal(seen.events.partitions, PARTITIONS);
    assert_int_equal(seen.items.partitions, PARTITIONS);
    int64_t records = 0;
    for (int i = 0; i < PARTITIONS; i++) {
        assert_int_equal(seen.events.ends[i].low, 0);
        assert_int_equal(seen.items.ends[i].high, 0);
        records += seen.events.ends[i].high;
    }
    assert_int_equal(records, 100);
    log_look_deinit(&seen);
}

static void test_without_an_items_topic_there_are_no_partitions_of_it(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.items_topic = "";
    struct log_look seen = look(fixture);
    assert_int_equal(seen.items.partitions, 0);
    assert_null(seen.items.ends);
    log_look_deinit(&seen);
}

/* Producing is the judge: the partition foretold is the one that gets the record. */
static void expect_foretold(struct fixture *fixture, const char *partitioner)
{
    struct producer *producer;
    struct error err;
    fixture->properties[3] = (struct kafka_property){"partitioner", partitioner};
    assert_int_equal(producer_open(&producer, &fixture->settings, &err), 0);
    struct log_look seen = look(fixture);
    for (int i = 0; i < 20; i++) {
        char user[16];
        int32_t partition;
        int64_t offset;
        snprintf(user, sizeof user, "user %d", i);
        assert_int_equal(producer_send(producer, false, slice_of(user), SLICE("{}"), &err), 0);
        assert_int_equal(producer_flush(producer, WAIT_MS, &err), 0);
        producer_last(producer, &partition, &offset);
        assert_int_equal(log_partition_of(&seen, slice_of(user)), partition);
    }
    log_look_deinit(&seen);
    producer_close(producer);
}

static void test_a_key_is_where_the_settings_partitioner_puts_it(void **state)
{
    struct fixture *fixture = *state;
    expect_foretold(fixture, "murmur2_random");
    expect_foretold(fixture, "murmur2");
    expect_foretold(fixture, "consistent_random");
    expect_foretold(fixture, "consistent");
    expect_foretold(fixture, "fnv1a_random");
    expect_foretold(fixture, "fnv1a");
}

static void test_a_partitioner_that_draws_says_nothing_of_a_key(void **state)
{
    struct fixture *fixture = *state;
    struct log_look seen;
    struct error err = {0};
    fixture->properties[3] = (struct kafka_property){"partitioner", "random"};
    assert_int_equal(log_look(&seen, &fixture->settings, OPEN_MS, &err), ERR_SETTINGS);
    assert_non_null(strstr(err.text, "kafka.partitioner random"));
}

static void test_brokers_that_are_away_are_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct log_look seen;
    struct error err = {0};
    broker_set_down(fixture->broker, true);
    assert_int_equal(log_look(&seen, &fixture->settings, 500, &err), ERR_DOWN);
    assert_non_null(strstr(err.text, "no broker answers"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_look_sees_partitions_and_ends_of_both_topics),
        TEST(test_without_an_items_topic_there_are_no_partitions_of_it),
        TEST(test_a_key_is_where_the_settings_partitioner_puts_it),
        TEST(test_a_partitioner_that_draws_says_nothing_of_a_key),
        TEST(test_brokers_that_are_away_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
