/* The decoder: what it makes of good records, why it refuses bad ones, and that it agrees with
 * jansson on what is JSON. */
#include "base/json.h"
#include "base/mem.h"
#include "consumer/decode.h"
#include "consumer/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define RECORD_TS 1700000000000

static const char *const types[] = {"click", "purchase"};
static const char *const types_with_default[] = {"click", "default"};

static struct decode_settings settings = {.types = types,
                                          .type_count = 2,
                                          .default_type = -1,
                                          .max_ahead_ms = 300000,
                                          .event_bytes_max = 4096};

static int begin_batch(void **state)
{
    struct batch *batch = mem_alloc(sizeof *batch);
    batch_init(batch);
    *state = batch;
    return 0;
}

static int end_batch(void **state)
{
    batch_deinit(*state);
    free(*state);
    return 0;
}

static struct event *add(void **state, const char *key, struct slice bytes)
{
    struct event *event = batch_add(*state);
    event->key = slice_of(key);
    event->bytes = bytes;
    event->partition = 3;
    event->offset = 77;
    event->record_ts_ms = RECORD_TS;
    return event;
}

static struct event *decode(void **state, const char *key, const char *json)
{
    struct event *event = add(state, key, slice_of(json));
    decode_event(&settings, *state, event);
    return event;
}

static struct event *decode_record(void **state, const char *key, const char *json)
{
    struct slice bytes = json ? slice_of(json) : (struct slice){NULL, 0};
    struct event *event = add(state, key, bytes);
    decode_item(&settings, *state, event);
    return event;
}

static void assert_text(struct slice text, const char *expected)
{
    if (!slice_equal(text, slice_of(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(text), expected);
}

static void assert_dead(const struct event *event, enum dead_reason reason)
{
    if (event->kind != EVENT_DEAD)
        fail_msg("accepted, should be dead of %s: %.*s", dead_reason_name(reason),
                 SLICE_ARG(event->bytes));
    assert_string_equal(dead_reason_name(event->reason), dead_reason_name(reason));
}

/* ---- events ---- */

static void test_a_full_event_is_read(void **state)
{
    struct event *event = decode(
        state, "u1",
        "{\"id\":\"e1\",\"user\":\"u1\",\"item\":\"i9\",\"type\":\"purchase\",\"ts\":1700000000001,"
        "\"value\":2.5,\"list\":\"0a\",\"pos\":3}");
    assert_int_equal(event->kind, EVENT_INTERACTION);
    assert_text(event->id, "e1");
    assert_text(event->user, "u1");
    assert_text(event->item, "i9");
    assert_int_equal(event->type, 1);
    assert_int_equal(event->ts_ms, 1700000000001);
    assert_true(event->value == 2.5);
    assert_text(event->list, "0a");
    assert_int_equal(event->pos, 3);
}

static void test_what_is_absent_has_its_default(void **state)
{
    struct event *event = decode(state, "u", "{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\"}");
    assert_int_equal(event->kind, EVENT_INTERACTION);
    assert_int_equal(event->ts_ms, RECORD_TS);
    assert_true(event->value == 1);
    assert_int_equal(event->pos, -1);
    assert_int_equal(event->id.length, 0);
    assert_int_equal(event->list.length, 0);
}

static void test_null_counts_as_absent(void **state)
{
    struct event *event = decode(state, "u",
                                 "{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"value\":null,"
                                 "\"ts\":null,\"id\":null,\"pos\":null}");
    assert_int_equal(event->kind, EVENT_INTERACTION);
    assert_true(event->value == 1);
    assert_int_equal(event->ts_ms, RECORD_TS);
    assert_dead(decode(state, "u", "{\"user\":null,\"item\":\"i\",\"type\":\"click\"}"),
                DEAD_MISSING_FIELD);
}

static void test_integer_ids_become_decimal_text(void **state)
{
    struct event *event = decode(state, "-17", "{\"user\":-17,\"item\":0,\"type\":\"click\"}");
    assert_int_equal(event->kind, EVENT_INTERACTION);
    assert_text(event->user, "-17");
    assert_text(event->item, "0");
}

static void test_minus_zero_is_zero(void **state)
{
    struct event *event = decode(state, "0", "{\"user\":-0,\"item\":1,\"type\":\"click\"}");
    assert_int_equal(event->kind, EVENT_INTERACTION);
    assert_text(event->user, "0");
}

static void test_escapes_are_undone(void **state)
{
    struct event *event =
        decode(state, "a\"\xC3\xA9\xF0\x9F\x98\x80/z",
               "{\"us\\u0065r\":\"a\\\"\\u00e9\\uD83D\\ude00\\/z\",\"item\":\"i\",\"type\":"
               "\"cl\\u0069ck\"}");
    assert_int_equal(event->kind, EVENT_INTERACTION);
    assert_text(event->user, "a\"\xC3\xA9\xF0\x9F\x98\x80/z");
}

static void test_ids_without_escapes_point_into_the_record(void **state)
{
    struct event *event = decode(state, "u", "{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\"}");
    assert_true(event->item.data > event->bytes.data &&
                event->item.data < event->bytes.data + event->bytes.length);
}

static void test_unknown_keys_are_passed_over(void **state)
{
    struct event *event =
        decode(state, "u",
               " { \"x\" : [1,{\"user\":\"no\"},[]] ,\n\"user\":\"u\",\"item\":\"i\",\"y\":true,"
               "\"type\":\"click\",\"z\":{\"a\":null,\"b\":-1.5e-3}}\r\n\t ");
    assert_int_equal(event->kind, EVENT_INTERACTION);
    assert_text(event->user, "u");
}

static void test_control_events_are_read(void **state)
{
    struct event *event =
        decode(state, "u", "{\"user\":\"u\",\"type\":\"retract\",\"ref\":\"e1\"}");
    assert_int_equal(event->kind, EVENT_RETRACT);
    assert_text(event->ref, "e1");
    event = decode(state, "u", "{\"user\":\"u\",\"type\":\"forget_user\"}");
    assert_int_equal(event->kind, EVENT_FORGET_USER);
    assert_text(event->user, "u");
}

static void test_an_impression_is_read_whatever_the_settings_types(void **state)
{
    struct event *event = decode(state, "u",
                                 "{\"user\":\"u\",\"type\":\"impression\",\"item\":7,\"id\":\"e1\","
                                 "\"ts\":123,\"list\":\"v1\",\"pos\":3}");
    assert_int_equal(event->kind, EVENT_IMPRESSION);
    assert_text(event->user, "u");
    assert_text(event->item, "7");
    assert_text(event->id, "e1");
    assert_text(event->list, "v1");
    assert_int_equal(event->ts_ms, 123);
    assert_int_equal(event->pos, 3);
    assert_dead(decode(state, "u", "{\"user\":\"u\",\"type\":\"impression\"}"), DEAD_MISSING_FIELD);
    assert_dead(
        decode(state, "u", "{\"user\":\"u\",\"type\":\"impression\",\"item\":\"i\",\"pos\":-1}"),
        DEAD_BAD_FIELD);
}

static void test_control_events_need_their_users_key(void **state)
{
    assert_dead(decode(state, "v", "{\"user\":\"u\",\"type\":\"forget_user\"}"), DEAD_WRONG_KEY);
    assert_dead(decode(state, "v", "{\"user\":\"u\",\"type\":\"retract\",\"ref\":\"e\"}"),
                DEAD_WRONG_KEY);
}

static void test_default_takes_unknown_types(void **state)
{
    struct decode_settings with_default = settings;
    with_default.types = types_with_default;
    with_default.default_type = 1;
    struct event *event =
        add(state, "u", SLICE("{\"user\":\"u\",\"item\":\"i\",\"type\":\"clic\"}"));
    decode_event(&with_default, *state, event);
    assert_int_equal(event->kind, EVENT_INTERACTION);
    assert_int_equal(event->type, 1);
}

static void test_a_dead_event_keeps_where_it_was(void **state)
{
    struct event *event = decode(state, "k", "[]");
    assert_dead(event, DEAD_BAD_JSON);
    assert_int_equal(event->partition, 3);
    assert_int_equal(event->offset, 77);
    assert_text(event->key, "k");
    assert_text(event->bytes, "[]");
}

static void test_each_reason_is_found(void **state)
{
    static const struct {
        const char *json;
        enum dead_reason reason;
    } cases[] = {
        {"", DEAD_NO_VALUE},
        {"{\"user\":\"u\",\"item\":\"i\xFF\",\"type\":\"click\"}", DEAD_BAD_UTF8},
        {"{\"user\":\"u\",\"item\":\"\xC0\x80\",\"type\":\"click\"}", DEAD_BAD_UTF8},
        {"{\"user\":\"u\",\"item\":\"\xED\xA0\x80\",\"type\":\"click\"}", DEAD_BAD_UTF8},
        {"{\"user\":\"u\",\"item\":\"\xF4\x90\x80\x80\",\"type\":\"click\"}", DEAD_BAD_UTF8},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\"", DEAD_BAD_JSON},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",}", DEAD_BAD_JSON},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\"}x", DEAD_BAD_JSON},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"user\":\"u\"}", DEAD_BAD_JSON},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"value\":NaN}", DEAD_BAD_JSON},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"value\":1e999}", DEAD_BAD_JSON},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"value\":01}", DEAD_BAD_JSON},
        {"{\"user\":\"u\",\"item\":\"\\ud800\",\"type\":\"click\"}", DEAD_BAD_JSON},
        {"{\"user\":\"u\",\"item\":\"\\udc00x\",\"type\":\"click\"}", DEAD_BAD_JSON},
        {"{\"user\":\"u\",\"item\":\"a\\u0000\",\"type\":\"click\"}", DEAD_BAD_JSON},
        {"{\"user\":\"u\",\"item\":\"a\nb\",\"type\":\"click\"}", DEAD_BAD_JSON},
        {"\"user\"", DEAD_BAD_JSON},
        {"{\"item\":\"i\",\"type\":\"click\"}", DEAD_MISSING_FIELD},
        {"{\"user\":\"u\",\"type\":\"click\"}", DEAD_MISSING_FIELD},
        {"{\"user\":\"u\",\"item\":\"i\"}", DEAD_MISSING_FIELD},
        {"{\"user\":\"u\",\"type\":\"retract\"}", DEAD_MISSING_FIELD},
        {"{\"user\":\"u\",\"item\":\"\",\"type\":\"click\"}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":1.5,\"type\":\"click\"}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":[],\"type\":\"click\"}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":\"a\\tb\",\"type\":\"click\"}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":\"a\\u0085\",\"type\":\"click\"}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":7}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"value\":-1}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"value\":\"2\"}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"ts\":-1}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"ts\":1.0}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"ts\":253402300800000}",
         DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"pos\":-1}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"pos\":2147483648}", DEAD_BAD_FIELD},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"clicks\"}", DEAD_UNKNOWN_TYPE},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"clic\"}", DEAD_UNKNOWN_TYPE},
        {"{\"user\":\"v\",\"item\":\"i\",\"type\":\"click\"}", DEAD_WRONG_KEY},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"ts\":1700000300001}", DEAD_AHEAD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_dead(decode(state, "u", cases[i].json), cases[i].reason);
}

static void test_the_first_reason_in_the_order_counts(void **state)
{
    /* Each line has one fault less than the line before. */
    static const struct {
        const char *json;
        enum dead_reason reason;
    } cases[] = {
        {"{\"user\":\"\xFF\",,}", DEAD_BAD_UTF8},
        {"{\"user\":5,\"type\":\"x\",,}", DEAD_BAD_JSON},
        {"{\"user\":[],\"type\":\"x\"}", DEAD_MISSING_FIELD},
        {"{\"user\":[],\"item\":\"i\",\"type\":\"x\"}", DEAD_BAD_FIELD},
        {"{\"user\":\"v\",\"item\":\"i\",\"type\":\"x\",\"ts\":1800000000000}", DEAD_UNKNOWN_TYPE},
        {"{\"user\":\"v\",\"item\":\"i\",\"type\":\"click\",\"ts\":1800000000000}", DEAD_WRONG_KEY},
        {"{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"ts\":1800000000000}", DEAD_AHEAD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_dead(decode(state, "u", cases[i].json), cases[i].reason);
}

static void test_ts_may_be_as_far_ahead_as_allowed(void **state)
{
    struct event *event = decode(
        state, "u", "{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"ts\":1700000300000}");
    assert_int_equal(event->kind, EVENT_INTERACTION);
}

static void test_an_id_has_at_most_128_bytes(void **state)
{
    char json[512], id[ID_BYTES_MAX + 2];
    memset(id, 'x', sizeof id);
    id[ID_BYTES_MAX] = '\0';
    snprintf(json, sizeof json, "{\"user\":\"u\",\"item\":\"%s\",\"type\":\"click\"}", id);
    assert_int_equal(decode(state, "u", json)->kind, EVENT_INTERACTION);
    id[ID_BYTES_MAX] = 'x';
    id[ID_BYTES_MAX + 1] = '\0';
    snprintf(json, sizeof json, "{\"user\":\"u\",\"item\":\"%s\",\"type\":\"click\"}", id);
    assert_dead(decode(state, "u", json), DEAD_BAD_FIELD);
}

static void test_a_record_over_the_limit_is_not_read(void **state)
{
    char json[4097];
    memset(json, '\xFF', sizeof json); /* nor looked at for other faults */
    struct event *event = add(state, "u", (struct slice){json, sizeof json});
    decode_event(&settings, *state, event);
    assert_dead(event, DEAD_TOO_LARGE);
    event = add(state, "u", (struct slice){json, sizeof json - 1});
    decode_event(&settings, *state, event);
    assert_dead(event, DEAD_BAD_UTF8);
}

static void test_depth_is_bounded(void **state)
{
    char json[256] = "{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"x\":";
    size_t at = strlen(json);
    memset(json + at, '[', DECODE_DEPTH_MAX - 1); /* the object itself is one deep */
    memset(json + at + DECODE_DEPTH_MAX - 1, ']', DECODE_DEPTH_MAX - 1);
    json[at + 2 * (DECODE_DEPTH_MAX - 1)] = '}';
    assert_int_equal(decode(state, "u", json)->kind, EVENT_INTERACTION);
    memset(json + at, '[', DECODE_DEPTH_MAX);
    memset(json + at + DECODE_DEPTH_MAX, ']', DECODE_DEPTH_MAX);
    json[at + 2 * DECODE_DEPTH_MAX] = '}';
    assert_dead(decode(state, "u", json), DEAD_BAD_JSON);
}

/* ---- item records ---- */

static void test_a_full_item_record_is_read(void **state)
{
    struct event *event = decode_record(
        state, "i9",
        "{\"item\":\"i9\",\"blocked\":true,\"available_from\":5,\"available_until\":9,"
        "\"categories\":[\"a\",\"b\"],\"title\":\"T\"}");
    assert_int_equal(event->kind, EVENT_ITEM);
    assert_true(event->from_items);
    assert_text(event->item, "i9");
    const struct item_record *record = event->record;
    assert_true(record->present && record->blocked);
    assert_int_equal(record->available_from_ms, 5);
    assert_int_equal(record->available_until_ms, 9);
    assert_int_equal(record->category_count, 2);
    assert_text(record->categories[1], "b");
    assert_text(record->title, "T");
}

static void test_an_item_record_may_say_little(void **state)
{
    struct event *event = decode_record(state, "7", "{\"item\":7}");
    assert_int_equal(event->kind, EVENT_ITEM);
    assert_text(event->item, "7");
    assert_true(event->record->present);
    assert_false(event->record->blocked);
    assert_true(event->record->available_from_ms == INT64_MIN);
    assert_true(event->record->available_until_ms == INT64_MAX);
}

static void test_an_item_record_without_value_is_a_tombstone(void **state)
{
    struct event *event = decode_record(state, "i9", NULL);
    assert_int_equal(event->kind, EVENT_ITEM);
    assert_text(event->item, "i9");
    assert_false(event->record->present);
}

static void test_bad_item_records_are_dead(void **state)
{
    static const struct {
        const char *json;
        enum dead_reason reason;
    } cases[] = {
        {"", DEAD_NO_VALUE},
        {"{\"item\":\"i\xFF\"}", DEAD_BAD_UTF8},
        {"[]", DEAD_BAD_JSON},
        {"{\"item\":\"i\"", DEAD_BAD_JSON},
        {"{}", DEAD_MISSING_FIELD},
        {"{\"item\":true}", DEAD_BAD_FIELD},
        {"{\"item\":\"i\",\"blocked\":1}", DEAD_BAD_FIELD},
        {"{\"item\":\"i\",\"available_from\":\"x\"}", DEAD_BAD_FIELD},
        {"{\"item\":\"i\",\"available_until\":-1}", DEAD_BAD_FIELD},
        {"{\"item\":\"i\",\"categories\":\"x\"}", DEAD_BAD_FIELD},
        {"{\"item\":\"i\",\"categories\":[1]}", DEAD_BAD_FIELD},
        {"{\"item\":\"i\",\"title\":1}", DEAD_BAD_FIELD},
        {"{\"item\":\"j\"}", DEAD_WRONG_KEY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct event *event = decode_record(state, "i", cases[i].json);
        assert_dead(event, cases[i].reason);
        assert_true(event->from_items);
    }
}

/* ---- against jansson ---- */

static const char *const seeds[] = {
    ("{\"id\":\"e1\",\"user\":\"u1\",\"item\":\"i9\",\"type\":\"click\",\"ts\":1700000000000,"
     "\"value\":1.0,\"list\":\"00a\",\"pos\":3}"),
    "{\"user\":12,\"item\":-0,\"type\":\"purchase\",\"value\":1e2,\"x\":[1,2.5,{\"y\":null}]}",
    "{\"user\":\"\\u00e9\\ud83d\\ude00\",\"item\":\"\xC3\xA9\xE2\x82\xAC\",\"type\":\"click\"}",
    "{ \"user\" : \"a\\\\\\\"b\" , \"item\" : \"\\n\", \"type\":\"click\", \"z\":[[],{},[{}]] }",
    "{\"user\":\"u\",\"type\":\"retract\",\"ref\":\"e\",\"a\":true,\"b\":false,\"c\":null}",
    "{\"value\":0.1234567890123456789e-10,\"big\":9223372036854775807,\"ts\":1.5E+3}",
    "{\"value\":-9223372036854775808,\"huge\":1.7976931348623157e308,\"small\":5e-324}",
};

static const char *const pieces[] = {"{",
                                     "}",
                                     "[",
                                     "]",
                                     ":",
                                     ",",
                                     "\"",
                                     "\\",
                                     "\\u",
                                     "0",
                                     "-",
                                     ".",
                                     "e",
                                     "E+1",
                                     "1e400",
                                     "null",
                                     "true",
                                     "fals",
                                     "\xC3",
                                     "\xA9",
                                     "\xED",
                                     "\\ud800",
                                     "\\udc00",
                                     "\\u0000",
                                     " ",
                                     "\n",
                                     "\t",
                                     "9",
                                     "99999999999999999999",
                                     "\xF0\x9F\x98\x80",
                                     "\x01",
                                     "\x7F"};

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

/* Cuts, overwrites, repeats and inserts, as a fuzzer would. */
static size_t mutate(char *text, size_t length, size_t size)
{
    for (uint32_t times = 1 + draw(4); times > 0 && length > 0; times--) {
        size_t at = draw((uint32_t)length);
        const char *piece = pieces[draw(sizeof pieces / sizeof *pieces)];
        size_t bytes = strlen(piece);
        switch (draw(4)) {
        case 0:
            memmove(text + at, text + at + 1, length - at - 1);
            length--;
            break;
        case 1:
            text[at] = (char)draw(256);
            break;
        case 2:
            if (length + bytes > size)
                break;
            memmove(text + at + bytes, text + at, length - at);
            memcpy(text + at, piece, bytes);
            length += bytes;
            break;
        default:
            if (at + bytes <= length)
                memcpy(text + at, piece, bytes);
        }
    }
    return length;
}

/* Where jansson is known to judge otherwise: it refuses any second key, ours only of those that it
 * reads; and it loses a byte 0 that follows a number or a word. */
static bool may_differ(struct slice text, bool ours, const struct error *err)
{
    return ours ? strstr(err->text, "duplicate") != NULL
                : memchr(text.data, 0, text.length) != NULL;
}

static void compare_with_jansson(struct batch *batch, struct slice text, size_t *accepted)
{
    struct error err = {0};
    struct json *json = json_parse(text, &err);
    bool theirs = json_type(json) == JSON_OBJECT;
    struct event *event = batch_add(batch);
    event->key = SLICE("u");
    event->bytes = text;
    event->record_ts_ms = RECORD_TS;
    decode_event(&settings, batch, event);
    bool ours = event->kind != EVENT_DEAD ||
                (event->reason != DEAD_BAD_JSON && event->reason != DEAD_BAD_UTF8 &&
                 event->reason != DEAD_NO_VALUE);
    if (ours != theirs && !may_differ(text, ours, &err))
        fail_msg("ours %d, jansson %d (%s) on: %.*s", ours, theirs, err.text, SLICE_ARG(text));
    if (event->kind == EVENT_INTERACTION) {
        assert_true(event->value == json_get_number(json, "value", 1));
        assert_true(event->ts_ms == json_get_int(json, "ts", RECORD_TS));
    }
    *accepted += ours;
    json_free(json);
    batch_clear(batch);
}

static void test_decoder_and_jansson_agree_on_mutated_records(void **state)
{
    const char *given = getenv("FRESHET_TEST_SEED");
    random_state = given ? strtoull(given, NULL, 10) : 20240501;
    print_message("seed %llu\n", (unsigned long long)random_state);
    size_t accepted = 0, rounds = 200000;
    for (size_t i = 0; i < rounds; i++) {
        char text[512];
        const char *seed = seeds[draw(sizeof seeds / sizeof *seeds)];
        size_t length = strlen(seed);
        memcpy(text, seed, length);
        length = mutate(text, length, sizeof text);
        compare_with_jansson(*state, (struct slice){text, (uint32_t)length}, &accepted);
    }
    /* The comparison means something only if both outcomes are common. */
    assert_in_range(accepted, rounds / 20, rounds * 19 / 20);
}

/* One to nineteen digits before and after the point, so that the quick way and strtod's both run.
 */
static void test_reals_are_read_as_strtod_reads_them(void **state)
{
    random_state = 4711;
    for (int i = 0; i < 200000; i++) {
        char digits[64], json[128];
        uint64_t whole = UINT64_C(9999999999999999999) >> draw(64);
        uint64_t part = ((uint64_t)draw(1u << 31) << 31 | draw(1u << 31)) >> draw(62);
        snprintf(digits, sizeof digits, "%llu.%llue%d", (unsigned long long)whole,
                 (unsigned long long)part, (int)draw(60) - 30);
        snprintf(json, sizeof json,
                 "{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"value\":%s}", digits);
        struct event *event = decode(state, "u", json);
        if (event->value != strtod(digits, NULL))
            fail_msg("%s read as %.17g", digits, event->value);
        batch_clear(*state);
    }
}

/* ---- UTF-8 ---- */

/* By the definition: the code point that the bits spell, written again in its one form. */
static bool is_one_character(const unsigned char *bytes, size_t length)
{
    static const unsigned char masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    if ((bytes[0] & ~masks[length] & 0xFF) != leads[length])
        return false;
    uint32_t point = bytes[0] & masks[length];
    for (size_t i = 1; i < length; i++) {
        if (bytes[i] >> 6 != 2)
            return false;
        point = point << 6 | (bytes[i] & 0x3F);
    }
    return point >= smallest[length] && point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
}

static void test_utf8_is_what_its_definition_says(void **state)
{
    static const unsigned char tails[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0};
    const size_t count = sizeof tails;
    for (uint32_t first = 0x80; first < 256; first++)
        for (uint32_t second = 0; second < 256; second++)
            for (size_t k = 0; k < count * count; k++) {
                unsigned char bytes[] = {(unsigned char)first, (unsigned char)second,
                                         tails[k / count], tails[k % count]};
                for (uint32_t length = 2; length <= 4; length++) {
                    /* A shorter character at the front would leave a rest to judge. */
                    bool expected = is_one_character(bytes, length);
                    bool prefix = is_one_character(bytes, 2) || is_one_character(bytes, 3);
                    if (!expected && prefix)
                        continue;
                    if (utf8_is_valid((struct slice){(char *)bytes, length}) != expected)
                        fail_msg("%02X %02X %02X %02X: %u", bytes[0], bytes[1], bytes[2], bytes[3],
                                 length);
                }
            }
}

/* ---- batches ---- */

static int released;

static void count_release(void *thing)
{
    released += *(int *)thing;
}

static void test_clearing_a_batch_releases_what_it_owns_once(void **state)
{
    int one = 1;
    released = 0;
    batch_own(*state, &one, count_release);
    batch_clear(*state);
    batch_clear(*state);
    assert_int_equal(released, 1);
}

static void test_what_a_batch_allocates_stays_while_it_grows(void **state)
{
    struct batch *batch = *state;
    unsigned char *kept[2000];
    for (size_t i = 0; i < 2000; i++) {
        kept[i] = batch_alloc(batch, 1 + i);
        memset(kept[i], (int)(i & 255), 1 + i);
        batch_add(batch)->offset = (int64_t)i;
    }
    for (size_t i = 0; i < 2000; i++) {
        assert_int_equal(kept[i][i], i & 255);
        assert_int_equal(kept[i][0], i & 255);
        assert_int_equal(batch->events[i].offset, i);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_batch, end_batch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_full_event_is_read),
        TEST(test_what_is_absent_has_its_default),
        TEST(test_null_counts_as_absent),
        TEST(test_integer_ids_become_decimal_text),
        TEST(test_minus_zero_is_zero),
        TEST(test_escapes_are_undone),
        TEST(test_ids_without_escapes_point_into_the_record),
        TEST(test_unknown_keys_are_passed_over),
        TEST(test_control_events_are_read),
        TEST(test_an_impression_is_read_whatever_the_settings_types),
        TEST(test_control_events_need_their_users_key),
        TEST(test_default_takes_unknown_types),
        TEST(test_a_dead_event_keeps_where_it_was),
        TEST(test_each_reason_is_found),
        TEST(test_the_first_reason_in_the_order_counts),
        TEST(test_ts_may_be_as_far_ahead_as_allowed),
        TEST(test_an_id_has_at_most_128_bytes),
        TEST(test_a_record_over_the_limit_is_not_read),
        TEST(test_depth_is_bounded),
        TEST(test_a_full_item_record_is_read),
        TEST(test_an_item_record_may_say_little),
        TEST(test_an_item_record_without_value_is_a_tombstone),
        TEST(test_bad_item_records_are_dead),
        TEST(test_decoder_and_jansson_agree_on_mutated_records),
        TEST(test_reals_are_read_as_strtod_reads_them),
        TEST(test_utf8_is_what_its_definition_says),
        TEST(test_clearing_a_batch_releases_what_it_owns_once),
        TEST(test_what_a_batch_allocates_stays_while_it_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
