/* A strict JSON scanner over bytes that are known to be UTF-8: the decoder's eyes.
 *
 * It walks a text once, from value to value, and builds nothing: a string without escapes is a
 * slice of the text, one with escapes is unescaped into the batch if it is wanted. What it refuses
 * is what RFC 8259 refuses, plus what would be ambiguous or unbounded for us, as in base/json.h:
 * U+0000, integers outside 64 bits, reals that overflow, depths over the limit. After a refusal
 * (false) the scan is of no further use. One thread. */
#ifndef FRESHET_CONSUMER_SCAN_H
#define FRESHET_CONSUMER_SCAN_H

#include "consumer/event.h"

struct scan {
    const unsigned char *at;
    const unsigned char *end;
    struct batch *batch; /* where unescaped strings go */
    int depth_left;      /* containers that may still be opened */
};

enum scan_type { SCAN_NULL, SCAN_BOOL, SCAN_INT, SCAN_REAL, SCAN_STRING, SCAN_CONTAINER };

struct scan_value {
    enum scan_type type;
    struct slice text; /* of a string: unescaped; of an integer: its digits */
    int64_t integer;   /* of SCAN_INT */
    double number;     /* of SCAN_INT and SCAN_REAL */
};

/* Whether the bytes are UTF-8 (RFC 3629: no overlong forms, no surrogates, up to U+10FFFF). */
bool utf8_is_valid(struct slice bytes);

void scan_init(struct scan *scan, struct slice text, struct batch *batch, int depth_max);

/* The members of an object, one by one:
 *     if (!scan_object(&scan)) ...
 *     while (scan_member(&scan, &first, &key)) { scan_value() or scan_skip() }
 *     if (!scan_object_end(&scan)) ...
 * scan_member is false at the closing brace and at an error; scan_object_end tells which. */
bool scan_object(struct scan *scan);
bool scan_member(struct scan *scan, bool *first, struct slice *key);
bool scan_object_end(struct scan *scan);

/* One value with what it says; a container is checked and passed over. */
bool scan_value(struct scan *scan, struct scan_value *value);

/* A number, where a value that is nothing else begins. */
bool scan_number(struct scan *scan, struct scan_value *value);

/* One value of any kind, checked and passed over. */
bool scan_skip(struct scan *scan);

/* Whether nothing but white space is left. */
bool scan_at_end(struct scan *scan);

#endif
