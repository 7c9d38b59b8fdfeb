#include "daemon/command.h"
#include "base/kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const struct command_line *line)
{
    printf("usage: freshet %s\n\n%s\n", line->synopsis, line->summary);
    printf("\noptions:\n");
    for (const struct option_row *row = line->rows; row->name != NULL; row++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s", row->name[1] != '\0' ? "--" : "-", row->name,
                 row->argument ? " " : "", row->argument ? row->argument : "");
        printf("  %-22s %s\n", left, row->sentence);
    }
    printf("  %-22s %s\n", "--help", "this text");
}

static const struct option_row *find_row(const struct command_line *line, const char *name,
                                         size_t length)
{
    for (const struct option_row *row = line->rows; row->name != NULL; row++)
        if (strlen(row->name) == length && memcmp(row->name, name, length) == 0)
            return row;
    return NULL;
}

/* One "--name", "--name value" or "--name=value"; moves *i past a value. */
static int parse_option(const struct command_line *line, int argc, char **argv, int *i,
                        struct error *err)
{
    const char *name = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct option_row *row = find_row(line, name, length);
    if (row == NULL)
        return error_set(err, ERR_USAGE, "unknown option %s (freshet %s --help lists them)",
                         argv[*i], argv[0]);
    if (row->argument == NULL) {
        if (equals != NULL)
            return error_set(err, ERR_USAGE, "--%s takes no value", row->name);
        *row->value = "";
        return 0;
    }
    if (equals != NULL) {
        *row->value = equals + 1;
        return 0;
    }
    if (*i + 1 >= argc)
        return error_set(err, ERR_USAGE, "--%s wants %s", row->name, row->argument);
    *row->value = argv[++*i];
    return 0;
}

/* "--name", or "-n" where there is an option of that letter; else it is a word, like a dash alone.
 */
static bool is_option(const struct command_line *line, const char *word)
{
    return strncmp(word, "--", 2) == 0 ||
           (word[0] == '-' && strlen(word) == 2 && find_row(line, word + 1, 1) != NULL);
}

int command_parse(const struct command_line *line, int argc, char **argv, bool *help,
                  struct error *err)
{
    int positional = 0;
    bool words = false; /* after "--" nothing is an option: ids may begin with dashes */
    *help = false;
    for (int i = 1; i < argc; i++) {
        if (!words && strcmp(argv[i], "--") == 0) {
            words = true;
            continue;
        }
        if (!words && strcmp(argv[i], "--help") == 0) {
            print_help(line);
            *help = true;
            return 0;
        }
        if (!words && is_option(line, argv[i])) {
            if (parse_option(line, argc, argv, &i, err) != 0)
                return ERR_USAGE;
        } else if (positional == line->positional_max) {
            return error_set(err, ERR_USAGE, "unexpected \"%s\" (usage: freshet %s)", argv[i],
                             line->synopsis);
        } else {
            line->positional[positional++] = argv[i];
        }
    }
    if (positional < line->positional_min)
        return error_set(err, ERR_USAGE, "usage: freshet %s", line->synopsis);
    return 0;
}

bool command_begin(const struct command_line *line, int argc, char **argv, int *status)
{
    struct error err = {0};
    bool help;
    bool right = command_parse(line, argc, argv, &help, &err) == 0;
    *status = right ? 0 : command_fail(&err);
    return right && !help;
}

int command_number(const char *name, const char *text, int64_t min, int64_t max, int64_t *value,
                   struct error *err)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < min || number > max)
        return error_set(err, ERR_USAGE,
                         "%s%s wants a whole number from %" PRId64 " to %" PRId64 ", not \"%s\"",
                         name[0] >= 'A' && name[0] <= 'Z' ? "" : "--", name, min, max, text);
    *value = number;
    return 0;
}

int command_fail(const struct error *err)
{
    fprintf(stderr, "freshet: %s\n", err->text);
    return -err->code;
}

/* What the settings say of the whole process; before any thread is started. */
static int apply(const struct settings *settings, struct error *err)
{
    int kernel = settings->model.kernel - 1;
    if (kernel < 0 || kernel_force((enum kernel)kernel))
        return 0;
    return error_set(err, ERR_SETTINGS, "model.kernel: this processor has no %s",
                     kernel_names[kernel]);
}

int command_settings(const char *path, struct settings **settings, struct error *err)
{
    if (path == NULL)
        return error_set(err, ERR_USAGE, "--config FILE is missing");
    struct buffer complaints = {0};
    int status = settings_load(settings, path, &complaints, err);
    if (status != 0 && complaints.length > 0)
        fprintf(stderr, "%.*s", (int)complaints.length, complaints.data);
    buffer_deinit(&complaints);
    return status == 0 ? apply(*settings, err) : status;
}
