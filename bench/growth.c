/* growth-driver FACTORS HISTORIES RANK ITEMS USERS EACH: whole lists, from a user's history to the
 * best 100, on one core.
 *
 * FACTORS is f32 [ITEMS, RANK], HISTORIES u32 [USERS, EACH]: items, the latest last. Objective
 * `implicit`, every confidence CONFIDENCE. Runs: cold and warm (fold-in, then the list without what
 * the user has had; warm starts from the list as it was before his latest interaction), foldin
 * (that part alone). */
#include "base/mem.h"
#include "bench/driver.h"
#include "model/als.h"
#include "model/blas.h"
#include "model/topn_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 100
#define REMEMBERED (N + 16) /* what a user's record keeps */
#define ID_SIZE 16
#define CONFIDENCE 10.0f /* as the factors of bench/factors.py are trained */
#define LAMBDA 0.01

struct work {
    size_t items, users, each;
    struct basis basis;
    struct hyperparameters hyper;
    struct foldin_scratch *foldin;
    struct pair *pairs;    /* [users, each], the latest last */
    uint32_t *hidden;      /* [users, each], ascending */
    uint32_t *last;        /* [users, REMEMBERED] */
    uint32_t *last_counts; /* [users] */
    struct topn_items catalogue;
    struct topn_scratch *topn;
    float *X;                   /* [TOPN_USERS_MAX, stride] */
    struct topn_entry *entries; /* [TOPN_USERS_MAX, REMEMBERED] */
};

static void *load(const char *path, size_t bytes_wanted)
{
    size_t bytes;
    void *data = driver_load(path, &bytes);
    if (bytes != bytes_wanted) {
        fprintf(stderr, "growth: %s has the wrong size\n", path);
        exit(65);
    }
    return data;
}

/* The factors in their eigenbasis, as a generation has them when it is loaded. */
static void make_basis(struct work *work, const char *path, int rank)
{
    size_t f = (size_t)rank, stride = als_stride(rank);
    float *flat = load(path, work->items * f * sizeof *flat);
    float *Y = mem_try(work->items * stride, sizeof *Y);
    double *G = mem_array(NULL, f * f, sizeof *G), *V = mem_array(NULL, f * f, sizeof *V);
    double *g = mem_array(NULL, f, sizeof *g);
    if (Y == NULL)
        exit(71);
    for (size_t row = 0; row < work->items; row++)
        memcpy(Y + row * stride, flat + row * f, f * sizeof *Y);
    free(flat);
    blas_gram(Y, work->items, stride, rank, G);
    if (blas_eigen(G, rank, V, g, NULL) != 0)
        exit(70);
    blas_rotate(Y, work->items, stride, rank, V);
    free(G);
    free(V);
    work->basis =
        (struct basis){.Y = Y, .g = g, .rows = work->items, .stride = stride, .rank = rank};
}

static void make_catalogue(struct work *work)
{
    struct slice *ids = mem_array(NULL, work->items, sizeof *ids);
    char *bytes = mem_array(NULL, work->items, ID_SIZE);
    for (size_t i = 0; i < work->items; i++) {
        int length = snprintf(bytes + i * ID_SIZE, ID_SIZE, "i%08zu", i);
        ids[i] = (struct slice){bytes + i * ID_SIZE, (uint32_t)length};
    }
    work->catalogue = (struct topn_items){
        .index = topn_index_new(work->basis.Y, work->items, work->basis.stride, work->basis.rank),
        .bias = mem_zalloc(work->items * sizeof(float)),
        .count = work->items,
        .ids = ids};
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void make_histories(struct work *work, const char *path)
{
    size_t count = work->users * work->each;
    work->hidden = load(path, count * sizeof *work->hidden);
    work->pairs = mem_array(NULL, count, sizeof *work->pairs);
    for (size_t i = 0; i < count; i++)
        work->pairs[i] = (struct pair){work->hidden[i], CONFIDENCE - 1, CONFIDENCE};
    for (size_t user = 0; user < work->users; user++)
        qsort(work->hidden + user * work->each, work->each, sizeof *work->hidden, compare);
}

/* Folds in a block of users, each by the first `each` interactions of his history. */
static void fold_in(struct work *work, size_t begin, size_t count, size_t each)
{
    memset(work->X, 0, count * work->basis.stride * sizeof *work->X);
    for (size_t i = 0; i < count; i++)
        foldin_solve(&work->basis, &work->hyper, work->pairs + (begin + i) * work->each, each,
                     work->X + i * work->basis.stride, work->foldin);
}

static struct topn_user user_at(const struct work *work, size_t begin, size_t i, bool warm)
{
    size_t user = begin + i;
    return (struct topn_user){.x = work->X + i * work->basis.stride,
                              .hidden = work->hidden + user * work->each,
                              .hidden_count = work->each,
                              .last = warm ? work->last + user * REMEMBERED : NULL,
                              .last_count = warm ? work->last_counts[user] : 0};
}

static size_t block(const struct work *work, size_t begin)
{
    return work->users - begin < TOPN_USERS_MAX ? work->users - begin : TOPN_USERS_MAX;
}

static void lists(struct work *work, bool warm, char *fields, size_t fields_size)
{
    struct topn_user users[TOPN_USERS_MAX];
    uint32_t counts[TOPN_USERS_MAX];
    double sum = 0; /* of the columns: the same, however they were found */
    for (size_t begin = 0; begin < work->users; begin += TOPN_USERS_MAX) {
        size_t count = block(work, begin);
        fold_in(work, begin, count, work->each);
        for (size_t i = 0; i < count; i++)
            users[i] = user_at(work, begin, i, warm);
        topn(&work->catalogue, users, count, N, work->entries, counts, work->topn);
        for (size_t i = 0; i < count; i++)
            for (uint32_t j = 0; j < counts[i]; j++)
                sum += (j + 1) * (double)work->entries[i * N + j].column;
    }
    snprintf(fields, fields_size, "\"sum\":%.0f,\"filter\":\"%s\"", sum,
             topn_filter_names[work->catalogue.index->filter]);
}

static void run_cold(void *arg, char *fields, size_t fields_size)
{
    lists(arg, false, fields, fields_size);
}

static void run_warm(void *arg, char *fields, size_t fields_size)
{
    lists(arg, true, fields, fields_size);
}

static void run_foldin(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    for (size_t begin = 0; begin < work->users; begin += TOPN_USERS_MAX)
        fold_in(work, begin, block(work, begin), work->each);
}

/* Each user's list as it was before his latest interaction. */
static void remember(struct work *work)
{
    struct topn_user users[TOPN_USERS_MAX];
    work->last = mem_array(NULL, work->users * REMEMBERED, sizeof *work->last);
    work->last_counts = mem_array(NULL, work->users, sizeof *work->last_counts);
    for (size_t begin = 0; begin < work->users; begin += TOPN_USERS_MAX) {
        size_t count = block(work, begin);
        fold_in(work, begin, count, work->each - 1);
        for (size_t i = 0; i < count; i++)
            users[i] = user_at(work, begin, i, false);
        topn(&work->catalogue, users, count, REMEMBERED, work->entries, work->last_counts + begin,
             work->topn);
        for (size_t i = 0; i < count; i++)
            for (uint32_t j = 0; j < work->last_counts[begin + i]; j++)
                work->last[(begin + i) * REMEMBERED + j] = work->entries[i * REMEMBERED + j].column;
    }
}

int main(int argc, char **argv)
{
    blas_know_processor(argv);
    if (argc != 7) {
        fprintf(stderr, "usage: growth-driver FACTORS HISTORIES RANK ITEMS USERS EACH\n");
        return 64;
    }
    blas_init();
    int rank = atoi(argv[3]);
    struct work work = {.items = strtoul(argv[4], NULL, 10),
                        .users = strtoul(argv[5], NULL, 10),
                        .each = strtoul(argv[6], NULL, 10),
                        .hyper = {OBJECTIVE_IMPLICIT, rank, 1, LAMBDA, 1, LAMBDA_NONE}};
    make_basis(&work, argv[1], rank);
    make_catalogue(&work);
    make_histories(&work, argv[2]);
    work.foldin = foldin_scratch_new(rank);
    work.topn = topn_scratch_new();
    work.X = mem_try(TOPN_USERS_MAX * work.basis.stride, sizeof *work.X);
    work.entries = mem_array(NULL, TOPN_USERS_MAX * REMEMBERED, sizeof *work.entries);
    if (work.catalogue.index == NULL || work.X == NULL)
        return 71;
    remember(&work);
    const struct driver_run runs[] = {
        {"cold", run_cold, &work}, {"warm", run_warm, &work}, {"foldin", run_foldin, &work}};
    return driver_serve(runs, sizeof runs / sizeof *runs);
}
