#include "base/mem.h"
#include "daemon/settings_table.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct unit {
    const char *name;
    double factor;
};

/* Ascending, each a multiple of the one before. */
static const struct unit durations[] = {{"ms", 1},     {"s", 1000},    {"m", 60e3},
                                        {"h", 3600e3}, {"d", 86400e3}, {0}};
static const struct unit sizes[] = {
    {"B", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776}, {0}};

static const struct unit *units_of(enum row_type type)
{
    return type == ROW_DURATION ? durations : sizes;
}

const char *row_type_name(const struct row *row)
{
    static const char *const names[ROW_TYPE_COUNT] = {
        [ROW_INT] = "whole number",
        [ROW_REAL] = "number",
        [ROW_BOOL] = "true or false",
        [ROW_TEXT] = "text",
        [ROW_SECRET] = "text or secret",
        [ROW_DURATION] = "duration",
        [ROW_SIZE] = "size",
        [ROW_TIME] = "time",
        [ROW_CHOICE] = "choice",
        [ROW_TEXTS] = "list of texts",
        [ROW_PROPERTY] = "text or secret",
    };
    return names[row->type];
}

/* The limit in its largest unit that divides it: 604800000 ms is "7d", 0 is "0s". */
static void write_limit(struct buffer *out, enum row_type type, double limit)
{
    if (type != ROW_DURATION && type != ROW_SIZE) {
        buffer_printf(out, "%.16g", limit);
        return;
    }
    const struct unit *units = units_of(type), *unit = limit == 0 ? &units[1] : units;
    while (limit != 0 && unit[1].name != NULL && fmod(limit, unit[1].factor) == 0)
        unit++;
    buffer_printf(out, "%.16g%s", limit / unit->factor, unit->name);
}

static void write_names(struct buffer *out, const struct row *row)
{
    for (int i = 0; i < row->name_count; i++)
        buffer_printf(out, "%s%s",
                      i == 0                                          ? ""
                      : i + 1 == row->name_count && row->word == NULL ? " or "
                                                                      : ", ",
                      row->names[i]);
}

void row_write_range(struct buffer *out, const struct row *row)
{
    switch (row->type) {
    case ROW_INT:
    case ROW_REAL:
    case ROW_DURATION:
    case ROW_SIZE:
        if (row->above)
            buffer_text(out, "above ");
        write_limit(out, row->type, row->least);
        buffer_text(out, row->above ? ", up to " : " to ");
        write_limit(out, row->type, row->most);
        break;
    case ROW_CHOICE:
        write_names(out, row);
        break;
    default:
        break;
    }
    if (row->word != NULL)
        buffer_printf(out, "%s or %s", row->type == ROW_CHOICE ? "" : ",", row->word);
}

/* "must be a duration like 250ms, 10s, 5m, 6h or 30d (10ms to 5m)": the whole truth in a line. */
static int refuse(const struct row *row, struct error *err)
{
    static const char *const what[ROW_TYPE_COUNT] = {
        [ROW_INT] = "a whole number",
        [ROW_REAL] = "a number",
        [ROW_BOOL] = "true or false",
        [ROW_DURATION] = "a duration like 250ms, 10s, 5m, 6h or 30d",
        [ROW_SIZE] = "a size like 64KiB, 256MiB or 4GiB",
        [ROW_TIME] = "a time like 2026-11-01T00:00:00Z, in UTC",
        [ROW_CHOICE] = "one of",
    };
    struct buffer range = {0};
    row_write_range(&range, row);
    const char *before = range.length == 0 ? "" : row->type == ROW_CHOICE ? " " : ", ";
    error_set(err, ERR_SETTINGS, "must be %s%s%.*s", what[row->type], before,
              SLICE_ARG(buffer_slice(&range)));
    buffer_deinit(&range);
    return ERR_SETTINGS;
}

static bool starts_like_a_number(const char *text)
{
    if (*text == '-' || *text == '+')
        text++;
    return (*text >= '0' && *text <= '9') || (*text == '.' && text[1] >= '0' && text[1] <= '9');
}

/* A finite decimal number; strtod alone would take "nan", "0x1p3" and leading spaces. */
static bool parse_real(const char *text, double *value)
{
    char *end;
    if (!starts_like_a_number(text) || strpbrk(text, "xX") != NULL)
        return false;
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value);
}

static bool parse_whole(const char *text, const char **rest, double *value)
{
    char *end;
    if (!starts_like_a_number(text))
        return false;
    errno = 0;
    long long whole = strtoll(text, &end, 10);
    *value = (double)whole;
    *rest = end;
    return errno == 0;
}

static bool parse_measure(const struct unit *units, const char *text, double *value)
{
    const char *name;
    if (!parse_whole(text, &name, value))
        return false;
    for (const struct unit *unit = units; unit->name != NULL; unit++)
        if (strcmp(unit->name, name) == 0) {
            *value *= unit->factor;
            return true;
        }
    return false;
}

static bool is_like(const char *text, const char *pattern) /* a 0 stands for any digit */
{
    for (; *pattern != '\0'; text++, pattern++)
        if (*pattern == '0' ? *text < '0' || *text > '9' : *text != *pattern)
            return false;
    return *text == '\0';
}

/* ISO 8601, UTC, to the second. The calendar has the last word: no 30th of February. */
static bool parse_time(const char *text, int64_t *ms)
{
    struct tm given = {0}, normal;
    if (!is_like(text, "0000-00-00T00:00:00Z") ||
        sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &given.tm_year, &given.tm_mon, &given.tm_mday,
               &given.tm_hour, &given.tm_min, &given.tm_sec) != 6)
        return false;
    given.tm_year -= 1900;
    given.tm_mon--;
    normal = given;
    *ms = (int64_t)timegm(&normal) * 1000;
    return normal.tm_year == given.tm_year && normal.tm_mon == given.tm_mon &&
           normal.tm_mday == given.tm_mday && normal.tm_hour == given.tm_hour &&
           normal.tm_min == given.tm_min && normal.tm_sec == given.tm_sec;
}

static bool parse_name(const struct row *row, const char *text, double *value)
{
    for (int i = 0; i < row->name_count; i++)
        if (strcmp(row->names[i], text) == 0) {
            *value = i;
            return true;
        }
    return false;
}

/* The value as a number, whatever the type; false if the text is none of its type and range. */
static bool parse_number(const struct row *row, const char *text, double *value)
{
    const char *rest = "";
    if (row->word != NULL && strcmp(text, row->word) == 0) {
        *value = row->word_value;
        return true;
    }
    switch (row->type) {
    case ROW_BOOL:
        *value = strcmp(text, "true") == 0;
        return *value == 1 || strcmp(text, "false") == 0;
    case ROW_CHOICE:
        return parse_name(row, text, value);
    case ROW_REAL:
        if (!parse_real(text, value))
            return false;
        break;
    case ROW_INT:
        if (!parse_whole(text, &rest, value) || *rest != '\0')
            return false;
        break;
    default:
        if (!parse_measure(units_of(row->type), text, value))
            return false;
        break;
    }
    return *value >= row->least && *value <= row->most && !(row->above && *value == row->least);
}

static void store_number(const struct row *row, char *at, double value)
{
    int64_t whole = (int64_t)value;
    int number = (int)value;
    bool yes = value != 0;
    switch (row->type) {
    case ROW_REAL:
        memcpy(at, &value, sizeof value);
        break;
    case ROW_BOOL:
        memcpy(at, &yes, sizeof yes);
        break;
    case ROW_CHOICE:
        memcpy(at, &number, sizeof number);
        break;
    default:
        memcpy(at, &whole, sizeof whole);
        break;
    }
}
_Static_assert(sizeof(enum objective) == sizeof(int), "a choice is stored as an int");

static void store_text(char *at, char *text)
{
    char *old;
    memcpy(&old, at, sizeof old);
    free(old);
    memcpy(at, &text, sizeof text);
}

int row_parse(const struct row *row, void *base, const char *text, struct error *err)
{
    char *at = (char *)base + row->offset;
    if (row->type == ROW_TEXT) {
        store_text(at, mem_strdup(text));
        return 0;
    }
    if (row->type == ROW_SECRET) {
        char *secret = secret_find(text, err);
        if (secret == NULL)
            return ERR_SETTINGS;
        store_text(at, secret);
        return 0;
    }
    if (row->type == ROW_TIME) {
        int64_t ms = row->none;
        if (*text != '\0' && !parse_time(text, &ms))
            return refuse(row, err);
        memcpy(at, &ms, sizeof ms);
        return 0;
    }
    double value;
    if (!parse_number(row, text, &value))
        return refuse(row, err);
    store_number(row, at, value);
    return 0;
}

void row_reset(const struct row *row, void *base)
{
    struct error err;
    bool single = row->type != ROW_TEXTS && row->type != ROW_PROPERTY;
    if (single && row_parse(row, base, row->standard, &err) != 0)
        abort(); /* the table contradicts itself; every start and every test passes here */
}

/* ---- what is stored ---- */

static double load_number(const struct row *row, const char *at)
{
    double real;
    int64_t whole;
    int number;
    switch (row->type) {
    case ROW_REAL:
        memcpy(&real, at, sizeof real);
        return real;
    case ROW_CHOICE:
        memcpy(&number, at, sizeof number);
        return number;
    case ROW_BOOL:
        return *(const bool *)at;
    default:
        memcpy(&whole, at, sizeof whole);
        return (double)whole;
    }
}

static const char *load_text(const char *at)
{
    const char *text;
    memcpy(&text, at, sizeof text);
    return text;
}

static const struct slice *load_texts(const char *at, size_t *count)
{
    const struct slice *texts;
    memcpy(&texts, at, sizeof texts);
    memcpy(count, at + sizeof texts, sizeof *count);
    return texts;
}

static bool equal_texts(const char *a, const char *b)
{
    size_t count, other_count;
    const struct slice *texts = load_texts(a, &count), *others = load_texts(b, &other_count);
    bool equal = count == other_count;
    for (size_t i = 0; equal && i < count; i++)
        equal = slice_equal(texts[i], others[i]);
    return equal;
}

bool row_equal(const struct row *row, const void *base, const void *other)
{
    const char *a = (const char *)base + row->offset, *b = (const char *)other + row->offset;
    switch (row->type) {
    case ROW_TEXT:
    case ROW_SECRET:
        return strcmp(load_text(a), load_text(b)) == 0;
    case ROW_TEXTS:
        return equal_texts(a, b);
    case ROW_TIME: /* its ends are no doubles */
        return memcmp(a, b, sizeof(int64_t)) == 0;
    default:
        return load_number(row, a) == load_number(row, b);
    }
}

static void write_time(struct buffer *out, const struct row *row, const char *at)
{
    int64_t ms;
    memcpy(&ms, at, sizeof ms);
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[32];
    if (ms != row->none && gmtime_r(&seconds, &tm) != NULL &&
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        buffer_text(out, text);
}

static void write_texts(struct buffer *out, const char *at)
{
    size_t count;
    const struct slice *texts = load_texts(at, &count);
    buffer_byte(out, '[');
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "%s%.*s", i > 0 ? ", " : "", SLICE_ARG(texts[i]));
    buffer_byte(out, ']');
}

static void write_number(struct buffer *out, const struct row *row, double value)
{
    if (row->word != NULL && value == row->word_value)
        buffer_text(out, row->word);
    else if (row->type == ROW_CHOICE)
        buffer_text(out, row->names[(int)value]);
    else if (row->type == ROW_BOOL)
        buffer_text(out, value != 0 ? "true" : "false");
    else
        write_limit(out, row->type, value);
}

void row_write_value(struct buffer *out, const struct row *row, const void *base)
{
    const char *at = (const char *)base + row->offset;
    if (row->type == ROW_TEXT)
        buffer_text(out, load_text(at));
    else if (row->type == ROW_TIME)
        write_time(out, row, at);
    else if (row->type == ROW_TEXTS)
        write_texts(out, at);
    else
        write_number(out, row, load_number(row, at));
}
