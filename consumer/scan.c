#include "consumer/scan.h"
#include "consumer/scan_bytes.h"

void scan_init(struct scan *scan, struct slice text, struct batch *batch, int depth_max)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    *scan = (struct scan){bytes, bytes + text.length, batch, depth_max};
}

/* ---- white space and punctuation ---- */

static inline void skip_space(struct scan *scan)
{
    const unsigned char *at = scan->at;
    while (at < scan->end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    scan->at = at;
}

/* Passes over `byte`, after white space; false if something else is there. */
static inline bool take_byte(struct scan *scan, unsigned char byte)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != byte)
        return false;
    scan->at++;
    return true;
}

static bool take_word(struct scan *scan, const char *word, size_t length)
{
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
        return false;
    scan->at += length;
    return true;
}

bool scan_at_end(struct scan *scan)
{
    skip_space(scan);
    return scan->at == scan->end;
}

/* ---- strings ---- */

static int hex_digit(unsigned char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The four digits of \uXXXX, or -1. */
static int take_hex4(struct scan *scan)
{
    if (scan->end - scan->at < 4)
        return -1;
    int unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*scan->at++);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* The code point of a \u escape, whose second half must follow if it is a high surrogate. */
static int take_code_point(struct scan *scan)
{
    int unit = take_hex4(scan);
    if (unit <= 0 || (unit >= 0xDC00 && unit <= 0xDFFF))
        return -1;
    if (unit < 0xD800 || unit > 0xDBFF)
        return unit;
    if (!take_word(scan, "\\u", 2))
        return -1;
    int low = take_hex4(scan);
    if (low < 0xDC00 || low > 0xDFFF)
        return -1;
    return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

static char *put_utf8(char *out, int point)
{
    if (point < 0x80) {
        *out++ = (char)point;
    } else if (point < 0x800) {
        *out++ = (char)(0xC0 | point >> 6);
        *out++ = (char)(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        *out++ = (char)(0xE0 | point >> 12);
        *out++ = (char)(0x80 | (point >> 6 & 0x3F));
        *out++ = (char)(0x80 | (point & 0x3F));
    } else {
        *out++ = (char)(0xF0 | point >> 18);
        *out++ = (char)(0x80 | (point >> 12 & 0x3F));
        *out++ = (char)(0x80 | (point >> 6 & 0x3F));
        *out++ = (char)(0x80 | (point & 0x3F));
    }
    return out;
}

/* What follows a backslash; -1 if it is no escape. */
static int take_escape(struct scan *scan)
{
    if (scan->at == scan->end)
        return -1;
    switch (*scan->at++) {
    case '"':
        return '"';
    case '\\':
        return '\\';
    case '/':
        return '/';
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'u':
        return take_code_point(scan);
    default:
        return -1;
    }
}

/* The rest of a string from its first backslash on, unescaped to `out` if that is not NULL. */
static bool take_escaped(struct scan *scan, char **out)
{
    while (scan->at < scan->end) {
        const unsigned char *from = scan->at;
        scan->at = bytes_plain_end(from, scan->end);
        if (*out != NULL) {
            memcpy(*out, from, (size_t)(scan->at - from));
            *out += scan->at - from;
        }
        if (scan->at == scan->end || *scan->at < 0x20)
            return false;
        if (*scan->at++ == '"')
            return true;
        int point = take_escape(scan);
        if (point < 0)
            return false;
        if (*out != NULL)
            *out = put_utf8(*out, point);
    }
    return false;
}

/* No escape is shorter than what it stands for, so what is left of the raw string bounds its copy;
 * where that ends is not known yet, but the next quote without a backslash is not far. */
static size_t raw_length(const unsigned char *at, const unsigned char *end)
{
    const unsigned char *from = at;
    while (at < end && *at != '"')
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    return (size_t)(at - from);
}

/* A string whose opening quote has been passed; `text` may be NULL if it is not wanted. */
static bool take_string(struct scan *scan, struct slice *text)
{
    const unsigned char *from = scan->at;
    scan->at = bytes_plain_end(from, scan->end);
    if (scan->at == scan->end || *scan->at < 0x20)
        return false;
    size_t plain = (size_t)(scan->at - from);
    if (*scan->at == '"') {
        scan->at++;
        if (text != NULL)
            *text = (struct slice){(const char *)from, (uint32_t)plain};
        return true;
    }
    char *out = NULL, *copy = NULL;
    if (text != NULL) {
        copy = batch_alloc(scan->batch, plain + raw_length(scan->at, scan->end) + 1);
        memcpy(copy, from, plain);
        out = copy + plain;
    }
    if (!take_escaped(scan, &out))
        return false;
    if (text != NULL)
        *text = (struct slice){copy, (uint32_t)(out - copy)};
    return true;
}

/* ---- values ---- */

bool scan_object(struct scan *scan)
{
    return scan->depth_left-- > 0 && take_byte(scan, '{');
}

static bool take_key(struct scan *scan, struct slice *key)
{
    return take_byte(scan, '"') && take_string(scan, key) && take_byte(scan, ':');
}

/* An error leaves `at` where no closing brace is, so that scan_object_end sees it. */
static bool refuse(struct scan *scan)
{
    scan->at = scan->end;
    return false;
}

bool scan_member(struct scan *scan, bool *first, struct slice *key)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at == '}')
        return false;
    if (!*first && !take_byte(scan, ','))
        return refuse(scan);
    *first = false;
    return take_key(scan, key) || refuse(scan);
}

bool scan_object_end(struct scan *scan)
{
    scan->depth_left++;
    return take_byte(scan, '}');
}

static bool skip_object(struct scan *scan)
{
    if (!scan_object(scan))
        return false;
    if (!take_byte(scan, '}')) {
        do {
            if (!take_key(scan, NULL) || !scan_skip(scan))
                return false;
        } while (take_byte(scan, ','));
        if (!take_byte(scan, '}'))
            return false;
    }
    scan->depth_left++;
    return true;
}

static bool skip_array(struct scan *scan)
{
    if (scan->depth_left-- <= 0 || !take_byte(scan, '['))
        return false;
    if (!take_byte(scan, ']')) {
        do {
            if (!scan_skip(scan))
                return false;
        } while (take_byte(scan, ','));
        if (!take_byte(scan, ']'))
            return false;
    }
    scan->depth_left++;
    return true;
}

static bool take_value(struct scan *scan, struct scan_value *value, struct slice *text)
{
    skip_space(scan);
    if (scan->at == scan->end)
        return false;
    switch (*scan->at) {
    case '"':
        scan->at++;
        value->type = SCAN_STRING;
        return take_string(scan, text);
    case '{':
        value->type = SCAN_CONTAINER;
        return skip_object(scan);
    case '[':
        value->type = SCAN_CONTAINER;
        return skip_array(scan);
    case 't':
        value->type = SCAN_BOOL;
        return take_word(scan, "true", 4);
    case 'f':
        value->type = SCAN_BOOL;
        return take_word(scan, "false", 5);
    case 'n':
        value->type = SCAN_NULL;
        return take_word(scan, "null", 4);
    default:
        return scan_number(scan, value);
    }
}

bool scan_value(struct scan *scan, struct scan_value *value)
{
    return take_value(scan, value, &value->text);
}

bool scan_skip(struct scan *scan)
{
    struct scan_value ignored;
    return take_value(scan, &ignored, NULL);
}
