/* The third term of a score: items that go together with what the user used last.
 *
 *   C_ui = sum over d of rho^d  n_(j_d, i) / sqrt((n_i + S)(n_(j_d) + S)),     S = TOGETHER_PRIOR
 *
 * with j_0, j_1, ... the user's TOGETHER_WINDOW latest distinct items (of types with a positive
 * weight), n_(j, i) the co-occurrence of model/pairs.h at one horizon, forward alone or both ways,
 * and n_i the item's events at the same horizon, each decayed to `now` and summed over partitions
 * in number order: the cosine of item-to-item collaborative filtering (Linden, Smith, York 2003),
 * live and with a prior. C is 0 but for some hundreds or a thousand items, which together_extras
 * lists.
 *
 * Loop thread; together_extras may run on the scoring worker while the loop does not learn. */
#ifndef FRESHET_MODEL_TOGETHER_H
#define FRESHET_MODEL_TOGETHER_H

#include "model/pairs.h"
#include "model/topn.h"
#include "model/trend.h"

#define TOGETHER_WINDOW 10
#define TOGETHER_PRIOR 10.0
#define TOGETHER_DAY_HALF_LIFE 3 /* of the uses beside PAIRS_DAY: index into half_life_ms */

struct together_choice { /* what is fitted beside the term's weight */
    double rho;          /* (0, 1] */
    enum pairs_horizon horizon;
    bool both; /* backward counts, too */
};

struct together {
    struct together_choice choice;
    struct trend use;           /* n_i: at half-life 1d, or ever */
    const struct pairs **pairs; /* [pairs_count] of the partitions; borrowed */
    size_t pairs_count;
    float *norm; /* [norm_count] 1 / sqrt(n_i + S) at norm_ms, by item number */
    uint32_t norm_count, capacity;
    int64_t norm_ms;
    float *sums;           /* [capacity] by item: C without its norm; zeros between calls */
    struct together_part { /* a table to be added, and what to multiply it by */
        const struct pairs_table *table;
        float weight;
    } * parts; /* [parts_capacity] */
    size_t parts_capacity;
};

void together_deinit(struct together *together);

/* From scratch: after a change of choice, partitions or generation. pairs, sources: of the same
 * partitions in number order. */
void together_rebuild(struct together *together, const struct together_choice *choice,
                      const struct pairs *const *pairs, const struct trend_source *sources,
                      size_t partition_count, uint32_t items, int64_t now_ms);

/* After a learn: as trend_touch. */
void together_touch(struct together *together, const struct trend_source *sources,
                    size_t partition_count, uint32_t items, const uint32_t *touched,
                    size_t touched_count, int64_t now_ms);

/* Makes the norms those of now: once before the calls of together_extras for that time. */
void together_prepare(struct together *together, int64_t now_ms);

/* The most that together_extras may return. */
size_t together_extras_max(const struct together *together, const uint32_t *latest, size_t count);

/* out[..] = (column, weight C_ui) for every item with C_ui > 0, each once, in no order; returns how
 * many. out: room for together_extras_max. latest: [count <= TOGETHER_WINDOW], latest first.
 * column_of: [items]. */
size_t together_extras(struct together *together, const uint32_t *latest, size_t count,
                       double weight, const uint32_t *column_of, uint32_t items,
                       struct topn_extra *out);

/* C_ui of one item, part by part, in float64 and from the tables as they are: nothing need be
 * prepared. parts: [count], of each of `latest`; weight not included. */
struct together_share {
    double fade; /* rho^d */
    double n;    /* n_(j_d, i) now */
    double norm; /* 1 / sqrt((n_i + S)(n_(j_d) + S)) */
};
void together_split(const struct together *together, const uint32_t *latest, size_t count,
                    uint32_t item, int64_t now_ms, struct together_share *parts);

/* n_(j, i) of the neighbour at `place` of a table, now. */
double together_count(const struct together_choice *choice, const struct pairs_table *table,
                      uint32_t place, int64_t now_ms);

/* Sets the item's use.gathered[], for lists that are only supposed. */
void together_set_use(struct together *together, uint32_t item, double gathered);

#endif
