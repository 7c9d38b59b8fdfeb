#include "model/overlap.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX
#define SLOTS_AT_HAND 512 /* of a list of 256 items; longer ones get memory of their own */

/* Where each item of a list is: open addressing, at most half full. */
struct places {
    const uint32_t *list;
    uint32_t *table; /* [mask + 1]: rank from 1, or 0 */
    uint32_t mask;
    uint32_t at_hand[SLOTS_AT_HAND];
};

static uint32_t *slot_of(struct places *places, uint32_t item)
{
    uint32_t slot = item * 2654435769u >> 7 & places->mask; /* Fibonacci hashing */
    while (places->table[slot] != 0 && places->list[places->table[slot] - 1] != item)
        slot = (slot + 1) & places->mask;
    return &places->table[slot];
}

static void places_init(struct places *places, const uint32_t *list, uint32_t count)
{
    uint32_t size = 4;
    while (size / 2 < count)
        size *= 2;
    places->list = list;
    places->mask = size - 1;
    places->table =
        size <= SLOTS_AT_HAND ? places->at_hand : mem_array(NULL, size, sizeof(uint32_t));
    memset(places->table, 0, size * sizeof(uint32_t));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t *slot = slot_of(places, list[i]);
        *slot = *slot != 0 ? *slot : i + 1;
    }
}

static void places_deinit(struct places *places)
{
    if (places->table != places->at_hand)
        free(places->table);
}

/* From 1. */
static uint32_t rank_of(struct places *places, uint32_t item)
{
    uint32_t rank = *slot_of(places, item);
    return rank != 0 ? rank : NOWHERE;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t same_beginning(const uint32_t *a, const uint32_t *b, uint32_t count)
{
    uint32_t same = 0;
    while (same < count && a[same] == b[same])
        same++;
    return same;
}

double overlap_jaccard_distance(const uint32_t *a, uint32_t a_count, const uint32_t *b,
                                uint32_t b_count, uint32_t k)
{
    uint32_t m = least(a_count, k), n = least(b_count, k);
    uint32_t common = same_beginning(a, b, least(m, n)), begin = common;
    struct places in_b;
    if (common == m && m == n)
        return 0;
    places_init(&in_b, b + begin, n - begin);
    for (uint32_t i = begin; i < m; i++)
        common += rank_of(&in_b, a[i]) != NOWHERE;
    places_deinit(&in_b);
    return 1 - (double)common / (m + n - common);
}

/* The share the first d have in common grows, from d to d + 1, by a's new item if b's first d + 1
 * have it, and by b's if a's first d do. What both begin with is passed over: an item is named
 * once, so none of it comes again. */
double overlap_rbo(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count,
                   double p)
{
    uint32_t depth = least(a_count, b_count), same = same_beginning(a, b, depth), overlap = same;
    double sum = 0, power = 1; /* p^d */
    struct places in_a, in_b;
    if (same == a_count && same == b_count)
        return 1;
    if (depth == 0)
        return 0;
    for (uint32_t d = 0; d < same; d++) {
        power *= p;
        sum += power;
    }
    places_init(&in_a, a + same, depth - same);
    places_init(&in_b, b + same, depth - same);
    for (uint32_t d = same; d < depth; d++) {
        overlap += rank_of(&in_b, a[d]) <= d - same + 1;
        overlap += rank_of(&in_a, b[d]) <= d - same;
        power *= p;
        sum += power * overlap / (d + 1);
    }
    places_deinit(&in_a);
    places_deinit(&in_b);
    return power * overlap / depth + (1 - p) / p * sum;
}
