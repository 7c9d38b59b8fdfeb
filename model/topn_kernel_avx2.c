#include "model/topn_lanes_avx2.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define UNROLL _Pragma("GCC unroll 8")
#define VECTORS 3 /* times four users: 12 accumulators of the 16 registers */
#define USERS 4

typedef __m256 part_sums[USERS][VECTORS];

/* A quarter of the tile: 24 items from `item` and four users from `user`. */
INLINE void add_steps(part_sums sums, const struct topn_tile *tile, int item, int user, int begin,
                      int end)
{
    const float *y = (const float *)tile->items + begin * TOPN_PANEL + item;
    const float *x = (const float *)tile->users + begin * TOPN_GROUP + user;
    for (int k = begin; k < end; k++, y += TOPN_PANEL, x += TOPN_GROUP) {
        __m256 y0 = _mm256_load_ps(y), y1 = _mm256_load_ps(y + 8), y2 = _mm256_load_ps(y + 16);
        UNROLL for (int u = 0; u < USERS; u++)
        {
            __m256 factor = _mm256_broadcast_ss(x + u);
            sums[u][0] = _mm256_fmadd_ps(factor, y0, sums[u][0]);
            sums[u][1] = _mm256_fmadd_ps(factor, y1, sums[u][1]);
            sums[u][2] = _mm256_fmadd_ps(factor, y2, sums[u][2]);
        }
    }
}

INLINE bool any_reaches(part_sums sums, const struct topn_tile *tile,
                        const struct topn_limits *limits, int user)
{
    int reached = 0;
    __m256 bias = _mm256_set1_ps(tile->bias_max);
    UNROLL for (int u = 0; u < USERS; u++)
    {
        __m256 most = _mm256_max_ps(_mm256_max_ps(sums[u][0], sums[u][1]), sums[u][2]);
        __m256 limit = _mm256_broadcast_ss(limits->first + user + u);
        reached |= _mm256_movemask_ps(_mm256_cmp_ps(_mm256_add_ps(most, bias), limit, _CMP_GE_OQ));
    }
    return reached != 0;
}

/* Returns whether it got past the first steps. */
INLINE bool run_part(struct topn_tile *tile, const struct topn_limits *limits, int item, int user)
{
    part_sums sums;
    UNROLL for (int u = 0; u < USERS; u++) UNROLL for (int v = 0; v < VECTORS; v++) sums[u][v] =
        _mm256_setzero_ps();
    if (tile->first_steps > 0) {
        add_steps(sums, tile, item, user, 0, tile->first_steps);
        if (!any_reaches(sums, tile, limits, user))
            return false;
    }
    add_steps(sums, tile, item, user, tile->first_steps, tile->steps);
    UNROLL for (int u = 0; u < USERS; u++)
    {
        uint64_t passing = 0;
        __m256 limit = _mm256_broadcast_ss(limits->last + user + u);
        UNROLL for (int v = 0; v < VECTORS; v++)
        {
            sums[u][v] = _mm256_add_ps(sums[u][v], _mm256_load_ps(tile->bias + item + 8 * v));
            unsigned mask =
                (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(sums[u][v], limit, _CMP_GE_OQ));
            passing |= (uint64_t)mask << (item + 8 * v);
        }
        if (passing != 0) {
            tile->passing[user + u] |= passing;
            UNROLL for (int v = 0; v < VECTORS; v++)
                _mm256_store_ps(tile->scores[user + u] + item + 8 * v, sums[u][v]);
        }
    }
    return true;
}

TARGET unsigned topn_run_avx2(struct topn_tile *tile)
{
    struct topn_limits limits;
    tile->ended_early = false;
    if (!topn_may_reach(tile->group, tile->panel->norm, tile->bias_max))
        return 0;
    topn_find_limits(tile, &limits);
    bool went_on = false;
    for (int user = 0; user < TOPN_GROUP; user++)
        tile->passing[user] = 0;
    for (int user = 0; user < TOPN_GROUP; user += USERS)
        for (int item = 0; item < TOPN_PANEL; item += 8 * VECTORS)
            went_on |= run_part(tile, &limits, item, user);
    tile->ended_early = !went_on;
    unsigned users = 0;
    for (int user = 0; user < TOPN_GROUP; user++)
        users |= (unsigned)(tile->passing[user] != 0) << user;
    return users;
}

/* -- dot products ------------------------------------------------------------------------------ */

/* Lanes l and l + 8 of the sixteen sums, added. */
INLINE __m256 eight_sums(const float *x, const float *y, size_t count)
{
    __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
    for (size_t k = 0; k < count; k += TOPN_LANES) {
        low = _mm256_fmadd_ps(_mm256_loadu_ps(x + k), _mm256_loadu_ps(y + k), low);
        high = _mm256_fmadd_ps(_mm256_loadu_ps(x + k + 8), _mm256_loadu_ps(y + k + 8), high);
    }
    return _mm256_add_ps(low, high);
}

TARGET void topn_dots_avx2(const float *x, const float *Y, size_t stride, const uint32_t *rows,
                           size_t count, float *out)
{
    size_t i = 0;
    for (; i + TOPN_ABREAST <= count; i += TOPN_ABREAST) {
        topn_fetch_ahead(Y, stride, rows, i, count);
        __m256 eights[TOPN_ABREAST];
        UNROLL for (int row = 0; row < TOPN_ABREAST; row++) eights[row] =
            eight_sums(x, Y + rows[i + row] * stride, stride);
        _mm_storeu_ps(out + i, topn_add_lanes(eights));
    }
    for (; i < count; i++)
        out[i] = topn_add_lanes_of_one(eight_sums(x, Y + rows[i] * stride, stride));
}
#endif
