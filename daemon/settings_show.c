#include "daemon/settings_table.h"

#include <math.h>
#include <string.h>
#include <time.h>

static const struct unit durations[] = {{"ms", 1},     {"s", 1000},    {"m", 60e3},
                                        {"h", 3600e3}, {"d", 86400e3}, {0}};
static const struct unit sizes[] = {
    {"B", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776}, {0}};

const struct unit *row_units(enum row_type type)
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
    const struct unit *units = row_units(type), *unit = limit == 0 ? &units[1] : units;
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
