/* The dashboard's files, in the binary: made at build time from monitor/web/. Constant; any thread.
 */
#ifndef FRESHET_MONITOR_ASSETS_H
#define FRESHET_MONITOR_ASSETS_H

#include "base/slice.h"

#include <stddef.h>

struct asset {
    const char *path; /* of the request: "/", "/assets/app.js" */
    const char *content_type;
    const unsigned char *bytes;
    size_t length;
    const char *etag; /* with its quotes; another one when the bytes are other ones */
};

/* NULL if there is none. */
const struct asset *assets_find(struct slice path);

#endif
