#include "consumer/lines.h"
#include "base/buffer.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

struct lines {
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
    size_t last_at;  /* where the line last returned begins */
    uint64_t number; /* of the line last cut */
};

static int read_input(struct lines *lines, struct error *err)
{
    size_t got = fread(lines->in, 1, lines->in_capacity, lines->file);
    if (got == 0 && ferror(lines->file))
        return error_set(err, ERR_IO, "%s: %s", lines->path, strerror(errno));
    lines->bytes_read += got;
    lines->file_ended = got == 0;
    lines->zstd_in = (ZSTD_inBuffer){lines->in, got, 0};
    return 0;
}

static int inflate(struct lines *lines, struct error *err)
{
    size_t room = ZSTD_DStreamOutSize();
    ZSTD_outBuffer out = {buffer_reserve(&lines->text, room), room, 0};
    size_t hint = ZSTD_decompressStream(lines->zstd, &out, &lines->zstd_in);
    if (ZSTD_isError(hint))
        return error_set(err, ERR_DATA, "%s: %s", lines->path, ZSTD_getErrorName(hint));
    lines->zstd_hint = hint;
    lines->zstd_full = out.pos == out.size;
    lines->text.length += out.pos;
    return 0;
}

/* Appends more decoded text, or finds the end of the file. */
static int read_more(struct lines *lines, struct error *err)
{
    if (lines->zstd_in.pos == lines->zstd_in.size && !lines->zstd_full) {
        int failed = read_input(lines, err);
        if (failed)
            return failed;
    }
    if (lines->file_ended)
        return lines->zstd != NULL && lines->zstd_hint != 0
                   ? error_set(err, ERR_DATA, "%s: ends in the middle", lines->path)
                   : 0;
    if (lines->zstd != NULL)
        return inflate(lines, err);
    buffer_add(&lines->text, lines->in, lines->zstd_in.size);
    lines->zstd_in.pos = lines->zstd_in.size;
    return 0;
}

/* Cuts off the line that ends at `end`, whose "\n" is `newline` bytes. */
static struct slice cut_line(struct lines *lines, size_t end, size_t newline)
{
    struct slice line = {lines->text.data + lines->text_at, (uint32_t)(end - lines->text_at)};
    lines->last_at = lines->text_at;
    lines->text_at = end + newline;
    lines->number++;
    if (line.length > 0 && line.data[line.length - 1] == '\r')
        line.length--;
    return line;
}

/* Where the first newline at or after `from` is, or NULL. */
static const char *find_newline(const struct buffer *text, size_t from)
{
    return text->length > from ? memchr(text->data + from, '\n', text->length - from) : NULL;
}

static void drop_cut_text(struct lines *lines)
{
    if (lines->text_at > 0)
        buffer_consume(&lines->text, lines->text_at);
    lines->text_at = 0;
}

static int next_line(struct lines *lines, struct slice *line, struct error *err)
{
    struct buffer *text = &lines->text;
    const char *newline = find_newline(text, lines->text_at);
    while (newline == NULL && !lines->file_ended) {
        drop_cut_text(lines);
        size_t searched = text->length;
        if (searched > LINE_BYTES_MAX)
            return error_set(err, ERR_DATA, "%s:%" PRIu64 ": a line of over %d bytes", lines->path,
                             lines->number + 1, LINE_BYTES_MAX);
        int failed = read_more(lines, err);
        if (failed)
            return failed;
        newline = find_newline(text, searched);
    }
    if (newline != NULL)
        *line = cut_line(lines, (size_t)(newline - text->data), 1);
    else if (text->length > lines->text_at)
        *line = cut_line(lines, text->length, 0); /* the last one, without its newline */
    else
        return 0;
    return 1;
}

int lines_next(struct lines *lines, struct slice *line, struct error *err)
{
    int got;
    do
        got = next_line(lines, line, err);
    while (got == 1 && line->length == 0);
    return got;
}

void lines_put_back(struct lines *lines)
{
    lines->text_at = lines->last_at;
    lines->number--;
}

uint64_t lines_number(const struct lines *lines)
{
    return lines->number;
}

const char *lines_path(const struct lines *lines)
{
    return lines->path;
}

double lines_progress(const struct lines *lines)
{
    if (lines->file_bytes == 0)
        return 0;
    double read = (double)lines->bytes_read / (double)lines->file_bytes;
    return read < 1 ? read : 1;
}

static bool ends_in_zst(const char *path)
{
    size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, ".zst") == 0;
}

static int open_file(struct lines *lines, struct error *err)
{
    lines->file = fopen(lines->path, "rb");
    if (lines->file == NULL)
        return error_set(err, ERR_IO, "%s: %s", lines->path, strerror(errno));
    if (fseeko(lines->file, 0, SEEK_END) == 0) { /* a pipe has no length: no progress then */
        lines->file_bytes = (uint64_t)ftello(lines->file);
        rewind(lines->file);
    }
    lines->in_capacity = ZSTD_DStreamInSize();
    lines->in = mem_alloc(lines->in_capacity);
    if (!ends_in_zst(lines->path))
        return 0;
    lines->zstd = ZSTD_createDStream();
    lines->zstd_hint = 1; /* an empty file is not a whole frame */
    return lines->zstd ? 0 : error_set(err, ERR_IO, "%s: out of memory", lines->path);
}

int lines_open(struct lines **lines, const char *path, struct error *err)
{
    struct lines *opened = mem_zalloc(sizeof *opened);
    opened->path = mem_strdup(path);
    int failed = open_file(opened, err);
    if (failed)
        lines_close(opened);
    else
        *lines = opened;
    return failed;
}

void lines_close(struct lines *lines)
{
    if (lines == NULL)
        return;
    if (lines->file != NULL)
        fclose(lines->file);
    ZSTD_freeDStream(lines->zstd);
    buffer_deinit(&lines->text);
    free(lines->in);
    free(lines->path);
    free(lines);
}
