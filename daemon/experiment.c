#include "daemon/experiment_internal.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 1000

const char *const experiment_phase_names[] = {"waiting", "running", "ended"};

/* -- what is in force -------------------------------------------------------------------------- */

static enum experiment_phase phase_now(const struct experiment *experiment)
{
    int64_t now_ms = history_now_ms(experiment->history);
    int64_t start_ms = experiment->settings->experiment.start_ms;
    int64_t end_ms = experiment->settings->experiment.end_ms;
    if (now_ms == INT64_MIN) /* no partition is assigned (yet): nothing is known */
        return experiment->phase;
    if (!experiment_is_unset(end_ms) && now_ms >= end_ms)
        return EXPERIMENT_ENDED;
    return experiment_is_unset(start_ms) || now_ms >= start_ms ? EXPERIMENT_RUNNING
                                                               : EXPERIMENT_WAITING;
}

static bool has_users(const struct experiment *experiment, uint32_t arm)
{
    return experiment->phase == EXPERIMENT_RUNNING && !experiment->states[arm].stopped;
}

static void assign(struct experiment *experiment)
{
    const struct settings *settings = experiment->settings;
    struct arm_share shares[ARMS_MAX];
    for (uint32_t i = 0; i < settings->arm_count; i++)
        shares[i] = (struct arm_share){
            .name = settings->arms[i].name,
            .share = has_users(experiment, i) ? settings->arms[i].share : 0,
            .control = settings->arms[i].control,
            .shadow = settings->arms[i].shadow,
        };
    arms_init(&experiment->assignment, slice_of(settings->experiment.salt), shares,
              settings->arm_count);
}

/* Its number whether it runs, is to run or has run; 0 for a shadow. */
static uint64_t trial_of(const struct experiment *experiment, uint32_t arm)
{
    const struct settings *settings = experiment->settings;
    if (settings->arms[arm].shadow)
        return 0;
    struct buffer text = {0};
    buffer_printf(&text, "%s\n%s", settings->experiment.id, settings->arms[arm].name);
    uint64_t trial = hash_stable(text.data, text.length);
    buffer_deinit(&text);
    return trial;
}

static uint64_t fingerprint_of(const struct experiment *experiment)
{
    struct buffer text = {0};
    settings_write_shape(&text, experiment->settings);
    buffer_printf(&text, "phase %d\n", (int)experiment->phase);
    for (uint32_t i = 0; i < experiment->settings->arm_count; i++)
        buffer_printf(&text, "%d\n", experiment->states[i].stopped);
    uint64_t fingerprint = hash_stable(text.data, text.length);
    buffer_deinit(&text);
    return fingerprint;
}

/* Which arms have users and how many buckets each; the same in any order. */
static uint64_t shares_of(const struct experiment *experiment)
{
    uint64_t shares = 0;
    for (uint32_t i = 0; i < experiment->settings->arm_count; i++) {
        uint32_t owned = experiment->assignment.owned[i];
        const char *name = experiment->settings->arms[i].name;
        if (owned > 0)
            shares += hash_stable_with(name, strlen(name), owned);
    }
    return shares;
}

/* Users who were counted under other shares are not spread as these are. While the experiment does
 * not run, nobody is counted, and what was found stays true. */
static void compare_shares(struct experiment *experiment)
{
    if (experiment->phase != EXPERIMENT_RUNNING)
        return;
    uint64_t shares = shares_of(experiment);
    bool others = experiment->shares != 0 && experiment->shares != shares;
    experiment->scoreboard.ratio_void |= others && experiment->counted;
    experiment->shares = shares;
}

static void know_trial(struct experiment *experiment, uint64_t trial)
{
    for (size_t i = 0; i < experiment->known_count; i++)
        if (experiment->known[i] == trial)
            return;
    if (trial == 0)
        return;
    if (experiment->known_count == TRIALS_MAX) /* the oldest goes */
        memmove(experiment->known, experiment->known + 1,
                --experiment->known_count * sizeof *experiment->known);
    experiment->known[experiment->known_count++] = trial;
}

static void take_force(struct experiment *experiment)
{
    experiment->phase = phase_now(experiment);
    assign(experiment);
    compare_shares(experiment);
    for (uint32_t i = 0; i < experiment->settings->arm_count; i++) {
        experiment->trials[i] = trial_of(experiment, i);
        know_trial(experiment, experiment->trials[i]);
    }
    experiment->fingerprint = fingerprint_of(experiment);
}

/* -- looking ----------------------------------------------------------------------------------- */

static struct sequential_test test_of(const struct experiment *experiment)
{
    return (struct sequential_test){experiment->settings->experiment.scale,
                                    experiment->settings->experiment.level};
}

void experiment_look(struct experiment *experiment)
{
    const struct settings *settings = experiment->settings;
    struct scoreboard *board = &experiment->scoreboard;
    board->count = settings->arm_count;
    for (uint32_t i = 0; i < board->count; i++) {
        struct scoreboard_arm *arm = &board->arms[i];
        arm->control = settings->arms[i].control;
        arm->shadow = settings->arms[i].shadow;
        arm->share = arm->shadow ? 0 : (double)experiment->assignment.owned[i] / ARM_BUCKETS;
        if (experiment->trials[i] == 0 ||
            !history_trial(experiment->history, experiment->trials[i], &arm->sums))
            arm->sums = (struct trial_sums){0};
        experiment->counted |= arm->sums.users > 0;
    }
    scoreboard_make(board, test_of(experiment));
}

static void stop(struct experiment *experiment, uint32_t arm, const char *why)
{
    struct arm_state *state = &experiment->states[arm];
    state->stopped = true;
    snprintf(state->why, sizeof state->why, "%s", why);
    log_warn("arm %s is stopped: %s; its users are in control now",
             experiment->settings->arms[arm].name, why);
}

/* True if the arm broke a guard. */
static bool guard(struct experiment *experiment, uint32_t i)
{
    const struct settings_arm *arm = &experiment->settings->arms[i];
    const struct scoreboard_arm *row = &experiment->scoreboard.arms[i];
    char why[STOP_REASON_MAX];
    double churn = watch_recent_churn(experiment->watch, i);
    if (arm->guard_hit20_drop > 0 &&
        scoreboard_is_worse(&experiment->scoreboard, i, arm->guard_hit20_drop,
                            test_of(experiment))) {
        snprintf(why, sizeof why,
                 "hit@20 is %.4f, control's %.4f: lower by more than guard.hit20_drop %g of it",
                 row->hit20.mean, row->hit20.mean - row->uplift.mean, arm->guard_hit20_drop);
        stop(experiment, i, why);
        return true;
    }
    if (arm->guard_churn > 0 && churn > arm->guard_churn) {
        snprintf(why, sizeof why, "churn is %.3f a list, above guard.churn %g", churn,
                 arm->guard_churn);
        stop(experiment, i, why);
        return true;
    }
    return false;
}

static void tell_ratio(struct experiment *experiment)
{
    bool alarm = scoreboard_ratio_alarm(&experiment->scoreboard);
    if (alarm && !experiment->ratio_told)
        log_error("the arms' users are not in the proportion of their shares (p = %.2g): do not "
                  "trust this experiment before it is known why",
                  experiment->scoreboard.sample_ratio_p);
    experiment->ratio_told = alarm;
}

static void look(uv_timer_t *timer)
{
    struct experiment *experiment = timer->data;
    /* Never back by itself: after a rebalance the latest partition may be another one's. */
    bool changes = experiment->phase < phase_now(experiment);
    experiment_look(experiment);
    tell_ratio(experiment);
    for (uint32_t i = 0; i < experiment->settings->arm_count; i++)
        if (has_users(experiment, i) && !experiment->settings->arms[i].control &&
            !experiment->settings->arms[i].shadow)
            changes |= guard(experiment, i);
    experiment_write_note(experiment);
    if (changes)
        experiment->change(experiment->arg);
}

/* -- what is asked ----------------------------------------------------------------------------- */

void experiment_apply(struct experiment *experiment)
{
    take_force(experiment);
    experiment_look(experiment);
    experiment->noted_fingerprint = experiment->fingerprint;
    experiment_write_note(experiment);
}

void experiment_set(struct experiment *experiment, const struct settings *settings)
{
    /* Of the old arms: the same id and name find themselves in it. */
    experiment_write_note(experiment);
    experiment->settings = settings;
    experiment_read_note(experiment);
}

void experiment_begin(struct experiment *experiment)
{
    if (!experiment_has_note(experiment)) {
        experiment->noted_fingerprint = experiment->fingerprint;
        experiment_write_note(experiment);
    } else if (experiment->noted_fingerprint != experiment->fingerprint) {
        experiment->change(experiment->arg);
    }
    uv_timer_start(&experiment->timer, look, LOOK_MS, LOOK_MS);
}

static int find_arm(const struct experiment *experiment, const char *name, uint32_t *arm,
                    struct error *err)
{
    for (*arm = 0; *arm < experiment->settings->arm_count; ++*arm)
        if (strcmp(experiment->settings->arms[*arm].name, name) == 0)
            break;
    if (*arm == experiment->settings->arm_count)
        return error_set(err, ERR_USAGE, "there is no arm \"%s\"", name);
    if (experiment->settings->arms[*arm].control)
        return error_set(err, ERR_USAGE, "arm \"%s\" is control, which always runs", name);
    return 0;
}

int experiment_stop(struct experiment *experiment, const char *name, const char *why,
                    struct error *err)
{
    uint32_t arm;
    if (find_arm(experiment, name, &arm, err) != 0)
        return err->code;
    stop(experiment, arm, why);
    experiment->change(experiment->arg);
    return 0;
}

int experiment_resume(struct experiment *experiment, const char *name, struct error *err)
{
    uint32_t arm;
    if (find_arm(experiment, name, &arm, err) != 0)
        return err->code;
    if (!experiment->states[arm].stopped)
        return 0;
    double drop = experiment->settings->arms[arm].guard_hit20_drop;
    if (drop > 0 && scoreboard_is_worse(&experiment->scoreboard, arm, drop, test_of(experiment)))
        return error_set(err, ERR_USAGE,
                         "guard.hit20_drop would stop arm \"%s\" at once: change the guard first",
                         name);
    watch_forget_churn(experiment->watch, arm);
    experiment->states[arm].stopped = false;
    experiment->change(experiment->arg);
    return 0;
}

const uint64_t *experiment_trials(const struct experiment *experiment, size_t *count)
{
    *count = experiment->known_count;
    return experiment->known;
}

uint64_t experiment_fingerprint(const struct experiment *experiment)
{
    return experiment->fingerprint;
}

const struct arms *experiment_assignment(const struct experiment *experiment)
{
    return &experiment->assignment;
}

enum experiment_phase experiment_phase(const struct experiment *experiment)
{
    return experiment->phase;
}

const char *experiment_why_stopped(const struct experiment *experiment, uint32_t arm)
{
    return experiment->states[arm].stopped ? experiment->states[arm].why : NULL;
}

uint64_t experiment_trial(const struct experiment *experiment, uint32_t arm)
{
    return experiment->phase == EXPERIMENT_RUNNING ? experiment->trials[arm] : 0;
}

const struct scoreboard *experiment_scoreboard(const struct experiment *experiment)
{
    return &experiment->scoreboard;
}

/* -- life -------------------------------------------------------------------------------------- */

struct experiment *experiment_new(uv_loop_t *loop, const struct settings *settings,
                                  struct history *history, struct watch *watch,
                                  void (*change)(void *arg), void *arg)
{
    struct experiment *experiment = mem_zalloc(sizeof *experiment);
    *experiment = (struct experiment){
        .settings = settings, .history = history, .watch = watch, .change = change, .arg = arg};
    uv_timer_init(loop, &experiment->timer);
    experiment->timer.data = experiment;
    experiment_read_note(experiment);
    take_force(experiment);
    experiment_look(experiment);
    return experiment;
}

static void timer_closed(uv_handle_t *handle)
{
    struct experiment *experiment = handle->data;
    void (*freed)(void *arg) = experiment->freed;
    void *arg = experiment->freed_arg;
    free(experiment);
    freed(arg);
}

void experiment_free(struct experiment *experiment, void (*freed)(void *arg), void *arg)
{
    experiment->freed = freed;
    experiment->freed_arg = arg;
    uv_close((uv_handle_t *)&experiment->timer, timer_closed);
}
