/* One user's selection: candidates gather in a buffer, exact ones beside pending ones; when it is
 * full, what cannot come into the list goes and the threshold rises. See model/topn.c. */
#include "model/topn_select.h"
#include "model/topn_work.h"

#include <math.h>
#include <string.h>

#define AHEAD 8        /* rows fetched before they are scored */
#define LINE_FLOATS 16 /* of a cache line */
#define OUT_LEAST 64   /* slots */
#define UNIT_ROUNDOFF (FLT_EPSILON / 2)

bool topn_is_excluded(const struct topn_items *items, uint32_t column)
{
    return items->excluded != NULL && (items->excluded[column / 64] >> (column % 64) & 1) != 0;
}

static void set_out(struct topn_lane *lane, uint32_t column)
{
    uint32_t slot = topn_lane_out_slot(lane, column);
    while (lane->out[slot] != 0 && lane->out[slot] != column + 1)
        slot = (slot + 1) & lane->out_mask;
    lane->out[slot] = column + 1;
    lane->sieve[column % TOPN_SIEVE_BITS / 64] |= UINT64_C(1) << (column % 64);
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

static void fetch(const struct topn_index *index, uint32_t column)
{
    const float *y = index->Y + column * index->stride;
    for (size_t k = 0; k < index->stride; k += LINE_FLOATS)
        __builtin_prefetch(y + k);
}

/* Pending entries become exact ones. */
static void rescore(const struct topn_job *job, struct topn_lane *lane)
{
    if (lane->pending == 0)
        return;
    for (uint32_t i = 0; i < lane->count; i++) {
        if (i + AHEAD < lane->count && (lane->entries[i + AHEAD].column & TOPN_PENDING) != 0)
            fetch(job->index, lane->entries[i + AHEAD].column & ~TOPN_PENDING);
        struct topn_entry *entry = &lane->entries[i];
        if ((entry->column & TOPN_PENDING) == 0)
            continue;
        entry->column &= ~TOPN_PENDING;
        entry->score = topn_score(job->items, lane->user->x, entry->column, 0);
    }
    lane->pending = 0;
}

/* Drops what cannot reach the threshold even if its doubt is all in its favour. */
static void drop(struct topn_lane *lane)
{
    float least = lane->threshold - 2 * lane->doubt;
    uint32_t count = 0, pending = 0;
    least -= fabsf(least) * TOPN_MARGIN;
    for (uint32_t i = 0; i < lane->count; i++) {
        struct topn_entry entry = lane->entries[i];
        lane->entries[count] = entry;
        bool stays = entry.score >= least;
        count += stays;
        pending += stays & (entry.column / TOPN_PENDING);
    }
    lane->count = count;
    lane->pending = pending;
}

/* The n-th of the lower bounds is a threshold, and so is one a little further down. */
static void narrow(const struct topn_job *job, struct topn_lane *lane)
{
    if (lane->pending == 0 || lane->count <= job->n)
        return;
    raise_threshold(lane, topn_nth(lane->entries, lane->count, job->n, job->n / 8));
    drop(lane);
}

/* Keeps the best n, exactly. */
static void settle(const struct topn_job *job, struct topn_lane *lane)
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

static void make_room(const struct topn_job *job, struct topn_lane *lane)
{
    narrow(job, lane);
    if (lane->pending == 0 || lane->count > (job->n + job->capacity) / 2)
        settle(job, lane);
}

/* `capacity` > n: a full buffer is compacted, so there is always room for one more. */
static void push(const struct topn_job *job, struct topn_lane *lane, struct topn_entry entry)
{
    lane->entries[lane->count++] = entry;
    if (lane->count == job->capacity)
        make_room(job, lane);
}

void topn_lane_push(const struct topn_job *job, struct topn_lane *lane, uint32_t column,
                    float score)
{
    struct topn_entry entry = {column, score};
    if (isnan(score) || (lane->full && !topn_beats(&entry, &lane->worst, job->items->ids)))
        return;
    push(job, lane, entry);
}

void topn_lane_push_pending(const struct topn_job *job, struct topn_lane *lane, uint32_t column,
                            float score, float doubt)
{
    if (doubt > lane->doubt)
        lane->doubt = doubt;
    lane->pending++;
    push(job, lane, (struct topn_entry){column | TOPN_PENDING, score - doubt});
}

/* -- what is offered first --------------------------------------------------------------------- */

/* Each once; what is hidden is out already. */
static void offer_extras(const struct topn_job *job, struct topn_lane *lane)
{
    const struct topn_user *user = lane->user;
    for (size_t i = 0; i < user->extra_count; i++) {
        uint32_t column = user->extras[i].column;
        if (column >= job->items->count || topn_lane_is_out(lane, column))
            continue;
        set_out(lane, column);
        if (!topn_is_excluded(job->items, column))
            topn_lane_push(job, lane, column,
                           topn_score(job->items, user->x, column, user->extras[i].value));
    }
}

static void offer_last(const struct topn_job *job, struct topn_lane *lane)
{
    const struct topn_user *user = lane->user;
    for (size_t i = 0; i < user->last_count; i++) {
        uint32_t column = user->last[i];
        if (i + AHEAD < user->last_count && user->x != NULL && user->last[i + AHEAD] < job->rows)
            fetch(job->index, user->last[i + AHEAD]);
        if (column >= job->items->count || topn_lane_is_out(lane, column))
            continue;
        set_out(lane, column);
        if (!topn_is_excluded(job->items, column))
            topn_lane_push(job, lane, column, topn_score(job->items, user->x, column, 0));
    }
}

void topn_lane_open(const struct topn_job *job, struct topn_lane *lane,
                    const struct topn_user *user, struct topn_entry *entries, uint32_t *out)
{
    memset(lane, 0, sizeof *lane);
    lane->out = out;
    lane->out_mask = topn_lane_out_size(user) - 1;
    lane->user = user;
    lane->entries = entries;
    lane->threshold = -INFINITY;
    if (user->x != NULL && job->rows > 0) {
        lane->norm = topn_norm(user->x, 0, job->index->rank);
        double largest = lane->norm * job->index->norm_max + job->bias_largest;
        bool bounded = largest < FLT_MAX / 2 && lane->norm < TOPN_NORM_MOST;
        lane->slack = bounded ? (2.0 * job->index->rank + 16) * (UNIT_ROUNDOFF * largest + FLT_MIN)
                              : INFINITY;
    }
    for (size_t i = 0; i < user->hidden_count; i++)
        set_out(lane, user->hidden[i]);
    offer_extras(job, lane);
    offer_last(job, lane);
    if (lane->count >= job->n)
        settle(job, lane);
}

uint32_t topn_lane_finish(const struct topn_job *job, struct topn_lane *lane,
                          struct topn_entry *out)
{
    narrow(job, lane);
    settle(job, lane);
    topn_sort(lane->entries, lane->count, job->items->ids);
    if (lane->count > 0)
        memcpy(out, lane->entries, lane->count * sizeof *out);
    return lane->count;
}
