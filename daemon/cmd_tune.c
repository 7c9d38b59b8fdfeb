/* `freshet tune`: which settings make the best lists on the first part of a recorded stream? */
#include "base/clock.h"
#include "daemon/judging.h"
#include "eval/tune.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TRIALS 30
#define FROM "0.5"
#define TO "0.6"

struct tune_options {
    const char *config, *budget, *minutes, *from, *to, *seed, *threads;
};

static int parse_options(const struct tune_options *options, struct tune_settings *tune,
                         int64_t *threads, struct error *err)
{
    int64_t seed = 1, trials = TRIALS, minutes = 0;
    if ((options->seed && command_number("seed", options->seed, 0, INT64_MAX, &seed, err) != 0) ||
        (options->budget &&
         command_number("budget", options->budget, 1, TUNE_TRIALS_MAX, &trials, err) != 0) ||
        (options->minutes &&
         command_number("minutes", options->minutes, 1, 100000, &minutes, err) != 0) ||
        (options->threads && command_number("threads", options->threads, 1, 256, threads, err)))
        return err->code;
    if (options->minutes != NULL) {
        tune->deadline_ns = clock_monotonic_ns() + minutes * INT64_C(60000000000);
        trials = options->budget != NULL ? trials : TUNE_TRIALS_MAX;
    }
    tune->seed = (uint64_t)seed;
    tune->trials = (size_t)trials;
    return 0;
}

static int parse_part(const struct tune_options *options, const struct stream *stream,
                      struct tune_settings *tune, struct error *err)
{
    if (stream_place(stream, "from", options->from ? options->from : FROM, &tune->from, err) != 0 ||
        stream_place(stream, "to", options->to ? options->to : TO, &tune->to, err) != 0)
        return err->code;
    if (tune->from >= tune->to)
        return error_set(err, ERR_USAGE, "nothing lies between --from and --to");
    return 0;
}

/* -- saying ------------------------------------------------------------------------------------ */

static void format_days(char *text, size_t size, int64_t ms)
{
    if (ms % 86400000 == 0 && ms > 0)
        snprintf(text, size, "%" PRId64 "d", ms / 86400000);
    else
        snprintf(text, size, "%" PRId64 "s", ms / 1000);
}

/* A comment, so that all that is printed is YAML. */
static void show_trial(const struct tune_trial *trial, void *arg)
{
    struct judging *judging = arg;
    char half_life[32] = "as given";
    progress_end(&judging->progress);
    if (trial->half_life_ms >= 0)
        format_days(half_life, sizeof half_life, trial->half_life_ms);
    printf("# %3zu  ndcg@20 %.4f +- %.4f  (%+.4f +- %.4f)  rank %d, w0 %g, lambda %g, alpha %g, "
           "half-life %s; trained in %.1f s\n",
           trial->number, trial->ndcg, trial->se, trial->gain, trial->gain_se, trial->hyper.rank,
           trial->hyper.w0, trial->hyper.lambda, trial->hyper.alpha, half_life,
           trial->train_seconds);
    fflush(stdout);
}

static void show_progress(double share, const char *stage, size_t trials, void *arg)
{
    struct judging *judging = arg;
    char text[64];
    snprintf(text, sizeof text, "%s: %zu trials", stage, trials);
    judging_show(judging, share, text);
}

static void print_types(const struct settings *settings, const struct tune_trial *best)
{
    static const char *const values[] = {"none", "linear", "log"};
    printf("events:\n");
    for (uint32_t i = 0; i < settings->events.type_count; i++) {
        const struct type_weight *type = &best->types[i];
        char half_life[32];
        format_days(half_life, sizeof half_life, type->half_life_ms);
        printf("  %s: {weight: %g, half_life: %s, cap: %g, value: %s, hides: %s}\n",
               settings->events.names[i], type->weight, half_life, type->cap, values[type->value],
               type->hides ? "true" : "false");
    }
}

static void print_best(const struct settings *settings, const struct tune_trial *best)
{
    if (best->number == 0)
        printf("# nothing tried was better than what was given by more than a standard error\n");
    else
        printf("# trial %zu: ndcg@20 %.4f, %+.4f +- %.4f to what was given\n", best->number,
               best->ndcg, best->gain, best->gain_se);
    printf("model:\n  rank: %d\n", best->hyper.rank);
    if (best->hyper.objective == OBJECTIVE_IALS)
        printf("  w0: %g\n", best->hyper.w0);
    printf("  lambda: %g\n  alpha: %g\n", best->hyper.lambda, best->hyper.alpha);
    if (best->half_life_ms >= 0)
        print_types(settings, best);
}

/* -- running ----------------------------------------------------------------------------------- */

static int run(struct judging *judging, const struct tune_options *options,
               struct tune_settings *tune, struct error *err)
{
    struct tune_trial best;
    tune->stage = judging->stage;
    tune->scorer = judging->scorer;
    tune->judged = show_trial;
    tune->progress = show_progress;
    tune->arg = judging;
    judging->deadline_ns = tune->deadline_ns;
    if (parse_part(options, &judging->stream, tune, err) != 0)
        return err->code;
    printf("# trained on %zu events, judged on those up to %zu; seed %" PRIu64 "\n", tune->from,
           tune->to, tune->seed);
    int failed = tune_run(&judging->stream, tune, &best, err);
    progress_end(&judging->progress);
    if (!failed)
        print_best(judging->settings, &best);
    return failed ? failed : judging_printed(err);
}

int cmd_tune(int argc, char **argv)
{
    struct tune_options options = {0};
    const char *path = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings to start from; default: the defaults", &options.config},
        {"budget", "N", "try so many; default 30", &options.budget},
        {"minutes", "M", "begin no trial after so many minutes", &options.minutes},
        {"from", "WHEN", "trained on what is before: a share of the events or a time; default 0.5",
         &options.from},
        {"to", "WHEN", "judged up to there; default 0.6", &options.to},
        {"seed", "N", "of all that is drawn; default 1", &options.seed},
        {"threads", "N", "that train and make lists; default one a processor", &options.threads},
        {0},
    };
    const struct command_line line = {
        .synopsis = "tune FILE [--config FILE] [options]",
        .summary = "Searches at random over rank, w0, lambda, alpha and half-lives on the first "
                   "part of a\n"
                   "recorded stream; prints each trial as a YAML comment, then the best as "
                   "settings to paste.",
        .rows = rows,
        .positional = &path,
        .positional_max = 1,
        .positional_min = 1,
    };
    struct error err = {0};
    struct judging judging;
    struct tune_settings tune = {0};
    int64_t threads = judging_threads();
    bool help;
    if (command_parse(&line, argc, argv, &help, &err) != 0)
        return command_fail(&err);
    if (help)
        return 0;
    if (parse_options(&options, &tune, &threads, &err) != 0 ||
        judging_open(&judging, options.config, path, tune.seed, threads, &err) != 0)
        return judging_fail(&err);
    int failed = run(&judging, &options, &tune, &err);
    judging_close(&judging);
    return failed ? judging_fail(&err) : 0;
}
