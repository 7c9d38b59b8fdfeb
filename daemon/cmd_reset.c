/* `freshet reset`: the state begins anew. */
#include "daemon/command.h"
#include "model/anew.h"
#include "model/generation.h"
#include "model/place.h"

#include <stdio.h>

static void print_plan(const struct settings *settings, bool drop_generations, bool will)
{
    const char *shall = will ? "will be" : "is";
    printf("the state in %s %s removed: histories, item sums, counters, dead letters not yet "
           "delivered\n",
           settings->state.dir, shall);
    if (drop_generations)
        printf("its generation files %s removed: lists are trend lists until the first training\n",
               will ? "will be" : "are");
    else
        printf("its generation files stay, and the newest that passed goes live "
               "(--drop-generations removes them)\n");
    printf("the log of %s %s read from its beginning; lists are published once that is done, and\n"
           "replace those in Redis. Lists of users who are not in the log any more stay until they "
           "expire (lists.expiry)\n",
           settings->consumer.topic, shall);
}

static int make_empty(const struct settings *settings, struct place *place, bool drop_generations,
                      struct error *err)
{
    struct history_settings history;
    settings_history(settings, &history);
    struct anew anew = {.lists_owed = false};
    struct state_settings aside = history.state;
    aside.dir = place_aside(place);
    int status = anew_begin(&aside, &anew, err);
    if (status == 0 && drop_generations)
        status = generation_make_dir(aside.dir, 0, err);
    return status == 0 ? place_finish(place, err) : status;
}

static int reset(const struct settings *settings, bool drop_generations, bool yes,
                 struct error *err)
{
    struct place *place;
    int status = place_begin(&place, settings->state.dir, err);
    if (status != 0)
        return status;
    print_plan(settings, drop_generations, !yes);
    if (yes)
        status = make_empty(settings, place, drop_generations, err);
    else
        status = error_set(err, ERR_USAGE, "nothing was done: --yes does it");
    place_end(place);
    return status;
}

int cmd_reset(int argc, char **argv)
{
    const char *config = NULL, *drop = NULL, *yes = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"drop-generations", NULL, "remove the generation files, too", &drop},
        {"yes", NULL, "do it; without it reset only says what it would do", &yes},
        {0},
    };
    const struct command_line line = {
        .synopsis = "reset --config FILE [--drop-generations] --yes",
        .summary = "Begins anew: an empty state, which learns from what the log still has. What\n"
                   "the log no longer has is lost: make a backup first. No daemon may be running.",
        .rows = rows,
    };
    struct error err = {0};
    struct settings *settings;
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    if (command_settings(config, &settings, &err) != 0)
        return command_fail(&err);
    status = reset(settings, drop != NULL, yes != NULL, &err);
    settings_free(settings);
    return status == 0 ? 0 : command_fail(&err);
}
