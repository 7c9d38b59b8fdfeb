#include "monitor/histogram.h"

#include <math.h>

/* 32 octaves of 64 buckets: a bucket is 1/64 of its octave's lower bound wide, and its middle is
 * within 1/128 (0.8%) of all that fell into it. */
#define OCTAVE_BUCKETS 64
#define SMALLEST_US 1.0
#define LARGEST_US 3600e6 /* an hour: below 2^32 */

static double clamp_us(double us)
{
    if (!(us > SMALLEST_US)) /* NaN, too */
        return SMALLEST_US;
    return us < LARGEST_US ? us : LARGEST_US;
}

static int bucket_of(double us)
{
    int exponent;
    double mantissa = frexp(us, &exponent); /* us = mantissa 2^exponent, mantissa in [1/2, 1) */
    return (exponent - 1) * OCTAVE_BUCKETS + (int)((2 * mantissa - 1) * OCTAVE_BUCKETS);
}

static double middle_us(int bucket)
{
    double within = (bucket % OCTAVE_BUCKETS + 0.5) / OCTAVE_BUCKETS;
    return ldexp(1 + within, bucket / OCTAVE_BUCKETS);
}

void histogram_add(struct histogram *histogram, double ms)
{
    double us = clamp_us(ms * 1e3);
    histogram->count++;
    histogram->sum_ms += us / 1e3;
    histogram->buckets[bucket_of(us)]++;
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
    return middle_us(last) / 1e3;
}
