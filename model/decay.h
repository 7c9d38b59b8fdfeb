/* Powers of two for decays: 2^x, and 2^-(elapsed / h) for the whole bank of half-lives at once.
 *
 * Our own, because an event needs seven of them and trend and monitoring more, and because libm's
 * differ in their last bits from version to version while the state is to be the same function of
 * the log everywhere. By a table of 2^(k/64) and a polynomial for the rest,
 *
 *   2^x = 2^e 2^(k/64) 2^r,    |r| <= 1/128,    2^r = 1 + r c_1 + ... + r^5 c_5,  c_n = ln(2)^n /
 * n!
 *
 * (Tang 1989, "Table-driven implementation of the exponential function"). The remainder is below
 * (ln(2)/128)^6/720 < 2^-54; table, product and sum round by half a unit each, so the relative
 * error is below 2^-51. Exact at whole numbers. What would be below 2^-1022, where doubles lose
 * their digits, is 0. Pure functions. */
#ifndef FRESHET_MODEL_DECAY_H
#define FRESHET_MODEL_DECAY_H

#include <stdint.h>

#define HALF_LIFE_COUNT 7 /* 10 min, 1 h, 6 h, 1 d, 1 w, 30 d, 1 y */
#define DECAY_EXPONENT_MIN (-1022.0)
#define DECAY_EXPONENT_MAX 1023.0

extern const int64_t half_life_ms[HALF_LIFE_COUNT];
extern const char *const half_life_names[HALF_LIFE_COUNT]; /* "10m", "1h", "6h", "1d", ... */

/* 2^x; x over DECAY_EXPONENT_MAX counts as that. */
double decay_exp2(double x);

/* (to - from) / h, in doubles, because the difference of two times may not fit an int64_t. */
double decay_half_lives(int half_life, int64_t from_ms, int64_t to_ms);

/* out[h] = 2^-((to - from) / h), to >= from: the same bits as decay_exp2 one by one. */
void decay_bank(int64_t from_ms, int64_t to_ms, double out[HALF_LIFE_COUNT]);

/* out[h] = 2^((ts - landmark[h]) / h): what an event counts in sums that do not decay but grow
 * (forward decay: Cormode et al. 2009). */
void decay_weights(const int64_t landmarks_ms[HALF_LIFE_COUNT], int64_t ts_ms,
                   double out[HALF_LIFE_COUNT]);

#endif
