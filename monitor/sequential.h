#ifndef FRESHET_MONITOR_SEQUENTIAL_H
#define FRESHET_MONITOR_SEQUENTIAL_H
struct interval {
    double mean, low, high;
};
struct sequential {
    double p;
};
extern const struct sequential sequential_begin;
#endif
