#include "consumer/recording.h"
#include "base/buffer.h"
#include "base/json.h"
#include "base/mem.h"
#include "consumer/recording_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#define LINE_BYTES_MAX (1024 * 1024)
#define RUN_LINES_MAX 65536 /* a longer run of equal timestamps is shuffled in pieces */

struct line {
    size_t start, length; /* in `run_text` */
    uint64_t number;      /* in the file, from 1 */
};

struct recording {
    char *path;
    FILE *file;
    uint64_t file_bytes, bytes_read;
    ZSTD_DStream *zstd; /* NULL: plain */
    char *in;           /* what was read of the file, [in_capacity] */
    size_t in_capacity;
    ZSTD_inBuffer zstd_in;
    size_t zstd_hint; /* 0: at the end of a frame */
    bool zstd_full;   /* it had more to say than there was room */
    bool file_ended;

    struct buffer text; /* decoded, from `text_at` on not yet cut into lines */
    size_t text_at;
    uint64_t line_number; /* of the last line cut */
    bool is_json;

    bool shuffle;
    uint64_t random;
    struct buffer run_text; /* the lines of the current run */
    struct line *run;       /* [run_count] */
    size_t run_count, run_at, run_capacity;
    struct slice ahead; /* the first line of the next run, in `text`; data NULL: none */

    struct json *json; /* of the event last handed out */
    struct recording_numbers numbers;
};

/* ---- the file's bytes ---- */

static int read_input(struct recording *recording, struct error *err)
{
    size_t got = fread(recording->in, 1, recording->in_capacity, recording->file);
    if (got == 0 && ferror(recording->file))
        return error_set(err, ERR_IO, "%s: %s", recording->path, strerror(errno));
    recording->bytes_read += got;
    recording->file_ended = got == 0;
    recording->zstd_in = (ZSTD_inBuffer){recording->in, got, 0};
    return 0;
}

static int inflate(struct recording *recording, struct error *err)
{
    size_t room = ZSTD_DStreamOutSize();
    ZSTD_outBuffer out = {buffer_reserve(&recording->text, room), room, 0};
    size_t hint = ZSTD_decompressStream(recording->zstd, &out, &recording->zstd_in);
    if (ZSTD_isError(hint))
        return error_set(err, ERR_DATA, "%s: %s", recording->path, ZSTD_getErrorName(hint));
    recording->zstd_hint = hint;
    recording->zstd_full = out.pos == out.size;
    recording->text.length += out.pos;
    return 0;
}

/* Appends more decoded text, or finds the end of the file. */
static int read_more(struct recording *recording, struct error *err)
{
    if (recording->zstd_in.pos == recording->zstd_in.size && !recording->zstd_full) {
        int failed = read_input(recording, err);
        if (failed)
            return failed;
    }
    if (recording->file_ended)
        return recording->zstd != NULL && recording->zstd_hint != 0
                   ? error_set(err, ERR_DATA, "%s: ends in the middle", recording->path)
                   : 0;
    if (recording->zstd != NULL)
        return inflate(recording, err);
    buffer_add(&recording->text, recording->in, recording->zstd_in.size);
    recording->zstd_in.pos = recording->zstd_in.size;
    return 0;
}

/* ---- lines ---- */

/* Cuts off the line that ends at `end`, whose "\n" is `newline` bytes. */
static struct slice cut_line(struct recording *recording, size_t end, size_t newline)
{
    struct slice line = {recording->text.data + recording->text_at,
                         (uint32_t)(end - recording->text_at)};
    recording->text_at = end + newline;
    recording->line_number++;
    if (line.length > 0 && line.data[line.length - 1] == '\r')
        line.length--;
    return line;
}

/* Where the first newline at or after `from` is, or NULL. */
static const char *find_newline(const struct buffer *text, size_t from)
{
    return text->length > from ? memchr(text->data + from, '\n', text->length - from) : NULL;
}

static void drop_cut_text(struct recording *recording)
{
    if (recording->text_at > 0)
        buffer_consume(&recording->text, recording->text_at);
    recording->text_at = 0;
}

/* 1: a line, valid until the next call; 0: the end. */
static int next_line(struct recording *recording, struct slice *line, struct error *err)
{
    struct buffer *text = &recording->text;
    const char *newline = find_newline(text, recording->text_at);
    while (newline == NULL && !recording->file_ended) {
        drop_cut_text(recording);
        size_t searched = text->length;
        if (searched > LINE_BYTES_MAX)
            return error_set(err, ERR_DATA, "%s:%" PRIu64 ": a line of over %d bytes",
                             recording->path, recording->line_number + 1, LINE_BYTES_MAX);
        int failed = read_more(recording, err);
        if (failed)
            return failed;
        newline = find_newline(text, searched);
    }
    if (newline != NULL)
        *line = cut_line(recording, (size_t)(newline - text->data), 1);
    else if (text->length > recording->text_at)
        *line = cut_line(recording, text->length, 0); /* the last one, without its newline */
    else
        return 0;
    return 1;
}

/* The next line that says something. */
static int next_full_line(struct recording *recording, struct slice *line, struct error *err)
{
    int got;
    do
        got = next_line(recording, line, err);
    while (got == 1 && line->length == 0);
    return got;
}

static int parse(struct recording *recording, struct slice line, uint64_t number,
                 struct recorded_event *event, struct error *err)
{
    json_free(recording->json);
    recording->json = NULL;
    int failed = recording->is_json
                     ? recording_read_json(line, event, &recording->json, &recording->numbers, err)
                     : recording_read_tsv(line, event, err);
    if (failed)
        error_wrap(err, "%s:%" PRIu64, recording->path, number);
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
        (struct line){recording->run_text.length, line.length, recording->line_number};
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
        struct line swapped = recording->run[other];
        recording->run[other] = recording->run[left - 1];
        recording->run[left - 1] = swapped;
    }
}

/* Reads the lines that share a timestamp and mixes them. 1: there are some; 0: the end. */
static int read_run(struct recording *recording, struct error *err)
{
    struct recorded_event event;
    struct slice line = recording->ahead;
    int64_t ts_ms = 0;
    int got = line.data != NULL ? 1 : next_full_line(recording, &line, err);
    recording->run_at = recording->run_count = 0;
    buffer_clear(&recording->run_text);
    recording->ahead = (struct slice){NULL, 0};
    for (; got == 1; got = next_full_line(recording, &line, err)) {
        int failed = parse(recording, line, recording->line_number, &event, err);
        if (failed)
            return failed;
        if (recording->run_count > 0 && event.ts_ms != ts_ms)
            break;
        ts_ms = event.ts_ms;
        add_to_run(recording, line);
        if (recording->run_count == RUN_LINES_MAX)
            break;
    }
    if (got < 0)
        return got;
    if (got == 1 && recording->run_count < RUN_LINES_MAX)
        recording->ahead = line;
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
    const struct line *line = &recording->run[recording->run_at++];
    struct slice text = {recording->run_text.data + line->start, (uint32_t)line->length};
    int failed = parse(recording, text, line->number, event, err);
    return failed ? failed : 1;
}

int recording_next(struct recording *recording, struct recorded_event *event, struct error *err)
{
    struct slice line;
    if (recording->shuffle)
        return next_shuffled(recording, event, err);
    int got = next_full_line(recording, &line, err);
    if (got != 1)
        return got;
    int failed = parse(recording, line, recording->line_number, event, err);
    return failed ? failed : 1;
}

/* ---- opening and closing ---- */

static bool ends_in_zst(const char *path)
{
    size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, ".zst") == 0;
}

/* JSON lines begin with a brace, the other form with its header. */
static int find_form(struct recording *recording, struct error *err)
{
    struct slice line;
    int got = next_line(recording, &line, err);
    if (got < 0)
        return got;
    if (got == 1 && line.length > 0 && line.data[0] == '{') {
        recording->is_json = true;
        recording->text_at = (size_t)(line.data - recording->text.data);
        recording->line_number = 0;
        return 0;
    }
    if (got == 1 && slice_equal(line, SLICE(RECORDING_HEADER)))
        return 0;
    return error_set(err, ERR_DATA,
                     "%s:1: neither JSON lines nor the header \"ts_ms user item event value\" "
                     "(tab-separated)",
                     recording->path);
}

static int open_file(struct recording *recording, struct error *err)
{
    recording->file = fopen(recording->path, "rb");
    if (recording->file == NULL)
        return error_set(err, ERR_IO, "%s: %s", recording->path, strerror(errno));
    if (fseeko(recording->file, 0, SEEK_END) == 0) { /* a pipe has no length: no progress then */
        recording->file_bytes = (uint64_t)ftello(recording->file);
        rewind(recording->file);
    }
    recording->in_capacity = ZSTD_DStreamInSize();
    recording->in = mem_alloc(recording->in_capacity);
    if (ends_in_zst(recording->path)) {
        recording->zstd = ZSTD_createDStream();
        recording->zstd_hint = 1; /* an empty file is not a whole frame */
        if (recording->zstd == NULL)
            return error_set(err, ERR_IO, "%s: out of memory", recording->path);
    }
    return find_form(recording, err);
}

int recording_open(struct recording **recording, const char *path, bool shuffle, uint64_t seed,
                   struct error *err)
{
    struct recording *opened = mem_zalloc(sizeof *opened);
    opened->path = mem_strdup(path);
    opened->shuffle = shuffle;
    opened->random = seed;
    int failed = open_file(opened, err);
    if (failed)
        recording_close(opened);
    else
        *recording = opened;
    return failed;
}

double recording_progress(const struct recording *recording)
{
    if (recording->file_bytes == 0)
        return 0;
    double read = (double)recording->bytes_read / (double)recording->file_bytes;
    return read < 1 ? read : 1;
}

void recording_close(struct recording *recording)
{
    if (recording == NULL)
        return;
    if (recording->file != NULL)
        fclose(recording->file);
    ZSTD_freeDStream(recording->zstd);
    json_free(recording->json);
    buffer_deinit(&recording->text);
    buffer_deinit(&recording->run_text);
    free(recording->run);
    free(recording->in);
    free(recording->path);
    free(recording);
}
