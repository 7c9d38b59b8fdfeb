/* The held-out tail, against a naive twin that replays every event from its definition. */
#include "model/tail.h"
#include "base/clock.h"
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
#define DAY_MS (24 * HOUR_MS)

static uint64_t random_state = SEED;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % below);
}

enum { RANK = 6, STRIDE = 16, USERS_MAX = 400, ITEMS_MAX_HERE = 120, EVENTS_MAX = 6000 };
enum {
    NEIGHBOURS = ITEMS_MAX_HERE
}; /* nothing is dropped, so that the twin needs no rule for it */

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
    assert_int_equal(tail_init(&tail, &w->corpus, NULL, NEIGHBOURS, 2000, SEED, NULL), 0);
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
    assert_int_equal(tail_init(&tail, &w->corpus, NULL, NEIGHBOURS, 20, SEED, NULL), 0);
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
    assert_int_equal(tail_init(&a, &w->corpus, NULL, NEIGHBOURS, 20, 1, NULL), 0);
    assert_int_equal(tail_init(&same, &w->corpus, NULL, NEIGHBOURS, 20, 1, NULL), 0);
    assert_int_equal(tail_init(&other, &w->corpus, NULL, NEIGHBOURS, 20, 2, NULL), 0);
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
    assert_int_equal(tail_init(&tail, &w->corpus, &live, NEIGHBOURS, 2000, SEED, NULL), 0);
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
    assert_int_equal(tail_init(&tail, &w->corpus, &live, NEIGHBOURS, 2000, SEED, NULL), 0);
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
    assert_int_equal(tail_init(&tail, &w->corpus, &live, NEIGHBOURS, 2000, SEED, NULL), 0);
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

/* The user's latest distinct likes before log[at], without `but`; latest first. */
static size_t naive_latest(const struct corpus *corpus, size_t user, size_t at, uint32_t but,
                           size_t max, uint32_t *items)
{
    size_t count = 0;
    for (size_t i = at; i-- > corpus->user_begin[user] && count < max;) {
        bool met = corpus->log[i].type != 0 || corpus->log[i].item == but;
        for (size_t k = 0; k < count; k++)
            met = met || items[k] == corpus->log[i].item;
        if (!met)
            items[count++] = corpus->log[i].item;
    }
    return count;
}

static double naive_decay(const struct together_choice *choice, int64_t from_ms, int64_t to_ms)
{
    return choice->horizon == PAIRS_EVER ? 1 : exp2(-(double)(to_ms - from_ms) / DAY_MS);
}

static bool is_first_like(const struct corpus *corpus, size_t user, size_t at)
{
    for (size_t i = corpus->user_begin[user]; i < at; i++)
        if (corpus->log[i].item == corpus->log[at].item)
            return false;
    return corpus->log[at].type == 0;
}

/* C of all items just before an event, from every event before it. */
static void naive_together(const struct corpus *corpus, const struct tail_event *event,
                           const struct together_choice *choice, double *C)
{
    static double n[ITEMS_MAX_HERE][ITEMS_MAX_HERE], use[ITEMS_MAX_HERE];
    uint32_t latest[TOGETHER_WINDOW], before[PAIRS_WINDOW];
    int64_t now_ms = corpus->log[event->at].ts_ms;
    memset(n, 0, sizeof n);
    memset(use, 0, sizeof use);
    memset(C, 0, ITEMS_MAX_HERE * sizeof *C);
    for (size_t i = 0; i < corpus->user_begin[corpus->users]; i++) {
        const struct interaction *other = &corpus->log[i];
        size_t user = corpus_user_at(corpus, i);
        if (!is_before(corpus, i, event->at) || other->type != 0)
            continue;
        double share = naive_decay(choice, other->ts_ms, now_ms);
        use[other->item] += share;
        if (!is_first_like(corpus, user, i))
            continue;
        size_t count = naive_latest(corpus, user, i, other->item, PAIRS_WINDOW, before);
        for (size_t d = 0; d < count; d++, share *= (double)PAIRS_FADE) {
            n[before[d]][other->item] += share;
            if (choice->both)
                n[other->item][before[d]] += share;
        }
    }
    size_t count =
        naive_latest(corpus, event->user, event->at, UINT32_MAX, TOGETHER_WINDOW, latest);
    for (size_t d = 0; d < count; d++)
        for (size_t i = 0; i < corpus->items; i++)
            C[i] += pow(choice->rho, (double)d) * n[latest[d]][i] /
                    sqrt((use[i] + TOGETHER_PRIOR) * (use[latest[d]] + TOGETHER_PRIOR));
}

static double naive_ndcg(const struct world *w, const struct tail_event *event,
                         const struct score_weights *weights)
{
    const struct corpus *corpus = &w->corpus;
    const struct interaction *target = &corpus->log[event->at];
    double S[ITEMS_MAX_HERE] = {0}, C[ITEMS_MAX_HERE] = {0}, score[ITEMS_MAX_HERE], x[RANK];
    bool known[ITEMS_MAX_HERE] = {false}, had[ITEMS_MAX_HERE] = {false}, tasted = false;
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
    for (int k = 0; k < RANK; k++)
        tasted |= weights->taste != 0 && x[k] != 0;
    if (weights->together > 0)
        naive_together(corpus, event, &weights->together_of, C);
    for (size_t item = 0; item < corpus->items; item++) {
        double b = weights->trend != 0 || tasted ? weights->trend : 1e-6; /* as the scorer's */
        score[item] = b * log1p(S[item]) + weights->together * C[item];
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

#define EVER PAIRS_EVER
#define DAY PAIRS_DAY

/* taste, trend, its half-life, rho, together and what it is made of */
static const struct score_weights many_weights[] = {
    {1, 0, 4, 1, 0, {1, EVER, true}},     {1, 0, 4, 0.8, 0, {1, EVER, true}},
    {0, 1, 0, 1, 0, {1, EVER, true}},     {0, 1, 4, 1, 0, {1, EVER, true}},
    {1, 0.1, 4, 1, 0, {1, EVER, true}},   {1, 0.2, 0, 0.6, 0, {1, EVER, true}},
    {1, 0.5, 6, 1, 0, {1, EVER, true}},   {2, 0.3, 3, 0.9, 0, {1, EVER, true}},
    {0, 0, 4, 1, 1, {0.9, EVER, true}},   {0, 0, 4, 1, 1, {0.5, DAY, false}},
    {0, 1, 3, 1, 30, {0.7, EVER, false}}, {0, 1, 3, 1, 3, {0.7, EVER, false}},
    {1, 0.1, 4, 1, 5, {0.9, DAY, true}},  {1, 0.1, 4, 1, 1, {0.9, EVER, true}},
    {1, 0, 4, 0.8, 2, {1, EVER, true}},
};
enum { MANY = sizeof many_weights / sizeof *many_weights };

static float *rank(const struct world *w, const struct tail *tail,
                   const struct score_weights *weights, size_t count)
{
    float *ndcg = mem_array(NULL, count * tail->count, sizeof *ndcg);
    assert_int_equal(tail_rank(tail, &w->basis, &w->hyper, weights, count, ndcg, NULL), 0);
    return ndcg;
}

static void test_ranks_are_those_of_a_naive_replay(void **state)
{
    struct world *w = random_world();
    struct tail tail = tail_of(w);
    assert_true(tail.count > 20);
    float *ndcg = rank(w, &tail, many_weights, MANY);
    for (size_t i = 0; i < MANY; i++)
        for (size_t event = 0; event < tail.count; event++) {
            double wanted = naive_ndcg(w, &tail.events[event], &many_weights[i]);
            double had = (double)ndcg[i * tail.count + event];
            if (fabs(had - wanted) >= 1e-6)
                fail_msg("weights %zu, event %zu: %g, not %g", i, event, had, wanted);
        }
    free(ndcg);
    tail_deinit(&tail);
    world_free(w);
}

static void test_weights_rank_the_same_alone_and_among_others(void **state)
{
    struct world *w = random_world();
    struct tail tail = tail_of(w);
    float *all = rank(w, &tail, many_weights, MANY);
    for (size_t i = 0; i < MANY; i++) {
        float *alone = rank(w, &tail, &many_weights[i], 1);
        assert_memory_equal(alone, all + i * tail.count, tail.count * sizeof *alone);
        free(alone);
    }
    free(all);
    tail_deinit(&tail);
    world_free(w);
}

/* The tables are shared with what was learned before the cut until an event changes them. */
static void test_ranking_leaves_what_is_before_the_cut_alone(void **state)
{
    struct world *w = random_world();
    struct tail tail = tail_of(w), again = tail_of(w);
    const struct pairs *pairs = &tail.head.pairs, *untouched = &again.head.pairs;
    free(rank(w, &tail, many_weights, MANY));
    assert_int_equal(pairs->table_count, untouched->table_count);
    for (uint32_t item = 0; item < 40; item++) {
        const struct pairs_table *a = pairs_table(pairs, item), *b = pairs_table(untouched, item);
        assert_non_null(a);
        assert_true(a->applied == b->applied);
        assert_int_equal(a->count, b->count);
        assert_memory_equal(a->items, b->items, a->count * sizeof *a->items);
        assert_memory_equal(a->ever, b->ever, a->count * sizeof *a->ever);
        assert_memory_equal(a->day, b->day, a->count * sizeof *a->day);
    }
    tail_deinit(&tail);
    tail_deinit(&again);
    world_free(w);
}

static void test_without_neighbours_nothing_goes_together(void **state)
{
    struct world *w = random_world();
    struct tail tail;
    struct score_weights with = many_weights[13], without = with;
    without.together = 0;
    assert_int_equal(tail_init(&tail, &w->corpus, NULL, 0, 2000, SEED, NULL), 0);
    float *a = rank(w, &tail, &with, 1), *b = rank(w, &tail, &without, 1);
    assert_memory_equal(a, b, tail.count * sizeof *a);
    free(a);
    free(b);
    tail_deinit(&tail);
    world_free(w);
}

/* As the scorer does: where the weights say nothing, the trend orders. */
static void test_a_user_without_history_is_ranked_by_trend(void **state)
{
    static const struct score_weights taste = {.taste = 1, .trend_half_life = 4, .rho = 1};
    static const struct score_weights together = {
        .trend_half_life = 4, .rho = 1, .together = 1, .together_of = {1, EVER, true}};
    static const struct score_weights trend = {.trend = 1, .trend_half_life = 4, .rho = 1};
    struct world *w = world_new();
    for (uint32_t i = 0; i < 900; i++) /* item k is met about k times, and by 60 users in turn */
        meet(w, i % 60, (uint32_t)sqrt((double)draw(40 * 40)), HOUR_MS * i, 0);
    for (uint32_t item = 0; item < 40; item++)
        meet(w, 60, item, HOUR_MS * (900 + item), 0);
    for (uint32_t i = 0; i < 100; i++) /* the tail: each somebody new */
        meet(w, 61 + i, draw(40), HOUR_MS * (1000 + i), 0);
    finish(w, 161, 40);
    struct tail tail = tail_of(w);
    float *wanted = rank(w, &tail, &trend, 1);
    float *by_taste = rank(w, &tail, &taste, 1), *by_together = rank(w, &tail, &together, 1);
    assert_true(tail.count >= 90);
    assert_true(tail_mean(&tail, wanted, NULL).mean > 0.1);
    for (size_t i = 0; i < tail.count; i++)
        if (tail.events[i].user > 60) {
            assert_true(by_taste[i] == wanted[i]);
            assert_true(by_together[i] == wanted[i]);
        }
    free(wanted);
    free(by_taste);
    free(by_together);
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
    struct score_weights weights = {.taste = 1, .trend = 1, .trend_half_life = 4, .rho = 1};
    float *ndcg = mem_array(NULL, tail.count, sizeof *ndcg);
    assert_int_equal(tail_rank(&tail, &w->basis, &w->hyper, &weights, 1, ndcg, NULL), 0);
    assert_int_equal(w->corpus.log[tail.events[tail.count - 1].at].item, 9);
    assert_true(ndcg[tail.count - 1] == 0);
    free(ndcg);
    tail_deinit(&tail);
    world_free(w);
}

/* Some of all ranking comes before the first event and behind the last slice, without a rest. */
static void test_ranking_rests_for_its_duty(void **state)
{
    struct world *w = world_new();
    for (uint32_t i = 0; i < 20000; i++)
        meet(w, i % 397, i * 7919 % 113, i, 0);
    finish(w, 397, 113);
    struct tail tail = tail_of(w);
    tail.pace = (struct pace){.duty = 0.1};
    int64_t cpu_ns = clock_cpu_ns(), wall_ns = clock_monotonic_ns();
    free(rank(w, &tail, many_weights, MANY));
    cpu_ns = clock_cpu_ns() - cpu_ns;
    wall_ns = clock_monotonic_ns() - wall_ns;
    assert_true(cpu_ns > 2 * PACE_SLICE_NS);
    assert_true(wall_ns > 2 * cpu_ns); /* a busy machine only makes it longer */
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

static const struct tail_choice all_open = {true, 0, -1, -1, -1};

static struct tail_fit fit_of(const struct world *w, const struct tail *tail,
                              const struct tail_choice *choice, const struct score_weights *current)
{
    struct tail_fit fit;
    assert_true(tail->count >= TAIL_EVENTS_MIN);
    assert_int_equal(tail_fit(tail, &w->basis, &w->hyper, choice, current, &fit, NULL), 0);
    assert_true(fabs(fit.fitted.mean - tail_mean(tail, fit.ndcg, NULL).mean) == 0);
    return fit;
}

static void test_what_is_set_is_not_fitted(void **state)
{
    struct world *w = random_world();
    struct tail tail = tail_of(w);
    struct tail_choice choice = {true, 0.7, 0.3, 2, 5};
    struct tail_fit fit = fit_of(w, &tail, &choice, NULL);
    assert_true(fit.weights.rho == 0.7);
    assert_true(fit.weights.taste == 1);
    assert_true(fit.weights.trend == 0.3);
    assert_int_equal(fit.weights.trend_half_life, 2);
    assert_true(fit.weights.together == 5);
    assert_true(fit.weights.together_of.rho > 0);
    free(fit.ndcg);
    tail_deinit(&tail);
    world_free(w);
}

/* A first day: nothing has gone with anything yet. */
static void test_a_stream_without_co_occurrence_is_fitted(void **state)
{
    struct world *w = world_new();
    for (uint32_t user = 0; user < USERS_MAX; user++)
        meet(w, user, user % 40, HOUR_MS * user, 0);
    finish(w, USERS_MAX, 40);
    struct tail tail = tail_of(w);
    struct tail_fit fit;
    assert_int_equal(tail.head.pairs.table_count, 0);
    assert_int_equal(tail_fit(&tail, &w->basis, &w->hyper, &all_open, NULL, &fit, NULL), 0);
    assert_int_equal(tail.count, USERS_MAX / 10);
    assert_true(fit.fitted.mean >= fit.recent);
    free(fit.ndcg);
    tail_deinit(&tail);
    world_free(w);
}

static void test_a_term_switched_off_is_not_used(void **state)
{
    struct world *w = random_world();
    struct tail tail = tail_of(w);
    struct tail_fit fit = fit_of(w, &tail, &(struct tail_choice){false, 0, -1, 5, -1}, NULL);
    assert_true(fit.weights.taste == 0);
    assert_int_equal(fit.weights.trend_half_life, 5);
    assert_true(isnan(fit.taste));
    free(fit.ndcg);
    fit = fit_of(w, &tail, &(struct tail_choice){true, 0, 0, -1, 0}, NULL);
    assert_true(fit.weights.trend == 0);
    assert_true(fit.weights.together == 0);
    assert_true(isnan(fit.together));
    free(fit.ndcg);
    tail_deinit(&tail);
    world_free(w);
}

static void test_a_large_catalogue_gets_a_smaller_sample(void **state)
{
    assert_int_equal(tail_events_max(3600), TRAIN_TAIL_EVENTS);
    assert_in_range(tail_events_max(200000), 400, 500);
    assert_int_equal(tail_events_max(0), TRAIN_TAIL_EVENTS);
}

/* The fit is never worse on its sample than one term alone, whatever was there before. */
static void test_no_term_alone_is_better_than_the_fit(void **state)
{
    struct world *w = random_world();
    struct tail tail = tail_of(w);
    for (size_t i = 0; i <= MANY; i++) {
        struct tail_fit fit = fit_of(w, &tail, &all_open, i < MANY ? &many_weights[i] : NULL);
        assert_true(fit.recent > 0);
        assert_true(fit.together > 0);
        assert_true(fit.fitted.mean >= fit.recent);
        assert_true(fit.fitted.mean >= fit.together);
        free(fit.ndcg);
    }
    tail_deinit(&tail);
    world_free(w);
}

/* Whoever met item i meets i + 1 or i + 2 next, from a start of his own: what comes next is said by
 * the latest item, not by what others of these days do, nor by random factors. */
static struct world *chained_world(void)
{
    struct world *w = world_new();
    uint32_t at[300];
    for (uint32_t user = 0; user < 300; user++)
        meet(w, user, at[user] = user % 100, user, 0);
    for (uint32_t i = 0; i < 5700; i++) {
        uint32_t user = draw(300);
        if (w->count[user] < 30)
            meet(w, user, at[user] = (at[user] + 1 + draw(2)) % 100, HOUR_MS * (1 + i), 0);
    }
    finish(w, 300, 100);
    return w;
}

static void test_a_stream_of_chains_is_fitted_by_what_goes_together(void **state)
{
    struct world *w = chained_world();
    struct tail tail = tail_of(w);
    struct tail_fit fit = fit_of(w, &tail, &all_open, NULL);
    assert_true(fit.weights.together > 0);
    /* One of two items, which are rank 1 and 2 by turns, less what chance takes: (1 + 0.63) / 2. */
    assert_true(fit.fitted.mean > 0.6);
    assert_true(fit.fitted.mean >= fit.together);
    assert_true(fit.together > fit.recent + 3 * fit.fitted.se);
    assert_true(fit.together > fit.taste + 3 * fit.fitted.se);
    free(fit.ndcg);
    tail_deinit(&tail);
    world_free(w);
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
    struct tail_fit fit = fit_of(w, &tail, &all_open, NULL);
    assert_true(fit.weights.trend > 0);
    assert_true(half_life_ms[fit.weights.trend_half_life] <= 6 * HOUR_MS);
    assert_true(fit.fitted.mean > 0.5); /* the two items of the hour are rank 1 or 2 */
    assert_true(fit.fitted.mean >= fit.recent);
    free(fit.ndcg);
    tail_deinit(&tail);
    world_free(w);
}

static void test_weights_that_are_nearly_the_best_stay(void **state)
{
    struct world *w = fashionable_world();
    struct tail tail = tail_of(w);
    struct tail_fit first = fit_of(w, &tail, &all_open, NULL);
    struct score_weights current = first.weights;
    current.taste *= 2; /* not what was tried, and ranks the same to the last bit */
    current.trend *= 2;
    current.together *= 2;
    struct tail_fit again = fit_of(w, &tail, &all_open, &current);
    assert_true(again.weights.taste == current.taste);
    assert_true(again.weights.trend == current.trend);
    free(first.ndcg);
    free(again.ndcg);
    tail_deinit(&tail);
    world_free(w);
}

static void test_weights_that_are_much_worse_go(void **state)
{
    struct world *w = fashionable_world();
    struct tail tail = tail_of(w);
    struct score_weights current = {.taste = 1, .trend_half_life = 4, .rho = 0.95};
    struct tail_fit fit = fit_of(w, &tail, &all_open, &current); /* taste by random factors */
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
        cmocka_unit_test(test_weights_rank_the_same_alone_and_among_others),
        cmocka_unit_test(test_ranking_leaves_what_is_before_the_cut_alone),
        cmocka_unit_test(test_without_neighbours_nothing_goes_together),
        cmocka_unit_test(test_a_user_without_history_is_ranked_by_trend),
        cmocka_unit_test(test_an_item_nobody_has_met_is_a_miss),
        cmocka_unit_test(test_ranking_rests_for_its_duty),
        cmocka_unit_test(test_the_standard_error_takes_a_users_events_as_one),
        cmocka_unit_test(test_the_difference_to_itself_is_nothing),
        cmocka_unit_test(test_one_user_alone_proves_nothing),
        cmocka_unit_test(test_what_is_set_is_not_fitted),
        cmocka_unit_test(test_a_stream_without_co_occurrence_is_fitted),
        cmocka_unit_test(test_a_term_switched_off_is_not_used),
        cmocka_unit_test(test_a_large_catalogue_gets_a_smaller_sample),
        cmocka_unit_test(test_no_term_alone_is_better_than_the_fit),
        cmocka_unit_test(test_a_stream_of_chains_is_fitted_by_what_goes_together),
        cmocka_unit_test(test_a_stream_of_fashions_is_fitted_by_trend),
        cmocka_unit_test(test_weights_that_are_nearly_the_best_stay),
        cmocka_unit_test(test_weights_that_are_much_worse_go),
    };
    return cmocka_run_group_tests(tests, init_blas, NULL);
}
