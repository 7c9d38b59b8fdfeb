#include "monitor/quality.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define LISTS (QUALITY_WINDOW + 500)

/* Lists of random lengths over so many items, with numbers from `first` on; each item once. */
static void add_lists(struct quality *quality, uint32_t lists, uint32_t items, uint32_t first)
{
    struct slate_item at[2 * LIST_DEPTH];
    for (uint32_t i = 0; i < lists; i++) {
        struct slate_list list = {.items = at, .count = (uint32_t)rand() % (2 * LIST_DEPTH)};
        uint32_t begin = (uint32_t)rand() % items * ((uint32_t)rand() % 4 != 0);
        list.count = list.count < items ? list.count : items;
        for (uint32_t place = 0; place < list.count; place++)
            at[place] = (struct slate_item){.item = first + (begin + place) % items};
        quality_add(quality, &list, 0);
    }
}

static struct quality_window plain_window(const struct quality *quality, uint32_t end)
{
    struct quality_window window = {.top_item = QUALITY_NO_ITEM};
    window.lists = quality->lists < QUALITY_WINDOW ? (uint32_t)quality->lists : QUALITY_WINDOW;
    uint32_t *lists = mem_zalloc(end * sizeof *lists);
    for (uint32_t i = 0; i < window.lists; i++)
        for (uint32_t place = 0; place < LIST_DEPTH; place++)
            if (quality->window[i][place] != QUALITY_NO_ITEM)
                lists[quality->window[i][place]]++;
    for (uint32_t item = 0; item < end; item++) {
        window.items += lists[item] > 0;
        if (lists[item] > window.top_lists) {
            window.top_lists = lists[item];
            window.top_item = item;
        }
    }
    free(lists);
    return window;
}

static void assert_window(const struct quality *quality, uint32_t end)
{
    struct quality_window have = quality_window(quality), want = plain_window(quality, end);
    assert_int_equal(have.lists, want.lists);
    assert_int_equal(have.items, want.items);
    assert_int_equal(have.top_item, want.top_item);
    assert_int_equal(have.top_lists, want.top_lists);
}

static void test_window_of_no_lists_has_no_items(void **at)
{
    struct quality *quality = mem_zalloc(sizeof *quality);
    assert_window(quality, 1);
    add_lists(quality, 1, 1, 0);
    assert_window(quality, 10);
    free(quality);
}

/* Item numbers below and above what a count for each would take. */
static void test_window_counts_the_lists_of_each_item(void **at)
{
    const uint32_t firsts[] = {0, 5, 131000, 131072 - LIST_DEPTH, 131072, 3000000};
    srand(33);
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++)
        for (uint32_t items = 1; items < 5000; items = items * 5 + 3) {
            struct quality *quality = mem_zalloc(sizeof *quality);
            add_lists(quality, 40, items, firsts[i]);
            assert_window(quality, firsts[i] + items + 1);
            add_lists(quality, LISTS, items, firsts[i]);
            assert_window(quality, firsts[i] + items + 1);
            free(quality);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_of_no_lists_has_no_items),
        cmocka_unit_test(test_window_counts_the_lists_of_each_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
