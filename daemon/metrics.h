/* What /metrics says: the table of all metrics, and those who fill it in.
 *
 * daemon_metrics (daemon/daemon.h) is the whole: daemon/metrics.c says what the stations know,
 * daemon/metrics_process.c what the system knows of the process, daemon/metrics_arms.c what is
 * known of arms and their lists. Those of the arms are plain figures here, so that whoever has them
 * fills in a struct and knows nothing of names. docs/METRICS.md has the table
 * (`freshet check --metrics`) and the formulas. Loop thread. */
#ifndef FRESHET_DAEMON_METRICS_H
#define FRESHET_DAEMON_METRICS_H

#include "monitor/exposition.h"
#include "monitor/hits.h"
#include "publisher/budget.h"

extern const struct metric_row metrics_rows[];
extern const size_t metrics_row_count;

/* The rows as a table in Markdown. */
void metrics_write_table(struct buffer *out);

/* process_*, by the conventions of Prometheus' client libraries. What cannot be read has no series.
 * https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics */
void metrics_add_process(struct exposition *e, double start_time_s);

/* Something summed over `count` cases. */
struct metric_sum {
    uint64_t count;
    double sum;
};

struct experiment_metrics {
    const char *id;        /* "": there is none, and no series */
    bool running;          /* between its start and its end */
    double sample_ratio_p; /* NaN: not known */
};

enum churn_kind { CHURN_RBO, CHURN_JACCARD, CHURN_NET_RBO, CHURN_NET_JACCARD, CHURN_KINDS };

struct arm_metrics { /* of one arm; numbers that are not known are NaN */
    const char *name;
    double share;
    bool stopped;
    uint64_t generation; /* that its lists are made of; 0: none yet */

    /* its trial: durable, over the whole experiment */
    bool
        counted; /* false: a shadow has none, and nothing is known before partitions are assigned */
    double users;
    uint64_t events, hits10, hits20;
    double reciprocal_ranks;
    double hit_ratio, hit_ratio_low, hit_ratio_high;  /* hit@20 */
    double uplift, uplift_low, uplift_high, uplift_p; /* hit@20 less control's; NaN for control */

    /* since the process began */
    uint64_t lists, held[HOLD_COUNT];
    uint64_t attributed[ATTRIBUTION_COUNT]; /* events, by the list they name */
    struct accuracy_count chr;              /* cHR: new items, values from monitor.chr_min */
    struct metric_sum churn[CAUSE_COUNT][CHURN_KINDS];
    struct metric_sum first_change;   /* events until the user's list first changed */
    struct metric_sum gap_closed;     /* (s' - s) / (1 - s) */
    struct metric_sum neighbour_lift; /* of items close to the event's */
    struct metric_sum drift;          /* of the user's vector */
    struct metric_sum novelty;        /* bits, of a list */
    struct metric_sum diversity;      /* of a list */
    double coverage, top_item_share, fallback_share, new_item_share;
};

void metrics_add_experiment(struct exposition *e, const struct experiment_metrics *experiment);
void metrics_add_arm(struct exposition *e, const struct arm_metrics *arm);

/* Hits by event type and by slice of values (rHR), of all published arms together: by arm they
 * would be too many. At most 6 EVENT_TYPES_MAX + 3 HITS_VALUES series. types: [count], names. */
void metrics_add_hits(struct exposition *e, const struct hits *hits, char *const *types,
                      size_t count);

#endif
