/* What goes together against its definition, summed in doubles straight from tables and sums. */
#include "model/together.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED 2003u
#define ITEMS 150   /* over two words of marks */
#define COLUMNS 170 /* a generation may have items that nobody has used */
#define PARTITIONS 3
#define NEIGHBOURS 20
#define START_MS 1700000000000
#define DAY_MS 86400000.0
#define WEIGHT 1.75

static const struct together_choice choices[] = {
    {1.0, PAIRS_EVER, false},
    {0.8, PAIRS_EVER, true},
    {0.8, PAIRS_DAY, false},
    {0.5, PAIRS_DAY, true},
};
#define CHOICES (sizeof choices / sizeof choices[0])

struct world {
    uint64_t random;
    struct pairs pairs[PARTITIONS];
    const struct pairs *views[PARTITIONS];
    struct item_sums sums[PARTITIONS][ITEMS];
    struct trend_source sources[PARTITIONS];
    uint32_t column_of[ITEMS], items; /* so many are known so far */
    int64_t now_ms, offset;
    struct together together;
};

static uint32_t draw(struct world *world, uint32_t below)
{
    world->random = world->random * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return (uint32_t)(world->random >> 33) % below;
}

/* Columns in an order of their own, as ids in byte order give them. */
static void shuffle_columns(struct world *world)
{
    uint32_t columns[COLUMNS];
    for (uint32_t i = 0; i < COLUMNS; i++)
        columns[i] = i;
    for (uint32_t i = 0; i < ITEMS; i++) {
        uint32_t other = i + draw(world, COLUMNS - i), column = columns[other];
        columns[other] = columns[i];
        world->column_of[i] = column;
    }
}

static uint32_t draw_distinct(struct world *world, uint32_t *items, uint32_t count, uint32_t but)
{
    for (uint32_t found = 0; found < count;) {
        uint32_t item = draw(world, world->items), known = 0;
        while (known < found && items[known] != item)
            known++;
        if (known == found && item != but)
            items[found++] = item;
    }
    return count;
}

/* An event of some partition, seldom before the newest. touched: up to the one item. */
static uint32_t add_event(struct world *world)
{
    uint32_t partition = draw(world, PARTITIONS), item = draw(world, world->items);
    world->now_ms += draw(world, 3600000);
    int64_t ts_ms = world->now_ms - (draw(world, 10) == 0 ? draw(world, 100000000) : 0);
    struct pairs_event event = {.ts_ms = ts_ms, .offset = world->offset++, .item = item};
    event.count = draw_distinct(world, event.before, 1 + draw(world, PAIRS_WINDOW), item);
    pairs_learn(&world->pairs[partition], &event);
    sums_add(&world->sums[partition][item], ts_ms);
    return item;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->random = SEED;
    print_message("seed %u\n", SEED);
    world->now_ms = START_MS;
    world->items = ITEMS - 30; /* the others come later */
    for (int p = 0; p < PARTITIONS; p++) {
        world->pairs[p].neighbours_max = NEIGHBOURS;
        world->views[p] = &world->pairs[p];
        world->sources[p] = (struct trend_source){world->sums[p], ITEMS};
    }
    shuffle_columns(world);
    for (int i = 0; i < 800; i++)
        add_event(world);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    together_deinit(&world->together);
    for (int p = 0; p < PARTITIONS; p++)
        pairs_clear(&world->pairs[p]);
    free(world);
    return 0;
}

static void rebuild(struct world *world, const struct together_choice *choice)
{
    together_rebuild(&world->together, choice, world->views, world->sources, PARTITIONS,
                     world->items, world->now_ms);
}

static void touch(struct world *world, uint32_t item)
{
    together_touch(&world->together, world->sources, PARTITIONS, world->items, &item, 1,
                   world->now_ms);
}

/* -- the twin ---------------------------------------------------------------------------------- */

static double use_of(const struct world *world, uint32_t item, enum pairs_horizon horizon)
{
    double use = 0;
    for (int p = 0; p < PARTITIONS; p++) {
        const struct item_sums *sums = &world->sums[p][item];
        double age_days = (double)(world->now_ms - sums->ts_ms) / DAY_MS;
        if (sums->count > 0)
            use += horizon == PAIRS_EVER ? (double)sums->count : sums->decayed[3] * exp2(-age_days);
    }
    return use;
}

static double count_of(const struct world *world, uint32_t j, uint32_t item,
                       const struct together_choice *choice)
{
    double n = 0;
    for (int p = 0; p < PARTITIONS; p++) {
        const struct pairs_table *table = pairs_table(&world->pairs[p], j);
        for (uint32_t i = 0; table != NULL && i < table->count; i++) {
            if (table->items[i] != item)
                continue;
            const struct pairs_day *day = &table->day[i];
            const struct pairs_ever *ever = &table->ever[i];
            bool decays = choice->horizon == PAIRS_DAY;
            double counted = (double)(decays ? day->forward : ever->forward);
            if (choice->both)
                counted += (double)(decays ? day->backward : ever->backward);
            if (decays)
                counted *= exp2(-(double)(world->now_ms - day->ts_ms) / DAY_MS);
            n += counted;
        }
    }
    return n;
}

static double together_of(const struct world *world, const uint32_t *latest, uint32_t count,
                          uint32_t item, const struct together_choice *choice)
{
    double sum = 0, item_use = use_of(world, item, choice->horizon) + TOGETHER_PRIOR;
    for (uint32_t d = 0; d < count; d++) {
        double use = use_of(world, latest[d], choice->horizon) + TOGETHER_PRIOR;
        sum +=
            pow(choice->rho, d) * count_of(world, latest[d], item, choice) / sqrt(item_use * use);
    }
    return sum;
}

/* The extras, each once, as [COLUMNS] with zeros where there are none. */
static size_t extras_of(struct world *world, const uint32_t *latest, uint32_t count,
                        double by_column[COLUMNS])
{
    size_t most = together_extras_max(&world->together, latest, count);
    struct topn_extra *extras = calloc(most > 0 ? most : 1, sizeof *extras);
    size_t found = together_extras(&world->together, latest, count, WEIGHT, world->column_of,
                                   world->items, extras);
    assert_true(found <= most);
    memset(by_column, 0, COLUMNS * sizeof *by_column);
    for (size_t i = 0; i < found; i++) {
        assert_in_range(extras[i].column, 0, COLUMNS - 1);
        assert_true(by_column[extras[i].column] == 0); /* each once */
        assert_true(extras[i].value > 0);
        by_column[extras[i].column] = (double)extras[i].value;
    }
    free(extras);
    return found;
}

/* All terms are positive, so relative errors add up to a bound. A term is a count (its decay and
 * their product rounded), the fade with its norm (two roundings, two norms of half a unit each and
 * one more for norm of a decayed use), their products and one sum a term, of which there are
 * PARTITIONS * TOGETHER_WINDOW for an item: 40 roundings of 2^-24 at the most. */
#define TOLERANCE (40 * 0x1p-24)

static void expect_definition(struct world *world, const struct together_choice *choice)
{
    double have[COLUMNS], known[COLUMNS] = {0};
    uint32_t latest[TOGETHER_WINDOW];
    together_prepare(&world->together, world->now_ms);
    uint32_t count = draw_distinct(world, latest, 1 + draw(world, TOGETHER_WINDOW), UINT32_MAX);
    extras_of(world, latest, count, have);
    for (uint32_t item = 0; item < world->items; item++) {
        double want = WEIGHT * together_of(world, latest, count, item, choice);
        uint32_t column = world->column_of[item];
        if (fabs(have[column] - want) > TOLERANCE * want)
            fail_msg("item %u: want %.9g, have %.9g", item, want, have[column]);
        known[column] = want;
    }
    for (uint32_t column = 0; column < COLUMNS; column++) /* and nothing for the other columns */
        assert_true(have[column] == 0 || known[column] > 0);
}

/* -- tests ------------------------------------------------------------------------------------- */

static void test_extras_are_those_of_the_definition(void **state)
{
    struct world *world = *state;
    for (size_t c = 0; c < CHOICES; c++) {
        rebuild(world, &choices[c]);
        for (int user = 0; user < 30; user++)
            expect_definition(world, &choices[c]);
    }
}

static void test_extras_fade_as_time_goes_by_without_events(void **state)
{
    struct world *world = *state;
    for (size_t c = 0; c < CHOICES; c++) {
        rebuild(world, &choices[c]);
        for (int hours = 0; hours < 10; hours++) {
            world->now_ms += 5 * 3600000;
            expect_definition(world, &choices[c]);
        }
    }
}

static void test_events_and_new_items_are_followed_without_a_rebuild(void **state)
{
    struct world *world = *state;
    for (size_t c = 0; c < CHOICES; c++) {
        rebuild(world, &choices[c]);
        for (int event = 0; event < 60; event++) {
            if (event % 10 == 0 && world->items < ITEMS)
                world->items++;
            touch(world, add_event(world));
            expect_definition(world, &choices[c]);
        }
    }
    assert_int_equal(world->items, ITEMS - 30 + 6 * CHOICES);
}

/* With the landmark of the decayed uses moved, too: weeks pass. */
static void test_touched_is_as_rebuilt_bit_for_bit(void **state)
{
    struct world *world = *state;
    double touched[COLUMNS], rebuilt[COLUMNS];
    uint32_t latest[TOGETHER_WINDOW];
    for (size_t c = 0; c < CHOICES; c++) {
        rebuild(world, &choices[c]);
        for (int event = 0; event < 40; event++) {
            world->now_ms += INT64_C(10) * 86400000;
            if (event % 8 == 0 && world->items < ITEMS)
                world->items++;
            touch(world, add_event(world));
            together_prepare(&world->together, world->now_ms);
            uint32_t count = draw_distinct(world, latest, TOGETHER_WINDOW, UINT32_MAX);
            extras_of(world, latest, count, touched);
            struct together kept = world->together;
            world->together = (struct together){0};
            rebuild(world, &choices[c]);
            together_prepare(&world->together, world->now_ms);
            extras_of(world, latest, count, rebuilt);
            assert_memory_equal(touched, rebuilt, sizeof touched);
            together_deinit(&world->together);
            world->together = kept;
        }
    }
}

static void test_a_user_without_history_or_of_unknown_items_has_no_extras(void **state)
{
    struct world *world = *state;
    double have[COLUMNS];
    uint32_t unknown[] = {ITEMS - 1, 1000000};
    rebuild(world, &choices[1]);
    together_prepare(&world->together, world->now_ms);
    assert_int_equal(extras_of(world, NULL, 0, have), 0);
    assert_int_equal(extras_of(world, unknown, 2, have), 0);
}

/* Tables may name items that came after the columns were made. */
static void test_neighbours_that_have_no_column_yet_are_passed_over(void **state)
{
    struct world *world = *state;
    double all[COLUMNS], fewer[COLUMNS];
    uint32_t latest[] = {0, 1, 2}, left_out = 0;
    rebuild(world, &choices[1]);
    together_prepare(&world->together, world->now_ms);
    extras_of(world, latest, 3, all);
    world->items -= 60;
    extras_of(world, latest, 3, fewer);
    for (uint32_t item = 0; item < world->items + 60; item++) {
        uint32_t column = world->column_of[item];
        assert_true(fewer[column] == (item < world->items ? all[column] : 0));
        left_out += fewer[column] != all[column];
    }
    assert_true(left_out > 0);
    uint32_t newer = world->items; /* nor does such an item of the user's count */
    assert_true(together_extras_max(&world->together, &newer, 1) > 0);
    assert_int_equal(extras_of(world, &newer, 1, fewer), 0);
}

static void test_without_partitions_there_are_no_extras(void **state)
{
    struct world *world = *state;
    uint32_t latest[] = {1, 2};
    double have[COLUMNS];
    together_rebuild(&world->together, &choices[2], world->views, world->sources, 0, world->items,
                     world->now_ms);
    together_prepare(&world->together, world->now_ms);
    assert_int_equal(extras_of(world, latest, 2, have), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_extras_are_those_of_the_definition),
        TEST(test_extras_fade_as_time_goes_by_without_events),
        TEST(test_events_and_new_items_are_followed_without_a_rebuild),
        TEST(test_touched_is_as_rebuilt_bit_for_bit),
        TEST(test_a_user_without_history_or_of_unknown_items_has_no_extras),
        TEST(test_neighbours_that_have_no_column_yet_are_passed_over),
        TEST(test_without_partitions_there_are_no_extras),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
