#include "daemon/recorder.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

struct recorder {
    struct recorder_parts parts;
    struct series *series;
    uv_timer_t timer;
    bool began;
    struct state_series seen[SERIES_MAX]; /* [seen_count] as of the last sample */
    size_t seen_count;
    struct recorder_mark marks[RECORDER_MARKS_MAX]; /* a ring of the latest */
    size_t mark_count;                              /* ever */
    void (*freed)(void *arg);
    void *freed_arg;
};

static uint64_t number_seen(const struct recorder *recorder, uint64_t key)
{
    for (size_t i = 0; i < recorder->seen_count; i++)
        if (recorder->seen[i].key == key)
            return recorder->seen[i].generation;
    return 0;
}

/* What is live at the start is no news. */
static void mark_generations(struct recorder *recorder, int64_t wall_ms)
{
    const struct state_meta *meta = history_meta(recorder->parts.history);
    for (uint32_t i = 0; i < meta->series_count && recorder->began; i++) {
        const struct state_series *series = &meta->series[i];
        if (series->generation != number_seen(recorder, series->key))
            recorder->marks[recorder->mark_count++ % RECORDER_MARKS_MAX] =
                (struct recorder_mark){series->key, series->generation, wall_ms};
    }
    recorder->began = true;
    recorder->seen_count = meta->series_count;
    for (uint32_t i = 0; i < meta->series_count; i++)
        recorder->seen[i] = meta->series[i];
}

static void sample(uv_timer_t *timer)
{
    struct recorder *recorder = timer->data;
    const struct recorder_parts *parts = &recorder->parts;
    struct series_now now = {.wall_ms = clock_wall_ms(),
                             .events = line_figures(parts->line)->events,
                             .lists = publisher_figures(parts->publisher)->stored,
                             .lag = consumer_lag(parts->consumer)};
    series_take(recorder->series, parts->watch, &now);
    mark_generations(recorder, now.wall_ms);
}

struct recorder *recorder_new(uv_loop_t *loop, const struct recorder_parts *parts)
{
    struct recorder *recorder = mem_zalloc(sizeof *recorder);
    recorder->parts = *parts;
    recorder->series = series_new();
    uv_timer_init(loop, &recorder->timer);
    recorder->timer.data = recorder;
    uv_timer_start(&recorder->timer, sample, 0, SERIES_STEP_MS);
    return recorder;
}

static void timer_closed(uv_handle_t *handle)
{
    struct recorder *recorder = handle->data;
    void (*freed)(void *arg) = recorder->freed;
    void *arg = recorder->freed_arg;
    series_free(recorder->series);
    free(recorder);
    freed(arg);
}

void recorder_free(struct recorder *recorder, void (*freed)(void *arg), void *arg)
{
    recorder->freed = freed;
    recorder->freed_arg = arg;
    uv_close((uv_handle_t *)&recorder->timer, timer_closed);
}

const struct series *recorder_series(const struct recorder *recorder)
{
    return recorder->series;
}

size_t recorder_marks(const struct recorder *recorder,
                      struct recorder_mark marks[RECORDER_MARKS_MAX])
{
    size_t count = recorder->mark_count, kept = count;
    if (kept > RECORDER_MARKS_MAX)
        kept = RECORDER_MARKS_MAX;
    for (size_t i = 0; i < kept; i++)
        marks[i] = recorder->marks[(count - kept + i) % RECORDER_MARKS_MAX];
    return kept;
}
