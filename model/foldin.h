/* Fold-in: one row of ALS, exactly, against fixed factors.
 *
 *   (w0 G + lambda I + sum p y y') x = sum q y
 *
 * The factors are rotated into the eigenvectors of their Gram matrix G, so w0 G + lambda I is
 * diagonal and Jacobi-preconditioned conjugate gradient (Hestenes & Stiefel 1952; Takacs et al.
 * 2011 for ALS) converges in a few steps without ever forming a matrix. It stops when the residual
 * is below what was asked for, as a share of |b|; rows it cannot finish in FOLDIN_STEPS_MAX, and
 * those too badly conditioned or scaled for float32, are solved by Cholesky in float64. The kernel
 * is base/kernel.h's choice when the scratch is made; the same kernel gives the same bits on any
 * thread. */
#ifndef FRESHET_MODEL_FOLDIN_H
#define FRESHET_MODEL_FOLDIN_H

#include "model/confidence.h"

#define FOLDIN_RESIDUAL 1e-6
#define FOLDIN_STEPS_MAX 48

struct basis {       /* fixed factors in their eigenbasis; borrowed */
    const float *Y;  /* [rows, stride], 64-byte aligned, zero beyond rank */
    const double *g; /* [rank]: the diagonal of G */
    size_t rows, stride;
    int rank;
};

struct foldin_scratch; /* one per thread */
struct foldin_scratch *foldin_scratch_new(int rank);
void foldin_scratch_free(struct foldin_scratch *scratch);

/* x: [stride]; its value on entry is the starting point (zero it for a cold start). No pairs: x =
 * 0. Returns the number of CG steps taken, negative if Cholesky finished it. */
int foldin_solve(const struct basis *basis, const struct hyperparameters *hyper,
                 const struct pair *pairs, size_t count, float *x, struct foldin_scratch *scratch);

/* The same to another residual than FOLDIN_RESIDUAL. pairs: [count + ahead]; the rows of the
 * `ahead` last belong to whoever is solved next and are only fetched into the cache. */
int foldin_solve_to(const struct basis *basis, const struct hyperparameters *hyper,
                    const struct pair *pairs, size_t count, size_t ahead, double residual, float *x,
                    struct foldin_scratch *scratch);

/* w = A^-1 v in float64, A of the same row; v, w: [rank]. Since x = A^-1 sum q y, what a pair adds
 * to x.v is q (w.y): Hu, Koren, Volinsky 2008, section 5. False, and w zeros, where A has no
 * inverse. Costs count * rank^2 and rank^3 / 3. */
bool foldin_inverse(const struct basis *basis, const struct hyperparameters *hyper,
                    const struct pair *pairs, size_t count, const float *v, double *w,
                    struct foldin_scratch *scratch);

#endif
