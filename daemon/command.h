/* The subcommands. Each is one function in a cmd_*.c: it reads its own options, writes data to
 * stdout and complaints to stderr, and returns the exit status (docs/freshet.1 lists them): 0, or
 * -code of its error. */
#ifndef FRESHET_DAEMON_COMMAND_H
#define FRESHET_DAEMON_COMMAND_H

#include "base/error.h"
#include "daemon/settings.h"

#include <stdbool.h>

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_broker(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_items(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_rollback(int argc, char **argv);
int cmd_recommend(int argc, char **argv);
int cmd_publish(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_whatif(int argc, char **argv);
int cmd_similar(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_arms(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_backup(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_reset(int argc, char **argv);
int cmd_forget(int argc, char **argv);
int cmd_receipt(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_tune(int argc, char **argv);

/* What a subcommand takes. `name` is long, or a letter for one dash; `argument` NULL for a flag. */
struct option_row {
    const char *name;
    const char *argument; /* "FILE" */
    const char *sentence;
    const char **value; /* where the argument goes; a flag sets it to "" */
};

/* Parses argv[1..] by the table: options into their values, up to `positional_max` others into
 * `positional`, and
 * `--help` (prints the table, sets *help). Returns 0 or ERR_USAGE with the sentence in err. */
struct command_line {
    const char *synopsis;          /* "replay FILE --config F [options]" */
    const char *summary;           /* one sentence */
    const struct option_row *rows; /* ended by a NULL name */
    const char **positional;
    int positional_max, positional_min;
};
int command_parse(const struct command_line *line, int argc, char **argv, bool *help,
                  struct error *err);

/* The same with what follows: false if there is nothing more to do, because the help was printed or
 * the line is wrong (said on stderr); *status is then what to exit with. */
bool command_begin(const struct command_line *line, int argc, char **argv, int *status);

/* A whole number of an option; ERR_USAGE that names it. */
int command_number(const char *name, const char *text, int64_t min, int64_t max, int64_t *value,
                   struct error *err);

/* Prints "freshet: text" (and every complaint of the settings) and returns the exit status. */
int command_fail(const struct error *err);
int command_settings(const char *path, struct settings **settings, struct error *err);

#endif
