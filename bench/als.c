/* als-driver FOLDER RANK LAMBDA none|count RESIDUAL [ONLY]: iterations of full ALS from a given
 * start.
 *
 * FOLDER has begin.u64: [users + 1]; pairs.bin: struct pair by user; X.f32 and Y.f32: [users, RANK]
 * and [items, RANK], the start. Runs: one and two, an iteration further on so many threads, each
 * from where it was; one-save and two-save write X.f32.one and Y.f32.one (.two) and do nothing
 * else; probe-one and probe-two, a loop of fused multiply-adds on so many threads. With ONLY there
 * is but one copy of the factors, for `one`, so that the peak of memory is training's. */
#include "base/kernel.h"
#include "base/mem.h"
#include "bench/driver.h"
#include "model/als.h"
#include "model/blas.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ratings ratings;
static struct hyperparameters hyper;
static const char *folder;
static double base_mb; /* what the program and its libraries take before any data */

struct side {
    const char *name;
    int threads;
    double residual;
    float *X, *Y;
};

static void *load(const char *name, size_t *bytes)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return driver_load(path, bytes);
}

static float *load_factors(const char *name, size_t *rows)
{
    size_t bytes, f = (size_t)hyper.rank, stride = als_stride(hyper.rank);
    float *flat = load(name, &bytes);
    *rows = bytes / sizeof *flat / f;
    if (stride == f) /* 64-byte aligned by the driver */
        return flat;
    float *factors = mem_try(*rows * stride, sizeof *factors);
    for (size_t row = 0; row < *rows; row++)
        memcpy(factors + row * stride, flat + row * f, f * sizeof *factors);
    free(flat);
    return factors;
}

/* Of this program; getrusage would count what it was forked from. */
static double peak_mb(void)
{
    char line[256];
    double kb = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = atof(line + 6);
    if (file != NULL)
        fclose(file);
    return kb / 1024;
}

static void iterate(void *arg, char *fields, size_t fields_size)
{
    struct side *side = arg;
    struct als_settings settings = {.hyper = hyper,
                                    .iterations = 1,
                                    .threads = side->threads,
                                    .pace = {.duty = 1},
                                    .residual = side->residual};
    struct error err = {0};
    if (als_run(&ratings, &settings, side->X, side->Y, NULL, NULL, &err) != 0) {
        fprintf(stderr, "als: %s\n", err.text);
        exit(70);
    }
    snprintf(fields, fields_size,
             "\"kernel\":\"%s\",\"core\":\"%s\",\"base_mb\":%.1f,\"peak_mb\":%.1f",
             kernel_names[kernel_chosen()], blas_core_name(), base_mb, peak_mb());
}

static void save_factors(const char *matrix, const char *name, const float *factors, size_t rows)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, matrix, name);
    FILE *file = fopen(path, "wb");
    for (size_t row = 0; file != NULL && row < rows; row++)
        fwrite(factors + row * als_stride(hyper.rank), sizeof *factors, (size_t)hyper.rank, file);
    if (file == NULL || fclose(file) != 0)
        exit(74);
}

static void save(void *arg, char *fields, size_t fields_size)
{
    struct side *side = arg;
    save_factors("X.f32", side->name, side->X, ratings.users);
    save_factors("Y.f32", side->name, side->Y, ratings.items);
}

/* Some 50 ms in registers: what a second core adds at best. */
static void *multiply_add(void *arg)
{
    float lanes[128], factor = 0.999f;
    for (int k = 0; k < 128; k++)
        lanes[k] = (float)k;
    for (long i = 0; i < 3000000; i++) {
        for (int k = 0; k < 128; k++)
            lanes[k] = lanes[k] * factor + 0.5f;
        __asm__ volatile("" : "+x"(factor)); /* not known to the compiler */
    }
    *(float *)arg = lanes[5];
    return NULL;
}

/* The same work, shared by so many threads. */
static void probe(void *arg, char *fields, size_t fields_size)
{
    int threads = *(int *)arg;
    float kept[2];
    for (int half = 0; half < 2; half += threads) {
        pthread_t other;
        bool shared = threads == 2 && pthread_create(&other, NULL, multiply_add, &kept[1]) == 0;
        multiply_add(&kept[0]);
        if (shared)
            pthread_join(other, NULL);
    }
    snprintf(fields, fields_size, "\"kept\":%g", (double)kept[0]);
}

int main(int count, char **arguments)
{
    blas_know_processor(arguments);
    if (count < 6)
        return 64;
    blas_init();
    base_mb = peak_mb();
    folder = arguments[1];
    hyper =
        (struct hyperparameters){OBJECTIVE_IMPLICIT,
                                 atoi(arguments[2]),
                                 1,
                                 atof(arguments[3]),
                                 1,
                                 strcmp(arguments[4], "count") == 0 ? LAMBDA_COUNT : LAMBDA_NONE};
    size_t users;
    double residual = atof(arguments[5]); /* 0: als.h's */
    struct side one = {"one", 1, residual, NULL, NULL}, two = {"two", 2, residual, NULL, NULL};
    one.X = load_factors("X.f32", &ratings.users);
    one.Y = load_factors("Y.f32", &ratings.items);
    if (count == 6) {
        two.X = load_factors("X.f32", &users);
        two.Y = load_factors("Y.f32", &users);
    }
    ratings.user_begin = load("begin.u64", NULL);
    ratings.user_pairs = load("pairs.bin", NULL);
    if (ratings_transpose(&ratings, NULL) != 0)
        return 71;
    int single = 1, both = 2;
    const struct driver_run runs[] = {
        {"one", iterate, &one},   {"one-save", save, &one},      {"two", iterate, &two},
        {"two-save", save, &two}, {"probe-one", probe, &single}, {"probe-two", probe, &both},
    };
    return driver_serve(runs, sizeof runs / sizeof *runs);
}
