/* Trend: T_i(now) = log(1 + S_i(now)), S_i the decayed count of item i at one half-life, summed
 * over partitions in number order.
 *
 * Kept live in the form S_i(now) = 2^-((now - L) / h) G_i, with a landmark L common to all items
 * (forward decay: Cormode et al. 2009), so that an event changes one G_i and a batch costs one log
 * per item. Loop thread; trend_values may run on the scoring worker while the loop does not learn.
 */
#ifndef FRESHET_MODEL_TREND_H
#define FRESHET_MODEL_TREND_H

#include "model/sums.h"

#include <stddef.h>
#include <stdint.h>

/* The trend's weight where it has none and there are no factors either: so small that it only
 * orders what is the same otherwise. */
#define TREND_FALLBACK 1e-6f

struct trend_source { /* the sums of one partition, by item number; borrowed */
    const struct item_sums *sums;
    uint32_t count;
};

struct trend {
    int half_life; /* or HALF_LIFE_EVER */
    int64_t landmark_ms;
    double *gathered; /* [count], owned */
    uint32_t count, capacity;
};

void trend_deinit(struct trend *trend);

/* From scratch: after a change of half-life, partitions or generation, and by itself when `now` has
 * moved too far from the landmark. items: how many items there are. */
void trend_rebuild(struct trend *trend, int half_life, const struct trend_source *sources,
                   size_t source_count, uint32_t items, int64_t now_ms);

/* After a learn: the sums of these items changed, and there may be new items. */
void trend_touch(struct trend *trend, const struct trend_source *sources, size_t source_count,
                 uint32_t items, const uint32_t *touched, size_t touched_count, int64_t now_ms);

/* S_i(now) = trend_decay(now) gathered[i]. */
double trend_decay(const struct trend *trend, int64_t now_ms);

/* out[i] = T_i(now) for the first `count` items (0 beyond what is known). */
void trend_values(const struct trend *trend, int64_t now_ms, float *out, uint32_t count);

/* What an event at that time adds to its item's gathered[]. */
double trend_share(const struct trend *trend, int64_t ts_ms);

#endif
