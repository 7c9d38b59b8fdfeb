#include "model/foldin.h"
#include "base/mem.h"
#include "model/blas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Conjugate gradient in float32 forgets what a system worse than this asks of it; and sums of
 * squares beyond these bounds leave float32's range. Both are left to Cholesky in float64. */
#define CONDITION_MAX 1e5f
#define SQUARES_MIN 1e-20f
#define SQUARES_MAX 1e20f

/* Of the largest diagonal element: what rounding float32 rows leaves of an eigenvalue that is zero.
 */
#define DIAGONAL_MIN 1e-7

#define LANES 16 /* floats: one AVX-512 register, two of AVX2, four of SSE */

struct lanes {
    float v __attribute__((vector_size(LANES * sizeof(float))));
};

/* What a solve works on; all vectors [blocks] of lanes. Beyond rank D is 1 and the rest 0. */
struct foldin_scratch {
    size_t blocks;
    void *memory;
    struct lanes *D;       /* w0 g + lambda */
    struct lanes *inverse; /* of the diagonal of A */
    struct lanes *b, *x, *r, *d, *Ad;
    int (*iterate)(const struct basis *basis, const struct pair *pairs, size_t count,
                   struct foldin_scratch *s);
    double *A; /* [rank, rank] and [rank]: Cholesky's, from when it is first needed */
};

#define INLINE static inline __attribute__((always_inline))

INLINE float lanes_sum(const struct lanes *a)
{
    float eight __attribute__((vector_size(32))) =
        __builtin_shufflevector(a->v, a->v, 0, 1, 2, 3, 4, 5, 6, 7) +
        __builtin_shufflevector(a->v, a->v, 8, 9, 10, 11, 12, 13, 14, 15);
    float four __attribute__((vector_size(16))) =
        __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
        __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
    return (four[0] + four[2]) + (four[1] + four[3]);
}

INLINE float dot(const struct lanes *a, const struct lanes *b, size_t blocks)
{
    struct lanes sum = {.v = {0}};
    for (size_t k = 0; k < blocks; k++)
        sum.v += a[k].v * b[k].v;
    return lanes_sum(&sum);
}

INLINE const struct lanes *row_of_pair(const struct basis *basis, const struct pair *pair)
{
    return (const struct lanes *)(basis->Y + pair->row * basis->stride);
}

/* b = sum q y,  r = b - A x,  inverse = 1 / diag(A): all in one reading of the rows. Returns a
 * bound of the condition number. */
INLINE float begin(const struct basis *basis, const struct pair *pairs, size_t count,
                   struct foldin_scratch *s, size_t blocks)
{
    for (size_t k = 0; k < blocks; k++) {
        s->b[k].v = s->D[k].v * 0;
        s->r[k].v = -(s->D[k].v * s->x[k].v);
        s->inverse[k].v = s->D[k].v;
    }
    for (size_t i = 0; i < count; i++) {
        const struct lanes *y = row_of_pair(basis, &pairs[i]);
        float p = pairs[i].p, q = pairs[i].q;
        float e = q - p * dot(y, s->x, blocks);
        for (size_t k = 0; k < blocks; k++) {
            s->b[k].v += q * y[k].v;
            s->r[k].v += e * y[k].v;
            s->inverse[k].v += p * y[k].v * y[k].v;
        }
    }
    /* cond(D^-1/2 A D^-1/2) <= 1 + sum p y' D^-1 y: what the preconditioner leaves to be done */
    struct lanes condition = {.v = {1}};
    for (size_t k = 0; k < blocks; k++) {
        condition.v += s->inverse[k].v / s->D[k].v - 1;
        s->inverse[k].v = 1 / s->inverse[k].v;
    }
    return lanes_sum(&condition);
}

/* Ad = (D + sum p y y') d */
INLINE void multiply(const struct basis *basis, const struct pair *pairs, size_t count,
                     struct foldin_scratch *s, size_t blocks)
{
    for (size_t k = 0; k < blocks; k++)
        s->Ad[k].v = s->D[k].v * s->d[k].v;
    for (size_t i = 0; i < count; i++) {
        const struct lanes *y = row_of_pair(basis, &pairs[i]);
        float t = pairs[i].p * dot(y, s->d, blocks);
        for (size_t k = 0; k < blocks; k++)
            s->Ad[k].v += t * y[k].v;
    }
}

/* Sets z = inverse r on the fly; returns r.z. */
INLINE float preconditioned(const struct foldin_scratch *s, size_t blocks)
{
    struct lanes sum = {.v = {0}};
    for (size_t k = 0; k < blocks; k++)
        sum.v += s->r[k].v * s->inverse[k].v * s->r[k].v;
    return lanes_sum(&sum);
}

/* Preconditioned conjugate gradient from s->x. Steps taken, or -1 - steps where it gave up. */
INLINE int conjugate_gradient(const struct basis *basis, const struct pair *pairs, size_t count,
                              struct foldin_scratch *s, size_t blocks)
{
    float condition = begin(basis, pairs, count, s, blocks);
    float b_squared = dot(s->b, s->b, blocks);
    if (!(condition < CONDITION_MAX && b_squared > SQUARES_MIN && b_squared < SQUARES_MAX))
        return -1;
    float enough = (float)(FOLDIN_RESIDUAL * FOLDIN_RESIDUAL) * b_squared;
    for (size_t k = 0; k < blocks; k++)
        s->d[k].v = s->inverse[k].v * s->r[k].v;
    float rz = preconditioned(s, blocks);

    int steps = 0;
    while (!(dot(s->r, s->r, blocks) <= enough)) {
        if (steps == FOLDIN_STEPS_MAX)
            return -1 - steps;
        multiply(basis, pairs, count, s, blocks);
        float curvature = dot(s->d, s->Ad, blocks);
        if (!(curvature > 0)) /* not a number, or rounded out of positive definiteness */
            return -1 - steps;
        float along = rz / curvature;
        for (size_t k = 0; k < blocks; k++) {
            s->x[k].v += along * s->d[k].v;
            s->r[k].v -= along * s->Ad[k].v;
        }
        float rz_next = preconditioned(s, blocks);
        float beta = rz_next / rz;
        for (size_t k = 0; k < blocks; k++)
            s->d[k].v = s->inverse[k].v * s->r[k].v + beta * s->d[k].v;
        rz = rz_next;
        steps++;
    }
    return steps;
}

/* The same code for each instruction set; a rank known to the compiler keeps vectors in registers.
 */
#define DEFINE_ITERATE(name, attributes)                                                          \
    attributes static int name(const struct basis *basis, const struct pair *pairs, size_t count, \
                               struct foldin_scratch *s)                                          \
    {                                                                                             \
        if (s->blocks == 4)                                                                       \
            return conjugate_gradient(basis, pairs, count, s, 4);                                 \
        return conjugate_gradient(basis, pairs, count, s, s->blocks);                             \
    }

DEFINE_ITERATE(iterate_plain, )
#if defined(__x86_64__)
DEFINE_ITERATE(iterate_avx2, __attribute__((target("avx2,fma"))))
DEFINE_ITERATE(iterate_avx512, __attribute__((target("avx512f,avx512vl,avx512dq,avx2,fma"))))
#endif

#define VECTORS 7 /* of lanes in a scratch */

bool foldin_scratch_choose(struct foldin_scratch *scratch, enum foldin_kernel kernel)
{
#if defined(__x86_64__)
    if (kernel == FOLDIN_AVX512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        scratch->iterate = iterate_avx512;
        return true;
    }
    if (kernel == FOLDIN_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        scratch->iterate = iterate_avx2;
        return true;
    }
#endif
    if (kernel != FOLDIN_PLAIN)
        return false;
    scratch->iterate = iterate_plain;
    return true;
}

struct foldin_scratch *foldin_scratch_new(int rank)
{
    struct foldin_scratch *s = mem_zalloc(sizeof *s);
    s->blocks = ((size_t)rank + LANES - 1) / LANES;
    s->memory = mem_zalloc((VECTORS * s->blocks + 1) * sizeof(struct lanes));
    size_t past = (uintptr_t)s->memory % sizeof(struct lanes);
    struct lanes *at = (struct lanes *)((char *)s->memory + (sizeof(struct lanes) - past));
    struct lanes **vectors[VECTORS] = {&s->D, &s->inverse, &s->b, &s->x, &s->r, &s->d, &s->Ad};
    for (size_t i = 0; i < VECTORS; i++)
        *vectors[i] = at + i * s->blocks;
    for (int kernel = FOLDIN_AVX512; !foldin_scratch_choose(s, (enum foldin_kernel)kernel);)
        kernel--;
    return s;
}

void foldin_scratch_free(struct foldin_scratch *scratch)
{
    if (scratch == NULL)
        return;
    free(scratch->memory);
    free(scratch->A);
    free(scratch);
}

static void set_diagonal(const struct basis *basis, const struct hyperparameters *hyper,
                         size_t count, struct foldin_scratch *s)
{
    float *D = (float *)s->D;
    double lambda = lambda_of(hyper, count), largest = 0;
    for (int k = 0; k < basis->rank; k++)
        largest = fmax(largest, hyper->w0 * basis->g[k] + lambda);
    for (int k = 0; k < basis->rank; k++)
        D[k] = (float)fmax(hyper->w0 * basis->g[k] + lambda, largest * DIAGONAL_MIN);
    for (size_t k = (size_t)basis->rank; k < s->blocks * LANES; k++)
        D[k] = 1;
}

/* The normal equations as they stand, in float64; x = 0 if they have no solution. */
static void solve_by_cholesky(const struct basis *basis, const struct pair *pairs, size_t count,
                              float *x, struct foldin_scratch *s)
{
    size_t f = (size_t)basis->rank;
    if (s->A == NULL)
        s->A = mem_array(NULL, f * f + f, sizeof *s->A);
    double *A = s->A, *c = s->A + f * f;
    memset(A, 0, (f * f + f) * sizeof *A);
    for (size_t k = 0; k < f; k++)
        A[k * f + k] = (double)((const float *)s->D)[k];
    for (size_t i = 0; i < count; i++) {
        const float *y = basis->Y + pairs[i].row * basis->stride;
        for (size_t k = 0; k < f; k++) {
            double py = (double)pairs[i].p * (double)y[k];
            c[k] += (double)pairs[i].q * (double)y[k];
            for (size_t j = k; j < f; j++)
                A[k * f + j] += py * (double)y[j];
        }
    }
    bool solved = blas_solve(A, c, basis->rank, NULL) == 0;
    for (size_t k = 0; k < f; k++)
        x[k] = solved ? (float)c[k] : 0;
}

int foldin_solve(const struct basis *basis, const struct hyperparameters *hyper,
                 const struct pair *pairs, size_t count, float *x, struct foldin_scratch *scratch)
{
    if (count == 0) {
        memset(x, 0, basis->stride * sizeof *x);
        return 0;
    }
    set_diagonal(basis, hyper, count, scratch);
    size_t bytes = (size_t)basis->rank * sizeof *x;
    memcpy(scratch->x, x, bytes);
    int steps = scratch->iterate(basis, pairs, count, scratch);
    if (steps >= 0)
        memcpy(x, scratch->x, bytes);
    else
        solve_by_cholesky(basis, pairs, count, x, scratch);
    return steps;
}
