/* Similar items: nearest by their factors, and those that go together most.
 *
 *   by factors    y_i.y_j / (|y_i| |y_j|)                        of the live generation
 *   by together   n_(i, j) / sqrt((n_i + S)(n_j + S)),  S = TOGETHER_PRIOR
 *
 * the latter as the third term of a score counts it now (horizon and direction of the live
 * weights; where the term is off, ever and both ways). Items that are out of the lists (blocked,
 * not available) are among them: this is about what was learned.
 *
 * May run wherever scorer_run may. Costs rank operations an item and the item's tables. */
#ifndef FRESHET_MODEL_SIMILAR_H
#define FRESHET_MODEL_SIMILAR_H

#include "model/scorer.h"
#include "model/together.h"

#define SIMILAR_MAX 1000 /* of each */

struct similar_item {
    uint32_t item;
    double cosine;
};

struct similar_list {
    struct similar_item *items; /* [count] best first; equal ones by id */
    uint32_t count, most;
};

struct similar {
    uint32_t item;
    struct slice arm; /* the scorer's: its generation, its third term */
    bool has_factors;
    uint64_t generation;
    struct together_choice together_of; /* as counted; rho means nothing here */
    struct similar_list by_factors, by_together;
};

/* item: a known one. n <= SIMILAR_MAX. */
void similar(struct scorer *scorer, uint32_t item, uint32_t n, struct similar *out);
void similar_deinit(struct similar *similar);

#endif
