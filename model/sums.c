#include "model/sums.h"

#include <math.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

const int64_t half_life_ms[HALF_LIFE_COUNT] = {10 * MINUTE_MS, HOUR_MS,     6 * HOUR_MS, DAY_MS,
                                               7 * DAY_MS,     30 * DAY_MS, 365 * DAY_MS};
const char *const half_life_names[HALF_LIFE_COUNT] = {"10m", "1h", "6h", "1d", "1w", "30d", "1y"};

/* 2^-((later - earlier) / h) */
static double decay(int64_t later_ms, int64_t earlier_ms, int half_life)
{
    return exp2(-((double)later_ms - (double)earlier_ms) / (double)half_life_ms[half_life]);
}

void sums_add(struct item_sums *sums, int64_t ts_ms)
{
    if (sums->count == 0)
        sums->ts_ms = ts_ms;
    for (int h = 0; h < HALF_LIFE_COUNT; h++) {
        if (ts_ms >= sums->ts_ms)
            sums->decayed[h] = sums->decayed[h] * decay(ts_ms, sums->ts_ms, h) + 1.0;
        else
            sums->decayed[h] += decay(sums->ts_ms, ts_ms, h);
    }
    if (ts_ms > sums->ts_ms)
        sums->ts_ms = ts_ms;
    sums->count++;
}

double sums_at(const struct item_sums *sums, int half_life, int64_t now_ms)
{
    if (sums->count == 0 || now_ms <= sums->ts_ms)
        return sums->decayed[half_life];
    return sums->decayed[half_life] * decay(now_ms, sums->ts_ms, half_life);
}
