/* How a block is scored, and why the result is exact.
 *
 * OpenBLAS adds up a product in an order that depends on its kernel and on how many users share the
 * block, so its last bits are not a function of the pair. They serve as a filter alone: what they
 * let through is scored again by topn_score, whose order of summation is fixed, and only that score
 * is compared and published. With unit roundoff e = 2^-24, any order of summation of k products
 * errs by at most about k e |x| |y| (Higham 2002, section 3.1), so the two differ by less than
 *
 *   E = (2 k + 16) (e (|x| max|y| + max|bias|) + FLT_MIN)
 *
 * where 16 covers the addition of the bias and the roundings of E itself, and FLT_MIN what
 * underflow loses. An item whose filter score is below the threshold by more than E cannot enter.
 * Where a sum might overflow, E is infinite and everything passes. */
#include "model/topn.h"
#include "base/mem.h"
#include "model/blas.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TILE 512 /* items: 32 x 512 products are 64 KiB, which stay in the second-level cache */
#define STEP 16  /* items per step of the filter, and lanes of a sum */
#define SPARE_MIN 128 /* entries beyond n that gather between two compactions, at least */
#define SMALL 12      /* entries that insertion sort orders faster than another split */
#define UNIT_ROUNDOFF (FLT_EPSILON / 2)

struct lane { /* one user's selection under way */
    const struct topn_user *user;
    const float *products;      /* [TILE] of the current tile, or zeros */
    struct topn_entry *entries; /* [capacity], borrowed of the scratch */
    uint32_t count;
    size_t hidden;           /* first of user->hidden not yet passed */
    double slack;            /* E above; 0 without x, where the filter is exact */
    bool full;               /* n entries were found: `worst` is the n-th best of them */
    struct topn_entry worst; /* what a newcomer has to beat */
    float limit;             /* filter scores below it cannot beat `worst` */
};

struct topn_scratch {
    struct lane lanes[TOPN_USERS_MAX];
    float *x; /* [TOPN_USERS_MAX, stride]: factors of the users who have some */
    size_t x_capacity;
    float *products; /* [TOPN_USERS_MAX, TILE] */
    float *zeros;    /* [TILE] */
    struct topn_entry *entries;
    size_t entries_capacity;
};

struct topn_scratch *topn_scratch_new(void)
{
    struct topn_scratch *scratch = mem_zalloc(sizeof *scratch);
    scratch->products = mem_array(NULL, TOPN_USERS_MAX * TILE, sizeof(float));
    scratch->zeros = mem_zalloc(TILE * sizeof(float));
    return scratch;
}

void topn_scratch_free(struct topn_scratch *scratch)
{
    if (scratch == NULL)
        return;
    free(scratch->x);
    free(scratch->products);
    free(scratch->zeros);
    free(scratch->entries);
    free(scratch);
}

float topn_score(const struct topn_items *items, const float *x, uint32_t column)
{
    if (x == NULL || column >= items->rows)
        return items->bias[column];
    const float *y = items->Y + column * items->stride;
    float lanes[STEP] = {0};
    int k = 0;
    for (; k + STEP <= items->rank; k += STEP)
        for (int lane = 0; lane < STEP; lane++)
            lanes[lane] += x[k + lane] * y[k + lane];
    for (int lane = 0; k < items->rank; k++, lane++)
        lanes[lane] += x[k] * y[k];
    for (int half = STEP / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++)
            lanes[lane] += lanes[lane + half];
    return lanes[0] + items->bias[column];
}

static double norm(const float *row, int rank)
{
    double squares = 0; /* of floats: cannot overflow a double */
    for (int k = 0; k < rank; k++)
        squares += (double)row[k] * row[k];
    return sqrt(squares);
}

double topn_norm_max(const float *Y, size_t rows, size_t stride, int rank)
{
    double largest = 0;
    for (size_t row = 0; row < rows; row++)
        largest = fmax(largest, norm(Y + row * stride, rank));
    return largest;
}

/* The order of lists: the higher score first, then the smaller id. The column decides between
 * equal ids, which no caller has, so that the order is total whatever comes in. */
static bool beats(const struct topn_entry *a, const struct topn_entry *b, const struct slice *ids)
{
    if (a->score != b->score)
        return a->score > b->score;
    int order = slice_compare(ids[a->column], ids[b->column]);
    return order != 0 ? order < 0 : a->column < b->column;
}

static void insertion_sort(struct topn_entry *entries, size_t count, const struct slice *ids)
{
    for (size_t i = 1; i < count; i++) {
        struct topn_entry entry = entries[i];
        size_t at = i;
        for (; at > 0 && beats(&entry, &entries[at - 1], ids); at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

static size_t median_of_three(const struct topn_entry *entries, size_t count,
                              const struct slice *ids)
{
    size_t first = 0, middle = count / 2, last = count - 1;
    if (beats(&entries[middle], &entries[first], ids)) {
        first = count / 2;
        middle = 0;
    }
    if (beats(&entries[last], &entries[first], ids))
        return first;
    return beats(&entries[last], &entries[middle], ids) ? last : middle;
}

/* Splits at the median of three: afterwards the entries before the returned index beat the one
 * there, and those behind it do not. Which side an entry falls on is a coin toss that no processor
 * predicts, so it moves an index and not a branch. */
static size_t split(struct topn_entry *entries, size_t count, const struct slice *ids)
{
    size_t median = median_of_three(entries, count, ids);
    struct topn_entry pivot = entries[median];
    entries[median] = entries[count - 1];
    size_t better = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        struct topn_entry entry = entries[i];
        unsigned is_better = entry.score > pivot.score;
        if (entry.score == pivot.score)
            is_better = beats(&entry, &pivot, ids);
        entries[i] = entries[better];
        entries[better] = entry;
        better += is_better;
    }
    entries[count - 1] = entries[better];
    entries[better] = pivot;
    return better;
}

/* Moves the best `wanted` to the front, in any order (quickselect: Hoare 1961). */
static void select_best(struct topn_entry *entries, size_t count, size_t wanted,
                        const struct slice *ids)
{
    while (count > SMALL && wanted > 0) {
        size_t at = split(entries, count, ids);
        if (wanted <= at) {
            count = at;
        } else {
            entries += at + 1;
            count -= at + 1;
            wanted -= at + 1;
        }
    }
    insertion_sort(entries, count, ids);
}

static void sort(struct topn_entry *entries, size_t count, const struct slice *ids)
{
    while (count > SMALL) {
        size_t at = split(entries, count, ids);
        sort(entries, at, ids);
        entries += at + 1;
        count -= at + 1;
    }
    insertion_sort(entries, count, ids);
}

static bool is_excluded(const struct topn_items *items, uint32_t column)
{
    return items->excluded != NULL && (items->excluded[column / 64] >> (column % 64) & 1) != 0;
}

/* Columns come in ascending order, so one walk along the hidden ones serves the whole selection. */
static bool is_hidden(struct lane *lane, uint32_t column)
{
    const struct topn_user *user = lane->user;
    while (lane->hidden < user->hidden_count && user->hidden[lane->hidden] < column)
        lane->hidden++;
    return lane->hidden < user->hidden_count && user->hidden[lane->hidden] == column;
}

/* Keeps the best n and raises the threshold to the worst of them. */
static void compact(struct lane *lane, uint32_t n, const struct slice *ids)
{
    select_best(lane->entries, lane->count, n, ids);
    lane->count = n;
    lane->worst = lane->entries[0];
    for (uint32_t i = 1; i < n; i++)
        if (beats(&lane->worst, &lane->entries[i], ids))
            lane->worst = lane->entries[i];
    lane->full = true;

    double limit = (double)lane->worst.score - lane->slack;
    lane->limit = limit < -FLT_MAX ? -INFINITY : (float)limit;
}

/* `capacity` > n: a full buffer is compacted, so there is always room for one more. */
static void offer(struct lane *lane, const struct topn_items *items, uint32_t column, uint32_t n,
                  uint32_t capacity)
{
    if (is_excluded(items, column) || is_hidden(lane, column))
        return;
    struct topn_entry entry = {column, topn_score(items, lane->user->x, column)};
    if (isnan(entry.score) || (lane->full && !beats(&entry, &lane->worst, items->ids)))
        return;
    lane->entries[lane->count++] = entry;
    if (lane->count == capacity)
        compact(lane, n, items->ids);
}

/* One bit per item that passes; a NaN does. Written so that the compiler makes it a few vector
 * instructions. */
static uint32_t filter(const float *products, const float *bias, float limit)
{
    uint32_t passing[STEP], mask = 0;
    for (int i = 0; i < STEP; i++)
        passing[i] = (uint32_t) !(products[i] + bias[i] < limit) << i;
    for (int i = 0; i < STEP; i++)
        mask |= passing[i];
    return mask;
}

static void scan_tile(struct lane *lane, const struct topn_items *items, size_t begin, size_t count,
                      uint32_t n, uint32_t capacity)
{
    const float *bias = items->bias + begin;
    size_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        uint32_t mask = filter(lane->products + i, bias + i, lane->limit);
        for (; mask != 0; mask &= mask - 1)
            offer(lane, items, (uint32_t)(begin + i) + (uint32_t)__builtin_ctz(mask), n, capacity);
    }
    for (; i < count; i++)
        if (!(lane->products[i] + bias[i] < lane->limit))
            offer(lane, items, (uint32_t)(begin + i), n, capacity);
}

/* products = X Y' for the tile's part of Y, 0 beyond.  X: [lanes, stride] */
static void multiply_tile(struct topn_scratch *scratch, const struct topn_items *items,
                          size_t x_count, size_t begin, size_t count)
{
    size_t rows = begin < items->rows ? items->rows - begin : 0;
    if (rows > count)
        rows = count;
    if (x_count > 0 && rows > 0)
        blas_multiply_transposed(scratch->x, items->stride, items->Y + begin * items->stride,
                                 items->stride, scratch->products, TILE, (int)x_count, (int)rows,
                                 items->rank);
    for (size_t lane = 0; lane < x_count && rows < count; lane++)
        memset(scratch->products + lane * TILE + rows, 0, (count - rows) * sizeof(float));
}

/* E of the comment at the top. */
static double slack_of(const struct topn_items *items, const float *x, double norm_max,
                       double bias_max)
{
    double largest = norm(x, items->rank) * norm_max + bias_max; /* bounds every partial sum */
    if (!(largest < FLT_MAX / 2))
        return INFINITY;
    return (2.0 * items->rank + 16) * (UNIT_ROUNDOFF * largest + FLT_MIN);
}

static double largest_bias(const struct topn_items *items)
{
    float largest = 0; /* a NaN is larger than nothing, and enters no list */
    for (size_t i = 0; i < items->count; i++)
        largest = fabsf(items->bias[i]) > largest ? fabsf(items->bias[i]) : largest;
    return largest;
}

/* Gives every user a lane; gathers the factors of those who have some into one matrix, whose number
 * of rows is returned. */
static size_t open_lanes(struct topn_scratch *scratch, const struct topn_items *items,
                         const struct topn_user *users, size_t user_count, uint32_t capacity)
{
    double norm_max = items->norm_max;
    if (norm_max == 0)
        norm_max = topn_norm_max(items->Y, items->rows, items->stride, items->rank);
    double bias_max = largest_bias(items);
    size_t x_count = 0;
    for (size_t i = 0; i < user_count; i++) {
        struct lane *lane = &scratch->lanes[i];
        *lane = (struct lane){.user = &users[i],
                              .products = scratch->zeros,
                              .entries = scratch->entries + i * capacity,
                              .limit = -INFINITY};
        if (users[i].x == NULL || items->rows == 0)
            continue;
        lane->slack = slack_of(items, users[i].x, norm_max, bias_max);
        lane->products = scratch->products + x_count * TILE;
        memcpy(scratch->x + x_count * items->stride, users[i].x,
               (size_t)items->rank * sizeof(float));
        x_count++;
    }
    return x_count;
}

static void reserve(struct topn_scratch *scratch, size_t stride, size_t entries)
{
    if (scratch->x_capacity < TOPN_USERS_MAX * stride) {
        scratch->x_capacity = TOPN_USERS_MAX * stride;
        scratch->x = mem_array(scratch->x, scratch->x_capacity, sizeof *scratch->x);
    }
    if (scratch->entries_capacity < entries) {
        scratch->entries_capacity = entries;
        scratch->entries = mem_array(scratch->entries, entries, sizeof *scratch->entries);
    }
}

void topn(const struct topn_items *items, const struct topn_user *users, size_t user_count,
          uint32_t n, struct topn_entry *out, uint32_t *counts, struct topn_scratch *scratch)
{
    assert(user_count <= TOPN_USERS_MAX);
    memset(counts, 0, user_count * sizeof *counts);
    if (n == 0)
        return;
    uint32_t capacity = n + (n < SPARE_MIN ? SPARE_MIN : n);
    reserve(scratch, items->stride, user_count * capacity);
    size_t x_count = open_lanes(scratch, items, users, user_count, capacity);
    for (size_t begin = 0; begin < items->count; begin += TILE) {
        size_t count = items->count - begin < TILE ? items->count - begin : TILE;
        multiply_tile(scratch, items, x_count, begin, count);
        for (size_t i = 0; i < user_count; i++)
            scan_tile(&scratch->lanes[i], items, begin, count, n, capacity);
    }
    for (size_t i = 0; i < user_count; i++) {
        struct lane *lane = &scratch->lanes[i];
        counts[i] = lane->count < n ? lane->count : n;
        select_best(lane->entries, lane->count, counts[i], items->ids);
        sort(lane->entries, counts[i], items->ids);
        memcpy(out + i * n, lane->entries, counts[i] * sizeof *out);
    }
}
