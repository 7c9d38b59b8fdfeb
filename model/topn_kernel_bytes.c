/* Products of bytes with AVX-512: exact sums of whole numbers, so all that errs is the rounding of
 * factors to bytes. Comparisons are of whole numbers, too, until one passes. */
#include "model/topn_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define VECTORS (TOPN_PANEL / 16)
#define UNROLL _Pragma("GCC unroll 8")

typedef __m512i tile_sums[TOPN_GROUP][VECTORS];

/* sum + four products each. By hand, since GCC 12 moves the accumulators through memory if it is to
 * order the intrinsics itself. */
INLINE __m512i multiply_add(__m512i sum, __m512i items, __m512i user, bool vnni)
{
    if (vnni) {
        __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(items), "v"(user));
        return sum;
    }
    __m512i pairs;
    __asm__("vpmaddubsw %3, %2, %1\n\t"
            "vpmaddwd %4, %1, %1\n\t"
            "vpaddd %1, %0, %0"
            : "+v"(sum), "=&v"(pairs)
            : "v"(items), "v"(user), "v"(_mm512_set1_epi16(1)));
    return sum;
}

/* begin < end: GCC makes better use of registers if it knows. */
INLINE void add_steps(tile_sums sums, const struct topn_tile *tile, int begin, int end, bool vnni)
{
    const uint8_t *y = (const uint8_t *)tile->items + (size_t)begin * TOPN_PANEL * TOPN_QUAD;
    const int32_t *x = (const int32_t *)tile->users + begin * TOPN_GROUP;
    do {
        __m512i y0 = _mm512_load_si512(y), y1 = _mm512_load_si512(y + 64),
                y2 = _mm512_load_si512(y + 128);
        UNROLL for (int user = 0; user < TOPN_GROUP; user++)
        {
            __m512i factor = _mm512_set1_epi32(x[user]);
            sums[user][0] = multiply_add(sums[user][0], y0, factor, vnni);
            sums[user][1] = multiply_add(sums[user][1], y1, factor, vnni);
            sums[user][2] = multiply_add(sums[user][2], y2, factor, vnni);
        }
        y += TOPN_PANEL * TOPN_QUAD;
        x += TOPN_GROUP;
    } while (++begin < end);
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
TARGET static uint64_t finish(struct topn_tile *tile, const struct topn_limits *limits, int user,
                              const int32_t *sums)
{
    uint64_t passing = 0;
    __m512i offset = _mm512_set1_epi32(tile->group->offset[user]);
    __m512 scale = _mm512_set1_ps(limits->scale[user]), limit = _mm512_set1_ps(limits->last[user]);
    for (int i = 0; i < TOPN_PANEL; i += 16) {
        __m512i sum = _mm512_sub_epi32(_mm512_load_si512(sums + i), offset);
        __m512 score =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, _mm512_load_ps(tile->bias + i));
        passing |= (uint64_t)_mm512_cmp_ps_mask(score, limit, _CMP_GE_OQ) << i;
        _mm512_store_ps(tile->scores[user] + i, score);
    }
    return passing;
}

INLINE unsigned run(struct topn_tile *tile, bool vnni)
{
    struct topn_limits limits;
    tile->ended_early = false;
    if (!topn_may_reach(tile->group, tile->panel->norm, tile->bias_max))
        return 0;
    topn_find_limits(tile, &limits);
    tile_sums sums;
    _Alignas(32) int32_t bar[TOPN_GROUP];
    UNROLL for (int user = 0; user < TOPN_GROUP; user++) UNROLL for (int v = 0; v < VECTORS; v++)
        sums[user][v] = _mm512_setzero_si512();
    if (tile->first_steps > 0) {
        topn_find_bars(tile, limits.first, limits.scale, tile->group->first_offset, bar);
        add_steps(sums, tile, 0, tile->first_steps, vnni);
        if (exceeding(sums, bar) == 0) {
            tile->ended_early = true;
            return 0;
        }
    }
    topn_find_bars(tile, limits.last, limits.scale, tile->group->offset, bar);
    add_steps(sums, tile, tile->first_steps, tile->steps, vnni);
    unsigned exceed = exceeding(sums, bar), users = 0;
    if (exceed == 0)
        return 0;

    _Alignas(64) int32_t stored[TOPN_GROUP][TOPN_PANEL];
    UNROLL for (int user = 0; user < TOPN_GROUP; user++) UNROLL for (int v = 0; v < VECTORS; v++)
        _mm512_store_si512(stored[user] + 16 * v, sums[user][v]);
    for (; exceed != 0; exceed &= exceed - 1) {
        int user = __builtin_ctz(exceed);
        tile->passing[user] = finish(tile, &limits, user, stored[user]);
        users |= (unsigned)(tile->passing[user] != 0) << user;
    }
    return users;
}

TARGET unsigned topn_run_bytes_avx512(struct topn_tile *tile)
{
    return run(tile, false);
}

TARGET unsigned topn_run_bytes_vnni(struct topn_tile *tile)
{
    return run(tile, true);
}
#endif
