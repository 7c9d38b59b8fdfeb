#include "model/trend.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED 71u
#define ITEMS 60
#define PARTITIONS 3
#define START_MS 1700000000000
#define DAY_MS 86400000

struct world {
    uint64_t random;
    struct item_sums sums[PARTITIONS][ITEMS];
    struct trend_source sources[PARTITIONS];
    int64_t now_ms;
    struct trend trend;
};

static uint32_t draw(struct world *world, uint32_t below)
{
    world->random = world->random * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return (uint32_t)(world->random >> 33) % below;
}

/* One event, up to a minute after the newest. Returns its item. */
static uint32_t add_event(struct world *world)
{
    world->now_ms += draw(world, 60000);
    uint32_t item = draw(world, ITEMS - 5); /* the last five never have any */
    sums_add(&world->sums[draw(world, PARTITIONS)][item], world->now_ms);
    return item;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->random = SEED;
    world->now_ms = START_MS;
    for (uint32_t i = 0; i < PARTITIONS; i++) /* the last partition knows fewer items */
        world->sources[i] = (struct trend_source){world->sums[i], ITEMS - (i == 2 ? 20 : 0)};
    for (int i = 0; i < 500; i++)
        add_event(world);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    trend_deinit(&world->trend);
    free(world);
    return 0;
}

static void rebuild(struct world *world, int half_life)
{
    trend_rebuild(&world->trend, half_life, world->sources, PARTITIONS, ITEMS, world->now_ms);
}

static void touch(struct world *world, uint32_t item)
{
    trend_touch(&world->trend, world->sources, PARTITIONS, ITEMS, &item, 1, world->now_ms);
}

/* The twin: T by its definition, from sums_at. */
static double trend_by_definition(const struct world *world, uint32_t item, int64_t now_ms)
{
    double sum = 0;
    for (int i = 0; i < PARTITIONS; i++)
        if (item < world->sources[i].count)
            sum += sums_at(&world->sums[i][item], world->trend.half_life, now_ms);
    return log1p(sum);
}

/* T is a float made of a float S: half a unit in the last place (2^-24) for S, which log1p does not
 * enlarge, up to two units for log1pf (glibc's manual), half for the result. The doubles before
 * err by 2^-53 times 256 half-lives at most: nothing. 2^-21 of T is above the sum of these. */
static void assert_is_trend(const struct world *world, int64_t now_ms)
{
    float values[ITEMS];
    trend_values(&world->trend, now_ms, values, ITEMS);
    for (uint32_t item = 0; item < ITEMS; item++) {
        double expected = trend_by_definition(world, item, now_ms);
        assert_true(fabs(values[item] - expected) <= expected * 0x1p-21 + FLT_TRUE_MIN);
    }
}

static void test_trend_is_the_log_of_the_decayed_count_at_every_half_life(void **state)
{
    for (int half_life = 0; half_life < HALF_LIFE_COUNT; half_life++) {
        struct world *world = *state;
        rebuild(world, half_life);
        assert_is_trend(world, world->now_ms);
    }
}

static void test_trend_decays_with_stream_time(void **state)
{
    struct world *world = *state;
    rebuild(world, 2);
    assert_is_trend(world, world->now_ms + 3 * DAY_MS);
}

static void test_trend_of_an_item_without_events_is_zero(void **state)
{
    struct world *world = *state;
    float values[ITEMS];
    rebuild(world, 1);
    trend_values(&world->trend, world->now_ms, values, ITEMS);
    assert_true(values[ITEMS - 1] == 0);
}

static void test_trend_follows_events_one_by_one(void **state)
{
    struct world *world = *state;
    rebuild(world, 1);
    for (int i = 0; i < 300; i++)
        touch(world, add_event(world));
    assert_is_trend(world, world->now_ms);
}

/* At ten minutes the landmark moves every 43 hours. */
static void test_trend_survives_years_of_stream_time(void **state)
{
    struct world *world = *state;
    rebuild(world, 0);
    for (int i = 0; i < 300; i++) {
        world->now_ms += 10 * (int64_t)DAY_MS;
        touch(world, add_event(world));
    }
    assert_is_trend(world, world->now_ms);
}

/* The same bits, or the same log would not give the same lists after a restart. */
static void test_trend_is_the_same_rebuilt_as_followed(void **state)
{
    struct world *world = *state;
    rebuild(world, 0);
    for (int i = 0; i < 6000; i++) /* 50 hours, so a landmark lies between */
        touch(world, add_event(world));
    float followed[ITEMS], rebuilt[ITEMS];
    trend_values(&world->trend, world->now_ms, followed, ITEMS);
    rebuild(world, 0);
    trend_values(&world->trend, world->now_ms, rebuilt, ITEMS);
    assert_memory_equal(followed, rebuilt, sizeof followed);
}

static void test_trend_takes_in_new_items(void **state)
{
    struct world *world = *state;
    trend_rebuild(&world->trend, 3, world->sources, PARTITIONS, 10, world->now_ms);
    touch(world, 40);
    assert_is_trend(world, world->now_ms);
}

static void test_trend_is_zero_beyond_the_items_it_knows(void **state)
{
    struct world *world = *state;
    float values[ITEMS];
    trend_rebuild(&world->trend, 3, world->sources, PARTITIONS, 10, world->now_ms);
    memset(values, 0xff, sizeof values);
    trend_values(&world->trend, world->now_ms, values, ITEMS);
    for (uint32_t item = 10; item < ITEMS; item++)
        assert_true(values[item] == 0);
}

static void test_trend_before_the_first_event_is_zero(void **state)
{
    struct world *world = *state;
    float values[ITEMS];
    memset(world->sums, 0, sizeof world->sums);
    trend_rebuild(&world->trend, 0, world->sources, PARTITIONS, ITEMS, INT64_MIN);
    trend_values(&world->trend, INT64_MIN, values, ITEMS);
    for (uint32_t item = 0; item < ITEMS; item++)
        assert_true(values[item] == 0);
}

static void test_trend_without_partitions_is_zero(void **state)
{
    struct world *world = *state;
    float values[ITEMS];
    trend_rebuild(&world->trend, 0, NULL, 0, ITEMS, world->now_ms);
    trend_values(&world->trend, world->now_ms, values, ITEMS);
    assert_true(values[0] == 0);
}

int main(void)
{
    printf("seed %u\n", SEED);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_trend_is_the_log_of_the_decayed_count_at_every_half_life),
        TEST(test_trend_decays_with_stream_time),
        TEST(test_trend_of_an_item_without_events_is_zero),
        TEST(test_trend_follows_events_one_by_one),
        TEST(test_trend_survives_years_of_stream_time),
        TEST(test_trend_is_the_same_rebuilt_as_followed),
        TEST(test_trend_takes_in_new_items),
        TEST(test_trend_is_zero_beyond_the_items_it_knows),
        TEST(test_trend_before_the_first_event_is_zero),
        TEST(test_trend_without_partitions_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
