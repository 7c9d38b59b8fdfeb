#include "model/als.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/blas.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Rows a thread takes at once: some milliseconds of work at most, so that threads end together. */
#define BLOCK_ROWS 64
#define ROTATED_ROWS 256

/* A Gram matrix is summed in so many parts: enough to share among threads, and few to keep. */
#define GRAM_PARTS 16

size_t als_stride(int rank)
{
    return ((size_t)rank + 15) / 16 * 16;
}

static uint64_t splitmix64(uint64_t *state) /* Steele, Lea, Flood 2014 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void als_init_row(float *row, int rank, size_t stride, uint64_t seed, struct slice id)
{
    /* Uniform with a standard deviation of 0.1 / sqrt(rank): |row| is about 0.1 at any rank. */
    double width = 0.2 * sqrt(3.0 / rank);
    uint64_t state = hash_stable_with(id.data, id.length, seed);
    memset(row, 0, stride * sizeof *row);
    for (int k = 0; k < rank; k++)
        row[k] = (float)(((double)(splitmix64(&state) >> 11) * 0x1p-53 - 0.5) * width);
}

void ratings_deinit(struct ratings *ratings)
{
    free(ratings->user_begin);
    free(ratings->user_pairs);
    free(ratings->item_begin);
    free(ratings->item_pairs);
    *ratings = (struct ratings){0};
}

int ratings_transpose(struct ratings *ratings, struct error *err)
{
    size_t count = ratings->user_begin[ratings->users];
    size_t *begin = mem_try(ratings->items + 2, sizeof *begin);
    struct pair *pairs = mem_try(count, sizeof *pairs);
    if (begin == NULL || pairs == NULL) {
        free(begin);
        free(pairs);
        return error_set(err, ERR_DOWN, "no memory for %zu pairs", count);
    }
    /* begin[i + 1] is where item i's next pair goes; it ends as where item i + 1 begins. */
    for (size_t at = 0; at < count; at++)
        begin[ratings->user_pairs[at].row + 2]++;
    for (size_t item = 0; item < ratings->items; item++)
        begin[item + 2] += begin[item + 1];
    for (size_t user = 0; user < ratings->users; user++)
        for (size_t at = ratings->user_begin[user]; at < ratings->user_begin[user + 1]; at++) {
            const struct pair *pair = &ratings->user_pairs[at];
            pairs[begin[pair->row + 1]++] = (struct pair){(uint32_t)user, pair->p, pair->q};
        }
    free(ratings->item_begin);
    free(ratings->item_pairs);
    ratings->item_begin = begin;
    ratings->item_pairs = pairs;
    return 0;
}

/* What the threads share in one half-iteration: `fixed` is rotated into its eigenbasis, and every
 * row of `solved` found against it. */
struct half {
    const struct als_settings *settings;
    struct basis basis; /* Y = fixed */
    float *fixed;       /* [basis.rows, stride] */
    float *solved;      /* [rows, stride] */
    size_t rows;
    const size_t *begin; /* [rows + 1] */
    const struct pair *pairs;
    double *G;          /* [GRAM_PARTS, rank, rank]: the sum in the first */
    double *V, *g;      /* [rank, rank] and [rank] */
    float *Vt;          /* V transposed: [rank, rank] */
    atomic_size_t next; /* first row, or part, that nobody has taken */
};

/* Takes the next `count` of `end`; returns how many it got, from *first. */
static size_t take(struct half *half, size_t count, size_t end, size_t *first)
{
    *first = atomic_fetch_add(&half->next, count);
    if (*first >= end)
        return 0;
    return end - *first < count ? end - *first : count;
}

/* The Gram matrix of a part of the fixed rows. The parts are the same for any number of threads,
 * and so is their sum. */
static void *sum_gram(void *arg)
{
    struct half *half = arg;
    size_t f = (size_t)half->basis.rank, stride = half->basis.stride, rows = half->basis.rows;
    size_t each = (rows + GRAM_PARTS - 1) / GRAM_PARTS, part;
    struct pacing pacing;
    pacing_begin(&pacing, half->settings->pace);
    while (take(half, 1, GRAM_PARTS, &part) > 0) {
        size_t first = part * each < rows ? part * each : rows;
        size_t count = rows - first < each ? rows - first : each;
        blas_gram(half->fixed + first * stride, count, stride, (int)f, half->G + part * f * f);
        pacing_rest(&pacing);
    }
    pacing_end(&pacing);
    return NULL;
}

static void *rotate_fixed(void *arg)
{
    struct half *half = arg;
    size_t stride = half->basis.stride, row, count;
    struct pacing pacing;
    pacing_begin(&pacing, half->settings->pace);
    while ((count = take(half, ROTATED_ROWS, half->basis.rows, &row)) > 0) {
        blas_rotate(half->fixed + row * stride, count, stride, half->basis.rank, half->V);
        pacing_rest(&pacing);
    }
    pacing_end(&pacing);
    return NULL;
}

/* In float32 throughout: these are only where the solver starts. rotated: [BLOCK_ROWS, stride] */
static void rotate_start(const struct half *half, float *rows, size_t count, float *rotated)
{
    size_t stride = half->basis.stride, f = (size_t)half->basis.rank;
    blas_multiply_transposed(rows, stride, half->Vt, f, rotated, stride, (int)count, (int)f,
                             (int)f);
    memcpy(rows, rotated, count * stride * sizeof *rows);
}

/* A row starts from what it was, rotated too. What becomes of it does not depend on who took it. */
static void *solve_rows(void *arg)
{
    struct half *half = arg;
    const struct basis *basis = &half->basis;
    struct foldin_scratch *scratch = foldin_scratch_new(basis->rank);
    float *rotated = mem_zalloc(BLOCK_ROWS * basis->stride * sizeof *rotated); /* 0 beyond rank */
    size_t row, count, pairs = half->begin[half->rows];
    double residual = half->settings->residual > 0 ? half->settings->residual : ALS_RESIDUAL;
    struct pacing pacing;
    pacing_begin(&pacing, half->settings->pace);
    while ((count = take(half, BLOCK_ROWS, half->rows, &row)) > 0) {
        rotate_start(half, half->solved + row * basis->stride, count, rotated);
        for (size_t end = row + count; row < end; row++)
            foldin_solve_to(basis, &half->settings->hyper, half->pairs + half->begin[row],
                            half->begin[row + 1] - half->begin[row], pairs - half->begin[row + 1],
                            residual, half->solved + row * basis->stride, scratch);
        pacing_rest(&pacing);
    }
    pacing_end(&pacing);
    foldin_scratch_free(scratch);
    free(rotated);
    return NULL;
}

/* The caller is one of the threads; fewer than asked for is no error, only slower. */
static void on_all_threads(struct half *half, void *(*work)(void *half))
{
    int extra = half->settings->threads - 1, started = 0;
    pthread_t *threads = mem_array(NULL, (size_t)(extra > 0 ? extra : 0), sizeof *threads);
    atomic_store(&half->next, 0);
    while (started < extra && pthread_create(&threads[started], NULL, work, half) == 0)
        started++;
    work(half);
    while (started > 0)
        pthread_join(threads[--started], NULL);
    free(threads);
}

static int solve_half(struct half *half, struct error *err)
{
    size_t f = (size_t)half->basis.rank;
    on_all_threads(half, sum_gram);
    for (size_t part = 1; part < GRAM_PARTS; part++)
        for (size_t k = 0; k < f * f; k++)
            half->G[k] += half->G[part * f * f + k];
    for (size_t k = 0; k < f; k++)
        if (!isfinite(half->G[k * f + k]))
            return error_set(err, ERR_DATA, "factors have run out of float32's range");
    if (blas_eigen(half->G, half->basis.rank, half->V, half->g, err) != 0)
        return ERR_DATA;
    for (size_t k = 0; k < f * f; k++)
        half->Vt[k] = (float)half->V[k % f * f + k / f];
    on_all_threads(half, rotate_fixed);
    on_all_threads(half, solve_rows);
    return 0;
}

static int iterate(const struct ratings *ratings, const struct als_settings *settings, float *X,
                   float *Y, double *memory, struct error *err)
{
    size_t f = (size_t)settings->hyper.rank, stride = als_stride(settings->hyper.rank);
    double *G = memory, *V = G + GRAM_PARTS * f * f, *g = V + f * f;
    float *Vt = (float *)(g + f);
    struct half users = {.settings = settings,
                         .basis = {Y, g, ratings->items, stride, (int)f},
                         .fixed = Y,
                         .solved = X,
                         .rows = ratings->users,
                         .begin = ratings->user_begin,
                         .pairs = ratings->user_pairs,
                         .G = G,
                         .V = V,
                         .g = g,
                         .Vt = Vt};
    struct half items = {.settings = settings,
                         .basis = {X, g, ratings->users, stride, (int)f},
                         .fixed = X,
                         .solved = Y,
                         .rows = ratings->items,
                         .begin = ratings->item_begin,
                         .pairs = ratings->item_pairs,
                         .G = G,
                         .V = V,
                         .g = g,
                         .Vt = Vt};
    int failed = solve_half(&users, err);
    return failed ? failed : solve_half(&items, err);
}

int als_run(const struct ratings *ratings, const struct als_settings *settings, float *X, float *Y,
            void (*progress)(const struct als_progress *progress, void *arg), void *arg,
            struct error *err)
{
    size_t f = (size_t)settings->hyper.rank;
    double *memory = mem_array(NULL, (GRAM_PARTS + 2) * f * f + f, sizeof *memory);
    int failed = 0;
    for (int i = 1; i <= settings->iterations && !failed; i++) {
        int64_t began_ns = clock_monotonic_ns();
        failed = iterate(ratings, settings, X, Y, memory, err);
        if (failed || progress == NULL)
            continue;
        struct als_progress done = {.iteration = i, .iterations = settings->iterations};
        done.seconds = (double)(clock_monotonic_ns() - began_ns) * 1e-9;
        done.loss = als_loss(ratings, &settings->hyper, X, Y, als_stride(settings->hyper.rank));
        progress(&done, arg);
    }
    free(memory);
    return failed;
}

/* sum over the pairs of p s^2 - 2 q s + q with s = x.y: c (1 - s)^2 in each objective, less what of
 * it w0 counts already; a dislike is p s^2. */
static double loss_of_pairs(const struct ratings *ratings, int rank, const float *X, const float *Y,
                            size_t stride)
{
    double sum = 0;
    for (size_t user = 0; user < ratings->users; user++)
        for (size_t at = ratings->user_begin[user]; at < ratings->user_begin[user + 1]; at++) {
            const struct pair *pair = &ratings->user_pairs[at];
            const float *x = X + user * stride, *y = Y + pair->row * stride;
            double lanes[4] = {0};
            for (size_t k = 0; k < als_stride(rank); k += 4)
                for (size_t j = 0; j < 4; j++)
                    lanes[j] += (double)x[k + j] * (double)y[k + j];
            double s = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
            sum += (double)pair->p * s * s - 2 * (double)pair->q * s + (double)pair->q;
        }
    return sum;
}

static double loss_of_lambda(const struct hyperparameters *hyper, const size_t *begin, size_t rows,
                             const float *factors, size_t stride)
{
    double sum = 0;
    for (size_t row = 0; row < rows; row++) {
        double squares = 0;
        for (size_t k = 0; k < (size_t)hyper->rank; k++)
            squares += (double)factors[row * stride + k] * (double)factors[row * stride + k];
        sum += lambda_of(hyper, begin[row + 1] - begin[row]) * squares;
    }
    return sum;
}

double als_loss(const struct ratings *ratings, const struct hyperparameters *hyper, const float *X,
                const float *Y, size_t stride)
{
    size_t f = (size_t)hyper->rank;
    double *GX = mem_array(NULL, 2 * f * f, sizeof *GX), *GY = GX + f * f;
    blas_gram(X, ratings->users, stride, hyper->rank, GX);
    blas_gram(Y, ratings->items, stride, hyper->rank, GY);
    double everywhere = 0; /* sum over all (u,i) of (x_u.y_i)^2 = <X'X, Y'Y> */
    for (size_t k = 0; k < f * f; k++)
        everywhere += GX[k] * GY[k];
    free(GX);
    return loss_of_pairs(ratings, hyper->rank, X, Y, stride) + hyper->w0 * everywhere +
           loss_of_lambda(hyper, ratings->user_begin, ratings->users, X, stride) +
           loss_of_lambda(hyper, ratings->item_begin, ratings->items, Y, stride);
}
