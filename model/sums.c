#include "model/sums.h"

/* Of equal time as the newest: nothing decays. So it is with most of a burst. */
static void add_now(struct item_sums *sums)
{
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        sums->decayed[h] += 1.0;
}

static void add_later(struct item_sums *sums, int64_t ts_ms)
{
    double decay[HALF_LIFE_COUNT];
    decay_bank(sums->ts_ms, ts_ms, decay);
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        sums->decayed[h] = sums->decayed[h] * decay[h] + 1.0;
    sums->ts_ms = ts_ms;
}

static void add_earlier(struct item_sums *sums, int64_t ts_ms)
{
    double decay[HALF_LIFE_COUNT];
    decay_bank(ts_ms, sums->ts_ms, decay);
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        sums->decayed[h] += decay[h];
}

void sums_add(struct item_sums *sums, int64_t ts_ms)
{
    if (sums->count == 0)
        sums->ts_ms = ts_ms;
    if (ts_ms == sums->ts_ms)
        add_now(sums);
    else if (ts_ms > sums->ts_ms)
        add_later(sums, ts_ms);
    else
        add_earlier(sums, ts_ms);
    sums->count++;
}

double sums_at(const struct item_sums *sums, int half_life, int64_t now_ms)
{
    if (half_life == HALF_LIFE_EVER)
        return (double)sums->count;
    if (sums->count == 0 || now_ms <= sums->ts_ms)
        return sums->decayed[half_life];
    return sums->decayed[half_life] * decay_exp2(-decay_half_lives(half_life, sums->ts_ms, now_ms));
}
