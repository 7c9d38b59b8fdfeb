/* The daemon's recent past, for whoever opens the dashboard: samples of the figures each
 * SERIES_STEP_MS, and when generations went live. In memory alone. Loop thread. */
#ifndef FRESHET_DAEMON_RECORDER_H
#define FRESHET_DAEMON_RECORDER_H

#include "daemon/line.h"
#include "monitor/series.h"

#include <uv.h>

#define RECORDER_MARKS_MAX 64

struct recorder_mark { /* a generation that went live */
    uint64_t series, number;
    int64_t wall_ms;
};

struct recorder_parts { /* borrowed */
    struct line *line;
    struct consumer *consumer;
    struct publisher *publisher;
    struct history *history;
    struct watch *watch;
};

struct recorder;
struct recorder *recorder_new(uv_loop_t *loop, const struct recorder_parts *parts);
void recorder_free(struct recorder *recorder, void (*freed)(void *arg), void *arg);

const struct series *recorder_series(const struct recorder *recorder);

/* The latest RECORDER_MARKS_MAX since the daemon began, oldest first; returns how many. */
size_t recorder_marks(const struct recorder *recorder,
                      struct recorder_mark marks[RECORDER_MARKS_MAX]);

#endif
