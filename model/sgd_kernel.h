/* The kernel of SGD for registers of WIDTH floats; included by the one file of each. No guard:
 * KERNEL, TARGET and WIDTH (8 or 16) are the includer's. */
#include "model/foldin_vector.h"
#include "model/sgd_work.h"

/* Steps between a row's use and its fetching: memory answers within some hundred nanoseconds. */
#define FETCH_AHEAD 8

INLINE void step_once(const struct sgd_work *work, const struct sgd_step *step, size_t blocks)
{
    const float *y = work->basis->Y + step->pair.row * work->basis->stride;
    float share = (float)(work->rate / step->t); /* the dense terms, one step's part */
    float lambda = (float)lambda_of(work->hyper, step->t);
    float *x = step->x; /* may be on any boundary */
    VECTOR xy = {0}, yy = {0};
    for (size_t k = 0; k < blocks; k++) { /* x <- x / (1 + rate s (w0 g + lambda)) */
        VECTOR shrunk = LOAD(x + k * WIDTH) / (1 + share * (CVEC(work->dense, k) + lambda));
        xy += shrunk * CVEC(y, k);
        yy += CVEC(y, k) * CVEC(y, k);
        STORE(x + k * WIDTH, shrunk);
    }
    VECTOR sums = sum_four(xy, yy, xy, yy);
    float length = sgd_length(work->rate, &step->pair, sums[0], sums[1]);
    for (size_t k = 0; k < blocks; k++)
        STORE(x + k * WIDTH, LOAD(x + k * WIDTH) + length * CVEC(y, k));
}

INLINE void fetch_rows(const struct sgd_work *work, const struct sgd_step *step, size_t blocks)
{
    fetch(work->basis->Y + step->pair.row * work->basis->stride, blocks * WIDTH);
    fetch(step->x, blocks * WIDTH);
}

INLINE void all_steps(const struct sgd_work *work, const struct sgd_step *steps, size_t count,
                      size_t blocks)
{
    for (size_t i = 1; i < FETCH_AHEAD && i < count; i++)
        fetch_rows(work, &steps[i], blocks);
    for (size_t i = 0; i < count; i++) {
        if (i + FETCH_AHEAD < count)
            fetch_rows(work, &steps[i + FETCH_AHEAD], blocks);
        step_once(work, &steps[i], blocks);
    }
}

TARGET void KERNEL(const struct sgd_work *work, const struct sgd_step *steps, size_t count)
{
    size_t stride = work->basis->stride;
    if (stride == 64)
        all_steps(work, steps, count, 64 / WIDTH);
    else if (stride == 128)
        all_steps(work, steps, count, 128 / WIDTH);
    else
        all_steps(work, steps, count, stride / WIDTH);
}
