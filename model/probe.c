#include "model/probe.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/blas.h"
#include "model/cosine.h"
#include "model/scorer.h"
#include "model/variety.h"

#include <math.h>
#include <stdlib.h>

bool probe_wants(const struct slate_list *list)
{
    if (list->record == NULL || list->forgotten)
        return false;
    uint64_t version = (uint64_t)list->version.next_offset ^ (uint64_t)list->version.swap << 48;
    return hash_stable_with(list->user_id.data, list->user_id.length, version) % PROBE_ONE_IN == 0;
}

double probe_gap_closed(double before, double after)
{
    if (isnan(before) || isnan(after) || before >= 1)
        return NAN;
    return (after - before) / (1 - before);
}

/* -- factors ----------------------------------------------------------------------------------- */

struct change { /* of a user's factors */
    const struct generation *generation;
    float *before, *after; /* [stride]; zeros: there are none */
    bool had, has;
};

static bool make_factors(const struct scorer_parts *parts, const struct user_record *record,
                         int64_t now_ms, float *x)
{
    void *cache = NULL;
    bool made = taste_factors(parts->taste, record, now_ms, parts->columns->row_of,
                              parts->columns->items, x, &cache);
    free(cache);
    for (size_t k = 0; !made && k < parts->generation->stride; k++)
        x[k] = 0;
    return made;
}

static void make_change(const struct scorer_parts *parts, const struct user_record *record,
                        int64_t now_ms, struct change *change)
{
    size_t stride = parts->generation->stride;
    const struct user_record *before = user_without_since(record, record->acked_offset);
    *change = (struct change){.generation = parts->generation,
                              .before = mem_array(NULL, stride, sizeof(float)),
                              .after = mem_array(NULL, stride, sizeof(float))};
    change->had = make_factors(parts, before, now_ms, change->before);
    change->has = make_factors(parts, record, now_ms, change->after);
    user_record_unref(before);
}

static void change_deinit(struct change *change)
{
    free(change->before);
    free(change->after);
}

/* -- what they say ----------------------------------------------------------------------------- */

static double dot(const struct generation *generation, const float *x, uint32_t row)
{
    double sum = 0;
    const float *y = generation->Y + row * generation->stride;
    for (int k = 0; k < generation->hyper.rank; k++)
        sum += (double)x[k] * y[k];
    return sum;
}

static double drift(const struct change *change)
{
    double product, before, after, unused;
    size_t stride = change->generation->stride;
    if (!change->had || !change->has)
        return NAN;
    cosine_multiply(change->before, change->after, stride, &product, &after);
    cosine_multiply(change->after, change->before, stride, &unused, &before);
    return 1 - product / sqrt(before * after);
}

struct neighbours {
    struct {
        float cosine;
        uint32_t row;
    } at[PROBE_NEIGHBOURS]; /* [count] nearest first; equal ones by row */
    uint32_t count;
};

static void offer(struct neighbours *neighbours, uint32_t row, float cosine)
{
    uint32_t at = neighbours->count;
    if (at == PROBE_NEIGHBOURS && cosine <= neighbours->at[at - 1].cosine)
        return;
    if (at < PROBE_NEIGHBOURS)
        neighbours->count++;
    else
        at--;
    for (; at > 0 && neighbours->at[at - 1].cosine < cosine; at--)
        neighbours->at[at] = neighbours->at[at - 1];
    neighbours->at[at].cosine = cosine;
    neighbours->at[at].row = row;
}

/* The length of the item's own row is the same in all cosines, and left out. */
static void find_neighbours(const struct generation *generation, uint32_t own,
                            struct neighbours *neighbours)
{
    const struct generation_sample *sample = &generation->sample;
    size_t stride = generation->stride;
    float cosines[PROBE_AMONG];
    blas_multiply_transposed(generation->Y + own * stride, stride, sample->units, stride, cosines,
                             PROBE_AMONG, 1, (int)sample->count, generation->hyper.rank);
    neighbours->count = 0;
    for (uint32_t i = 0; i < sample->count; i++)
        if (sample->rows[i] != own)
            offer(neighbours, sample->rows[i], cosines[i]);
}

static double neighbour_lift(const struct change *change, uint32_t own)
{
    struct neighbours near;
    double sum = 0;
    find_neighbours(change->generation, own, &near);
    for (uint32_t i = 0; i < near.count; i++)
        sum += dot(change->generation, change->after, near.at[i].row) -
               dot(change->generation, change->before, near.at[i].row);
    return near.count > 0 ? sum / near.count : NAN;
}

/* The factors' row of the newest interaction that the last list did not know; ROW_NONE: there is
 * none that counts for its item, or the item has no factors. */
static uint32_t newest_row(const struct scorer_parts *parts, const struct user_record *record)
{
    const struct interaction *interactions = user_interactions(record);
    for (uint32_t i = record->interaction_count; i > 0; i--) {
        const struct interaction *one = &interactions[i - 1];
        if (one->offset >= record->acked_offset && parts->types[one->type].weight > 0)
            return one->item < parts->columns->items ? parts->columns->row_of[one->item] : ROW_NONE;
    }
    return ROW_NONE;
}

static void probe_response(const struct scorer_parts *parts, int64_t now_ms,
                           struct slate_list *list)
{
    struct change change;
    uint32_t row = newest_row(parts, list->record);
    make_change(parts, list->record, now_ms, &change);
    list->probe.drift = (float)drift(&change);
    if (row != ROW_NONE) {
        double before = dot(parts->generation, change.before, row);
        double after = dot(parts->generation, change.after, row);
        list->probe.gap_closed = (float)probe_gap_closed(before, after);
        list->probe.neighbour_lift = (float)neighbour_lift(&change, row);
    }
    change_deinit(&change);
}

static float diversity_of(const struct scorer_parts *parts, const struct slate_list *list)
{
    uint32_t rows[LIST_DEPTH], count = list->count < LIST_DEPTH ? list->count : LIST_DEPTH;
    for (uint32_t i = 0; i < count; i++)
        rows[i] = parts->columns->row_of[list->items[i].item];
    return (float)variety_diversity(parts->generation->Y, parts->generation->stride,
                                    parts->generation->hyper.rank, rows, count);
}

void probe_list(const struct scorer_parts *parts, int64_t now_ms, struct slate_list *list)
{
    list->probe = (struct slate_probe){true, NAN, NAN, NAN, NAN};
    if (parts->generation == NULL)
        return;
    list->probe.diversity = diversity_of(parts, list);
    if (list->cause == CAUSE_EVENT)
        probe_response(parts, now_ms, list);
}
