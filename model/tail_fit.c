/* Means over the tail's events, and the weights that make them best. */
#include "base/mem.h"
#include "model/sums.h"
#include "model/tail.h"
#include "model/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double rho_grid[] = {1, 0.9, 0.8, 0.6, 0.4};
static const double trend_grid[] = {0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5}; /* b, at a = 1 */

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
_Static_assert(COUNT_OF(rho_grid) * (1 + COUNT_OF(trend_grid) * HALF_LIFE_COUNT) + HALF_LIFE_COUNT <
                   TAIL_WEIGHTS_MAX,
               "room for the grid and the current weights");

struct tail_mean tail_mean(const struct tail *tail, const float *ndcg, const float *base)
{
    double n = (double)tail->count, sum = 0;
    for (size_t i = 0; i < tail->count; i++)
        sum += (double)ndcg[i] - (base != NULL ? (double)base[i] : 0);
    struct tail_mean mean = {sum / n, 0};

    /* se^2 = U / (U - 1) sum over users of (sum of the user's deviations)^2 / n^2 */
    double squares = 0, users = 0;
    for (size_t i = 0; i < tail->count;) {
        size_t user = tail->events[tail->by_user[i]].user;
        double deviation = 0;
        for (; i < tail->count && tail->events[tail->by_user[i]].user == user; i++) {
            size_t event = tail->by_user[i];
            deviation += (double)ndcg[event] - (base != NULL ? (double)base[event] : 0) - mean.mean;
        }
        squares += deviation * deviation;
        users++;
    }
    mean.se = users > 1 ? sqrt(squares * users / (users - 1)) / n : INFINITY;
    return mean;
}

struct score_weights tail_settle(const struct tail_choice *choice, struct score_weights weights)
{
    if (choice->rho > 0)
        weights.rho = choice->rho;
    if (choice->trend_half_life >= 0)
        weights.trend_half_life = choice->trend_half_life;
    if (choice->trend_weight >= 0) {
        weights.taste = 1;
        weights.trend = choice->trend_weight;
    }
    if (!choice->taste)
        weights.taste = 0;
    if (choice->together_weight >= 0)
        weights.together = choice->together_weight;
    return weights;
}

static bool equal_weights(const struct score_weights *a, const struct score_weights *b)
{
    return a->taste == b->taste && a->trend == b->trend &&
           a->trend_half_life == b->trend_half_life && a->rho == b->rho;
}

/* Settling makes many points of the grid the same; each is ranked once. */
static void add_to_grid(const struct tail_choice *choice, struct score_weights weights,
                        struct score_weights *grid, size_t *count)
{
    weights = tail_settle(choice, weights);
    for (size_t i = 0; i < *count; i++)
        if (equal_weights(&grid[i], &weights))
            return;
    grid[(*count)++] = weights;
}

size_t tail_grid(const struct tail_choice *choice, struct score_weights *grid)
{
    size_t count = 0;
    for (size_t r = 0; r < COUNT_OF(rho_grid); r++) {
        double rho = rho_grid[r];
        add_to_grid(choice, (struct score_weights){.taste = 1, .trend_half_life = 4, .rho = rho},
                    grid, &count); /* taste alone */
        for (size_t b = 0; b < COUNT_OF(trend_grid); b++)
            for (int h = 0; h < HALF_LIFE_COUNT; h++)
                add_to_grid(
                    choice,
                    (struct score_weights){
                        .taste = 1, .trend = trend_grid[b], .trend_half_life = h, .rho = rho},
                    grid, &count);
    }
    for (int h = 0; h < HALF_LIFE_COUNT; h++) /* trend alone */
        add_to_grid(choice,
                    (struct score_weights){.trend = 1, .trend_half_life = h, .rho = rho_grid[0]},
                    grid, &count);
    return count;
}

size_t tail_events_max(size_t items, size_t weight_count)
{
    double allowed = TAIL_WORK_MAX / ((double)items * (double)weight_count + 1);
    return allowed < TRAIN_TAIL_EVENTS ? (size_t)allowed : TRAIN_TAIL_EVENTS;
}

/* The best trend list alone, whatever may be chosen: the baseline that is hard to beat. */
static int rank_recent(const struct tail *tail, const struct basis *basis,
                       const struct hyperparameters *hyper, float *ndcg, double *best,
                       struct error *err)
{
    struct score_weights weights[HALF_LIFE_COUNT];
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        weights[h] = (struct score_weights){.trend = 1, .trend_half_life = h, .rho = 1};
    int failed = tail_rank(tail, basis, hyper, weights, HALF_LIFE_COUNT, ndcg, err);
    *best = 0;
    for (size_t h = 0; h < HALF_LIFE_COUNT && !failed; h++)
        *best = fmax(*best, tail_mean(tail, ndcg + h * tail->count, NULL).mean);
    return failed;
}

/* The place in the grid with the best mean; of equals the first. */
static size_t best_of(const struct tail *tail, const float *ndcg, size_t count)
{
    size_t best = 0;
    double best_mean = -1;
    for (size_t i = 0; i < count; i++) {
        double mean = tail_mean(tail, ndcg + i * tail->count, NULL).mean;
        if (mean > best_mean) {
            best = i;
            best_mean = mean;
        }
    }
    return best;
}

int tail_fit(const struct tail *tail, const struct basis *basis,
             const struct hyperparameters *hyper, const struct tail_choice *choice,
             const struct score_weights *current, struct tail_fit *fit, struct error *err)
{
    struct score_weights grid[TAIL_WEIGHTS_MAX];
    size_t count = tail_grid(choice, grid), n = tail->count;
    if (current != NULL) /* the last place in the table */
        grid[count] = tail_settle(choice, *current);
    size_t rows = count + (current != NULL);
    float *ndcg =
        mem_array(NULL, (rows > HALF_LIFE_COUNT ? rows : HALF_LIFE_COUNT) * n, sizeof *ndcg);
    *fit = (struct tail_fit){0};
    int failed = rank_recent(tail, basis, hyper, ndcg, &fit->recent, err);
    if (!failed)
        failed = tail_rank(tail, basis, hyper, grid, rows, ndcg, err);
    if (!failed) {
        size_t best = best_of(tail, ndcg, count);
        if (current != NULL) {
            struct tail_mean gain = tail_mean(tail, ndcg + best * n, ndcg + count * n);
            best = gain.mean > gain.se ? best : count;
        }
        fit->weights = grid[best];
        fit->fitted = tail_mean(tail, ndcg + best * n, NULL);
        fit->ndcg = mem_array(NULL, n, sizeof *fit->ndcg);
        memcpy(fit->ndcg, ndcg + best * n, n * sizeof *fit->ndcg);
    }
    free(ndcg);
    return failed;
}
