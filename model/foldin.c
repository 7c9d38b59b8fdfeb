#include "model/foldin.h"
#include "base/kernel.h"
#include "base/mem.h"
#include "model/blas.h"
#include "model/foldin_work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the largest diagonal element: what rounding float32 rows leaves of an eigenvalue that is zero.
 */
#define DIAGONAL_MIN 1e-7

#define LINE 16   /* floats in 64 bytes */
#define VECTORS 8 /* in a scratch */

struct foldin_scratch {
    struct foldin_work work;
    foldin_kernel kernel;
    void *memory;
    double *A; /* [rank, rank] and [rank]: Cholesky's, from when it is first needed */
};

static foldin_kernel kernel_for_this_processor(void)
{
#if defined(__x86_64__)
    if (kernel_chosen() == KERNEL_AVX512)
        return foldin_avx512;
    if (kernel_chosen() == KERNEL_AVX2)
        return foldin_avx2;
#endif
    return foldin_plain;
}

struct foldin_scratch *foldin_scratch_new(int rank)
{
    struct foldin_scratch *s = mem_zalloc(sizeof *s);
    struct foldin_work *w = &s->work;
    w->length = ((size_t)rank + LINE - 1) / LINE * LINE;
    s->kernel = kernel_for_this_processor();
    s->memory = mem_zalloc((VECTORS * w->length + LINE) * sizeof(float));
    float *at = (float *)(((uintptr_t)s->memory + 63) / 64 * 64);
    float **vectors[VECTORS] = {&w->D, &w->inverse, &w->b, &w->x, &w->r, &w->d, &w->Ad, NULL};
    for (size_t i = 0; i < VECTORS; i++, at += w->length)
        if (vectors[i] != NULL)
            *vectors[i] = at;
        else
            w->zeros = at;
    return s;
}

void foldin_scratch_free(struct foldin_scratch *scratch)
{
    if (scratch == NULL)
        return;
    free(scratch->work.rows);
    free(scratch->work.p);
    free(scratch->memory);
    free(scratch->A);
    free(scratch);
}

static void make_room(struct foldin_work *w, size_t count)
{
    if (count <= w->capacity)
        return;
    w->capacity = (count + count / 4 + FOLDIN_GROUP) / FOLDIN_GROUP * FOLDIN_GROUP;
    w->rows = mem_array(w->rows, w->capacity, sizeof *w->rows);
    w->p = mem_array(w->p, w->capacity, sizeof *w->p); /* malloc's boundaries suit four floats */
}

static void set_diagonal(const struct basis *basis, const struct hyperparameters *hyper,
                         size_t count, struct foldin_work *w)
{
    float *restrict D = w->D;
    const double *restrict g = basis->g;
    size_t f = (size_t)basis->rank;
    double w0 = hyper->w0, lambda = lambda_of(hyper, count), largest = 0;
    for (size_t k = 0; k < f; k++)
        largest = g[k] > largest ? g[k] : largest;
    double least = (w0 * largest + lambda) * DIAGONAL_MIN;
    for (size_t k = 0; k < f; k++) {
        double diagonal = w0 * g[k] + lambda;
        D[k] = (float)(diagonal > least ? diagonal : least);
    }
    for (size_t k = f; k < w->length; k++)
        D[k] = 1;
}

/* A as it stands, in float64: [rank, rank], the upper half. Returns the room for a vector beside
 * it, [rank], zeros. */
static double *form_equations(const struct basis *basis, const struct pair *pairs, size_t count,
                              struct foldin_scratch *s)
{
    size_t f = (size_t)basis->rank;
    if (s->A == NULL)
        s->A = mem_array(NULL, f * f + f, sizeof *s->A);
    double *A = s->A;
    memset(A, 0, (f * f + f) * sizeof *A);
    for (size_t k = 0; k < f; k++)
        A[k * f + k] = (double)s->work.D[k];
    for (size_t i = 0; i < count; i++) {
        const float *y = basis->Y + pairs[i].row * basis->stride;
        for (size_t k = 0; k < f; k++) {
            double py = (double)pairs[i].p * (double)y[k];
            for (size_t j = k; j < f; j++)
                A[k * f + j] += py * (double)y[j];
        }
    }
    return A + f * f;
}

/* The normal equations in float64; x = 0 if they have no solution. */
static void solve_by_cholesky(const struct basis *basis, const struct pair *pairs, size_t count,
                              float *x, struct foldin_scratch *s)
{
    size_t f = (size_t)basis->rank;
    double *c = form_equations(basis, pairs, count, s);
    for (size_t i = 0; i < count; i++) {
        const float *y = basis->Y + pairs[i].row * basis->stride;
        for (size_t k = 0; k < f; k++)
            c[k] += (double)pairs[i].q * (double)y[k];
    }
    bool solved = blas_solve(s->A, c, basis->rank, NULL) == 0;
    for (size_t k = 0; k < f; k++)
        x[k] = solved ? (float)c[k] : 0;
}

bool foldin_inverse(const struct basis *basis, const struct hyperparameters *hyper,
                    const struct pair *pairs, size_t count, const float *v, double *w,
                    struct foldin_scratch *s)
{
    size_t f = (size_t)basis->rank;
    set_diagonal(basis, hyper, count, &s->work);
    double *c = form_equations(basis, pairs, count, s);
    for (size_t k = 0; k < f; k++)
        c[k] = (double)v[k];
    bool solved = blas_solve(s->A, c, basis->rank, NULL) == 0;
    for (size_t k = 0; k < f; k++)
        w[k] = solved ? c[k] : 0;
    return solved;
}

int foldin_solve_to(const struct basis *basis, const struct hyperparameters *hyper,
                    const struct pair *pairs, size_t count, size_t ahead, double residual, float *x,
                    struct foldin_scratch *scratch)
{
    if (count == 0) {
        memset(x, 0, basis->stride * sizeof *x);
        return 0;
    }
    struct foldin_work *w = &scratch->work;
    w->basis = basis;
    w->pairs = pairs;
    w->count = count;
    w->ahead = ahead;
    w->residual = (float)residual;
    make_room(w, count);
    set_diagonal(basis, hyper, count, w);
    size_t bytes = (size_t)basis->rank * sizeof *x;
    memcpy(w->x, x, bytes);
    int steps = scratch->kernel(w);
    if (steps >= 0)
        memcpy(x, w->x, bytes);
    else
        solve_by_cholesky(basis, pairs, count, x, scratch);
    return steps;
}

int foldin_solve(const struct basis *basis, const struct hyperparameters *hyper,
                 const struct pair *pairs, size_t count, float *x, struct foldin_scratch *scratch)
{
    return foldin_solve_to(basis, hyper, pairs, count, 0, FOLDIN_RESIDUAL, x, scratch);
}
