#include "model/overlap.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX
#define SLOTS_AT_HAND 512 /* of 256 items; longer lists get memory of their own */

/* Where items of a list are: open addressing, at most half full. */
struct places {
    const uint32_t *list;
    uint32_t *table; /* [mask + 1]: place + 1, or 0 */
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

/* For up to `count` items of the list. */
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
}

static void places_deinit(struct places *places)
{
    if (places->table != places->at_hand)
        free(places->table);
}

static uint32_t place_of(struct places *places, uint32_t item)
{
    uint32_t place = *slot_of(places, item);
    return place != 0 ? place - 1 : NOWHERE;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Two lists, a the shorter one, both by the items they have in common. */
struct comparison {
    const uint32_t *a, *b;
    uint32_t a_count, b_count, k;
    uint32_t reach; /* so much of b matters */
    uint8_t *news;  /* [a_count]: how many more the first d + 1 have in common than the first d */
    uint32_t common_k; /* of the first k of each */
};

static bool stays(const struct comparison *c, uint32_t place)
{
    return place < c->a_count && c->a[place] == c->b[place];
}

/* An item at place i in a and at place j in b is had in common from depth max(i, j) + 1 on. What
 * kept its place need not be looked for. */
static void find_common(struct comparison *c)
{
    struct places in_b;
    uint32_t moved = 0;
    for (uint32_t j = 0; j < c->reach; j++)
        moved += !stays(c, j);
    places_init(&in_b, c->b, moved);
    for (uint32_t j = 0; j < c->reach; j++)
        if (!stays(c, j))
            *slot_of(&in_b, c->b[j]) = j + 1;
    for (uint32_t i = 0; i < c->a_count; i++) {
        uint32_t j = stays(c, i) ? i : place_of(&in_b, c->a[i]);
        uint32_t from = i > j ? i : j;
        if (from < c->a_count)
            c->news[from]++;
        c->common_k += i < c->k && j < c->k;
    }
    places_deinit(&in_b);
}

static double jaccard_of(const struct comparison *c)
{
    uint32_t both = least(c->a_count, c->k) + least(c->b_count, c->k);
    return both > 0 ? 1 - (double)c->common_k / (both - c->common_k) : 0;
}

static double rbo_of(const struct comparison *c, double p)
{
    uint32_t overlap = 0;
    double sum = 0, power = 1; /* p^d */
    if (c->a_count == 0)
        return c->b_count == 0;
    for (uint32_t d = 0; d < c->a_count; d++) {
        overlap += c->news[d];
        power *= p;
        sum += power * overlap / (d + 1);
    }
    return power * overlap / c->a_count + (1 - p) / p * sum;
}

struct overlap overlap_of(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count,
                          uint32_t k, double p)
{
    if (a_count > b_count)
        return overlap_of(b, b_count, a, a_count, k, p);
    if (a_count == b_count && (a_count == 0 || memcmp(a, b, a_count * sizeof *a) == 0))
        return (struct overlap){.jaccard_distance = 0, .rbo = 1};
    uint8_t at_hand[SLOTS_AT_HAND] = {0};
    struct comparison c = {.a = a, .b = b, .a_count = a_count, .b_count = b_count, .k = k};
    c.reach = least(b_count, a_count > k ? a_count : k);
    c.news = a_count <= sizeof at_hand ? at_hand : mem_zalloc(a_count);
    find_common(&c);
    struct overlap overlap = {jaccard_of(&c), rbo_of(&c, p)};
    if (c.news != at_hand)
        free(c.news);
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
