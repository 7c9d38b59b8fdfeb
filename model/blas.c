#include "model/blas.h"
#include "base/kernel.h"
#include "base/mem.h"

#include <cblas.h>
#include <lapacke.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <unistd.h>
#undef I

/* Rows converted to double at a time: 256 rows of rank 128 are 256 KiB, which stay in L2. */
#define BLOCK_ROWS 256

void blas_init(void)
{
    openblas_set_num_threads(1);
}

const char *blas_core_name(void)
{
    return openblas_get_corename();
}

/* With AVX2 at least. */
static bool is_wide(const char *core)
{
    static const char *const wide[] = {"Haswell",  "Zen",        "Excavator",
                                       "SkylakeX", "Cooperlake", "SapphireRapids"};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (strcasecmp(core, wide[i]) == 0)
            return true;
    return false;
}

const char *blas_better_core(const char *chosen, const char *set)
{
    if (set != NULL || is_wide(chosen) || !kernel_available(KERNEL_AVX2))
        return NULL;
    return kernel_available(KERNEL_AVX512) ? "SkylakeX" : "Haswell";
}

void blas_know_processor(char **argv)
{
    char path[PATH_MAX];
    const char *core = blas_better_core(blas_core_name(), getenv(BLAS_CORE_VARIABLE));
    bool by_loader = getauxval(AT_BASE) == 0; /* started by hand through it: its is the path */
    if (core == NULL || by_loader)
        return;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0 || setenv(BLAS_CORE_VARIABLE, core, 1) != 0)
        return;
    path[length] = 0;
    execv(path, argv);
}

/* to: [rows, rank] <- from: [rows, stride] */
static void widen(double *to, const float *from, size_t rows, size_t stride, int rank)
{
    for (size_t row = 0; row < rows; row++)
        for (int k = 0; k < rank; k++)
            to[row * (size_t)rank + (size_t)k] = (double)from[row * stride + (size_t)k];
}

static size_t block_at(size_t begin, size_t rows)
{
    return rows - begin < BLOCK_ROWS ? rows - begin : BLOCK_ROWS;
}

void blas_gram(const float *Y, size_t rows, size_t stride, int rank, double *G)
{
    size_t f = (size_t)rank;
    double *block = mem_array(NULL, BLOCK_ROWS * f, sizeof *block);
    memset(G, 0, f * f * sizeof *G);
    for (size_t begin = 0; begin < rows; begin += BLOCK_ROWS) {
        size_t count = block_at(begin, rows);
        widen(block, Y + begin * stride, count, stride, rank);
        cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, rank, (int)count, 1, block, rank, 1, G,
                    rank);
    }
    for (size_t i = 1; i < f; i++) /* dsyrk fills the upper half only */
        for (size_t j = 0; j < i; j++)
            G[i * f + j] = G[j * f + i];
    free(block);
}

int blas_eigen(const double *G, int rank, double *V, double *g, struct error *err)
{
    size_t f = (size_t)rank;
    memcpy(V, G, f * f * sizeof *V);
    lapack_int info = LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'U', rank, V, rank, g);
    if (info != 0)
        return error_set(err, ERR_DATA, "no eigenvectors of a %d x %d Gram matrix (dsyevd: %d)",
                         rank, rank, (int)info);

    /* dsyevd sorts upwards; a Gram matrix has no negative eigenvalues, only rounding below zero. */
    for (size_t low = 0, high = f - 1; low < high; low++, high--) {
        double value = g[low];
        g[low] = g[high];
        g[high] = value;
        for (size_t row = 0; row < f; row++) {
            value = V[row * f + low];
            V[row * f + low] = V[row * f + high];
            V[row * f + high] = value;
        }
    }
    for (size_t k = 0; k < f; k++)
        g[k] = g[k] > 0 ? g[k] : 0;
    return 0;
}

void blas_rotate(float *Y, size_t rows, size_t stride, int rank, const double *V)
{
    size_t f = (size_t)rank;
    double *from = mem_array(NULL, 2 * BLOCK_ROWS * f, sizeof *from);
    double *to = from + BLOCK_ROWS * f;
    for (size_t begin = 0; begin < rows; begin += BLOCK_ROWS) {
        size_t count = block_at(begin, rows);
        widen(from, Y + begin * stride, count, stride, rank);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, rank, rank, 1, from,
                    rank, V, rank, 0, to, rank);
        for (size_t row = 0; row < count; row++)
            for (size_t k = 0; k < f; k++)
                Y[(begin + row) * stride + k] = (float)to[row * f + k];
    }
    free(from);
}

void blas_multiply_transposed(const float *A, size_t lda, const float *B, size_t ldb, float *C,
                              size_t ldc, int m, int n, int k)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, A, (int)lda, B, (int)ldb, 0, C,
                (int)ldc);
}

int blas_solve(double *A, double *b, int rank, struct error *err)
{
    lapack_int info = LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', rank, 1, A, rank, b, 1);
    if (info != 0)
        return error_set(err, ERR_DATA, "matrix is not positive definite (dposv: %d)", (int)info);
    return 0;
}
