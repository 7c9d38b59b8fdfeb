#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct page { /* what a writer has written */
    struct buffer out;
    struct json_writer w;
};

static struct page *page_new(void)
{
    struct page *page = calloc(1, sizeof *page);
    page->w.out = &page->out;
    return page;
}

/* Compares what was written and releases the page. */
static void assert_page(struct page *page, const char *expected)
{
    buffer_byte(&page->out, '\0');
    assert_string_equal(page->out.data, expected);
    buffer_deinit(&page->out);
    free(page);
}

static struct json *parse(const char *text)
{
    struct error err = {0};
    struct json *json = json_parse(slice_of(text), &err);
    if (json == NULL)
        fail_msg("%s: %s", text, err.text);
    return json;
}

static void assert_refused(struct slice text, const char *part)
{
    struct error err = {0};
    assert_null(json_parse(text, &err));
    assert_int_equal(err.code, ERR_DATA);
    if (strstr(err.text, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void test_writer_puts_commas_between_values_at_every_depth(void **state)
{
    struct page *page = page_new();
    json_begin_object(&page->w, NULL);
    json_text(&page->w, "a", "x");
    json_begin_array(&page->w, "b");
    json_int(&page->w, NULL, 1);
    json_begin_array(&page->w, NULL);
    json_end_array(&page->w);
    json_begin_object(&page->w, NULL);
    json_end_object(&page->w);
    json_text(&page->w, NULL, NULL);
    json_end_array(&page->w);
    json_bool(&page->w, "c", true);
    json_raw(&page->w, "d", SLICE("[2,3]"));
    json_key(&page->w, SLICE("e\""));
    json_bool(&page->w, NULL, false);
    json_end_object(&page->w);
    assert_page(page, "{\"a\":\"x\",\"b\":[1,[],{},null],\"c\":true,\"d\":[2,3],\"e\\\"\":false}");
}

static void test_writer_escapes_quotes_backslashes_and_control_characters(void **state)
{
    struct page *page = page_new();
    json_string(&page->w, NULL, SLICE("a\"b\\c\b\t\n\v\f\r\x01\x1f\x7f/\0!"));
    assert_page(page, "\"a\\\"b\\\\c\\b\\t\\n\\u000b\\f\\r\\u0001\\u001f\x7f/\\u0000!\"");
}

static void test_writer_copies_utf8_as_it_is(void **state)
{
    struct page *page = page_new();
    json_text(&page->w, NULL, "caf\u00e9 \u20ac \U0001F600 \uFFFF \U0010FFFF");
    assert_page(page, "\"caf\u00e9 \u20ac \U0001F600 \uFFFF \U0010FFFF\"");
}

static void test_writer_replaces_each_byte_that_is_no_utf8(void **state)
{
    static const struct {
        const char *bytes;
        int replaced;
    } cases[] = {
        {"\xFF", 1},             /* never a lead byte */
        {"\x80", 1},             /* a continuation alone */
        {"\xC0\xAF", 2},         /* overlong '/' */
        {"\xE0\x9F\xBF", 3},     /* overlong, three bytes */
        {"\xED\xA0\x80", 3},     /* a surrogate */
        {"\xF0\x8F\xBF\xBF", 4}, /* overlong, four bytes */
        {"\xF4\x90\x80\x80", 4}, /* beyond U+10FFFF */
        {"\xE2\x82", 2},         /* cut off */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct page *page = page_new();
        json_text(&page->w, NULL, cases[i].bytes);
        char expected[32] = "\"";
        for (int n = 0; n < cases[i].replaced; n++)
            strcat(expected, "\xEF\xBF\xBD");
        strcat(expected, "\"");
        assert_page(page, expected);
    }
}

static void test_writer_writes_the_extremes_of_integers(void **state)
{
    struct page *page = page_new();
    json_begin_array(&page->w, NULL);
    json_int(&page->w, NULL, 0);
    json_int(&page->w, NULL, -7);
    json_int(&page->w, NULL, INT64_MAX);
    json_int(&page->w, NULL, INT64_MIN);
    json_end_array(&page->w);
    assert_page(page, "[0,-7,9223372036854775807,-9223372036854775808]");
}

static void assert_real(double value, const char *text)
{
    struct buffer out = {0};
    struct json_writer w = {.out = &out};
    json_real(&w, NULL, value);
    buffer_byte(&out, '\0');
    double back = strtod(out.data, NULL);
    assert_memory_equal(&back, &value, sizeof value);
    if (text != NULL)
        assert_string_equal(out.data, text);
    buffer_deinit(&out);
}

static void test_writer_writes_reals_that_read_back_as_the_same_bits(void **state)
{
    static const double values[] = {
        0.0,     -0.0,         1.0 / 3,          0.1 + 0.2,
        1e15,    1e15 - 0.125, 999999999.999999, 12345678.9,
        0x1p-20, -2.5e-308,    5e-324,           1.7976931348623157e308};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_real(values[i], NULL);
    uint64_t random = 1;
    for (int i = 0; i < 100000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
        double scale = pow(10, (double)(random >> 60));
        assert_real((double)(int64_t)(random << 4 >> 20) / scale, NULL);
    }
}

static void test_writer_writes_few_decimals_as_people_do(void **state)
{
    assert_real(3, "3");
    assert_real(2.55, "2.55");
    assert_real(-0.5, "-0.5");
    assert_real(0.000001, "0.000001");
    assert_real(120.05, "120.05");
    assert_real(0.1 + 0.2, "0.30000000000000004");
}

static void test_writer_writes_null_for_what_is_not_finite(void **state)
{
    struct page *page = page_new();
    json_begin_array(&page->w, NULL);
    json_real(&page->w, NULL, NAN);
    json_real(&page->w, NULL, INFINITY);
    json_real6(&page->w, NULL, NAN);
    json_real6(&page->w, NULL, -INFINITY);
    json_end_array(&page->w);
    assert_page(page, "[null,null,null,null]");
}

static void assert_real6_is_printf(double value)
{
    char expected[32];
    snprintf(expected, sizeof expected, "%.6g", value);
    struct page *page = page_new();
    json_real6(&page->w, NULL, value);
    assert_page(page, expected);
}

static void test_six_digits_are_those_of_printf_at_every_edge(void **state)
{
    static const double edges[] = {0,        -0.0,      1,         -1,        10,      0.5,
                                   1e-4,     9.9999e-5, 99999.5,   999998.5f, 999999,  999999.5,
                                   1e6,      1e7,       1e-5,      0.1,       0.25,    100,
                                   0.999999, 0.9999995, 0.9999996, 9.999996,  99.9999, 123456,
                                   1.5e300,  5e-324,    -0.001,    2.000005f, 1024.5f, 100000.5f};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        assert_real6_is_printf(edges[i]);
}

static void test_six_digits_are_those_of_printf_for_floats_of_every_size(void **state)
{
    uint64_t seed = 20260101;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 100000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        double exponent = (double)((seed >> 33) % 2000) / 100 - 9; /* 1e-9 to 1e11 */
        double size = 1 + (double)((seed >> 40) % 9000000) / 1e6;
        float value = (float)(size * pow(10, exponent)); /* a float: see json_real6 */
        assert_real6_is_printf(i % 2 ? value : -value);
    }
}

static void test_reader_finds_what_the_writer_wrote(void **state)
{
    struct json *json = parse("{\"s\":\"\\u20ac\",\"i\":-3,\"r\":2.5,\"t\":true,\"n\":null,"
                              "\"a\":[10,20],\"o\":{\"k\":1}}");
    assert_int_equal(json_type(json), JSON_OBJECT);
    assert_int_equal(json_count(json), 7);
    assert_true(slice_equal(json_get_string(json, "s", SLICE("")), SLICE("\u20ac")));
    assert_int_equal(json_get_int(json, "i", 0), -3);
    assert_true(json_get_number(json, "r", 0) == 2.5);
    assert_true(json_get_number(json, "i", 0) == -3);
    assert_true(json_get_bool(json, "t", false));
    assert_int_equal(json_type(json_get(json, "n")), JSON_NULL);
    assert_int_equal(json_count(json_get(json, "a")), 2);
    assert_true(json_to_number(json_at(json_get(json, "a"), 1), 0) == 20);
    assert_int_equal(json_get_int(json_get(json, "o"), "k", 0), 1);
    json_free(json);
}

static void test_reader_tells_every_type_apart(void **state)
{
    struct json *json = parse("[null,true,false,1,1.0,\"\",[],{}]");
    static const enum json_type types[] = {JSON_NULL, JSON_BOOL,   JSON_BOOL,  JSON_INT,
                                           JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_int_equal(json_type(json_at(json, i)), types[i]);
    json_free(json);
}

static void test_lookups_fall_back_where_there_is_nothing_or_something_else(void **state)
{
    struct json *json = parse("{\"s\":\"1\",\"r\":1.5}");
    assert_int_equal(json_get_int(json, "s", 7), 7);
    assert_int_equal(json_get_int(json, "r", 7), 7);
    assert_true(json_get_number(json, "s", 0.5) == 0.5);
    assert_true(json_get_bool(json, "s", true));
    assert_true(slice_equal(json_get_string(json, "r", SLICE("z")), SLICE("z")));
    assert_null(json_get(json, "missing"));
    assert_null(json_at(json, 0));
    json_free(json);
    assert_null(json_get(NULL, "a"));
    assert_null(json_at(NULL, 0));
    assert_int_equal(json_count(NULL), 0);
    assert_int_equal(json_type(NULL), JSON_NULL);
}

static void test_reader_takes_any_value_at_the_top(void **state)
{
    struct json *json = parse(" \"x\" ");
    assert_true(slice_equal(json_to_string(json, SLICE("")), SLICE("x")));
    json_free(json);
}

static void test_reader_refuses_a_key_given_twice(void **state)
{
    assert_refused(SLICE("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}"), "duplicate");
}

static void test_reader_refuses_bytes_after_the_value(void **state)
{
    assert_refused(SLICE("{} x"), "end of file");
    assert_refused(SLICE("1 2"), "end of file");
    assert_refused(SLICE("{}\0"), "a zero byte");
}

static void test_reader_refuses_what_is_no_json(void **state)
{
    static const char *const texts[] = {
        "",      "{",         "[1,]",     "{\"a\":NaN}", "nul",
        "'a'",   "{\"a\" 1}", "\"\xFF\"", "01",          "[1}",
        "{a:1}", "\"\t\"",    "1e999",    "\"\\u0000\"", "99999999999999999999"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_refused(slice_of(texts[i]), "line 1");
}

static void test_reader_says_line_and_column(void **state)
{
    assert_refused(SLICE("{\n  \"a\": ?\n}"), "line 2, column");
}

static void test_reader_refuses_what_is_nested_too_deep(void **state)
{
    char text[2 * (JSON_DEPTH_MAX + 1) + 1];
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    struct json *deepest = json_parse((struct slice){text, 2 * JSON_DEPTH_MAX}, NULL);
    assert_int_equal(json_type(deepest), JSON_ARRAY);
    json_free(deepest);

    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_refused((struct slice){text, sizeof text - 1}, "deeper");
}

static void test_brackets_inside_strings_are_no_depth(void **state)
{
    char text[4 * JSON_DEPTH_MAX];
    memset(text, '[', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    memcpy(text + 1, "\\\"", 2); /* an escaped quote does not end the string */
    struct json *json = json_parse((struct slice){text, sizeof text}, NULL);
    assert_int_equal(json_type(json), JSON_STRING);
    json_free(json);
}

static void add_key(struct slice key, const struct json *value, void *arg)
{
    buffer_printf(arg, "%.*s=%g ", SLICE_ARG(key), json_to_number(value, -1));
}

static void test_each_visits_members_in_the_order_of_the_text(void **state)
{
    struct json *json = parse("{\"z\":1,\"a\":2,\"m\":3,\"b\":4}");
    struct buffer seen = {0};
    json_each(json, add_key, &seen);
    assert_true(slice_equal(buffer_slice(&seen), SLICE("z=1 a=2 m=3 b=4 ")));
    buffer_clear(&seen);
    json_each(NULL, add_key, &seen);
    assert_int_equal(seen.length, 0);
    buffer_deinit(&seen);
    json_free(json);
}

static void test_a_zero_byte_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    struct error err = {0};
    assert_null(json_parse(SLICE("{\"a\":1\0}"), &err));
    assert_null(json_parse(SLICE("null\0"), &err));
    assert_null(json_parse(SLICE("\0{}"), &err));
    assert_int_equal(err.code, ERR_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_zero_byte_is_refused_wherever_it_stands),
        cmocka_unit_test(test_writer_puts_commas_between_values_at_every_depth),
        cmocka_unit_test(test_writer_escapes_quotes_backslashes_and_control_characters),
        cmocka_unit_test(test_writer_copies_utf8_as_it_is),
        cmocka_unit_test(test_writer_replaces_each_byte_that_is_no_utf8),
        cmocka_unit_test(test_writer_writes_the_extremes_of_integers),
        cmocka_unit_test(test_writer_writes_reals_that_read_back_as_the_same_bits),
        cmocka_unit_test(test_writer_writes_few_decimals_as_people_do),
        cmocka_unit_test(test_writer_writes_null_for_what_is_not_finite),
        cmocka_unit_test(test_six_digits_are_those_of_printf_at_every_edge),
        cmocka_unit_test(test_six_digits_are_those_of_printf_for_floats_of_every_size),
        cmocka_unit_test(test_reader_finds_what_the_writer_wrote),
        cmocka_unit_test(test_reader_tells_every_type_apart),
        cmocka_unit_test(test_lookups_fall_back_where_there_is_nothing_or_something_else),
        cmocka_unit_test(test_reader_takes_any_value_at_the_top),
        cmocka_unit_test(test_reader_refuses_a_key_given_twice),
        cmocka_unit_test(test_reader_refuses_bytes_after_the_value),
        cmocka_unit_test(test_reader_refuses_what_is_no_json),
        cmocka_unit_test(test_reader_says_line_and_column),
        cmocka_unit_test(test_reader_refuses_what_is_nested_too_deep),
        cmocka_unit_test(test_brackets_inside_strings_are_no_depth),
        cmocka_unit_test(test_each_visits_members_in_the_order_of_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
