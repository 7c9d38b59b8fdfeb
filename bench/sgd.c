/* sgd-driver RANK USERS ITEMS STEPS: gradient steps of random users by random items, and what
 * memory gives at best.
 *
 * Runs: steps (in batches, as model/sgd.h's sgd_steps takes them), single (sgd_step, one by one),
 * and probe: as many bytes read and written in order, x <- x + c y over the same two matrices, rows
 * of y as often as a step would read one. */
#include "base/kernel.h"
#include "base/mem.h"
#include "bench/driver.h"
#include "model/als.h"
#include "model/sgd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BATCH 256

struct work {
    struct basis basis;
    struct hyperparameters hyper;
    float *X;
    size_t users, count;
    struct sgd_step *steps;
};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static float *matrix(size_t rows, size_t stride, uint64_t *state)
{
    size_t bytes = (rows * stride * sizeof(float) + (2 << 20) - 1) >> 21 << 21;
    float *values = aligned_alloc(2 << 20, bytes);
    if (values == NULL)
        exit(71);
    madvise(values, bytes, MADV_HUGEPAGE); /* so that the limit is memory, not the page tables */
    for (size_t i = 0; i < rows * stride; i++)
        values[i] = (float)next_random(state) * 0x1p-33f - 0.125f;
    return values;
}

static void batches(void *arg, char *fields, size_t fields_size)
{
    struct work *w = arg;
    for (size_t at = 0; at < w->count; at += BATCH)
        sgd_steps(&w->basis, &w->hyper, 0.05, w->steps + at,
                  w->count - at < BATCH ? w->count - at : BATCH);
    snprintf(fields, fields_size, "\"kernel\":\"%s\"", kernel_names[kernel_chosen()]);
}

static void single(void *arg, char *fields, size_t fields_size)
{
    struct work *w = arg;
    for (size_t i = 0; i < w->count; i++)
        sgd_step(&w->basis, &w->hyper, 0.05, &w->steps[i].pair, w->steps[i].t, w->steps[i].x);
    snprintf(fields, fields_size, "\"kernel\":\"%s\"", kernel_names[kernel_chosen()]);
}

/* The least that can be done with a row of each: x <- x + c y. */
static void touch(float *restrict x, const float *restrict y, size_t stride)
{
    for (size_t k = 0; k < stride; k++)
        x[k] = x[k] * 0.999f + 0.001f * y[k];
}

static void probe(void *arg, char *fields, size_t fields_size)
{
    struct work *w = arg;
    size_t stride = w->basis.stride, user = 0, item = 0;
    for (size_t i = 0; i < w->count; i++) {
        touch(w->X + user * stride, w->basis.Y + item * stride, stride);
        user = user + 1 == w->users ? 0 : user + 1;
        item = item + 1 == w->basis.rows ? 0 : item + 1;
    }
    snprintf(fields, fields_size, "\"bytes\":%zu", w->count * stride * 3 * sizeof(float));
}

static void probe_rows(void *arg, char *fields, size_t fields_size)
{
    struct work *w = arg;
    size_t stride = w->basis.stride;
    for (size_t i = 0; i < w->count; i++) {
        const struct sgd_step *step = &w->steps[i],
                              *later = &w->steps[i + 8 < w->count ? i + 8 : i];
        for (size_t k = 0; k < stride; k += 16) {
            __builtin_prefetch(w->basis.Y + later->pair.row * stride + k, 0, 2);
            __builtin_prefetch(later->x + k, 0, 2);
        }
        touch(step->x, w->basis.Y + step->pair.row * stride, stride);
    }
    snprintf(fields, fields_size, "\"bytes\":%zu", w->count * stride * 3 * sizeof(float));
}

int main(int count, char **arguments)
{
    if (count != 5)
        return 64;
    int rank = atoi(arguments[1]);
    uint64_t state = 1;
    struct work w = {.users = strtoul(arguments[2], NULL, 10),
                     .count = strtoul(arguments[4], NULL, 10)};
    size_t items = strtoul(arguments[3], NULL, 10), stride = als_stride(rank);
    w.hyper = (struct hyperparameters){OBJECTIVE_IALS, rank, 0.1, 0.01, 1, LAMBDA_NONE};
    double *g = mem_array(NULL, (size_t)rank, sizeof *g);
    for (int k = 0; k < rank; k++)
        g[k] = (double)items / (1 + k);
    w.X = matrix(w.users, stride, &state);
    w.basis = (struct basis){matrix(items, stride, &state), g, items, stride, rank};
    w.steps = mem_array(NULL, w.count, sizeof *w.steps);
    for (size_t i = 0; i < w.count; i++) {
        struct pair pair = {(uint32_t)(next_random(&state) % items), 1, 1};
        uint32_t t = (uint32_t)(1 + next_random(&state) % 50);
        w.steps[i] = (struct sgd_step){pair, t, w.X + next_random(&state) % w.users * stride};
    }
    const struct driver_run runs[] = {{"steps", batches, &w},
                                      {"single", single, &w},
                                      {"probe", probe, &w},
                                      {"probe-rows", probe_rows, &w}};
    return driver_serve(runs, sizeof runs / sizeof *runs);
}
