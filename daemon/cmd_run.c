#include "base/log.h"
#include "daemon/command.h"
#include "daemon/daemon.h"

#include <sys/stat.h>

int cmd_run(int argc, char **argv)
{
    const char *config = NULL;
    const struct option_row rows[] = {{"config", "FILE", "the settings", &config}, {0}};
    const struct command_line line = {
        .synopsis = "run --config FILE",
        .summary =
            "Reads events from Kafka and keeps every user's list in Redis fresh, until SIGTERM.",
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
    log_set_level(settings->daemon.log_level);
    umask(S_IRWXG | S_IRWXO); /* the state, its socket and the generations are ours alone */
    int status = daemon_run(settings, config, &err);
    settings_free(settings);
    return status == 0 ? 0 : command_fail(&err);
}
