#include "model/tail_search.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

int tail_search_init(struct tail_search *search, struct error *err)
{
    size_t n = search->tail->count;
    search->best = TAIL_NO_TRIAL;
    search->best_ndcg = mem_try(n, sizeof(float));
    search->ndcg = mem_try(TAIL_WEIGHTS_MAX * n, sizeof(float));
    if (search->best_ndcg == NULL || search->ndcg == NULL)
        return error_set(err, ERR_DOWN, "no memory to rank %zu events", n);
    return 0;
}

void tail_search_deinit(struct tail_search *search)
{
    free(search->trials);
    free(search->best_ndcg);
    free(search->ndcg);
}

/* Weights that rank alike look alike: with one term left its scale says nothing, nor does how a
 * term without weight would be made. */
static struct score_weights in_one_form(struct score_weights weights)
{
    if (weights.taste == 0)
        weights.rho = 1;
    if (weights.together == 0)
        weights.together_of = (struct together_choice){0};
    if (weights.taste == 0 && weights.together == 0 && weights.trend > 0)
        weights.trend = 1;
    if (weights.taste == 0 && weights.trend == 0 && weights.together > 0)
        weights.together = 1;
    if (weights.trend == 0 && weights.together == 0 && weights.taste > 0)
        weights.taste = 1;
    return weights;
}

static bool are_equal(const struct score_weights *a, const struct score_weights *b)
{
    return a->taste == b->taste && a->trend == b->trend &&
           a->trend_half_life == b->trend_half_life && a->rho == b->rho &&
           a->together == b->together && a->together_of.rho == b->together_of.rho &&
           a->together_of.horizon == b->together_of.horizon &&
           a->together_of.both == b->together_of.both;
}

static void add(struct tail_search *search, const struct score_weights *weights, bool allowed)
{
    for (size_t i = 0; i < search->count; i++)
        if (are_equal(&search->trials[i].weights, weights)) {
            search->trials[i].allowed |= allowed;
            return;
        }
    if (search->count == search->capacity) {
        search->capacity = search->capacity ? search->capacity * 2 : 256;
        search->trials = mem_array(search->trials, search->capacity, sizeof *search->trials);
    }
    search->trials[search->count++] = (struct trial){.weights = *weights, .allowed = allowed};
}

void tail_search_add(struct tail_search *search, struct score_weights weights)
{
    weights = tail_settle(&search->choice, weights);
    struct score_weights form = in_one_form(weights);
    struct score_weights settled = tail_settle(&search->choice, form);
    add(search, are_equal(&form, &settled) ? &form : &weights, true);
}

void tail_search_add_plain(struct tail_search *search, struct score_weights weights)
{
    weights = in_one_form(weights);
    struct score_weights settled = tail_settle(&search->choice, weights);
    add(search, &weights, are_equal(&weights, &settled));
}

static void note(struct tail_search *search, size_t number, const float *ndcg)
{
    struct trial *trial = &search->trials[number];
    trial->mean = tail_mean(search->tail, ndcg, NULL).mean;
    if (!trial->allowed ||
        (search->best != TAIL_NO_TRIAL && trial->mean <= search->trials[search->best].mean))
        return;
    search->best = number;
    memcpy(search->best_ndcg, ndcg, search->tail->count * sizeof *ndcg);
}

int tail_search_run(struct tail_search *search, struct error *err)
{
    while (search->waiting < search->count) {
        struct score_weights weights[TAIL_WEIGHTS_MAX];
        size_t count = search->count - search->waiting;
        count = count < TAIL_WEIGHTS_MAX ? count : TAIL_WEIGHTS_MAX;
        for (size_t i = 0; i < count; i++)
            weights[i] = search->trials[search->waiting + i].weights;
        if (tail_rank(search->tail, search->basis, search->hyper, weights, count, search->ndcg,
                      err) != 0)
            return ERR_DOWN;
        for (size_t i = 0; i < count; i++)
            note(search, search->waiting + i, search->ndcg + i * search->tail->count);
        search->waiting += count;
    }
    return 0;
}

size_t tail_search_best(const struct tail_search *search,
                        bool (*is)(const struct trial *trial, const void *arg), const void *arg)
{
    size_t best = TAIL_NO_TRIAL;
    for (size_t i = 0; i < search->waiting; i++)
        if (is(&search->trials[i], arg) &&
            (best == TAIL_NO_TRIAL || search->trials[i].mean > search->trials[best].mean))
            best = i;
    return best;
}
