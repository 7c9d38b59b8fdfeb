#include "monitor/series.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

const char *const series_row_names[SERIES_ROWS] = {
    [SERIES_EVENTS_PER_S] = "events_per_s",
    [SERIES_LISTS_PER_S] = "lists_per_s",
    [SERIES_LAG] = "lag",
    [SERIES_EVENT_TO_LIST_P50_MS] = "event_to_list_p50_ms",
    [SERIES_EVENT_TO_LIST_P99_MS] = "event_to_list_p99_ms",
    [SERIES_CHURN_RBO] = "churn_rbo",
    [SERIES_CHURN_JACCARD] = "churn_jaccard",
    [SERIES_GAP_CLOSED] = "gap_closed",
    [SERIES_DRIFT] = "drift",
    [SERIES_HIT20] = "hit20",
    [SERIES_HIT20_POPULAR] = "hit20_popular",
    [SERIES_HIT20_RECENT] = "hit20_recent",
};

const char *const series_arm_row_names[SERIES_ARM_ROWS] = {
    [SERIES_ARM_HIT20] = "hit20", [SERIES_ARM_CHURN_RBO] = "churn_rbo"};

/* A sum and what it is over, as of the last sample: the interval's mean is of their differences. */
struct total {
    double sum, count;
};

struct arm_series {
    struct slice name; /* lives as long as the daemon's names of arms; empty: a free place */
    uint64_t took;     /* the sample that knew it last */
    struct total last[SERIES_ARM_ROWS];
    float values[SERIES_SAMPLES][SERIES_ARM_ROWS];
};

struct series {
    uint64_t taken; /* samples, ever */
    int64_t wall_ms[SERIES_SAMPLES];
    float values[SERIES_SAMPLES][SERIES_ROWS];
    int64_t last_ms;
    uint64_t last_events, last_lists;
    struct total last[SERIES_ROWS];
    struct total recent[HALF_LIFE_COUNT];
    struct histogram durations; /* as of the last sample */
    struct arm_series *arms[ARMS_MAX];
};

struct series *series_new(void)
{
    return mem_zalloc(sizeof(struct series));
}

void series_free(struct series *series)
{
    if (series == NULL)
        return;
    for (int i = 0; i < ARMS_MAX; i++)
        free(series->arms[i]);
    free(series);
}

/* -- an interval ------------------------------------------------------------------------------- */

static struct total of_count(const struct accuracy_count *count)
{
    return (struct total){(double)count->hits20, (double)count->events};
}

static struct total of_mean(const struct response_mean *mean)
{
    return (struct total){mean->sum, (double)mean->count};
}

/* The mean of what came since; what is below the last was begun anew. */
static double mean_since(struct total *last, struct total now)
{
    if (now.count < last->count)
        *last = (struct total){0};
    double count = now.count - last->count, sum = now.sum - last->sum;
    *last = now;
    return count > 0 ? sum / count : NAN;
}

static void take_durations(struct series *series, const struct histogram *now, float *row)
{
    struct histogram since = *now;
    since.count -= series->durations.count;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        since.buckets[i] -= series->durations.buckets[i];
    series->durations = *now;
    row[SERIES_EVENT_TO_LIST_P50_MS] = (float)histogram_quantile(&since, 0.5);
    row[SERIES_EVENT_TO_LIST_P99_MS] = (float)histogram_quantile(&since, 0.99);
}

/* The first sample has no interval, and so no rates. */
static void take_rates(struct series *series, const struct series_now *now, float *row)
{
    double seconds = (double)(now->wall_ms - series->last_ms) * 1e-3;
    bool known = series->taken > 0 && seconds > 0;
    double events = (double)(now->events - series->last_events);
    double lists = (double)(now->lists - series->last_lists);
    row[SERIES_EVENTS_PER_S] = known ? (float)(events / seconds) : NAN;
    row[SERIES_LISTS_PER_S] = known ? (float)(lists / seconds) : NAN;
    row[SERIES_LAG] = now->lag >= 0 ? (float)now->lag : NAN;
    series->last_events = now->events;
    series->last_lists = now->lists;
    series->last_ms = now->wall_ms;
}

static void take_means(struct series *series, const struct watch *watch, float *row)
{
    const struct watch_figures *all = watch_figures(watch, WATCH_ALL);
    const struct accuracy *accuracy = watch_accuracy(watch);
    const struct accuracy_count *counts = accuracy->counts[ACCURACY_NEW];
    struct churn_sums churn = churn_total(&all->churn);
    double rewrites = (double)churn.rewrites;
    const struct total now[SERIES_ROWS] = {
        [SERIES_CHURN_RBO] = {churn.rbo, rewrites},
        [SERIES_CHURN_JACCARD] = {churn.jaccard, rewrites},
        [SERIES_GAP_CLOSED] = of_mean(&all->response.gap_closed),
        [SERIES_DRIFT] = of_mean(&all->response.drift),
        [SERIES_HIT20] = of_count(&counts[ACCURACY_FRESHET]),
        [SERIES_HIT20_POPULAR] = of_count(&counts[ACCURACY_POPULAR]),
    };
    for (int i = SERIES_CHURN_RBO; i <= SERIES_HIT20_POPULAR; i++)
        row[i] = (float)mean_since(&series->last[i], now[i]);
}

/* What the recent list of each half-life has hit since; told is the one that is best so far. */
static void take_recent(struct series *series, const struct accuracy *accuracy, float *row)
{
    const struct accuracy_count *recent = &accuracy->counts[ACCURACY_NEW][ACCURACY_RECENT];
    int best = accuracy_best_half_life(accuracy);
    for (int h = 0; h < HALF_LIFE_COUNT; h++) {
        double mean = mean_since(&series->recent[h], of_count(&recent[h]));
        if (h == best)
            row[SERIES_HIT20_RECENT] = (float)mean;
    }
}

/* -- arms -------------------------------------------------------------------------------------- */

static struct arm_series *find_arm(const struct series *series, struct slice name)
{
    for (int i = 0; i < ARMS_MAX; i++)
        if (series->arms[i] != NULL && slice_equal(series->arms[i]->name, name))
            return series->arms[i];
    return NULL;
}

/* A place for another arm: a free one, or that of the arm that has been gone for longest. */
static struct arm_series *make_arm(struct series *series, struct slice name)
{
    int at = 0;
    for (int i = 0; i < ARMS_MAX && series->arms[at] != NULL; i++)
        if (series->arms[i] == NULL || series->arms[i]->took < series->arms[at]->took)
            at = i;
    if (series->arms[at] == NULL)
        series->arms[at] = mem_alloc(sizeof *series->arms[at]);
    struct arm_series *arm = series->arms[at];
    *arm = (struct arm_series){.name = name};
    for (int i = 0; i < SERIES_SAMPLES; i++)
        for (int row = 0; row < SERIES_ARM_ROWS; row++)
            arm->values[i][row] = NAN;
    return arm;
}

static void take_arm(struct series *series, const struct watch_figures *figures)
{
    struct churn_sums churn = churn_total(&figures->churn);
    struct arm_series *arm = find_arm(series, figures->name);
    if (arm == NULL)
        arm = make_arm(series, figures->name);
    float *row = arm->values[series->taken % SERIES_SAMPLES];
    row[SERIES_ARM_HIT20] = (float)mean_since(&arm->last[SERIES_ARM_HIT20],
                                              of_count(&figures->hits.counts[ACCURACY_NEW]));
    row[SERIES_ARM_CHURN_RBO] = (float)mean_since(
        &arm->last[SERIES_ARM_CHURN_RBO], (struct total){churn.rbo, (double)churn.rewrites});
    arm->took = series->taken + 1;
}

static void take_arms(struct series *series, const struct watch *watch)
{
    for (int i = 0; i < ARMS_MAX; i++) /* of those that are gone */
        for (int row = 0; row < SERIES_ARM_ROWS && series->arms[i] != NULL; row++)
            series->arms[i]->values[series->taken % SERIES_SAMPLES][row] = NAN;
    for (uint32_t arm = 0; arm < watch_arm_count(watch); arm++)
        take_arm(series, watch_figures(watch, arm));
}

void series_take(struct series *series, const struct watch *watch, const struct series_now *now)
{
    float *row = series->values[series->taken % SERIES_SAMPLES];
    series->wall_ms[series->taken % SERIES_SAMPLES] = now->wall_ms;
    take_rates(series, now, row);
    take_durations(series, watch_event_to_list(watch), row);
    take_means(series, watch, row);
    take_recent(series, watch_accuracy(watch), row);
    take_arms(series, watch);
    series->taken++;
}

/* -- reading ----------------------------------------------------------------------------------- */

uint32_t series_count(const struct series *series)
{
    return series->taken < SERIES_SAMPLES ? (uint32_t)series->taken : SERIES_SAMPLES;
}

/* Where in the ring the sample is. */
static uint64_t place_of(const struct series *series, uint32_t index)
{
    return (series->taken - series_count(series) + index) % SERIES_SAMPLES;
}

int64_t series_time(const struct series *series, uint32_t index)
{
    return series->wall_ms[place_of(series, index)];
}

double series_at(const struct series *series, enum series_row row, uint32_t index)
{
    return (double)series->values[place_of(series, index)][row];
}

double series_arm_at(const struct series *series, struct slice arm, enum series_arm_row row,
                     uint32_t index)
{
    const struct arm_series *found = find_arm(series, arm);
    return found != NULL ? (double)found->values[place_of(series, index)][row] : NAN;
}

void series_write(const struct series *series, struct json_writer *w)
{
    uint32_t count = series_count(series);
    json_begin_array(w, "t");
    for (uint32_t i = 0; i < count; i++)
        json_int(w, NULL, series_time(series, i));
    json_end_array(w);
    for (int row = 0; row < SERIES_ROWS; row++) {
        json_begin_array(w, series_row_names[row]);
        for (uint32_t i = 0; i < count; i++)
            json_real6(w, NULL, series_at(series, (enum series_row)row, i));
        json_end_array(w);
    }
}

void series_write_arm(const struct series *series, struct slice arm, struct json_writer *w)
{
    const struct arm_series *found = find_arm(series, arm);
    for (int row = 0; row < SERIES_ARM_ROWS; row++) {
        json_begin_array(w, series_arm_row_names[row]);
        for (uint32_t i = 0; i < series_count(series); i++)
            json_real6(w, NULL,
                       found != NULL ? (double)found->values[place_of(series, i)][row] : NAN);
        json_end_array(w);
    }
}
