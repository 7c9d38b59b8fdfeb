/* The subcommands about the running experiment: arms, reload. */
#include "daemon/arms_table.h"
#include "daemon/ask.h"
#include "daemon/command.h"

#include <stdio.h>

static int print_arms(const char *config, bool as_json)
{
    struct asking asking;
    struct json *answer;
    struct error err = {0};
    ask_begin(&asking, "arms");
    if (ask_daemon(&asking, config, ASK_MS, &answer, &err) != 0)
        return command_fail(&err);
    if (as_json) {
        ask_print_json(answer);
    } else {
        struct buffer text = {0};
        arms_table_write(&text, answer);
        fwrite(text.data, 1, text.length, stdout);
        buffer_deinit(&text);
    }
    json_free(answer);
    return 0;
}

static int switch_arm(const char *config, const char *command, const char *arm)
{
    struct asking asking;
    struct json *answer;
    struct error err = {0};
    ask_begin(&asking, command);
    json_text(&asking.w, "arm", arm);
    if (ask_daemon(&asking, config, ASK_MS, &answer, &err) != 0)
        return command_fail(&err);
    json_free(answer);
    return 0;
}

int cmd_arms(int argc, char **argv)
{
    const char *config = NULL, *as_json = NULL, *stop = NULL, *resume = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"json", NULL, "all figures, as one JSON object", &as_json},
        {"stop", "NAME", "its users get control's lists from now on, over restarts too", &stop},
        {"resume", "NAME", "a stopped arm goes on", &resume},
        {0},
    };
    const struct command_line line = {
        .synopsis = "arms --config FILE [--json|--stop NAME|--resume NAME]",
        .summary = "The scoreboard: each arm's users, hits, uplift over control with an interval "
                   "and a p-value\nthat hold however often one looks, churn, and why an arm was "
                   "stopped.",
        .rows = rows,
    };
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    if ((stop != NULL) + (resume != NULL) + (as_json != NULL) > 1) {
        struct error err = {0};
        error_set(&err, ERR_USAGE, "arms wants one of --json, --stop and --resume");
        return command_fail(&err);
    }
    if (stop != NULL)
        return switch_arm(config, "stop_arm", stop);
    if (resume != NULL)
        return switch_arm(config, "resume_arm", resume);
    return print_arms(config, as_json != NULL);
}

int cmd_reload(int argc, char **argv)
{
    const char *config = NULL;
    const struct option_row rows[] = {{"config", "FILE", "the settings", &config}, {0}};
    const struct command_line line = {
        .synopsis = "reload --config FILE",
        .summary = "Has the running daemon read its settings again, as SIGHUP does, and says what "
                   "is wrong\nwith them. All of them are taken, or nothing.",
        .rows = rows,
    };
    int status;
    struct asking asking;
    struct json *answer;
    struct error err = {0};
    if (!command_begin(&line, argc, argv, &status))
        return status;
    ask_begin(&asking, "reload");
    if (ask_daemon(&asking, config, ASK_MS, &answer, &err) != 0)
        return command_fail(&err);
    json_free(answer);
    return 0;
}
