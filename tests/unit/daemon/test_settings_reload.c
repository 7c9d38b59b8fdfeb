#include "settings_fixture.h"

/* What is said when a daemon that runs with `old` is to go over to `now`: "" if it may. */
static void assert_reload(const char *old, const char *now, const char *expected)
{
    struct reading before, after;
    load(&before, old);
    load(&after, now);
    struct buffer complaints = {0};
    bool may = settings_may_reload(before.settings, after.settings, &complaints);
    buffer_byte(&complaints, '\0');
    assert_string_equal(complaints.data, expected);
    assert_int_equal(may, *expected == '\0');
    buffer_deinit(&complaints);
    reading_end(&before);
    reading_end(&after);
}

static void assert_refused(const char *now, const char *expected)
{
    assert_reload("", now, expected);
}

static void test_nothing_changed_may_be_reloaded(void **state)
{
    assert_reload("", "", "");
    assert_reload("http: {token: t}\nkafka: {client.id: me}\nevents: {a: , b: {weight: 2}}\n",
                  "http: {token: t}\nkafka: {client.id: me}\nevents: {a: , b: {weight: 2}}\n", "");
    assert_reload("kafka: {client.id: me, debug.x: y}\n", "kafka: {debug.x: y, client.id: me}\n",
                  "");
}

static void test_what_only_lists_are_made_of_may_change(void **state)
{
    assert_reload("", "experiment: {id: x, salt: s, end: 2026-11-01T00:00:00Z, level: 0.01}\n", "");
    assert_reload("", "model: {rank: 8, update: sgd}\ntrain: {iterations: 3}\n", "");
    assert_reload("", "lists: {n: 5, exclude_categories: [x]}\nmonitor: {chr_min: 2}\n", "");
    assert_reload("", "publish: {debounce: 1s}\nexplore: {share: 1}\nimpression: {discount: 0.5}\n",
                  "");
    assert_reload("", "daemon: {drain: 1s, log_level: debug}\n", "");
}

static void test_arms_may_change_in_all_they_have(void **state)
{
    assert_reload("arms: {a: {control: true}, b: {share: 0.5, events: {default: {weight: 2}}}}\n",
                  "arms: {c: {share: 0.1, model: {rank: 3}}, a: {control: true}}\n", "");
    assert_reload("arms: {a: {control: true}}\n", "", "");
}

static void test_every_key_that_needs_a_restart_is_named(void **state)
{
    assert_refused("consumer: {topic: t}\n", "consumer.topic: needs a restart\n"
                                             "consumer.dead_topic: needs a restart\n");
    assert_refused("consumer: {group: g}\n"
                   "events: {max_age: 1d}\n"
                   "history: {max: 5}\n"
                   "state: {dir: ./s, commit: 2s}\n"
                   "model: {kernel: plain, rank: 8}\n"
                   "train: {every: 2h, iterations: 3}\n"
                   "lists: {batch_users: 5, n: 5}\n"
                   "impression: {max: 5}\n"
                   "redis: {prefix: 'a:'}\n"
                   "http: {listen: ''}\n",
                   "consumer.group: needs a restart\n"
                   "events.max_age: needs a restart\n"
                   "history.max: needs a restart\n"
                   "state.dir: needs a restart\n"
                   "state.commit: needs a restart\n"
                   "model.kernel: needs a restart\n"
                   "train.every: needs a restart\n"
                   "lists.batch_users: needs a restart\n"
                   "impression.max: needs a restart\n"
                   "redis.prefix: needs a restart\n"
                   "http.listen: needs a restart\n");
}

static void test_kafkas_properties_need_a_restart_given_changed_or_gone(void **state)
{
    assert_reload("kafka: {client.id: a, fetch.wait.max.ms: 1}\n",
                  "kafka: {client.id: b, fetch.min.bytes: 1}\n",
                  "kafka.client.id: needs a restart\n"
                  "kafka.fetch.wait.max.ms: needs a restart\n"
                  "kafka.fetch.min.bytes: needs a restart\n");
}

static void test_event_types_of_the_file_need_a_restart(void **state)
{
    assert_reload("events: {a: , b: }\n",
                  "events: {a: {weight: 2, half_life: 1d, hides: false}, b: , c: }\n",
                  "events.a.weight: needs a restart\n"
                  "events.a.half_life: needs a restart\n"
                  "events.a.hides: needs a restart\n"
                  "events.c: needs a restart\n");
    assert_reload("events: {a: , b: }\n", "events: {b: , a: }\n",
                  "events.a: needs a restart\nevents.b: needs a restart\n");
    assert_reload("events: {a: , b: }\n", "events: {a: }\n", "events.b: needs a restart\n");
}

static void test_a_secret_is_compared_and_not_told(void **state)
{
    assert_reload("redis: {password: swordfish}\nhttp: {token: hunter1}\n"
                  "kafka: {sasl.password: p1}\n",
                  "redis: {password: hunter2}\nhttp: {token: hunter2}\n"
                  "kafka: {sasl.password: p2}\n",
                  "kafka.sasl.password: needs a restart\n"
                  "redis.password: needs a restart\n"
                  "http.token: needs a restart\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_changed_may_be_reloaded),
        cmocka_unit_test(test_what_only_lists_are_made_of_may_change),
        cmocka_unit_test(test_arms_may_change_in_all_they_have),
        cmocka_unit_test(test_every_key_that_needs_a_restart_is_named),
        cmocka_unit_test(test_kafkas_properties_need_a_restart_given_changed_or_gone),
        cmocka_unit_test(test_event_types_of_the_file_need_a_restart),
        cmocka_unit_test(test_a_secret_is_compared_and_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
