/* Means over the tail's events, and the weights that make them best.
 *
 * The search: each term alone; taste and trend together, coarsely; what is best of that, and trend
 * alone, with all kinds of co-occurrence, and the running weights; then around the best of these
 * the dense terms, and around the best of those co-occurrence. Finer than that was no better on
 * events that were not fitted to. */
#include "base/mem.h"
#include "model/tail_search.h"
#include "model/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double rhos[] = {1, 0.9, 0.8, 0.6, 0.4, 0.2};
static const double trends[] = {0.003, 0.01, 0.03, 0.1, 0.3, 1};     /* b, at a = 1 */
static const double fades[] = {0.9, 0.6};                            /* rho of together */
static const double togethers[] = {0.3, 1, 3, 10, 30, 100};          /* c, at a = 1 */
static const double togethers_to_trend[] = {1, 3, 10, 30, 100, 300}; /* c, at a = 0 and b = 1 */
static const double fine_rhos[] = {1, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define HALF_LIFE_USUAL 4 /* a week */
#define SEEDS 3           /* pairs of dense terms to which together is added */
#define SEEDS_RECENT 2    /* and trends alone */
#define STEP 1.7320508    /* sqrt(3): from one weight to the next when refining */
#define STANDARD_ERRORS 1 /* of the paired difference, that a gain must be above */

static const struct together_choice usual_together = {0.8, PAIRS_EVER, true};

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
    if (weights.together > 0 && weights.together_of.rho == 0)
        weights.together_of = usual_together;
    return weights;
}

size_t tail_events_max(size_t items)
{
    double allowed = TAIL_WORK_MAX / ((double)items + 1);
    return allowed < TRAIN_TAIL_EVENTS ? (size_t)allowed : TRAIN_TAIL_EVENTS;
}

/* -- the coarse part --------------------------------------------------------------------------- */

static struct score_weights recent(int half_life)
{
    return (struct score_weights){.trend = 1, .trend_half_life = half_life, .rho = 1};
}

/* Each alone but together, and the two dense ones. */
static int try_dense(struct tail_search *search, struct error *err)
{
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        tail_search_add_plain(search, recent(h));
    for (size_t r = 0; r < COUNT_OF(rhos) && search->choice.taste; r++)
        tail_search_add_plain(
            search,
            (struct score_weights){.taste = 1,
                                   .trend_half_life = HALF_LIFE_USUAL,
                                   .rho = search->choice.rho > 0 ? search->choice.rho : rhos[r]});
    for (size_t r = 0; r < COUNT_OF(rhos); r++)
        for (size_t b = 0; b < COUNT_OF(trends); b++)
            for (int h = 0; h < HALF_LIFE_COUNT; h++)
                tail_search_add(search, (struct score_weights){.taste = 1,
                                                               .trend = trends[b],
                                                               .trend_half_life = h,
                                                               .rho = rhos[r]});
    return tail_search_run(search, err);
}

static bool is_recent(const struct trial *trial, const void *arg)
{
    return trial->weights.trend != 0 && trial->weights.taste == 0 && trial->weights.together == 0;
}

static bool is_taste(const struct trial *trial, const void *arg)
{
    return trial->weights.taste != 0 && trial->weights.trend == 0 && trial->weights.together == 0;
}

static bool is_together(const struct trial *trial, const void *arg)
{
    return trial->weights.together != 0 && trial->weights.taste == 0 && trial->weights.trend == 0;
}

/* Dense terms to add together to: of another rho or half-life than those taken before. */
struct seeds {
    struct score_weights at[SEEDS + SEEDS_RECENT];
    size_t count;
};

static bool is_another_seed(const struct trial *trial, const void *arg)
{
    const struct seeds *seeds = arg;
    for (size_t i = 0; i < seeds->count; i++)
        if (seeds->at[i].taste == trial->weights.taste && seeds->at[i].rho == trial->weights.rho &&
            seeds->at[i].trend_half_life == trial->weights.trend_half_life)
            return false;
    return true;
}

static bool is_mixed_seed(const struct trial *trial, const void *arg)
{
    return trial->allowed && trial->weights.taste != 0 && is_another_seed(trial, arg);
}

static bool is_recent_seed(const struct trial *trial, const void *arg)
{
    return trial->allowed && trial->weights.taste == 0 && is_another_seed(trial, arg);
}

static void take_seeds(const struct tail_search *search, struct seeds *seeds, size_t wanted,
                       bool (*is)(const struct trial *, const void *))
{
    for (size_t i = 0; i < wanted; i++) {
        size_t best = tail_search_best(search, is, seeds);
        if (best == TAIL_NO_TRIAL)
            return;
        seeds->at[seeds->count++] = search->trials[best].weights;
    }
}

static void add_with(struct tail_search *search, struct score_weights weights,
                     const struct together_choice *of)
{
    const double *cs = weights.taste != 0 ? togethers : togethers_to_trend;
    _Static_assert(COUNT_OF(togethers) == COUNT_OF(togethers_to_trend), "as many of each");
    weights.together_of = *of;
    for (size_t c = 0; c < COUNT_OF(togethers); c++) {
        weights.together = cs[c];
        tail_search_add(search, weights);
    }
}

static int try_together(struct tail_search *search, struct error *err)
{
    struct seeds seeds = {.count = 0};
    take_seeds(search, &seeds, SEEDS, is_mixed_seed);
    take_seeds(search, &seeds, SEEDS_RECENT, is_recent_seed);
    struct score_weights alone = {.trend_half_life = HALF_LIFE_USUAL, .rho = 1, .together = 1};
    for (size_t fade = 0; fade < COUNT_OF(fades); fade++)
        for (int horizon = 0; horizon < PAIRS_HORIZONS; horizon++)
            for (int both = 0; both < 2; both++) {
                struct together_choice of = {fades[fade], (enum pairs_horizon)horizon, both};
                alone.together_of = of;
                tail_search_add_plain(search, alone);
                for (size_t i = 0; i < seeds.count; i++)
                    add_with(search, seeds.at[i], &of);
            }
    return tail_search_run(search, err);
}

/* From where to go on. */
static int try_current(struct tail_search *search, const struct score_weights *current,
                       struct error *err)
{
    if (current == NULL)
        return 0;
    tail_search_add(search, *current);
    return tail_search_run(search, err);
}

/* -- the fine part ----------------------------------------------------------------------------- */

/* rho and `reach` on each side of it: at most 2 reach + 1. */
static size_t rhos_around(double rho, size_t reach, double *around)
{
    size_t nearest = 0, count = 0;
    for (size_t r = 0; r < COUNT_OF(fine_rhos); r++)
        if (fabs(fine_rhos[r] - rho) < fabs(fine_rhos[nearest] - rho))
            nearest = r;
    for (size_t r = nearest > reach ? nearest - reach : 0;
         r <= nearest + reach && r < COUNT_OF(fine_rhos); r++)
        around[count++] = r == nearest ? rho : fine_rhos[r];
    return count;
}

/* Around the dense terms: rho, b, half-life and c, which goes with b. */
static void add_around_dense(struct tail_search *search, struct score_weights best)
{
    double around[3];
    size_t count = rhos_around(best.rho, best.taste != 0, around);
    for (size_t r = 0; r < count; r++)
        for (int h = best.trend_half_life - 1; h <= best.trend_half_life + 1; h++)
            for (int b = -2; b <= 2; b++)
                for (int c = -1; c <= 1; c++) {
                    struct score_weights weights = best;
                    if (h < 0 || h >= HALF_LIFE_COUNT || (best.taste == 0 && b != 0))
                        continue;
                    weights.rho = around[r];
                    weights.trend_half_life = h;
                    weights.trend *= pow(STEP, b);
                    weights.together *= pow(STEP, c);
                    tail_search_add(search, weights);
                }
}

/* Taste where there is none yet, and none where there is. */
static void add_other_taste(struct tail_search *search, struct score_weights best)
{
    struct score_weights weights = best;
    if (best.trend <= 0 && best.together <= 0)
        return;
    if (best.taste != 0) {
        weights.taste = 0;
        tail_search_add(search, weights);
        return;
    }
    double scale = best.trend > 0 ? best.trend : best.together;
    for (size_t r = 0; r < COUNT_OF(rhos); r++)
        for (size_t b = 0; b < COUNT_OF(trends); b++) {
            weights.taste = 1;
            weights.rho = rhos[r];
            weights.trend = best.trend / scale * trends[b];
            weights.together = best.together / scale * trends[b];
            tail_search_add(search, weights);
        }
}

/* Around co-occurrence: its rho, the other horizon and direction, and c. */
static void add_around_together(struct tail_search *search, struct score_weights best)
{
    double around[5];
    size_t count = rhos_around(best.together_of.rho, 2, around);
    for (int horizon = 0; horizon < PAIRS_HORIZONS; horizon++)
        for (int both = 0; both < 2; both++)
            for (size_t r = 0; r < count; r++)
                for (int c = -2; c <= 2; c++) {
                    struct score_weights weights = best;
                    bool same = (int)best.together_of.horizon == horizon &&
                                best.together_of.both == (both != 0);
                    weights.together_of =
                        (struct together_choice){around[r], (enum pairs_horizon)horizon, both};
                    weights.together *= pow(STEP, c);
                    if (same || around[r] == best.together_of.rho)
                        tail_search_add(search, weights);
                }
}

static int refine_once(struct tail_search *search, struct error *err)
{
    add_around_dense(search, search->trials[search->best].weights);
    add_other_taste(search, search->trials[search->best].weights);
    if (tail_search_run(search, err) != 0)
        return ERR_DOWN;
    if (search->trials[search->best].weights.together > 0)
        add_around_together(search, search->trials[search->best].weights);
    return tail_search_run(search, err);
}

/* What refining gains must be more than chance makes of hundreds of trials; else it is not taken.
 */
static int refine(struct tail_search *search, struct error *err)
{
    size_t bytes = search->tail->count * sizeof(float), coarse = search->best;
    float *before = mem_alloc(bytes);
    memcpy(before, search->best_ndcg, bytes);
    int failed = refine_once(search, err);
    struct tail_mean gain = tail_mean(search->tail, search->best_ndcg, before);
    if (gain.mean <= STANDARD_ERRORS * gain.se) {
        search->best = coarse;
        memcpy(search->best_ndcg, before, bytes);
    }
    free(before);
    return failed;
}

/* -- the choice -------------------------------------------------------------------------------- */

static double mean_of(const struct tail_search *search,
                      bool (*is)(const struct trial *, const void *))
{
    size_t best = tail_search_best(search, is, NULL);
    return best != TAIL_NO_TRIAL ? search->trials[best].mean : NAN;
}

/* Whether `current` stays; its NDCG, in `ndcg`. */
static bool stays(const struct tail_search *search, const struct tail_fit *fit, const float *ndcg)
{
    double mean = tail_mean(search->tail, ndcg, NULL).mean;
    struct tail_mean gain = tail_mean(search->tail, search->best_ndcg, ndcg);
    bool is_worse_than_one_term = mean < fit->recent || mean < fit->together;
    return gain.mean <= STANDARD_ERRORS * gain.se && !is_worse_than_one_term;
}

static int choose(struct tail_search *search, const struct score_weights *current,
                  struct tail_fit *fit, struct error *err)
{
    size_t n = search->tail->count;
    fit->recent = mean_of(search, is_recent);
    fit->taste = mean_of(search, is_taste);
    fit->together = mean_of(search, is_together);
    fit->tried = search->count;
    fit->weights = search->trials[search->best].weights;
    fit->ndcg = mem_array(NULL, n, sizeof *fit->ndcg);
    memcpy(fit->ndcg, search->best_ndcg, n * sizeof *fit->ndcg);
    if (current != NULL) {
        struct score_weights settled = tail_settle(&search->choice, *current);
        if (tail_rank(search->tail, search->basis, search->hyper, &settled, 1, search->ndcg, err) !=
            0)
            return ERR_DOWN;
        if (stays(search, fit, search->ndcg)) {
            fit->weights = settled;
            memcpy(fit->ndcg, search->ndcg, n * sizeof *fit->ndcg);
        }
    }
    fit->fitted = tail_mean(search->tail, fit->ndcg, NULL);
    return 0;
}

int tail_fit(const struct tail *tail, const struct basis *basis,
             const struct hyperparameters *hyper, const struct tail_choice *choice,
             const struct score_weights *current, struct tail_fit *fit, struct error *err)
{
    struct tail_search search = {.tail = tail, .basis = basis, .hyper = hyper, .choice = *choice};
    if (tail->head.pairs.neighbours_max == 0)
        search.choice.together_weight = 0;
    *fit = (struct tail_fit){0};
    int failed = tail_search_init(&search, err);
    if (!failed)
        failed = try_dense(&search, err);
    if (!failed && search.choice.together_weight != 0)
        failed = try_together(&search, err);
    if (!failed)
        failed = try_current(&search, current, err);
    if (!failed)
        failed = refine(&search, err);
    if (!failed)
        failed = choose(&search, current, fit, err);
    if (failed) {
        free(fit->ndcg);
        fit->ndcg = NULL;
    }
    tail_search_deinit(&search);
    return failed;
}
