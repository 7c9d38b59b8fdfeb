/* The tail replayed: each sampled event ranked in the list live just before it.
 *
 * Weights are ranked in the order of what they share: those with the same two dense terms score all
 * items once, and those with the same kind of co-occurrence gather its few items once. */
#include "base/mem.h"
#include "model/blas.h"
#include "model/tail.h"
#include "model/tail_kernel.h"
#include "model/together.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 20     /* of NDCG@20 */
#define BLOCK 512    /* items scored between two looks at whether the rank is already lost */
#define GROUP_MAX 32 /* events folded in and multiplied together */
#define TASTE_BYTES_MAX (64u << 20) /* of the taste scores of a group */

/* What some weights ask of the two dense terms. */
struct dense {
    double taste, trend;
    int half_life;
    size_t rho; /* into replay->rhos, if taste is not 0 */
};

/* What some weights ask of co-occurrence, and the items that have it at the event. */
struct extras {
    struct together_choice choice;
    uint32_t *items; /* [count], without those that are not in the list */
    float *C;        /* [count] */
    float *scores;   /* [count]: of the dense terms */
    size_t count, capacity;
    float at_target; /* C of the event's item */
};

struct asked {            /* by one of the weights */
    size_t dense, extras; /* extras: NONE if together is 0 */
    float c;
    size_t row; /* in ndcg */
};
#define NONE SIZE_MAX

struct replay {
    const struct tail *tail;
    const struct basis *basis;
    const struct hyperparameters *hyper;
    const struct tail_kernel *kernel;
    size_t items;

    /* What is asked for. */
    struct asked *asked; /* [asked_count], those that share something side by side */
    struct dense *dense; /* [dense_count] */
    struct extras *extras;
    double rhos[TAIL_WEIGHTS_MAX]; /* [rho_count]: those that some weights' taste asks for */
    size_t asked_count, dense_count, extras_count, rho_count;
    bool used[HALF_LIFE_COUNT]; /* some weights ask for this half-life */

    /* What is live at the replay's moment. */
    struct tail_state state;
    struct trend trends[HALF_LIFE_COUNT];
    struct together together[PAIRS_HORIZONS]; /* its choice is set for each use */
    bool goes_together[PAIRS_HORIZONS];
    float *trend[HALF_LIFE_COUNT]; /* [items]: T at the event */
    float *mask;                   /* [items]: 0, or -INFINITY: not in the event's list */
    float *scores;                 /* [items] */
    struct topn_extra *listed;     /* [listed_capacity] */
    size_t listed_capacity;

    size_t group, group_begin, group_end; /* sampled events whose taste is there */
    float *X;                             /* [group, rho_count, stride] */
    bool *cold;                           /* [group, rho_count]: x is 0 */
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
    for (size_t v = 0; v < replay->extras_count; v++) {
        free(replay->extras[v].items);
        free(replay->extras[v].C);
        free(replay->extras[v].scores);
    }
    for (int horizon = 0; horizon < PAIRS_HORIZONS; horizon++)
        together_deinit(&replay->together[horizon]);
    tail_state_deinit(&replay->state);
    free(replay->asked);
    free(replay->dense);
    free(replay->extras);
    free(replay->mask);
    free(replay->scores);
    free(replay->listed);
    free(replay->X);
    free(replay->cold);
    free(replay->taste);
    free(replay->pairs);
    foldin_scratch_free(replay->scratch);
}

/* -- what is asked for ------------------------------------------------------------------------- */

static size_t plan_rho(struct replay *replay, double rho)
{
    size_t r = 0;
    while (r < replay->rho_count && replay->rhos[r] != rho)
        r++;
    if (r == replay->rho_count)
        replay->rhos[replay->rho_count++] = rho;
    return r;
}

static size_t plan_dense(struct replay *replay, const struct score_weights *weights)
{
    struct dense dense = {.taste = weights->taste,
                          .trend = weights->trend,
                          .half_life = weights->trend_half_life,
                          .rho = weights->taste != 0 ? plan_rho(replay, weights->rho) : 0};
    size_t d = 0;
    for (; d < replay->dense_count; d++) {
        const struct dense *other = &replay->dense[d];
        if (other->taste == dense.taste && other->trend == dense.trend &&
            other->half_life == dense.half_life && other->rho == dense.rho)
            return d;
    }
    replay->used[dense.half_life] = true;
    replay->dense[replay->dense_count++] = dense;
    return d;
}

static size_t plan_extras(struct replay *replay, const struct score_weights *weights)
{
    const struct together_choice *choice = &weights->together_of;
    if (weights->together == 0 || replay->tail->head.pairs.neighbours_max == 0)
        return NONE;
    size_t v = 0;
    for (; v < replay->extras_count; v++) {
        const struct together_choice *other = &replay->extras[v].choice;
        if (other->rho == choice->rho && other->horizon == choice->horizon &&
            other->both == choice->both)
            return v;
    }
    replay->goes_together[choice->horizon] = true;
    replay->extras[replay->extras_count++] = (struct extras){.choice = *choice};
    return v;
}

static int compare_asked(const void *left, const void *right)
{
    const struct asked *a = left, *b = right;
    if (a->dense != b->dense)
        return a->dense < b->dense ? -1 : 1;
    if (a->extras != b->extras)
        return a->extras < b->extras ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static void plan(struct replay *replay, const struct score_weights *weights, size_t count)
{
    replay->asked_count = count;
    replay->asked = mem_array(NULL, count, sizeof *replay->asked);
    replay->dense = mem_array(NULL, count, sizeof *replay->dense);
    replay->extras = mem_array(NULL, count, sizeof *replay->extras);
    for (size_t i = 0; i < count; i++)
        replay->asked[i] = (struct asked){.dense = plan_dense(replay, &weights[i]),
                                          .extras = plan_extras(replay, &weights[i]),
                                          .c = (float)weights[i].together,
                                          .row = i};
    qsort(replay->asked, count, sizeof *replay->asked, compare_asked);
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
    replay->cold = mem_zalloc(replay->group * rows * sizeof *replay->cold);
    replay->taste = mem_try(replay->group * rows * replay->items, sizeof(float));
    replay->mask = mem_try(replay->items, sizeof(float));
    replay->scores = mem_try(replay->items, sizeof(float));
    bool lacks = replay->X == NULL || replay->taste == NULL || replay->mask == NULL ||
                 replay->scores == NULL;
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        if (replay->used[h]) {
            replay->trend[h] = mem_try(replay->items, sizeof(float));
            lacks = lacks || replay->trend[h] == NULL;
        }
    replay->pairs = mem_array(NULL, longest_history(replay->tail->corpus), sizeof(struct pair));
    replay->scratch = foldin_scratch_new(replay->basis->rank);
    return lacks ? error_set(err, ERR_DOWN, "no memory to rank %zu items", replay->items) : 0;
}

/* -- what is live ------------------------------------------------------------------------------ */

static struct trend_source source_of(const struct replay *replay)
{
    return (struct trend_source){replay->state.sums, (uint32_t)replay->items};
}

/* As it was at the cut. */
static int begin(struct replay *replay, struct error *err)
{
    bool with_pairs = replay->extras_count > 0;
    if (tail_state_copy(&replay->state, &replay->tail->head, with_pairs, err) != 0)
        return ERR_DOWN;
    struct trend_source source = source_of(replay);
    const struct pairs *pairs = &replay->state.pairs;
    uint32_t items = (uint32_t)replay->items;
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        if (replay->used[h])
            trend_rebuild(&replay->trends[h], h, &source, 1, items, replay->tail->cut_ms);
    for (int horizon = 0; horizon < PAIRS_HORIZONS; horizon++)
        if (replay->goes_together[horizon])
            together_rebuild(&replay->together[horizon],
                             &(struct together_choice){.horizon = (enum pairs_horizon)horizon},
                             &pairs, &source, 1, items, replay->tail->cut_ms);
    for (size_t item = 0; item < replay->items; item++)
        replay->mask[item] = replay->state.known[item] ? 0 : -INFINITY;
    return 0;
}

static void learn(struct replay *replay, size_t at, size_t place)
{
    const struct corpus *corpus = replay->tail->corpus;
    const struct interaction *interaction = &corpus->log[at];
    struct trend_source source = source_of(replay);
    uint32_t items = (uint32_t)replay->items;
    tail_state_learn(&replay->state, at, corpus_user_at(corpus, at), place);
    replay->mask[interaction->item] = 0;
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        if (replay->used[h])
            trend_touch(&replay->trends[h], &source, 1, items, &interaction->item, 1,
                        interaction->ts_ms);
    for (int horizon = 0; horizon < PAIRS_HORIZONS; horizon++)
        if (replay->goes_together[horizon])
            together_touch(&replay->together[horizon], &source, 1, items, &interaction->item, 1,
                           interaction->ts_ms);
}

/* -- taste ------------------------------------------------------------------------------------- */

static bool is_zero(const float *x, size_t count)
{
    for (size_t k = 0; k < count; k++)
        if (x[k] != 0)
            return false;
    return true;
}

/* x_u just before an event, for each rho: a function of the log alone, so any event's may be made
 * at any time. */
static void fold_in(struct replay *replay, const struct tail_event *event, float *X, bool *cold)
{
    const struct corpus *corpus = replay->tail->corpus;
    const struct interaction *history = corpus->log + corpus->user_begin[event->user];
    size_t count = event->at - corpus->user_begin[event->user], stride = replay->basis->stride;
    for (size_t r = 0; r < replay->rho_count; r++) {
        size_t pairs = confidence_pairs(history, count, corpus->types, replay->hyper,
                                        replay->rhos[r], corpus->log[event->at].ts_ms,
                                        corpus->row_of, corpus->items, replay->pairs);
        float *x = X + r * stride;
        memset(x, 0, stride * sizeof *x);
        foldin_solve(replay->basis, replay->hyper, replay->pairs, pairs, x, replay->scratch);
        cold[r] = is_zero(x, stride);
    }
}

/* The taste scores of the next group of events, as one matrix product. */
static void taste_group(struct replay *replay, size_t from)
{
    const struct basis *basis = replay->basis;
    size_t left = replay->tail->count - from, rhos = replay->rho_count;
    replay->group_begin = from;
    replay->group_end = from + (left < replay->group ? left : replay->group);
    if (rhos == 0)
        return;
    for (size_t i = 0; i < replay->group_end - from; i++)
        fold_in(replay, &replay->tail->events[from + i], replay->X + i * rhos * basis->stride,
                replay->cold + i * rhos);
    size_t rows = (replay->group_end - from) * rhos;
    blas_multiply_transposed(replay->X, basis->stride, basis->Y, basis->stride, replay->taste,
                             replay->items, (int)rows, (int)replay->items, basis->rank);
}

/* -- one event --------------------------------------------------------------------------------- */

/* Items that the user has had are in no list of his. */
static void leave_out(struct replay *replay, const struct tail_event *event)
{
    const struct corpus *corpus = replay->tail->corpus;
    for (size_t i = corpus->user_begin[event->user]; i < event->at; i++)
        replay->mask[corpus->log[i].item] = -INFINITY;
    for (size_t i = corpus->older_begin[event->user]; i < corpus->older_begin[event->user + 1]; i++)
        replay->mask[corpus->older[i]] = -INFINITY;
}

static void restore(struct replay *replay, uint32_t item)
{
    replay->mask[item] = replay->state.known[item] ? 0 : -INFINITY;
}

static void take_back(struct replay *replay, const struct tail_event *event)
{
    const struct corpus *corpus = replay->tail->corpus;
    for (size_t i = corpus->user_begin[event->user]; i < event->at; i++)
        restore(replay, corpus->log[i].item);
    for (size_t i = corpus->older_begin[event->user]; i < corpus->older_begin[event->user + 1]; i++)
        restore(replay, corpus->older[i]);
}

/* The items that go together with the user's latest, by one choice. */
static void list_extras(struct replay *replay, struct extras *extras, const uint32_t *latest,
                        size_t count, uint32_t target)
{
    const struct corpus *corpus = replay->tail->corpus;
    struct together *together = &replay->together[extras->choice.horizon];
    together->choice = extras->choice;
    size_t most = together_extras_max(together, latest, count);
    if (most > replay->listed_capacity) {
        replay->listed_capacity = most + most / 2;
        replay->listed = mem_array(replay->listed, replay->listed_capacity, sizeof *replay->listed);
    }
    if (most > extras->capacity) {
        extras->capacity = most + most / 2;
        extras->items = mem_array(extras->items, extras->capacity, sizeof *extras->items);
        extras->C = mem_array(extras->C, extras->capacity, sizeof *extras->C);
        extras->scores = mem_array(extras->scores, extras->capacity, sizeof *extras->scores);
    }
    size_t listed = together_extras(together, latest, count, 1, corpus->row_of,
                                    (uint32_t)corpus->items, replay->listed);
    extras->count = 0;
    extras->at_target = 0;
    for (size_t i = 0; i < listed; i++) {
        uint32_t item = replay->listed[i].column;
        if (item == target)
            extras->at_target = replay->listed[i].value;
        else if (replay->mask[item] == 0) {
            extras->items[extras->count] = item;
            extras->C[extras->count++] = replay->listed[i].value;
        }
    }
}

static void list_all_extras(struct replay *replay, const struct tail_event *event)
{
    const struct corpus *corpus = replay->tail->corpus;
    const struct interaction *target = &corpus->log[event->at];
    size_t user_begin = corpus->user_begin[event->user];
    uint32_t latest[TOGETHER_WINDOW];
    size_t count = pairs_latest_items(corpus->log + user_begin, event->at - user_begin,
                                      replay->state.counting, ROW_NONE, latest, TOGETHER_WINDOW);
    for (int horizon = 0; horizon < PAIRS_HORIZONS; horizon++)
        if (replay->goes_together[horizon])
            together_prepare(&replay->together[horizon], target->ts_ms);
    for (size_t v = 0; v < replay->extras_count; v++)
        list_extras(replay, &replay->extras[v], latest, count, target->item);
}

static float ndcg_of(const struct tail_count *count)
{
    double rank = 1 + count->above + 0.5 * count->same;
    return rank <= DEPTH ? (float)(1 / log2(1 + rank)) : 0;
}

/* The two dense terms at a sampled event. */
static struct tail_terms terms_of(const struct replay *replay, const struct dense *dense,
                                  size_t number)
{
    const float *trend = replay->trend[dense->half_life];
    struct tail_terms terms = {trend, trend, replay->mask, 0, (float)dense->trend};
    bool tasted = dense->taste != 0;
    if (tasted) {
        size_t at = (number - replay->group_begin) * replay->rho_count + dense->rho;
        terms.taste = replay->taste + at * replay->items;
        terms.a = (float)dense->taste;
        tasted = !replay->cold[at];
    }
    if (!tasted && terms.b == 0)
        terms.b = TREND_FALLBACK;
    return terms;
}

/* Ranks by the dense terms alone: most targets are lost in the first block. */
static float rank_dense(struct replay *replay, const struct tail_terms *terms, uint32_t target)
{
    struct tail_count count = {0};
    const struct tail_kernel *kernel = replay->kernel;
    float *scores = replay->scores;
    kernel->mix(terms, target, target + 1, scores);
    float wanted = scores[target];
    for (size_t from = 0; from < replay->items && count.above < DEPTH; from += BLOCK) {
        size_t to = from + BLOCK < replay->items ? from + BLOCK : replay->items;
        kernel->mix(terms, from, to, scores);
        kernel->count(scores, from, to, wanted, &count);
    }
    count.same--; /* itself */
    return ndcg_of(&count);
}

static void count_dense(const struct replay *replay, float target, struct tail_count *count)
{
    for (size_t from = 0; from < replay->items && count->above < DEPTH; from += BLOCK) {
        size_t to = from + BLOCK < replay->items ? from + BLOCK : replay->items;
        replay->kernel->count(replay->scores, from, to, target, count);
    }
}

/* The same dense terms with several kinds and weights of co-occurrence: asked: [count]. */
static void rank_sparse(struct replay *replay, const struct tail_terms *terms, uint32_t target,
                        const struct asked *asked, size_t count, float *ndcg, size_t row_length)
{
    float *scores = replay->scores;
    replay->kernel->mix(terms, 0, replay->items, scores);
    float own = scores[target], counted_for = NAN;
    struct tail_count dense = {0};
    struct extras *extras = NULL;
    scores[target] = -INFINITY; /* it is what the others are compared with */
    for (size_t i = 0; i < count; i++) {
        struct extras *next = asked[i].extras != NONE ? &replay->extras[asked[i].extras] : NULL;
        if (next != NULL && next != extras)
            for (size_t k = 0; k < next->count; k++)
                next->scores[k] = scores[next->items[k]];
        extras = next;
        float wanted = extras != NULL ? tail_with_extra(own, extras->at_target, asked[i].c) : own;
        if (wanted != counted_for) {
            dense = (struct tail_count){0};
            count_dense(replay, wanted, &dense);
            counted_for = wanted;
        }
        struct tail_count all = dense;
        if (extras != NULL && all.above < DEPTH)
            replay->kernel->count_extra(extras->scores, extras->C, asked[i].c, extras->count,
                                        wanted, &all);
        ndcg[asked[i].row * row_length] = ndcg_of(&all);
    }
}

/* Ranks sampled event `number` under all weights. */
static void rank_event(struct replay *replay, size_t number, float *ndcg)
{
    const struct tail *tail = replay->tail;
    const struct tail_event *event = &tail->events[number];
    const struct interaction *target = &tail->corpus->log[event->at];
    if (!replay->state.known[target->item]) {
        for (size_t i = 0; i < replay->asked_count; i++)
            ndcg[i * tail->count + number] = 0;
        return;
    }
    leave_out(replay, event);
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        if (replay->used[h])
            replay->kernel->trend(replay->trends[h].gathered,
                                  trend_decay(&replay->trends[h], target->ts_ms), replay->items,
                                  replay->trend[h]);
    if (replay->extras_count > 0)
        list_all_extras(replay, event);
    for (size_t i = 0, end; i < replay->asked_count; i = end) {
        const struct asked *asked = &replay->asked[i];
        for (end = i; end < replay->asked_count && replay->asked[end].dense == asked->dense;)
            end++;
        struct tail_terms terms = terms_of(replay, &replay->dense[asked->dense], number);
        if (end == i + 1 && asked->extras == NONE)
            ndcg[asked->row * tail->count + number] = rank_dense(replay, &terms, target->item);
        else
            rank_sparse(replay, &terms, target->item, asked, end - i, ndcg + number, tail->count);
    }
    take_back(replay, event);
}

static void run(struct replay *replay, float *ndcg)
{
    const struct tail *tail = replay->tail;
    size_t next = 0;
    struct pacing pacing;
    pacing_begin(&pacing, tail->pace);
    for (size_t i = 0; i < tail->order_count && next < tail->count; i++) {
        if (tail->order[i] == tail->events[next].at) {
            if (next == replay->group_end)
                taste_group(replay, next);
            rank_event(replay, next, ndcg);
            next++;
        }
        learn(replay, tail->order[i], tail->order_begin + i);
        pacing_rest(&pacing);
    }
    pacing_end(&pacing);
}

int tail_rank(const struct tail *tail, const struct basis *basis,
              const struct hyperparameters *hyper, const struct score_weights *weights,
              size_t weight_count, float *ndcg, struct error *err)
{
    struct replay *replay = mem_zalloc(sizeof *replay);
    replay->tail = tail;
    replay->basis = basis;
    replay->hyper = hyper;
    replay->kernel = tail_kernel_chosen();
    replay->items = tail->corpus->items;
    plan(replay, weights, weight_count);
    int failed = replay_allocate(replay, err);
    if (!failed)
        failed = begin(replay, err);
    if (!failed)
        run(replay, ndcg);
    replay_deinit(replay);
    free(replay);
    return failed;
}
