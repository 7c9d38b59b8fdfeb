#include "model/overlap.h"
#include "base/mem.h"

#include <stdlib.h>

void overlapping_deinit(struct overlapping *overlapping)
{
    marks_deinit(&overlapping->marks);
    free(overlapping->places);
    *overlapping = (struct overlapping){0};
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t largest(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* -- places ----------------------------------------------------------------------------------- */

static void reserve_places(struct overlapping *overlapping, uint32_t count)
{
    if (count <= overlapping->places_max)
        return;
    overlapping->places = mem_array(overlapping->places, count, sizeof *overlapping->places);
    overlapping->places_max = count;
}

uint32_t *overlap_places(struct overlapping *overlapping, const uint32_t *a, uint32_t a_count,
                         const uint32_t *b, uint32_t b_count)
{
    marks_clear(&overlapping->marks, b_count);
    for (uint32_t place = 0; place < b_count; place++)
        marks_put(&overlapping->marks, b[place], place);
    reserve_places(overlapping, a_count);
    for (uint32_t i = 0; i < a_count; i++) {
        uint32_t place = marks_place(&overlapping->marks, a[i]);
        overlapping->places[i] = place < b_count ? place : OVERLAP_NOWHERE;
    }
    return overlapping->places;
}

/* -- figures ---------------------------------------------------------------------------------- */

static void sum_weights(struct overlapping *overlapping)
{
    double power = 1; /* p^d */
    for (int d = 1; d <= OVERLAP_DEPTHS; d++) {
        power *= OVERLAP_P;
        overlapping->sums[d] = overlapping->sums[d - 1] + power / d;
    }
}

struct overlap overlap_at(struct overlapping *overlapping, const uint32_t *places, uint32_t a_count,
                          uint32_t b_count, uint32_t k)
{
    uint32_t depth = least(a_count, b_count), end = least(depth, OVERLAP_DEPTHS);
    uint32_t same = 0, common = 0, common_k = 0, both_k = least(a_count, k) + least(b_count, k);
    if (overlapping->sums[1] == 0)
        sum_weights(overlapping);
    const double *sums = overlapping->sums;
    double sum = 0;
    for (uint32_t i = 0; i < a_count; i++) {
        uint32_t from = largest(i, places[i]);
        same += places[i] == i;
        common += from < depth;
        common_k += from < k;
        sum += sums[end] - sums[least(from, end)];
    }
    double rbo = 1;
    if (same < a_count || same < b_count) {
        double at_depth = end == depth && end > 0 ? sums[end] - sums[end - 1] : 0; /* p^s / s */
        rbo = common * at_depth + (1 - OVERLAP_P) / OVERLAP_P * sum;
    }
    return (struct overlap){both_k > 0 ? 1 - (double)common_k / (both_k - common_k) : 0,
                            rbo < 1 ? rbo : 1};
}

struct overlap overlap_of(struct overlapping *overlapping, const uint32_t *a, uint32_t a_count,
                          const uint32_t *b, uint32_t b_count, uint32_t k)
{
    const uint32_t *places = overlap_places(overlapping, a, a_count, b, b_count);
    return overlap_at(overlapping, places, a_count, b_count, k);
}
