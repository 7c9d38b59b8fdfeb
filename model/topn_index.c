#include "model/topn_index.h"
#include "base/kernel.h"
#include "base/mem.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BYTE_MOST 127     /* of a quantised factor, either sign */
#define BYTE_OFFSET 128   /* makes it unsigned */
#define FIRST_SHARE 4     /* the first steps are a quarter of the coordinates */
#define FIRST_RANK_MIN 32 /* below, an early end saves nothing */

struct ranked {
    double norm;
    uint32_t row;
};

double topn_norm(const float *row, int begin, int end)
{
    double squares = 0; /* of floats: cannot overflow a double */
    for (int k = begin; k < end; k++)
        squares += (double)row[k] * row[k];
    return sqrt(squares);
}

float topn_round_up(double value)
{
    return value == 0 ? 0 : (float)(value * (1 + 0x1p-20)) + FLT_MIN;
}

/* The largest norm first, then the smaller row, so that equal factors make equal indexes. */
static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *left = a, *right = b;
    if (left->norm != right->norm)
        return left->norm > right->norm ? -1 : 1;
    return left->row < right->row ? -1 : 1;
}

static void order_rows(struct topn_index *index, struct ranked *ranked)
{
    for (size_t row = 0; row < index->rows; row++) {
        double norm = topn_norm(index->Y + row * index->stride, 0, index->rank);
        ranked[row] = (struct ranked){norm, (uint32_t)row};
        if (!(norm <= index->norm_max)) /* a NaN stays */
            index->norm_max = norm;
    }
    if (!(index->norm_max < TOPN_NORM_MOST)) {
        index->norm_max = INFINITY;
        return;
    }
    qsort(ranked, index->rows, sizeof *ranked, compare_ranked);
    for (size_t i = 0; i < index->rows; i++) {
        index->order[i] = ranked[i].row;
        index->places[ranked[i].row] = topn_place(i / TOPN_PANEL, i % TOPN_PANEL);
    }
}

static const float *row_at(const struct topn_index *index, size_t panel, size_t item)
{
    return index->Y + index->order[panel * TOPN_PANEL + item] * index->stride;
}

static size_t items_in(const struct topn_index *index, size_t panel)
{
    return panel + 1 < index->panel_count ? TOPN_PANEL : index->last_items;
}

static void bound(struct topn_index *index, size_t at)
{
    double norm = 0, rest = 0;
    for (size_t item = 0; item < items_in(index, at); item++) {
        const float *y = row_at(index, at, item);
        norm = fmax(norm, topn_norm(y, 0, index->rank));
        rest = fmax(rest, topn_norm(y, index->first_coordinates, index->rank));
    }
    index->panels[at].norm = topn_round_up(norm);
    index->panels[at].rest = topn_round_up(rest);
}

static void pack_floats(struct topn_index *index, size_t at)
{
    float *packed = (float *)(index->packed + at * index->panel_bytes);
    for (size_t item = 0; item < items_in(index, at); item++)
        for (int k = 0; k < index->rank; k++)
            packed[(size_t)k * TOPN_PANEL + item] = row_at(index, at, item)[k];
}

static double largest_factor(const struct topn_index *index, size_t at)
{
    double largest = 0;
    for (size_t item = 0; item < items_in(index, at); item++)
        for (int k = 0; k < index->rank; k++)
            largest = fmax(largest, fabs((double)row_at(index, at, item)[k]));
    return largest;
}

static void pack_bytes(struct topn_index *index, size_t at)
{
    struct topn_panel *panel = &index->panels[at];
    uint8_t *packed = index->packed + at * index->panel_bytes;
    memset(packed, BYTE_OFFSET, index->panel_bytes);
    panel->scale = (float)(largest_factor(index, at) / BYTE_MOST);
    double scale = (double)panel->scale, rounded_max = 0, rounding_max = 0;
    for (size_t item = 0; item < items_in(index, at); item++) {
        double rounded = 0, rounding = 0; /* squares */
        for (int k = 0; k < index->rank; k++) {
            double y = (double)row_at(index, at, item)[k];
            double q = scale > 0 ? fmax(fmin(rint(y / scale), BYTE_MOST), -BYTE_MOST) : 0;
            size_t quad = (size_t)k / TOPN_QUAD * TOPN_PANEL + item;
            packed[quad * TOPN_QUAD + (size_t)k % TOPN_QUAD] = (uint8_t)(q + BYTE_OFFSET);
            rounded += scale * q * (scale * q);
            rounding += (y - scale * q) * (y - scale * q);
        }
        rounded_max = fmax(rounded_max, rounded);
        rounding_max = fmax(rounding_max, rounding);
    }
    panel->rounded = topn_round_up(sqrt(rounded_max));
    panel->rounding = topn_round_up(sqrt(rounding_max));
}

static void pack(struct topn_index *index)
{
    for (size_t at = 0; at < index->panel_count; at++) {
        bound(index, at);
        if (topn_filter_is_bytes(index->filter))
            pack_bytes(index, at);
        else
            pack_floats(index, at);
    }
}

static void shape(struct topn_index *index)
{
    size_t rows = index->rows;
    index->panel_count = (rows + TOPN_PANEL - 1) / TOPN_PANEL;
    index->last_items = rows > 0 ? (rows - 1) % TOPN_PANEL + 1 : 0;
    int width = topn_filter_is_bytes(index->filter) ? TOPN_QUAD : 1;
    index->steps = (index->rank + width - 1) / width;
    index->first_coordinates =
        index->rank >= FIRST_RANK_MIN ? index->rank / FIRST_SHARE / TOPN_QUAD * TOPN_QUAD : 0;
    index->first_steps = index->first_coordinates / width;
    index->panel_bytes = (size_t)index->steps * TOPN_PANEL * sizeof(float);
}

struct topn_index *topn_index_new_for(const float *Y, size_t rows, size_t stride, int rank,
                                      enum topn_filter filter)
{
    assert(rank > 0 && stride % TOPN_LANES == 0 && rows < UINT32_MAX / 2);
    if (!topn_filter_available(filter))
        return NULL;
    struct topn_index *index = mem_zalloc(sizeof *index);
    *index = (struct topn_index){.Y = Y, .rows = rows, .stride = stride, .rank = rank};
    index->filter = filter;
    index->kernel = topn_filter_kernel(filter);
    index->dots = topn_filter_dots(filter);
    shape(index);

    struct ranked *ranked = mem_try(rows + 1, sizeof *ranked);
    index->order = mem_try(index->panel_count * TOPN_PANEL + 1, sizeof *index->order);
    index->places = mem_try(rows + 1, sizeof *index->places);
    index->panels = mem_try(index->panel_count + 1, sizeof *index->panels);
    index->packed = mem_try(index->panel_count + 1, index->panel_bytes);
    if (!ranked || !index->order || !index->places || !index->panels || !index->packed) {
        free(ranked);
        topn_index_free(index);
        return NULL;
    }
    order_rows(index, ranked);
    free(ranked);
    if (isfinite(index->norm_max))
        pack(index);
    return index;
}

/* Scores of one user spread by about |x| |y| / sqrt(rank), and err by |x| |d|. More than all of
 * that takes hundreds of coordinates and a few that dwarf the others. */
static bool is_too_coarse(const struct topn_index *index)
{
    double rounded = 0, rounding = 0;
    for (size_t at = 0; at < index->panel_count; at++) {
        rounded += index->panels[at].rounded;
        rounding += index->panels[at].rounding;
    }
    return rounding * sqrt(index->rank) > rounded;
}

struct topn_index *topn_index_new(const float *Y, size_t rows, size_t stride, int rank)
{
    static const enum topn_filter floats[KERNEL_COUNT] = {TOPN_PLAIN, TOPN_AVX2, TOPN_AVX512};
    static const enum topn_filter bytes[KERNEL_COUNT] = {TOPN_PLAIN, TOPN_BYTES_AVX2,
                                                         TOPN_BYTES_AVX512};
    enum kernel kernel = kernel_chosen();
    enum topn_filter filter = bytes[kernel];
    if (filter == TOPN_BYTES_AVX512 && topn_filter_available(TOPN_BYTES_VNNI))
        filter = TOPN_BYTES_VNNI;
    struct topn_index *index = topn_index_new_for(Y, rows, stride, rank, filter);
    if (index == NULL || !topn_filter_is_bytes(filter) || !is_too_coarse(index))
        return index;
    topn_index_free(index);
    return topn_index_new_for(Y, rows, stride, rank, floats[kernel]);
}

void topn_index_free(struct topn_index *index)
{
    if (index == NULL)
        return;
    free(index->order);
    free(index->places);
    free(index->panels);
    free(index->packed);
    free(index);
}
