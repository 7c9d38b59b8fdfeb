/* Full ALS against an independent float64 twin (dense normal equations, Gaussian elimination), and
 * against what it promises: falling loss, the same bytes on any number of threads. */
#include "model/als.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED 20240603

static uint64_t random_state = SEED;

static double uniform(void) /* [0, 1) */
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 11) * 0x1p-53;
}

struct world {
    struct ratings ratings;
    struct als_settings settings;
    size_t stride;
    float *X, *Y;
};

/* Users and items are of `kinds`; a user mostly meets items of his own kind. */
static struct world world_new(size_t users, size_t items, size_t per_user, int rank, size_t kinds)
{
    struct world w = {.stride = als_stride(rank)};
    w.settings.hyper = (struct hyperparameters){OBJECTIVE_IALS, rank, 0.1, 0.02, 1, LAMBDA_COUNT};
    w.settings.iterations = 8;
    w.settings.threads = 1;
    w.settings.pace.duty = 1;
    w.ratings.users = users;
    w.ratings.items = items;
    w.ratings.user_begin = mem_zalloc((users + 1) * sizeof *w.ratings.user_begin);
    w.ratings.user_pairs = mem_array(NULL, users * per_user, sizeof *w.ratings.user_pairs);
    size_t at = 0;
    for (size_t user = 0; user < users; user++) {
        bool *has = mem_zalloc(items);
        for (size_t i = 0; i < per_user; i++) {
            size_t item = (size_t)(uniform() * (double)items);
            if (uniform() < 0.9)
                item = item / kinds * kinds + user % kinds;
            if (item >= items || has[item])
                continue;
            has[item] = true;
            float c = (float)(0.5 + uniform());
            w.ratings.user_pairs[at++] = (struct pair){(uint32_t)item, c, c};
        }
        w.ratings.user_begin[user + 1] = at;
        free(has);
    }
    assert_int_equal(ratings_transpose(&w.ratings, NULL), 0);
    w.X = mem_try(users * w.stride, sizeof *w.X);
    w.Y = mem_try(items * w.stride, sizeof *w.Y);
    for (uint32_t item = 0; item < items; item++)
        als_init_row(w.Y + item * w.stride, rank, w.stride, 1,
                     (struct slice){(const char *)&item, sizeof item});
    return w;
}

static void world_free(struct world *w)
{
    ratings_deinit(&w->ratings);
    free(w->X);
    free(w->Y);
}

static void run(struct world *w)
{
    struct error err = {0};
    assert_int_equal(als_run(&w->ratings, &w->settings, w->X, w->Y, NULL, NULL, &err), 0);
}

static double score(const struct world *w, size_t user, size_t item)
{
    double sum = 0;
    for (size_t k = 0; k < w->stride; k++)
        sum += (double)w->X[user * w->stride + k] * (double)w->Y[item * w->stride + k];
    return sum;
}

static void gauss(double *A, double *c, size_t n) /* positive definite: no pivoting needed */
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

/* One half of ALS as in the papers: a dense system per row, no eigenbasis. */
static void reference_half(const struct hyperparameters *hyper, const size_t *begin,
                           const struct pair *pairs, const double *F, size_t fixed, double *S,
                           size_t solved)
{
    size_t f = (size_t)hyper->rank;
    double *G = mem_zalloc(f * f * sizeof *G), *A = mem_alloc(f * f * sizeof *A);
    for (size_t row = 0; row < fixed; row++)
        for (size_t k = 0; k < f * f; k++)
            G[k] += F[row * f + k / f] * F[row * f + k % f];
    for (size_t row = 0; row < solved; row++) {
        size_t count = begin[row + 1] - begin[row];
        double *c = S + row * f;
        memset(c, 0, f * sizeof *c);
        for (size_t k = 0; k < f * f; k++)
            A[k] = hyper->w0 * G[k] +
                   (k / f == k % f ? hyper->lambda * (double)(count ? count : 1) : 0);
        for (size_t i = begin[row]; i < begin[row + 1]; i++) {
            const double *y = F + pairs[i].row * f;
            for (size_t k = 0; k < f * f; k++)
                A[k] += (double)pairs[i].p * y[k / f] * y[k % f];
            for (size_t k = 0; k < f; k++)
                c[k] += (double)pairs[i].q * y[k];
        }
        gauss(A, c, f);
    }
    free(G);
    free(A);
}

static void test_scores_are_those_of_a_float64_twin(void **state)
{
    printf("seed %d\n", SEED);
    struct world w = world_new(120, 80, 12, 10, 4);
    w.settings.residual = 1e-6;
    size_t f = 10;
    double *X = mem_zalloc(120 * f * sizeof *X), *Y = mem_zalloc(80 * f * sizeof *Y);
    for (size_t item = 0; item < 80; item++)
        for (size_t k = 0; k < f; k++)
            Y[item * f + k] = (double)w.Y[item * w.stride + k];
    run(&w);
    for (int i = 0; i < w.settings.iterations; i++) {
        reference_half(&w.settings.hyper, w.ratings.user_begin, w.ratings.user_pairs, Y, 80, X,
                       120);
        reference_half(&w.settings.hyper, w.ratings.item_begin, w.ratings.item_pairs, X, 120, Y,
                       80);
    }
    /* Scores are of order 1. A half-iteration errs by 1e-6 times a condition number of some 1e2,
     * and ALS, being a descent, does not blow earlier errors up by more than a small factor. */
    double worst = 0;
    for (size_t user = 0; user < 120; user++)
        for (size_t item = 0; item < 80; item++) {
            double wanted = 0;
            for (size_t k = 0; k < f; k++)
                wanted += X[user * f + k] * Y[item * f + k];
            worst = fmax(worst, fabs(score(&w, user, item) - wanted));
        }
    assert_true(worst < 2e-3);
    free(X);
    free(Y);
    world_free(&w);
}

struct losses {
    double loss[64];
    int count;
};

static void note_loss(const struct als_progress *progress, void *arg)
{
    struct losses *losses = arg;
    losses->loss[losses->count++] = progress->loss;
    assert_int_equal(progress->iteration, losses->count);
}

static void test_the_loss_never_rises(void **state)
{
    static const enum objective objectives[] = {OBJECTIVE_IALS, OBJECTIVE_HU};
    static const enum lambda_scaling scalings[] = {LAMBDA_COUNT, LAMBDA_NONE};
    for (size_t o = 0; o < 2; o++)
        for (size_t s = 0; s < 2; s++) {
            struct world w = world_new(300, 200, 15, 24, 5);
            struct losses losses = {{0}, 0};
            w.settings.hyper.objective = objectives[o];
            w.settings.hyper.lambda_scaling = scalings[s];
            if (objectives[o] == OBJECTIVE_HU) {
                w.settings.hyper.w0 = 1;
                for (size_t at = 0; at < w.ratings.user_begin[300]; at++)
                    w.ratings.user_pairs[at].q = 1 + w.ratings.user_pairs[at].p;
                assert_int_equal(ratings_transpose(&w.ratings, NULL), 0);
            }
            w.settings.iterations = 20;
            assert_int_equal(als_run(&w.ratings, &w.settings, w.X, w.Y, note_loss, &losses, NULL),
                             0);
            assert_int_equal(losses.count, 20);
            /* A row misses its minimum by a residual of 1e-6, which costs its square. */
            for (int i = 1; i < losses.count; i++)
                assert_true(losses.loss[i] <= losses.loss[i - 1] * (1 + 1e-7));
            assert_true(losses.loss[19] < 0.9 * losses.loss[0]);
            world_free(&w);
        }
}

static void test_each_half_step_lowers_the_loss(void **state)
{
    struct world w = world_new(200, 150, 10, 16, 4);
    struct basis basis = {.stride = w.stride, .rank = 16};
    double G[256], V[256], g[16];
    struct foldin_scratch *scratch = foldin_scratch_new(16);
    double before = INFINITY;
    for (int half = 0; half < 12; half++) {
        bool users = half % 2 == 0;
        float *fixed = users ? w.Y : w.X, *solved = users ? w.X : w.Y;
        size_t rows = users ? 150 : 200;
        blas_gram(fixed, rows, w.stride, 16, G);
        assert_int_equal(blas_eigen(G, 16, V, g, NULL), 0);
        blas_rotate(fixed, rows, w.stride, 16, V);
        blas_rotate(solved, users ? 200 : 150, w.stride, 16, V);
        basis.Y = fixed;
        basis.g = g;
        basis.rows = rows;
        const size_t *begin = users ? w.ratings.user_begin : w.ratings.item_begin;
        const struct pair *pairs = users ? w.ratings.user_pairs : w.ratings.item_pairs;
        for (size_t row = 0; row < (users ? 200u : 150u); row++)
            foldin_solve(&basis, &w.settings.hyper, pairs + begin[row], begin[row + 1] - begin[row],
                         solved + row * w.stride, scratch);
        double loss = als_loss(&w.ratings, &w.settings.hyper, w.X, w.Y, w.stride);
        assert_true(loss <= before * (1 + 1e-7));
        before = loss;
    }
    foldin_scratch_free(scratch);
    world_free(&w);
}

static void test_the_loss_is_the_objective_written_out(void **state)
{
    struct world w = world_new(30, 20, 6, 5, 3);
    w.settings.iterations = 1;
    run(&w);
    const struct hyperparameters *hyper = &w.settings.hyper;
    double loss = 0;
    for (size_t user = 0; user < 30; user++)
        for (size_t item = 0; item < 20; item++)
            loss += hyper->w0 * pow(score(&w, user, item), 2);
    for (size_t user = 0; user < 30; user++)
        for (size_t at = w.ratings.user_begin[user]; at < w.ratings.user_begin[user + 1]; at++) {
            const struct pair *pair = &w.ratings.user_pairs[at];
            loss += (double)pair->p * pow(1 - score(&w, user, pair->row), 2);
            for (size_t k = 0; k < w.stride; k++) { /* lambda_u = lambda for each of its pairs */
                loss += hyper->lambda * pow((double)w.X[user * w.stride + k], 2);
                loss += hyper->lambda * pow((double)w.Y[pair->row * w.stride + k], 2);
            }
        }
    double got = als_loss(&w.ratings, hyper, w.X, w.Y, w.stride);
    assert_true(fabs(got - loss) <= 1e-9 * loss); /* both in double, from the same floats */
    world_free(&w);
}

static void test_any_number_of_threads_gives_the_same_bytes(void **state)
{
    struct world one = world_new(700, 500, 12, 20, 5);
    struct world many = one;
    size_t X_bytes = 700 * one.stride * sizeof(float), Y_bytes = 500 * one.stride * sizeof(float);
    many.X = mem_try(X_bytes, 1);
    many.Y = mem_try(Y_bytes, 1);
    float *start = mem_try(Y_bytes, 1);
    memcpy(start, one.Y, Y_bytes);
    run(&one);
    for (int threads = 2; threads <= 5; threads++) {
        memset(many.X, 0, X_bytes);
        memcpy(many.Y, start, Y_bytes);
        many.settings.threads = threads;
        run(&many);
        assert_memory_equal(one.X, many.X, X_bytes);
        assert_memory_equal(one.Y, many.Y, Y_bytes);
    }
    free(many.X);
    free(many.Y);
    free(start);
    world_free(&one);
}

static void test_scores_recover_a_planted_structure(void **state)
{
    /* A user has met about 15 of the 50 items of his kind; the other 35 must stand above every kind
     * but his. */
    struct world w = world_new(400, 200, 22, 12, 4);
    run(&w);
    size_t right = 0, compared = 0;
    for (size_t user = 0; user < 400; user++) {
        bool met[200] = {false};
        for (size_t at = w.ratings.user_begin[user]; at < w.ratings.user_begin[user + 1]; at++)
            met[w.ratings.user_pairs[at].row] = true;
        for (size_t item = 0; item < 200; item++) {
            size_t other = (item + 1) % 200;
            if (item % 4 != user % 4 || met[item] || met[other])
                continue;
            compared++;
            right += score(&w, user, item) > score(&w, user, other);
        }
    }
    /* By chance half would be right; the tenth of meetings that are noise costs a few percent. */
    assert_true(compared > 5000);
    assert_true((double)right > 0.97 * (double)compared);
    world_free(&w);
}

static void test_rows_without_pairs_become_zero(void **state)
{
    struct world w = world_new(40, 30, 5, 8, 3);
    /* User 7's pairs go to user 8, item 29 loses its own. */
    w.ratings.user_begin[8] = w.ratings.user_begin[7];
    size_t kept = 0;
    struct ratings *r = &w.ratings;
    for (size_t user = 0, at = 0; user < 40; user++) {
        size_t end = r->user_begin[user + 1];
        for (; at < end; at++)
            if (r->user_pairs[at].row != 29)
                r->user_pairs[kept++] = r->user_pairs[at];
        r->user_begin[user + 1] = kept;
    }
    assert_int_equal(ratings_transpose(r, NULL), 0);
    for (size_t k = 0; k < 8; k++)
        w.X[7 * w.stride + k] = 1;
    run(&w);
    for (size_t k = 0; k < w.stride; k++) {
        assert_true(w.X[7 * w.stride + k] == 0);
        assert_true(w.Y[29 * w.stride + k] == 0);
    }
    world_free(&w);
}

static void test_a_warm_start_begins_where_the_cold_one_ended(void **state)
{
    struct world w = world_new(300, 200, 15, 24, 5);
    struct losses losses = {{0}, 0};
    run(&w);
    double cold = als_loss(&w.ratings, &w.settings.hyper, w.X, w.Y, w.stride);
    memset(w.X, 0, 300 * w.stride * sizeof *w.X); /* X is made from Y at once */
    w.settings.iterations = 1;
    assert_int_equal(als_run(&w.ratings, &w.settings, w.X, w.Y, note_loss, &losses, NULL), 0);
    assert_true(losses.loss[0] <= cold * (1 + 1e-7));
    world_free(&w);
}

static void test_transposing_keeps_every_pair(void **state)
{
    struct world w = world_new(50, 40, 8, 4, 3);
    assert_int_equal(w.ratings.item_begin[40], w.ratings.user_begin[50]);
    for (size_t user = 0; user < 50; user++)
        for (size_t at = w.ratings.user_begin[user]; at < w.ratings.user_begin[user + 1]; at++) {
            const struct pair *pair = &w.ratings.user_pairs[at];
            size_t found = 0;
            for (size_t i = w.ratings.item_begin[pair->row];
                 i < w.ratings.item_begin[pair->row + 1]; i++)
                found += w.ratings.item_pairs[i].row == user &&
                         w.ratings.item_pairs[i].p == pair->p &&
                         w.ratings.item_pairs[i].q == pair->q;
            assert_int_equal(found, 1);
        }
    world_free(&w);
}

static void test_a_row_starts_from_its_id_and_seed_alone(void **state)
{
    float a[32], b[32], other_seed[32], other_id[32];
    als_init_row(a, 20, 32, 1, SLICE("i1"));
    als_init_row(b, 20, 32, 1, SLICE("i1"));
    als_init_row(other_seed, 20, 32, 2, SLICE("i1"));
    als_init_row(other_id, 20, 32, 1, SLICE("i2"));
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, other_seed, sizeof a);
    assert_memory_not_equal(a, other_id, sizeof a);
    for (size_t k = 20; k < 32; k++)
        assert_true(a[k] == 0);
}

static void test_factors_that_are_not_finite_are_an_error(void **state)
{
    struct world w = world_new(40, 30, 5, 8, 3);
    struct error err = {0};
    w.Y[3] = INFINITY;
    assert_int_equal(als_run(&w.ratings, &w.settings, w.X, w.Y, NULL, NULL, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "range"));
    world_free(&w);
}

static void test_a_duty_below_one_rests(void **state)
{
    struct world w = world_new(3000, 500, 30, 32, 5);
    w.settings.iterations = 2;
    w.settings.pace.duty = 0.25;
    int64_t cpu_ns = clock_cpu_ns(), wall_ns = clock_monotonic_ns();
    run(&w);
    cpu_ns = clock_cpu_ns() - cpu_ns;
    wall_ns = clock_monotonic_ns() - wall_ns;
    /* The solving rests three times what it worked; Gram matrices and rotations, less than half of
     * all here, do not rest. A busy machine only makes the wall time longer. */
    assert_true((double)wall_ns > 1.5 * (double)cpu_ns);
    world_free(&w);
}

static int init_blas(void **state)
{
    blas_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_are_those_of_a_float64_twin),
        cmocka_unit_test(test_the_loss_never_rises),
        cmocka_unit_test(test_each_half_step_lowers_the_loss),
        cmocka_unit_test(test_the_loss_is_the_objective_written_out),
        cmocka_unit_test(test_any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(test_scores_recover_a_planted_structure),
        cmocka_unit_test(test_rows_without_pairs_become_zero),
        cmocka_unit_test(test_a_warm_start_begins_where_the_cold_one_ended),
        cmocka_unit_test(test_transposing_keeps_every_pair),
        cmocka_unit_test(test_a_row_starts_from_its_id_and_seed_alone),
        cmocka_unit_test(test_factors_that_are_not_finite_are_an_error),
        cmocka_unit_test(test_a_duty_below_one_rests),
    };
    return cmocka_run_group_tests(tests, init_blas, NULL);
}
