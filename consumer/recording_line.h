/* One line of a recorded stream, in either of its forms (consumer/recording.h). */
#ifndef FRESHET_CONSUMER_RECORDING_LINE_H
#define FRESHET_CONSUMER_RECORDING_LINE_H

#include "consumer/recording.h"

#define RECORDING_HEADER "ts_ms\tuser\titem\tevent\tvalue"

struct json;

/* A tab-separated line; the event's slices point into it. */
int recording_read_tsv(struct slice line, struct recorded_event *event, struct error *err);

/* A JSON line; the event's slices point into the line, into `*json`, which the caller frees, and
 * into `numbers`, room for ids that are given as integers. */
#define RECORDING_NUMBER_BYTES 24
struct recording_numbers {
    char user[RECORDING_NUMBER_BYTES], item[RECORDING_NUMBER_BYTES];
};
int recording_read_json(struct slice line, struct recorded_event *event, struct json **json,
                        struct recording_numbers *numbers, struct error *err);

#endif
