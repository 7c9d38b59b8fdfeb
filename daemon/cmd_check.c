#include "consumer/kafka_config.h"
#include "daemon/command.h"
#include "daemon/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* stdout may be a full disk: data that was not written is an error. */
static int print_all(const struct buffer *text)
{
    fwrite(text->data, 1, text->length, stdout);
    if (fflush(stdout) == 0)
        return 0;
    perror("freshet: stdout");
    return -ERR_IO;
}

static int print_generated(void (*write)(struct buffer *out))
{
    struct buffer text = {0};
    write(&text);
    int status = print_all(&text);
    buffer_deinit(&text);
    return status;
}

int cmd_check(int argc, char **argv)
{
    const char *config = NULL, *defaults = NULL, *markdown = NULL, *metrics = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings to check", &config},
        {"defaults", NULL, "print every key with its default (configs/freshet.yaml)", &defaults},
        {"markdown", NULL, "print the reference (docs/CONFIG.md)", &markdown},
        {"metrics", NULL, "print the table of metrics (docs/METRICS.md)", &metrics},
        {0},
    };
    const struct command_line line = {
        .synopsis = "check --config FILE",
        .summary = "Says what is wrong with a settings file, each complaint with file:line: key; "
                   "if nothing is, what its arms are.",
        .rows = rows,
    };
    struct error err = {0};
    bool help;
    if (command_parse(&line, argc, argv, &help, &err) != 0)
        return command_fail(&err);
    if (help)
        return 0;
    if (defaults != NULL)
        return print_generated(settings_write_defaults);
    if (markdown != NULL)
        return print_generated(settings_write_markdown);
    if (metrics != NULL)
        return print_generated(metrics_write_table);

    struct settings *settings;
    if (command_settings(config, &settings, &err) != 0)
        return command_fail(&err);
    struct consumer_settings consumer;
    settings_consumer(settings, &consumer);
    if (kafka_config_check(&consumer, &err) != 0) {
        settings_free(settings);
        error_wrap(&err, "%s", config);
        return command_fail(&err);
    }
    struct buffer text = {0};
    buffer_printf(&text, "%s: ok\n", config);
    settings_write_arms(&text, settings);
    int status = print_all(&text);
    buffer_deinit(&text);
    settings_free(settings);
    return status;
}
