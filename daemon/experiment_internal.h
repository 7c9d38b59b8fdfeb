/* What the files of the experiment share: experiment.c decides, experiment_note.c keeps. */
#ifndef FRESHET_DAEMON_EXPERIMENT_INTERNAL_H
#define FRESHET_DAEMON_EXPERIMENT_INTERNAL_H

#include "daemon/experiment.h"

struct arm_state {
    bool stopped;
    char why[STOP_REASON_MAX];
};

struct experiment {
    const struct settings *settings;
    struct history *history;
    struct watch *watch;
    void (*change)(void *arg);
    void *arg;
    struct arms assignment; /* in force, like the next three */
    enum experiment_phase phase;
    uint64_t trials[ARMS_MAX];  /* 0: a shadow's; counted in while it runs, shown after */
    uint64_t fingerprint;       /* of settings, phase and who is stopped */
    uint64_t noted_fingerprint; /* of what the state was last run with */
    uint64_t known[TRIALS_MAX]; /* [known_count] trials of all arms that the experiment ever had */
    size_t known_count;
    struct arm_state states[ARMS_MAX]; /* by arm of the settings; decided */
    struct scoreboard scoreboard;
    bool counted;    /* users were, under the experiment's id */
    uint64_t shares; /* under which they were: see shares_of; 0: the experiment has not run */
    bool ratio_told;
    uv_timer_t timer;
    void (*freed)(void *arg);
    void *freed_arg;
};

/* A beginning or an end that the settings do not name. */
static inline bool experiment_is_unset(int64_t ms)
{
    return ms == INT64_MIN || ms == INT64_MAX;
}

/* What outlives the process, in the state's note `experiment`: who is stopped and why, the tests'
 * strongest evidence, and under which shares users were counted. Written only if it differs. */
void experiment_write_note(const struct experiment *experiment);

/* The state has been run with arms before. */
bool experiment_has_note(const struct experiment *experiment);

/* What the state knows of the experiment that the settings name; of another: nothing. Sets the
 * phase, which users have not yet been given. */
void experiment_read_note(struct experiment *experiment);

#endif
