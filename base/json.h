/* JSON: a writer that appends text to a buffer, and a reader over jansson.
 *
 * The writer is ours because lists are written on the hot path, thousands of items a millisecond:
 * it allocates nothing but the buffer and cannot fail. It is told where objects begin and end and
 * puts the commas itself. Strings must be UTF-8 (ids are checked when they come in); other bytes
 * are written as U+FFFD.
 *
 * The reader is for what is rare: item records, control requests, manifests. A `struct json` is
 * owned by the one who parsed it and released by json_free; values looked up inside it are
 * borrowed. Duplicate keys, trailing bytes, U+0000 and depths over JSON_DEPTH_MAX are errors. One
 * thread at a time.
 *
 * Some of these names are jansson's, too. Hidden visibility keeps ours out of the dynamic linker's
 * sight, so that jansson goes on calling its own. */
#ifndef FRESHET_BASE_JSON_H
#define FRESHET_BASE_JSON_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 64

#pragma GCC visibility push(hidden)

struct json_writer {
    struct buffer *out; /* borrowed */
    bool comma;         /* the next value needs one before it */
};

/* Values. `key` is NULL inside an array or at the top. */
void json_begin_object(struct json_writer *w, const char *key);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w, const char *key);
void json_end_array(struct json_writer *w);
void json_string(struct json_writer *w, const char *key, struct slice value);
void json_text(struct json_writer *w, const char *key, const char *value); /* NULL: null */
void json_int(struct json_writer *w, const char *key, int64_t value);
/* Reads back as the same bits: up to six decimals if they will do, else %.17g; not finite: null. */
void json_real(struct json_writer *w, const char *key, double value);
void json_real6(struct json_writer *w, const char *key, double value); /* six significant digits */
void json_bool(struct json_writer *w, const char *key, bool value);
void json_raw(struct json_writer *w, const char *key, struct slice json); /* already JSON */

/* A key that is data (a user's id, an event type): the value comes next, with key NULL. */
void json_key(struct json_writer *w, struct slice key);

struct json;

/* NULL and err (with line and column) if `text` is not one JSON value. */
struct json *json_parse(struct slice text, struct error *err);
void json_free(struct json *json);

enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
enum json_type json_type(const struct json *json); /* JSON_NULL for NULL */

/* Lookups return NULL where there is nothing of that name or number; all take NULL for `json`. */
const struct json *json_get(const struct json *object, const char *key);
size_t json_count(const struct json *array_or_object);
const struct json *json_at(const struct json *array, size_t index);

/* The value, or `otherwise` if `json` is NULL or of another type. */
struct slice json_get_string(const struct json *object, const char *key, struct slice otherwise);
int64_t json_get_int(const struct json *object, const char *key, int64_t otherwise);
double json_get_number(const struct json *object, const char *key, double otherwise);
bool json_get_bool(const struct json *object, const char *key, bool otherwise);
struct slice json_to_string(const struct json *json, struct slice otherwise);
double json_to_number(const struct json *json, double otherwise);

/* Appends the value as compact JSON. */
void json_write(struct buffer *out, const struct json *json);

/* Calls `visit` for each member of an object, in the order of the text. */
void json_each(const struct json *object,
               void (*visit)(struct slice key, const struct json *value, void *arg), void *arg);

#pragma GCC visibility pop

#endif
