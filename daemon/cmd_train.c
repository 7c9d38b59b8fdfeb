#include "daemon/command.h"
#include "daemon/control.h"
#include "model/blas.h"
#include "model/train.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static void show(const struct train_report *report, void *arg)
{
    bool quiet = *(const bool *)arg;
    if (quiet)
        return;
    if (report->als == NULL)
        printf("%s\n", report->stage);
    else
        printf("%s: iteration %d of %d, loss %.6g, %.3f s\n", report->stage, report->als->iteration,
               report->als->iterations, report->als->loss, report->als->seconds);
    fflush(stdout);
}

/* The stream goes first: training takes what is left of the processor. */
static void yield_priority(void)
{
#ifdef SCHED_IDLE
    struct sched_param none = {0};
    if (sched_setscheduler(0, SCHED_IDLE, &none) == 0)
        return;
#endif
    setpriority(PRIO_PROCESS, 0, 19);
}

/* Should memory run out, the stream goes on, and training is tried again. */
static void offer_to_die_first(void)
{
    FILE *file = fopen("/proc/self/oom_score_adj", "w");
    if (file == NULL)
        return;
    fputs("1000", file);
    fclose(file);
}

static void tell_daemon(const struct settings *settings)
{
    struct json *answer;
    struct error err = {0};
    if (control_ask(settings->state.dir, SLICE("{\"cmd\":\"trained\"}"), 10000, &answer, &err) == 0)
        json_free(answer);
}

static void print_weights(const struct score_weights *weights)
{
    printf("weights: taste %g (rho %g), trend %g at %s, together %g", weights->taste, weights->rho,
           weights->trend, half_life_names[weights->trend_half_life], weights->together);
    if (weights->together > 0)
        printf(" (rho %g, %s, %s)", weights->together_of.rho,
               pairs_horizon_names[weights->together_of.horizon],
               weights->together_of.both ? "both" : "forward");
    printf("\n");
}

static void print_result(const struct generation *generation)
{
    const struct generation_figures *figures = &generation->figures;
    printf("generation %" PRIu64 ": %" PRIu64 " users, %" PRIu64 " items, %" PRIu64
           " interactions, loss %.6g, %.1f s\n",
           generation->number, figures->users, figures->items, figures->interactions, figures->loss,
           figures->seconds);
    printf("tail: ndcg@20 %.4f over %" PRIu64
           " events; alone: taste %.4f, trend %.4f, together %.4f%s\n",
           figures->ndcg20, figures->tail_events, figures->ndcg20_taste, figures->ndcg20_recent,
           figures->ndcg20_together,
           generation->gate == GATE_REFUSED ? "; refused by the gate" : "");
    print_weights(&generation->weights);
}

static const struct settings_arm *find_arm(const struct settings *settings, const char *name)
{
    for (uint32_t i = 0; i < settings->arm_count; i++)
        if (strcmp(settings->arms[i].name, name) == 0)
            return &settings->arms[i];
    return NULL;
}

/* Whose training settings: an arm's, and those that the daemon has in memory. */
static int choose(const struct settings *settings, const char *name, const char *series,
                  struct train_settings *train, struct error *err)
{
    const struct settings_arm *arm = name != NULL ? find_arm(settings, name) : NULL;
    if (name != NULL && arm == NULL)
        return error_set(err, ERR_SETTINGS, "there is no arm \"%s\"", name);
    const struct settings *own = arm != NULL ? arm->settings : settings;
    settings_train(own, train);
    train->series = settings_series_key(own, settings);
    char key[17];
    snprintf(key, sizeof key, "%016" PRIx64, train->series);
    if (series != NULL && strcmp(series, key) != 0)
        return error_set(err, ERR_SETTINGS,
                         "the settings of arm \"%s\" are not those the daemon runs on: reload them",
                         name != NULL ? name : "");
    return 0;
}

int cmd_train(int argc, char **argv)
{
    const char *config = NULL, *spawned = NULL, *arm = NULL, *series = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"arm", "NAME", "train as this arm is, not as the base settings say", &arm},
        {"series", "KEY", "by the daemon: which training settings it expects", &series},
        {"spawned", NULL, "by the daemon: say nothing but errors", &spawned},
        {0},
    };
    const struct command_line line = {
        .synopsis = "train --config FILE [--arm NAME]",
        .summary = "Runs full ALS on a snapshot of the state and writes a generation file; a "
                   "running daemon\n"
                   "swaps it in. The stream goes on meanwhile.",
        .rows = rows,
    };
    struct error err = {0};
    struct settings *settings;
    bool help;
    if (command_parse(&line, argc, argv, &help, &err) != 0)
        return command_fail(&err);
    if (help)
        return 0;
    if (command_settings(config, &settings, &err) != 0)
        return command_fail(&err);
    yield_priority();
    offer_to_die_first();
    blas_init();
    struct train_settings train;
    struct generation *generation = NULL;
    bool quiet = spawned != NULL;
    int status = choose(settings, arm, series, &train, &err);
    if (status == 0 && settings->train.follow[0] != '\0')
        status = error_set(&err, ERR_SETTINGS,
                           "train.follow: this instance takes over what is trained elsewhere (%s): "
                           "train there",
                           settings->train.follow);
    if (status == 0)
        status = train_run(&train, show, &quiet, &generation, &err);
    if (status == 0 && !quiet) {
        print_result(generation);
        tell_daemon(settings);
    }
    generation_free(generation);
    settings_free(settings);
    if (status == 0)
        return 0;
    error_wrap(&err, "train");
    return command_fail(&err);
}
