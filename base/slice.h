/* A run of bytes that belongs to somebody else. Not NUL-terminated; print with "%.*s". */
#ifndef FRESHET_BASE_SLICE_H
#define FRESHET_BASE_SLICE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data; /* NULL only where "absent" is a meaning of its own */
    uint32_t length;  /* bytes */
};

#define SLICE(text) ((struct slice){(text), (uint32_t)(sizeof(text) - 1)})
#define SLICE_ARG(slice) (int)(slice).length, (slice).data

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, (uint32_t)strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* Byte order, the shorter first where one begins the other: the order of item ids everywhere. */
static inline int slice_compare(struct slice a, struct slice b)
{
    uint32_t common = a.length < b.length ? a.length : b.length;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return a.length < b.length ? -1 : a.length > b.length;
}

#endif
