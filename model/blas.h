/* The one door to OpenBLAS (cblas.h, lapacke.h). Row-major throughout; shapes in brackets; single
 * threads: the parallelism is ours. blas_init before any thread starts. */
#ifndef FRESHET_MODEL_BLAS_H
#define FRESHET_MODEL_BLAS_H

#include "base/error.h"

#include <stddef.h>

void blas_init(void);
const char *blas_core_name(void); /* what OpenBLAS chose: "SkylakeX", "Zen", "Haswell" */

/* For the first line of main. OpenBLAS chooses its kernels before that, from a list of processors;
 * on one that is newer than the list it takes kernels of 2004, which are several times slower. It
 * can be told of better ones only by BLAS_CORE_VARIABLE in the environment that the program is
 * started with (USAGE.md of OpenBLAS). So the program starts itself anew with it, by its path, as
 * the same process. Returns where that is not needed, or cannot be done: products are then right,
 * and slow. */
#define BLAS_CORE_VARIABLE "OPENBLAS_CORETYPE"
void blas_know_processor(char **argv);

/* The core that it should have instead, or NULL if it chose well. chosen: blas_core_name(); set:
 * the variable's value, NULL if it has none; whoever set it is not overruled. */
const char *blas_better_core(const char *chosen, const char *set);

/* G = Y'Y.  Y: [rows, stride], G: [rank, rank], full. */
void blas_gram(const float *Y, size_t rows, size_t stride, int rank, double *G);

/* Eigen-decomposition of the symmetric G: [rank, rank]; V: eigenvectors in columns, [rank, rank];
 * g: eigenvalues [rank], largest first. */
int blas_eigen(const double *G, int rank, double *V, double *g, struct error *err);

/* Y <- Y V, in place by blocks.  Y: [rows, stride], V: [rank, rank]. */
void blas_rotate(float *Y, size_t rows, size_t stride, int rank, const double *V);

/* C = A B'.  A: [m, lda], B: [n, ldb], C: [m, ldc]; k inner. */
void blas_multiply_transposed(const float *A, size_t lda, const float *B, size_t ldb, float *C,
                              size_t ldc, int m, int n, int k);

/* x = A^-1 b for symmetric positive definite A: [rank, rank] (destroyed); b becomes x. */
int blas_solve(double *A, double *b, int rank, struct error *err);

#endif
