#include "model/overlap.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define AT_HAND 1024 /* places or slots; longer lists get memory of their own */

/* Where items of a list are: open addressing, at most a quarter full. */
struct places {
    const uint32_t *list;
    uint32_t *table; /* [mask + 1]: place + 1, or 0 */
    uint32_t mask;
    uint32_t at_hand[AT_HAND];
};

static uint32_t *slot_of(struct places *places, uint32_t item)
{
    uint32_t slot = item * 2654435769u >> 7 & places->mask; /* Fibonacci hashing */
    while (places->table[slot] != 0 && places->list[places->table[slot] - 1] != item)
        slot = (slot + 1) & places->mask;
    return &places->table[slot];
}

/* For up to `count` items of the list. */
static void places_init(struct places *places, const uint32_t *list, uint32_t count)
{
    uint32_t size = 4;
    while (size / 4 < count)
        size *= 2;
    places->list = list;
    places->mask = size - 1;
    places->table = size <= AT_HAND ? places->at_hand : mem_array(NULL, size, sizeof(uint32_t));
    memset(places->table, 0, size * sizeof(uint32_t));
}

static void places_deinit(struct places *places)
{
    if (places->table != places->at_hand)
        free(places->table);
}

static uint32_t place_of(struct places *places, uint32_t item)
{
    return *slot_of(places, item) - 1; /* 0 - 1 is OVERLAP_NOWHERE */
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* What kept its place need not be looked for. */
void overlap_places(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count,
                    uint32_t *places)
{
    struct places in_b;
    uint32_t both = least(a_count, b_count), moved = b_count;
    for (uint32_t i = 0; i < both; i++)
        moved -= a[i] == b[i];
    places_init(&in_b, b, moved);
    for (uint32_t j = 0; j < b_count; j++)
        if (j >= both || a[j] != b[j])
            *slot_of(&in_b, b[j]) = j + 1;
    for (uint32_t i = 0; i < a_count; i++)
        places[i] = i < both && a[i] == b[i] ? i : place_of(&in_b, a[i]);
    places_deinit(&in_b);
}

static double jaccard_at(const uint32_t *places, uint32_t a_count, uint32_t b_count, uint32_t k)
{
    uint32_t common = 0, both = least(a_count, k) + least(b_count, k);
    for (uint32_t i = 0; i < least(a_count, k); i++)
        common += places[i] < k;
    return both > 0 ? 1 - (double)common / (both - common) : 0;
}

/* news: [depth] how many more the first d + 1 have in common than the first d. */
static double rbo_of(const uint8_t *news, uint32_t depth, double p)
{
    uint32_t common = 0;
    double sum = 0, power = 1; /* p^d */
    for (uint32_t d = 0; d < depth; d++) {
        common += news[d];
        power *= p;
        sum += power * common / (d + 1);
    }
    double rbo = power * common / depth + (1 - p) / p * sum;
    return rbo < 1 ? rbo : 1; /* not by rounding */
}

static bool are_equal(const uint32_t *places, uint32_t a_count, uint32_t b_count)
{
    uint32_t same = 0;
    while (same < a_count && places[same] == same)
        same++;
    return same == a_count && a_count == b_count;
}

/* An item at place i in a and at place j in b is had in common from depth max(i, j) + 1 on. */
static double rbo_at(const uint32_t *places, uint32_t a_count, uint32_t b_count, double p)
{
    uint32_t depth = least(a_count, b_count);
    uint8_t at_hand[AT_HAND] = {0};
    if (depth == 0 || are_equal(places, a_count, b_count))
        return a_count == b_count;
    uint8_t *news = depth <= sizeof at_hand ? at_hand : mem_zalloc(depth);
    for (uint32_t i = 0; i < depth; i++) {
        uint32_t from = i > places[i] ? i : places[i];
        if (from < depth)
            news[from]++;
    }
    double rbo = rbo_of(news, depth, p);
    if (news != at_hand)
        free(news);
    return rbo;
}

struct overlap overlap_at(const uint32_t *places, uint32_t a_count, uint32_t b_count, uint32_t k,
                          double p)
{
    return (struct overlap){jaccard_at(places, a_count, b_count, k),
                            rbo_at(places, a_count, b_count, p)};
}

struct overlap overlap_of(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count,
                          uint32_t k, double p)
{
    uint32_t at_hand[AT_HAND];
    uint32_t *places = a_count <= AT_HAND ? at_hand : mem_array(NULL, a_count, sizeof *places);
    overlap_places(a, a_count, b, b_count, places);
    struct overlap overlap = overlap_at(places, a_count, b_count, k, p);
    if (places != at_hand)
        free(places);
    return overlap;
}

double overlap_rbo(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count,
                   double p)
{
    return overlap_of(a, a_count, b, b_count, 0, p).rbo;
}

double overlap_jaccard_distance(const uint32_t *a, uint32_t a_count, const uint32_t *b,
                                uint32_t b_count, uint32_t k)
{
    return overlap_of(a, least(a_count, k), b, least(b_count, k), k, OVERLAP_P).jaccard_distance;
}
