#include "daemon/command.h"
#include "daemon/control.h"
#include "model/history.h"

#include <stdio.h>

#define COMMIT_MS 60000

int cmd_dump(int argc, char **argv)
{
    const char *config = NULL, *all = NULL, *user = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"all", NULL, "every user, then item sums, items, partitions and the state", &all},
        {0},
    };
    const struct command_line line = {
        .synopsis = "dump USER|--all --config FILE",
        .summary = "Prints what is kept, as JSON lines: one a user; with --all also the rest.",
        .rows = rows,
        .positional = &user,
        .positional_max = 1,
    };
    struct error err = {0};
    struct settings *settings;
    bool help;
    if (command_parse(&line, argc, argv, &help, &err) != 0)
        return command_fail(&err);
    if (help)
        return 0;
    if ((user == NULL) == (all == NULL)) {
        error_set(&err, ERR_USAGE, "dump wants either a USER or --all");
        return command_fail(&err);
    }
    if (command_settings(config, &settings, &err) != 0)
        return command_fail(&err);
    struct history_settings history;
    settings_history(settings, &history);
    struct slice only = user != NULL ? slice_of(user) : (struct slice){NULL, 0};
    int status = control_make_durable(settings->state.dir, COMMIT_MS, &err);
    if (status == 0)
        status = history_dump(&history.state, only, stdout, &err);
    if (status == 0 && fflush(stdout) != 0)
        status = error_set(&err, ERR_IO, "stdout could not be written");
    settings_free(settings);
    return status == 0 ? 0 : command_fail(&err);
}
