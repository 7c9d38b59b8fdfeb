/* The lines of a text file, plain or compressed with zstd (".zst"). Blocking; one thread. */
#ifndef FRESHET_CONSUMER_LINES_H
#define FRESHET_CONSUMER_LINES_H

#include "base/error.h"
#include "base/slice.h"

#define LINE_BYTES_MAX (1024 * 1024)

struct lines;

int lines_open(struct lines **lines, const char *path, struct error *err);

/* 1: `line` (without its newline, until the next call), 0: the end, or an error. Empty lines are
 * skipped. */
int lines_next(struct lines *lines, struct slice *line, struct error *err);

/* The line last returned comes again. */
void lines_put_back(struct lines *lines);

uint64_t lines_number(const struct lines *lines); /* of the line last returned, from 1 */
const char *lines_path(const struct lines *lines);
double lines_progress(const struct lines *lines); /* how much of the file was read, 0 to 1 */
void lines_close(struct lines *lines);            /* NULL is allowed */

#endif
