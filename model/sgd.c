#include "model/sgd.h"

#include <math.h>

/* Sixteen partial sums, so that the compiler may keep them in vector registers. */
static float dot(const float *restrict a, const float *restrict b, size_t stride)
{
    float lanes[16] = {0};
    for (size_t k = 0; k < stride; k += 16)
        for (size_t j = 0; j < 16; j++)
            lanes[j] += a[k + j] * b[k + j];
    float sum = 0;
    for (size_t j = 0; j < 16; j++)
        sum += lanes[j];
    return sum;
}

void sgd_step(const struct basis *basis, const struct hyperparameters *hyper, double rate,
              const struct pair *pair, uint32_t t, float *x)
{
    const float *restrict y = basis->Y + pair->row * basis->stride;
    double share = rate / t, lambda = lambda_of(hyper, t); /* the dense terms, one step's part */
    for (int k = 0; k < basis->rank; k++) /* x <- x / (1 + rate s (w0 g + lambda)) */
        x[k] *= (float)(1 / (1 + share * (hyper->w0 * basis->g[k] + lambda)));

    /* x <- x + rate (q - p x.y) / (1 + rate p |y|^2) y */
    double error = (double)pair->q - (double)pair->p * (double)dot(x, y, basis->stride);
    double steepness = 1 + rate * fmax(pair->p, 0) * (double)dot(y, y, basis->stride);
    float step = (float)(rate * error / steepness);
    for (size_t k = 0; k < basis->stride; k++)
        x[k] += step * y[k];
}
