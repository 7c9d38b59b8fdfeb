/* The arithmetic of the tail: scores of all items by two terms, and how many are above another.
 *
 *   score = (a taste + b trend) + mask             mask: 0, or -INFINITY: not in the list
 *   with together: score + c C                     for the few items that have one
 *
 * Products and sums are rounded one by one, in this order, so the same inputs give the same score
 * in every place of an array and in every kernel: ties are ties. Pure functions. */
#ifndef FRESHET_MODEL_TAIL_KERNEL_H
#define FRESHET_MODEL_TAIL_KERNEL_H

#include <stddef.h>
#include <stdint.h>

struct tail_terms {
    const float *taste, *trend, *mask; /* [items]; taste and trend finite */
    float a, b;
};

#define TAIL_TREND_ERROR 3e-7

struct tail_count {
    int32_t above, same;
};

struct tail_kernel {
    /* T[i] = log(1 + decay gathered[i]) for i in [0, n), as trend_values but for rounding: within
     * TAIL_TREND_ERROR of its size. Between 0 and 2^126. */
    void (*trend)(const double *gathered, double decay, size_t n, float *T);

    /* scores[i] for i in [begin, end). */
    void (*mix)(const struct tail_terms *terms, size_t begin, size_t end, float *scores);

    /* Adds how many of scores[begin..end) are above `target` and the same as it. */
    void (*count)(const float *scores, size_t begin, size_t end, float target,
                  struct tail_count *count);

    /* Adds by how much the counts change once c C is added to `scores`: [n]. C >= 0. */
    void (*count_extra)(const float *scores, const float *C, float c, size_t n, float target,
                        struct tail_count *count);
};

/* score + c C, the same bits as within count_extra. */
float tail_with_extra(float score, float C, float c);

/* base/kernel.h's choice. */
const struct tail_kernel *tail_kernel_chosen(void);

#endif
