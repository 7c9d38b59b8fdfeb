#include "model/topn_kernel.h"
#include "base/kernel.h"

#include <math.h>
#include <string.h>

const char *const topn_filter_names[TOPN_FILTERS] = {
    "plain", "avx2", "avx512", "bytes-avx2", "bytes-avx512", "bytes-vnni", "bytes-plain"};

bool topn_filter_is_bytes(enum topn_filter filter)
{
    return filter >= TOPN_BYTES_AVX2;
}

/* Without VNNI two products of bytes are added in 16 bits: 2 * 63 * 255 fits. */
int topn_filter_user_most(enum topn_filter filter)
{
    return filter == TOPN_BYTES_AVX2 || filter == TOPN_BYTES_AVX512 ? 63 : 127;
}

static bool is_avx2(enum topn_filter filter)
{
    return filter == TOPN_AVX2 || filter == TOPN_BYTES_AVX2;
}

static bool is_avx512(enum topn_filter filter)
{
    return filter == TOPN_AVX512 || filter == TOPN_BYTES_AVX512 || filter == TOPN_BYTES_VNNI;
}

bool topn_filter_available(enum topn_filter filter)
{
#if defined(__x86_64__)
    if (filter == TOPN_BYTES_VNNI && !__builtin_cpu_supports("avx512vnni"))
        return false;
#endif
    if (is_avx2(filter))
        return kernel_available(KERNEL_AVX2);
    return !is_avx512(filter) || kernel_available(KERNEL_AVX512);
}

topn_kernel *topn_filter_kernel(enum topn_filter filter)
{
#if defined(__x86_64__)
    static topn_kernel *const kernels[TOPN_FILTERS] = {[TOPN_PLAIN] = topn_run_plain,
                                                       [TOPN_AVX2] = topn_run_avx2,
                                                       [TOPN_AVX512] = topn_run_avx512,
                                                       [TOPN_BYTES_AVX2] = topn_run_bytes_avx2,
                                                       [TOPN_BYTES_AVX512] = topn_run_bytes_avx512,
                                                       [TOPN_BYTES_VNNI] = topn_run_bytes_vnni,
                                                       [TOPN_BYTES_PLAIN] = topn_run_bytes_plain};
    return kernels[filter];
#else
    return topn_filter_is_bytes(filter) ? topn_run_bytes_plain : topn_run_plain;
#endif
}

topn_dots *topn_filter_dots(enum topn_filter filter)
{
#if defined(__x86_64__)
    if (is_avx2(filter))
        return topn_dots_avx2;
    if (is_avx512(filter))
        return topn_dots_avx512;
#endif
    return topn_dots_plain;
}

static float dot(const float *x, const float *y, size_t count)
{
    float lanes[TOPN_LANES] = {0};
    for (size_t k = 0; k < count; k += TOPN_LANES)
        for (size_t lane = 0; lane < TOPN_LANES; lane++)
            lanes[lane] = fmaf(x[k + lane], y[k + lane], lanes[lane]);
    for (size_t half = TOPN_LANES / 2; half > 0; half /= 2)
        for (size_t lane = 0; lane < half; lane++)
            lanes[lane] += lanes[lane + half];
    return lanes[0];
}

void topn_dots_plain(const float *x, const float *Y, size_t stride, const uint32_t *rows,
                     size_t count, float *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = dot(x, Y + rows[i] * stride, stride);
}

/* sums: [TOPN_PANEL] += the steps from `begin` to `end`, for one user */
static void add_steps(float *sums, const struct topn_tile *tile, int user, int begin, int end)
{
    const float *panel = tile->items, *users = tile->users;
    for (int k = begin; k < end; k++) {
        float x = users[k * TOPN_GROUP + user];
        for (int i = 0; i < TOPN_PANEL; i++)
            sums[i] += x * panel[k * TOPN_PANEL + i];
    }
}

/* Bits of those that are not below the limit. */
static uint64_t passing(const struct topn_tile *tile, int user, float limit)
{
    uint64_t bits = 0;
    for (int i = 0; i < TOPN_PANEL; i++)
        bits |= (uint64_t)(tile->scores[user][i] >= limit) << i;
    return bits;
}

static bool reaches(const float *sums, float bias_max, float limit)
{
    float most = -INFINITY;
    for (int i = 0; i < TOPN_PANEL; i++)
        most = sums[i] > most ? sums[i] : most;
    return most + bias_max >= limit;
}

unsigned topn_run_plain(struct topn_tile *tile)
{
    struct topn_limits limits;
    tile->ended_early = false;
    if (!topn_may_reach(tile->group, tile->panel->norm, tile->bias_max))
        return 0;
    topn_find_limits(tile, &limits);
    float sums[TOPN_GROUP][TOPN_PANEL] = {0};
    bool any = tile->first_steps == 0;
    for (int user = 0; user < TOPN_GROUP; user++) {
        add_steps(sums[user], tile, user, 0, tile->first_steps);
        any = any || reaches(sums[user], tile->bias_max, limits.first[user]);
    }
    tile->ended_early = !any;
    unsigned users = 0;
    for (int user = 0; any && user < TOPN_GROUP; user++) {
        add_steps(sums[user], tile, user, tile->first_steps, tile->steps);
        for (int i = 0; i < TOPN_PANEL; i++)
            tile->scores[user][i] = sums[user][i] + tile->bias[i];
        tile->passing[user] = passing(tile, user, limits.last[user]);
        users |= (unsigned)(tile->passing[user] != 0) << user;
    }
    return users;
}

static void add_byte_steps(int32_t *sums, const struct topn_tile *tile, int user, int begin,
                           int end)
{
    const uint8_t *panel = tile->items;
    const int8_t *users = tile->users;
    for (int step = begin; step < end; step++)
        for (int i = 0; i < TOPN_PANEL; i++)
            for (int k = 0; k < TOPN_QUAD; k++)
                sums[i] += users[(step * TOPN_GROUP + user) * TOPN_QUAD + k] *
                           panel[(step * TOPN_PANEL + i) * TOPN_QUAD + k];
}

unsigned topn_run_bytes_plain(struct topn_tile *tile)
{
    struct topn_limits limits;
    tile->ended_early = false;
    if (!topn_may_reach(tile->group, tile->panel->norm, tile->bias_max))
        return 0;
    topn_find_limits(tile, &limits);
    int32_t sums[TOPN_GROUP][TOPN_PANEL] = {0};
    float scores[TOPN_PANEL];
    bool any = tile->first_steps == 0;
    for (int user = 0; user < TOPN_GROUP && tile->first_steps > 0; user++) {
        add_byte_steps(sums[user], tile, user, 0, tile->first_steps);
        for (int i = 0; i < TOPN_PANEL; i++)
            scores[i] =
                (float)(sums[user][i] - tile->group->first_offset[user]) * limits.scale[user];
        any = any || reaches(scores, tile->bias_max, limits.first[user]);
    }
    tile->ended_early = !any;
    unsigned users = 0;
    for (int user = 0; any && user < TOPN_GROUP; user++) {
        add_byte_steps(sums[user], tile, user, tile->first_steps, tile->steps);
        for (int i = 0; i < TOPN_PANEL; i++)
            tile->scores[user][i] = fmaf((float)(sums[user][i] - tile->group->offset[user]),
                                         limits.scale[user], tile->bias[i]);
        tile->passing[user] = passing(tile, user, limits.last[user]);
        users |= (unsigned)(tile->passing[user] != 0) << user;
    }
    return users;
}
