/* The daemon's arms: made of the settings at start, and made anew when the settings are reloaded,
 * an arm is stopped, or the experiment begins or ends. */
#include "base/failpoint.h"
#include "base/hash.h"
#include "base/log.h"
#include "daemon/daemon.h"

#include <errno.h>
#include <sys/stat.h>

static struct slice name_of(struct daemon *daemon, const struct settings_arm *arm)
{
    return ids_text(&daemon->arm_names, ids_add(&daemon->arm_names, slice_of(arm->name)));
}

/* Lists of two arms explore at different times, and not as those of another experiment did. */
static uint64_t explore_seed(const struct settings *settings, const struct settings_arm *arm)
{
    uint64_t salt = hash_stable(settings->experiment.salt, strlen(settings->experiment.salt));
    return hash_stable_with(arm->name, strlen(arm->name), salt);
}

static uint64_t series_of(const struct settings *settings, uint32_t arm)
{
    return settings_series_key(settings->arms[arm].settings, settings);
}

static struct scorers *make_scorers(struct daemon *daemon)
{
    const struct settings *settings = daemon->settings;
    struct scorers_arm arms[ARMS_MAX];
    for (uint32_t i = 0; i < settings->arm_count; i++) {
        const struct settings_arm *arm = &settings->arms[i];
        arms[i] = (struct scorers_arm){.series = series_of(settings, i), .control = arm->control};
        settings_scorer(arm->settings, &arms[i].settings);
        arms[i].settings.arm = i;
        arms[i].settings.arm_name = name_of(daemon, arm);
        arms[i].settings.shadow = arm->shadow;
        arms[i].settings.finishing.explore.seed = explore_seed(settings, arm);
    }
    return scorers_new(daemon->history, experiment_assignment(daemon->experiment), arms,
                       settings->arm_count);
}

void daemon_line_arms(const struct settings *settings, struct line_arm *arms)
{
    for (uint32_t i = 0; i < settings->arm_count; i++) {
        const struct settings *own = settings->arms[i].settings;
        arms[i] = (struct line_arm){
            .budget = {.min_change = own->publish.min_change,
                       .churn_limit = own->publish.churn_limit},
            .debounce_ms = own->publish.debounce_ms,
        };
    }
}

/* Whether nobody gets its lists now. */
static bool is_paused(const struct daemon *daemon, uint32_t arm)
{
    return experiment_phase(daemon->experiment) != EXPERIMENT_RUNNING ||
           experiment_why_stopped(daemon->experiment, arm) != NULL;
}

static void tell_watch(struct daemon *daemon)
{
    struct watch_arm arms[ARMS_MAX];
    size_t trials;
    const uint64_t *known = experiment_trials(daemon->experiment, &trials);
    watch_set_trials(daemon->watch, known, trials);
    for (uint32_t i = 0; i < daemon->settings->arm_count; i++)
        arms[i] = (struct watch_arm){.paused = is_paused(daemon, i),
                                     .name = name_of(daemon, &daemon->settings->arms[i]),
                                     .trial = experiment_trial(daemon->experiment, i),
                                     .shadow = daemon->settings->arms[i].shadow};
    watch_set_arms(daemon->watch, arms, daemon->settings->arm_count);
    watch_set_chr_min(daemon->watch, daemon->settings->monitor.chr_min);
    watch_set_span(daemon->watch, daemon->settings->experiment.start_ms,
                   daemon->settings->experiment.end_ms);
}

void daemon_tell_trainer(struct daemon *daemon)
{
    struct trainer_series series[ARMS_MAX];
    uint64_t keys[ARMS_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < daemon->settings->arm_count; i++) {
        uint64_t key = series_of(daemon->settings, i);
        size_t at = 0;
        while (at < count && keys[at] != key)
            at++;
        if (at < count)
            continue;
        keys[count] = key;
        series[count++] =
            (struct trainer_series){.key = key, .arm = name_of(daemon, &daemon->settings->arms[i])};
    }
    history_keep_series(daemon->history, keys, count);
    if (daemon->follower != NULL)
        follower_set_series(daemon->follower, keys, count);
    else
        trainer_set_series(daemon->trainer, series, count);
}

struct state_series daemon_live_series(const struct daemon *daemon,
                                       const struct generation **generation)
{
    uint64_t key = scorers_series_of(daemon->scorers, scorers_control(daemon->scorers));
    const struct state_series *series = history_series(daemon->history, key);
    *generation = scorers_generation(daemon->scorers, key);
    return series != NULL ? *series : (struct state_series){.key = key};
}

/* Whether an impression can change any list. */
static bool impressions_matter(const struct settings *settings)
{
    for (uint32_t i = 0; i < settings->arm_count; i++)
        if (settings->arms[i].settings->impression.discount > 0)
            return true;
    return false;
}

/* -- changing ---------------------------------------------------------------------------------- */

static void take_settings(struct daemon *daemon)
{
    struct scorers *old = daemon->scorers;
    struct settings *settings_old = daemon->reloaded;
    struct line_arm arms[ARMS_MAX];
    FAILPOINT("reload.apply");
    daemon->settings = daemon->reloaded = daemon->next;
    daemon->next = NULL;
    experiment_set(daemon->experiment, daemon->settings);
    experiment_apply(daemon->experiment);
    daemon->scorers = make_scorers(daemon);
    swapper_restore(daemon->swapper, daemon->scorers, old);
    swapper_set_scorers(daemon->swapper, daemon->scorers);
    daemon_line_arms(daemon->settings, arms);
    line_set_scorers(daemon->line, daemon->scorers, arms);
    daemon_tell_trainer(daemon);
    history_want_lists_for_impressions(daemon->history, impressions_matter(daemon->settings));
    log_set_level(daemon->settings->daemon.log_level);
    scorers_free(old);
    settings_free(settings_old);
    swapper_look(daemon->swapper); /* an arm that comes back has generations on the disk */
    FAILPOINT("reload.applied");
    log_info("settings are reloaded: %u arms", daemon->settings->arm_count);
}

/* Nothing is scored now. */
static void apply(void *arg)
{
    struct daemon *daemon = arg;
    if (daemon->next != NULL)
        take_settings(daemon);
    else
        experiment_apply(daemon->experiment);
    tell_watch(daemon);
}

static void change_arms(void *arg)
{
    struct daemon *daemon = arg;
    swapper_change_arms(daemon->swapper, apply, daemon);
}

void daemon_build_arms(struct daemon *daemon)
{
    daemon->watch = watch_new(daemon->history, NULL, 0);
    daemon->experiment = experiment_new(&daemon->loop, daemon->settings, daemon->history,
                                        daemon->watch, change_arms, daemon);
    daemon->scorers = make_scorers(daemon);
    tell_watch(daemon);
    history_want_lists_for_impressions(daemon->history, impressions_matter(daemon->settings));
}

/* -- reloading --------------------------------------------------------------------------------- */

/* Nothing that shapes a list is another: no list is owed for it. */
static bool lists_stay(const struct settings *old, const struct settings *now)
{
    struct buffer before = {0}, after = {0};
    settings_write_shape(&before, old);
    settings_write_shape(&after, now);
    bool same = slice_equal(buffer_slice(&before), buffer_slice(&after)) &&
                old->experiment.start_ms == now->experiment.start_ms &&
                old->experiment.end_ms == now->experiment.end_ms;
    buffer_deinit(&before);
    buffer_deinit(&after);
    return same;
}

static void apply_quietly(void *arg)
{
    struct daemon *daemon = arg;
    bool taken = daemon->next == NULL; /* with a change of arms meanwhile */
    uint64_t before = experiment_fingerprint(daemon->experiment);
    if (!taken)
        apply(daemon);
    line_release(daemon->line);
    if (experiment_fingerprint(daemon->experiment) != before) /* it began or ended just now */
        change_arms(daemon);
}

/* Opening a pipe could hold the loop for as long as nobody writes to it. */
static int check_is_file(const char *path, struct error *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return error_set(err, ERR_SETTINGS, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return error_set(err, ERR_SETTINGS, "%s: is not a file that can be read again", path);
    return 0;
}

int daemon_reload(struct daemon *daemon, struct buffer *complaints, struct error *err)
{
    struct settings *settings;
    if (check_is_file(daemon->config, err) != 0 ||
        settings_load(&settings, daemon->config, complaints, err) != 0)
        return err->code;
    FAILPOINT("reload.read");
    if (!settings_may_reload(daemon->settings, settings, complaints)) {
        settings_free(settings);
        settings_place_complaints(complaints, daemon->config);
        return error_set(err, ERR_SETTINGS, "%s: nothing is reloaded", daemon->config);
    }
    FAILPOINT("reload.checked");
    settings_free(daemon->next);
    daemon->next = settings;
    if (lists_stay(daemon->settings, settings))
        line_hold(daemon->line, apply_quietly, daemon);
    else
        change_arms(daemon);
    return 0;
}
