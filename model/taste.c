#include "model/taste.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/sgd.h"

#include <stdlib.h>
#include <string.h>

/* What a user's progress is tagged with: another taste, or another generation of the same one,
 * steps anew. */
static uint64_t last_tag;

struct taste {
    struct taste_settings settings;
    uint64_t tag;
    const struct generation *generation;
    double rho;
    struct basis basis;
    struct foldin_scratch *foldin;
    struct pair *pairs; /* [pairs_capacity] */
    size_t pairs_capacity;
};

/* Where sgd is in a user's history. */
struct progress {
    uint64_t tag;
    uint64_t fingerprint;  /* of the first `interactions` of the record */
    uint32_t interactions; /* stepped through */
    uint32_t steps;        /* taken: interactions that gave a pair */
    uint32_t stride;
    float x[]; /* [stride] */
};

struct taste *taste_new(const struct taste_settings *settings)
{
    struct taste *taste = mem_zalloc(sizeof *taste);
    taste->settings = *settings;
    return taste;
}

void taste_free(struct taste *taste)
{
    if (taste == NULL)
        return;
    foldin_scratch_free(taste->foldin);
    free(taste->pairs);
    free(taste);
}

void taste_set_generation(struct taste *taste, const struct generation *generation, double rho)
{
    foldin_scratch_free(taste->foldin);
    taste->foldin = NULL;
    taste->generation = generation;
    taste->tag = ++last_tag;
    taste->rho = rho;
    if (generation == NULL)
        return;
    taste->foldin = foldin_scratch_new(generation->hyper.rank);
    taste->basis = (struct basis){.Y = generation->Y,
                                  .g = generation->g,
                                  .rows = generation->items,
                                  .stride = generation->stride,
                                  .rank = generation->hyper.rank};
}

static void solve(struct taste *taste, const struct user_record *record, int64_t now_ms,
                  const uint32_t *row_of, size_t row_count, float *x)
{
    if (record->interaction_count > taste->pairs_capacity) {
        taste->pairs_capacity = record->interaction_count;
        taste->pairs = mem_array(taste->pairs, taste->pairs_capacity, sizeof *taste->pairs);
    }
    const struct hyperparameters *hyper = &taste->generation->hyper;
    size_t count = confidence_pairs(user_interactions(record), record->interaction_count,
                                    taste->settings.types, hyper, taste->rho, now_ms, row_of,
                                    row_count, taste->pairs);
    memset(x, 0, taste->basis.stride * sizeof *x);
    foldin_solve(&taste->basis, hyper, taste->pairs, count, x, taste->foldin);
}

/* Makes *cache the user's progress: as far as its fingerprint holds, or none at all. */
static struct progress *resume(const struct taste *taste, const struct user_record *record,
                               void **cache)
{
    struct progress *progress = *cache;
    size_t stride = taste->basis.stride;
    if (progress != NULL && progress->tag == taste->tag && progress->stride == stride &&
        progress->interactions <= record->interaction_count &&
        progress->fingerprint == hash_stable(user_interactions(record),
                                             progress->interactions * sizeof(struct interaction)))
        return progress;
    struct progress *anew = mem_zalloc(sizeof *anew + stride * sizeof(float));
    anew->tag = taste->tag;
    anew->stride = (uint32_t)stride;
    free(progress);
    *cache = anew;
    return anew;
}

static void step_on(struct taste *taste, const struct user_record *record, const uint32_t *row_of,
                    size_t row_count, struct progress *progress)
{
    const struct hyperparameters *hyper = &taste->generation->hyper;
    const struct interaction *interactions = user_interactions(record);
    for (; progress->interactions < record->interaction_count; progress->interactions++) {
        const struct interaction *one = &interactions[progress->interactions];
        struct pair pair; /* at its own time and position 0: neither decay nor rho */
        if (confidence_pairs(one, 1, taste->settings.types, hyper, 1, one->ts_ms, row_of, row_count,
                             &pair) == 0)
            continue;
        progress->steps++;
        sgd_step(&taste->basis, hyper, taste->settings.sgd_rate, &pair, progress->steps,
                 progress->x);
    }
    progress->fingerprint =
        hash_stable(interactions, record->interaction_count * sizeof(struct interaction));
}

static bool is_zero(const float *x, size_t stride)
{
    for (size_t k = 0; k < stride; k++)
        if (x[k] != 0)
            return false;
    return true;
}

bool taste_factors(struct taste *taste, const struct user_record *record, int64_t now_ms,
                   const uint32_t *row_of, size_t row_count, float *x, void **cache)
{
    if (taste->generation == NULL || record->interaction_count == 0)
        return false;
    if (taste->settings.update == UPDATE_SGD) {
        struct progress *progress = resume(taste, record, cache);
        step_on(taste, record, row_of, row_count, progress);
        memcpy(x, progress->x, taste->basis.stride * sizeof *x);
    } else {
        solve(taste, record, now_ms, row_of, row_count, x);
    }
    return !is_zero(x, taste->basis.stride);
}
