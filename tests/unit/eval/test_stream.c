#include "eval/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define SEED 11u
#define DAY_MS INT64_C(86400000)
#define JUNE_MS INT64_C(1370044800000) /* 2013-06-01, UTC */

static void add(struct stream *stream, int64_t ts_ms, const char *user, const char *item,
                double value)
{
    stream_add(stream, ts_ms, slice_of(user), slice_of(item), 0, value);
}

/* `count` events of one moment between two others, values 0, 1, ... in the order they are added. */
static void fill(struct stream *stream, size_t count)
{
    char item[16];
    add(stream, 3000, "u", "last", (double)count + 1);
    add(stream, 1000, "u", "first", 0);
    for (size_t i = 1; i <= count; i++) {
        snprintf(item, sizeof item, "i%zu", i);
        add(stream, 2000, "u", item, (double)i);
    }
}

static void test_events_are_put_in_the_order_of_time(void **at)
{
    struct stream stream = {0};
    fill(&stream, 5);
    stream_arrange(&stream, SEED);
    for (size_t i = 1; i < stream.count; i++)
        assert_true(stream.events[i - 1].ts_ms <= stream.events[i].ts_ms);
    assert_true(stream.events[0].value == 0 && stream.events[6].value == 6);
    stream_deinit(&stream);
}

/* Each of 6 orders of 3 has a chance of 1/6: in 600 draws none is left out but by a chance of
 * 6 (5/6)^600 < 1e-46. */
static void test_ties_come_in_every_order_and_the_same_for_the_same_seed(void **at)
{
    bool seen[64] = {false};
    int orders = 0;
    for (uint64_t seed = 0; seed < 600; seed++) {
        struct stream stream = {0}, again = {0};
        fill(&stream, 3);
        fill(&again, 3);
        stream_arrange(&stream, seed);
        stream_arrange(&again, seed);
        size_t order = 0;
        for (size_t i = 1; i <= 3; i++) {
            order = order * 4 + (size_t)stream.events[i].value;
            assert_true(stream.events[i].value == again.events[i].value);
        }
        orders += !seen[order];
        seen[order] = true;
        stream_deinit(&stream);
        stream_deinit(&again);
    }
    assert_int_equal(orders, 6);
}

static void test_new_is_the_first_event_of_a_user_with_an_item(void **at)
{
    static const struct {
        const char *user, *item;
        bool is_new;
    } events[] = {{"a", "x", true},  {"b", "x", true},  {"a", "x", false}, {"a", "y", true},
                  {"b", "x", false}, {"a", "x", false}, {"b", "y", true}};
    struct stream stream = {0};
    for (size_t i = 0; i < 7; i++)
        add(&stream, (int64_t)i, events[i].user, events[i].item, 1);
    stream_arrange(&stream, SEED);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(stream.events[i].is_new, events[i].is_new);
    stream_deinit(&stream);
}

static void test_a_place_is_a_share_or_a_time(void **at)
{
    static const struct {
        const char *text;
        size_t place;
    } cases[] = {
        {"0", 0},
        {"1", 10},
        {"0.6", 6},
        {"0.59", 5},
        {"2013-06-01", 0},
        {"2013-06-03", 2},
        {"2013-06-02T12:00", 2},
        {"2013-06-03T00:00:00", 2},
        {"1370131200000", 1},
        {"2012-01-01", 0},
        {"2014-01-01", 10},
    };
    struct stream stream = {0};
    struct error err;
    for (int i = 0; i < 10; i++)
        add(&stream, JUNE_MS + i * DAY_MS, "u", "i", 1);
    stream_arrange(&stream, SEED);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t place = 99;
        assert_int_equal(stream_place(&stream, "from", cases[i].text, &place, &err), 0);
        if (place != cases[i].place)
            fail_msg("%s: %zu, not %zu", cases[i].text, place, cases[i].place);
    }
    stream_deinit(&stream);
}

static void test_what_is_no_place_is_refused_by_the_option_s_name(void **at)
{
    static const char *const wrong[] = {"",    "x",          "-0.1",        "1.5",
                                        "nan", "2013-13-01", "2013-06-01x", "0.6 "};
    struct stream stream = {0};
    struct error err;
    size_t place;
    add(&stream, 0, "u", "i", 1);
    stream_arrange(&stream, SEED);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (stream_place(&stream, "from", wrong[i], &place, &err) != ERR_USAGE)
            fail_msg("\"%s\" is taken", wrong[i]);
        assert_non_null(strstr(err.text, "--from"));
    }
    stream_deinit(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_are_put_in_the_order_of_time),
        cmocka_unit_test(test_ties_come_in_every_order_and_the_same_for_the_same_seed),
        cmocka_unit_test(test_new_is_the_first_event_of_a_user_with_an_item),
        cmocka_unit_test(test_a_place_is_a_share_or_a_time),
        cmocka_unit_test(test_what_is_no_place_is_refused_by_the_option_s_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
