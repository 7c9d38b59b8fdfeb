#include "daemon/arms_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define CELL_MAX 48

static double number(const struct json *object, const char *key)
{
    return json_get_number(object, key, NAN);
}

/* "-" for what is not known. */
static void write_number(char cell[CELL_MAX], int decimals, double value)
{
    if (isnan(value))
        snprintf(cell, CELL_MAX, "-");
    else
        snprintf(cell, CELL_MAX, "%.*f", decimals, value);
}

/* "0.1264 (0.1201 to 0.1330)" */
static void write_interval(char cell[CELL_MAX], const struct json *estimate)
{
    double mean = number(estimate, "mean"), low = number(estimate, "low");
    double high = number(estimate, "high");
    if (isnan(mean) || isnan(low) || isnan(high))
        write_number(cell, 4, mean);
    else
        snprintf(cell, CELL_MAX, "%.4f (%.4f to %.4f)", mean, low, high);
}

static void write_p(char cell[CELL_MAX], double p)
{
    if (p < 0.0001)
        snprintf(cell, CELL_MAX, "<0.0001");
    else
        write_number(cell, 4, p);
}

static void write_arm(struct buffer *out, const struct json *arm)
{
    char hit20[CELL_MAX], uplift[CELL_MAX], p[CELL_MAX], churn[CELL_MAX], users[CELL_MAX];
    struct slice name = json_get_string(arm, "name", SLICE("?"));
    const struct json *over = json_get(arm, "uplift");
    const char *role = json_get_bool(arm, "control", false)  ? "control"
                       : json_get_bool(arm, "shadow", false) ? "shadow"
                                                             : "";
    write_interval(hit20, json_get(arm, "hit20"));
    write_interval(uplift, over);
    write_p(p, number(over, "p"));
    write_number(churn, 3, number(arm, "churn_rbo"));
    write_number(users, 0, number(arm, "users"));
    buffer_printf(
        out, "%-14.*s %-8s %-8.*s %5.1f%% %8s %9" PRId64 "  %-26s %-29s %7s %6s %9" PRId64 "\n",
        SLICE_ARG(name), role, SLICE_ARG(json_get_string(arm, "state", SLICE("?"))),
        json_get_number(arm, "share", 0) * 100, users, json_get_int(arm, "events", 0), hit20,
        uplift, p, churn, json_get_int(arm, "lists", 0));
}

static void write_why(struct buffer *out, const struct json *arm)
{
    struct slice why = json_get_string(arm, "why", SLICE(""));
    if (why.length > 0)
        buffer_printf(out, "%.*s is stopped: %.*s\n",
                      SLICE_ARG(json_get_string(arm, "name", SLICE("?"))), SLICE_ARG(why));
}

static void write_experiment(struct buffer *out, const struct json *experiment)
{
    struct slice id = json_get_string(experiment, "id", SLICE(""));
    double p = number(experiment, "sample_ratio_p");
    buffer_printf(out,
                  "experiment %.*s %.*s, intervals and p-values at level %g, valid at any time\n",
                  SLICE_ARG(id.length > 0 ? id : SLICE("(no id)")),
                  SLICE_ARG(json_get_string(experiment, "state", SLICE("?"))),
                  json_get_number(experiment, "level", 0));
    if (json_get_bool(experiment, "sample_ratio_alarm", false))
        buffer_printf(out, "ALARM: users are not in the proportion of the shares (p = %.2g)\n", p);
}

void arms_table_write(struct buffer *out, const struct json *answer)
{
    const struct json *arms = json_get(answer, "arms");
    write_experiment(out, json_get(answer, "experiment"));
    buffer_printf(out, "%-14s %-8s %-8s %6s %8s %9s  %-26s %-29s %7s %6s %9s\n", "arm", "", "state",
                  "share", "users", "events", "hit@20", "uplift over control", "p", "churn",
                  "lists");
    for (size_t i = 0; i < json_count(arms); i++)
        write_arm(out, json_at(arms, i));
    for (size_t i = 0; i < json_count(arms); i++)
        write_why(out, json_at(arms, i));
}
