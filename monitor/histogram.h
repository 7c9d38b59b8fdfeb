/* A histogram of durations with relative error below 2%: log-linear buckets, as HdrHistogram's.
 *
 * Counts, no samples: constant memory, any range from 1 us to 1 hour (beyond is clamped). One
 * thread. */
#ifndef FRESHET_MONITOR_HISTOGRAM_H
#define FRESHET_MONITOR_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 2048

struct histogram { /* zero-initialise */
    uint64_t count;
    double sum_ms;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, double ms);
/* The value below which a share `q` of the durations lie, in ms; NaN if there are none. */
double histogram_quantile(const struct histogram *histogram, double q);

#endif
