/* How a block is scored, and why the result is exact.
 *
 * Kernels are filters: they say of a panel of items and a group of users which scores may be large
 * enough. What they let through is scored again by topn_score, whose order of summation is fixed,
 * and only that score is compared and published. With unit roundoff e = 2^-24, any order of
 * summation of k products, fused or not, errs by at most about k e |x| |y| (Higham 2002, section
 * 3.1). So a filter of floats and topn_score differ by less than
 *
 *   F = (2 k + 16) (e (|x| max|y| + max|bias|) + FLT_MIN)
 *
 * where 16 covers the addition of the bias and the roundings of the bounds themselves, and FLT_MIN
 * what underflow loses. The filter of bytes sums exactly, but of rounded factors. With x = t p + r
 * and y = s q + d (p, q whole numbers)
 *
 *   x.y = t s p.q + r.(s q) + x.d,  so it differs by at most  |r| |s q| + |x| |d|
 *
 * more (Cauchy-Schwarz), each norm the largest of the panel. Together that is a tile's `doubt`. An
 * item whose filter score is below the threshold by more than the doubt cannot enter; nor can one
 * of a panel with |x| max|y| + max bias + F below it; nor one whose first coordinates give a score
 * that is below it by more than the doubt and the product of what is left of |x| and |y|. Where a
 * sum might overflow, nothing is filtered.
 *
 * The threshold is a lower bound of the n-th best score: the n-th of what is known exactly, or of
 * filter scores less their doubt. Both kinds wait in one buffer, the latter marked as pending. */
#include "base/mem.h"
#include "model/topn_work.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP 16       /* items per step of a scan by bias */
#define SPARE_MIN 256 /* entries beyond n that gather between two compactions, at least */

struct topn_scratch *topn_scratch_new(void)
{
    struct topn_scratch *scratch = mem_try(1, sizeof *scratch); /* aligned */
    if (scratch == NULL)
        abort();
    return scratch;
}

void topn_scratch_free(struct topn_scratch *scratch)
{
    if (scratch == NULL)
        return;
    free(scratch->inside);
    free(scratch->rest);
    free(scratch->scores);
    free(scratch->columns);
    free(scratch->entries);
    free(scratch->bias);
    free(scratch->out);
    free(scratch->packed);
    free(scratch);
}

float topn_score(const struct topn_items *items, const float *x, uint32_t column, float extra)
{
    const struct topn_index *index = items->index;
    float score = items->bias[column], product = 0;
    if (x != NULL && index != NULL && column < index->rows)
        index->dots(x, index->Y, index->stride, &column, 1, &product);
    return (score + product) + extra;
}

/* -- columns whose score is their bias, and users that no filter may serve --------------------- */

/* One bit per item that is not below the threshold; not of a NaN. Written so that the compiler
 * makes it a few vector instructions. */
static uint32_t not_below(const float *bias, float threshold)
{
    uint32_t passing[STEP], mask = 0;
    for (int i = 0; i < STEP; i++)
        passing[i] = (uint32_t)(bias[i] >= threshold) << i;
    for (int i = 0; i < STEP; i++)
        mask |= passing[i];
    return mask;
}

static void offer_bias(const struct topn_job *job, struct topn_lane *lane, size_t column)
{
    float bias = job->scratch->bias[column];
    if (bias >= lane->threshold && !topn_lane_is_out(lane, (uint32_t)column))
        topn_lane_push(job, lane, (uint32_t)column, bias);
}

static void scan_bias(const struct topn_job *job, struct topn_lane *lane, size_t begin)
{
    size_t column = begin;
    for (; column + STEP <= job->items->count; column += STEP) {
        uint32_t mask = not_below(job->scratch->bias + column, lane->threshold);
        for (; mask != 0; mask &= mask - 1)
            offer_bias(job, lane, column + (size_t)__builtin_ctz(mask));
    }
    for (; column < job->items->count; column++)
        offer_bias(job, lane, column);
}

static void scan_rows(const struct topn_job *job, struct topn_lane *lane)
{
    for (uint32_t column = 0; column < job->rows; column++)
        if (!topn_is_excluded(job->items, column) && !topn_lane_is_out(lane, column))
            topn_lane_push(job, lane, column, topn_score(job->items, lane->user->x, column, 0));
}

/* -- all together ------------------------------------------------------------------------------ */

static void copy_bias(struct topn_job *job)
{
    struct topn_scratch *scratch = job->scratch;
    size_t count = job->items->count;
    if (count > scratch->bias_capacity) {
        scratch->bias_capacity = count + count / 4;
        scratch->bias = mem_array(scratch->bias, scratch->bias_capacity, sizeof *scratch->bias);
    }
    memcpy(scratch->bias, job->items->bias, count * sizeof *scratch->bias);
    for (size_t word = 0; job->items->excluded != NULL && word * 64 < count; word++)
        for (uint64_t bits = job->items->excluded[word]; bits != 0; bits &= bits - 1) {
            size_t column = word * 64 + (size_t)__builtin_ctzll(bits);
            if (column < count)
                scratch->bias[column] = NAN;
        }
}

/* In STEP parts, so that the compiler takes them side by side. */
static void measure_bias(struct topn_job *job)
{
    const float *bias = job->scratch->bias;
    float most[STEP], least[STEP];
    for (int i = 0; i < STEP; i++) {
        most[i] = -INFINITY;
        least[i] = INFINITY;
    }
    size_t count = job->items->count, column = 0;
    for (; column + STEP <= count; column += STEP)
        for (int i = 0; i < STEP; i++) {
            most[i] = bias[column + (size_t)i] > most[i] ? bias[column + (size_t)i] : most[i];
            least[i] = bias[column + (size_t)i] < least[i] ? bias[column + (size_t)i] : least[i];
        }
    for (; column < count; column++) {
        most[0] = bias[column] > most[0] ? bias[column] : most[0];
        least[0] = bias[column] < least[0] ? bias[column] : least[0];
    }
    job->bias_max = -INFINITY;
    for (int i = 0; i < STEP; i++) {
        job->bias_max = fmaxf(job->bias_max, most[i]);
        if (most[i] >= least[i]) /* there is a number */
            job->bias_largest =
                fmax(job->bias_largest, fmax(fabs((double)most[i]), fabs((double)least[i])));
    }
}

static void reserve(struct topn_scratch *scratch, size_t user_count, size_t capacity)
{
    size_t scores = user_count * (capacity + TOPN_SPARE);
    if (scratch->scores_capacity < scores) {
        scratch->scores_capacity = scores;
        scratch->scores = mem_array(scratch->scores, scores, sizeof *scratch->scores);
        scratch->columns = mem_array(scratch->columns, scores, sizeof *scratch->columns);
    }
    if (scratch->entries_capacity < capacity) {
        scratch->entries_capacity = capacity;
        scratch->entries = mem_array(scratch->entries, capacity, sizeof *scratch->entries);
    }
}

/* For the user with the most extras, or with the longest last list. */
static void reserve_offers(struct topn_scratch *scratch, const struct topn_user *users,
                           size_t user_count)
{
    size_t most = 0;
    for (size_t i = 0; i < user_count; i++) {
        most = users[i].extra_count > most ? users[i].extra_count : most;
        most = users[i].last_count > most ? users[i].last_count : most;
    }
    if (most < scratch->offers_capacity) /* one more is written to than are kept */
        return;
    scratch->offers_capacity = most + most / 4 + 1;
    size_t capacity = scratch->offers_capacity;
    scratch->inside = mem_array(scratch->inside, capacity, sizeof *scratch->inside);
    scratch->rest = mem_array(scratch->rest, capacity, sizeof *scratch->rest);
}

/* The lanes' tables for all users, empty, one behind the other. */
static uint32_t *clear_out(struct topn_scratch *scratch, const struct topn_user *users,
                           size_t user_count)
{
    size_t size = 0;
    for (size_t i = 0; i < user_count; i++)
        size += topn_lane_out_size(&users[i]);
    if (size > scratch->out_capacity) {
        scratch->out_capacity = size + size / 4;
        scratch->out = mem_array(scratch->out, scratch->out_capacity, sizeof *scratch->out);
    }
    memset(scratch->out, 0, size * sizeof *scratch->out);
    return scratch->out;
}

static void give_room(struct topn_job *job, const struct topn_user *users, size_t user_count)
{
    struct topn_scratch *scratch = job->scratch;
    size_t room = job->capacity + TOPN_SPARE;
    uint32_t *out = clear_out(scratch, users, user_count);
    memset(scratch->lanes, 0, user_count * sizeof *scratch->lanes);
    for (size_t i = 0; i < user_count; i++) {
        struct topn_lane *lane = &scratch->lanes[i];
        lane->scores = scratch->scores + i * room;
        lane->columns = scratch->columns + i * room;
        lane->out = out;
        lane->out_mask = topn_lane_out_size(&users[i]) - 1;
        out += lane->out_mask + 1;
    }
}

static void scan(struct topn_job *job, const struct topn_user *users, size_t user_count)
{
    struct topn_lane *filtered[TOPN_USERS_MAX];
    size_t filtered_count = 0;
    give_room(job, users, user_count);
    for (size_t i = 0; i < user_count; i++) {
        struct topn_lane *lane = &job->scratch->lanes[i];
        topn_lane_open(job, lane, &users[i]);
        size_t rows = users[i].x != NULL ? job->rows : 0;
        scan_bias(job, lane, rows);
        if (rows > 0 && isfinite(lane->slack))
            filtered[filtered_count++] = lane;
        else if (rows > 0)
            scan_rows(job, lane);
    }
    if (filtered_count > 0)
        topn_scan_panels(job, filtered, filtered_count);
}

void topn(const struct topn_items *items, const struct topn_user *users, size_t user_count,
          uint32_t n, struct topn_entry *out, uint32_t *counts, struct topn_scratch *scratch)
{
    assert(user_count <= TOPN_USERS_MAX && items->count < TOPN_PENDING);
    memset(counts, 0, user_count * sizeof *counts);
    if (n == 0 || user_count == 0 || items->count == 0)
        return;
    struct topn_job job = {.items = items, .index = items->index, .n = n, .scratch = scratch};
    job.rows = items->index != NULL ? items->index->rows : 0;
    job.select = topn_select_for(kernel_chosen());
    job.capacity = n + (n < SPARE_MIN ? SPARE_MIN : n);
    reserve(scratch, user_count, job.capacity);
    reserve_offers(scratch, users, user_count);
    copy_bias(&job);
    measure_bias(&job);
    scan(&job, users, user_count);
    for (size_t i = 0; i < user_count; i++)
        counts[i] = topn_lane_finish(&job, &scratch->lanes[i], out + i * n);
}
