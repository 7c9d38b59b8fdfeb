/* What the fuzz targets share.
 *
 * A target is one function over some bytes (https://llvm.org/docs/LibFuzzer.html). Clang links it
 * with libFuzzer; under gcc it is linked with replay.c, which runs the bytes of files. An input
 * that holds several things is cut up from the front; what the bytes do not say is zero, so that
 * every input means something. */
#ifndef FRESHET_TESTS_FUZZ_H
#define FRESHET_TESTS_FUZZ_H

#include "base/slice.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold of any bytes. */
#define MUST(condition)                                                                \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                   \
        }                                                                              \
    } while (0)

static inline struct slice take_bytes(struct slice *input, uint32_t length)
{
    uint32_t taken = length < input->length ? length : input->length;
    struct slice bytes = {input->data, taken};
    *input = (struct slice){input->data + taken, input->length - taken};
    return bytes;
}

/* A little-endian number of up to eight bytes. */
static inline uint64_t take_number(struct slice *input, uint32_t bytes)
{
    uint64_t number = 0;
    struct slice taken = take_bytes(input, bytes);
    if (taken.length > 0)
        memcpy(&number, taken.data, taken.length);
    return number;
}

/* A copy on the heap, so that a sanitizer sees a read beyond its end. The caller frees. */
static inline char *copy_exactly(struct slice bytes)
{
    char *copy = malloc(bytes.length > 0 ? bytes.length : 1);
    MUST(copy != NULL);
    if (bytes.length > 0)
        memcpy(copy, bytes.data, bytes.length);
    return copy;
}

/* Puts the bytes into a file of this process's own, in memory, for what reads files; its path. */
static inline const char *file_of(const void *data, size_t size, const char *suffix)
{
    static char path[64];
    snprintf(path, sizeof path, "/dev/shm/freshet-fuzz-%d%s", (int)getpid(), suffix);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    return path;
}

#endif
