#include "model/list_change.h"
#include "base/mem.h"
#include "model/user.h"

#include <stdlib.h>
#include <string.h>

void list_comparing_deinit(struct list_comparing *comparing)
{
    free(comparing->now);
    marks_deinit(&comparing->hidden);
    overlapping_deinit(&comparing->overlapping);
    *comparing = (struct list_comparing){0};
}

static void reserve(struct list_comparing *comparing, uint32_t count)
{
    if (count <= comparing->now_capacity)
        return;
    comparing->now_capacity = count;
    comparing->now = mem_array(comparing->now, count, sizeof *comparing->now);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Of an item that has a column. Both are asked at any rate: what comes of them is not foreseen. */
static bool may_have(const struct columns *columns, const struct marks *hidden, uint32_t item)
{
    uint32_t column = columns->column_of[item];
    return !columns_is_excluded(columns, column) & !marks_has(hidden, column);
}

/* Keeps the places of what the user may still have, which is all that is in the new list and some
 * of the rest. Returns how many. */
static uint32_t keep_allowed(struct list_comparing *comparing, const struct columns *columns,
                             const uint32_t *hidden, size_t hidden_count,
                             const struct user_record *record, uint32_t *places)
{
    const uint32_t *last = user_list(record);
    uint32_t count = 0;
    marks_clear(&comparing->hidden, 1);
    for (size_t i = 0; i < hidden_count; i++)
        marks_put(&comparing->hidden, hidden[i], 0);
    for (uint32_t i = 0; i < record->list_count; i++) {
        uint32_t place = places[i];
        places[count] = place;
        bool is_allowed =
            last[i] < columns->items && may_have(columns, &comparing->hidden, last[i]);
        count += (place != OVERLAP_NOWHERE) | is_allowed;
    }
    return count;
}

static bool is_same(const uint32_t *now, uint32_t count, const struct user_record *record)
{
    return count == record->list_count &&
           (count == 0 || memcmp(now, user_list(record), count * sizeof *now) == 0);
}

void list_compare(struct list_comparing *comparing, const struct columns *columns,
                  const uint32_t *hidden, size_t hidden_count, struct slate_list *list)
{
    const struct user_record *record = list->record;
    struct list_change *change = &list->change;
    reserve(comparing, list->count);
    for (uint32_t i = 0; i < list->count; i++)
        comparing->now[i] = list->items[i].item;
    change->first = record->acked_offset < 0;
    list->changed = !is_same(comparing->now, list->count, record);
    if (change->first || !list->changed)
        return;

    struct overlapping *overlapping = &comparing->overlapping;
    uint32_t *places = overlap_places(overlapping, user_list(record), record->list_count,
                                      comparing->now, list->count);
    struct overlap overlap =
        overlap_at(overlapping, places, record->list_count, list->count, OVERLAP_K);
    change->jaccard = change->net_jaccard = (float)overlap.jaccard_distance;
    change->rbo = change->net_rbo = (float)(1 - overlap.rbo);

    uint32_t allowed = keep_allowed(comparing, columns, hidden, hidden_count, record, places);
    uint32_t k = least(OVERLAP_K, least(allowed, list->count));
    change->gone = record->list_count - allowed;
    if (change->gone == 0 && k == OVERLAP_K)
        return;
    overlap = overlap_at(overlapping, places, allowed, list->count, k);
    change->net_jaccard = (float)overlap.jaccard_distance;
    change->net_rbo = (float)(1 - overlap.rbo);
}
