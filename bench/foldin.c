/* foldin-driver FOLDER RANK USERS INTERACTIONS LAMBDA RATE: solves USERS rows against fixed
 * factors, cold.
 *
 * FOLDER has Y.f32: [items, RANK]; items.u32 and values.f32: [USERS, INTERACTIONS]. Objective
 * `implicit`, c = value. Runs: goal (residual 1e-5), product (what the daemon does), sgd (a step
 * for each interaction), goal-save and product-save (the same, and X.f32 [USERS, RANK] written in
 * the basis of Y). */
#include "base/kernel.h"
#include "base/mem.h"
#include "bench/driver.h"
#include "model/als.h"
#include "model/blas.h"
#include "model/sgd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 1024

struct work {
    const char *folder;
    struct basis basis;
    struct hyperparameters hyper;
    struct foldin_scratch *scratch;
    struct pair *pairs;
    size_t users, each;
    float *X;
    double *V;
    double residual, rate;
    bool save;
};

static void save(const struct work *w)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/X.f32", w->folder);
    FILE *file = fopen(path, "wb");
    size_t f = (size_t)w->basis.rank;
    for (size_t user = 0; file != NULL && user < w->users; user++)
        for (size_t k = 0; k < f; k++) {
            double sum = 0; /* x V' */
            for (size_t j = 0; j < f; j++)
                sum += (double)w->X[user * w->basis.stride + j] * w->V[k * f + j];
            float value = (float)sum;
            fwrite(&value, sizeof value, 1, file);
        }
    if (file == NULL || fclose(file) != 0)
        exit(74);
}

static void run(void *arg, char *fields, size_t fields_size)
{
    struct work *w = arg;
    size_t stride = w->basis.stride, pairs = w->users * w->each;
    long steps = 0, direct = 0;
    memset(w->X, 0, w->users * stride * sizeof *w->X);
    for (size_t user = 0; user < w->users; user++) {
        size_t at = user * w->each;
        int taken =
            foldin_solve_to(&w->basis, &w->hyper, w->pairs + at, w->each, pairs - at - w->each,
                            w->residual, w->X + user * stride, w->scratch);
        steps += taken > 0 ? taken : 0;
        direct += taken < 0;
    }
    if (w->save)
        save(w);
    snprintf(fields, fields_size, "\"steps\":%.2f,\"direct\":%ld,\"kernel\":\"%s\",\"core\":\"%s\"",
             (double)steps / (double)w->users, direct, kernel_names[kernel_chosen()],
             blas_core_name());
}

/* The other update: a gradient step for each pair, from zero. */
static void run_sgd(void *arg, char *fields, size_t fields_size)
{
    struct work *w = arg;
    size_t stride = w->basis.stride;
    memset(w->X, 0, w->users * stride * sizeof *w->X);
    struct sgd_step steps[BATCH_MAX];
    for (size_t user = 0; user < w->users; user++) {
        size_t count = w->each < BATCH_MAX ? w->each : BATCH_MAX;
        for (size_t i = 0; i < count; i++)
            steps[i] = (struct sgd_step){w->pairs[user * w->each + i], (uint32_t)i + 1,
                                         w->X + user * stride};
        sgd_steps(&w->basis, &w->hyper, w->rate, steps, count);
    }
    if (w->save)
        save(w);
}

static void *load(const char *folder, const char *name, size_t *bytes)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return driver_load(path, bytes);
}

/* The factors in their eigenbasis, as a generation has them when it is loaded. */
static void load_basis(struct work *w, int rank)
{
    size_t bytes, f = (size_t)rank, stride = als_stride(rank);
    float *flat = load(w->folder, "Y.f32", &bytes);
    size_t rows = bytes / sizeof *flat / f;
    float *Y = mem_try(rows * stride, sizeof *Y);
    for (size_t row = 0; row < rows; row++)
        memcpy(Y + row * stride, flat + row * f, f * sizeof *Y);
    free(flat);
    double *G = mem_array(NULL, f * f, sizeof *G), *g = mem_array(NULL, f, sizeof *g);
    w->V = mem_array(NULL, f * f, sizeof *w->V);
    blas_gram(Y, rows, stride, rank, G);
    if (blas_eigen(G, rank, w->V, g, NULL) != 0)
        exit(70);
    blas_rotate(Y, rows, stride, rank, w->V);
    free(G);
    w->basis = (struct basis){.Y = Y, .g = g, .rows = rows, .stride = stride, .rank = rank};
}

static void load_pairs(struct work *w)
{
    uint32_t *items = load(w->folder, "items.u32", NULL);
    float *values = load(w->folder, "values.f32", NULL);
    w->pairs = mem_array(NULL, w->users * w->each, sizeof *w->pairs);
    for (size_t i = 0; i < w->users * w->each; i++)
        w->pairs[i] = (struct pair){items[i], values[i] - 1, values[i]};
    free(items);
    free(values);
}

int main(int count, char **arguments)
{
    blas_know_processor(arguments);
    if (count != 7)
        return 64;
    blas_init();
    int rank = atoi(arguments[2]);
    struct work w = {.folder = arguments[1], .users = strtoul(arguments[3], NULL, 10)};
    w.each = strtoul(arguments[4], NULL, 10);
    w.hyper =
        (struct hyperparameters){OBJECTIVE_IMPLICIT, rank, 1, atof(arguments[5]), 1, LAMBDA_NONE};
    load_basis(&w, rank);
    load_pairs(&w);
    w.X = mem_try(w.users * w.basis.stride, sizeof *w.X);
    w.scratch = foldin_scratch_new(rank);
    struct work goal = w, goal_save = w, product = w, product_save = w;
    goal.residual = goal_save.residual = 1e-5;
    product.residual = product_save.residual = FOLDIN_RESIDUAL;
    goal_save.save = product_save.save = true;
    struct work sgd = product, sgd_save = product_save;
    sgd.rate = sgd_save.rate = atof(arguments[6]);
    const struct driver_run runs[] = {
        {"goal", run, &goal},           {"product", run, &product},
        {"goal-save", run, &goal_save}, {"product-save", run, &product_save},
        {"sgd", run_sgd, &sgd},         {"sgd-save", run_sgd, &sgd_save},
    };
    return driver_serve(runs, sizeof runs / sizeof *runs);
}
