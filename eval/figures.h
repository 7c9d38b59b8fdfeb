/* How good lists were: figures of several methods, judged on the same units.
 *
 * A unit is one list that is judged, with what turned out to be relevant: one item in the
 * prequential protocol and leave-last-out, several in a split. docs/METRICS.md has the formulas.
 * Means weigh units alike; their standard errors treat a user's units as one (clustered by user).
 * One thread. */
#ifndef FRESHET_EVAL_FIGURES_H
#define FRESHET_EVAL_FIGURES_H

#include "base/error.h"
#include "model/overlap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIGURES_KS_MAX 8
#define FIGURES_METHODS_MAX 8
#define FIGURES_MRR_DEPTH 20
#define FIGURES_VALUES_MAX 16 /* groups of values that rHR is shown for */

/* One number a unit and method: for each k the first five, then the reciprocal rank. */
enum metric { METRIC_HIT, METRIC_PRECISION, METRIC_RECALL, METRIC_MAP, METRIC_NDCG, METRIC_KINDS };
#define FIGURES_METRICS_MAX (METRIC_KINDS * FIGURES_KS_MAX + 1)

struct relevant {
    uint32_t item;
    double value; /* of its event */
};

struct unit {
    uint32_t user;
    const struct relevant *relevant; /* [relevant_count], distinct items */
    size_t relevant_count;
};

/* What is known of items where lists are judged: by the stream's item numbers. */
struct shelf {
    const uint64_t *uses; /* [items]: events of each so far */
    uint64_t uses_total;
    const uint32_t *row_of; /* [items]: row of Y, or UINT32_MAX; NULL: there are no factors */
    const float *Y;         /* [rows, stride] */
    size_t stride;
    int rank;
};

struct figures_settings {
    uint32_t ks[FIGURES_KS_MAX]; /* ascending */
    uint32_t k_count;
    uint32_t depth; /* of the lists: the largest of ks and FIGURES_MRR_DEPTH */
    uint32_t methods;
    uint32_t users, items; /* of the stream */
};

struct method_figures {
    double *totals;       /* [metrics] over units */
    double *by_user;      /* [slots, metrics] */
    double *all;          /* [metrics], over all units, those of items not new to their user too */
    uint64_t *value_hits; /* [k_count, value groups] */
    uint64_t chosen_hits[FIGURES_KS_MAX]; /* cHR */
    uint64_t lists, full_lists;           /* judged lists; with `depth` items */
    uint32_t *last;                       /* [slots, depth]: the list before */
    uint32_t *last_count;                 /* [slots]; UINT32_MAX: none */
    double churn[FIGURES_KS_MAX];         /* sums over pairs of lists */
    double rank_churn;                    /* 1 - RBO */
    uint64_t churn_pairs;
    bool *short_list;          /* [slots]: the user had a list of fewer items */
    bool *recommended;         /* [items] */
    double diversity, novelty; /* sums over lists */
    uint64_t diverse_lists, novel_lists;
    uint64_t answers, changed; /* events after which the list was made again; lists that changed */
    double gap;                /* sum of the response gaps closed */
    uint64_t gaps;
};

struct figures {
    struct figures_settings settings;
    uint32_t metrics; /* METRIC_KINDS * k_count + 1 */
    uint64_t units, all_units;
    uint32_t *slot_of; /* [users]: UINT32_MAX: not judged */
    uint32_t slots, slots_capacity;
    uint32_t *slot_units; /* [slots] */
    double *discounts;    /* [depth]: 1 / log2(1 + rank) */

    bool valued;    /* events carry different values */
    double chr_min; /* a hit counts in cHR from this value on */
    uint32_t value_groups;
    double value_from[FIGURES_VALUES_MAX], value_to[FIGURES_VALUES_MAX];
    uint64_t value_units[FIGURES_VALUES_MAX], chosen_units; /* relevant items, not units */

    struct overlapping overlapping;
    struct method_figures methods[FIGURES_METHODS_MAX];
};

void figures_init(struct figures *figures, const struct figures_settings *settings);
void figures_deinit(struct figures *figures);

/* The values of all items that will be relevant (reordered), from which come the groups of rHR and,
 * if chr_min is NaN, the threshold of cHR: the lower median. Without a call there are neither. */
void figures_values(struct figures *figures, double *values, size_t count, double chr_min);

/* A unit begins, then each method's list for it is judged. `depth` is the most that count may be.
 */
void figures_unit(struct figures *figures, const struct unit *unit);
void figures_judge(struct figures *figures, uint32_t method, const struct unit *unit,
                   const uint32_t *list, uint32_t count);

/* The list itself: coverage, novelty, diversity, and churn against the user's list before. */
void figures_list(struct figures *figures, uint32_t method, uint32_t user, const uint32_t *list,
                  uint32_t count, const struct shelf *shelf);

/* A unit for the figures over everything; `count` 0 where the list need not be known to miss. */
void figures_all_unit(struct figures *figures);
void figures_judge_all(struct figures *figures, uint32_t method, const struct unit *unit,
                       const uint32_t *list, uint32_t count);

/* The list was made anew after the unit's event. before, after: what the method's factors say of
 * the event's item, x_u.y_i (eval/gap.h); NaN: nothing. */
void figures_answer(struct figures *figures, uint32_t method, bool changed, double before,
                    double after);

/* A unit of which nothing is known but a number: it goes into metric 0. */
void figures_number(struct figures *figures, uint32_t method, uint32_t user, double number);

struct mean {
    double mean, se;
};

/* Index of a metric: at the i-th k, or METRIC_KINDS for the reciprocal rank. */
uint32_t figures_metric(const struct figures *figures, enum metric metric, uint32_t i);

/* Of a method; or of the difference to another (`base` < methods, else pass UINT32_MAX). */
struct mean figures_mean(const struct figures *figures, uint32_t method, uint32_t base,
                         uint32_t metric);

#endif
