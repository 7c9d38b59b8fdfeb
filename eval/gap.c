#include "eval/gap.h"
#include "base/mem.h"

#include <stdlib.h>

struct gap {
    struct history *history;
    struct type_weight types[EVENT_TYPES_MAX]; /* by the state's type number */
    struct taste *taste;
    const struct generation *generation;
    struct columns columns;
    float *x; /* [stride] */
};

struct gap *gap_new(struct history *history, const struct type_weight *types, uint32_t type_count,
                    enum update update, double sgd_rate)
{
    struct gap *gap = mem_zalloc(sizeof *gap);
    gap->history = history;
    for (uint32_t i = 0; i < type_count; i++)
        gap->types[history_type_number(history, (uint16_t)i)] = types[i];
    gap->taste = taste_new(
        &(struct taste_settings){.update = update, .sgd_rate = sgd_rate, .types = gap->types});
    return gap;
}

void gap_free(struct gap *gap)
{
    if (gap == NULL)
        return;
    taste_free(gap->taste);
    columns_deinit(&gap->columns);
    free(gap->x);
    free(gap);
}

void gap_set(struct gap *gap, const struct generation *generation, double rho)
{
    gap->generation = generation;
    columns_build(&gap->columns, generation, history_items(gap->history));
    taste_set_generation(gap->taste, generation, rho);
    gap->x = mem_array(gap->x, generation->stride, sizeof *gap->x);
}

bool gap_score(struct gap *gap, const struct user_record *record, uint32_t item, double *score)
{
    const struct columns *columns = &gap->columns;
    void *cache = NULL;
    if (gap->generation == NULL || item >= columns->items || columns->row_of[item] == ROW_NONE)
        return false;
    *score = 0;
    if (record != NULL && taste_factors(gap->taste, record, history_now_ms(gap->history),
                                        columns->row_of, columns->items, gap->x, &cache)) {
        const float *y = gap->generation->Y + columns->row_of[item] * gap->generation->stride;
        for (int k = 0; k < gap->generation->hyper.rank; k++)
            *score += (double)gap->x[k] * y[k];
    }
    free(cache);
    return true;
}
