/* The text that Prometheus reads: format 0.0.4.
 *
 * One table of rows says which metrics there are; what is added must be in it, with the labels that
 * its row declares, in their order. Series may be added in any order: they come out by row, each
 * row with its HELP and its TYPE once. A gauge that is not known (NaN) has no series. Whatever the
 * table does not allow (an unknown name, another type, other labels, a series twice, a counter that
 * is no number) is a bug of ours: it is left out and counted, and exposition_write asserts that
 * there was none. Label values are UTF-8. One thread.
 *
 *     exposition_add(&e, "freshet_arm_hits_total", METRIC_LABELS({"arm", name}, {"k", "20"}),
 * hits);
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/ (text), names by
 * https://prometheus.io/docs/practices/naming/. */
#ifndef FRESHET_MONITOR_EXPOSITION_H
#define FRESHET_MONITOR_EXPOSITION_H

#include "base/buffer.h"
#include "monitor/histogram.h"

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRIC_LABELS_MAX 4

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_SUMMARY };

struct metric_row {
    const char *name;
    enum metric_type type;
    const char *unit; /* "seconds", "bytes", "ratio": the name has it, too; "": a count */
    const char *help;
    const char *labels[METRIC_LABELS_MAX]; /* those not used are NULL */
};

struct metric_label {
    const char *name, *value;
};
#define METRIC_LABELS(...) ((const struct metric_label[]){__VA_ARGS__, {NULL, NULL}})

struct exposition {
    const struct metric_row *rows; /* [row_count], borrowed */
    size_t row_count;
    uint32_t left_out; /* series that the table does not allow */
    /* the rest is private */
    struct buffer *families; /* [row_count]: the series of each row so far */
    size_t last;             /* the row found last: the next one is often it, or the one after */
    uint64_t *seen;          /* [seen_max], open addressing: the hashes of all series; 0: free */
    size_t seen_count, seen_max;
};

void exposition_init(struct exposition *e, const struct metric_row *rows, size_t row_count);
void exposition_deinit(struct exposition *e);

/* A counter or a gauge. `labels` NULL: none. */
void exposition_add(struct exposition *e, const char *name, const struct metric_label *labels,
                    double value);

/* In seconds, at the histogram's own bounds. */
void exposition_add_histogram(struct exposition *e, const char *name,
                              const struct metric_label *labels, const struct histogram *histogram);

/* A sum and what it is the sum of, without quantiles. */
void exposition_add_summary(struct exposition *e, const char *name,
                            const struct metric_label *labels, uint64_t count, double sum);

/* Appends the whole text; rows without a series are not in it. */
void exposition_write(const struct exposition *e, struct buffer *out);

/* The rows as a table in Markdown (docs/METRICS.md). */
void exposition_write_markdown(const struct metric_row *rows, size_t row_count, struct buffer *out);

#endif
