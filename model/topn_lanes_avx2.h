/* The last steps of topn_dots, which its AVX2 and AVX-512 forms share: from eight sums to one,
 * lanes l and l + 4 first, then l + 2, l + 1. */
#ifndef FRESHET_MODEL_TOPN_LANES_AVX2_H
#define FRESHET_MODEL_TOPN_LANES_AVX2_H

#include "model/topn_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TOPN_TARGET_AVX2 static inline __attribute__((always_inline, target("avx2,fma")))

TOPN_TARGET_AVX2 float topn_add_lanes_of_one(__m256 eight)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* The same for four rows at once: a, b, c, d -> their sums, in this order. */
TOPN_TARGET_AVX2 __m128 topn_add_lanes(const __m256 rows[TOPN_ABREAST])
{
    __m256 ab = _mm256_add_ps(_mm256_permute2f128_ps(rows[0], rows[1], 0x20),
                              _mm256_permute2f128_ps(rows[0], rows[1], 0x31));
    __m256 cd = _mm256_add_ps(_mm256_permute2f128_ps(rows[2], rows[3], 0x20),
                              _mm256_permute2f128_ps(rows[2], rows[3], 0x31));
    /* of each: a and c in the lower half, b and d in the upper one; two sums each */
    __m256 twos = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(1, 0, 1, 0)),
                                _mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 2, 3, 2)));
    __m256 ones = _mm256_add_ps(twos, _mm256_movehdup_ps(twos)); /* a . c . | b . d . */
    return _mm_unpacklo_ps(_mm_shuffle_ps(_mm256_castps256_ps128(ones),
                                          _mm256_castps256_ps128(ones), _MM_SHUFFLE(3, 1, 2, 0)),
                           _mm_shuffle_ps(_mm256_extractf128_ps(ones, 1),
                                          _mm256_extractf128_ps(ones, 1), _MM_SHUFFLE(3, 1, 2, 0)));
}
#endif

#endif
