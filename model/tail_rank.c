/* The tail replayed: each sampled event ranked in the list live just before it. */
#include "base/mem.h"
#include "model/blas.h"
#include "model/tail.h"
#include "model/trend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 20     /* of NDCG@20 */
#define BLOCK 512    /* items scored between two looks at whether the rank is already lost */
#define GROUP_MAX 32 /* events folded in and multiplied together */
#define TASTE_BYTES_MAX (64u << 20) /* of the taste scores of a group */

struct replay {
    const struct tail *tail;
    const struct basis *basis;
    const struct hyperparameters *hyper;
    const struct score_weights *weights; /* [weight_count] */
    size_t weight_count;
    size_t items;

    double rhos[TAIL_WEIGHTS_MAX]; /* [rho_count]: those that some weights' taste asks for */
    size_t rho_count;
    size_t *rho_of; /* [weight_count]: into rhos */

    struct item_sums *sums; /* [items], as of the replay's moment */
    uint8_t *known;         /* [items]: somebody has interacted with it */
    struct trend trends[HALF_LIFE_COUNT];
    bool used[HALF_LIFE_COUNT];       /* some weights ask for this half-life */
    float *trend[HALF_LIFE_COUNT];    /* [items]: T at the event; NaN where not in the list */
    float at_target[HALF_LIFE_COUNT]; /* T of the event's item */

    size_t group, group_begin, group_end; /* sampled events whose taste is there */
    float *X;                             /* [group, rho_count, stride] */
    float *taste;                         /* [group, rho_count, items] */
    struct pair *pairs;                   /* [most interactions of a user] */
    struct foldin_scratch *scratch;
};

static void replay_deinit(struct replay *replay)
{
    for (int h = 0; h < HALF_LIFE_COUNT; h++) {
        trend_deinit(&replay->trends[h]);
        free(replay->trend[h]);
    }
    free(replay->rho_of);
    free(replay->sums);
    free(replay->known);
    free(replay->X);
    free(replay->taste);
    free(replay->pairs);
    foldin_scratch_free(replay->scratch);
}

/* Which rhos and half-lives are asked for. */
static void plan(struct replay *replay)
{
    replay->rho_of = mem_zalloc(replay->weight_count * sizeof *replay->rho_of);
    for (size_t i = 0; i < replay->weight_count; i++) {
        const struct score_weights *weights = &replay->weights[i];
        replay->used[weights->trend_half_life] |= weights->trend != 0 || weights->taste == 0;
        if (weights->taste == 0)
            continue;
        size_t r = 0;
        while (r < replay->rho_count && replay->rhos[r] != weights->rho)
            r++;
        replay->rhos[r] = weights->rho;
        replay->rho_count = r == replay->rho_count ? r + 1 : replay->rho_count;
        replay->rho_of[i] = r;
    }
}

static size_t longest_history(const struct corpus *corpus)
{
    size_t longest = 0;
    for (size_t user = 0; user < corpus->users; user++) {
        size_t count = corpus->user_begin[user + 1] - corpus->user_begin[user];
        longest = count > longest ? count : longest;
    }
    return longest;
}

static int replay_allocate(struct replay *replay, struct error *err)
{
    size_t rows = replay->rho_count ? replay->rho_count : 1;
    size_t fit = TASTE_BYTES_MAX / (rows * replay->items * sizeof(float));
    replay->group = fit < 1 ? 1 : fit > GROUP_MAX ? GROUP_MAX : fit;
    replay->X = mem_try(replay->group * rows * replay->basis->stride, sizeof(float));
    replay->taste = mem_try(replay->group * rows * replay->items, sizeof(float));
    replay->sums = mem_try(replay->items, sizeof *replay->sums);
    replay->known = mem_try(replay->items, 1);
    bool lacks =
        replay->X == NULL || replay->taste == NULL || replay->sums == NULL || replay->known == NULL;
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        if (replay->used[h]) {
            replay->trend[h] = mem_try(replay->items, sizeof(float));
            lacks = lacks || replay->trend[h] == NULL;
        }
    replay->pairs = mem_array(NULL, longest_history(replay->tail->corpus), sizeof(struct pair));
    replay->scratch = foldin_scratch_new(replay->basis->rank);
    return lacks ? error_set(err, ERR_DOWN, "no memory to rank %zu items", replay->items) : 0;
}

static struct trend_source source_of(const struct replay *replay)
{
    return (struct trend_source){replay->sums, (uint32_t)replay->items};
}

static void learn_sums(struct replay *replay, const struct interaction *interaction)
{
    replay->known[interaction->item] = 1;
    if (replay->tail->corpus->types[interaction->type].weight > 0)
        sums_add(&replay->sums[interaction->item], interaction->ts_ms);
}

/* Everything before the cut. */
static void learn_head(struct replay *replay)
{
    const struct corpus *corpus = replay->tail->corpus;
    for (size_t user = 0; user < corpus->users; user++)
        for (size_t at = corpus->user_begin[user]; at < replay->tail->cut[user]; at++)
            learn_sums(replay, &corpus->log[at]);
    struct trend_source source = source_of(replay);
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        if (replay->used[h])
            trend_rebuild(&replay->trends[h], h, &source, 1, (uint32_t)replay->items,
                          replay->tail->cut_ms);
}

static void learn(struct replay *replay, const struct interaction *interaction)
{
    struct trend_source source = source_of(replay);
    learn_sums(replay, interaction);
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        if (replay->used[h])
            trend_touch(&replay->trends[h], &source, 1, (uint32_t)replay->items, &interaction->item,
                        1, interaction->ts_ms);
}

/* x_u just before an event, for each rho: a function of the log alone, so any event's may be made
 * at any time. */
static void fold_in(struct replay *replay, const struct tail_event *event, float *X)
{
    const struct corpus *corpus = replay->tail->corpus;
    const struct interaction *history = corpus->log + corpus->user_begin[event->user];
    size_t count = event->at - corpus->user_begin[event->user];
    for (size_t r = 0; r < replay->rho_count; r++) {
        size_t pairs = confidence_pairs(history, count, corpus->types, replay->hyper,
                                        replay->rhos[r], corpus->log[event->at].ts_ms,
                                        corpus->row_of, corpus->items, replay->pairs);
        float *x = X + r * replay->basis->stride;
        memset(x, 0, replay->basis->stride * sizeof *x);
        foldin_solve(replay->basis, replay->hyper, replay->pairs, pairs, x, replay->scratch);
    }
}

/* The taste scores of the next group of events, as one matrix product. */
static void taste_group(struct replay *replay, size_t begin)
{
    const struct basis *basis = replay->basis;
    size_t left = replay->tail->count - begin;
    replay->group_begin = begin;
    replay->group_end = begin + (left < replay->group ? left : replay->group);
    if (replay->rho_count == 0)
        return;
    for (size_t i = begin; i < replay->group_end; i++)
        fold_in(replay, &replay->tail->events[i],
                replay->X + (i - begin) * replay->rho_count * basis->stride);
    size_t rows = (replay->group_end - begin) * replay->rho_count;
    blas_multiply_transposed(replay->X, basis->stride, basis->Y, basis->stride, replay->taste,
                             replay->items, (int)rows, (int)replay->items, basis->rank);
}

/* Writes NaN for what is not in this user's list: it compares as neither above nor the same. */
static void leave_out(const struct replay *replay, const struct tail_event *event, float *scores)
{
    const struct corpus *corpus = replay->tail->corpus;
    for (size_t item = 0; item < replay->items; item++)
        scores[item] = replay->known[item] ? scores[item] : NAN;
    for (size_t i = corpus->user_begin[event->user]; i < event->at; i++)
        scores[corpus->log[i].item] = NAN;
    for (size_t i = corpus->older_begin[event->user]; i < corpus->older_begin[event->user + 1]; i++)
        scores[corpus->older[i]] = NAN;
    scores[corpus->log[event->at].item] = NAN; /* it is what the others are compared with */
}

/* NDCG@20 of a target among the scores a taste + b trend. */
static float ndcg_of(const float *taste, float a, const float *trend, float b, size_t items,
                     float target)
{
    int above = 0, same = 0;
    for (size_t begin = 0; begin < items && above < DEPTH; begin += BLOCK) {
        size_t end = begin + BLOCK < items ? begin + BLOCK : items;
        for (size_t i = begin; i < end; i++) {
            float score = a * taste[i] + b * trend[i];
            above += score > target;
            same += score == target;
        }
    }
    double rank = 1 + above + 0.5 * same;
    return rank <= DEPTH ? (float)(1 / log2(1 + rank)) : 0;
}

/* Ranks sampled event `number` under all weights. */
static void rank_event(struct replay *replay, size_t number, float *ndcg)
{
    const struct tail_event *event = &replay->tail->events[number];
    const struct interaction *target = &replay->tail->corpus->log[event->at];
    if (!replay->known[target->item]) {
        for (size_t i = 0; i < replay->weight_count; i++)
            ndcg[i * replay->tail->count + number] = 0;
        return;
    }
    float taste_at_target[TAIL_WEIGHTS_MAX];
    float *taste =
        replay->taste + (number - replay->group_begin) * replay->rho_count * replay->items;
    for (size_t r = 0; r < replay->rho_count; r++) {
        taste_at_target[r] = taste[r * replay->items + target->item];
        leave_out(replay, event, taste + r * replay->items);
    }
    for (int h = 0; h < HALF_LIFE_COUNT; h++) {
        if (!replay->used[h])
            continue;
        trend_values(&replay->trends[h], target->ts_ms, replay->trend[h], (uint32_t)replay->items);
        replay->at_target[h] = replay->trend[h][target->item];
        leave_out(replay, event, replay->trend[h]);
    }
    for (size_t i = 0; i < replay->weight_count; i++) {
        const struct score_weights *weights = &replay->weights[i];
        /* A term without weight may come from anywhere, as long as it is NaN where it must. */
        size_t r = replay->rho_of[i];
        int h = weights->trend_half_life;
        const float *trend = weights->taste == 0 || weights->trend != 0 ? replay->trend[h] : NULL;
        const float *tastes = weights->taste != 0 ? taste + r * replay->items : trend;
        float a = (float)weights->taste, b = (float)weights->trend;
        float target_score =
            (a != 0 ? a * taste_at_target[r] : 0) + (b != 0 ? b * replay->at_target[h] : 0);
        ndcg[i * replay->tail->count + number] =
            ndcg_of(tastes, a, trend != NULL ? trend : tastes, b, replay->items, target_score);
    }
}

static void run(struct replay *replay, float *ndcg)
{
    const struct tail *tail = replay->tail;
    size_t next = 0;
    learn_head(replay);
    for (size_t i = 0; i < tail->order_count && next < tail->count; i++) {
        if (tail->order[i] == tail->events[next].at) {
            if (next == replay->group_end)
                taste_group(replay, next);
            rank_event(replay, next, ndcg);
            next++;
        }
        learn(replay, &tail->corpus->log[tail->order[i]]);
    }
}

int tail_rank(const struct tail *tail, const struct basis *basis,
              const struct hyperparameters *hyper, const struct score_weights *weights,
              size_t weight_count, float *ndcg, struct error *err)
{
    struct replay replay = {.tail = tail,
                            .basis = basis,
                            .hyper = hyper,
                            .weights = weights,
                            .weight_count = weight_count,
                            .items = tail->corpus->items};
    plan(&replay);
    int failed = replay_allocate(&replay, err);
    if (!failed)
        run(&replay, ndcg);
    replay_deinit(&replay);
    return failed;
}
