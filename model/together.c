#include "model/together.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS 86400000.0

static const int half_lives[PAIRS_HORIZONS] = {
    [PAIRS_DAY] = TOGETHER_DAY_HALF_LIFE, [PAIRS_EVER] = HALF_LIFE_EVER};

void together_deinit(struct together *together)
{
    trend_deinit(&together->use);
    free(together->pairs);
    free(together->norm);
    free(together->sums);
    free(together->parts);
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

/* Where it does not decay; else together_prepare does it. */
static void renew_norm(struct together *together, uint32_t item)
{
    if (together->choice.horizon == PAIRS_EVER && item < together->norm_count)
        together->norm[item] = norm_of(together->use.gathered[item]);
}

void together_touch(struct together *together, const struct trend_source *sources,
                    size_t partition_count, uint32_t items, const uint32_t *touched,
                    size_t touched_count, int64_t now_ms)
{
    struct trend *use = &together->use;
    trend_touch(use, sources, partition_count, items, touched, touched_count, now_ms);
    for (size_t i = 0; i < touched_count; i++)
        renew_norm(together, touched[i]);
}

void together_set_use(struct together *together, uint32_t item, double gathered)
{
    together->use.gathered[item] = gathered;
    renew_norm(together, item);
}

static void reserve(struct together *together, uint32_t items)
{
    if (items <= together->capacity)
        return;
    uint32_t capacity = items + items / 2 + 64;
    together->norm = mem_array(together->norm, capacity, sizeof *together->norm);
    free(together->sums);
    together->sums = mem_zalloc(capacity * sizeof *together->sums);
    together->capacity = capacity;
}

/* What does not decay is renewed where it is touched; what does, whenever time has passed. */
void together_prepare(struct together *together, int64_t now_ms)
{
    const struct trend *use = &together->use;
    reserve(together, use->count);
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

/* Where the sums of one list gather: `listed` has the items whose sum is not 0, in their columns'
 * place. One whose sum is still 0 after its first part may be listed again. */
struct gathering {
    float *sums;
    struct topn_extra *listed;
    size_t count;
};

static inline void add(struct gathering *gathering, uint32_t item, float n)
{
    float before = gathering->sums[item];
    gathering->listed[gathering->count].column = item;
    gathering->count += before == 0;
    gathering->sums[item] = before + n;
}

/* sums[i] += weight n_(j, i) for the neighbours i of one item; forward, backward: the weights. */
static void add_ever(struct gathering *gathering, const struct pairs_table *table, float forward,
                     float backward, uint32_t items)
{
    const struct pairs_table here = *table;
    for (uint32_t i = 0; i < here.count; i++)
        if (here.items[i] < items)
            add(gathering, here.items[i],
                forward * here.ever[i].forward + backward * here.ever[i].backward);
}

static void add_day(struct gathering *gathering, const struct pairs_table *table, float forward,
                    float backward, uint32_t items, int64_t now_ms)
{
    const struct pairs_table here = *table;
    for (uint32_t i = 0; i < here.count; i++) {
        const struct pairs_day *day = &here.day[i];
        float n = forward * day->forward + backward * day->backward;
        if (here.items[i] >= items || n == 0)
            continue;
        if (now_ms > day->ts_ms)
            n *= (float)decay_exp2(-(double)(now_ms - day->ts_ms) / DAY_MS);
        add(gathering, here.items[i], n);
    }
}

/* From items to columns, with their norms; leaves zeros behind, which is what one listed twice
 * finds the second time. */
static size_t move_to_columns(struct together *together, const uint32_t *column_of,
                              struct topn_extra *listed, size_t listed_count)
{
    size_t count = 0;
    for (size_t i = 0; i < listed_count; i++) {
        uint32_t item = listed[i].column;
        float score = together->sums[item] * together->norm[item];
        together->sums[item] = 0;
        listed[count] = (struct topn_extra){column_of[item], score};
        count += score > 0;
    }
    return count;
}

/* The tables of the latest items in all partitions; returns how many there are. */
static size_t list_parts(struct together *together, const uint32_t *latest, size_t count,
                         double weight, uint32_t items)
{
    size_t most = together->pairs_count * count, listed = 0;
    if (most > together->parts_capacity) {
        together->parts = mem_array(together->parts, most, sizeof *together->parts);
        together->parts_capacity = most;
    }
    for (size_t p = 0; p < together->pairs_count; p++) {
        double fade = weight;
        for (size_t d = 0; d < count; d++, fade *= together->choice.rho) {
            const struct pairs_table *table = pairs_table(together->pairs[p], latest[d]);
            if (table == NULL || latest[d] >= items)
                continue;
            __builtin_prefetch(table);
            together->parts[listed++] =
                (struct together_part){table, (float)fade * together->norm[latest[d]]};
        }
    }
    return listed;
}

#define LINE_BYTES 64
#define AHEAD 4 /* tables: far enough for memory, near enough for the first-level cache */

static void prefetch(const void *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE_BYTES)
        __builtin_prefetch((const char *)at + i);
}

/* The tables are spread over more memory than any cache holds, and waiting for them would be most
 * of the work. */
static void prefetch_table(const struct pairs_table *table, enum pairs_horizon horizon)
{
    prefetch(table->items, table->count * sizeof *table->items);
    if (horizon == PAIRS_EVER)
        prefetch(table->ever, table->count * sizeof *table->ever);
    else
        prefetch(table->day, table->count * sizeof *table->day);
}

size_t together_extras(struct together *together, const uint32_t *latest, size_t count,
                       double weight, const uint32_t *column_of, uint32_t items,
                       struct topn_extra *out)
{
    if (items > together->norm_count)
        items = together->norm_count;
    enum pairs_horizon horizon = together->choice.horizon;
    size_t count_parts = list_parts(together, latest, count, weight, items);
    const struct together_part *parts = together->parts;
    for (size_t i = 0; i < count_parts && i < AHEAD; i++)
        prefetch_table(parts[i].table, horizon);
    struct gathering gathering = {together->sums, out, 0};
    for (size_t i = 0; i < count_parts; i++) {
        float forward = parts[i].weight, backward = together->choice.both ? forward : 0;
        if (i + AHEAD < count_parts)
            prefetch_table(parts[i + AHEAD].table, horizon);
        if (horizon == PAIRS_EVER)
            add_ever(&gathering, parts[i].table, forward, backward, items);
        else
            add_day(&gathering, parts[i].table, forward, backward, items, together->norm_ms);
    }
    return move_to_columns(together, column_of, out, gathering.count);
}

/* -- one item, part by part -------------------------------------------------------------------- */

double together_count(const struct together_choice *choice, const struct pairs_table *table,
                      uint32_t place, int64_t now_ms)
{
    const struct pairs_ever *ever = &table->ever[place];
    const struct pairs_day *day = &table->day[place];
    if (choice->horizon == PAIRS_EVER)
        return (double)ever->forward + (choice->both ? (double)ever->backward : 0);
    double n = (double)day->forward + (choice->both ? (double)day->backward : 0);
    if (n == 0 || now_ms <= day->ts_ms)
        return n;
    return n * decay_exp2(-(double)(now_ms - day->ts_ms) / DAY_MS);
}

static double count_between(const struct together *together, uint32_t j, uint32_t item,
                            int64_t now_ms)
{
    double n = 0;
    for (size_t p = 0; p < together->pairs_count; p++) {
        const struct pairs_table *table = pairs_table(together->pairs[p], j);
        for (uint32_t place = 0; table != NULL && place < table->count; place++)
            if (table->items[place] == item)
                n += together_count(&together->choice, table, place, now_ms);
    }
    return n;
}

static double use_of(const struct trend *use, uint32_t item, double decay)
{
    return item < use->count ? decay * use->gathered[item] : 0;
}

void together_split(const struct together *together, const uint32_t *latest, size_t count,
                    uint32_t item, int64_t now_ms, struct together_share *parts)
{
    const struct trend *use = &together->use;
    double fade = 1, decay = trend_decay(use, now_ms);
    double own = use_of(use, item, decay) + TOGETHER_PRIOR;
    for (size_t d = 0; d < count; d++, fade *= together->choice.rho)
        parts[d] = (struct together_share){
            .fade = fade,
            .n = count_between(together, latest[d], item, now_ms),
            .norm = 1 / sqrt(own * (use_of(use, latest[d], decay) + TOGETHER_PRIOR))};
}
