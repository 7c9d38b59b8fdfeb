/* One user's selection: candidates gather in a buffer, exact ones beside pending ones; when it is
 * full, what cannot come into the list goes and the threshold rises. See model/topn.c. */
#include "model/topn_work.h"

#include <math.h>
#include <string.h>

#define OUT_LEAST 64 /* slots */
#define UNIT_ROUNDOFF (FLT_EPSILON / 2)

bool topn_is_excluded(const struct topn_items *items, uint32_t column)
{
    return items->excluded != NULL && (items->excluded[column / 64] >> (column % 64) & 1) != 0;
}

static void set_out(const struct topn_job *job, struct topn_lane *lane, uint32_t column)
{
    uint32_t slot = topn_lane_out_slot(lane, column);
    while (lane->out[slot] != 0 && lane->out[slot] != column + 1)
        slot = (slot + 1) & lane->out_mask;
    lane->out[slot] = column + 1;
    lane->sieve[column % TOPN_SIEVE_BITS / 64] |= UINT64_C(1) << (column % 64);
    if (column >= job->rows)
        return;
    uint32_t place = job->index->places[column];
    lane->panels_out[place / TOPN_PLACES % TOPN_SIEVE_PANELS] |= UINT64_C(1)
                                                                 << (place % TOPN_PLACES);
}

/* At most half full. */
uint32_t topn_lane_out_size(const struct topn_user *user)
{
    size_t wanted = 2 * (user->hidden_count + user->extra_count + user->last_count),
           size = OUT_LEAST;
    while (size < wanted)
        size *= 2;
    return (uint32_t)size;
}

/* -- a lane's entries -------------------------------------------------------------------------- */

static void raise_threshold(struct topn_lane *lane, float score)
{
    if (score > lane->threshold)
        lane->threshold = score;
}

/* Scores of some columns together: see topn_score. Those that are not rows have no product; which
 * they are, no processor predicts. */
static void score_columns(const struct topn_job *job, const struct topn_lane *lane,
                          const struct topn_extra *offers, uint32_t count, float *scores)
{
    uint32_t rows[TOPN_OFFERS_MAX], places[TOPN_OFFERS_MAX], row_count = 0;
    float found[TOPN_OFFERS_MAX], products[TOPN_OFFERS_MAX] = {0};
    size_t row_end = lane->user->x != NULL ? job->rows : 0;
    for (uint32_t i = 0; i < count; i++) {
        rows[row_count] = offers[i].column;
        places[row_count] = i;
        row_count += offers[i].column < row_end;
    }
    if (row_count > 0)
        job->index->dots(lane->user->x, job->index->Y, job->index->stride, rows, row_count, found);
    for (uint32_t i = 0; i < row_count; i++)
        products[places[i]] = found[i];
    for (uint32_t i = 0; i < count; i++)
        scores[i] = (job->scratch->bias[offers[i].column] + products[i]) + offers[i].value;
}

/* Pending entries, which are all rows, become exact ones. */
static void rescore(const struct topn_job *job, struct topn_lane *lane)
{
    uint32_t rows[TOPN_OFFERS_MAX], places[TOPN_OFFERS_MAX];
    float products[TOPN_OFFERS_MAX];
    for (uint32_t at = 0; lane->pending > 0;) {
        uint32_t count = 0;
        for (; at < lane->count && count < TOPN_OFFERS_MAX; at++) {
            places[count] = at;
            rows[count] = lane->columns[at] & ~TOPN_PENDING;
            count += lane->columns[at] / TOPN_PENDING;
        }
        job->index->dots(lane->user->x, job->index->Y, job->index->stride, rows, count, products);
        for (uint32_t i = 0; i < count; i++) {
            lane->columns[places[i]] = rows[i];
            lane->scores[places[i]] = (job->scratch->bias[rows[i]] + products[i]) + 0;
        }
        lane->pending -= count;
    }
}

/* Drops what cannot reach the threshold even if its doubt is all in its favour. */
static void drop(const struct topn_job *job, struct topn_lane *lane)
{
    float least = lane->threshold - 2 * lane->doubt;
    least -= fabsf(least) * TOPN_MARGIN;
    lane->count = (uint32_t)job->select->keep(lane->scores, lane->columns, lane->count, least);
    lane->pending = 0;
    for (uint32_t i = 0; i < lane->count; i++)
        lane->pending += lane->columns[i] / TOPN_PENDING;
}

/* The n-th of the lower bounds is a threshold, and so is one a little further down. */
static void narrow(const struct topn_job *job, struct topn_lane *lane)
{
    if (lane->pending == 0 || lane->count <= job->n)
        return;
    raise_threshold(lane, job->select->nth(lane->scores, lane->count, job->n, job->n / 8));
    drop(job, lane);
}

/* More than n are not below the n-th where others tie with it: the last of those by id go. */
static void drop_last_ties(const struct topn_job *job, struct topn_lane *lane, float nth)
{
    struct topn_entry *ties = job->scratch->entries;
    uint32_t count = 0, above = 0;
    for (uint32_t i = 0; i < lane->count; i++) {
        struct topn_entry entry = {lane->columns[i], lane->scores[i]};
        ties[count] = entry;
        lane->columns[above] = entry.column;
        lane->scores[above] = entry.score;
        count += entry.score == nth;
        above += entry.score > nth;
    }
    topn_sort(ties, count, job->items->ids);
    for (uint32_t i = 0; above + i < job->n; i++) {
        lane->columns[above + i] = ties[i].column;
        lane->scores[above + i] = ties[i].score;
    }
    lane->count = job->n;
}

/* Of the entries with the least score, the one that the others beat. */
static struct topn_entry find_worst(const struct topn_job *job, const struct topn_lane *lane,
                                    float least)
{
    struct topn_entry worst = {0, NAN};
    for (uint32_t i = 0; i < lane->count; i++) {
        struct topn_entry entry = {lane->columns[i], lane->scores[i]};
        if (entry.score == least &&
            (isnan(worst.score) || topn_beats(&worst, &entry, job->items->ids)))
            worst = entry;
    }
    return worst;
}

/* Keeps the best n, exactly. */
static void settle(const struct topn_job *job, struct topn_lane *lane)
{
    rescore(job, lane);
    if (lane->count < job->n)
        return;
    float nth = job->select->nth(lane->scores, lane->count, job->n, 0);
    lane->count = (uint32_t)job->select->keep(lane->scores, lane->columns, lane->count, nth);
    if (lane->count > job->n)
        drop_last_ties(job, lane, nth);
    lane->worst = find_worst(job, lane, nth);
    lane->full = true;
    raise_threshold(lane, nth);
}

static void make_room(const struct topn_job *job, struct topn_lane *lane)
{
    narrow(job, lane);
    if (lane->pending == 0 || lane->count > (job->n + job->capacity) / 2)
        settle(job, lane);
}

/* `capacity` > n: a full buffer is compacted, so there is always room for one more. */
static void push(const struct topn_job *job, struct topn_lane *lane, uint32_t column, float score)
{
    lane->columns[lane->count] = column;
    lane->scores[lane->count++] = score;
    if (lane->count == job->capacity)
        make_room(job, lane);
}

void topn_lane_push(const struct topn_job *job, struct topn_lane *lane, uint32_t column,
                    float score)
{
    struct topn_entry entry = {column, score};
    if (isnan(score) || (lane->full && !topn_beats(&entry, &lane->worst, job->items->ids)))
        return;
    push(job, lane, column, score);
}

/* The bits of those that are not out. */
static uint64_t bits_in(const struct topn_lane *lane, size_t panel,
                        const struct topn_passing *passing)
{
    uint64_t in_sieve = passing->bits & lane->panels_out[panel % TOPN_SIEVE_PANELS];
    uint64_t bits = passing->bits & ~in_sieve;
    for (; !lane->panels_say && in_sieve != 0; in_sieve &= in_sieve - 1)
        if (!topn_lane_is_out(lane, passing->columns[__builtin_ctzll(in_sieve)]))
            bits |= in_sieve & -in_sieve;
    return bits;
}

void topn_lane_push_panel(const struct topn_job *job, struct topn_lane *lane, size_t panel,
                          struct topn_passing *passing)
{
    passing->bits = bits_in(lane, panel, passing);
    if (passing->bits == 0)
        return;
    if (lane->count + TOPN_PANEL > job->capacity)
        make_room(job, lane);
    if (passing->doubt > lane->doubt)
        lane->doubt = passing->doubt;
    size_t taken =
        job->select->take(lane->scores + lane->count, lane->columns + lane->count, passing);
    lane->pending += (uint32_t)taken;
    lane->count += (uint32_t)taken;
}

/* -- what is offered first --------------------------------------------------------------------- */

/* What is below the threshold need not be known as out: its score without the extra, which the
 * filter may yet find, is no larger. */
static void offer_some(const struct topn_job *job, struct topn_lane *lane,
                       const struct topn_extra *offers, uint32_t count)
{
    float scores[TOPN_OFFERS_MAX];
    score_columns(job, lane, offers, count, scores);
    for (uint32_t i = 0; i < count; i++) {
        if (!(scores[i] >= lane->threshold)) /* nor a NaN, which is what excluded items have */
            continue;
        if (topn_lane_is_out(lane, offers[i].column)) /* a last list that repeats itself */
            continue;
        set_out(job, lane, offers[i].column);
        topn_lane_push(job, lane, offers[i].column, scores[i]);
    }
}

static void offer(const struct topn_job *job, struct topn_lane *lane,
                  const struct topn_extra *offers, size_t count)
{
    for (size_t i = 0; i < count; i += TOPN_OFFERS_MAX)
        offer_some(job, lane, offers + i,
                   (uint32_t)(count - i < TOPN_OFFERS_MAX ? count - i : TOPN_OFFERS_MAX));
}

static bool may_offer(const struct topn_job *job, const struct topn_lane *lane, uint32_t column)
{
    return (column < job->items->count) & !topn_lane_is_out(lane, column);
}

/* The extras that are in the sieve are offered; returns how many others are left in `rest`. */
static size_t offer_extras(const struct topn_job *job, struct topn_lane *lane,
                           const uint64_t *sieve, struct topn_extra *rest)
{
    const struct topn_user *user = lane->user;
    struct topn_extra *inside = job->scratch->inside;
    size_t inside_count = 0, rest_count = 0;
    for (size_t i = 0; i < user->extra_count; i++) {
        struct topn_extra extra = user->extras[i];
        bool may = may_offer(job, lane, extra.column);
        bool is_inside = sieve[extra.column % TOPN_SIEVE_BITS / 64] >> (extra.column % 64) & 1;
        inside[inside_count] = rest[rest_count] = extra;
        inside_count += may & is_inside;
        rest_count += may & !is_inside;
    }
    offer(job, lane, inside, inside_count);
    return rest_count;
}

static void offer_last(const struct topn_job *job, struct topn_lane *lane)
{
    const struct topn_user *user = lane->user;
    struct topn_extra *inside = job->scratch->inside;
    size_t count = 0;
    for (size_t i = 0; i < user->last_count; i++) {
        inside[count] = (struct topn_extra){user->last[i], 0};
        count += may_offer(job, lane, user->last[i]);
    }
    offer(job, lane, inside, count);
}

/* The last list's items with their extras give the threshold that few of the other extras reach. */
static void offer_first(const struct topn_job *job, struct topn_lane *lane)
{
    uint64_t last[TOPN_SIEVE_BITS / 64] = {0};
    const struct topn_user *user = lane->user;
    for (size_t i = 0; i < user->last_count; i++)
        last[user->last[i] % TOPN_SIEVE_BITS / 64] |= UINT64_C(1) << (user->last[i] % 64);
    size_t rest = offer_extras(job, lane, last, job->scratch->rest);
    offer_last(job, lane);
    if (lane->count >= job->n)
        settle(job, lane);
    offer(job, lane, job->scratch->rest, rest);
    if (!lane->full && lane->count >= job->n)
        settle(job, lane);
}

void topn_lane_open(const struct topn_job *job, struct topn_lane *lane,
                    const struct topn_user *user)
{
    lane->user = user;
    lane->threshold = -INFINITY;
    lane->sieve_says = job->items->count <= TOPN_SIEVE_BITS;
    lane->panels_say = job->rows <= TOPN_SIEVE_PANELS * TOPN_PANEL;
    if (user->x != NULL && job->rows > 0) {
        lane->norm = topn_norm(user->x, 0, job->index->rank);
        double largest = lane->norm * job->index->norm_max + job->bias_largest;
        bool bounded = largest < FLT_MAX / 2 && lane->norm < TOPN_NORM_MOST;
        lane->slack = bounded ? (2.0 * job->index->rank + 16) * (UNIT_ROUNDOFF * largest + FLT_MIN)
                              : INFINITY;
    }
    for (size_t i = 0; i < user->hidden_count; i++)
        set_out(job, lane, user->hidden[i]);
    offer_first(job, lane);
}

/* Many more than n are narrowed down before they are sorted. */
uint32_t topn_lane_finish(const struct topn_job *job, struct topn_lane *lane,
                          struct topn_entry *out)
{
    struct topn_entry *entries = job->scratch->entries;
    narrow(job, lane);
    rescore(job, lane);
    if (lane->count > job->n + job->n / 4)
        settle(job, lane);
    for (uint32_t i = 0; i < lane->count; i++)
        entries[i] = (struct topn_entry){lane->columns[i], lane->scores[i]};
    topn_sort(entries, lane->count, job->items->ids);
    uint32_t count = lane->count < job->n ? lane->count : job->n;
    if (count > 0)
        memcpy(out, entries, count * sizeof *out);
    return count;
}
