#include "model/similar.h"
#include "base/mem.h"
#include "model/cosine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void similar_deinit(struct similar *similar)
{
    free(similar->by_factors.items);
    free(similar->by_together.items);
    *similar = (struct similar){0};
}

static void list_init(struct similar_list *list, uint32_t most)
{
    *list =
        (struct similar_list){.items = mem_array(NULL, most, sizeof *list->items), .most = most};
}

static bool is_before(const struct items *items, const struct similar_item *a,
                      const struct similar_item *b)
{
    if (a->cosine != b->cosine)
        return a->cosine > b->cosine;
    return slice_compare(ids_text(&items->ids, a->item), ids_text(&items->ids, b->item)) < 0;
}

/* Puts it where it belongs, if it does. */
static void offer(struct similar_list *list, const struct items *items, uint32_t item,
                  double cosine)
{
    const struct similar_item one = {item, cosine};
    uint32_t at = list->count;
    if (list->most == 0 || (at == list->most && !is_before(items, &one, &list->items[at - 1])))
        return;
    if (at < list->most)
        list->count++;
    else
        at--;
    for (; at > 0 && is_before(items, &one, &list->items[at - 1]); at--)
        list->items[at] = list->items[at - 1];
    list->items[at] = one;
}

/* -- by factors -------------------------------------------------------------------------------- */

static void find_by_factors(const struct scorer_parts *parts, uint32_t item, struct similar *out)
{
    const struct columns *columns = parts->columns;
    uint32_t own = columns->row_of[item];
    if (own == ROW_NONE)
        return;
    const struct items *items = history_items(parts->history);
    size_t stride = parts->generation->stride;
    const float *y = parts->generation->Y + own * stride;
    double product, square, own_square;
    cosine_multiply(y, y, stride, &product, &own_square);
    for (uint32_t row = 0; row < columns->rows; row++) {
        cosine_multiply(y, parts->generation->Y + row * stride, stride, &product, &square);
        double lengths = sqrt(own_square * square);
        if (row != own && columns->item_of[row] != ITEM_NONE && lengths > 0)
            offer(&out->by_factors, items, columns->item_of[row], product / lengths);
    }
}

/* -- by together ------------------------------------------------------------------------------- */

static double use_of(const struct history *history, uint32_t item, enum pairs_horizon horizon)
{
    int half_life = horizon == PAIRS_EVER ? HALF_LIFE_EVER : TOGETHER_DAY_HALF_LIFE;
    double use = 0;
    for (size_t p = 0; p < history_sums_count(history); p++) {
        uint32_t known;
        const struct item_sums *sums = history_sums(history, p, &known);
        if (item < known)
            use += sums_at(&sums[item], half_life, history_now_ms(history));
    }
    return use;
}

static int compare_items(const void *left, const void *right)
{
    uint32_t a = ((const struct similar_item *)left)->item;
    uint32_t b = ((const struct similar_item *)right)->item;
    return (a > b) - (a < b);
}

/* Counts of one partition after the other: neighbours of several come several times. */
static struct similar_item *gather(const struct history *history, uint32_t item,
                                   const struct together_choice *choice, size_t *count)
{
    size_t most = 0, partitions = history_sums_count(history);
    for (size_t p = 0; p < partitions; p++) {
        const struct pairs_table *table = pairs_table(history_pairs(history, p), item);
        most += table != NULL ? table->count : 0;
    }
    struct similar_item *counts = mem_array(NULL, most + 1, sizeof *counts);
    *count = 0;
    for (size_t p = 0; p < partitions; p++) {
        const struct pairs_table *table = pairs_table(history_pairs(history, p), item);
        for (uint32_t i = 0; table != NULL && i < table->count; i++)
            counts[(*count)++] = (struct similar_item){
                table->items[i], together_count(choice, table, i, history_now_ms(history))};
    }
    qsort(counts, *count, sizeof *counts, compare_items);
    return counts;
}

static void find_by_together(const struct scorer_parts *parts, uint32_t item, struct similar *out)
{
    const struct history *history = parts->history;
    const struct items *items = history_items(parts->history);
    size_t count;
    struct similar_item *counts = gather(history, item, &out->together_of, &count);
    double own = use_of(history, item, out->together_of.horizon) + TOGETHER_PRIOR;
    for (size_t i = 0, end; i < count; i = end) {
        double n = 0;
        for (end = i; end < count && counts[end].item == counts[i].item; end++)
            n += counts[end].cosine;
        if (n == 0)
            continue;
        double other = use_of(history, counts[i].item, out->together_of.horizon) + TOGETHER_PRIOR;
        offer(&out->by_together, items, counts[i].item, n / sqrt(own * other));
    }
    free(counts);
}

void similar(struct scorer *scorer, uint32_t item, uint32_t n, struct similar *out)
{
    struct scorer_parts parts;
    scorer_parts(scorer, &parts);
    n = n < SIMILAR_MAX ? n : SIMILAR_MAX;
    *out = (struct similar){
        .item = item,
        .arm = parts.settings->arm_name,
        .has_factors = parts.columns->row_of[item] != ROW_NONE,
        .generation = parts.generation != NULL ? parts.generation->number : 0,
        .together_of = {.rho = 1, .horizon = PAIRS_EVER, .both = true},
    };
    if (parts.weights->together > 0)
        out->together_of = parts.weights->together_of;
    list_init(&out->by_factors, n);
    list_init(&out->by_together, n);
    find_by_factors(&parts, item, out);
    find_by_together(&parts, item, out);
}
