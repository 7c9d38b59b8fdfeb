/* What is said of items, in memory and as values of the state. */
#include "base/buffer.h"
#include "consumer/event.h"
#include "model/items.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct slice some_categories[] = {{"lamps", 5}, {"garden", 6}};

static struct item_record described(void)
{
    return (struct item_record){.present = true,
                                .available_from_ms = 100,
                                .available_until_ms = 200,
                                .title = SLICE("A lantern"),
                                .categories = some_categories,
                                .category_count = 2};
}

static void test_an_item_nobody_described_is_eligible(void **state)
{
    struct items items = {0};
    uint32_t item = ids_add(&items.ids, SLICE("i1"));
    assert_null(items_info(&items, item));
    assert_true(items_eligible(&items, item, 0));
    items_deinit(&items);
}

static void test_an_item_is_eligible_within_its_window_alone(void **state)
{
    struct items items = {0};
    struct item_record record = described();
    items_describe(&items, ids_add(&items.ids, SLICE("i1")), &record);
    assert_false(items_eligible(&items, 0, 99));
    assert_true(items_eligible(&items, 0, 100));
    assert_true(items_eligible(&items, 0, 199));
    assert_false(items_eligible(&items, 0, 200));
    items_deinit(&items);
}

static void test_a_blocked_item_is_not_eligible(void **state)
{
    struct items items = {0};
    struct item_record record = described();
    record.blocked = true;
    items_describe(&items, ids_add(&items.ids, SLICE("i1")), &record);
    assert_false(items_eligible(&items, 0, 150));
    items_deinit(&items);
}

static void test_a_tombstone_takes_back_what_was_said(void **state)
{
    struct items items = {0};
    struct item_record record = described(), tombstone = {.present = false};
    record.blocked = true;
    items_describe(&items, ids_add(&items.ids, SLICE("i1")), &record);
    items_describe(&items, 0, &tombstone);
    assert_null(items_info(&items, 0));
    assert_true(items_eligible(&items, 0, 150));
    items_deinit(&items);
}

static void assert_described(const struct items *items, uint32_t item)
{
    const struct item_info *info = items_info(items, item);
    assert_non_null(info);
    assert_int_equal(info->from_ms, 100);
    assert_int_equal(info->until_ms, 200);
    assert_false(info->blocked);
    assert_true(slice_equal(info->title, SLICE("A lantern")));
    assert_int_equal(info->category_count, 2);
    for (uint32_t i = 0; i < 2; i++)
        assert_true(
            slice_equal(ids_text(&items->categories, info->categories[i]), some_categories[i]));
}

static void test_a_description_survives_being_a_value_of_the_state(void **state)
{
    struct items items = {0}, again = {0};
    struct buffer value = {0};
    struct item_record record = described();
    uint32_t item = 70; /* beyond the first allocation */
    items_describe(&items, item, &record);
    assert_described(&items, item);
    items_info_write(&value, &items, item);
    ids_add(&again.categories, SLICE("other")); /* numbers of categories are each process's own */
    assert_int_equal(items_info_read(&again, item, buffer_slice(&value), NULL), 0);
    assert_described(&again, item);
    buffer_deinit(&value);
    items_deinit(&items);
    items_deinit(&again);
}

static void test_a_damaged_description_is_refused_wherever_it_is_cut(void **state)
{
    struct items items = {0};
    struct buffer value = {0};
    struct item_record record = described();
    items_describe(&items, 0, &record);
    items_info_write(&value, &items, 0);
    for (uint32_t length = 0; length < value.length; length++) {
        struct error err = {0};
        struct slice cut = {value.data, length};
        assert_int_equal(items_info_read(&items, 1, cut, &err), ERR_DATA);
        assert_null(items_info(&items, 1));
    }
    buffer_byte(&value, 0);
    assert_int_equal(items_info_read(&items, 1, buffer_slice(&value), NULL), ERR_DATA);
    buffer_deinit(&value);
    items_deinit(&items);
}

static void test_nothing_is_written_of_an_item_nobody_described(void **state)
{
    struct items items = {0};
    struct buffer value = {0};
    items_info_write(&value, &items, 3);
    assert_int_equal(value.length, 0);
    buffer_deinit(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_item_nobody_described_is_eligible),
        cmocka_unit_test(test_an_item_is_eligible_within_its_window_alone),
        cmocka_unit_test(test_a_blocked_item_is_not_eligible),
        cmocka_unit_test(test_a_tombstone_takes_back_what_was_said),
        cmocka_unit_test(test_a_description_survives_being_a_value_of_the_state),
        cmocka_unit_test(test_a_damaged_description_is_refused_wherever_it_is_cut),
        cmocka_unit_test(test_nothing_is_written_of_an_item_nobody_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
