/* What a dead letter says. */
#include "base/buffer.h"
#include "base/json.h"
#include "base/mem.h"
#include "consumer/consumer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAYLOAD_MAX (64 * 1024)

static struct json *letter_of(struct slice bytes)
{
    struct buffer out = {0};
    struct error err = {0};
    struct event event = {.kind = EVENT_DEAD,
                          .reason = DEAD_WRONG_KEY,
                          .partition = 3,
                          .offset = 1234567890123,
                          .record_ts_ms = 1700000000000,
                          .key = SLICE("k"),
                          .bytes = bytes};
    dead_letter_write(&out, "events", &event);
    struct json *json = json_parse(buffer_slice(&out), &err);
    if (json == NULL)
        fail_msg("not JSON: %s", err.text);
    buffer_deinit(&out);
    return json;
}

static void assert_text(struct slice text, const char *expected)
{
    if (!slice_equal(text, slice_of(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(text), expected);
}

static void test_a_letter_says_why_and_where(void **state)
{
    struct json *json = letter_of(SLICE("{}"));
    assert_text(json_get_string(json, "reason", SLICE("")), "wrong_key");
    assert_text(json_get_string(json, "topic", SLICE("")), "events");
    assert_int_equal(json_get_int(json, "partition", -1), 3);
    assert_int_equal(json_get_int(json, "offset", -1), 1234567890123);
    assert_int_equal(json_get_int(json, "ts", -1), 1700000000000);
    json_free(json);
}

static void test_text_is_kept_as_text(void **state)
{
    struct json *json = letter_of(SLICE("{\"a\":\"\xC3\xA9\n\x01\"}"));
    assert_text(json_get_string(json, "payload", SLICE("")), "{\"a\":\"\xC3\xA9\n\x01\"}");
    json_free(json);
}

static void test_other_bytes_are_base64(void **state)
{
    static const struct {
        struct slice bytes;
        const char *base64;
    } cases[] = {
        {{"\xFF", 1}, "/w=="},
        {{"\xFF\xFE", 2}, "//4="},
        {{"\xFF\xFE\xFD", 3}, "//79"},
        {{"\xC3(abc", 5}, "wyhhYmM="},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *json = letter_of(cases[i].bytes);
        assert_text(json_get_string(json, "payload_base64", SLICE("")), cases[i].base64);
        assert_null(json_get(json, "payload"));
        json_free(json);
    }
}

static void test_no_value_is_null(void **state)
{
    struct json *json = letter_of((struct slice){NULL, 0});
    assert_non_null(json_get(json, "payload"));
    assert_int_equal(json_type(json_get(json, "payload")), JSON_NULL);
    json_free(json);
}

static void test_long_text_is_cut_where_a_character_ends(void **state)
{
    /* An odd byte, then characters of two: one of them lies across the limit. */
    size_t length = PAYLOAD_MAX + 101;
    char *bytes = mem_alloc(length);
    bytes[0] = 'a';
    for (size_t i = 1; i + 1 < length; i += 2)
        memcpy(bytes + i, "\xC3\xA9", 2);
    struct json *json = letter_of((struct slice){bytes, (uint32_t)length});
    struct slice payload = json_get_string(json, "payload", SLICE(""));
    assert_int_equal(payload.length, PAYLOAD_MAX - 1);
    assert_memory_equal(payload.data, bytes, payload.length);
    json_free(json);
    free(bytes);
}

static void test_long_binary_is_cut_at_the_limit(void **state)
{
    size_t length = PAYLOAD_MAX + 1;
    char *bytes = mem_alloc(length);
    memset(bytes, 0xFF, length);
    struct json *json = letter_of((struct slice){bytes, (uint32_t)length});
    struct slice payload = json_get_string(json, "payload_base64", SLICE(""));
    assert_int_equal(payload.length, (PAYLOAD_MAX + 2) / 3 * 4);
    json_free(json);
    free(bytes);
}

static void test_properties_that_are_ours_are_denied_with_a_reason(void **state)
{
    static const char *const ours[] = {"group.id",           "group.instance.id",
                                       "enable.auto.commit", "enable.auto.offset.store",
                                       "auto.offset.reset",  "partition.assignment.strategy",
                                       "enable.idempotence", "acks"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        assert_non_null(kafka_property_denied(ours[i], NULL));
}

static void test_properties_of_the_connection_are_allowed(void **state)
{
    static const char *const theirs[] = {"bootstrap.servers", "security.protocol", "sasl.password",
                                         "session.timeout.ms", "fetch.wait.max.ms"};
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
        assert_null(kafka_property_denied(theirs[i], NULL));
}

static void test_properties_that_run_or_load_code_are_denied(void **state)
{
    static const char *const dangerous[] = {
        "plugin.library.paths",    "ssl.engine.location",
        "ssl.engine.id",           "ssl.providers",
        "sasl.kerberos.kinit.cmd", "sasl.kerberos.keytab",
        "sasl.kerberos.principal", "sasl.oauthbearer.config",
        "sasl.oauthbearer.method", "sasl.oauthbearer.token.endpoint.url",
        "test.mock.num.brokers",   "enable.sasl.oauthbearer.unsecure.jwt",
    };
    for (size_t i = 0; i < sizeof dangerous / sizeof *dangerous; i++)
        assert_non_null(kafka_property_denied(dangerous[i], "x"));
}

static void test_only_mechanisms_that_run_nothing_may_be_chosen(void **state)
{
    assert_non_null(kafka_property_denied("sasl.mechanism", "GSSAPI"));
    assert_non_null(kafka_property_denied("sasl.mechanisms", "OAUTHBEARER"));
    assert_null(kafka_property_denied("sasl.mechanism", "SCRAM-SHA-512"));
    assert_null(kafka_property_denied("sasl.mechanisms", "PLAIN"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_letter_says_why_and_where),
        cmocka_unit_test(test_text_is_kept_as_text),
        cmocka_unit_test(test_other_bytes_are_base64),
        cmocka_unit_test(test_no_value_is_null),
        cmocka_unit_test(test_long_text_is_cut_where_a_character_ends),
        cmocka_unit_test(test_long_binary_is_cut_at_the_limit),
        cmocka_unit_test(test_properties_that_are_ours_are_denied_with_a_reason),
        cmocka_unit_test(test_properties_of_the_connection_are_allowed),
        cmocka_unit_test(test_properties_that_run_or_load_code_are_denied),
        cmocka_unit_test(test_only_mechanisms_that_run_nothing_may_be_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
