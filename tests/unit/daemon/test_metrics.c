#include "daemon/metrics.h"
#include "daemon/pulse.h"

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#define HELD_UP_MS 50

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static void assert_is_name(const char *name)
{
    for (const char *c = name; *c != '\0'; c++)
        assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
}

static void test_metrics_names_keep_the_conventions(void **state)
{
    for (size_t i = 0; i < metrics_row_count; i++) {
        const struct metric_row *row = &metrics_rows[i];
        char with_unit[64];
        const char *end = row->type == METRIC_COUNTER ? "_total" : "";
        snprintf(with_unit, sizeof with_unit, "%s%s%s", row->unit[0] ? "_" : "", row->unit, end);
        assert_is_name(row->name);
        assert_true(ends_with(row->name, with_unit));
        assert_int_equal(ends_with(row->name, "_total"), row->type == METRIC_COUNTER);
        assert_false(ends_with(row->name, "_sum") || ends_with(row->name, "_count") ||
                     ends_with(row->name, "_bucket"));
        assert_true(strncmp(row->name, "freshet_", 8) == 0 ||
                    strncmp(row->name, "process_", 8) == 0);
    }
}

static void test_metrics_have_help_that_fits_a_table(void **state)
{
    for (size_t i = 0; i < metrics_row_count; i++) {
        const char *help = metrics_rows[i].help;
        assert_true(ends_with(help, "."));
        assert_null(strpbrk(help, "|\n"));
    }
}

static void test_metrics_names_are_there_once(void **state)
{
    for (size_t i = 0; i < metrics_row_count; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(metrics_rows[i].name, metrics_rows[j].name);
}

static void test_metrics_labels_are_names(void **state)
{
    for (size_t i = 0; i < metrics_row_count; i++)
        for (int j = 0; j < METRIC_LABELS_MAX && metrics_rows[i].labels[j] != NULL; j++) {
            assert_is_name(metrics_rows[i].labels[j]);
            assert_string_not_equal(metrics_rows[i].labels[j], "le");
        }
}

/* An arm of which everything is known. */
static struct arm_metrics whole_arm(const char *name)
{
    struct arm_metrics arm = {
        .counted = true,
        .name = name,
        .share = 0.1,
        .generation = 3,
        .users = 10,
        .events = 100,
        .hits10 = 5,
        .hits20 = 9,
        .reciprocal_ranks = 1.5,
        .hit_ratio = 0.09,
        .hit_ratio_low = 0.05,
        .hit_ratio_high = 0.13,
        .uplift = 0.01,
        .uplift_low = -0.02,
        .uplift_high = 0.04,
        .uplift_p = 1,
        .lists = 110,
        .held = {[HOLD_MIN_CHANGE] = 1, [HOLD_CHURN_LIMIT] = 2},
        .attributed = {[ATTRIBUTION_STALE] = 7},
        .chr = {.events = 40, .hits10 = 3, .hits20 = 4},
        .coverage = 0.5,
        .top_item_share = 0.25,
        .fallback_share = 0.125,
        .new_item_share = 0,
    };
    arm.churn[CAUSE_GENERATION][CHURN_NET_RBO] = (struct metric_sum){4, 1.25};
    arm.gap_closed = (struct metric_sum){8, 3.5};
    return arm;
}

/* As many as there can be. */
static void write_hits(struct exposition *e)
{
    static struct hits hits;
    static char names[EVENT_TYPES_MAX][16];
    char *types[EVENT_TYPES_MAX];
    for (int type = 0; type < EVENT_TYPES_MAX; type++) {
        snprintf(names[type], sizeof names[type], "type %d", type);
        types[type] = names[type];
    }
    hits.types[3][ACCURACY_NEW] = (struct accuracy_count){.events = 9, .hits10 = 1, .hits20 = 2};
    hits.values[HITS_VALUES - 1] = (struct accuracy_count){.events = 6, .hits10 = 4, .hits20 = 5};
    metrics_add_hits(e, &hits, types, EVENT_TYPES_MAX);
}

static void write_arms(struct buffer *out)
{
    struct exposition e;
    struct arm_metrics control = whole_arm("control"), fast = whole_arm("fast \"trend\"");
    const struct experiment_metrics experiment = {"spring", true, 0.5};
    exposition_init(&e, metrics_rows, metrics_row_count);
    metrics_add_experiment(&e, &experiment);
    metrics_add_arm(&e, &control);
    metrics_add_arm(&e, &fast);
    write_hits(&e);
    metrics_add_process(&e, 1700000000);
    assert_int_equal(e.left_out, 0);
    exposition_write(&e, out);
    exposition_deinit(&e);
    buffer_byte(out, '\0');
}

static void assert_has(const struct buffer *text, const char *line)
{
    if (strstr(text->data, line) == NULL)
        fail_msg("no line \"%s\"", line);
}

static void test_metrics_of_arms_are_in_the_table(void **state)
{
    struct buffer text = {0};
    write_arms(&text);
    assert_has(&text, "\nfreshet_experiment_info{experiment=\"spring\"} 1\n");
    assert_has(&text, "\nfreshet_arm_hits_total{arm=\"control\",k=\"20\"} 9\n");
    assert_has(&text, "\nfreshet_arm_uplift_bound_ratio{arm=\"control\",bound=\"low\"} -0.02\n");
    assert_has(&text, "\nfreshet_lists_held_total{arm=\"control\",reason=\"churn_limit\"} 2\n");
    assert_has(&text,
               "\nfreshet_list_churn_net_rbo_sum{arm=\"control\",cause=\"generation\"} 1.25\n");
    assert_has(&text,
               "\nfreshet_list_churn_net_rbo_count{arm=\"control\",cause=\"generation\"} 4\n");
    assert_has(&text, "\nfreshet_response_gap_closed_ratio_sum{arm=\"fast \\\"trend\\\"\"} 3.5\n");
    buffer_deinit(&text);
}

static void test_metrics_of_hits_are_by_type_and_value(void **state)
{
    struct buffer text = {0};
    write_arms(&text);
    assert_has(&text, "\nfreshet_type_events_total{type=\"type 3\",scope=\"new\"} 9\n");
    assert_has(&text, "\nfreshet_type_events_total{type=\"type 3\",scope=\"all\"} 0\n");
    assert_has(&text, "\nfreshet_type_hits_total{type=\"type 3\",scope=\"new\",k=\"20\"} 2\n");
    assert_has(&text, "\nfreshet_rhr_events_total{from=\"1000\"} 6\n");
    assert_has(&text, "\nfreshet_rhr_hits_total{from=\"1000\",k=\"10\"} 4\n");
    assert_has(&text, "\nfreshet_chr_events_total{arm=\"control\"} 40\n");
    assert_has(&text, "\nfreshet_chr_hits_total{arm=\"control\",k=\"10\"} 3\n");
    assert_has(&text, "\nfreshet_attributed_events_total{arm=\"control\",outcome=\"stale\"} 7\n");
    buffer_deinit(&text);
}

static void test_metrics_leave_out_what_is_not_known_of_an_arm(void **state)
{
    struct exposition e;
    struct buffer text = {0};
    struct arm_metrics arm = whole_arm("control");
    arm.uplift = arm.uplift_low = arm.uplift_high = arm.uplift_p = NAN;
    exposition_init(&e, metrics_rows, metrics_row_count);
    metrics_add_experiment(&e, &(struct experiment_metrics){.id = ""});
    metrics_add_arm(&e, &arm);
    exposition_write(&e, &text);
    buffer_byte(&text, '\0');
    assert_null(strstr(text.data, "uplift"));
    assert_null(strstr(text.data, "freshet_experiment_"));
    buffer_deinit(&text);
    exposition_deinit(&e);
}

static void test_metrics_of_arms_please_promtool(void **state)
{
    struct buffer text = {0};
    write_arms(&text);
    FILE *promtool = popen("promtool check metrics", "w");
    assert_non_null(promtool);
    fputs(text.data, promtool);
    assert_int_equal(pclose(promtool), 0);
    buffer_deinit(&text);
}

static double value_of(const struct buffer *text, const char *name)
{
    char line[128];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(text->data, line);
    assert_non_null(at);
    return strtod(at + strlen(line), NULL);
}

static void test_metrics_of_the_process_are_likely(void **state)
{
    struct buffer text = {0};
    write_arms(&text);
    assert_true(value_of(&text, "process_cpu_seconds_total") > 0);
    assert_true(value_of(&text, "process_resident_memory_bytes") > 65536);
    assert_true(value_of(&text, "process_virtual_memory_bytes") >=
                value_of(&text, "process_resident_memory_bytes"));
    assert_true(value_of(&text, "process_open_fds") >= 1);
    assert_true(value_of(&text, "process_max_fds") >= value_of(&text, "process_open_fds"));
    assert_true(value_of(&text, "process_start_time_seconds") == 1700000000);
    buffer_deinit(&text);
}

/* -- the pulse --------------------------------------------------------------------------------- */

static void hold_up(uv_timer_t *timer)
{
    const struct timespec wait = {0, HELD_UP_MS * 1000000};
    nanosleep(&wait, NULL);
}

/* What holds the loop from before the beat is due until after it is seen in the beat. */
static void test_pulse_tells_how_late_the_loop_is(void **state)
{
    uv_loop_t loop;
    uv_timer_t timer;
    struct pulse pulse = {0};
    uv_loop_init(&loop);
    uv_timer_init(&loop, &timer);
    pulse_init(&pulse, &loop);
    pulse_start(&pulse);
    uv_timer_start(&timer, hold_up, PULSE_MS - HELD_UP_MS / 2, 0);
    while (pulse.lateness.count == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(pulse.lateness.sum_ms >= HELD_UP_MS / 2.0 - 2); /* the loop counts whole ms */
    pulse_close(&pulse);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_names_keep_the_conventions),
        cmocka_unit_test(test_metrics_have_help_that_fits_a_table),
        cmocka_unit_test(test_metrics_names_are_there_once),
        cmocka_unit_test(test_metrics_labels_are_names),
        cmocka_unit_test(test_metrics_of_arms_are_in_the_table),
        cmocka_unit_test(test_metrics_of_hits_are_by_type_and_value),
        cmocka_unit_test(test_metrics_leave_out_what_is_not_known_of_an_arm),
        cmocka_unit_test(test_metrics_of_arms_please_promtool),
        cmocka_unit_test(test_metrics_of_the_process_are_likely),
        cmocka_unit_test(test_pulse_tells_how_late_the_loop_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
