#include "settings_fixture.h"

#include "daemon/yaml.h"

/* ---- secrets ---- */

static void test_secrets_come_from_files_and_the_environment(void **state)
{
    char path[64], text[256];
    write_file(path, "hunter2\n", 8);
    setenv("FRESHET_TEST_SECRET", "swordfish", 1);
    snprintf(text, sizeof text,
             "redis: {password: 'file:%s'}\nkafka: {sasl.password: 'env:FRESHET_TEST_SECRET'}\n",
             path);
    struct reading reading;
    const struct settings *s = load(&reading, text);
    assert_string_equal(s->redis.password, "hunter2");
    assert_string_equal(s->consumer.properties[1].value, "swordfish");
    reading_end(&reading);
    unlink(path);
    unsetenv("FRESHET_TEST_SECRET");
}

static void test_a_secret_that_is_nowhere_is_refused(void **state)
{
    assert_complaints("redis: {password: 'env:FRESHET_TEST_NOT_THERE'}\n",
                      "FILE:1: redis.password: the environment has no FRESHET_TEST_NOT_THERE\n");
    assert_complaints("redis: {password: 'file:/nonexistent/p'}\n",
                      "FILE:1: redis.password: /nonexistent/p: No such file or directory\n");
    assert_complaints("redis: {password: 'file:/dev/null'}\n",
                      "FILE:1: redis.password: /dev/null: is empty\n");
}

static void test_a_secret_is_in_no_complaint(void **state)
{
    struct reading reading;
    const char *text = "redis:\n  username: u\n  password: hunter2\n  password: hunter2\n";
    read_bytes(&reading, text, strlen(text));
    assert_int_equal(reading.status, ERR_SETTINGS);
    assert_null(strstr(reading.complaints.data, "hunter2"));
    assert_null(strstr(reading.err.text, "hunter2"));
    reading_end(&reading);
}

/* ---- how keys go together ---- */

static void test_lists_must_outlive_the_sweep_that_renews_them(void **state)
{
    const char *what = "lists.sweep must be shorter than lists.expiry less its jitter";
    assert_complains("lists:\n  expiry: 6h\n", what);
    assert_complains("lists:\n  sweep: 7d\n", what);
    assert_complains("lists: {sweep: 91h, expiry: 100h}\n", what); /* 10% of jitter: 90h */
    struct reading reading;
    load(&reading, "lists: {sweep: 89h, expiry: 100h}\n");
    reading_end(&reading);
    load(&reading, "lists: {sweep: 0s, expiry: 1s}\n");
    reading_end(&reading);
}

static void test_the_three_topics_must_differ(void **state)
{
    assert_complaints("consumer: {items_topic: events}\n",
                      "FILE:1: consumer.items_topic: must not be the same as consumer.topic\n");
    assert_complaints("consumer: {topic: items}\n",
                      "FILE:1: consumer.topic: must not be the same as consumer.items_topic (which "
                      "has its default)\n");
    assert_complaints("consumer: {dead_topic: events}\n",
                      "FILE:1: consumer.dead_topic: must not be the same as consumer.topic\n");
    assert_complains("consumer: {items_topic: events.dead}\n", "FILE:1: consumer.items_topic: ");
    struct reading reading;
    load(&reading, "consumer: {items_topic: ''}\n"); /* none is like nothing else */
    reading_end(&reading);
}

static void test_topics_have_names_that_kafka_takes(void **state)
{
    static const char *const names[] = {"''", ".", "..", "a b", "caf\u00e9", "a/b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[64];
        snprintf(text, sizeof text, "consumer: {topic: %s}\n", names[i]);
        assert_complains(text, "FILE:1: consumer.topic: must be a topic's name");
    }
    char text[400], name[250];
    memset(name, 'a', 249);
    name[249] = '\0';
    snprintf(text, sizeof text, "consumer: {topic: %s}\n", name);
    assert_complains(text, "is too long for \".dead\"");
    snprintf(text, sizeof text, "consumer: {topic: %s, dead_topic: d}\n", name);
    struct reading reading;
    load(&reading, text);
    reading_end(&reading);
    snprintf(text, sizeof text, "consumer: {dead_topic: d, topic: %sa}\n", name);
    assert_complains(text, "FILE:1: consumer.topic: must be a topic's name");
}

static void test_w0_is_ours_to_choose_with_ials_alone(void **state)
{
    assert_complains("model: {objective: hu, w0: 0.1}\n", "FILE:1: model.w0: is 1 by definition");
    struct reading reading;
    load(&reading, "model: {objective: hu, w0: 1}\n");
    reading_end(&reading);
}

static void test_redis_is_given_as_an_address(void **state)
{
    assert_complains("redis: {address: localhost}\n", "FILE:1: redis.address: ");
    struct reading reading;
    load(&reading, "redis: {address: /run/redis.sock}\n");
    reading_end(&reading);
}

static void test_an_experiment_starts_before_it_ends(void **state)
{
    assert_complaints("experiment:\n"
                      "  end: 2026-11-01T00:00:00Z\n"
                      "  start: 2026-11-01T00:00:00Z\n",
                      "FILE:3: experiment.start: must be before experiment.end\n");
}

static void test_an_experiment_without_a_salt_has_its_id_for_one(void **state)
{
    struct reading reading;
    const struct settings *s = load(&reading, "experiment: {id: spring}\n");
    assert_string_equal(s->experiment.salt, "spring");
    assert_string_equal(s->arms[0].settings->experiment.salt, "spring");
    reading_end(&reading);
    s = load(&reading, "experiment: {id: spring, salt: pepper}\n");
    assert_string_equal(s->experiment.salt, "pepper");
    reading_end(&reading);
}

static void test_places_explored_are_places_of_the_list(void **state)
{
    const char *what = "explore.slots must be at most explore.depth and lists.n\n";
    char expected[128];
    snprintf(expected, sizeof expected, "FILE:2: explore.slots: %s", what);
    assert_complaints("explore:\n  slots: 3\n  depth: 2\n", expected);
    snprintf(expected, sizeof expected, "FILE:3: explore.slots: %s", what);
    assert_complaints("lists: {n: 2}\nexplore:\n  slots: 3\n", expected);
    struct reading reading;
    load(&reading, "explore: {slots: 20}\n");
    reading_end(&reading);
    load(&reading, "lists: {n: 1}\n");
    reading_end(&reading);
}

static void test_http_listens_at_an_address_or_not_at_all(void **state)
{
    static const char *const texts[] = {"''", "127.0.0.1:0", "'[::1]:80'", "localhost:65535",
                                        "127.9.9.9:7878"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[64];
        snprintf(text, sizeof text, "http: {listen: %s}\n", texts[i]);
        struct reading reading;
        load(&reading, text);
        reading_end(&reading);
    }
    assert_complaints("http: {listen: 7878}\n", "FILE:1: http.listen: \"7878\": an address to "
                                                "listen on is IPV4:PORT, localhost:PORT or "
                                                "[IPV6]:PORT\n");
    assert_complaints("http: {listen: 127.0.0.1:65536}\n",
                      "FILE:1: http.listen: \"127.0.0.1:65536\": an address to listen on is "
                      "IPV4:PORT, localhost:PORT or [IPV6]:PORT\n");
    assert_complaints("http: {listen: /run/http.sock}\n",
                      "FILE:1: http.listen: \"/run/http.sock\": an address to listen on is "
                      "IPV4:PORT, localhost:PORT or [IPV6]:PORT\n");
    assert_complaints("http: {listen: 'shop.example:7878'}\n", /* what listens resolves no names */
                      "FILE:1: http.listen: \"shop.example:7878\": an address to listen on is "
                      "IPV4:PORT, localhost:PORT or [IPV6]:PORT\n");
}

static void test_http_beyond_this_machine_needs_a_token(void **state)
{
    static const char *const hosts[] = {"0.0.0.0", "10.0.0.1", "[::]", "[2001:db8::1]"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char text[96];
        snprintf(text, sizeof text, "http: {listen: '%s:7878'}\n", hosts[i]);
        assert_complaints(text, "FILE:1: http.listen: beyond this machine it needs http.token\n");
        snprintf(text, sizeof text, "http: {listen: '%s:7878', token: swordfish}\n", hosts[i]);
        struct reading reading;
        assert_string_equal(load(&reading, text)->http.token, "swordfish");
        reading_end(&reading);
    }
    assert_complaints("http:\n  token: ''\n  listen: 0.0.0.0:1\n",
                      "FILE:3: http.listen: beyond this machine it needs http.token\n");
    assert_complaints("http:\n  listen: 0.0.0.0:1\n  token: 'env:FRESHET_TEST_NOT_THERE'\n",
                      "FILE:3: http.token: the environment has no FRESHET_TEST_NOT_THERE\n"
                      "FILE:2: http.listen: beyond this machine it needs http.token\n");
}

/* ---- YAML ---- */

static void test_what_is_no_yaml_is_refused_with_its_line(void **state)
{
    assert_complains("model:\n  rank: [1\nstate: {}\n", "FILE:3: ");
    assert_complains("model:\n\trank: 1\n", "FILE:2: ");
    assert_complains("a: \"\xFF\"\n", "FILE:1: ");
}

static void test_yaml_that_settings_do_not_need_is_refused(void **state)
{
    assert_complaints("model: &m {rank: 1}\n", "FILE:1: anchors (&name) are not supported\n");
    assert_complaints("model: {rank: &r 1}\n", "FILE:1: anchors (&name) are not supported\n");
    assert_complaints("model: *m\n", "FILE:1: aliases (*name) are not supported\n");
    assert_complaints("model: {rank: !!int 1}\n", "FILE:1: tags (!name) are not supported\n");
    assert_complaints("? [a]\n: 1\n", "FILE:1: a key must be a single word or text\n");
    assert_complaints("a: 1\n---\nb: 2\n", "FILE:2: a second document begins\n");
    assert_complaints("redis: {username: \"a\\0b\"}\n", "FILE:1: U+0000 in a text\n");
    assert_complaints("a: [[[[[[[[[[1]]]]]]]]]]\n", "FILE:1: nested too deep\n");
}

static void test_a_file_too_large_is_refused(void **state)
{
    char *text = malloc(YAML_TREE_BYTES_MAX + 1);
    memset(text, '\n', YAML_TREE_BYTES_MAX + 1);
    struct reading reading;
    read_bytes(&reading, text, YAML_TREE_BYTES_MAX);
    assert_int_equal(reading.status, 0);
    reading_end(&reading);
    read_bytes(&reading, text, YAML_TREE_BYTES_MAX + 1);
    assert_string_equal(reading.complaints.data, "FILE: larger than 1048576 bytes\n");
    reading_end(&reading);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secrets_come_from_files_and_the_environment),
        cmocka_unit_test(test_a_secret_that_is_nowhere_is_refused),
        cmocka_unit_test(test_a_secret_is_in_no_complaint),
        cmocka_unit_test(test_lists_must_outlive_the_sweep_that_renews_them),
        cmocka_unit_test(test_the_three_topics_must_differ),
        cmocka_unit_test(test_topics_have_names_that_kafka_takes),
        cmocka_unit_test(test_w0_is_ours_to_choose_with_ials_alone),
        cmocka_unit_test(test_redis_is_given_as_an_address),
        cmocka_unit_test(test_an_experiment_starts_before_it_ends),
        cmocka_unit_test(test_an_experiment_without_a_salt_has_its_id_for_one),
        cmocka_unit_test(test_places_explored_are_places_of_the_list),
        cmocka_unit_test(test_http_listens_at_an_address_or_not_at_all),
        cmocka_unit_test(test_http_beyond_this_machine_needs_a_token),
        cmocka_unit_test(test_what_is_no_yaml_is_refused_with_its_line),
        cmocka_unit_test(test_yaml_that_settings_do_not_need_is_refused),
        cmocka_unit_test(test_a_file_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
