#include "model/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int order_of(const struct version *a, const struct version *b)
{
    char left[VERSION_TEXT_BYTES], right[VERSION_TEXT_BYTES];
    version_format(left, a);
    version_format(right, b);
    return memcmp(left, right, VERSION_TEXT_BYTES);
}

static void test_version_is_fixed_width_hex(void **state)
{
    struct version version = {.epoch = 1, .partition = 10, .next_offset = 255, .swap = 3};
    char text[VERSION_TEXT_BYTES];
    version_format(text, &version);
    assert_string_equal(text, "00000001.000a.00000000000000ff.00000003");
}

static void test_version_of_the_largest_numbers_fits(void **state)
{
    struct version version = {UINT32_MAX, UINT16_MAX, INT64_MAX, UINT32_MAX};
    char text[VERSION_TEXT_BYTES];
    version_format(text, &version);
    assert_string_equal(text, "ffffffff.ffff.7fffffffffffffff.ffffffff");
}

static void test_version_compares_as_bytes_field_by_field(void **state)
{
    const struct version rising[] = {
        {1, 7, 9, 0}, {1, 7, 9, 2}, {1, 7, 10, 1}, {1, 7, 0x100000000, 0}, {2, 7, 0, 0},
    };
    for (size_t i = 1; i < sizeof rising / sizeof *rising; i++)
        assert_true(order_of(&rising[i - 1], &rising[i]) < 0);
}

static void test_version_is_read_back_and_nothing_else_is(void **state)
{
    static const char good[] = "00000001.000a.00000000000000ff.00000003";
    struct version version = {0}, before;
    assert_true(version_parse(&version, slice_of(good)));
    assert_int_equal(version.epoch, 1);
    assert_int_equal(version.partition, 10);
    assert_int_equal(version.next_offset, 255);
    assert_int_equal(version.swap, 3);
    before = version;
    for (uint32_t i = 0; i < sizeof good - 1; i++) {
        char bad[sizeof good];
        memcpy(bad, good, sizeof good);
        bad[i] = 'G';
        assert_false(version_parse(&version, slice_of(bad)));
        assert_false(version_parse(&version, (struct slice){good, i}));
    }
    assert_false(version_parse(&version, SLICE("00000001.000a.00000000000000ff.000000030")));
    assert_memory_equal(&version, &before, sizeof version);
}

static void test_cause_names_are_what_lists_say(void **state)
{
    assert_string_equal(slate_cause_name(CAUSE_EVENT), "event");
    assert_string_equal(slate_cause_name(CAUSE_GENERATION), "generation");
    assert_string_equal(slate_cause_name(CAUSE_SWEEP), "sweep");
    assert_string_equal(slate_cause_name(CAUSE_FORCED), "forced");
}

static void test_cleared_slate_is_empty_and_keeps_its_room(void **state)
{
    struct slate slate = {.count = 1, .capacity = 2, .stream_ts_ms = 7};
    slate.lists = calloc(2, sizeof *slate.lists);
    slate.lists[0].items = calloc(3, sizeof *slate.lists[0].items);
    slate_clear(&slate);
    assert_int_equal(slate.count, 0);
    assert_int_equal(slate.stream_ts_ms, 0);
    assert_int_equal(slate.capacity, 2);
    slate_deinit(&slate);
    assert_null(slate.lists);
}

static void test_a_list_is_stale_once_another_is_acknowledged(void **state)
{
    struct user_record then = {.acked_offset = 5, .acked_swap = 1}, now = then;
    struct user user = {.record = &now};
    struct slate_list list = {.user = &user, .record = &then};
    assert_false(slate_list_is_stale(&list));
    now.wanted_offset = 9; /* an event came, but no list */
    assert_false(slate_list_is_stale(&list));
    now.acked_offset = 6;
    assert_true(slate_list_is_stale(&list));
    now = then;
    now.acked_swap = 2;
    assert_true(slate_list_is_stale(&list));
    list = (struct slate_list){0}; /* the popular list */
    assert_false(slate_list_is_stale(&list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_is_fixed_width_hex),
        cmocka_unit_test(test_version_of_the_largest_numbers_fits),
        cmocka_unit_test(test_version_compares_as_bytes_field_by_field),
        cmocka_unit_test(test_version_is_read_back_and_nothing_else_is),
        cmocka_unit_test(test_cause_names_are_what_lists_say),
        cmocka_unit_test(test_cleared_slate_is_empty_and_keeps_its_room),
        cmocka_unit_test(test_a_list_is_stale_once_another_is_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
