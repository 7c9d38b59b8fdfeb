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

/* The pairs of a history; shares: [interaction_count], or NULL. Returns how many. */
static size_t gather(struct taste *taste, const struct user_record *record, int64_t now_ms,
                     const uint32_t *row_of, size_t row_count, struct confidence_share *shares)
{
    if (record->interaction_count > taste->pairs_capacity) {
        taste->pairs_capacity = record->interaction_count;
        taste->pairs = mem_array(taste->pairs, taste->pairs_capacity, sizeof *taste->pairs);
    }
    return confidence_split(user_interactions(record), record->interaction_count,
                            taste->settings.types, &taste->generation->hyper, taste->rho, now_ms,
                            row_of, row_count, taste->pairs, shares);
}

static void solve(struct taste *taste, const struct user_record *record, int64_t now_ms,
                  const uint32_t *row_of, size_t row_count, float *x)
{
    size_t count = gather(taste, record, now_ms, row_of, row_count, NULL);
    memset(x, 0, taste->basis.stride * sizeof *x);
    foldin_solve(&taste->basis, &taste->generation->hyper, taste->pairs, count, x, taste->foldin);
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

/* The pair of one interaction by itself, at its own time and position 0: neither decay nor rho.
 * False if it gives none. */
static bool pair_alone(const struct taste *taste, const struct interaction *one,
                       const uint32_t *row_of, size_t row_count, struct pair *pair,
                       struct confidence_share *share)
{
    return confidence_split(one, 1, taste->settings.types, &taste->generation->hyper, 1, one->ts_ms,
                            row_of, row_count, pair, share) > 0;
}

static void step_on(struct taste *taste, const struct user_record *record, const uint32_t *row_of,
                    size_t row_count, struct progress *progress)
{
    const struct interaction *interactions = user_interactions(record);
    for (; progress->interactions < record->interaction_count; progress->interactions++) {
        struct pair pair;
        if (!pair_alone(taste, &interactions[progress->interactions], row_of, row_count, &pair,
                        NULL))
            continue;
        progress->steps++;
        sgd_step(&taste->basis, &taste->generation->hyper, taste->settings.sgd_rate, &pair,
                 progress->steps, progress->x);
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

/* -- what was added by what -------------------------------------------------------------------- */

static double dot(const double *w, const float *y, size_t rank)
{
    double sum = 0;
    for (size_t k = 0; k < rank; k++)
        sum += w[k] * (double)y[k];
    return sum;
}

/* added_i = (c_i / c) q (w.y) of its pair, w = A^-1 y_row. Of a dislike q is 0. */
static void solve_added(struct taste *taste, const struct user_record *record, int64_t now_ms,
                        const uint32_t *row_of, size_t row_count, const float *y, double *added,
                        double *confidence)
{
    size_t rank = (size_t)taste->basis.rank, most = record->interaction_count;
    struct confidence_share *shares = mem_zalloc(most * sizeof *shares);
    double *w = mem_zalloc((rank + most) * sizeof *w), *c = w + rank; /* c: [pairs], of each */
    size_t count = gather(taste, record, now_ms, row_of, row_count, shares);
    foldin_inverse(&taste->basis, &taste->generation->hyper, taste->pairs, count, y, w,
                   taste->foldin);
    for (size_t i = 0; i < most; i++)
        if (shares[i].pair != PAIR_NONE)
            c[shares[i].pair] += shares[i].c;
    for (size_t i = 0; i < most; i++) {
        const struct pair *pair = &taste->pairs[shares[i].pair != PAIR_NONE ? shares[i].pair : 0];
        confidence[i] = shares[i].c;
        added[i] = 0;
        if (shares[i].pair != PAIR_NONE && c[shares[i].pair] != 0)
            added[i] = shares[i].c / c[shares[i].pair] * (double)pair->q *
                       dot(w, taste->basis.Y + pair->row * taste->basis.stride, rank);
    }
    free(w);
    free(shares);
}

static void steps_added(struct taste *taste, const struct user_record *record,
                        const uint32_t *row_of, size_t row_count, const float *y, double *added,
                        double *confidence)
{
    size_t rank = (size_t)taste->basis.rank, most = record->interaction_count, count = 0;
    struct sgd_step *steps = mem_zalloc(most * sizeof *steps);
    double *v = mem_zalloc((rank + most) * sizeof *v), *by_step = v + rank;
    for (size_t i = 0; i < most; i++) {
        struct confidence_share share;
        confidence[i] = 0;
        if (!pair_alone(taste, &user_interactions(record)[i], row_of, row_count, &steps[count].pair,
                        &share))
            continue;
        confidence[i] = share.c;
        steps[count].t = (uint32_t)count + 1;
        count++;
    }
    for (size_t k = 0; k < rank; k++)
        v[k] = (double)y[k];
    sgd_added(&taste->basis, &taste->generation->hyper, taste->settings.sgd_rate, steps, count, v,
              by_step);
    for (size_t i = 0, step = 0; i < most; i++)
        added[i] = confidence[i] != 0 ? by_step[step++] : 0;
    free(v);
    free(steps);
}

void taste_added(struct taste *taste, const struct user_record *record, int64_t now_ms,
                 const uint32_t *row_of, size_t row_count, uint32_t row, double *added,
                 double *confidence)
{
    size_t bytes = record->interaction_count * sizeof *added;
    memset(added, 0, bytes);
    memset(confidence, 0, bytes);
    if (taste->generation == NULL || record->interaction_count == 0 || row == ROW_NONE)
        return;
    const float *y = taste->basis.Y + row * taste->basis.stride;
    if (taste->settings.update == UPDATE_SGD)
        steps_added(taste, record, row_of, row_count, y, added, confidence);
    else
        solve_added(taste, record, now_ms, row_of, row_count, y, added, confidence);
}
