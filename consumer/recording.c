#include "consumer/recording.h"
#include "base/buffer.h"
#include "base/json.h"
#include "base/mem.h"
#include "consumer/lines.h"
#include "consumer/recording_line.h"

#include <inttypes.h>
#include <stdlib.h>

#define RUN_LINES_MAX 65536 /* a longer run of equal timestamps is shuffled in pieces */

struct run_line {
    size_t start, length; /* in `run_text` */
    uint64_t number;      /* in the file, from 1 */
};

struct recording {
    struct lines *lines;
    bool is_json;

    bool shuffle;
    uint64_t random;
    struct buffer run_text; /* the lines of the current run */
    struct run_line *run;   /* [run_count] */
    size_t run_count, run_at, run_capacity;

    struct json *json; /* of the event last handed out */
    struct recording_numbers numbers;
};

static int parse(struct recording *recording, struct slice line, uint64_t number,
                 struct recorded_event *event, struct error *err)
{
    json_free(recording->json);
    recording->json = NULL;
    int failed = recording->is_json
                     ? recording_read_json(line, event, &recording->json, &recording->numbers, err)
                     : recording_read_tsv(line, event, err);
    if (failed)
        error_wrap(err, "%s:%" PRIu64, lines_path(recording->lines), number);
    return failed;
}

/* ---- runs of equal timestamps ---- */

static void add_to_run(struct recording *recording, struct slice line)
{
    if (recording->run_count == recording->run_capacity) {
        recording->run_capacity = recording->run_capacity ? recording->run_capacity * 2 : 64;
        recording->run = mem_array(recording->run, recording->run_capacity, sizeof *recording->run);
    }
    recording->run[recording->run_count++] =
        (struct run_line){recording->run_text.length, line.length, lines_number(recording->lines)};
    buffer_add(&recording->run_text, line.data, line.length);
}

/* splitmix64 (Steele, Lea, Flood 2014): the same order for the same seed, on every machine. */
static uint64_t next_random(struct recording *recording)
{
    uint64_t z = recording->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Fisher and Yates; the modulo's bias is below RUN_LINES_MAX / 2^64. */
static void shuffle_run(struct recording *recording)
{
    for (size_t left = recording->run_count; left > 1; left--) {
        size_t other = next_random(recording) % left;
        struct run_line swapped = recording->run[other];
        recording->run[other] = recording->run[left - 1];
        recording->run[left - 1] = swapped;
    }
}

/* Reads the lines that share a timestamp and mixes them. 1: there are some; 0: the end. */
static int read_run(struct recording *recording, struct error *err)
{
    struct recorded_event event;
    struct slice line;
    int64_t ts_ms = 0;
    int got = 1;
    recording->run_at = recording->run_count = 0;
    buffer_clear(&recording->run_text);
    while (recording->run_count < RUN_LINES_MAX &&
           (got = lines_next(recording->lines, &line, err)) == 1) {
        int failed = parse(recording, line, lines_number(recording->lines), &event, err);
        if (failed)
            return failed;
        if (recording->run_count > 0 && event.ts_ms != ts_ms) {
            lines_put_back(recording->lines);
            break;
        }
        ts_ms = event.ts_ms;
        add_to_run(recording, line);
    }
    if (got < 0)
        return got;
    shuffle_run(recording);
    return recording->run_count > 0;
}

static int next_shuffled(struct recording *recording, struct recorded_event *event,
                         struct error *err)
{
    if (recording->run_at == recording->run_count) {
        int got = read_run(recording, err);
        if (got != 1)
            return got;
    }
    const struct run_line *line = &recording->run[recording->run_at++];
    struct slice text = {recording->run_text.data + line->start, (uint32_t)line->length};
    int failed = parse(recording, text, line->number, event, err);
    return failed ? failed : 1;
}

int recording_next(struct recording *recording, struct recorded_event *event, struct error *err)
{
    struct slice line;
    if (recording->shuffle)
        return next_shuffled(recording, event, err);
    int got = lines_next(recording->lines, &line, err);
    if (got != 1)
        return got;
    int failed = parse(recording, line, lines_number(recording->lines), event, err);
    return failed ? failed : 1;
}

/* ---- opening and closing ---- */

/* JSON lines begin with a brace, the other form with its header. */
static int find_form(struct recording *recording, struct error *err)
{
    struct slice line;
    int got = lines_next(recording->lines, &line, err);
    if (got < 0)
        return got;
    if (got == 1 && line.data[0] == '{') {
        recording->is_json = true;
        lines_put_back(recording->lines);
        return 0;
    }
    if (got == 1 && slice_equal(line, SLICE(RECORDING_HEADER)))
        return 0;
    return error_set(err, ERR_DATA,
                     "%s:1: neither JSON lines nor the header \"ts_ms user item event value\" "
                     "(tab-separated)",
                     lines_path(recording->lines));
}

int recording_open(struct recording **recording, const char *path, bool shuffle, uint64_t seed,
                   struct error *err)
{
    struct recording *opened = mem_zalloc(sizeof *opened);
    opened->shuffle = shuffle;
    opened->random = seed;
    int failed = lines_open(&opened->lines, path, err);
    if (failed == 0)
        failed = find_form(opened, err);
    if (failed)
        recording_close(opened);
    else
        *recording = opened;
    return failed;
}

uint64_t recording_line(const struct recording *recording)
{
    return lines_number(recording->lines);
}

double recording_progress(const struct recording *recording)
{
    return lines_progress(recording->lines);
}

void recording_close(struct recording *recording)
{
    if (recording == NULL)
        return;
    lines_close(recording->lines);
    json_free(recording->json);
    buffer_deinit(&recording->run_text);
    free(recording->run);
    free(recording);
}
