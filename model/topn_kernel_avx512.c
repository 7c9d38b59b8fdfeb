#include "model/topn_lanes_avx2.h"

#if defined(__x86_64__)

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

/* -- dot products ------------------------------------------------------------------------------ */

/* Lanes l and l + 8 of the sixteen sums, added. */
INLINE __m256 eight_sums(__m512 lanes)
{
    return _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
}

/* The sums of a few rows side by side: x is read once for all of them. */
INLINE void add_rows(const float *x, const float *const *y, int rows, size_t stride, __m512 *sums)
{
    UNROLL for (int row = 0; row < rows; row++) sums[row] = _mm512_setzero_ps();
    for (size_t k = 0; k < stride; k += TOPN_LANES) {
        __m512 factors = _mm512_loadu_ps(x + k);
        UNROLL for (int row = 0; row < rows; row++) sums[row] =
            _mm512_fmadd_ps(factors, _mm512_loadu_ps(y[row] + k), sums[row]);
    }
}

TARGET void topn_dots_avx512(const float *x, const float *Y, size_t stride, const uint32_t *rows,
                             size_t count, float *out)
{
    const float *y[TOPN_ABREAST];
    __m512 sums[TOPN_ABREAST];
    __m256 eights[TOPN_ABREAST];
    size_t i = 0;
    for (; i + TOPN_ABREAST <= count; i += TOPN_ABREAST) {
        topn_fetch_ahead(Y, stride, rows, i, count);
        UNROLL for (int row = 0; row < TOPN_ABREAST; row++) y[row] = Y + rows[i + row] * stride;
        add_rows(x, y, TOPN_ABREAST, stride, sums);
        UNROLL for (int row = 0; row < TOPN_ABREAST; row++) eights[row] = eight_sums(sums[row]);
        _mm_storeu_ps(out + i, topn_add_lanes(eights));
    }
    for (; i < count; i++) {
        y[0] = Y + rows[i] * stride;
        add_rows(x, y, 1, stride, sums);
        out[i] = topn_add_lanes_of_one(eight_sums(sums[0]));
    }
}
#endif
