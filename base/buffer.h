/* A growing run of bytes: what JSON, Redis commands and state values are written into.
 *
 * Zero-initialise or use buffer_clear between uses (keeps the memory); buffer_deinit gives the
 * memory back. One thread at a time. Never fails (see base/mem.h). */
#ifndef FRESHET_BASE_BUFFER_H
#define FRESHET_BASE_BUFFER_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data;      /* owned */
    size_t length;   /* bytes in use */
    size_t capacity; /* bytes allocated */
};

void buffer_deinit(struct buffer *buffer);
void buffer_clear(struct buffer *buffer);

/* Room for `bytes` more; returns where they begin. The caller adds to `length` what it wrote. */
char *buffer_reserve(struct buffer *buffer, size_t bytes);
void buffer_add(struct buffer *buffer, const void *data, size_t bytes);
void buffer_text(struct buffer *buffer, const char *text);
void buffer_byte(struct buffer *buffer, char byte);
void buffer_number(struct buffer *buffer, uint64_t number); /* in decimal digits */
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drops the first `bytes` bytes and moves the rest to the front. */
void buffer_consume(struct buffer *buffer, size_t bytes);

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){buffer->data, (uint32_t)buffer->length};
}

#endif
