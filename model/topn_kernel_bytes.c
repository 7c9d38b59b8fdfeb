/* Products of bytes by VNNI: exact sums of whole numbers, so all that errs is the rounding of
 * factors to bytes. Comparisons are of whole numbers, too, until one passes. */
#include "model/topn_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define VECTORS (TOPN_PANEL / 16)
#define UNROLL _Pragma("GCC unroll 8")

typedef __m512i tile_sums[TOPN_GROUP][VECTORS];

/* sum + four products each; by hand, since GCC 12 moves the accumulators through memory if it is to
 * place the intrinsic's operands itself. */
INLINE __m512i multiply_add(__m512i sum, __m512i items, __m512i user)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(items), "v"(user));
    return sum;
}

/* begin < end: GCC makes better use of registers if it knows. */
INLINE void add_steps(tile_sums sums, const struct topn_tile *tile, int begin, int end)
{
    const uint8_t *y = (const uint8_t *)tile->panel + (size_t)begin * TOPN_PANEL * TOPN_QUAD;
    const int32_t *x = (const int32_t *)tile->users + begin * TOPN_GROUP;
    do {
        __m512i y0 = _mm512_load_si512(y), y1 = _mm512_load_si512(y + 64),
                y2 = _mm512_load_si512(y + 128);
        UNROLL for (int user = 0; user < TOPN_GROUP; user++)
        {
            __m512i factor = _mm512_set1_epi32(x[user]);
            sums[user][0] = multiply_add(sums[user][0], y0, factor);
            sums[user][1] = multiply_add(sums[user][1], y1, factor);
            sums[user][2] = multiply_add(sums[user][2], y2, factor);
        }
        y += TOPN_PANEL * TOPN_QUAD;
        x += TOPN_GROUP;
    } while (++begin < end);
}

/* bar[user]: a sum that does not exceed it cannot reach the limit with any bias of the panel. The
 * quotient's rounding moves it by less than two and a few millionths, which are taken off. Where it
 * is not a number (0 / 0), everything exceeds it. */
INLINE void find_bars(int32_t *bar, const struct topn_tile *tile, const float *limit,
                      const int32_t *offset)
{
    const __m256 farthest = _mm256_set1_ps(0x1p29f); /* beyond 512 * 127 * 127 and any offset */
    __m256 room = _mm256_sub_ps(_mm256_loadu_ps(limit), _mm256_set1_ps(tile->bias_max));
    __m256 sum = _mm256_div_ps(room, _mm256_loadu_ps(tile->scale));
    sum = _mm256_max_ps(sum, _mm256_sub_ps(_mm256_setzero_ps(), farthest));
    sum = _mm256_min_ps(sum, farthest);
    __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), sum);
    sum = _mm256_sub_ps(_mm256_fnmadd_ps(size, _mm256_set1_ps(0x1p-20f), sum), _mm256_set1_ps(3));
    __m256i at =
        _mm256_add_epi32(_mm256_cvttps_epi32(sum), _mm256_loadu_si256((const __m256i *)offset));
    _mm256_storeu_si256((__m256i *)bar, at);
}

/* A bit for each user of whose sums one exceeds the bar. */
INLINE unsigned exceeding(tile_sums sums, const int32_t *bar)
{
    unsigned users = 0;
    UNROLL for (int user = 0; user < TOPN_GROUP; user++)
    {
        __m512i most =
            _mm512_max_epi32(_mm512_max_epi32(sums[user][0], sums[user][1]), sums[user][2]);
        __mmask16 mask = _mm512_cmpgt_epi32_mask(most, _mm512_set1_epi32(bar[user]));
        users |= (unsigned)(mask != 0) << user;
    }
    return users;
}

/* sums: [TOPN_PANEL] */
TARGET static uint64_t finish(struct topn_tile *tile, int user, const int32_t *sums)
{
    uint64_t passing = 0;
    __m512i offset = _mm512_set1_epi32(tile->offset[user]);
    __m512 scale = _mm512_set1_ps(tile->scale[user]), limit = _mm512_set1_ps(tile->limit[user]);
    for (int i = 0; i < TOPN_PANEL; i += 16) {
        __m512i sum = _mm512_sub_epi32(_mm512_load_si512(sums + i), offset);
        __m512 score =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, _mm512_load_ps(tile->bias + i));
        passing |= (uint64_t)_mm512_cmp_ps_mask(score, limit, _CMP_GE_OQ) << i;
        _mm512_store_ps(tile->scores[user] + i, score);
    }
    return passing;
}

TARGET unsigned topn_run_bytes(struct topn_tile *tile)
{
    tile_sums sums;
    int32_t bar[TOPN_GROUP];
    UNROLL for (int user = 0; user < TOPN_GROUP; user++) UNROLL for (int v = 0; v < VECTORS; v++)
        sums[user][v] = _mm512_setzero_si512();
    tile->ended_early = false;
    if (tile->first_steps > 0) {
        find_bars(bar, tile, tile->first_limit, tile->first_offset);
        add_steps(sums, tile, 0, tile->first_steps);
        if (exceeding(sums, bar) == 0) {
            tile->ended_early = true;
            return 0;
        }
    }
    find_bars(bar, tile, tile->limit, tile->offset);
    add_steps(sums, tile, tile->first_steps, tile->steps);
    unsigned exceed = exceeding(sums, bar), users = 0;
    if (exceed == 0)
        return 0;

    _Alignas(64) int32_t stored[TOPN_GROUP][TOPN_PANEL];
    UNROLL for (int user = 0; user < TOPN_GROUP; user++) UNROLL for (int v = 0; v < VECTORS; v++)
        _mm512_store_si512(stored[user] + 16 * v, sums[user][v]);
    for (; exceed != 0; exceed &= exceed - 1) {
        int user = __builtin_ctz(exceed);
        tile->passing[user] = finish(tile, user, stored[user]);
        users |= (unsigned)(tile->passing[user] != 0) << user;
    }
    return users;
}
#endif
