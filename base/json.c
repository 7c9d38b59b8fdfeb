#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>

/* jansson has names of its own for what json.h calls the same; they step aside here. */
#define json_type jansson_type
#define json_string jansson_string
#define json_real jansson_real
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_REAL JANSSON_REAL
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef json_type
#undef json_string
#undef json_real
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_REAL
#undef JSON_NULL

/* ---- the writer ---- */

/* The length of the UTF-8 sequence at `s` (RFC 3629: shortest form, no surrogates, up to U+10FFFF),
 * or 0 if there is none. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    size_t length = s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return length;
}

static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* The bytes at `s` that cannot be copied as they are; returns how many of them were dealt with. */
static size_t write_special(struct buffer *out, const unsigned char *s, size_t left)
{
    static const char short_names[] = "btn\0fr"; /* for U+0008 to U+000D; 0: no short name */
    size_t length;
    if (*s == '"' || *s == '\\') {
        buffer_byte(out, '\\');
        buffer_byte(out, (char)*s);
    } else if (*s >= 0x80 && (length = utf8_length(s, left)) > 0) {
        buffer_add(out, s, length);
        return length;
    } else if (*s >= 0x80) {
        buffer_text(out, "\xEF\xBF\xBD"); /* U+FFFD */
    } else if (*s >= 8 && *s <= 13 && short_names[*s - 8] != 0) {
        buffer_byte(out, '\\');
        buffer_byte(out, short_names[*s - 8]);
    } else {
        buffer_printf(out, "\\u%04x", *s);
    }
    return 1;
}

static void write_quoted(struct buffer *out, struct slice text)
{
    const unsigned char *s = (const unsigned char *)text.data;
    buffer_reserve(out, (size_t)text.length + 2); /* one growth for the usual string */
    buffer_byte(out, '"');
    for (size_t at = 0; at < text.length;) {
        size_t end = at;
        while (end < text.length && is_plain(s[end]))
            end++;
        buffer_add(out, s + at, end - at);
        at = end;
        if (at < text.length)
            at += write_special(out, s + at, text.length - at);
    }
    buffer_byte(out, '"');
}

/* The comma and the key that go before a value. */
static void begin_value(struct json_writer *w, const char *key)
{
    if (key != NULL)
        json_key(w, slice_of(key));
    else if (w->comma)
        buffer_byte(w->out, ',');
    w->comma = true;
}

void json_key(struct json_writer *w, struct slice key)
{
    if (w->comma)
        buffer_byte(w->out, ',');
    write_quoted(w->out, key);
    buffer_byte(w->out, ':');
    w->comma = false;
}

static void open_bracket(struct json_writer *w, const char *key, char bracket)
{
    begin_value(w, key);
    buffer_byte(w->out, bracket);
    w->comma = false;
}

static void close_bracket(struct json_writer *w, char bracket)
{
    buffer_byte(w->out, bracket);
    w->comma = true;
}

void json_begin_object(struct json_writer *w, const char *key)
{
    open_bracket(w, key, '{');
}

void json_end_object(struct json_writer *w)
{
    close_bracket(w, '}');
}

void json_begin_array(struct json_writer *w, const char *key)
{
    open_bracket(w, key, '[');
}

void json_end_array(struct json_writer *w)
{
    close_bracket(w, ']');
}

void json_raw(struct json_writer *w, const char *key, struct slice json)
{
    begin_value(w, key);
    buffer_add(w->out, json.data, json.length);
}

void json_string(struct json_writer *w, const char *key, struct slice value)
{
    begin_value(w, key);
    write_quoted(w->out, value);
}

void json_text(struct json_writer *w, const char *key, const char *value)
{
    if (value == NULL)
        json_raw(w, key, SLICE("null"));
    else
        json_string(w, key, slice_of(value));
}

void json_bool(struct json_writer *w, const char *key, bool value)
{
    json_raw(w, key, value ? SLICE("true") : SLICE("false"));
}

void json_int(struct json_writer *w, const char *key, int64_t value)
{
    begin_value(w, key);
    if (value < 0)
        buffer_byte(w->out, '-');
    buffer_number(w->out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

#define UNIT_MOST 1000000 /* six decimals */
#define WHOLE_MOST 1e15   /* below 2^53 */

/* unit: 10^decimals */
static void write_fixed(struct buffer *out, bool negative, uint64_t whole, uint64_t unit)
{
    if (negative)
        buffer_byte(out, '-');
    buffer_number(out, whole / unit);
    if (unit > 1)
        buffer_byte(out, '.');
    for (unit /= 10; unit > 0; unit /= 10)
        buffer_byte(out, (char)('0' + whole / unit % 10));
}

/* A number of few decimals as people write it: whole / unit is one rounding of two exact doubles,
 * as reading the text is, so what gives the value here gives it there. */
static bool write_decimal(struct buffer *out, double value)
{
    double size = fabs(value);
    if (value == 0 && signbit(value))
        return false;
    for (uint64_t unit = 1; unit <= UNIT_MOST; unit *= 10) {
        double scaled = size * (double)unit;
        if (!(scaled < WHOLE_MOST))
            return false;
        double whole = rint(scaled);
        if (whole / (double)unit == size) {
            write_fixed(out, value < 0, (uint64_t)whole, unit);
            return true;
        }
    }
    return false;
}

void json_real(struct json_writer *w, const char *key, double value)
{
    begin_value(w, key);
    if (!isfinite(value))
        buffer_text(w->out, "null");
    else if (!write_decimal(w->out, value))
        buffer_printf(w->out, "%.17g", value);
}

#define DIGITS 6

/* Writes `whole` (DIGITS digits, the first worth 10^exponent, -4 to 5) as %.6g would. */
static size_t write_digits(char *text, uint32_t whole, int exponent)
{
    char digits[DIGITS];
    for (int i = DIGITS; i-- > 0; whole /= 10)
        digits[i] = (char)('0' + whole % 10);
    int count = DIGITS;
    while (count > 1 && digits[count - 1] == '0' && count > exponent + 1)
        count--;

    size_t used = 0;
    if (exponent < 0) {
        text[used++] = '0';
        text[used++] = '.';
        for (int i = -1; i > exponent; i--)
            text[used++] = '0';
    }
    for (int i = 0; i < count; i++) {
        if (i == exponent + 1 && i > 0)
            text[used++] = '.';
        text[used++] = digits[i];
    }
    return used;
}

/* Scores are floats of everyday size: value * 10^(5 - exponent) has at most 24 + 21 bits for them,
 * so it is exact and this is %.6g to the letter, at a tenth of its price. */
void json_real6(struct json_writer *w, const char *key, double value)
{
    static const double powers[] = {1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5};
    static const double scales[] = {1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0};
    double size = fabs(value);
    if (!(size >= 1e-4 && size < 999999)) {
        begin_value(w, key);
        if (isfinite(value))
            buffer_printf(w->out, "%.6g", value);
        else
            buffer_text(w->out, "null");
        return;
    }
    int decade = 0;
    while (decade < 9 && size >= powers[decade + 1])
        decade++;
    uint32_t whole = (uint32_t)lrint(size * scales[decade]);
    if (whole == 1000000) { /* 9.999996 rounds up into the next decade */
        whole = 100000;
        decade++;
    }
    char text[16];
    text[0] = '-';
    size_t length = write_digits(text + 1, whole, decade - 4);
    size_t skip = value < 0 ? 0 : 1;
    json_raw(w, key, (struct slice){text + skip, (uint32_t)(length + 1 - skip)});
}

/* ---- the reader ---- */

static const json_t *jansson_of(const struct json *json)
{
    return (const json_t *)json;
}

static const struct json *json_of(const json_t *json)
{
    return (const struct json *)json;
}

/* jansson recurses; its own limit is too deep for a thread with a small stack. */
static bool is_too_deep(struct slice text)
{
    int depth = 0;
    bool quoted = false;
    for (uint32_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        if (depth > JSON_DEPTH_MAX)
            return true;
    }
    return false;
}

struct json *json_parse(struct slice text, struct error *err)
{
    if (is_too_deep(text)) {
        error_set(err, ERR_DATA, "nested deeper than %d", JSON_DEPTH_MAX);
        return NULL;
    }
    if (text.length > 0 &&
        memchr(text.data, 0, text.length) != NULL) { /* jansson passes over some */
        error_set(err, ERR_DATA, "a zero byte");
        return NULL;
    }
    json_error_t what;
    json_t *json =
        json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &what);
    if (json == NULL)
        error_set(err, ERR_DATA, "line %d, column %d: %s", what.line, what.column, what.text);
    return (struct json *)json;
}

void json_free(struct json *json)
{
    json_decref((json_t *)json);
}

enum json_type json_type(const struct json *json)
{
    if (json == NULL)
        return JSON_NULL;
    switch (json_typeof(jansson_of(json))) {
    case JANSSON_OBJECT:
        return JSON_OBJECT;
    case JANSSON_ARRAY:
        return JSON_ARRAY;
    case JANSSON_STRING:
        return JSON_STRING;
    case JSON_INTEGER:
        return JSON_INT;
    case JANSSON_REAL:
        return JSON_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_BOOL;
    case JANSSON_NULL:
        break;
    }
    return JSON_NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
    return json_of(json_object_get(jansson_of(object), key));
}

size_t json_count(const struct json *array_or_object)
{
    return json_type(array_or_object) == JSON_ARRAY ? json_array_size(jansson_of(array_or_object))
                                                    : json_object_size(jansson_of(array_or_object));
}

const struct json *json_at(const struct json *array, size_t index)
{
    return json_of(json_array_get(jansson_of(array), index));
}

struct slice json_to_string(const struct json *json, struct slice otherwise)
{
    if (json_type(json) != JSON_STRING)
        return otherwise;
    return (struct slice){json_string_value(jansson_of(json)),
                          (uint32_t)json_string_length(jansson_of(json))};
}

double json_to_number(const struct json *json, double otherwise)
{
    enum json_type type = json_type(json);
    if (type != JSON_INT && type != JSON_REAL)
        return otherwise;
    return json_number_value(jansson_of(json));
}

struct slice json_get_string(const struct json *object, const char *key, struct slice otherwise)
{
    return json_to_string(json_get(object, key), otherwise);
}

double json_get_number(const struct json *object, const char *key, double otherwise)
{
    return json_to_number(json_get(object, key), otherwise);
}

int64_t json_get_int(const struct json *object, const char *key, int64_t otherwise)
{
    const struct json *value = json_get(object, key);
    return json_type(value) == JSON_INT ? json_integer_value(jansson_of(value)) : otherwise;
}

bool json_get_bool(const struct json *object, const char *key, bool otherwise)
{
    const struct json *value = json_get(object, key);
    return json_type(value) == JSON_BOOL ? json_is_true(jansson_of(value)) : otherwise;
}

void json_each(const struct json *object,
               void (*visit)(struct slice key, const struct json *value, void *arg), void *arg)
{
    json_t *owner = (json_t *)jansson_of(object); /* iterators ask for one that is not const */
    for (void *at = json_object_iter(owner); at != NULL; at = json_object_iter_next(owner, at))
        visit((struct slice){json_object_iter_key(at), (uint32_t)json_object_iter_key_len(at)},
              json_of(json_object_iter_value(at)), arg);
}

static int append_text(const char *text, size_t length, void *out)
{
    buffer_add(out, text, length);
    return 0;
}

void json_write(struct buffer *out, const struct json *json)
{
    json_dump_callback(jansson_of(json), append_text, out, JSON_COMPACT | JSON_ENCODE_ANY);
}
