#include "model/topn_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define VECTORS (TOPN_PANEL / 16)
#define UNROLL _Pragma("GCC unroll 8")

typedef __m512 tile_sums[TOPN_GROUP][VECTORS];

INLINE void add_steps(tile_sums sums, const struct topn_tile *tile, int begin, int end)
{
    const float *y = (const float *)tile->items + begin * TOPN_PANEL;
    const float *x = (const float *)tile->users + begin * TOPN_GROUP;
    for (int k = begin; k < end; k++, y += TOPN_PANEL, x += TOPN_GROUP) {
        __m512 y0 = _mm512_load_ps(y), y1 = _mm512_load_ps(y + 16), y2 = _mm512_load_ps(y + 32);
        UNROLL for (int user = 0; user < TOPN_GROUP; user++)
        {
            __m512 factor = _mm512_set1_ps(x[user]);
            sums[user][0] = _mm512_fmadd_ps(factor, y0, sums[user][0]);
            sums[user][1] = _mm512_fmadd_ps(factor, y1, sums[user][1]);
            sums[user][2] = _mm512_fmadd_ps(factor, y2, sums[user][2]);
        }
    }
}

/* Whether any sum + bias_max reaches its user's limit. */
INLINE bool any_reaches(tile_sums sums, const struct topn_tile *tile,
                        const struct topn_limits *limits)
{
    unsigned reached = 0;
    __m512 bias = _mm512_set1_ps(tile->bias_max);
    UNROLL for (int user = 0; user < TOPN_GROUP; user++)
    {
        __m512 most = _mm512_max_ps(_mm512_max_ps(sums[user][0], sums[user][1]), sums[user][2]);
        reached |= _mm512_cmp_ps_mask(_mm512_add_ps(most, bias),
                                      _mm512_set1_ps(limits->first[user]), _CMP_GE_OQ);
    }
    return reached != 0;
}

TARGET unsigned topn_run_avx512(struct topn_tile *tile)
{
    struct topn_limits limits;
    tile->ended_early = false;
    if (!topn_may_reach(tile->group, tile->panel->norm, tile->bias_max))
        return 0;
    topn_find_limits(tile, &limits);
    tile_sums sums;
    UNROLL for (int user = 0; user < TOPN_GROUP; user++) UNROLL for (int v = 0; v < VECTORS; v++)
        sums[user][v] = _mm512_setzero_ps();
    if (tile->first_steps > 0) {
        add_steps(sums, tile, 0, tile->first_steps);
        if (!any_reaches(sums, tile, &limits)) {
            tile->ended_early = true;
            return 0;
        }
    }
    add_steps(sums, tile, tile->first_steps, tile->steps);

    unsigned users = 0;
    UNROLL for (int user = 0; user < TOPN_GROUP; user++)
    {
        uint64_t passing = 0;
        __m512 limit = _mm512_set1_ps(limits.last[user]);
        UNROLL for (int v = 0; v < VECTORS; v++)
        {
            sums[user][v] = _mm512_add_ps(sums[user][v], _mm512_load_ps(tile->bias + 16 * v));
            passing |= (uint64_t)_mm512_cmp_ps_mask(sums[user][v], limit, _CMP_GE_OQ) << (16 * v);
        }
        if (passing != 0) {
            users |= 1u << user;
            tile->passing[user] = passing;
            UNROLL for (int v = 0; v < VECTORS; v++)
                _mm512_store_ps(tile->scores[user] + 16 * v, sums[user][v]);
        }
    }
    return users;
}

TARGET float topn_dot_avx512(const float *x, const float *y, size_t count)
{
    __m512 lanes = _mm512_setzero_ps();
    for (size_t k = 0; k < count; k += TOPN_LANES)
        lanes = _mm512_fmadd_ps(_mm512_loadu_ps(x + k), _mm512_loadu_ps(y + k), lanes);
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
#endif
