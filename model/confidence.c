#include "model/confidence.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

/* No confidence may grow beyond this, or float32 sums of it lose all else. */
#define CONFIDENCE_MAX 1e8

/* One user's distinct items, newest first, while their confidences are gathered. */
struct gathering {
    uint32_t *table;    /* [mask + 1]: hash of row -> place + 1, or 0 */
    uint32_t *place_of; /* [count]: of each interaction, or ROW_NONE */
    uint32_t *row;      /* [places] */
    double *of_type;    /* [places]: what one type gathers */
    double *total;      /* [places]: what all gather */
    uint32_t mask;
    uint32_t places;
};

static void gathering_init(struct gathering *g, size_t count)
{
    uint32_t size = 4;
    while (size < 2 * count)
        size *= 2;
    char *memory =
        mem_zalloc(count * (2 * sizeof(double) + 2 * sizeof(uint32_t)) + size * sizeof(uint32_t));
    g->of_type = (double *)memory;
    g->total = g->of_type + count;
    g->place_of = (uint32_t *)(g->total + count);
    g->row = g->place_of + count;
    g->table = g->row + count;
    g->mask = size - 1;
    g->places = 0;
}

static uint32_t place_of_row(struct gathering *g, uint32_t row)
{
    uint32_t slot = row * 2654435769u & g->mask; /* Fibonacci hashing */
    while (g->table[slot] != 0 && g->row[g->table[slot] - 1] != row)
        slot = (slot + 1) & g->mask;
    if (g->table[slot] == 0) {
        g->row[g->places] = row;
        g->table[slot] = ++g->places;
    }
    return g->table[slot] - 1;
}

/* Gives each interaction its item's place; returns the set of types that matter, bit by number. */
static uint64_t place_items(struct gathering *g, const struct interaction *interactions,
                            size_t count, const struct type_weight *types, const uint32_t *row_of,
                            size_t row_count)
{
    uint64_t used = 0;
    for (size_t i = count; i-- > 0;) {
        const struct interaction *at = &interactions[i];
        uint32_t row = at->item < row_count ? row_of[at->item] : ROW_NONE;
        g->place_of[i] = ROW_NONE;
        if (row == ROW_NONE || types[at->type].weight == 0)
            continue;
        g->place_of[i] = place_of_row(g, row);
        used |= (uint64_t)1 << at->type;
    }
    return used;
}

static double value_of(enum value_kind kind, double value)
{
    switch (kind) {
    case VALUE_LINEAR:
        return value;
    case VALUE_LOG:
        return log1p(value);
    case VALUE_NONE:
        break;
    }
    return 1;
}

static double decay_of(const struct type_weight *type, int64_t age_ms)
{
    if (type->half_life_ms == 0 || age_ms <= 0)
        return 1;
    return exp2(-(double)age_ms / (double)type->half_life_ms);
}

/* Makes the amounts of one type what they are of min(cap, their sum), with the type's sign. */
static void share_cap(const struct gathering *g, const struct interaction *interactions,
                      size_t count, const struct type_weight *type, uint16_t number,
                      struct confidence_share *shares)
{
    for (size_t i = 0; i < count; i++) {
        if (interactions[i].type != number || g->place_of[i] == ROW_NONE)
            continue;
        double sum = g->of_type[g->place_of[i]];
        if (sum > type->cap)
            shares[i].c *= type->cap / sum;
        shares[i].c = copysign(shares[i].c, type->weight);
    }
}

/* Adds min(cap, sum of |weight| value' decay rho^position) of one type, with its sign, to totals.
 * shares: NULL, or [count], where c becomes what each interaction has of it.
 */
static void gather_type(struct gathering *g, const struct interaction *interactions, size_t count,
                        const struct type_weight *types, uint16_t number, double rho,
                        int64_t now_ms, struct confidence_share *shares)
{
    const struct type_weight *type = &types[number];
    double recency = 1; /* rho^position */
    int64_t latest = INT64_MAX;
    for (size_t i = count; i-- > 0;) {
        const struct interaction *at = &interactions[i];
        if (types[at->type].weight == 0)
            continue;
        if (at->ts_ms != latest && latest != INT64_MAX)
            recency *= rho;
        latest = at->ts_ms;
        if (at->type != number || g->place_of[i] == ROW_NONE)
            continue;
        double amount = fabs(type->weight) * value_of(type->value, at->value) *
                        decay_of(type, now_ms - at->ts_ms) * recency;
        g->of_type[g->place_of[i]] += amount;
        if (shares != NULL)
            shares[i].c = amount;
    }
    if (shares != NULL)
        share_cap(g, interactions, count, type, number, shares);
    for (uint32_t place = 0; place < g->places; place++) {
        g->total[place] += copysign(fmin(g->of_type[place], type->cap), type->weight);
        g->of_type[place] = 0;
    }
}

/* (p, q) of a confidence: see the objectives in the header. */
static struct pair pair_of(uint32_t row, double c, const struct hyperparameters *hyper)
{
    c = fmax(-CONFIDENCE_MAX, fmin(CONFIDENCE_MAX, c));
    if (c < 0)
        return (struct pair){row, (float)-c, 0};
    switch (hyper->objective) {
    case OBJECTIVE_HU:
        return (struct pair){row, (float)c, (float)(1 + c)};
    case OBJECTIVE_IMPLICIT:
        /* Below -w0 the item would have a negative weight in all, and A no inverse. */
        return (struct pair){row, (float)fmax(c - 1, -hyper->w0), (float)c};
    case OBJECTIVE_IALS:
        break;
    }
    return (struct pair){row, (float)c, (float)c};
}

/* Which pair each interaction went into: pair_of_place[place], or PAIR_NONE. */
static void place_shares(const struct gathering *g, size_t count, double alpha,
                         struct confidence_share *shares)
{
    size_t *pair_of_place = mem_array(NULL, g->places + 1, sizeof *pair_of_place), written = 0;
    for (uint32_t place = 0; place < g->places; place++)
        pair_of_place[place] = alpha * g->total[place] != 0 ? written++ : PAIR_NONE;
    for (size_t i = 0; i < count; i++) {
        shares[i].pair = g->place_of[i] != ROW_NONE ? pair_of_place[g->place_of[i]] : PAIR_NONE;
        shares[i].c = shares[i].pair != PAIR_NONE ? alpha * shares[i].c : 0;
    }
    free(pair_of_place);
}

size_t confidence_split(const struct interaction *interactions, size_t count,
                        const struct type_weight *types, const struct hyperparameters *hyper,
                        double rho, int64_t now_ms, const uint32_t *row_of, size_t row_count,
                        struct pair *pairs, struct confidence_share *shares)
{
    struct gathering g;
    gathering_init(&g, count);
    uint64_t used = place_items(&g, interactions, count, types, row_of, row_count);
    for (uint16_t type = 0; used >> type != 0; type++) {
        if (used >> type & 1)
            gather_type(&g, interactions, count, types, type, rho, now_ms, shares);
        if (type == 63)
            break;
    }
    size_t written = 0;
    for (uint32_t place = 0; place < g.places; place++) {
        double c = hyper->alpha * g.total[place];
        if (c != 0) /* one too small for a float still counts as an item: see lambda_of */
            pairs[written++] = pair_of(g.row[place], c, hyper);
    }
    if (shares != NULL)
        place_shares(&g, count, hyper->alpha, shares);
    free(g.of_type);
    return written;
}

size_t confidence_pairs(const struct interaction *interactions, size_t count,
                        const struct type_weight *types, const struct hyperparameters *hyper,
                        double rho, int64_t now_ms, const uint32_t *row_of, size_t row_count,
                        struct pair *pairs)
{
    return confidence_split(interactions, count, types, hyper, rho, now_ms, row_of, row_count,
                            pairs, NULL);
}

double lambda_of(const struct hyperparameters *hyper, size_t pair_count)
{
    return hyper->lambda_scaling == LAMBDA_COUNT ? hyper->lambda * (double)pair_count
                                                 : hyper->lambda;
}
