#include "model/together.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS 86400000.0

static const int half_lives[PAIRS_HORIZONS] = {[PAIRS_DAY] = 3, [PAIRS_EVER] = HALF_LIFE_EVER};

void together_deinit(struct together *together)
{
    trend_deinit(&together->use);
    free(together->pairs);
    free(together->norm);
    free(together->scores);
    free(together->marked);
    *together = (struct together){0};
}

void together_rebuild(struct together *together, const struct together_choice *choice,
                      const struct pairs *const *pairs, const struct trend_source *sources,
                      size_t partition_count, uint32_t items, int64_t now_ms)
{
    together->choice = *choice;
    together->pairs = mem_array(together->pairs, partition_count, sizeof(struct pairs *));
    memcpy(together->pairs, pairs, partition_count * sizeof(struct pairs *));
    together->pairs_count = partition_count;
    together->norm_count = 0;
    trend_rebuild(&together->use, half_lives[choice->horizon], sources, partition_count, items,
                  now_ms);
}

static float norm_of(double use)
{
    return (float)(1 / sqrt(use + TOGETHER_PRIOR));
}

void together_touch(struct together *together, const struct trend_source *sources,
                    size_t partition_count, uint32_t items, const uint32_t *touched,
                    size_t touched_count, int64_t now_ms)
{
    struct trend *use = &together->use;
    trend_touch(use, sources, partition_count, items, touched, touched_count, now_ms);
    if (together->choice.horizon == PAIRS_EVER)
        for (size_t i = 0; i < touched_count; i++)
            if (touched[i] < together->norm_count)
                together->norm[touched[i]] = norm_of(use->gathered[touched[i]]);
}

static void reserve(struct together *together, uint32_t columns)
{
    if (columns <= together->norm_capacity)
        return;
    uint32_t capacity = columns + columns / 2 + 64;
    together->norm = mem_array(together->norm, capacity, sizeof *together->norm);
    free(together->scores);
    free(together->marked);
    together->scores = mem_zalloc(capacity * sizeof *together->scores);
    together->marked = mem_zalloc((capacity / 64 + 1) * sizeof *together->marked);
    together->norm_capacity = capacity;
}

/* What does not decay is renewed where it is touched; what does, whenever time has passed. */
void together_prepare(struct together *together, int64_t now_ms, uint32_t columns)
{
    const struct trend *use = &together->use;
    reserve(together, columns > use->count ? columns : use->count);
    bool decays = together->choice.horizon != PAIRS_EVER;
    double decay = trend_decay(use, now_ms);
    for (uint32_t item = decays ? 0 : together->norm_count; item < use->count; item++)
        together->norm[item] = norm_of(decay * use->gathered[item]);
    together->norm_count = use->count;
    together->norm_ms = now_ms;
}

size_t together_extras_max(const struct together *together, const uint32_t *latest, size_t count)
{
    size_t most = 0;
    for (size_t p = 0; p < together->pairs_count; p++)
        for (size_t d = 0; d < count; d++) {
            const struct pairs_table *table = pairs_table(together->pairs[p], latest[d]);
            most += table != NULL ? table->count : 0;
        }
    return most;
}

/* n_(j, i) of one neighbour, now. */
static float count_now(const struct together *together, const struct pairs_count *count)
{
    enum pairs_horizon horizon = together->choice.horizon;
    float n = count->forward[horizon] + (together->choice.both ? count->backward[horizon] : 0);
    if (horizon == PAIRS_EVER || n == 0 || together->norm_ms <= count->ts_ms)
        return n;
    return n * (float)decay_exp2(-(double)(together->norm_ms - count->ts_ms) / DAY_MS);
}

/* Adds the neighbours of one item, each times `weight` and its own norm. */
static void add_table(struct together *together, const struct pairs_table *table, float weight,
                      const uint32_t *column_of, uint32_t items)
{
    for (uint32_t i = 0; i < table->count; i++) {
        uint32_t item = table->items[i];
        float n = count_now(together, &table->counts[i]);
        if (item >= items || n == 0)
            continue;
        uint32_t column = column_of[item];
        together->scores[column] += weight * n * together->norm[item];
        together->marked[column / 64] |= UINT64_C(1) << (column % 64);
    }
}

/* The marked columns with a score, ascending; leaves zeros behind. */
static size_t collect(struct together *together, struct topn_extra *out)
{
    size_t count = 0;
    for (uint32_t word = 0; word <= together->norm_capacity / 64; word++) {
        for (uint64_t bits = together->marked[word]; bits != 0; bits &= bits - 1) {
            uint32_t column = word * 64 + (uint32_t)__builtin_ctzll(bits);
            if (together->scores[column] > 0)
                out[count++] = (struct topn_extra){column, together->scores[column]};
            together->scores[column] = 0;
        }
        together->marked[word] = 0;
    }
    return count;
}

size_t together_extras(struct together *together, const uint32_t *latest, size_t count,
                       double weight, const uint32_t *column_of, uint32_t items,
                       struct topn_extra *out)
{
    if (items > together->norm_count)
        items = together->norm_count;
    for (size_t p = 0; p < together->pairs_count; p++) {
        double fade = weight;
        for (size_t d = 0; d < count; d++, fade *= together->choice.rho) {
            const struct pairs_table *table = pairs_table(together->pairs[p], latest[d]);
            if (table != NULL && latest[d] < items)
                add_table(together, table, (float)fade * together->norm[latest[d]], column_of,
                          items);
        }
    }
    return collect(together, out);
}
