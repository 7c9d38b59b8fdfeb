/* Inside SGD: the kernels of model/sgd.h. `dense`: w0 g, [stride], 0 beyond rank; 64-byte aligned.
 * sgd_plain is C loops; the others are tested against it. */
#ifndef FRESHET_MODEL_SGD_WORK_H
#define FRESHET_MODEL_SGD_WORK_H

#include "model/sgd.h"

struct sgd_work {
    const struct basis *basis;
    const struct hyperparameters *hyper;
    double rate;
    const float *dense;
};

typedef void (*sgd_kernel)(const struct sgd_work *work, const struct sgd_step *steps, size_t count);

void sgd_plain(const struct sgd_work *work, const struct sgd_step *steps, size_t count);
#if defined(__x86_64__)
void sgd_avx2(const struct sgd_work *work, const struct sgd_step *steps, size_t count);
void sgd_avx512(const struct sgd_work *work, const struct sgd_step *steps, size_t count);
#endif

/* rate (q - p x.y) / (1 + rate p |y|^2), a p below 0 taken as 0 below the line */
static inline float sgd_length(double rate, const struct pair *pair, float xy, float yy)
{
    double p = (double)pair->p, error = (double)pair->q - p * (double)xy;
    return (float)(rate * error / (1 + rate * (p > 0 ? p : 0) * (double)yy));
}

#endif
