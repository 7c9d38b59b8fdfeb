#include "base/mem.h"
#include "daemon/settings_table.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
        if (!parse_measure(row_units(row->type), text, value))
            return false;
        break;
    }
    return *value >= row->least && *value <= row->most && !(row->above && *value == row->least);
}

/* Converted to the row's own type alone: to a smaller one its range may not fit. */
static void store_number(const struct row *row, char *at, double value)
{
    if (row->type == ROW_REAL) {
        memcpy(at, &value, sizeof value);
    } else if (row->type == ROW_BOOL) {
        bool yes = value != 0;
        memcpy(at, &yes, sizeof yes);
    } else if (row->type == ROW_CHOICE) {
        int number = (int)value;
        memcpy(at, &number, sizeof number);
    } else {
        int64_t whole = (int64_t)value;
        memcpy(at, &whole, sizeof whole);
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
