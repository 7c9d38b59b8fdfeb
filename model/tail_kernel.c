/* One body for all kernels: the compiler makes vectors of it for each processor. */
#include "model/tail_kernel.h"
#include "base/kernel.h"

#include <string.h>

/* No fused multiply-add where some processors have it and others do not. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define BODY static inline __attribute__((always_inline))

/* 2 atanh(z) = 2 z (1 + z^2/3 + z^4/5 + ...) is log((1 + z) / (1 - z)); with z = (m - 1) / (m + 1)
 * for 1/sqrt(2) <= m <= sqrt(2), |z| < 0.172, five terms leave 2 |z|^11 / 11 < 1e-9. The mantissa's
 * log and the exponent's are added last. What 1 + x loses of x is x - ((1 + x) - 1), and worth that
 * much over 1 + x in the log (Kahan). */
BODY float log_of_one_and(float x)
{
    const float log2_high = 0x1.62e4p-1f, log2_low = 0x1.7f7d1cp-20f; /* their sum: log(2) */
    const int32_t middle = 0x3f3504f3;                                /* of sqrt(1/2), as bits */
    float y = 1 + x, lost = x - (y - 1);
    int32_t bits;
    memcpy(&bits, &y, sizeof bits);
    int32_t exponent = (bits - middle) >> 23;
    bits -= (int32_t)((uint32_t)exponent << 23);
    float m;
    memcpy(&m, &bits, sizeof m);
    float z = (m - 1) / (m + 1), w = z * z;
    float series = w * (1 / 3.0f + w * (1 / 5.0f + w * (1 / 7.0f + w * (1 / 9.0f))));
    float e = (float)exponent, small = 2 * z * series + e * log2_low + lost / y;
    return e * log2_high + (2 * z + small);
}

BODY void trend(const double *gathered, double decay, size_t n, float *T)
{
    for (size_t i = 0; i < n; i++)
        T[i] = log_of_one_and((float)(decay * gathered[i]));
}

BODY void mix(const struct tail_terms *terms, size_t begin, size_t end, float *scores)
{
    const float *taste = terms->taste, *trend = terms->trend, *mask = terms->mask;
    float a = terms->a, b = terms->b;
    for (size_t i = begin; i < end; i++)
        scores[i] = a * taste[i] + b * trend[i] + mask[i];
}

BODY void count(const float *scores, size_t begin, size_t end, float target,
                struct tail_count *counts)
{
    int32_t above = 0, same = 0;
    for (size_t i = begin; i < end; i++) {
        above += scores[i] > target;
        same += scores[i] == target;
    }
    counts->above += above;
    counts->same += same;
}

BODY void count_extra(const float *scores, const float *C, float c, size_t n, float target,
                      struct tail_count *counts)
{
    int32_t above = 0, same = 0;
    for (size_t i = 0; i < n; i++) {
        float score = scores[i] + c * C[i];
        above += (score > target) - (scores[i] > target);
        same += (score == target) - (scores[i] == target);
    }
    counts->above += above;
    counts->same += same;
}

/* The functions of one kernel. restrict: nothing overlaps. */
#define KERNEL(name, target_attribute)                                                        \
    target_attribute static void trend_##name(const double *gathered, double decay, size_t n, \
                                              float *restrict T)                              \
    {                                                                                         \
        trend(gathered, decay, n, T);                                                         \
    }                                                                                         \
    target_attribute static void mix_##name(const struct tail_terms *terms, size_t begin,     \
                                            size_t end, float *restrict scores)               \
    {                                                                                         \
        mix(terms, begin, end, scores);                                                       \
    }                                                                                         \
    target_attribute static void count_##name(const float *scores, size_t begin, size_t end,  \
                                              float target, struct tail_count *restrict into) \
    {                                                                                         \
        count(scores, begin, end, target, into);                                              \
    }                                                                                         \
    target_attribute static void extra_##name(const float *scores, const float *C, float c,   \
                                              size_t n, float target,                         \
                                              struct tail_count *restrict into)               \
    {                                                                                         \
        count_extra(scores, C, c, n, target, into);                                           \
    }                                                                                         \
    static const struct tail_kernel kernel_##name = {trend_##name, mix_##name, count_##name,  \
                                                     extra_##name};

KERNEL(plain, )
#if defined(__x86_64__)
KERNEL(avx2, KERNEL_TARGET_AVX2)
KERNEL(avx512, KERNEL_TARGET_AVX512)
#endif

float tail_with_extra(float score, float C, float c)
{
    return score + c * C;
}

const struct tail_kernel *tail_kernel_chosen(void)
{
#if defined(__x86_64__)
    if (kernel_chosen() == KERNEL_AVX512)
        return &kernel_avx512;
    if (kernel_chosen() == KERNEL_AVX2)
        return &kernel_avx2;
#endif
    return &kernel_plain;
}
