/* Panel by panel, crew by crew: users packed for the kernel, panels out of reach passed over, what
 * passes the filter pushed. Why nothing is missed is in model/topn.c. */
#include "base/mem.h"
#include "model/topn_work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRUST_MOST 16  /* tiles that an early end is expected to go on for */
#define TRUST_RETRY 16 /* panels between two tries without trust */

static void pack_floats(const struct topn_index *index, struct topn_crew *crew, uint32_t at)
{
    float *packed = crew->packed;
    const float *x = crew->lanes[at]->user->x;
    for (int k = 0; k < index->rank; k++)
        packed[k * TOPN_GROUP + (int)at] = x[k];
}

static void pack_bytes(const struct topn_index *index, struct topn_crew *crew, uint32_t at)
{
    int8_t *packed = crew->packed;
    const float *x = crew->lanes[at]->user->x;
    double largest = 0, rounding = 0, most = topn_filter_user_most(index->filter);
    for (int k = 0; k < index->rank; k++)
        largest = fabs((double)x[k]) > largest ? fabs((double)x[k]) : largest;
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

static void join(const struct topn_index *index, struct topn_crew *crew, struct topn_lane *lane)
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
static double need(const struct topn_job *job, const struct topn_lane *lane)
{
    double missing = (double)lane->threshold - (double)job->bias_max;
    return lane->norm > 0 ? missing / lane->norm : missing;
}

/* By rising need, so that the users of a crew are done with the panels at about the same time. */
static void sort_by_need(const struct topn_job *job, struct topn_lane **lanes, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct topn_lane *lane = lanes[i];
        size_t at = i;
        for (; at > 0 && need(job, lane) < need(job, lanes[at - 1]); at--)
            lanes[at] = lanes[at - 1];
        lanes[at] = lane;
    }
}

static size_t make_crews(const struct topn_job *job, struct topn_lane **lanes, size_t count)
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
        struct topn_crew *crew = &scratch->crews[i];
        crew->packed = scratch->packed + i * bytes;
        for (int user = 0; user < TOPN_GROUP; user++)
            crew->bounds.threshold[user] = FLT_MAX;
    }
    for (size_t i = 0; i < count; i++)
        join(job->index, &scratch->crews[i / TOPN_GROUP], lanes[i]);
    return crews;
}

/* Biases of a panel's items, NaN beyond the last. Returns the largest. */
static float gather_bias(const struct topn_job *job, size_t at)
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

static void run_tile(const struct topn_job *job, struct topn_crew *crew, size_t at)
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
        struct topn_passing passing = {.scores = tile->scores[user],
                                       .columns = job->index->order + at * TOPN_PANEL,
                                       .bits = tile->passing[user],
                                       .doubt = tile->doubt[user]};
        topn_lane_push_panel(job, crew->lanes[user], at, &passing);
        crew->bounds.threshold[user] = crew->lanes[user]->threshold;
    }
}

/* Panels come by falling norm, so a crew that one cannot reach is done with those behind it. */
void topn_scan_panels(const struct topn_job *job, struct topn_lane **lanes, size_t count)
{
    size_t crews = make_crews(job, lanes, count);
    struct topn_crew *all = job->scratch->crews;
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
