#include "model/trend.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Half-lives between landmarks: G stays below count * 2^256, far from a double's 2^1023, and
 * 2^-256 of what came before the landmark is still there. */
#define LANDMARK_HALF_LIVES 256

#define AHEAD 2 /* items whose sums are on their way from memory */

void trend_deinit(struct trend *trend)
{
    free(trend->gathered);
    *trend = (struct trend){0};
}

/* A function of `now` alone, so that two processes at the same stream time hold the same bits
 * however they came there. Integer division cannot overflow, not even for INT64_MIN. */
static int64_t landmark_of(int half_life, int64_t now_ms)
{
    if (half_life == HALF_LIFE_EVER)
        return 0;
    int64_t grid_ms = LANDMARK_HALF_LIVES * half_life_ms[half_life];
    return now_ms / grid_ms * grid_ms;
}

/*  G_i = sum over partitions of S_i(ts) 2^((ts - L) / h)  */
static double gather(const struct trend *trend, const struct trend_source *sources,
                     size_t source_count, uint32_t item)
{
    double gathered = 0;
    for (size_t i = 0; i < source_count; i++) {
        if (item >= sources[i].count)
            continue;
        const struct item_sums *sums = &sources[i].sums[item];
        if (trend->half_life == HALF_LIFE_EVER) {
            gathered += (double)sums->count;
            continue;
        }
        double decayed = sums->decayed[trend->half_life];
        if (decayed > 0) /* else ts_ms means nothing, and 0 * 2^x may be NaN */
            gathered += decayed * decay_exp2(decay_half_lives(trend->half_life, trend->landmark_ms,
                                                              sums->ts_ms));
    }
    return gathered;
}

/* An item's sums lie in as many places as there are partitions, and may cross a line's end. */
static void fetch(const struct trend_source *sources, size_t source_count, uint32_t item)
{
    for (size_t i = 0; i < source_count; i++)
        if (item < sources[i].count) {
            __builtin_prefetch(&sources[i].sums[item].ts_ms);
            __builtin_prefetch(&sources[i].sums[item].decayed[HALF_LIFE_COUNT - 1]);
        }
}

static void reserve(struct trend *trend, uint32_t items)
{
    if (items <= trend->capacity)
        return;
    uint32_t capacity = trend->capacity ? trend->capacity : 256;
    while (capacity < items)
        capacity = capacity > UINT32_MAX / 2 ? items : capacity * 2;
    trend->gathered = mem_array(trend->gathered, capacity, sizeof *trend->gathered);
    trend->capacity = capacity;
}

void trend_rebuild(struct trend *trend, int half_life, const struct trend_source *sources,
                   size_t source_count, uint32_t items, int64_t now_ms)
{
    reserve(trend, items);
    trend->half_life = half_life;
    trend->landmark_ms = landmark_of(half_life, now_ms);
    trend->count = items;
    for (uint32_t item = 0; item < items; item++)
        trend->gathered[item] = gather(trend, sources, source_count, item);
}

void trend_touch(struct trend *trend, const struct trend_source *sources, size_t source_count,
                 uint32_t items, const uint32_t *touched, size_t touched_count, int64_t now_ms)
{
    if (landmark_of(trend->half_life, now_ms) != trend->landmark_ms) {
        trend_rebuild(trend, trend->half_life, sources, source_count, items, now_ms);
        return;
    }
    reserve(trend, items);
    for (; trend->count < items; trend->count++)
        trend->gathered[trend->count] = gather(trend, sources, source_count, trend->count);
    for (size_t i = 0; i < touched_count; i++) {
        if (i + AHEAD < touched_count)
            fetch(sources, source_count, touched[i + AHEAD]);
        trend->gathered[touched[i]] = gather(trend, sources, source_count, touched[i]);
    }
}

double trend_decay(const struct trend *trend, int64_t now_ms)
{
    if (trend->half_life == HALF_LIFE_EVER)
        return 1;
    return decay_exp2(-decay_half_lives(trend->half_life, trend->landmark_ms, now_ms));
}

void trend_values(const struct trend *trend, int64_t now_ms, float *out, uint32_t count)
{
    uint32_t known = count < trend->count ? count : trend->count;
    /* T_i(now) = log(1 + 2^-((now - L) / h) G_i) */
    double decay = trend_decay(trend, now_ms);
    for (uint32_t item = 0; item < known; item++) {
        double gathered = trend->gathered[item];
        out[item] = gathered > 0 ? log1pf((float)(decay * gathered)) : 0;
    }
    memset(out + known, 0, (count - known) * sizeof *out);
}

double trend_share(const struct trend *trend, int64_t ts_ms)
{
    if (trend->half_life == HALF_LIFE_EVER)
        return 1;
    return decay_exp2(decay_half_lives(trend->half_life, trend->landmark_ms, ts_ms));
}
