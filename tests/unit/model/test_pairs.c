/* Co-occurrence against its definition, counted apart: who gains, how counts fade, who is dropped,
 * and what of a table survives being bytes. */
#include "base/buffer.h"
#include "base/hash.h"
#include "model/decay.h"
#include "model/pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED 4711u
#define ITEMS 40
#define EVENTS 3000
#define START_MS INT64_C(1700000000000)
#define DAY_MS 86400000.0
#define ALL_TYPES UINT64_MAX

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return (uint32_t)(random_state >> 33) % below;
}

static int seed(void **state)
{
    random_state = SEED;
    print_message("seed %u\n", SEED);
    return 0;
}

/* -- the events of a history ------------------------------------------------------------------- */

static struct interaction use(uint32_t item, uint16_t type)
{
    return (struct interaction){.item = item, .type = type};
}

static void test_the_latest_distinct_items_come_latest_first(void **state)
{
    struct interaction history[] = {use(1, 0), use(2, 0), use(3, 0), use(2, 0), use(2, 0)};
    uint32_t items[5];
    assert_int_equal(pairs_latest_items(history, 5, ALL_TYPES, UINT32_MAX, items, 5), 3);
    assert_int_equal(items[0], 2);
    assert_int_equal(items[1], 3);
    assert_int_equal(items[2], 1);
    assert_int_equal(pairs_latest_items(history, 5, ALL_TYPES, UINT32_MAX, items, 2), 2);
    assert_int_equal(items[1], 3);
}

static void test_one_item_and_types_that_do_not_count_are_left_out(void **state)
{
    struct interaction history[] = {use(1, 0), use(2, 63), use(3, 1), use(4, 0)};
    uint32_t items[4];
    uint64_t types = UINT64_C(1) << 0 | UINT64_C(1) << 63;
    assert_int_equal(pairs_latest_items(history, 4, types, 4, items, 4), 2);
    assert_int_equal(items[0], 2);
    assert_int_equal(items[1], 1);
}

static void test_a_first_use_with_nothing_before_it_is_no_event(void **state)
{
    struct interaction history[] = {use(1, 1), use(7, 0)};
    struct pairs_event event;
    assert_false(pairs_event_make(&event, NULL, 0, ALL_TYPES, 7, START_MS, 5));
    assert_false(pairs_event_make(&event, history, 2, 1, 7, START_MS, 5));
    assert_true(pairs_event_make(&event, history, 2, ALL_TYPES, 7, START_MS, 5));
    assert_int_equal(event.count, 1);
    assert_int_equal(event.before[0], 1);
    assert_int_equal(event.item, 7);
    assert_int_equal(event.ts_ms, START_MS);
    assert_int_equal(event.offset, 5);
}

/* -- the twin ---------------------------------------------------------------------------------- */

struct twin_neighbour {
    uint32_t item;
    int64_t ts_ms;
    double day[2]; /* backward, forward; as of ts_ms */
    float ever[2]; /* added as the header says, in float32: who is dropped hangs on their order */
    int additions;
};

struct twin {
    int64_t applied;
    uint32_t count;
    struct twin_neighbour neighbours[ITEMS];
};

static uint32_t twin_weakest(const struct twin *twin, int64_t offset, int64_t distance)
{
    int64_t drawn[2] = {offset, distance};
    uint64_t hash = hash_stable(drawn, sizeof drawn);
    uint32_t weakest = UINT32_MAX;
    for (uint32_t k = 0; k < PAIRS_CONTENDERS; k++) {
        uint32_t turn = 11 * k % 64;
        uint64_t turned = turn == 0 ? hash : hash << turn | hash >> (64 - turn);
        uint32_t at = (uint32_t)((double)(turned >> 32) * twin->count / 4294967296.0);
        const float *ever = twin->neighbours[at].ever;
        if (weakest == UINT32_MAX || ever[0] + ever[1] < twin->neighbours[weakest].ever[0] +
                                                             twin->neighbours[weakest].ever[1])
            weakest = at;
    }
    return weakest;
}

static struct twin_neighbour *twin_find(struct twin *twin, uint32_t max, uint32_t item,
                                        int64_t offset, uint32_t distance)
{
    for (uint32_t i = 0; i < twin->count; i++)
        if (twin->neighbours[i].item == item)
            return &twin->neighbours[i];
    uint32_t at = twin->count < max ? twin->count++ : twin_weakest(twin, offset, distance);
    twin->neighbours[at] = (struct twin_neighbour){.item = item, .ts_ms = INT64_MIN};
    return &twin->neighbours[at];
}

static void twin_count(struct twin *twin, uint32_t max, const struct pairs_event *event,
                       uint32_t item, bool forward, uint32_t distance)
{
    struct twin_neighbour *neighbour = twin_find(twin, max, item, event->offset, distance);
    int64_t latest = event->ts_ms > neighbour->ts_ms ? event->ts_ms : neighbour->ts_ms;
    for (int way = 0; way < 2 && neighbour->ts_ms != INT64_MIN; way++)
        neighbour->day[way] *= exp2(-(double)(latest - neighbour->ts_ms) / DAY_MS);
    neighbour->ts_ms = latest;
    float weight = 1;
    for (uint32_t d = 0; d < distance; d++)
        weight *= PAIRS_FADE;
    neighbour->day[forward] += weight * exp2(-(double)(latest - event->ts_ms) / DAY_MS);
    neighbour->ever[forward] += weight;
    neighbour->additions++;
    twin->applied = event->offset;
}

static void twin_learn(struct twin *twins, uint32_t max, const struct pairs_event *event)
{
    for (uint32_t d = 0; d < event->count; d++) {
        twin_count(&twins[event->before[d]], max, event, event->item, true, d);
        twin_count(&twins[event->item], max, event, event->before[d], false, d);
    }
}

/* Offsets have gaps, times go back now and then. */
static struct pairs_event make_event(int at)
{
    struct pairs_event event = {
        .offset = 3 * at + draw(3),
        .ts_ms = START_MS + INT64_C(600000) * at - (draw(4) == 0 ? draw(200000000) : 0),
        .item = draw(4) == 0 ? draw(ITEMS) : draw(ITEMS / 4), /* some are used much more */
    };
    uint32_t wanted = 1 + draw(PAIRS_WINDOW);
    while (event.count < wanted) {
        uint32_t item = draw(ITEMS);
        bool known = item == event.item;
        for (uint32_t d = 0; d < event.count; d++)
            known |= event.before[d] == item;
        if (!known)
            event.before[event.count++] = item;
    }
    return event;
}

/* Each event rounds a float count at most four times: the decay's factor, its product, the event's
 * share, the sum; 2^-24 of it each. All terms are positive, so that relative errors only add. Below
 * the least normal float, 1.2e-38, there is none to speak of. */
static void assert_close(float have, double want, int additions)
{
    double tolerance = additions * 4 * 0x1p-24;
    if (fabs((double)have - want) > tolerance * want + 1e-37)
        fail_msg("want %.9g, have %.9g", want, (double)have);
}

static void assert_is_twin(const struct pairs_table *table, const struct twin *twin)
{
    if (twin->count == 0) {
        assert_null(table);
        return;
    }
    assert_non_null(table);
    assert_int_equal(table->count, twin->count);
    assert_int_equal(table->applied, twin->applied);
    for (uint32_t i = 0; i < twin->count; i++) {
        const struct twin_neighbour *want = &twin->neighbours[i];
        const struct pairs_day *day = &table->day[i];
        const struct pairs_ever *ever = &table->ever[i];
        assert_int_equal(table->items[i], want->item);
        assert_int_equal(day->ts_ms, want->ts_ms);
        assert_true(ever->backward == want->ever[0]);
        assert_true(ever->forward == want->ever[1]);
        assert_close(day->backward, want->day[0], want->additions);
        assert_close(day->forward, want->day[1], want->additions);
    }
}

static void compare_with_twin(uint32_t neighbours_max)
{
    struct pairs pairs = {.neighbours_max = neighbours_max};
    struct twin *twins = calloc(ITEMS, sizeof *twins);
    uint32_t most = 0;
    for (int at = 0; at < EVENTS; at++) {
        struct pairs_event event = make_event(at);
        pairs_learn(&pairs, &event);
        twin_learn(twins, neighbours_max, &event);
    }
    for (uint32_t item = 0; item < ITEMS; item++) {
        assert_is_twin(pairs_table(&pairs, item), &twins[item]);
        most = twins[item].count > most ? twins[item].count : most;
    }
    assert_int_equal(most, neighbours_max < ITEMS - 1 ? neighbours_max : ITEMS - 1);
    pairs_clear(&pairs);
    free(twins);
}

static void test_counts_are_those_of_the_definition(void **state)
{
    compare_with_twin(ITEMS);
}

static void test_a_newcomer_takes_the_place_of_the_weakest_contender(void **state)
{
    compare_with_twin(20);
    compare_with_twin(3);
    compare_with_twin(1);
}

static void test_nothing_is_counted_with_room_for_no_neighbours(void **state)
{
    struct pairs pairs = {.neighbours_max = 0};
    struct pairs_event event = make_event(1);
    pairs_learn(&pairs, &event);
    assert_null(pairs_table(&pairs, event.item));
    assert_null(pairs_table(&pairs, UINT32_MAX));
}

static void test_times_as_far_apart_as_can_be_do_no_harm(void **state)
{
    struct pairs pairs = {.neighbours_max = 4};
    static const int64_t times[] = {INT64_MIN + 1, INT64_MAX, INT64_MIN + 1, 0};
    for (int64_t at = 0; at < 4; at++)
        pairs_learn(&pairs,
                    &(struct pairs_event){
                        .ts_ms = times[at], .offset = at, .item = 1, .count = 1, .before = {2}});
    const struct pairs_table *table = pairs_table(&pairs, 2);
    assert_int_equal(table->day[0].ts_ms, INT64_MAX);
    assert_true(table->day[0].forward == 1);
    assert_true(table->ever[0].forward == 4);
    pairs_clear(&pairs);
}

/* -- bytes ------------------------------------------------------------------------------------- */

static struct buffer bytes_of(const struct pairs_table *table)
{
    struct buffer bytes = {0};
    pairs_table_write(&bytes, table);
    assert_int_equal(bytes.length, pairs_table_bytes(table));
    return bytes;
}

static void assert_same_tables(const struct pairs *have, const struct pairs *want)
{
    for (uint32_t item = 0; item < ITEMS; item++) {
        const struct pairs_table *a = pairs_table(have, item), *b = pairs_table(want, item);
        assert_true((a == NULL) == (b == NULL));
        if (a == NULL)
            continue;
        struct buffer left = bytes_of(a), right = bytes_of(b);
        assert_true(slice_equal(buffer_slice(&left), buffer_slice(&right)));
        buffer_deinit(&left);
        buffer_deinit(&right);
    }
}

/* Tables of different ages, as the state has them, and then the whole stream again. */
static void test_tables_saved_at_any_time_become_the_same_when_events_come_again(void **state)
{
    static struct pairs_event events[EVENTS];
    struct pairs all = {.neighbours_max = 7}, saved = {.neighbours_max = 7};
    uint64_t marks[ITEMS / 64 + 1] = {0};
    for (int at = 0; at < EVENTS; at++) {
        events[at] = make_event(at);
        pairs_learn(&all, &events[at]);
        uint32_t item = draw(ITEMS);
        if (pairs_table(&all, item) == NULL || draw(20) > 0)
            continue;
        struct buffer bytes = bytes_of(pairs_table(&all, item));
        assert_int_equal(pairs_table_read(&saved, item, buffer_slice(&bytes), ITEMS, marks, NULL),
                         0);
        assert_int_equal(pairs_table(&saved, item)->unsaved_since, PAIRS_SAVED);
        buffer_deinit(&bytes);
    }
    for (int at = 0; at < EVENTS; at++)
        pairs_learn(&saved, &events[at]);
    assert_same_tables(&saved, &all);
    pairs_clear(&all);
    pairs_clear(&saved);
}

static void test_events_come_back_from_their_bytes_one_by_one(void **state)
{
    struct buffer bytes = {0};
    struct pairs_event events[20], back;
    for (int at = 0; at < 20; at++) {
        events[at] = make_event(at);
        pairs_event_write(&bytes, &events[at]);
    }
    struct slice rest = buffer_slice(&bytes);
    for (int at = 0; at < 20; at++) {
        assert_int_equal(pairs_event_read(&rest, &back, ITEMS, NULL), 0);
        assert_memory_equal(&back, &events[at], sizeof back);
    }
    assert_int_equal(rest.length, 0);
    buffer_deinit(&bytes);
}

#define WHOLE UINT32_MAX

static void expect_bad_event(struct pairs_event event, uint32_t length)
{
    struct buffer bytes = {0};
    struct error err = {0};
    pairs_event_write(&bytes, &event);
    struct slice rest = {bytes.data, length < bytes.length ? length : (uint32_t)bytes.length};
    assert_int_equal(pairs_event_read(&rest, &event, ITEMS, &err), ERR_DATA);
    buffer_deinit(&bytes);
}

static void test_events_that_cannot_be_are_refused(void **state)
{
    struct pairs_event good = {.item = 1, .count = 2, .before = {2, 3}}, event;
    for (uint32_t length = 0; length < 32; length++)
        expect_bad_event(good, length);
    expect_bad_event((struct pairs_event){.item = 1}, WHOLE);
    expect_bad_event((struct pairs_event){.item = ITEMS, .count = 1, .before = {2}}, WHOLE);
    expect_bad_event((struct pairs_event){.item = 1, .count = 2, .before = {2, ITEMS}}, WHOLE);
    expect_bad_event((struct pairs_event){.item = 1, .count = 2, .before = {2, 1}}, WHOLE);
    good.count = PAIRS_WINDOW + 1;
    struct slice too_many = {(const char *)&good, sizeof good};
    assert_int_equal(pairs_event_read(&too_many, &event, ITEMS, NULL), ERR_DATA);
}

/* A table of items 1, 2 and 3 for item 0, and how to spoil it. */
static int read_spoiled(void (*spoil)(struct pairs_table *table), uint32_t item, uint32_t items)
{
    uint32_t neighbours[] = {1, 2, 3};
    struct pairs_ever ever[] = {{1, 0}, {0, 1}, {2, 4}};
    struct pairs_day day[] = {{1, 1, 0}, {2, 0, 1}, {3, 1, 3}};
    struct pairs_table table = {
        .applied = 9, .count = 3, .items = neighbours, .ever = ever, .day = day};
    spoil(&table);
    struct buffer bytes = bytes_of(&table);
    struct pairs pairs = {.neighbours_max = 4};
    uint64_t marks[1] = {0};
    struct error err = {0};
    int status = pairs_table_read(&pairs, item, buffer_slice(&bytes), items, marks, &err);
    assert_int_equal(status, err.code);
    assert_int_equal(marks[0], 0);
    for (uint32_t length = 0; length < bytes.length; length++)
        assert_int_equal(
            pairs_table_read(&pairs, item, (struct slice){bytes.data, length}, items, marks, NULL),
            ERR_DATA);
    pairs_clear(&pairs);
    buffer_deinit(&bytes);
    return status;
}

static void leave(struct pairs_table *table)
{
}
static void empty(struct pairs_table *table)
{
    table->count = 0;
}
static void repeat(struct pairs_table *table)
{
    table->items[2] = 1;
}
static void reflect(struct pairs_table *table)
{
    table->items[1] = 0;
}
static void make_negative(struct pairs_table *table)
{
    table->day[2].forward = -1e-9F;
}
static void make_nan(struct pairs_table *table)
{
    table->ever[1].backward = NAN;
}
static void make_infinite(struct pairs_table *table)
{
    table->ever[0].forward = INFINITY;
}
static void lose_time(struct pairs_table *table)
{
    table->day[0].ts_ms = INT64_MIN;
}

static void test_tables_that_cannot_be_are_refused(void **state)
{
    assert_int_equal(read_spoiled(leave, 0, 4), 0);
    assert_int_equal(read_spoiled(leave, 0, 3), ERR_DATA);
    assert_int_equal(read_spoiled(leave, 4, 4), ERR_DATA);
    assert_int_equal(read_spoiled(empty, 0, 4), ERR_DATA);
    assert_int_equal(read_spoiled(repeat, 0, 4), ERR_DATA);
    assert_int_equal(read_spoiled(reflect, 0, 4), ERR_DATA);
    assert_int_equal(read_spoiled(make_negative, 0, 4), ERR_DATA);
    assert_int_equal(read_spoiled(make_nan, 0, 4), ERR_DATA);
    assert_int_equal(read_spoiled(make_infinite, 0, 4), ERR_DATA);
    assert_int_equal(read_spoiled(lose_time, 0, 4), ERR_DATA);
}

#define TEST(name) cmocka_unit_test_setup(name, seed)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_latest_distinct_items_come_latest_first),
        TEST(test_one_item_and_types_that_do_not_count_are_left_out),
        TEST(test_a_first_use_with_nothing_before_it_is_no_event),
        TEST(test_counts_are_those_of_the_definition),
        TEST(test_a_newcomer_takes_the_place_of_the_weakest_contender),
        TEST(test_nothing_is_counted_with_room_for_no_neighbours),
        TEST(test_times_as_far_apart_as_can_be_do_no_harm),
        TEST(test_tables_saved_at_any_time_become_the_same_when_events_come_again),
        TEST(test_events_come_back_from_their_bytes_one_by_one),
        TEST(test_events_that_cannot_be_are_refused),
        TEST(test_tables_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
