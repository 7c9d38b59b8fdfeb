#include "model/decay.h"

#include <string.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

#define STEPS 64    /* of the table, in one octave */
#define STEP_BITS 6 /* 2^6 */
#define LANES 8     /* half-lives, rounded up to whole vectors */

const int64_t half_life_ms[HALF_LIFE_COUNT] = {10 * MINUTE_MS, HOUR_MS,     6 * HOUR_MS, DAY_MS,
                                               7 * DAY_MS,     30 * DAY_MS, 365 * DAY_MS};
const char *const half_life_names[HALF_LIFE_COUNT] = {"10m", "1h", "6h", "1d", "1w", "30d", "1y"};

/* 2^(k/64), correctly rounded */
static const double powers[STEPS] = {
    0x1.0000000000000p+0, 0x1.02c9a3e778061p+0, 0x1.059b0d3158574p+0, 0x1.0874518759bc8p+0,
    0x1.0b5586cf9890fp+0, 0x1.0e3ec32d3d1a2p+0, 0x1.11301d0125b51p+0, 0x1.1429aaea92de0p+0,
    0x1.172b83c7d517bp+0, 0x1.1a35beb6fcb75p+0, 0x1.1d4873168b9aap+0, 0x1.2063b88628cd6p+0,
    0x1.2387a6e756238p+0, 0x1.26b4565e27cddp+0, 0x1.29e9df51fdee1p+0, 0x1.2d285a6e4030bp+0,
    0x1.306fe0a31b715p+0, 0x1.33c08b26416ffp+0, 0x1.371a7373aa9cbp+0, 0x1.3a7db34e59ff7p+0,
    0x1.3dea64c123422p+0, 0x1.4160a21f72e2ap+0, 0x1.44e086061892dp+0, 0x1.486a2b5c13cd0p+0,
    0x1.4bfdad5362a27p+0, 0x1.4f9b2769d2ca7p+0, 0x1.5342b569d4f82p+0, 0x1.56f4736b527dap+0,
    0x1.5ab07dd485429p+0, 0x1.5e76f15ad2148p+0, 0x1.6247eb03a5585p+0, 0x1.6623882552225p+0,
    0x1.6a09e667f3bcdp+0, 0x1.6dfb23c651a2fp+0, 0x1.71f75e8ec5f74p+0, 0x1.75feb564267c9p+0,
    0x1.7a11473eb0187p+0, 0x1.7e2f336cf4e62p+0, 0x1.82589994cce13p+0, 0x1.868d99b4492edp+0,
    0x1.8ace5422aa0dbp+0, 0x1.8f1ae99157736p+0, 0x1.93737b0cdc5e5p+0, 0x1.97d829fde4e50p+0,
    0x1.9c49182a3f090p+0, 0x1.a0c667b5de565p+0, 0x1.a5503b23e255dp+0, 0x1.a9e6b5579fdbfp+0,
    0x1.ae89f995ad3adp+0, 0x1.b33a2b84f15fbp+0, 0x1.b7f76f2fb5e47p+0, 0x1.bcc1e904bc1d2p+0,
    0x1.c199bdd85529cp+0, 0x1.c67f12e57d14bp+0, 0x1.cb720dcef9069p+0, 0x1.d072d4a07897cp+0,
    0x1.d5818dcfba487p+0, 0x1.da9e603db3285p+0, 0x1.dfc97337b9b5fp+0, 0x1.e502ee78b3ff6p+0,
    0x1.ea4afa2a490dap+0, 0x1.efa1bee615a27p+0, 0x1.f50765b6e4540p+0, 0x1.fa7c1819e90d8p+0,
};

/* To the nearest whole number, which is then in the low bits of the sum's significand. */
#define ROUNDER 0x1.8p52

static inline uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* 2^r - 1 for |r| <= 1/128, by Horner's rule. */
static inline double power_of_rest(double r)
{
    const double c1 = 0x1.62e42fefa39efp-1, c2 = 0x1.ebfbdff82c58fp-3;
    const double c3 = 0x1.c6b08d704a0c0p-5, c4 = 0x1.3b2ab6fba4e77p-7;
    const double c5 = 0x1.5d87fe78a6731p-10;
    return r * (c1 + r * (c2 + r * (c3 + r * (c4 + r * c5))));
}

/* x within the limits. Every operation is one that vectors have, so that a loop of these is one of
 * vectors; the same operations in the same order, so the same bits. */
static inline double power(double x)
{
    double rounded = x * STEPS + ROUNDER;
    double rest = x - (rounded - ROUNDER) * (1.0 / STEPS);
    uint64_t step = bits_of(rounded) - bits_of(ROUNDER) + 1023 * STEPS; /* never below 0 */
    double scale = from_bits(step >> STEP_BITS << 52);
    double root = powers[step % STEPS];
    return (root + root * power_of_rest(rest)) * scale;
}

double decay_exp2(double x)
{
    if (!(x >= DECAY_EXPONENT_MIN))
        return 0;
    return power(x <= DECAY_EXPONENT_MAX ? x : DECAY_EXPONENT_MAX);
}

double decay_half_lives(int half_life, int64_t from_ms, int64_t to_ms)
{
    return ((double)to_ms - (double)from_ms) / (double)half_life_ms[half_life];
}

/* Where a power is wanted of each of the bank's exponents; the last lane is for whole vectors. */
struct lanes {
    double x[LANES];
};

static const double lengths_ms[LANES] = {10 * MINUTE_MS, HOUR_MS,     6 * HOUR_MS,  DAY_MS,
                                         7 * DAY_MS,     30 * DAY_MS, 365 * DAY_MS, 1};

static inline double bounded(double x)
{
    double low = x < DECAY_EXPONENT_MIN ? DECAY_EXPONENT_MIN : x;
    return low > DECAY_EXPONENT_MAX ? DECAY_EXPONENT_MAX : low;
}

static inline void powers_of(const struct lanes *exponents, double out[HALF_LIFE_COUNT])
{
    double raised[LANES];
    for (int h = 0; h < LANES; h++)
        raised[h] = power(bounded(exponents->x[h]));
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        out[h] = exponents->x[h] >= DECAY_EXPONENT_MIN ? raised[h] : 0;
}

void decay_bank(int64_t from_ms, int64_t to_ms, double out[HALF_LIFE_COUNT])
{
    double elapsed_ms = (double)to_ms - (double)from_ms;
    struct lanes exponents;
    for (int h = 0; h < LANES; h++)
        exponents.x[h] = -(elapsed_ms / lengths_ms[h]);
    powers_of(&exponents, out);
}

void decay_weights(const int64_t landmarks_ms[HALF_LIFE_COUNT], int64_t ts_ms,
                   double out[HALF_LIFE_COUNT])
{
    struct lanes exponents = {{0}};
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        exponents.x[h] = ((double)ts_ms - (double)landmarks_ms[h]) / lengths_ms[h];
    powers_of(&exponents, out);
}
