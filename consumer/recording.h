/* Reads a recorded stream, line by line: what `freshet replay` replays.
 *
 * Two forms, each plain or compressed with zstd (".zst"): tab-separated with the header
 * `ts_ms user item event value`, or JSON lines in the shape of the event (consumer/event.h). A bad
 * line is an error with file and line. Blocking; one thread. With `shuffle`, runs of lines with
 * equal timestamps come in an order drawn from the seed (lines of an invoice have no order of their
 * own). */
#ifndef FRESHET_CONSUMER_RECORDING_H
#define FRESHET_CONSUMER_RECORDING_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct recorded_event {
    int64_t ts_ms;
    struct slice user, item, type; /* until the next call */
    double value;
    struct slice json; /* of a JSON line: the line itself; else empty */
};

struct recording;

int recording_open(struct recording **recording, const char *path, bool shuffle, uint64_t seed,
                   struct error *err);

/* 1: `event` is filled; 0: the end; negative: an error. */
int recording_next(struct recording *recording, struct recorded_event *event, struct error *err);

/* The line of the event last handed out, from 1; not with `shuffle`. */
uint64_t recording_line(const struct recording *recording);

/* How much of the file has been read, 0 to 1: for a progress bar. */
double recording_progress(const struct recording *recording);
void recording_close(struct recording *recording);

/* Writes an event as the JSON that goes on the topic. */
struct buffer;
void recorded_event_write(struct buffer *out, const struct recorded_event *event);

#endif
