/* The subcommands that ask the running daemon: rollback, recommend, publish, status. */
#include "daemon/ask.h"
#include "daemon/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cmd_rollback(int argc, char **argv)
{
    const char *config = NULL, *number_text = NULL;
    const struct option_row rows[] = {{"config", "FILE", "the settings", &config}, {0}};
    const struct command_line line = {
        .synopsis = "rollback GENERATION --config FILE",
        .summary = "Makes an earlier generation live again, as a new swap.",
        .rows = rows,
        .positional = &number_text,
        .positional_max = 1,
        .positional_min = 1,
    };
    struct error err = {0};
    struct json *answer;
    int status;
    int64_t number;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    if (command_number("GENERATION", number_text, 1, INT64_MAX, &number, &err) != 0)
        return command_fail(&err);
    struct asking asking;
    ask_begin(&asking, "rollback");
    json_int(&asking.w, "generation", number);
    status = ask_daemon(&asking, config, 60000, &answer, &err);
    if (status != 0)
        return command_fail(&err);
    json_free(answer);
    printf("generation %" PRId64 " is live\n", number);
    return 0;
}

static void print_list(const struct json *answer)
{
    const struct json *list = json_get(answer, "list"), *items = json_get(list, "items");
    const struct json *titles = json_get(answer, "titles");
    if (json_get_bool(list, "forgotten", false)) {
        printf("user %.*s was forgotten; the tombstone is of version %.*s\n",
               SLICE_ARG(json_get_string(list, "user", SLICE("?"))),
               SLICE_ARG(json_get_string(list, "v", SLICE("?"))));
        return;
    }
    printf("user %.*s, arm %.*s, generation %" PRId64 ", version %.*s, cause %.*s\n",
           SLICE_ARG(json_get_string(list, "user", SLICE("?"))),
           SLICE_ARG(json_get_string(list, "arm", SLICE("?"))), json_get_int(list, "gen", 0),
           SLICE_ARG(json_get_string(list, "v", SLICE("?"))),
           SLICE_ARG(json_get_string(list, "cause", SLICE("?"))));
    for (size_t i = 0; i < json_count(items); i++) {
        struct slice id = json_to_string(json_at(json_at(items, i), 0), SLICE("?"));
        char key[512];
        snprintf(key, sizeof key, "%.*s", SLICE_ARG(id));
        printf("%4zu  %-16.*s %10.4f  ", i + 1, SLICE_ARG(id),
               json_to_number(json_at(json_at(items, i), 1), 0));
        ask_print_text(json_get_string(titles, key, SLICE("")));
    }
}

int cmd_recommend(int argc, char **argv)
{
    const char *config = NULL, *as_json = NULL, *user = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"json", NULL, "the list as it is in Redis", &as_json},
        {0},
    };
    const struct command_line line = {
        .synopsis = "recommend USER --config FILE [--json]",
        .summary = "Shows a user's live list, with the items' titles where they are known.",
        .rows = rows,
        .positional = &user,
        .positional_max = 1,
        .positional_min = 1,
    };
    struct error err = {0};
    struct json *answer;
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    struct asking asking;
    ask_begin(&asking, "recommend");
    json_text(&asking.w, "user", user);
    status = ask_daemon(&asking, config, ASK_MS, &answer, &err);
    if (status != 0)
        return command_fail(&err);
    if (as_json != NULL)
        printf("%.*s\n", SLICE_ARG(json_get_string(answer, "text", SLICE(""))));
    else
        print_list(answer);
    json_free(answer);
    return 0;
}

int cmd_publish(int argc, char **argv)
{
    const char *config = NULL, *all = NULL, *user = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"all", NULL, "every user that is kept", &all},
        {0},
    };
    const struct command_line line = {
        .synopsis = "publish USER|--all --config FILE",
        .summary = "Scores and publishes lists again, and waits until Redis has them.",
        .rows = rows,
        .positional = &user,
        .positional_max = 1,
    };
    struct error err = {0};
    struct json *answer;
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    if ((user == NULL) == (all == NULL)) {
        error_set(&err, ERR_USAGE, "publish wants either a USER or --all");
        return command_fail(&err);
    }
    struct asking asking;
    ask_begin(&asking, "publish");
    if (user != NULL)
        json_text(&asking.w, "user", user);
    json_bool(&asking.w, "all", all != NULL);
    status = ask_daemon(&asking, config, 0, &answer, &err);
    if (status != 0)
        return command_fail(&err);
    json_free(answer);
    return 0;
}

/* "down: why", or "up", perhaps with what is refused. */
static void print_server(const struct json *server)
{
    struct slice why = json_get_string(server, "why", SLICE(""));
    printf("%s%s", json_get_bool(server, "up", false) ? "up" : "down", why.length > 0 ? ": " : "");
    ask_print_text(why);
}

static void print_disk(const struct json *disk)
{
    struct slice why = json_get_string(disk, "why", SLICE(""));
    if (json_get_bool(disk, "up", true))
        return;
    printf("disk        %.*s%s\n", SLICE_ARG(why),
           json_get_bool(disk, "memory_full", false) ? "; nothing more is learned" : "");
}

static void print_status(const struct json *s)
{
    const struct json *records = json_get(s, "records"), *lists = json_get(s, "lists");
    const struct json *latency = json_get(json_get(s, "latency"), "event_to_list_ms");
    const struct json *generation = json_get(s, "generation");
    const struct json *accuracy = json_get(json_get(s, "accuracy"), "new");
    struct slice best = json_get_string(json_get(s, "accuracy"), "recent_best", SLICE("1w"));
    char best_name[16];
    snprintf(best_name, sizeof best_name, "%.*s", SLICE_ARG(best));
    const struct json *recent = json_get(json_get(accuracy, "recent"), best_name);
    printf("state       %.*s, up %.0f s\n", SLICE_ARG(json_get_string(s, "state", SLICE("?"))),
           json_get_number(s, "uptime_s", 0));
    printf("kafka       ");
    print_server(json_get(s, "kafka"));
    printf("partitions  %" PRId64 "%s, lag %" PRId64 "\n", json_get_int(s, "assigned", 0),
           json_get_int(s, "assigned", 0) == 0 ? " (waiting for the group)" : "",
           json_get_int(json_get(s, "kafka"), "lag", -1));
    printf("redis       ");
    print_server(json_get(s, "redis"));
    print_disk(json_get(s, "disk"));
    printf("records     %" PRId64 " applied, %" PRId64 " duplicate, %" PRId64 " late, %" PRId64
           " dead\n",
           json_get_int(records, "applied", 0), json_get_int(records, "duplicate", 0),
           json_get_int(records, "late", 0), json_get_int(records, "dead", 0));
    printf("lists       %" PRId64 " stored, %" PRId64 " owed\n", json_get_int(lists, "stored", 0),
           json_get_int(s, "owed", 0));
    printf("latency     event to list p50 %.1f ms, p99 %.1f ms\n",
           json_get_number(latency, "p50", 0), json_get_number(latency, "p99", 0));
    printf("generation  %" PRId64 ", %" PRId64 " swaps\n", json_get_int(generation, "number", 0),
           json_get_int(generation, "swaps", 0));
    printf("hit@20      %.4f (popular %.4f, recent %.4f) on items new to their user\n",
           json_get_number(json_get(accuracy, "freshet"), "hit@20", 0),
           json_get_number(json_get(accuracy, "popular"), "hit@20", 0),
           json_get_number(recent, "hit@20", 0));
}

/* What the daemon exports, as it would over HTTP. */
static int print_metrics(const char *config)
{
    struct asking asking;
    struct json *answer;
    struct error err = {0};
    ask_begin(&asking, "metrics");
    if (ask_daemon(&asking, config, ASK_MS, &answer, &err) != 0)
        return command_fail(&err);
    printf("%.*s", SLICE_ARG(json_get_string(answer, "text", SLICE(""))));
    json_free(answer);
    return 0;
}

int cmd_status(int argc, char **argv)
{
    const char *config = NULL, *as_json = NULL, *as_metrics = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"metrics", NULL, "what Prometheus reads, fit for a textfile collector", &as_metrics},
        {"json", NULL, "all figures, as one JSON object", &as_json},
        {0},
    };
    const struct command_line line = {
        .synopsis = "status --config FILE [--json|--metrics]",
        .summary =
            "How the running daemon is. Exit status 0 if Kafka and Redis are up and the state can\n"
            "be written, 75 if not or if no daemon runs: fit for a health check.",
        .rows = rows,
    };
    struct error err = {0};
    struct json *answer;
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    if (as_metrics != NULL)
        return print_metrics(config);
    struct asking asking;
    ask_begin(&asking, "status");
    if (ask_daemon(&asking, config, ASK_MS, &answer, &err) != 0)
        return command_fail(&err);
    if (as_json != NULL)
        ask_print_json(answer);
    else
        print_status(answer);
    bool healthy = json_get_bool(json_get(answer, "kafka"), "up", false) &&
                   json_get_bool(json_get(answer, "redis"), "up", false) &&
                   json_get_bool(json_get(answer, "disk"), "up", true);
    json_free(answer);
    return healthy ? 0 : -ERR_DOWN;
}
