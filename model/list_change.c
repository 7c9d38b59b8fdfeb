#include "model/list_change.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void list_comparing_deinit(struct list_comparing *comparing)
{
    free(comparing->now);
    marks_deinit(&comparing->hidden);
    overlapping_deinit(&comparing->overlapping);
    *comparing = (struct list_comparing){0};
}

uint32_t *list_comparing_room(struct list_comparing *comparing, uint32_t count)
{
    if (count > comparing->now_capacity) {
        comparing->now_capacity = count;
        comparing->now = mem_array(comparing->now, count, sizeof *comparing->now);
    }
    return comparing->now;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Keeps the places of what the user may still have, which is all that is in the new list and some
 * of the rest. Returns how many. Both are asked of each: what comes of them cannot be foreseen. */
static uint32_t keep_allowed(struct marks *hidden, const struct columns *columns,
                             const struct topn_user *user, uint32_t *places)
{
    uint32_t count = 0;
    marks_clear(hidden, 1);
    for (size_t i = 0; i < user->hidden_count; i++)
        marks_put(hidden, user->hidden[i], 0);
    for (size_t i = 0; i < user->last_count; i++) {
        uint32_t place = places[i], column = user->last[i];
        bool is_allowed = column < columns->count &&
                          columns_is_excluded(columns, column) + marks_has(hidden, column) == 0;
        places[count] = place;
        count += place != OVERLAP_NOWHERE || is_allowed;
    }
    return count;
}

static bool is_same(const uint32_t *now, uint32_t count, const struct topn_user *user)
{
    return count == user->last_count &&
           (count == 0 || memcmp(now, user->last, count * sizeof *now) == 0);
}

void list_compare(struct list_comparing *comparing, const struct columns *columns,
                  const struct topn_user *user, struct slate_list *list)
{
    struct list_change *change = &list->change;
    struct overlapping *overlapping = &comparing->overlapping;
    uint32_t last_count = (uint32_t)user->last_count;
    list->changed = !is_same(comparing->now, list->count, user);
    if (change->first || !list->changed)
        return;

    uint32_t *places =
        overlap_places(overlapping, user->last, last_count, comparing->now, list->count);
    struct overlap overlap = overlap_at(overlapping, places, last_count, list->count, OVERLAP_K);
    change->jaccard = change->net_jaccard = (float)overlap.jaccard_distance;
    change->rbo = change->net_rbo = (float)(1 - overlap.rbo);

    uint32_t allowed = keep_allowed(&comparing->hidden, columns, user, places);
    uint32_t k = least(OVERLAP_K, least(allowed, list->count));
    change->gone = last_count - allowed;
    if (change->gone == 0 && k == OVERLAP_K)
        return;
    overlap = overlap_at(overlapping, places, allowed, list->count, k);
    change->net_jaccard = (float)overlap.jaccard_distance;
    change->net_rbo = (float)(1 - overlap.rbo);
}
