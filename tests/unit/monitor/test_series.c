/* The series against what was put in, interval by interval. */
#include "monitor/series.h"
#include "tests/unit/model/history_fixture.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

#define START_MS 1000000

struct scene {
    struct place *place;
    struct watch *watch;
    struct series *series;
    struct series_now now;
};

static const struct watch_arm arms[] = {{SLICE("control"), 0, false, false},
                                        {SLICE("fast"), 0, false, false}};

static int begin(void **at)
{
    struct scene *scene = calloc(1, sizeof *scene);
    void *place;
    if (set_up(&place) != 0)
        return -1;
    scene->place = place;
    open_history(scene->place);
    assign(scene->place, 1);
    scene->watch = watch_new(scene->place->history, arms, 2);
    scene->series = series_new();
    scene->now.wall_ms = START_MS;
    watch_batch(scene->watch);
    *at = scene;
    return 0;
}

static int finish(void **at)
{
    struct scene *scene = *at;
    void *place = scene->place;
    series_free(scene->series);
    watch_free(scene->watch);
    free(scene);
    return tear_down(&place);
}

static void pass(struct scene *scene, uint64_t events, uint64_t lists)
{
    scene->now.wall_ms += SERIES_STEP_MS;
    scene->now.events += events;
    scene->now.lists += lists;
    scene->now.lag = (int64_t)events * 10;
    series_take(scene->series, scene->watch, &scene->now);
}

static void list(struct scene *scene, uint32_t arm, float rbo)
{
    static struct user nobody;
    struct slate_list one = {.user = &nobody,
                             .user_id = SLICE("ann"),
                             .cause = CAUSE_FORCED,
                             .arm = arm,
                             .arm_name = arms[arm].name,
                             .change = {.rbo = rbo, .jaccard = rbo / 2},
                             .outcome = SLATE_STORED};
    watch_list(scene->watch, &one);
}

/* An event with item 1, which is second in the popular list, or with one that is nowhere. */
static void meet(struct scene *scene, uint32_t arm, bool hit)
{
    static const uint32_t popular[] = {7, 1};
    struct event event = {.kind = EVENT_INTERACTION, .value = 1, .pos = -1, .user = SLICE("ann")};
    watch_popular(scene->watch, popular, 2);
    const struct use use = {.event = &event, .item = hit ? 1 : 3, .is_new = true};
    watch_event(scene->watch, &use, arm);
}

static double last(const struct scene *scene, enum series_row row)
{
    return series_at(scene->series, row, series_count(scene->series) - 1);
}

static double last_of(const struct scene *scene, const char *arm, enum series_arm_row row)
{
    return series_arm_at(scene->series, slice_of(arm), row, series_count(scene->series) - 1);
}

static void test_rates_are_of_the_interval_and_the_first_has_none(void **at)
{
    struct scene *scene = *at;
    scene->now.events = 1000;
    pass(scene, 5, 0);
    assert_true(isnan(last(scene, SERIES_EVENTS_PER_S)));
    pass(scene, 20, 10);
    assert_float_equal(last(scene, SERIES_EVENTS_PER_S), 4, 1e-6);
    assert_float_equal(last(scene, SERIES_LISTS_PER_S), 2, 1e-6);
    assert_float_equal(last(scene, SERIES_LAG), 200, 1e-6);
    assert_int_equal(series_time(scene->series, 1), START_MS + 2 * SERIES_STEP_MS);
}

static void test_means_are_of_what_the_interval_added(void **at)
{
    struct scene *scene = *at;
    list(scene, 0, 0.5f);
    list(scene, 1, 0.25f);
    pass(scene, 0, 0);
    assert_float_equal(last(scene, SERIES_CHURN_RBO), 0.375, 1e-6);
    assert_float_equal(last(scene, SERIES_CHURN_JACCARD), 0.1875, 1e-6);
    assert_float_equal(last_of(scene, "control", SERIES_ARM_CHURN_RBO), 0.5, 1e-6);
    list(scene, 1, 1);
    pass(scene, 0, 0);
    assert_float_equal(last(scene, SERIES_CHURN_RBO), 1, 1e-6);
    assert_true(isnan(last_of(scene, "control", SERIES_ARM_CHURN_RBO)));
    assert_float_equal(last_of(scene, "fast", SERIES_ARM_CHURN_RBO), 1, 1e-6);
    pass(scene, 0, 0);
    assert_true(isnan(last(scene, SERIES_CHURN_RBO)));
    assert_true(isnan(last(scene, SERIES_GAP_CLOSED)));
}

static void test_hits_are_those_of_the_interval(void **at)
{
    struct scene *scene = *at;
    meet(scene, 0, true);
    meet(scene, 1, false);
    pass(scene, 2, 0);
    assert_float_equal(last(scene, SERIES_HIT20), 0.5, 1e-6);
    assert_float_equal(last_of(scene, "control", SERIES_ARM_HIT20), 1, 1e-6);
    assert_float_equal(last_of(scene, "fast", SERIES_ARM_HIT20), 0, 1e-6);
    meet(scene, 1, true);
    pass(scene, 1, 0);
    assert_float_equal(last(scene, SERIES_HIT20), 1, 1e-6);
    assert_true(isnan(last_of(scene, "control", SERIES_ARM_HIT20)));
}

static void test_an_arm_has_nothing_where_it_was_not_there(void **at)
{
    static const struct watch_arm later[] = {{SLICE("control"), 0, false, false},
                                             {SLICE("slow"), 0, false, false}};
    struct scene *scene = *at;
    list(scene, 1, 0.5f);
    pass(scene, 0, 0);
    watch_set_arms(scene->watch, later, 2);
    pass(scene, 0, 0);
    assert_true(isnan(series_arm_at(scene->series, SLICE("slow"), SERIES_ARM_CHURN_RBO, 0)));
    assert_float_equal(series_arm_at(scene->series, SLICE("fast"), SERIES_ARM_CHURN_RBO, 0), 0.5,
                       1e-6);
    assert_true(isnan(series_arm_at(scene->series, SLICE("fast"), SERIES_ARM_CHURN_RBO, 1)));
    assert_true(isnan(series_arm_at(scene->series, SLICE("never"), SERIES_ARM_HIT20, 0)));
}

/* More kinds of arms than there is room for, one after the other. */
static void test_places_go_to_the_arms_that_are_there(void **at)
{
    struct scene *scene = *at;
    char names[3 * ARMS_MAX][8];
    for (int i = 0; i < 3 * ARMS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "a%d", i);
        struct watch_arm two[] = {arms[0], {slice_of(names[i]), 0, false, false}};
        watch_set_arms(scene->watch, two, 2);
        list(scene, 0, 0.5f);
        pass(scene, 0, 0);
    }
    for (uint32_t i = 0; i < series_count(scene->series); i++)
        assert_float_equal(series_arm_at(scene->series, SLICE("control"), SERIES_ARM_CHURN_RBO, i),
                           0.5, 1e-6);
    assert_int_equal(series_count(scene->series), 3 * ARMS_MAX);
}

static void test_the_oldest_sample_leaves_when_the_ring_is_full(void **at)
{
    struct scene *scene = *at;
    for (int i = 0; i < SERIES_SAMPLES + 3; i++)
        pass(scene, (uint64_t)i, 0);
    assert_int_equal(series_count(scene->series), SERIES_SAMPLES);
    assert_int_equal(series_time(scene->series, 0), START_MS + 4 * SERIES_STEP_MS);
    assert_float_equal(series_at(scene->series, SERIES_LAG, 0), 30, 1e-6);
    assert_float_equal(last(scene, SERIES_LAG), 10 * (SERIES_SAMPLES + 2), 1e-3);
}

static void test_what_is_written_has_every_row_at_the_length_of_t(void **at)
{
    struct scene *scene = *at;
    struct buffer text = {0};
    struct json_writer w = {.out = &text};
    struct error err = {0};
    list(scene, 0, 0.5f);
    pass(scene, 0, 0);
    pass(scene, 10, 0);
    json_begin_object(&w, NULL);
    series_write(scene->series, &w);
    json_begin_object(&w, "arm");
    series_write_arm(scene->series, SLICE("control"), &w);
    json_end_object(&w);
    json_end_object(&w);
    struct json *json = json_parse((struct slice){text.data, (uint32_t)text.length}, &err);
    if (json == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(json_count(json), 1 + SERIES_ROWS + 1);
    assert_int_equal(json_count(json_get(json, "t")), 2);
    for (int row = 0; row < SERIES_ROWS; row++)
        assert_int_equal(json_count(json_get(json, series_row_names[row])), 2);
    const struct json *churn = json_get(json_get(json, "arm"), "churn_rbo");
    assert_float_equal(json_to_number(json_at(churn, 0), -1), 0.5, 1e-6);
    assert_int_equal(json_type(json_at(churn, 1)), JSON_NULL);
    json_free(json);
    buffer_deinit(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rates_are_of_the_interval_and_the_first_has_none),
        TEST(test_means_are_of_what_the_interval_added),
        TEST(test_hits_are_those_of_the_interval),
        TEST(test_an_arm_has_nothing_where_it_was_not_there),
        TEST(test_places_go_to_the_arms_that_are_there),
        TEST(test_the_oldest_sample_leaves_when_the_ring_is_full),
        TEST(test_what_is_written_has_every_row_at_the_length_of_t),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
