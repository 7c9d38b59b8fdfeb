/* One side of a comparison: a program that bench/common.py starts, feeds and times against peers.
 *
 * driver_serve answers each line of standard input, "run NAME", by calling the run of that name
 * once and printing one JSON line {"cpu_ms":…,"wall_ms":…,FIELDS}: CPU time of the whole process,
 * all threads. "quit" or the end of input ends it. Runs are made ready by main before: no loading
 * is timed. */
#ifndef FRESHET_BENCH_DRIVER_H
#define FRESHET_BENCH_DRIVER_H

#include <stddef.h>

struct driver_run {
    const char *name;
    /* Does the work once. May write `"name":value,…` of its own into fields: [fields_size], or
     * leave "". */
    void (*run)(void *arg, char *fields, size_t fields_size);
    void *arg;
};

int driver_serve(const struct driver_run *runs, size_t count);

/* A whole file of numbers, 64-byte aligned; exits with a message if it cannot be read. *bytes may
 * be NULL. */
void *driver_load(const char *path, size_t *bytes);

#endif
