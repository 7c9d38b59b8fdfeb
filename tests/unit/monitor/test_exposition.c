#include "monitor/exposition.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct metric_row rows[] = {
    {"t_sent_total", METRIC_COUNTER, "", .help = "Sent."},
    {"t_hits_total", METRIC_COUNTER, "", .labels = {"arm", "k"}, .help = "Hits."},
    {"t_age_seconds", METRIC_GAUGE, "seconds", .labels = {"arm"},
     .help = "Back\\slash,\n\"quote\"."},
    {"t_wait_seconds", METRIC_HISTOGRAM, "seconds", .labels = {"arm"}, .help = "Wait."},
    {"t_change", METRIC_SUMMARY, "", .labels = {"arm"}, .help = "Change."},
};
#define ROWS (sizeof rows / sizeof rows[0])

static int begin(void **state)
{
    static struct exposition e;
    exposition_init(&e, rows, ROWS);
    *state = &e;
    return 0;
}

static int end(void **state)
{
    exposition_deinit(*state);
    return 0;
}

static void assert_text(struct exposition *e, const char *expected)
{
    struct buffer text = {0};
    exposition_write(e, &text);
    buffer_byte(&text, '\0');
    assert_string_equal(text.data, expected);
    buffer_deinit(&text);
}

static void test_exposition_of_nothing_is_empty(void **state)
{
    assert_text(*state, "");
}

static void test_exposition_groups_series_by_row_whatever_their_order(void **state)
{
    struct exposition *e = *state;
    exposition_add(e, "t_hits_total", METRIC_LABELS({"arm", "a"}, {"k", "10"}), 1);
    exposition_add(e, "t_sent_total", NULL, 7);
    exposition_add(e, "t_hits_total", METRIC_LABELS({"arm", "a"}, {"k", "20"}), 2);
    assert_text(e, "# HELP t_sent_total Sent.\n"
                   "# TYPE t_sent_total counter\n"
                   "t_sent_total 7\n"
                   "# HELP t_hits_total Hits.\n"
                   "# TYPE t_hits_total counter\n"
                   "t_hits_total{arm=\"a\",k=\"10\"} 1\n"
                   "t_hits_total{arm=\"a\",k=\"20\"} 2\n");
}

static void test_exposition_escapes_help_and_label_values(void **state)
{
    struct exposition *e = *state;
    exposition_add(e, "t_age_seconds", METRIC_LABELS({"arm", "a\"b\\c\nd"}), 1);
    assert_text(e, "# HELP t_age_seconds Back\\\\slash,\\n\"quote\".\n"
                   "# TYPE t_age_seconds gauge\n"
                   "t_age_seconds{arm=\"a\\\"b\\\\c\\nd\"} 1\n");
}

static void assert_number(double value, const char *text)
{
    struct exposition e;
    char expected[128];
    exposition_init(&e, rows + 2, 1);
    exposition_add(&e, "t_age_seconds", METRIC_LABELS({"arm", ""}), value);
    snprintf(expected, sizeof expected, "t_age_seconds{arm=\"\"} %s\n", text);
    struct buffer out = {0};
    exposition_write(&e, &out);
    buffer_byte(&out, '\0');
    assert_non_null(strstr(out.data, expected));
    buffer_deinit(&out);
    exposition_deinit(&e);
}

static void test_exposition_numbers_are_short_and_exact(void **state)
{
    assert_number(0, "0");
    assert_number(-2.5, "-2.5");
    assert_number(0.1, "0.1");
    assert_number(1.0 / 3, "0.3333333333333333");
    assert_number(9007199254740991, "9007199254740991");
    assert_number(1700000000.123, "1700000000.123");
    assert_number(INFINITY, "+Inf");
    assert_number(-INFINITY, "-Inf");
}

static void test_exposition_leaves_out_gauges_that_are_not_known(void **state)
{
    struct exposition *e = *state;
    exposition_add(e, "t_age_seconds", METRIC_LABELS({"arm", "a"}), NAN);
    assert_int_equal(e->left_out, 0);
    assert_text(e, "");
}

static void test_exposition_histograms_cumulate_in_seconds(void **state)
{
    struct exposition *e = *state;
    struct histogram histogram = {0};
    const double ms[] = {1, 2.5, 2.6, 500, 3600e3};
    for (size_t i = 0; i < sizeof ms / sizeof ms[0]; i++)
        histogram_add(&histogram, ms[i]);
    exposition_add_histogram(e, "t_wait_seconds", METRIC_LABELS({"arm", "a"}), &histogram);
    assert_text(e, "# HELP t_wait_seconds Wait.\n"
                   "# TYPE t_wait_seconds histogram\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"0.001\"} 1\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"0.0025\"} 2\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"0.005\"} 3\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"0.01\"} 3\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"0.025\"} 3\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"0.05\"} 3\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"0.1\"} 3\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"0.25\"} 3\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"0.5\"} 4\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"1\"} 4\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"2\"} 4\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"8\"} 4\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"32\"} 4\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"128\"} 4\n"
                   "t_wait_seconds_bucket{arm=\"a\",le=\"+Inf\"} 5\n"
                   "t_wait_seconds_sum{arm=\"a\"} 3600.5061\n"
                   "t_wait_seconds_count{arm=\"a\"} 5\n");
}

static void test_exposition_summaries_have_sum_and_count(void **state)
{
    struct exposition *e = *state;
    exposition_add_summary(e, "t_change", METRIC_LABELS({"arm", "a"}), 3, 0.75);
    assert_text(e, "# HELP t_change Change.\n"
                   "# TYPE t_change summary\n"
                   "t_change_sum{arm=\"a\"} 0.75\n"
                   "t_change_count{arm=\"a\"} 3\n");
}

/* What was asked for is not there, and that was counted; the count goes, so that the text may. */
static void assert_left_out(struct exposition *e, uint32_t times)
{
    assert_int_equal(e->left_out, times);
    e->left_out = 0;
}

static void test_exposition_leaves_out_what_the_table_does_not_name(void **state)
{
    struct exposition *e = *state;
    exposition_add(e, "t_unknown_total", NULL, 1);
    exposition_add(e, "t_change", METRIC_LABELS({"arm", "a"}), 1); /* another type */
    exposition_add_summary(e, "t_sent_total", NULL, 1, 1);
    exposition_add_histogram(e, "t_sent_total", NULL, &(struct histogram){0});
    assert_left_out(e, 4);
    assert_text(e, "");
}

static void test_exposition_leaves_out_labels_that_are_not_declared(void **state)
{
    struct exposition *e = *state;
    exposition_add(e, "t_sent_total", METRIC_LABELS({"arm", "a"}), 1);
    exposition_add(e, "t_hits_total", NULL, 1);
    exposition_add(e, "t_hits_total", METRIC_LABELS({"arm", "a"}), 1);
    exposition_add(e, "t_hits_total", METRIC_LABELS({"k", "10"}, {"arm", "a"}), 1);
    exposition_add(e, "t_hits_total", METRIC_LABELS({"arm", NULL}, {"k", "10"}), 1);
    assert_left_out(e, 5);
    assert_text(e, "");
}

static void test_exposition_leaves_out_counters_that_are_no_count(void **state)
{
    struct exposition *e = *state;
    exposition_add(e, "t_sent_total", NULL, NAN);
    exposition_add(e, "t_sent_total", NULL, -1);
    exposition_add_summary(e, "t_change", METRIC_LABELS({"arm", "a"}), 1, NAN);
    assert_left_out(e, 3);
    assert_text(e, "");
}

static void test_exposition_has_no_series_twice(void **state)
{
    struct exposition *e = *state;
    char name[16];
    for (int again = 0; again < 2; again++)
        for (int i = 0; i < 1000; i++) { /* beyond several growths of the set */
            snprintf(name, sizeof name, "arm-%d", i);
            exposition_add(e, "t_age_seconds", METRIC_LABELS({"arm", name}), again);
        }
    assert_left_out(e, 1000);
    struct buffer text = {0};
    exposition_write(e, &text);
    buffer_byte(&text, '\0');
    assert_null(strstr(text.data, "} 1\n"));
    assert_non_null(strstr(text.data, "t_age_seconds{arm=\"arm-999\"} 0\n"));
    buffer_deinit(&text);
}

static void test_exposition_tells_the_same_values_of_other_labels_apart(void **state)
{
    struct exposition *e = *state;
    exposition_add(e, "t_hits_total", METRIC_LABELS({"arm", "ab"}, {"k", "c"}), 1);
    exposition_add(e, "t_hits_total", METRIC_LABELS({"arm", "a"}, {"k", "bc"}), 1);
    exposition_add(e, "t_age_seconds", METRIC_LABELS({"arm", "a"}), 1);
    exposition_add_summary(e, "t_change", METRIC_LABELS({"arm", "a"}), 1, 1);
    assert_int_equal(e->left_out, 0);
}

static void test_exposition_markdown_has_a_line_a_row(void **state)
{
    struct buffer text = {0};
    exposition_write_markdown(rows, 2, &text);
    buffer_byte(&text, '\0');
    assert_string_equal(text.data, "| metric | type | labels | |\n|---|---|---|---|\n"
                                   "| `t_sent_total` | counter |  | Sent. |\n"
                                   "| `t_hits_total` | counter | `arm`, `k` | Hits. |\n");
    buffer_deinit(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_exposition_of_nothing_is_empty),
        TEST(test_exposition_groups_series_by_row_whatever_their_order),
        TEST(test_exposition_escapes_help_and_label_values),
        TEST(test_exposition_numbers_are_short_and_exact),
        TEST(test_exposition_leaves_out_gauges_that_are_not_known),
        TEST(test_exposition_histograms_cumulate_in_seconds),
        TEST(test_exposition_summaries_have_sum_and_count),
        TEST(test_exposition_leaves_out_what_the_table_does_not_name),
        TEST(test_exposition_leaves_out_labels_that_are_not_declared),
        TEST(test_exposition_leaves_out_counters_that_are_no_count),
        TEST(test_exposition_has_no_series_twice),
        TEST(test_exposition_tells_the_same_values_of_other_labels_apart),
        TEST(test_exposition_markdown_has_a_line_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
