/* freshet: one binary, one subcommand a job. */
#include "daemon/command.h"
#include "model/blas.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"run", cmd_run, "read events, keep lists fresh"},
    {"check", cmd_check, "say what is wrong with a settings file"},
    {"broker", cmd_broker, "an embedded Kafka broker for trying things"},
    {"replay", cmd_replay, "send a recorded stream to Kafka"},
    {"items", cmd_items, "send item titles and records to Kafka"},
    {"train", cmd_train, "run full ALS on the state, write a generation"},
    {"rollback", cmd_rollback, "go back to an earlier generation"},
    {"recommend", cmd_recommend, "show a user's live list"},
    {"explain", cmd_explain, "why an item has its score for a user"},
    {"whatif", cmd_whatif, "how a user's list would change after some events"},
    {"similar", cmd_similar, "items like one: by factors, and by what goes together"},
    {"publish", cmd_publish, "publish lists again, now"},
    {"arms", cmd_arms, "the scoreboard of the experiment"},
    {"top", cmd_top, "the dashboard at a terminal"},
    {"reload", cmd_reload, "have the daemon read its settings again"},
    {"status", cmd_status, "how the running daemon is"},
    {"dump", cmd_dump, "print the state as JSON lines"},
    {"backup", cmd_backup, "copy the state, while the daemon runs"},
    {"restore", cmd_restore, "put a backup in the place of the state"},
    {"import", cmd_import, "learn history from before Kafka"},
    {"reset", cmd_reset, "begin anew with an empty state"},
    {"forget", cmd_forget, "forget a user, and say what remains where"},
    {"receipt", cmd_receipt, "what there is of a user, and where"},
    {"eval", cmd_eval, "judge the lists on a recorded stream"},
    {"tune", cmd_tune, "search for better settings on a recorded stream"},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_usage(FILE *out)
{
    fprintf(out, "usage: freshet COMMAND [options]\n\ncommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n`freshet COMMAND --help` says more; `man freshet` says all.\n");
}

int main(int argc, char **argv)
{
    blas_know_processor(argv);
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        printf("freshet %s\n", FRESHET_VERSION);
        return 0;
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        print_usage(stdout);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);

    if (argc >= 2)
        fprintf(stderr, "freshet: unknown command \"%s\"\n", argv[1]);
    print_usage(stderr);
    return -ERR_USAGE;
}
