/* How much each item is used: exponentially decayed counts at a fixed bank of half-lives.
 *
 *   S_h(t) = sum over the item's events e with time t_e <= t of 2^-((t - t_e) / h)
 *
 * kept per (partition, item) as its value at `ts_ms`, the item's largest event time there; folded
 * in offset order, an event out of order adds its decayed share. What is served is the sum over
 * partitions in number order. An accepted event whose type has a positive weight counts 1. Pure
 * functions. */
#ifndef FRESHET_MODEL_SUMS_H
#define FRESHET_MODEL_SUMS_H

#include "model/decay.h"

#define HALF_LIFE_EVER HALF_LIFE_COUNT /* beyond the bank: the count of all events */

struct item_sums {
    int64_t ts_ms;
    uint64_t count; /* events ever */
    double decayed[HALF_LIFE_COUNT];
};

/* A zeroed struct is an item without events. A `now` before the item's own ts_ms counts as that. */
void sums_add(struct item_sums *sums, int64_t ts_ms);
double sums_at(const struct item_sums *sums, int half_life, int64_t now_ms);

#endif
