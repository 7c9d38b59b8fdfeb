#include "model/columns.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void columns_deinit(struct columns *columns)
{
    free(columns->item_of);
    free(columns->ids);
    free(columns->excluded);
    free(columns->column_of);
    free(columns->row_of);
    *columns = (struct columns){0};
}

static uint32_t grown(uint32_t needed)
{
    return needed + needed / 2 + 64;
}

static void reserve(struct columns *columns, uint32_t count, uint32_t items)
{
    if (count > columns->capacity) {
        columns->capacity = grown(count);
        columns->item_of = mem_array(columns->item_of, columns->capacity, sizeof(uint32_t));
        columns->ids = mem_array(columns->ids, columns->capacity, sizeof(struct slice));
        columns->excluded =
            mem_array(columns->excluded, columns->capacity / 64 + 1, sizeof(uint64_t));
    }
    if (items > columns->items_capacity) {
        columns->items_capacity = grown(items);
        columns->column_of =
            mem_array(columns->column_of, columns->items_capacity, sizeof(uint32_t));
        columns->row_of = mem_array(columns->row_of, columns->items_capacity, sizeof(uint32_t));
    }
}

/* The row of an id in the generation, whose ids are in byte order, or ROW_NONE. */
static uint32_t find_row(const struct generation *generation, struct slice id)
{
    size_t low = 0, high = generation != NULL ? generation->items : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(generation->ids[middle], id);
        if (order == 0)
            return (uint32_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return ROW_NONE;
}

static void place(struct columns *columns, uint32_t item, struct slice id, uint32_t row)
{
    uint32_t column = row != ROW_NONE ? row : columns->count++;
    columns->item_of[column] = item;
    columns->ids[column] = id;
    columns->column_of[item] = column;
    columns->row_of[item] = row;
}

void columns_build(struct columns *columns, const struct generation *generation,
                   const struct items *items)
{
    columns->rows = columns->count = generation != NULL ? (uint32_t)generation->items : 0;
    columns->items = 0;
    reserve(columns, columns->rows, 0);
    for (uint32_t row = 0; row < columns->rows; row++) {
        columns->item_of[row] = ITEM_NONE;
        columns->ids[row] = generation->ids[row];
    }
    columns_extend(columns, generation, items);
}

void columns_extend(struct columns *columns, const struct generation *generation,
                    const struct items *items)
{
    uint32_t known = columns->items;
    columns->items = items_count(items);
    reserve(columns, columns->count + (columns->items - known), columns->items);
    for (uint32_t item = known; item < columns->items; item++) {
        struct slice id = ids_text(&items->ids, item);
        place(columns, item, id, find_row(generation, id));
    }
}

static bool is_in_category(const struct item_info *info, const uint32_t *categories, size_t count)
{
    for (uint32_t i = 0; i < info->category_count; i++)
        for (size_t j = 0; j < count; j++)
            if (info->categories[i] == categories[j])
                return true;
    return false;
}

static bool is_out(const struct items *items, uint32_t item, int64_t now_ms,
                   const uint32_t *categories, size_t category_count)
{
    if (item == ITEM_NONE || !items_eligible(items, item, now_ms))
        return true;
    const struct item_info *info = items_info(items, item);
    return info != NULL && is_in_category(info, categories, category_count);
}

void columns_exclude(struct columns *columns, const struct items *items, int64_t now_ms,
                     const struct slice *categories, size_t category_count)
{
    /* A name nobody used so far has no number, IDS_NONE, which is no item's category. */
    uint32_t *numbers = mem_array(NULL, category_count, sizeof *numbers);
    for (size_t i = 0; i < category_count; i++)
        numbers[i] = ids_find(&items->categories, categories[i]);
    if (columns->count > 0)
        memset(columns->excluded, 0, (columns->count / 64 + 1) * sizeof *columns->excluded);
    for (uint32_t column = 0; column < columns->count; column++)
        if (is_out(items, columns->item_of[column], now_ms, numbers, category_count))
            columns->excluded[column / 64] |= UINT64_C(1) << (column % 64);
    free(numbers);
}
