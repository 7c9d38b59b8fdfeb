/* y.z and |z|^2 in one pass, as cosines want them: 16 lanes of float32, summed in float64.
 * stride: a multiple of COSINE_LANES. Pure. */
#ifndef FRESHET_MODEL_COSINE_H
#define FRESHET_MODEL_COSINE_H

#include <stddef.h>

#define COSINE_LANES 16

/* Lane by lane, so that the loop is one of vectors. */
static inline void cosine_multiply(const float *y, const float *z, size_t stride, double *product,
                                   double *square)
{
    float products[COSINE_LANES] = {0}, squares[COSINE_LANES] = {0};
    for (size_t k = 0; k < stride; k += COSINE_LANES)
        for (size_t lane = 0; lane < COSINE_LANES; lane++) {
            products[lane] += y[k + lane] * z[k + lane];
            squares[lane] += z[k + lane] * z[k + lane];
        }
    *product = *square = 0;
    for (size_t lane = 0; lane < COSINE_LANES; lane++) {
        *product += (double)products[lane];
        *square += (double)squares[lane];
    }
}

#endif
