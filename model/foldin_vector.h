/* What the kernels of fold-in and SGD are written in: registers of WIDTH floats (8 or 16).
 *
 * For one kernel file each, which defines WIDTH and TARGET before. Shuffles that GCC 12 would take
 * apart are intrinsics, the others the compiler's own vectors. */
#ifndef FRESHET_MODEL_FOLDIN_VECTOR_H
#define FRESHET_MODEL_FOLDIN_VECTOR_H

#include <immintrin.h>
#include <stddef.h>

#define VECTOR float __attribute__((vector_size(WIDTH * sizeof(float))))
#define INLINE TARGET static inline __attribute__((always_inline))
#define VEC(array, k) (((VECTOR *)(array))[k])
#define CVEC(array, k) (((const VECTOR *)(array))[k])

/* Four floats, and registers made of them over and over. */
#define FOUR float __attribute__((vector_size(4 * sizeof(float))))

/* Of each four: a and b in turn, the first of them or the last; the first two of a and of b, or the
 * last two; the i-th everywhere. */
#if WIDTH == 16
#define FIRST(a, b) \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define LAST(a, b) \
    __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define FIRST_TWO(a, b) \
    __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define LAST_TWO(a, b) \
    __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define SWAP_HALVES(a) _mm512_shuffle_f32x4(a, a, 0x4e)
#define SWAP_FOURS(a) _mm512_shuffle_f32x4(a, a, 0xb1)
#define SPREAD(a, i)                                                                           \
    __builtin_shufflevector(a, a, i, i, i, i, 4 + i, 4 + i, 4 + i, 4 + i, 8 + i, 8 + i, 8 + i, \
                            8 + i, 12 + i, 12 + i, 12 + i, 12 + i)
#define REPEAT(four) _mm512_broadcast_f32x4(four)
#define LOAD(x) _mm512_loadu_ps(x) /* from any boundary */
#define STORE(x, a) _mm512_storeu_ps(x, a)
#else
#define FIRST(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define LAST(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define FIRST_TWO(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define LAST_TWO(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define SWAP_FOURS(a) _mm256_permute2f128_ps(a, a, 1)
#define SPREAD(a, i) __builtin_shufflevector(a, a, i, i, i, i, 4 + i, 4 + i, 4 + i, 4 + i)
#define REPEAT(four) _mm256_set_m128(four, four)
#define LOAD(x) _mm256_loadu_ps(x)
#define STORE(x, a) _mm256_storeu_ps(x, a)
#endif

/* The four sums across lanes, side by side in each four. */
INLINE VECTOR sum_four(VECTOR a, VECTOR b, VECTOR c, VECTOR d)
{
    VECTOR ab = FIRST(a, b) + LAST(a, b), cd = FIRST(c, d) + LAST(c, d);
    VECTOR sums = FIRST_TWO(ab, cd) + LAST_TWO(ab, cd);
#if WIDTH == 16
    sums += SWAP_HALVES(sums);
#endif
    return sums + SWAP_FOURS(sums);
}

INLINE float sum_lanes(VECTOR a)
{
    return sum_four(a, a, a, a)[0];
}

INLINE void fetch(const float *row, size_t length)
{
    for (size_t k = 0; k < length; k += 16)
        __builtin_prefetch(row + k, 0, 2);
}

#endif
