/* The arms side by side: what their trials say, with intervals and tests that hold at any time.
 *
 * Made from sums over users (model/trial.h) by the methods of monitor/sequential.h, each time
 * anew, but for the p-values, which are the least seen so far. Loop thread. */
#ifndef FRESHET_MONITOR_SCOREBOARD_H
#define FRESHET_MONITOR_SCOREBOARD_H

#include "model/slate.h"
#include "model/trial.h"
#include "monitor/sequential.h"

#include <stdbool.h>

struct scoreboard_settings {
    double scale; /* tau: the difference of rates that the test is made to find */
    double level;
};

struct scoreboard_arm {
    /* given */
    bool control, shadow;
    double share; /* of the users, true share of the buckets */
    struct trial_sums sums;
    /* made of it; NaN where there is too little */
    double hit10;
    struct interval hit20, mrr20;         /* of the arm */
    struct interval uplift, mrr20_uplift; /* over control, absolute, hit@20 and reciprocal rank */
    double relative;                      /* uplift of hit@20 as a share of control's */
    double p, mrr20_p;                    /* always valid */
    struct sequential test, mrr20_test;   /* kept from one making to the next */
};

struct scoreboard {
    struct scoreboard_arm arms[ARMS_MAX]; /* [count] */
    uint32_t count;
    double sample_ratio_p; /* always valid; 1 with a single arm */
    bool sample_ratio_alarm;
};

#define SAMPLE_RATIO_LEVEL 0.001

/* Fills in what is made. */
void scoreboard_make(struct scoreboard *scoreboard, const struct scoreboard_settings *settings);

/* Whether the arm's hit rate is below control's by more than the share `drop` of it, by the
 * interval of their difference. */
bool scoreboard_is_worse(const struct scoreboard *scoreboard, uint32_t arm, double drop);

#endif
