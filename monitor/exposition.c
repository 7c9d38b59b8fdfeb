#include "monitor/exposition.h"
#include "base/hash.h"
#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const type_names[] = {"counter", "gauge", "histogram", "summary"};

void exposition_init(struct exposition *e, const struct metric_row *rows, size_t row_count)
{
    *e = (struct exposition){.rows = rows, .row_count = row_count};
    e->families = mem_zalloc(row_count * sizeof *e->families);
}

void exposition_deinit(struct exposition *e)
{
    for (size_t i = 0; i < e->row_count; i++)
        buffer_deinit(&e->families[i]);
    free(e->families);
    free(e->seen);
    *e = (struct exposition){0};
}

/* -- what the table allows --------------------------------------------------------------------- */

/* The row of this name, or NULL. */
static const struct metric_row *find_row(struct exposition *e, const char *name)
{
    for (size_t tried = 0; tried < e->row_count; tried++) {
        size_t at = (e->last + tried) % e->row_count;
        if (strcmp(e->rows[at].name, name) != 0)
            continue;
        e->last = at;
        return &e->rows[at];
    }
    return NULL;
}

static bool labels_fit(const struct metric_row *row, const struct metric_label *labels)
{
    static const struct metric_label none[] = {{NULL, NULL}};
    labels = labels != NULL ? labels : none;
    int i = 0;
    for (; i < METRIC_LABELS_MAX && row->labels[i] != NULL; i++)
        if (labels[i].name == NULL || labels[i].value == NULL ||
            strcmp(labels[i].name, row->labels[i]) != 0)
            return false;
    return labels[i].name == NULL;
}

/* A set of hashes, at most half full. */
static void insert(uint64_t *seen, size_t max, uint64_t hash)
{
    size_t at = hash & (max - 1);
    while (seen[at] != 0)
        at = (at + 1) & (max - 1);
    seen[at] = hash;
}

static bool was_seen(const struct exposition *e, uint64_t hash)
{
    if (e->seen_max == 0)
        return false;
    size_t at = hash & (e->seen_max - 1);
    while (e->seen[at] != 0 && e->seen[at] != hash)
        at = (at + 1) & (e->seen_max - 1);
    return e->seen[at] == hash;
}

static void grow_seen(struct exposition *e)
{
    size_t max = e->seen_max ? 2 * e->seen_max : 256;
    uint64_t *seen = mem_zalloc(max * sizeof *seen);
    for (size_t i = 0; i < e->seen_max; i++)
        if (e->seen[i] != 0)
            insert(seen, max, e->seen[i]);
    free(e->seen);
    e->seen = seen;
    e->seen_max = max;
}

static uint64_t series_hash(const struct metric_row *row, const struct metric_label *labels)
{
    uint64_t hash = hash_stable(row->name, strlen(row->name));
    for (int i = 0; i < METRIC_LABELS_MAX && row->labels[i] != NULL; i++)
        hash = hash_stable_with(labels[i].value, strlen(labels[i].value), hash);
    return hash | 1; /* 0 is a free place */
}

/* Whether this series had not been added; from now on it has. */
static bool is_new_series(struct exposition *e, const struct metric_row *row,
                          const struct metric_label *labels)
{
    uint64_t hash = series_hash(row, labels);
    if (was_seen(e, hash))
        return false;
    if (2 * (e->seen_count + 1) > e->seen_max)
        grow_seen(e);
    insert(e->seen, e->seen_max, hash);
    e->seen_count++;
    return true;
}

/* The row that the series belongs to, or NULL: it is left out, and that counted. */
static const struct metric_row *admit(struct exposition *e, const char *name, bool type_fits,
                                      const struct metric_label *labels)
{
    const struct metric_row *row = find_row(e, name);
    if (row != NULL && type_fits && labels_fit(row, labels) && is_new_series(e, row, labels))
        return row;
    e->left_out++;
    return NULL;
}

static bool has_type(struct exposition *e, const char *name, enum metric_type type)
{
    const struct metric_row *row = find_row(e, name);
    return row != NULL && row->type == type;
}

/* -- text -------------------------------------------------------------------------------------- */

/* In HELP a quote is a quote; in a label's value it is escaped. */
static void write_escaped(struct buffer *out, const char *text, bool is_label)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\' || (is_label && *text == '"'))
            buffer_byte(out, '\\');
        if (*text == '\n')
            buffer_text(out, "\\n");
        else
            buffer_byte(out, *text);
    }
}

/* The shortest decimal that reads back as the same double. */
static void write_number(struct buffer *out, double value)
{
    char text[32];
    if (isinf(value)) {
        buffer_text(out, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buffer_text(out, text);
}

static void write_label(struct buffer *out, const char *name, const char *value, bool is_first)
{
    buffer_text(out, is_first ? "{" : ",");
    buffer_text(out, name);
    buffer_text(out, "=\"");
    write_escaped(out, value, true);
    buffer_byte(out, '"');
}

/* One line. `le` NULL: not of a bucket. */
static void write_sample(struct exposition *e, const struct metric_row *row, const char *suffix,
                         const struct metric_label *labels, const char *le, double value)
{
    struct buffer *out = &e->families[row - e->rows];
    bool is_first = true;
    buffer_text(out, row->name);
    buffer_text(out, suffix);
    for (int i = 0; i < METRIC_LABELS_MAX && row->labels[i] != NULL; i++, is_first = false)
        write_label(out, labels[i].name, labels[i].value, is_first);
    if (le != NULL)
        write_label(out, "le", le, is_first);
    buffer_text(out, le == NULL && is_first ? " " : "} ");
    write_number(out, value);
    buffer_byte(out, '\n');
}

/* -- series ------------------------------------------------------------------------------------ */

void exposition_add(struct exposition *e, const char *name, const struct metric_label *labels,
                    double value)
{
    bool is_gauge = has_type(e, name, METRIC_GAUGE);
    if (is_gauge && isnan(value))
        return;
    bool is_counter = has_type(e, name, METRIC_COUNTER) && value >= 0;
    const struct metric_row *row = admit(e, name, is_gauge || is_counter, labels);
    if (row != NULL)
        write_sample(e, row, "", labels, NULL, value);
}

void exposition_add_histogram(struct exposition *e, const char *name,
                              const struct metric_label *labels, const struct histogram *histogram)
{
    const struct metric_row *row = admit(e, name, has_type(e, name, METRIC_HISTOGRAM), labels);
    if (row == NULL)
        return;
    uint64_t counts[HISTOGRAM_BOUNDS];
    histogram_cumulate(histogram, counts);
    for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
        char le[32];
        snprintf(le, sizeof le, "%g", histogram_bounds_ms[i] / 1e3);
        write_sample(e, row, "_bucket", labels, le, (double)counts[i]);
    }
    write_sample(e, row, "_bucket", labels, "+Inf", (double)histogram->count);
    write_sample(e, row, "_sum", labels, NULL, histogram->sum_ms / 1e3);
    write_sample(e, row, "_count", labels, NULL, (double)histogram->count);
}

void exposition_add_summary(struct exposition *e, const char *name,
                            const struct metric_label *labels, uint64_t count, double sum)
{
    bool fits = has_type(e, name, METRIC_SUMMARY) && !isnan(sum);
    const struct metric_row *row = admit(e, name, fits, labels);
    if (row == NULL)
        return;
    write_sample(e, row, "_sum", labels, NULL, sum);
    write_sample(e, row, "_count", labels, NULL, (double)count);
}

/* -- all of it --------------------------------------------------------------------------------- */

static void write_family(const struct metric_row *row, const struct buffer *series,
                         struct buffer *out)
{
    buffer_printf(out, "# HELP %s ", row->name);
    write_escaped(out, row->help, false);
    buffer_printf(out, "\n# TYPE %s %s\n", row->name, type_names[row->type]);
    buffer_add(out, series->data, series->length);
}

void exposition_write(const struct exposition *e, struct buffer *out)
{
    assert(e->left_out == 0);
    for (size_t i = 0; i < e->row_count; i++)
        if (e->families[i].length > 0)
            write_family(&e->rows[i], &e->families[i], out);
}

void exposition_write_markdown(const struct metric_row *rows, size_t row_count, struct buffer *out)
{
    buffer_text(out, "| metric | type | labels | |\n|---|---|---|---|\n");
    for (size_t i = 0; i < row_count; i++) {
        buffer_printf(out, "| `%s` | %s | ", rows[i].name, type_names[rows[i].type]);
        for (int j = 0; j < METRIC_LABELS_MAX && rows[i].labels[j] != NULL; j++)
            buffer_printf(out, "%s`%s`", j > 0 ? ", " : "", rows[i].labels[j]);
        buffer_printf(out, " | %s |\n", rows[i].help);
    }
}
