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
#include "model/topn_index.h"
#include "model/topn_select.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define STEP 16        /* items per step of a scan by bias */
#define SPARE_MIN 256  /* entries beyond n that gather between two compactions, at least */
#define AHEAD 8        /* rows fetched before they are scored */
#define LINE_FLOATS 16 /* of a cache line */
#define SIEVE_BITS 8192
#define OUT_LEAST 64        /* slots */
#define TRUST_MOST 16       /* tiles that an early end is expected to go on for */
#define TRUST_RETRY 16      /* panels between two tries without trust */
#define PENDING 0x80000000u /* in a column: the score is the filter's, less its doubt */
#define UNIT_ROUNDOFF (FLT_EPSILON / 2)
#define CREWS_MAX (TOPN_USERS_MAX / TOPN_GROUP)

struct lane { /* one user's selection under way */
    const struct topn_user *user;
    struct topn_entry *entries; /* [capacity], borrowed of the scratch */
    uint32_t count, pending;
    float threshold;         /* no score below it enters */
    float doubt;             /* the largest of a pending entry's */
    bool full;               /* n exact entries were seen; the last of them: */
    struct topn_entry worst; /* what a newcomer has to beat */
    double norm;             /* |x| */
    double slack;            /* F above; infinite: no filter */
    uint32_t *out; /* [out_mask + 1]: hash table of column + 1: hidden or offered already */
    uint32_t out_mask;
    uint64_t sieve[SIEVE_BITS / 64]; /* a bit is set where a column of `out` falls: most do not */
};

struct crew { /* the users of a tile */
    struct topn_group bounds;
    void *packed; /* [steps, TOPN_GROUP] */
    struct lane *lanes[TOPN_GROUP];
    uint32_t count;
    int trust; /* that tiles end early */
};

struct topn_scratch {
    struct lane lanes[TOPN_USERS_MAX];
    struct crew crews[CREWS_MAX];
    struct topn_tile tile;
    _Alignas(64) float panel_bias[TOPN_PANEL];
    struct topn_entry *entries;
    size_t entries_capacity;
    float *bias; /* [count], NaN where excluded */
    size_t bias_capacity;
    uint32_t *out; /* of all lanes */
    size_t out_capacity;
    unsigned char *packed; /* [crews, steps, TOPN_GROUP] */
    size_t packed_capacity;
};

/* A call's arguments and what is found out once for all its users. */
struct job {
    const struct topn_items *items;
    const struct topn_index *index; /* NULL: there is none */
    size_t rows;
    uint32_t n, capacity;
    float bias_max;      /* of what is not excluded */
    double bias_largest; /* in size; a NaN is larger than nothing, and enters no list */
    struct topn_scratch *scratch;
};

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
    free(scratch->entries);
    free(scratch->bias);
    free(scratch->out);
    free(scratch->packed);
    free(scratch);
}

float topn_score(const struct topn_items *items, const float *x, uint32_t column, float extra)
{
    const struct topn_index *index = items->index;
    float score = items->bias[column];
    if (x != NULL && index != NULL && column < index->rows)
        score += index->dot(x, index->Y + column * index->stride, index->stride);
    return score + extra;
}

/* -- who is eligible --------------------------------------------------------------------------- */

static bool is_excluded(const struct topn_items *items, uint32_t column)
{
    return items->excluded != NULL && (items->excluded[column / 64] >> (column % 64) & 1) != 0;
}

static uint32_t out_slot(const struct lane *lane, uint32_t column)
{
    return column * 2654435769u >> 7 & lane->out_mask; /* Knuth's multiplicative hash */
}

static void set_out(struct lane *lane, uint32_t column)
{
    uint32_t slot = out_slot(lane, column);
    while (lane->out[slot] != 0 && lane->out[slot] != column + 1)
        slot = (slot + 1) & lane->out_mask;
    lane->out[slot] = column + 1;
    lane->sieve[column % SIEVE_BITS / 64] |= UINT64_C(1) << (column % 64);
}

/* Not to be offered (again). */
static bool is_out(const struct lane *lane, uint32_t column)
{
    if ((lane->sieve[column % SIEVE_BITS / 64] >> (column % 64) & 1) == 0)
        return false;
    uint32_t slot = out_slot(lane, column);
    while (lane->out[slot] != 0 && lane->out[slot] != column + 1)
        slot = (slot + 1) & lane->out_mask;
    return lane->out[slot] != 0;
}

/* At most half full. */
static uint32_t out_size(const struct topn_user *user)
{
    size_t wanted = 2 * (user->hidden_count + user->extra_count + user->last_count),
           size = OUT_LEAST;
    while (size < wanted)
        size *= 2;
    return (uint32_t)size;
}

/* -- a lane's entries -------------------------------------------------------------------------- */

static void raise_threshold(struct lane *lane, float score)
{
    if (score > lane->threshold)
        lane->threshold = score;
}

static void fetch(const struct topn_index *index, uint32_t column)
{
    const float *y = index->Y + column * index->stride;
    for (size_t k = 0; k < index->stride; k += LINE_FLOATS)
        __builtin_prefetch(y + k);
}

/* Pending entries become exact ones. */
static void rescore(const struct job *job, struct lane *lane)
{
    if (lane->pending == 0)
        return;
    for (uint32_t i = 0; i < lane->count; i++) {
        if (i + AHEAD < lane->count && (lane->entries[i + AHEAD].column & PENDING) != 0)
            fetch(job->index, lane->entries[i + AHEAD].column & ~PENDING);
        struct topn_entry *entry = &lane->entries[i];
        if ((entry->column & PENDING) == 0)
            continue;
        entry->column &= ~PENDING;
        entry->score = topn_score(job->items, lane->user->x, entry->column, 0);
    }
    lane->pending = 0;
}

/* Drops what cannot reach the threshold even if its doubt is all in its favour. */
static void drop(struct lane *lane)
{
    float least = lane->threshold - 2 * lane->doubt;
    uint32_t count = 0, pending = 0;
    least -= fabsf(least) * TOPN_MARGIN;
    for (uint32_t i = 0; i < lane->count; i++) {
        struct topn_entry entry = lane->entries[i];
        lane->entries[count] = entry;
        bool stays = entry.score >= least;
        count += stays;
        pending += stays & (entry.column / PENDING);
    }
    lane->count = count;
    lane->pending = pending;
}

/* The n-th of the lower bounds is a threshold, and so is one a little further down. */
static void narrow(const struct job *job, struct lane *lane)
{
    if (lane->pending == 0 || lane->count <= job->n)
        return;
    raise_threshold(lane, topn_nth(lane->entries, lane->count, job->n, job->n / 8));
    drop(lane);
}

/* Keeps the best n, exactly. */
static void settle(const struct job *job, struct lane *lane)
{
    rescore(job, lane);
    if (lane->count < job->n)
        return;
    topn_select_best(lane->entries, lane->count, job->n, job->items->ids);
    lane->count = job->n;
    lane->worst = lane->entries[0];
    for (uint32_t i = 1; i < job->n; i++)
        if (topn_beats(&lane->worst, &lane->entries[i], job->items->ids))
            lane->worst = lane->entries[i];
    lane->full = true;
    raise_threshold(lane, lane->worst.score);
}

static void make_room(const struct job *job, struct lane *lane)
{
    narrow(job, lane);
    if (lane->pending == 0 || lane->count > (job->n + job->capacity) / 2)
        settle(job, lane);
}

/* `capacity` > n: a full buffer is compacted, so there is always room for one more. */
static void push(const struct job *job, struct lane *lane, struct topn_entry entry)
{
    lane->entries[lane->count++] = entry;
    if (lane->count == job->capacity)
        make_room(job, lane);
}

static void push_exact(const struct job *job, struct lane *lane, uint32_t column, float score)
{
    struct topn_entry entry = {column, score};
    if (isnan(score) || (lane->full && !topn_beats(&entry, &lane->worst, job->items->ids)))
        return;
    push(job, lane, entry);
}

/* -- what is offered first --------------------------------------------------------------------- */

/* Each once; what is hidden is out already. */
static void offer_extras(const struct job *job, struct lane *lane)
{
    const struct topn_user *user = lane->user;
    for (size_t i = 0; i < user->extra_count; i++) {
        uint32_t column = user->extras[i].column;
        if (column >= job->items->count || is_out(lane, column))
            continue;
        set_out(lane, column);
        if (!is_excluded(job->items, column))
            push_exact(job, lane, column,
                       topn_score(job->items, user->x, column, user->extras[i].value));
    }
}

static void offer_last(const struct job *job, struct lane *lane)
{
    const struct topn_user *user = lane->user;
    for (size_t i = 0; i < user->last_count; i++) {
        uint32_t column = user->last[i];
        if (i + AHEAD < user->last_count && user->x != NULL && user->last[i + AHEAD] < job->rows)
            fetch(job->index, user->last[i + AHEAD]);
        if (column >= job->items->count || is_out(lane, column))
            continue;
        set_out(lane, column);
        if (!is_excluded(job->items, column))
            push_exact(job, lane, column, topn_score(job->items, user->x, column, 0));
    }
}

static void open_lane(const struct job *job, struct lane *lane, const struct topn_user *user,
                      struct topn_entry *entries, uint32_t *out)
{
    memset(lane, 0, sizeof *lane);
    lane->out = out;
    lane->out_mask = out_size(user) - 1;
    lane->user = user;
    lane->entries = entries;
    lane->threshold = -INFINITY;
    if (user->x != NULL && job->rows > 0) {
        lane->norm = topn_norm(user->x, 0, job->index->rank);
        double largest = lane->norm * job->index->norm_max + job->bias_largest;
        lane->slack = largest < FLT_MAX / 2
                          ? (2.0 * job->index->rank + 16) * (UNIT_ROUNDOFF * largest + FLT_MIN)
                          : INFINITY;
    }
    for (size_t i = 0; i < user->hidden_count; i++)
        set_out(lane, user->hidden[i]);
    offer_extras(job, lane);
    offer_last(job, lane);
    if (lane->count >= job->n)
        settle(job, lane);
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

static void offer_bias(const struct job *job, struct lane *lane, size_t column)
{
    float bias = job->scratch->bias[column];
    if (bias >= lane->threshold && !is_out(lane, (uint32_t)column))
        push_exact(job, lane, (uint32_t)column, bias);
}

static void scan_bias(const struct job *job, struct lane *lane, size_t begin)
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

static void scan_rows(const struct job *job, struct lane *lane)
{
    for (uint32_t column = 0; column < job->rows; column++)
        if (!is_excluded(job->items, column) && !is_out(lane, column))
            push_exact(job, lane, column, topn_score(job->items, lane->user->x, column, 0));
}

/* -- panels ------------------------------------------------------------------------------------ */

static void pack_floats(const struct topn_index *index, struct crew *crew, uint32_t at)
{
    float *packed = crew->packed;
    const float *x = crew->lanes[at]->user->x;
    for (int k = 0; k < index->rank; k++)
        packed[k * TOPN_GROUP + (int)at] = x[k];
}

static void pack_bytes(const struct topn_index *index, struct crew *crew, uint32_t at)
{
    int8_t *packed = crew->packed;
    const float *x = crew->lanes[at]->user->x;
    double largest = 0, rounding = 0, most = topn_filter_user_most(index->filter);
    for (int k = 0; k < index->rank; k++)
        largest = fmax(largest, fabs((double)x[k]));
    crew->bounds.scale[at] = (float)(largest / most);
    double scale = (double)crew->bounds.scale[at];
    for (int k = 0; k < index->rank; k++) {
        double value = (double)x[k];
        double p = scale > 0 ? fmax(fmin(rint(value / scale), most), -most) : 0;
        packed[(k / TOPN_QUAD * TOPN_GROUP + (int)at) * TOPN_QUAD + k % TOPN_QUAD] = (int8_t)p;
        rounding += (value - scale * p) * (value - scale * p);
        crew->bounds.offset[at] += 128 * (int32_t)p;
        if (k + 1 == index->first_coordinates)
            crew->bounds.first_offset[at] = crew->bounds.offset[at];
    }
    crew->bounds.rounding[at] = topn_round_up(sqrt(rounding));
}

static void join(const struct topn_index *index, struct crew *crew, struct lane *lane)
{
    uint32_t at = crew->count++;
    crew->lanes[at] = lane;
    crew->bounds.threshold[at] = lane->threshold;
    crew->bounds.slack[at] = topn_round_up(lane->slack);
    crew->bounds.norm[at] = topn_round_up(lane->norm);
    crew->bounds.rest[at] =
        topn_round_up(topn_norm(lane->user->x, index->first_coordinates, index->rank));
    if (topn_filter_is_bytes(index->filter))
        pack_bytes(index, crew, at);
    else
        pack_floats(index, crew, at);
}

/* The norm that an item needs at least to come into a lane's list. */
static double need(const struct job *job, const struct lane *lane)
{
    double missing = (double)lane->threshold - (double)job->bias_max;
    return lane->norm > 0 ? missing / lane->norm : missing;
}

/* By rising need, so that the users of a group are done with the panels at about the same time. */
static void sort_by_need(const struct job *job, struct lane **lanes, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct lane *lane = lanes[i];
        size_t at = i;
        for (; at > 0 && need(job, lane) < need(job, lanes[at - 1]); at--)
            lanes[at] = lanes[at - 1];
        lanes[at] = lane;
    }
}

static size_t make_crews(const struct job *job, struct lane **lanes, size_t count)
{
    struct topn_scratch *scratch = job->scratch;
    size_t crews = (count + TOPN_GROUP - 1) / TOPN_GROUP;
    size_t bytes = (size_t)job->index->steps * TOPN_GROUP * sizeof(float);
    if (crews * bytes > scratch->packed_capacity) {
        free(scratch->packed);
        scratch->packed_capacity = crews * bytes;
        scratch->packed = mem_try(crews, bytes);
        if (scratch->packed == NULL)
            abort();
    }
    memset(scratch->packed, 0, crews * bytes);
    memset(scratch->crews, 0, crews * sizeof *scratch->crews);
    sort_by_need(job, lanes, count);
    for (size_t i = 0; i < crews; i++) {
        struct crew *crew = &scratch->crews[i];
        crew->packed = scratch->packed + i * bytes;
        for (int user = 0; user < TOPN_GROUP; user++)
            crew->bounds.threshold[user] = FLT_MAX;
    }
    for (size_t i = 0; i < count; i++)
        join(job->index, &scratch->crews[i / TOPN_GROUP], lanes[i]);
    return crews;
}

/* Biases of a panel's items, NaN beyond the last. Returns the largest. */
static float gather_bias(const struct job *job, size_t at)
{
    const uint32_t *order = job->index->order + at * TOPN_PANEL;
    const float *bias = job->scratch->bias;
    float *to = job->scratch->panel_bias, largest = -INFINITY;
    size_t count = at + 1 < job->index->panel_count ? TOPN_PANEL : job->index->last_items;
    for (size_t i = 0; i < count; i++)
        to[i] = bias[order[i]];
    for (size_t i = count; i < TOPN_PANEL; i++)
        to[i] = NAN;
    for (size_t i = 0; i < count; i++)
        largest = to[i] > largest ? to[i] : largest;
    return largest;
}

static void take(const struct job *job, struct lane *lane, size_t at, uint32_t user)
{
    const struct topn_tile *tile = &job->scratch->tile;
    float doubt = tile->doubt[user];
    const uint32_t *order = job->index->order + at * TOPN_PANEL;
    if (doubt > lane->doubt)
        lane->doubt = doubt;
    for (uint64_t bits = tile->passing[user]; bits != 0; bits &= bits - 1) {
        int item = __builtin_ctzll(bits);
        if (is_out(lane, order[item]))
            continue;
        lane->pending++;
        push(job, lane,
             (struct topn_entry){order[item] | PENDING, tile->scores[user][item] - doubt});
    }
}

static void run_tile(const struct job *job, struct crew *crew, size_t at)
{
    struct topn_tile *tile = &job->scratch->tile;
    tile->users = crew->packed;
    tile->group = &crew->bounds;
    bool tries = crew->trust > 0 || at % TRUST_RETRY == 0;
    tile->first_steps = tries ? job->index->first_steps : 0;
    unsigned users = job->index->kernel(tile);
    if (tile->ended_early)
        crew->trust += crew->trust < TRUST_MOST ? 2 : 0;
    else if (tries)
        crew->trust -= crew->trust > 0;
    for (; users != 0; users &= users - 1) {
        uint32_t user = (uint32_t)__builtin_ctz(users);
        if (user >= crew->count)
            break;
        take(job, crew->lanes[user], at, user);
        crew->bounds.threshold[user] = crew->lanes[user]->threshold;
    }
}

/* Panels come by falling norm, so a crew that one cannot reach is done with those behind it. */
static void scan_panels(const struct job *job, size_t crews)
{
    struct crew *all = job->scratch->crews;
    struct topn_tile *tile = &job->scratch->tile;
    tile->bias = job->scratch->panel_bias;
    tile->steps = job->index->steps;
    for (size_t at = 0; at < job->index->panel_count; at++) {
        tile->panel = &job->index->panels[at];
        while (crews > 0 &&
               !topn_may_reach(&all[crews - 1].bounds, tile->panel->norm, job->bias_max))
            crews--;
        if (crews == 0)
            break;
        tile->items = job->index->packed + at * job->index->panel_bytes;
        tile->bias_max = gather_bias(job, at);
        for (size_t i = 0; i < crews; i++)
            run_tile(job, &all[i], at);
    }
}

/* -- all together ------------------------------------------------------------------------------ */

static void copy_bias(struct job *job)
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
static void measure_bias(struct job *job)
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

static void reserve(struct topn_scratch *scratch, size_t entries)
{
    if (scratch->entries_capacity >= entries)
        return;
    scratch->entries_capacity = entries;
    scratch->entries = mem_array(scratch->entries, entries, sizeof *scratch->entries);
}

/* Room for all users' tables, empty. */
static uint32_t *clear_out(struct topn_scratch *scratch, const struct topn_user *users,
                           size_t user_count)
{
    size_t size = 0;
    for (size_t i = 0; i < user_count; i++)
        size += out_size(&users[i]);
    if (size > scratch->out_capacity) {
        scratch->out_capacity = size + size / 4;
        scratch->out = mem_array(scratch->out, scratch->out_capacity, sizeof *scratch->out);
    }
    memset(scratch->out, 0, size * sizeof *scratch->out);
    return scratch->out;
}

static void scan(struct job *job, const struct topn_user *users, size_t user_count)
{
    struct lane *filtered[TOPN_USERS_MAX];
    size_t filtered_count = 0;
    uint32_t *out = clear_out(job->scratch, users, user_count);
    for (size_t i = 0; i < user_count; i++) {
        struct lane *lane = &job->scratch->lanes[i];
        open_lane(job, lane, &users[i], job->scratch->entries + i * job->capacity, out);
        out += lane->out_mask + 1;
        size_t rows = users[i].x != NULL ? job->rows : 0;
        scan_bias(job, lane, rows);
        if (rows > 0 && isfinite(lane->slack))
            filtered[filtered_count++] = lane;
        else if (rows > 0)
            scan_rows(job, lane);
    }
    if (filtered_count > 0)
        scan_panels(job, make_crews(job, filtered, filtered_count));
}

static uint32_t finish(const struct job *job, struct lane *lane, struct topn_entry *out)
{
    narrow(job, lane);
    settle(job, lane);
    topn_sort(lane->entries, lane->count, job->items->ids);
    if (lane->count > 0)
        memcpy(out, lane->entries, lane->count * sizeof *out);
    return lane->count;
}

void topn(const struct topn_items *items, const struct topn_user *users, size_t user_count,
          uint32_t n, struct topn_entry *out, uint32_t *counts, struct topn_scratch *scratch)
{
    assert(user_count <= TOPN_USERS_MAX && items->count < PENDING);
    memset(counts, 0, user_count * sizeof *counts);
    if (n == 0 || user_count == 0 || items->count == 0)
        return;
    struct job job = {.items = items, .index = items->index, .n = n, .scratch = scratch};
    job.rows = items->index != NULL ? items->index->rows : 0;
    job.capacity = n + (n < SPARE_MIN ? SPARE_MIN : n);
    reserve(scratch, user_count * job.capacity);
    copy_bias(&job);
    measure_bias(&job);
    scan(&job, users, user_count);
    for (size_t i = 0; i < user_count; i++)
        counts[i] = finish(&job, &scratch->lanes[i], out + i * n);
}
