/* The dashboard's files, in the binary: monitor/web/ and Chart.js, embedded by scripts/embed.py at
 * build.
 *
 * "/" is the page; the others are under "/assets/". Any thread; nothing is ever freed. */
#ifndef FRESHET_MONITOR_ASSETS_H
#define FRESHET_MONITOR_ASSETS_H

#include "base/slice.h"

#include <stddef.h>

struct asset {
    const char *path;         /* as in the request: "/", "/assets/dashboard.css" */
    const char *content_type; /* the header's value, with the character set */
    const unsigned char *bytes;
    size_t length;
    const char *etag; /* the header's value, with its quotes; changes with the bytes */
};

/* NULL if there is no such file. The path is compared byte by byte: no query, no decoding, no "..".
 */
const struct asset *assets_find(struct slice path);

#endif
