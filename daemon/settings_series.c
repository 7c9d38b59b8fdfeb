/* What a generation is made of, as a text, and that text's fingerprint. The gate, the threads and
 * the share of time decide whether and when there is a generation, not which one. */
#include "base/hash.h"
#include "daemon/settings.h"

#include <inttypes.h>
#include <stdlib.h>

static int by_name(const void *a, const void *b, void *arg)
{
    const struct train_settings *train = arg;
    return strcmp(train->type_names[*(const uint32_t *)a], train->type_names[*(const uint32_t *)b]);
}

/* In the order of names: that of the file says nothing. */
static void write_types(struct buffer *out, struct train_settings *train)
{
    uint32_t order[EVENT_TYPES_MAX];
    for (uint32_t i = 0; i < train->type_count; i++)
        order[i] = i;
    qsort_r(order, train->type_count, sizeof *order, by_name, train);
    for (uint32_t i = 0; i < train->type_count; i++) {
        const struct type_weight *type = &train->types[order[i]];
        buffer_printf(out, "%s\n%.17g %" PRId64 " %.17g %d %d\n", train->type_names[order[i]],
                      type->weight, type->half_life_ms, type->cap, (int)type->value, type->hides);
    }
}

static void write_training(struct buffer *out, const struct settings *settings)
{
    struct train_settings train;
    settings_train(settings, &train);
    const struct hyperparameters *hyper = &train.als.hyper;
    const struct tail_choice *choice = &train.choice;
    buffer_printf(out, "series 1\n%d %d %.17g %.17g %.17g %d\n", (int)hyper->objective, hyper->rank,
                  hyper->w0, hyper->lambda, hyper->alpha, (int)hyper->lambda_scaling);
    buffer_printf(out, "%d %d %" PRIu64 " %" PRIu64 " %u\n", train.als.iterations,
                  train.warm_iterations, train.seed, train.interactions_min, train.neighbours_max);
    buffer_printf(out, "%d %.17g %.17g %d %.17g\n", choice->taste, choice->rho,
                  choice->trend_weight, choice->trend_half_life, choice->together_weight);
    write_types(out, &train);
}

uint64_t settings_series_key(const struct settings *arm, const struct settings *base)
{
    struct buffer own = {0}, shared = {0};
    write_training(&own, arm);
    write_training(&shared, base);
    uint64_t key = 0;
    if (!slice_equal(buffer_slice(&own), buffer_slice(&shared)))
        key = hash_stable(own.data, own.length);
    buffer_deinit(&own);
    buffer_deinit(&shared);
    return key;
}
