/* Products of bytes with AVX2: as topn_kernel_bytes.c, a sixth of the tile at a time. */
#include "model/topn_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define UNROLL _Pragma("GCC unroll 8")
#define VECTORS 2 /* times four users: 8 accumulators of the 16 registers */
#define ITEMS (8 * VECTORS)
#define USERS 4

typedef __m256i part_sums[USERS][VECTORS];

struct part { /* of a tile: ITEMS from `item`, USERS from `user` */
    int item, user;
};

INLINE __m256i multiply_add(__m256i sum, __m256i items, __m256i user)
{
    __m256i pairs = _mm256_maddubs_epi16(items, user);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* begin < end */
INLINE void add_steps(part_sums sums, const struct topn_tile *tile, struct part part, int begin,
                      int end)
{
    const uint8_t *y =
        (const uint8_t *)tile->items + ((size_t)begin * TOPN_PANEL + part.item) * TOPN_QUAD;
    const int32_t *x = (const int32_t *)tile->users + begin * TOPN_GROUP + part.user;
    do {
        __m256i y0 = _mm256_load_si256((const __m256i *)y),
                y1 = _mm256_load_si256((const __m256i *)(y + 32));
        UNROLL for (int u = 0; u < USERS; u++)
        {
            __m256i factor = _mm256_set1_epi32(x[u]);
            sums[u][0] = multiply_add(sums[u][0], y0, factor);
            sums[u][1] = multiply_add(sums[u][1], y1, factor);
        }
        y += TOPN_PANEL * TOPN_QUAD;
        x += TOPN_GROUP;
    } while (++begin < end);
}

/* A bit for each of the part's users of whose sums one exceeds the bar. */
INLINE unsigned exceeding(part_sums sums, const int32_t *bar)
{
    unsigned users = 0;
    UNROLL for (int u = 0; u < USERS; u++)
    {
        __m256i most = _mm256_max_epi32(sums[u][0], sums[u][1]);
        __m256i above = _mm256_cmpgt_epi32(most, _mm256_set1_epi32(bar[u]));
        users |= (unsigned)!_mm256_testz_si256(above, above) << u;
    }
    return users;
}

INLINE void finish(struct topn_tile *tile, const struct topn_limits *limits, int item, int user,
                   __m256i sums)
{
    __m256 whole =
        _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, _mm256_set1_epi32(tile->group->offset[user])));
    __m256 score = _mm256_fmadd_ps(whole, _mm256_broadcast_ss(limits->scale + user),
                                   _mm256_load_ps(tile->bias + item));
    __m256 above = _mm256_cmp_ps(score, _mm256_broadcast_ss(limits->last + user), _CMP_GE_OQ);
    tile->passing[user] |= (uint64_t)(unsigned)_mm256_movemask_ps(above) << item;
    _mm256_store_ps(tile->scores[user] + item, score);
}

/* Returns whether it got past the first steps. */
INLINE bool run_part(struct topn_tile *tile, const struct topn_limits *limits,
                     const int32_t *first_bar, const int32_t *bar, struct part part)
{
    part_sums sums;
    UNROLL for (int u = 0; u < USERS; u++) UNROLL for (int v = 0; v < VECTORS; v++) sums[u][v] =
        _mm256_setzero_si256();
    if (tile->first_steps > 0) {
        add_steps(sums, tile, part, 0, tile->first_steps);
        if (exceeding(sums, first_bar + part.user) == 0)
            return false;
    }
    add_steps(sums, tile, part, tile->first_steps, tile->steps);
    unsigned exceed = exceeding(sums, bar + part.user);
    if (exceed != 0)
        UNROLL for (int u = 0; u < USERS; u++) if ((exceed >> u & 1) != 0)
            UNROLL for (int v = 0; v < VECTORS; v++)
                finish(tile, limits, part.item + 8 * v, part.user + u, sums[u][v]);
    return true;
}

TARGET unsigned topn_run_bytes_avx2(struct topn_tile *tile)
{
    struct topn_limits limits;
    _Alignas(32) int32_t first_bar[TOPN_GROUP], bar[TOPN_GROUP];
    tile->ended_early = false;
    if (!topn_may_reach(tile->group, tile->panel->norm, tile->bias_max))
        return 0;
    topn_find_limits(tile, &limits);
    topn_find_bars(tile, limits.first, limits.scale, tile->group->first_offset, first_bar);
    topn_find_bars(tile, limits.last, limits.scale, tile->group->offset, bar);

    bool went_on = false;
    for (int user = 0; user < TOPN_GROUP; user++)
        tile->passing[user] = 0;
    for (int user = 0; user < TOPN_GROUP; user += USERS)
        for (int item = 0; item < TOPN_PANEL; item += ITEMS)
            went_on |= run_part(tile, &limits, first_bar, bar, (struct part){item, user});
    tile->ended_early = !went_on;
    unsigned users = 0;
    for (int user = 0; user < TOPN_GROUP; user++)
        users |= (unsigned)(tile->passing[user] != 0) << user;
    return users;
}
#endif
