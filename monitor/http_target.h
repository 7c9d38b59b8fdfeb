/* What a request asks for: path and parameters, taken apart and decoded (RFC 3986, section 2.1).
 *
 * The path is split at its slashes before it is decoded, so that a segment may hold "%2F". Refused:
 * a percent sign without two hexadecimal digits behind it, and %00, which no id has. Whether the
 * bytes are UTF-8 is the handler's business. Plain memory, one thread at a time. */
#ifndef FRESHET_MONITOR_HTTP_TARGET_H
#define FRESHET_MONITOR_HTTP_TARGET_H

#include "base/error.h"
#include "base/slice.h"

#include <stddef.h>

#define HTTP_SEGMENTS_MAX 8
#define HTTP_PARAMETERS_MAX 64

struct http_parameter {
    struct slice name, value; /* value: empty where there was none */
};

struct http_target {
    struct slice path; /* as it came */
    struct slice segments[HTTP_SEGMENTS_MAX];
    struct http_parameter parameters[HTTP_PARAMETERS_MAX]; /* in their order; names may repeat */
    size_t segment_count, parameter_count;
    char *texts[2 + 2 * HTTP_PARAMETERS_MAX]; /* owned, what the slices point to */
    size_t text_count;
};

/* Empty to begin with: zero-initialise. ERR_DATA with a sentence; all can be released afterwards.
 */
int http_target_set_path(struct http_target *target, struct slice path, struct error *err);
/* `name` and `value` as they came, but for plus signs, which stand for spaces, replaced. */
int http_target_add(struct http_target *target, struct slice name, struct slice value,
                    struct error *err);
/* "a=1&b=2": application/x-www-form-urlencoded. */
int http_target_add_form(struct http_target *target, struct slice form, struct error *err);
void http_target_deinit(struct http_target *target);

#endif
