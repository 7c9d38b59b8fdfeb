/* The last hour, for the dashboard: SERIES_SAMPLES samples of all figures, one each SERIES_STEP_MS.
 *
 * series_take is called each SERIES_STEP_MS and keeps what happened since the last call: rates from
 * differences of counters, means of what was added, quantiles of the interval's own durations.
 * NaN: nothing of that kind happened. Nothing is allocated after series_new but for arms that come.
 * Loop thread. */
#ifndef FRESHET_MONITOR_SERIES_H
#define FRESHET_MONITOR_SERIES_H

#include "base/json.h"
#include "monitor/watch.h"

#define SERIES_SAMPLES 720
#define SERIES_STEP_MS 5000

enum series_row { /* names: series_row_names */
                  SERIES_EVENTS_PER_S,
                  SERIES_LISTS_PER_S,
                  SERIES_LAG,
                  SERIES_EVENT_TO_LIST_P50_MS,
                  SERIES_EVENT_TO_LIST_P99_MS,
                  SERIES_CHURN_RBO,
                  SERIES_CHURN_JACCARD,
                  SERIES_GAP_CLOSED,
                  SERIES_DRIFT,
                  SERIES_HIT20, /* as the next two of events with items new to their user */
                  SERIES_HIT20_POPULAR,
                  SERIES_HIT20_RECENT, /* of the half-life that is best so far */
                  SERIES_ROWS
};
extern const char *const series_row_names[SERIES_ROWS]; /* "events_per_s", ... */

enum series_arm_row { SERIES_ARM_HIT20, SERIES_ARM_CHURN_RBO, SERIES_ARM_ROWS };
extern const char *const series_arm_row_names[SERIES_ARM_ROWS];

struct series;
struct series *series_new(void);
void series_free(struct series *series);

struct series_now { /* what the watch does not know */
    int64_t wall_ms;
    uint64_t events; /* learned so far, this run */
    uint64_t lists;  /* that Redis has taken so far */
    int64_t lag;     /* -1: not known */
};
void series_take(struct series *series, const struct watch *watch, const struct series_now *now);

uint32_t series_count(const struct series *series); /* of samples */

/* index: 0 the oldest. */
int64_t series_time(const struct series *series, uint32_t index); /* ms since 1970 */
double series_at(const struct series *series, enum series_row row, uint32_t index);
/* NaN where the arm was not there. */
double series_arm_at(const struct series *series, struct slice arm, enum series_arm_row row,
                     uint32_t index);

/* "t":[...],"events_per_s":[...],... and, for an arm, "hit20":[...],"churn_rbo":[...]: members of
 * an object that the caller has begun. */
void series_write(const struct series *series, struct json_writer *w);
void series_write_arm(const struct series *series, struct slice arm, struct json_writer *w);

#endif
