#include "monitor/scoreboard.h"

#include <math.h>

static struct rate_sums hits_of(const struct trial_sums *sums)
{
    return (struct rate_sums){.users = sums->users,
                              .events = sums->events,
                              .sum = (double)sums->hits20,
                              .nn = sums->nn,
                              .ns = sums->nh,
                              .ss = sums->hh};
}

static struct rate_sums ranks_of(const struct trial_sums *sums)
{
    return (struct rate_sums){.users = sums->users,
                              .events = sums->events,
                              .sum = sums->rr,
                              .nn = sums->nn,
                              .ns = sums->nr,
                              .ss = sums->r2};
}

typedef struct rate_sums (*sums_cb)(const struct trial_sums *sums);

static struct rate_sums pool_of(const struct scoreboard *scoreboard, sums_cb sums_of)
{
    struct rate_sums pool = {0};
    for (uint32_t i = 0; i < scoreboard->count; i++) {
        struct rate_sums sums = sums_of(&scoreboard->arms[i].sums);
        pool = rate_add(&pool, &sums);
    }
    return pool;
}

static const struct scoreboard_arm *control_of(const struct scoreboard *scoreboard)
{
    uint32_t i = 0;
    while (!scoreboard->arms[i].control)
        i++;
    return &scoreboard->arms[i];
}

static struct uplift nothing_said(const struct sequential *sequential)
{
    return (struct uplift){NAN, NAN, NAN, NAN, sequential_p(sequential)};
}

static void make_arm(const struct scoreboard *scoreboard, struct scoreboard_arm *arm,
                     struct sequential_test test)
{
    struct rate_sums hits = hits_of(&arm->sums), ranks = ranks_of(&arm->sums);
    struct rate_sums all_hits = pool_of(scoreboard, hits_of);
    struct rate_sums all_ranks = pool_of(scoreboard, ranks_of);
    arm->hit10 = (double)arm->sums.hits10 / (double)arm->sums.events;
    arm->hit20 = sequential_rate(&hits, &all_hits, test);
    arm->mrr20 = sequential_rate(&ranks, &all_ranks, test);
    arm->uplift = nothing_said(&arm->hit20_test);
    arm->mrr20_uplift = nothing_said(&arm->mrr20_test);
    if (arm->control || arm->shadow)
        return;
    const struct scoreboard_arm *control = control_of(scoreboard);
    struct rate_sums control_hits = hits_of(&control->sums);
    struct rate_sums control_ranks = ranks_of(&control->sums);
    arm->uplift = sequential_uplift(&arm->hit20_test, &hits, &control_hits, test);
    arm->mrr20_uplift = sequential_uplift(&arm->mrr20_test, &ranks, &control_ranks, test);
}

static void look_at_ratio(struct scoreboard *scoreboard)
{
    uint64_t users[ARMS_MAX];
    double shares[ARMS_MAX];
    uint32_t arms = 0;
    for (uint32_t i = 0; i < scoreboard->count; i++) {
        users[i] = scoreboard->arms[i].sums.users;
        shares[i] = scoreboard->arms[i].shadow ? 0 : scoreboard->arms[i].share;
        arms += shares[i] > 0;
    }
    scoreboard->sample_ratio_p = NAN;
    if (scoreboard->ratio_void)
        return;
    if (arms > 1)
        scoreboard->sample_ratio_p =
            sequential_ratio(&scoreboard->ratio_test, users, shares, scoreboard->count);
    else if (scoreboard->ratio_test.evidence > 0) /* the experiment is over */
        scoreboard->sample_ratio_p = sequential_p(&scoreboard->ratio_test);
}

void scoreboard_make(struct scoreboard *scoreboard, struct sequential_test test)
{
    for (uint32_t i = 0; i < scoreboard->count; i++)
        make_arm(scoreboard, &scoreboard->arms[i], test);
    look_at_ratio(scoreboard);
}

bool scoreboard_ratio_alarm(const struct scoreboard *scoreboard)
{
    return scoreboard->sample_ratio_p < SAMPLE_RATIO_LEVEL;
}

bool scoreboard_is_worse(const struct scoreboard *scoreboard, uint32_t arm, double drop,
                         struct sequential_test test)
{
    struct rate_sums hits = hits_of(&scoreboard->arms[arm].sums);
    struct rate_sums control = hits_of(&control_of(scoreboard)->sums);
    return sequential_worse(&hits, &control, drop, test);
}
