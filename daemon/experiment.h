/* The experiment: which arm each user is in, which arms run, and when that changes.
 *
 * The arms in force follow from the settings, from the stream's time (before experiment.start and
 * after experiment.end everybody is in control) and from what was stopped: an arm whose guard was
 * broken loses its users to control and stays stopped, over restarts too, until the experiment gets
 * another id or the arm leaves the settings. What is decided here takes effect by `change`, which
 * is to call experiment_apply once nothing is scored (daemon/swapper.h). Loop thread. */
#ifndef FRESHET_DAEMON_EXPERIMENT_H
#define FRESHET_DAEMON_EXPERIMENT_H

#include "daemon/settings.h"
#include "model/arms.h"
#include "monitor/scoreboard.h"
#include "monitor/watch.h"

enum experiment_phase { EXPERIMENT_WAITING, EXPERIMENT_RUNNING, EXPERIMENT_ENDED };
extern const char *const experiment_phase_names[];

#define STOP_REASON_MAX 200

struct experiment;

/* Arms as the settings and the state's note have them; nothing is told before experiment_begin.
 * `settings` are borrowed until experiment_set. */
struct experiment *experiment_new(uv_loop_t *loop, const struct settings *settings,
                                  struct history *history, struct watch *watch,
                                  void (*change)(void *arg), void *arg);
void experiment_free(struct experiment *experiment, void (*freed)(void *arg), void *arg);

/* From now on it looks once a second. Asks for a change if the arms are not those that the state
 * was last run with. */
void experiment_begin(struct experiment *experiment);

/* Other settings; in force with the next experiment_apply. Arms of the same name stay stopped if
 * the experiment is the same. */
void experiment_set(struct experiment *experiment, const struct settings *settings);

/* What was decided is in force from now on; while nothing is scored. */
void experiment_apply(struct experiment *experiment);

/* Stops an arm, or lets it go on. ERR_USAGE if there is none such, it is control, or its guard
 * would stop it again at once. */
int experiment_stop(struct experiment *experiment, const char *arm, const char *why,
                    struct error *err);
int experiment_resume(struct experiment *experiment, const char *arm, struct error *err);

/* Stands for all that is in force: another one, and lists are owed. */
uint64_t experiment_fingerprint(const struct experiment *experiment);

/* In force now; lives as long as the experiment. */
const struct arms *experiment_assignment(const struct experiment *experiment);
enum experiment_phase experiment_phase(const struct experiment *experiment);
/* NULL: it runs. */
const char *experiment_why_stopped(const struct experiment *experiment, uint32_t arm);
/* The number that stands for the arm's trial; 0 for a shadow, and while the experiment is not
 * running. */
uint64_t experiment_trial(const struct experiment *experiment, uint32_t arm);

/* The trials of all arms that the experiment ever had: [*count]. */
const uint64_t *experiment_trials(const struct experiment *experiment, size_t *count);

/* Looks now, not only once a second: for who is to be told. */
void experiment_look(struct experiment *experiment);

/* Users, hits, intervals and tests of all arms, as of the last look; they stay when the experiment
 * has ended. What the tests remember is noted in the state with every look. */
const struct scoreboard *experiment_scoreboard(const struct experiment *experiment);

#endif
