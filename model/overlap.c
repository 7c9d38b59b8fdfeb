#include "model/overlap.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX

/* Where each item of a list is: open addressing, at most half full. */
struct places {
    const uint32_t *list;
    uint32_t *table; /* [mask + 1]: rank from 1, or 0 */
    uint32_t mask;
};

static uint32_t *slot_of(const struct places *places, uint32_t item)
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
    *places = (struct places){list, mem_zalloc(size * sizeof(uint32_t)), size - 1};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t *slot = slot_of(places, list[i]);
        *slot = *slot != 0 ? *slot : i + 1;
    }
}

/* From 1. */
static uint32_t rank_of(const struct places *places, uint32_t item)
{
    uint32_t rank = *slot_of(places, item);
    return rank != 0 ? rank : NOWHERE;
}

static bool are_equal(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count)
{
    return a_count == b_count && (a_count == 0 || memcmp(a, b, a_count * sizeof *a) == 0);
}

double overlap_jaccard_distance(const uint32_t *a, uint32_t a_count, const uint32_t *b,
                                uint32_t b_count, uint32_t k)
{
    uint32_t m = a_count < k ? a_count : k, n = b_count < k ? b_count : k, common = 0;
    if (are_equal(a, m, b, n))
        return 0;
    struct places in_b;
    places_init(&in_b, b, n);
    for (uint32_t i = 0; i < m; i++)
        common += rank_of(&in_b, a[i]) != NOWHERE;
    free(in_b.table);
    return 1 - (double)common / (m + n - common);
}

/* The share the first d have in common grows, from d to d + 1, by a's new item if b's first d + 1
 * have it, and by b's if a's first d do. */
double overlap_rbo(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count,
                   double p)
{
    uint32_t depth = a_count < b_count ? a_count : b_count, overlap = 0;
    double sum = 0, power = 1; /* p^d */
    if (are_equal(a, a_count, b, b_count))
        return 1;
    if (depth == 0)
        return 0;
    struct places in_a, in_b;
    places_init(&in_a, a, depth);
    places_init(&in_b, b, depth);
    for (uint32_t d = 0; d < depth; d++) {
        overlap += rank_of(&in_b, a[d]) <= d + 1;
        overlap += rank_of(&in_a, b[d]) <= d;
        power *= p;
        sum += power * overlap / (d + 1);
    }
    free(in_a.table);
    free(in_b.table);
    return power * overlap / depth + (1 - p) / p * sum;
}
