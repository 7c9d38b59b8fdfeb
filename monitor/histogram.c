#include "monitor/histogram.h"

#include <math.h>
#include <string.h>

/* 32 octaves of 64 buckets: a bucket is 1/64 of its octave's lower bound wide, and its middle is
 * within 1/128 (0.8%) of all that fell into it. */
#define OCTAVE_BITS 6
#define OCTAVE_BUCKETS (1 << OCTAVE_BITS)
#define UNITS_PER_MS 1024.0 /* a power of two: counting in units loses nothing */
#define SMALLEST 1.0
#define LARGEST (3600e3 * UNITS_PER_MS) /* an hour: below 2^32 */

/* Each is 2^k (1 + j/64) of a millisecond, with k and j whole: the upper edge of a bucket. */
const double histogram_bounds_ms[HISTOGRAM_BOUNDS] = {1,   2.5, 5,    10,   25,   50,    100,
                                                      250, 500, 1000, 2000, 8000, 32000, 128000};

static double clamp(double units)
{
    if (!(units > SMALLEST)) /* NaN, too */
        return SMALLEST;
    return units < LARGEST ? units : LARGEST;
}

/* The bucket (lower edge, upper edge] of what is in it, by the next smaller number there is, which
 * is in [lower edge, upper edge). The smallest duration shares the first bucket. A double's bits
 * are its exponent, with 1023 added, above 52 of its fraction, and in the order of the numbers:
 * one less is the next smaller number, and what is left without the lower bits is the bucket. */
static int bucket_of(double units)
{
    uint64_t bits;
    memcpy(&bits, &units, sizeof bits);
    bits -= units > SMALLEST;
    return (int)(bits >> (52 - OCTAVE_BITS)) - (1023 << OCTAVE_BITS);
}

static double middle(int bucket)
{
    double within = (bucket % OCTAVE_BUCKETS + 0.5) / OCTAVE_BUCKETS;
    return ldexp(1 + within, bucket / OCTAVE_BUCKETS);
}

void histogram_add(struct histogram *histogram, double ms)
{
    double units = clamp(ms * UNITS_PER_MS);
    histogram->count++;
    histogram->sum_ms += units / UNITS_PER_MS;
    histogram->buckets[bucket_of(units)]++;
}

void histogram_cumulate(const struct histogram *histogram, uint64_t counts[HISTOGRAM_BOUNDS])
{
    uint64_t passed = 0;
    int bucket = 0;
    for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
        int last = bucket_of(histogram_bounds_ms[i] * UNITS_PER_MS);
        for (; bucket <= last; bucket++)
            passed += histogram->buckets[bucket];
        counts[i] = passed;
    }
}

double histogram_quantile(const struct histogram *histogram, double q)
{
    if (histogram->count == 0)
        return NAN;
    double below = q * (double)histogram->count; /* this many durations lie below the answer */
    uint64_t passed = 0;
    int last = 0;
    for (int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        if (histogram->buckets[bucket] == 0)
            continue;
        last = bucket;
        passed += histogram->buckets[bucket];
        if ((double)passed >= below)
            break;
    }
    return middle(last) / UNITS_PER_MS;
}
