#include "model/sgd.h"
#include "base/kernel.h"
#include "base/mem.h"
#include "model/sgd_work.h"

#include <stdlib.h>

#define STRIDE_USUAL 256 /* floats on the stack; more are allocated */

void sgd_plain(const struct sgd_work *work, const struct sgd_step *steps, size_t count)
{
    size_t stride = work->basis->stride;
    for (size_t i = 0; i < count; i++) {
        const float *y = work->basis->Y + steps[i].pair.row * stride;
        float *x = steps[i].x, xy = 0, yy = 0;
        float share = (float)(work->rate / steps[i].t); /* the dense terms, one step's part */
        float lambda = (float)lambda_of(work->hyper, steps[i].t);
        for (size_t k = 0; k < stride; k++) { /* x <- x / (1 + rate s (w0 g + lambda)) */
            x[k] /= 1 + share * (work->dense[k] + lambda);
            xy += x[k] * y[k];
            yy += y[k] * y[k];
        }
        float length = sgd_length(work->rate, &steps[i].pair, xy, yy);
        for (size_t k = 0; k < stride; k++)
            x[k] += length * y[k];
    }
}

static sgd_kernel kernel_for_this_processor(void)
{
#if defined(__x86_64__)
    if (kernel_chosen() == KERNEL_AVX512)
        return sgd_avx512;
    if (kernel_chosen() == KERNEL_AVX2)
        return sgd_avx2;
#endif
    return sgd_plain;
}

void sgd_steps(const struct basis *basis, const struct hyperparameters *hyper, double rate,
               const struct sgd_step *steps, size_t count)
{
    float usual[STRIDE_USUAL] __attribute__((aligned(64))), *dense = usual, *more = NULL;
    if (basis->stride > STRIDE_USUAL) {
        more = mem_array(NULL, basis->stride + 16, sizeof *more);
        dense = (float *)(((uintptr_t)more + 63) / 64 * 64);
    }
    for (size_t k = 0; k < basis->stride; k++)
        dense[k] = k < (size_t)basis->rank ? (float)(hyper->w0 * basis->g[k]) : 0;
    struct sgd_work work = {basis, hyper, rate, dense};
    kernel_for_this_processor()(&work, steps, count);
    free(more);
}

void sgd_step(const struct basis *basis, const struct hyperparameters *hyper, double rate,
              const struct pair *pair, uint32_t t, float *x)
{
    sgd_steps(basis, hyper, rate, &(struct sgd_step){*pair, t, x}, 1);
}

void sgd_added(const struct basis *basis, const struct hyperparameters *hyper, double rate,
               const struct sgd_step *steps, size_t count, double *v, double *added)
{
    size_t rank = (size_t)basis->rank;
    for (size_t i = count; i-- > 0;) {
        const struct pair *pair = &steps[i].pair;
        const float *y = basis->Y + pair->row * basis->stride;
        double yv = 0, yy = 0, p = (double)pair->p;
        for (size_t k = 0; k < rank; k++) {
            yv += (double)y[k] * v[k];
            yy += (double)y[k] * (double)y[k];
        }
        double length = rate / (1 + rate * (p > 0 ? p : 0) * yy);
        double share = rate / steps[i].t, lambda = lambda_of(hyper, steps[i].t);
        added[i] = length * (double)pair->q * yv;
        for (size_t k = 0; k < rank; k++)
            v[k] = (v[k] - length * p * yv * (double)y[k]) /
                   (1 + share * (hyper->w0 * basis->g[k] + lambda));
    }
}
