/* The arms side by side: what their trials say, with intervals and tests that hold at any time.
 *
 * Made from sums over users (model/trial.h) by the methods of monitor/sequential.h, each time
 * anew, but for the tests, which remember their strongest evidence. A shadow arm has no users of
 * its own and is in no comparison. Loop thread. */
#ifndef FRESHET_MONITOR_SCOREBOARD_H
#define FRESHET_MONITOR_SCOREBOARD_H

#include "model/slate.h"
#include "model/trial.h"
#include "monitor/sequential.h"

#define SAMPLE_RATIO_LEVEL                                                 \
    0.001 /* an alarm below it: so rare by chance that it is never ignored \
           */

struct scoreboard_arm {
    /* given */
    bool control, shadow;
    double share; /* of the users: the true share of the buckets */
    struct trial_sums sums;
    /* kept from one making to the next; zero at first */
    struct sequential hit20_test, mrr20_test;
    /* made; NaN where nothing can be said yet */
    double hit10;
    struct rate_interval hit20, mrr20;
    struct uplift uplift, mrr20_uplift; /* over control; p 1 and the rest NaN for control */
};

struct scoreboard {
    struct scoreboard_arm arms[ARMS_MAX]; /* [count] */
    uint32_t count;
    bool ratio_void; /* given: the shares were others before, so that the next two say nothing */
    struct sequential ratio_test;
    double sample_ratio_p; /* NaN: nothing to compare. Once all users are in one arm again: as it
                              was */
};

/* Fills in what is made. */
void scoreboard_make(struct scoreboard *scoreboard, struct sequential_test test);

bool scoreboard_ratio_alarm(const struct scoreboard *scoreboard);

/* Whether the arm's hit@20 is below control's by more than the share `drop` of it. */
bool scoreboard_is_worse(const struct scoreboard *scoreboard, uint32_t arm, double drop,
                         struct sequential_test test);

#endif
