/* The held-out tail, against a naive twin that replays every event from its definition. */
#include "model/tail.h"
#include "base/mem.h"
#include "model/blas.h"
#include "model/sums.h"
#include "model/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED 20240604
#define HOUR_MS INT64_C(3600000)

static uint64_t random_state = SEED;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % below);
}

enum { RANK = 6, STRIDE = 16, USERS_MAX = 400, ITEMS_MAX_HERE = 120, EVENTS_MAX = 6000 };

struct world {
    struct corpus corpus;
    struct slice ids[ITEMS_MAX_HERE];
    char text[ITEMS_MAX_HERE][8];
    struct interaction log[USERS_MAX][64];
    size_t count[USERS_MAX];
    int64_t next_offset;
    float *Y;
    double g[RANK];
    struct basis basis;
    struct hyperparameters hyper;
};

static struct world *world_new(void)
{
    struct world *w = mem_zalloc(sizeof *w);
    w->corpus.types[0] = (struct type_weight){1, 0, 1, VALUE_NONE, true};
    w->corpus.types[1] = (struct type_weight){-1, 0, 1, VALUE_NONE, true};
    w->hyper = (struct hyperparameters){OBJECTIVE_IALS, RANK, 0.1, 0.05, 1, LAMBDA_COUNT};
    for (int i = 0; i < ITEMS_MAX_HERE; i++)
        w->ids[i] = (struct slice){w->text[i],
                                   (uint32_t)snprintf(w->text[i], sizeof w->text[i], "i%03d", i)};
    return w;
}

static void meet(struct world *w, size_t user, uint32_t item, int64_t ts_ms, uint16_t type)
{
    assert_true(w->count[user] < 64);
    w->log[user][w->count[user]++] = (struct interaction){
        .ts_ms = ts_ms, .offset = w->next_offset++, .value = 1, .item = item, .type = type};
}

/* Every item is met at least once below, so rows are numbers. Y: random, in its eigenbasis. */
static void finish(struct world *w, size_t users, size_t items)
{
    for (size_t user = 0; user < users; user++) {
        char id[8];
        int length = snprintf(id, sizeof id, "u%03zu", user);
        struct seen_item seen = {.types = 1, .item = (uint32_t)(user * 7 % items)};
        corpus_add_user(&w->corpus, (struct slice){id, (uint32_t)length}, (int32_t)(user % 2),
                        w->log[user], w->count[user], &seen, 1);
    }
    assert_int_equal(corpus_finish(&w->corpus, w->ids, items, 1, NULL), 0);
    assert_int_equal(w->corpus.items, items);
    double G[RANK * RANK], V[RANK * RANK];
    w->Y = mem_try(items * STRIDE, sizeof *w->Y);
    for (size_t row = 0; row < items; row++)
        als_init_row(w->Y + row * STRIDE, RANK, STRIDE, SEED, w->corpus.ids[row]);
    for (size_t i = 0; i < items * STRIDE; i++)
        w->Y[i] *= 8; /* |y| of about 0.8, as trained factors have */
    blas_gram(w->Y, items, STRIDE, RANK, G);
    assert_int_equal(blas_eigen(G, RANK, V, w->g, NULL), 0);
    blas_rotate(w->Y, items, STRIDE, RANK, V);
    w->basis = (struct basis){w->Y, w->g, items, STRIDE, RANK};
}

static void world_free(struct world *w)
{
    corpus_deinit(&w->corpus);
    free(w->Y);
    free(w);
}

/* Everybody meets anything, at any time; some of it disliked. */
static struct world *random_world(void)
{
    struct world *w = world_new();
    for (uint32_t item = 0; item < 40; item++)
        meet(w, item, item, HOUR_MS * item / 10, 0);
    for (int i = 0; i < 1000; i++)
        meet(w, draw(60), draw(40), HOUR_MS * (4 + i / 3), draw(10) == 0);
    finish(w, 60, 40);
    return w;
}

static struct tail tail_of(const struct world *w)
{
    struct tail tail;
    assert_int_equal(tail_init(&tail, &w->corpus, NULL, 2000, SEED, NULL), 0);
    return tail;
}

/* -- the cut and the sample -------------------------------------------------------------------- */

static void test_the_tail_is_the_last_tenth_in_stream_order(void **state)
{
    printf("seed %d\n", SEED);
    struct world *w = random_world();
    struct tail tail = tail_of(w);
    assert_int_equal(tail.order_count, 1040 - 936);
    const struct interaction *log = w->corpus.log;
    for (size_t i = 0; i < tail.order_count; i++) {
        assert_true(log[tail.order[i]].ts_ms >= tail.cut_ms);
        if (i > 0)
            assert_true(log[tail.order[i]].ts_ms >= log[tail.order[i - 1]].ts_ms);
    }
    tail_deinit(&tail);
    world_free(w);
}

static void test_each_users_log_is_cut_where_the_stream_is(void **state)
{
    struct world *w = random_world();
    struct tail tail = tail_of(w);
    size_t after = 0;
    for (size_t user = 0; user < w->corpus.users; user++) {
        after += w->corpus.user_begin[user + 1] - tail.cut[user];
        if (tail.cut[user] > w->corpus.user_begin[user])
            assert_true(w->corpus.log[tail.cut[user] - 1].ts_ms <= tail.cut_ms);
    }
    assert_int_equal(after, tail.order_count);
    tail_deinit(&tail);
    world_free(w);
}

static void test_only_first_likes_of_an_item_are_sampled(void **state)
{
    struct world *w = random_world();
    struct tail tail = tail_of(w);
    size_t expected = 0;
    for (size_t i = 0; i < tail.order_count; i++) {
        size_t at = tail.order[i], user = corpus_user_at(&w->corpus, at);
        bool first = w->corpus.log[at].type == 0;
        for (size_t k = w->corpus.user_begin[user]; k < at; k++)
            first = first && w->corpus.log[k].item != w->corpus.log[at].item;
        if (!first)
            continue;
        assert_true(expected < tail.count);
        assert_int_equal(tail.events[expected].at, at);
        assert_int_equal(tail.events[expected].user, user);
        expected++;
    }
    assert_int_equal(tail.count, expected);
    tail_deinit(&tail);
    world_free(w);
}

static void test_a_smaller_sample_is_of_the_asked_size_and_in_order(void **state)
{
    struct world *w = random_world();
    struct tail tail;
    assert_int_equal(tail_init(&tail, &w->corpus, NULL, 20, SEED, NULL), 0);
    assert_int_equal(tail.count, 20);
    size_t next = 0;
    for (size_t i = 0; i < tail.order_count && next < 20; i++)
        next += tail.order[i] == tail.events[next].at;
    assert_int_equal(next, 20);
    tail_deinit(&tail);
    world_free(w);
}

static void test_the_sample_is_the_seeds(void **state)
{
    struct world *w = random_world();
    struct tail a, same, other;
    assert_int_equal(tail_init(&a, &w->corpus, NULL, 20, 1, NULL), 0);
    assert_int_equal(tail_init(&same, &w->corpus, NULL, 20, 1, NULL), 0);
    assert_int_equal(tail_init(&other, &w->corpus, NULL, 20, 2, NULL), 0);
    assert_memory_equal(a.events, same.events, 20 * sizeof *a.events);
    assert_memory_not_equal(a.events, other.events, 20 * sizeof *a.events);
    tail_deinit(&a);
    tail_deinit(&same);
    tail_deinit(&other);
    world_free(w);
}

/* A tail of more than TAIL_FRESH_MIN first likes. */
static struct world *large_world(void)
{
    struct world *w = world_new();
    for (uint32_t item = 0; item < 100; item++)
        meet(w, item, item, item, 0);
    for (uint32_t i = 0; i < 5000; i++) /* i -> (user, item) never repeats */
        meet(w, i % 400, (i / 400 * 7 + i % 400 + 1) % 100, 1000 + i, 0);
    finish(w, 400, 100);
    return w;
}

static void test_news_to_the_running_generation_is_preferred(void **state)
{
    struct world *w = large_world();
    struct generation_cutoff cutoffs[] = {{0, 4800}, {1, 4800}};
    struct generation live = {.cutoffs = cutoffs, .cutoff_count = 2};
    struct tail tail;
    assert_int_equal(tail_init(&tail, &w->corpus, &live, 2000, SEED, NULL), 0);
    assert_true(tail.fresh);
    assert_int_equal(tail.count, 300);
    for (size_t i = 0; i < tail.count; i++)
        assert_true(w->corpus.log[tail.events[i].at].offset >= 4800);
    tail_deinit(&tail);
    world_free(w);
}

static void test_too_little_news_leaves_the_whole_tail(void **state)
{
    struct world *w = large_world();
    struct generation_cutoff cutoffs[] = {{0, 5000}, {1, 5000}};
    struct generation live = {.cutoffs = cutoffs, .cutoff_count = 2};
    struct tail tail;
    assert_int_equal(tail_init(&tail, &w->corpus, &live, 2000, SEED, NULL), 0);
    assert_false(tail.fresh);
    assert_int_equal(tail.count, 510);
    tail_deinit(&tail);
    world_free(w);
}

static void test_a_partition_the_generation_never_saw_is_news(void **state)
{
    struct world *w = large_world();
    struct generation_cutoff cutoffs[] = {{0, 9000}};
    struct generation live = {.cutoffs = cutoffs, .cutoff_count = 1};
    struct tail tail;
    assert_int_equal(tail_init(&tail, &w->corpus, &live, 2000, SEED, NULL), 0);
    assert_true(tail.fresh);
    for (size_t i = 0; i < tail.count; i++)
        assert_int_equal(w->corpus.partition[tail.events[i].user], 1);
    tail_deinit(&tail);
    world_free(w);
}

/* -- ranking ----------------------------------------------------------------------------------- */

static void gauss(double *A, double *c, size_t n)
{
    for (size_t step = 0; step < n; step++)
        for (size_t row = step + 1; row < n; row++) {
            double factor = A[row * n + step] / A[step * n + step];
            for (size_t k = step; k < n; k++)
                A[row * n + k] -= factor * A[step * n + k];
            c[row] -= factor * c[step];
        }
    for (size_t row = n; row-- > 0;) {
        for (size_t k = row + 1; k < n; k++)
            c[row] -= A[row * n + k] * c[k];
        c[row] /= A[row * n + row];
    }
}

/* x_u after the first `count` of a user's log: types 0 and 1 count 1 and -1, capped at 1 a type. */
static void naive_factors(const struct world *w, const struct interaction *log, size_t count,
                          double rho, double *x)
{
    double c[2][ITEMS_MAX_HERE] = {{0}}, A[RANK * RANK] = {0};
    size_t distinct = 0;
    for (size_t i = 0; i < count; i++) {
        int position = 0;
        for (size_t k = i + 1; k < count; k++)
            position += log[k].ts_ms != log[k - 1].ts_ms;
        c[log[i].type][log[i].item] += pow(rho, position);
    }
    memset(x, 0, RANK * sizeof *x);
    for (size_t item = 0; item < w->corpus.items; item++) {
        double confidence = fmin(1, c[0][item]) - fmin(1, c[1][item]);
        const float *y = w->Y + item * STRIDE;
        if ((float)confidence == 0)
            continue;
        distinct++;
        for (int k = 0; k < RANK; k++) {
            x[k] += fmax(confidence, 0) * (double)y[k];
            for (int j = 0; j < RANK; j++)
                A[k * RANK + j] += fabs(confidence) * (double)y[k] * (double)y[j];
        }
    }
    for (int k = 0; k < RANK; k++)
        A[k * RANK + k] += w->hyper.w0 * w->g[k] + w->hyper.lambda * (double)distinct;
    if (distinct > 0)
        gauss(A, x, RANK);
}

/* All events before log[at] in stream order, by the definition: an earlier time, or the same time
 * and an earlier place. */
static bool is_before(const struct corpus *corpus, size_t i, size_t at)
{
    return corpus->log[i].ts_ms != corpus->log[at].ts_ms
               ? corpus->log[i].ts_ms < corpus->log[at].ts_ms
               : i < at;
}

static double naive_ndcg(const struct world *w, const struct tail_event *event,
                         const struct score_weights *weights)
{
    const struct corpus *corpus = &w->corpus;
    const struct interaction *target = &corpus->log[event->at];
    double S[ITEMS_MAX_HERE] = {0}, score[ITEMS_MAX_HERE], x[RANK];
    bool known[ITEMS_MAX_HERE] = {false}, had[ITEMS_MAX_HERE] = {false};
    for (size_t i = 0; i < corpus->user_begin[corpus->users]; i++) {
        const struct interaction *other = &corpus->log[i];
        if (!is_before(corpus, i, event->at))
            continue;
        known[other->item] = true;
        had[other->item] |= corpus_user_at(corpus, i) == event->user;
        if (other->type == 0)
            S[other->item] += exp2(-(double)(target->ts_ms - other->ts_ms) /
                                   (double)half_life_ms[weights->trend_half_life]);
    }
    for (size_t i = corpus->older_begin[event->user]; i < corpus->older_begin[event->user + 1]; i++)
        had[corpus->older[i]] = true;
    size_t begin = corpus->user_begin[event->user];
    naive_factors(w, corpus->log + begin, event->at - begin, weights->rho, x);
    for (size_t item = 0; item < corpus->items; item++) {
        score[item] = weights->trend * log1p(S[item]);
        for (int k = 0; k < RANK; k++)
            score[item] += weights->taste * x[k] * (double)w->Y[item * STRIDE + (size_t)k];
    }
    if (!known[target->item])
        return 0;
    double rank = 1;
    for (size_t item = 0; item < corpus->items; item++)
        if (item != target->item && known[item] && !had[item]) {
            /* Scores are float32: what is closer than some of its last bits is the same, and what
             * is below its range is nothing. */
            double mine = (double)(float)score[target->item], other = (double)(float)score[item];
            bool same = fabs(other - mine) <= 1e-6 * fabs(mine);
            rank += same ? 0.5 : other > mine;
        }
    return rank <= 20 ? 1 / log2(1 + rank) : 0;
}

static void test_ranks_are_those_of_a_naive_replay(void **state)
{
    static const struct score_weights weights[] = {
        {1, 0, 4, 1, 0},   {1, 0, 4, 0.8, 0},   {0, 1, 0, 1, 0},   {0, 1, 4, 1, 0},
        {1, 0.1, 4, 1, 0}, {1, 0.2, 0, 0.6, 0}, {1, 0.5, 6, 1, 0}, {2, 0.3, 3, 0.9, 0}};
    enum { COUNT = sizeof weights / sizeof *weights };
    struct world *w = random_world();
    struct tail tail = tail_of(w);
    float *ndcg = mem_array(NULL, COUNT * tail.count, sizeof *ndcg);
    assert_true(tail.count > 20);
    assert_int_equal(tail_rank(&tail, &w->basis, &w->hyper, weights, COUNT, ndcg, NULL), 0);
    for (size_t i = 0; i < COUNT; i++)
        for (size_t event = 0; event < tail.count; event++) {
            double wanted = naive_ndcg(w, &tail.events[event], &weights[i]);
            if (getenv("DBG") && fabs((double)ndcg[i * tail.count + event] - wanted) > 1e-6)
                printf("%zu %zu %g %g\n", i, event, (double)ndcg[i * tail.count + event], wanted);
            else
                assert_true(fabs((double)ndcg[i * tail.count + event] - wanted) < 1e-6);
        }
    free(ndcg);
    tail_deinit(&tail);
    world_free(w);
}

static void test_an_item_nobody_has_met_is_a_miss(void **state)
{
    struct world *w = world_new();
    for (uint32_t i = 0; i < 99; i++) /* item 9 comes last, and only then */
        meet(w, i % 11, i % 9, i, 0);
    meet(w, 20, 9, 100, 0);
    finish(w, 21, 10);
    struct tail tail = tail_of(w);
    struct score_weights weights = {1, 1, 4, 1, 0};
    float *ndcg = mem_array(NULL, tail.count, sizeof *ndcg);
    assert_int_equal(tail_rank(&tail, &w->basis, &w->hyper, &weights, 1, ndcg, NULL), 0);
    assert_int_equal(w->corpus.log[tail.events[tail.count - 1].at].item, 9);
    assert_true(ndcg[tail.count - 1] == 0);
    free(ndcg);
    tail_deinit(&tail);
    world_free(w);
}

/* -- means and weights ------------------------------------------------------------------------- */

static void test_the_standard_error_takes_a_users_events_as_one(void **state)
{
    struct tail_event events[] = {{0, 0}, {1, 1}, {2, 0}, {3, 2}};
    size_t by_user[] = {0, 2, 1, 3};
    struct tail tail = {.events = events, .count = 4, .by_user = by_user};
    float ndcg[] = {1, 0, 0.5f, 0.5f};
    struct tail_mean mean = tail_mean(&tail, ndcg, NULL);
    assert_true(mean.mean == 0.5);
    /* Deviations 0.5, -0.5, 0, 0; by user 0.5, -0.5, 0; sqrt(0.5 * 3 / 2) / 4. */
    assert_true(fabs(mean.se - sqrt(0.75) / 4) < 1e-15);
}

static void test_the_difference_to_itself_is_nothing(void **state)
{
    struct tail_event events[] = {{0, 0}, {1, 1}, {2, 0}};
    size_t by_user[] = {0, 2, 1};
    struct tail tail = {.events = events, .count = 3, .by_user = by_user};
    float ndcg[] = {1, 0.25f, 0.5f};
    struct tail_mean mean = tail_mean(&tail, ndcg, ndcg);
    assert_true(mean.mean == 0);
    assert_true(mean.se == 0);
}

static void test_one_user_alone_proves_nothing(void **state)
{
    struct tail_event events[] = {{0, 5}, {1, 5}};
    size_t by_user[] = {0, 1};
    struct tail tail = {.events = events, .count = 2, .by_user = by_user};
    float ndcg[] = {1, 0.25f};
    assert_true(isinf(tail_mean(&tail, ndcg, NULL).se));
}

static const struct tail_choice all_open = {true, 0, -1, -1, 0};

static void test_the_grid_has_its_corners(void **state)
{
    struct score_weights grid[TAIL_WEIGHTS_MAX];
    size_t count = tail_grid(&all_open, grid), taste_alone = 0, trend_alone = 0;
    for (size_t i = 0; i < count; i++) {
        taste_alone += grid[i].taste == 1 && grid[i].trend == 0;
        trend_alone += grid[i].taste == 0 && grid[i].trend == 1;
    }
    assert_int_equal(taste_alone, 5); /* one for each rho */
    assert_int_equal(trend_alone, HALF_LIFE_COUNT);
    assert_int_equal(count, 5 + 5 * 7 * HALF_LIFE_COUNT + HALF_LIFE_COUNT);
}

static void test_what_is_set_is_not_fitted(void **state)
{
    struct score_weights grid[TAIL_WEIGHTS_MAX];
    struct tail_choice choice = {true, 0.7, 0.3, 2, 0};
    assert_int_equal(tail_grid(&choice, grid), 1);
    assert_true(grid[0].rho == 0.7);
    assert_true(grid[0].taste == 1);
    assert_true(grid[0].trend == 0.3);
    assert_int_equal(grid[0].trend_half_life, 2);
    choice = (struct tail_choice){true, 0, -1, 5, 0};
    size_t count = tail_grid(&choice, grid);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(grid[i].trend_half_life, 5);
}

static void test_a_large_catalogue_gets_a_smaller_sample(void **state)
{
    assert_int_equal(tail_events_max(3600, 208), TRAIN_TAIL_EVENTS);
    assert_in_range(tail_events_max(200000, 208), 400, 500);
    assert_int_equal(tail_events_max(0, 208), TRAIN_TAIL_EVENTS);
}

/* Each hour everybody who comes meets one of two items of that hour, whoever he is. */
static struct world *fashionable_world(void)
{
    struct world *w = world_new();
    for (uint32_t item = 0; item < 100; item++)
        meet(w, item, item, item, 0);
    for (uint32_t i = 0; i < 5000; i++)
        meet(w, i % 397, (i / 50 * 2 + i % 2) % 100, HOUR_MS * (1 + i / 50) + i % 50, 0);
    finish(w, 397, 100);
    return w;
}

static void test_a_stream_of_fashions_is_fitted_by_trend(void **state)
{
    struct world *w = fashionable_world();
    struct tail tail = tail_of(w);
    struct tail_fit fit;
    assert_true(tail.count >= TAIL_EVENTS_MIN);
    assert_int_equal(tail_fit(&tail, &w->basis, &w->hyper, &all_open, NULL, &fit, NULL), 0);
    assert_true(fit.weights.trend > 0);
    assert_true(half_life_ms[fit.weights.trend_half_life] <= 6 * HOUR_MS);
    assert_true(fit.fitted.mean > 0.5); /* the two items of the hour are rank 1 or 2 */
    assert_true(fit.fitted.mean >= fit.recent);
    assert_true(fabs(fit.fitted.mean - tail_mean(&tail, fit.ndcg, NULL).mean) == 0);
    free(fit.ndcg);
    tail_deinit(&tail);
    world_free(w);
}

static void test_weights_that_are_nearly_the_best_stay(void **state)
{
    struct world *w = fashionable_world();
    struct tail tail = tail_of(w);
    struct tail_fit first, again;
    assert_int_equal(tail_fit(&tail, &w->basis, &w->hyper, &all_open, NULL, &first, NULL), 0);
    struct score_weights current = first.weights;
    current.taste *= 2; /* no point of the grid, and ranks the same to the last bit */
    current.trend *= 2;
    assert_int_equal(tail_fit(&tail, &w->basis, &w->hyper, &all_open, &current, &again, NULL), 0);
    assert_true(again.weights.taste == current.taste);
    free(first.ndcg);
    free(again.ndcg);
    tail_deinit(&tail);
    world_free(w);
}

static void test_weights_that_are_much_worse_go(void **state)
{
    struct world *w = fashionable_world();
    struct tail tail = tail_of(w);
    struct tail_fit fit;
    struct score_weights current = {1, 0, 4, 0.95, 0}; /* taste by random factors */
    assert_int_equal(tail_fit(&tail, &w->basis, &w->hyper, &all_open, &current, &fit, NULL), 0);
    assert_true(fit.weights.trend > 0);
    free(fit.ndcg);
    tail_deinit(&tail);
    world_free(w);
}

static int init_blas(void **state)
{
    blas_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_tail_is_the_last_tenth_in_stream_order),
        cmocka_unit_test(test_each_users_log_is_cut_where_the_stream_is),
        cmocka_unit_test(test_only_first_likes_of_an_item_are_sampled),
        cmocka_unit_test(test_a_smaller_sample_is_of_the_asked_size_and_in_order),
        cmocka_unit_test(test_the_sample_is_the_seeds),
        cmocka_unit_test(test_news_to_the_running_generation_is_preferred),
        cmocka_unit_test(test_too_little_news_leaves_the_whole_tail),
        cmocka_unit_test(test_a_partition_the_generation_never_saw_is_news),
        cmocka_unit_test(test_ranks_are_those_of_a_naive_replay),
        cmocka_unit_test(test_an_item_nobody_has_met_is_a_miss),
        cmocka_unit_test(test_the_standard_error_takes_a_users_events_as_one),
        cmocka_unit_test(test_the_difference_to_itself_is_nothing),
        cmocka_unit_test(test_one_user_alone_proves_nothing),
        cmocka_unit_test(test_the_grid_has_its_corners),
        cmocka_unit_test(test_what_is_set_is_not_fitted),
        cmocka_unit_test(test_a_large_catalogue_gets_a_smaller_sample),
        cmocka_unit_test(test_a_stream_of_fashions_is_fitted_by_trend),
        cmocka_unit_test(test_weights_that_are_nearly_the_best_stay),
        cmocka_unit_test(test_weights_that_are_much_worse_go),
    };
    return cmocka_run_group_tests(tests, init_blas, NULL);
}
