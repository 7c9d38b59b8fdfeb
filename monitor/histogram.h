/* A histogram of durations with relative error below 2%: log-linear buckets, as HdrHistogram's.
 *
 * Counts, no samples: constant memory, any range from 1/1024 ms to 1 hour (beyond is clamped).
 * Buckets are closed on the right and their edges are binary fractions of a millisecond, so that
 * the bounds below are edges, and what is counted up to them is exact. One thread. */
#ifndef FRESHET_MONITOR_HISTOGRAM_H
#define FRESHET_MONITOR_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 2048
#define HISTOGRAM_BOUNDS 14

struct histogram { /* zero-initialise */
    uint64_t count;
    double sum_ms;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

extern const double histogram_bounds_ms[HISTOGRAM_BOUNDS]; /* ascending */

void histogram_add(struct histogram *histogram, double ms);
/* The value below which a share `q` of the durations lie, in ms; NaN if there are none. */
double histogram_quantile(const struct histogram *histogram, double q);

/* How many durations were at most as long as each bound. */
void histogram_cumulate(const struct histogram *histogram, uint64_t counts[HISTOGRAM_BOUNDS]);

#endif
