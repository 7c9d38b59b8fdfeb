/* `freshet import`: a recording -> the state's beginning. */
#include "base/clock.h"
#include "daemon/command.h"
#include "daemon/importing.h"
#include "daemon/progress.h"
#include "model/anew.h"
#include "model/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define LOOK_MS 30000 /* for Kafka to answer */

static void draw(const char *stage, double share, void *arg)
{
    progress_draw(arg, share, stage);
}

static int import_into(const struct settings *settings, struct place *place, const char *path,
                       struct import_figures *figures, struct error *err)
{
    struct history_settings history;
    struct consumer_settings consumer;
    struct log_look look;
    struct progress progress;
    settings_history(settings, &history);
    settings_consumer(settings, &consumer);
    int status = anew_check_unread(&history.state, history.topic, err);
    if (status == 0)
        status = log_look(&look, &consumer, LOOK_MS, err);
    if (status != 0)
        return status;
    struct anew anew = {.lists_owed = true};
    struct state_settings aside = history.state;
    aside.dir = place_aside(place);
    progress_begin(&progress);
    status = import_recording(settings, &look, path, aside.dir, figures, draw, &progress, err);
    progress_end(&progress);
    log_look_deinit(&look);
    if (status == 0)
        status = anew_begin(&aside, &anew, err);
    return status == 0 ? place_finish(place, err) : status;
}

static int import(const struct settings *settings, const char *path, struct import_figures *figures,
                  struct error *err)
{
    struct place *place;
    int status = place_begin(&place, settings->state.dir, err);
    if (status != 0)
        return status;
    status = import_into(settings, place, path, figures, err);
    place_end(place);
    return status;
}

static void print_day(const char *before, int64_t ms)
{
    char day[32] = "?";
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) != NULL)
        strftime(day, sizeof day, "%Y-%m-%d", &utc);
    printf("%s%s", before, day);
}

static void print_figures(const struct import_figures *figures, double seconds)
{
    printf("%" PRIu64 " events", figures->events);
    if (figures->events > 0) {
        print_day(" of ", figures->first_ms);
        print_day(" to ", figures->last_ms);
    }
    printf(", in %d partitions, in %.1f s:", figures->partitions, seconds);
    for (int i = 0; i < COUNTER_COUNT; i++)
        if (figures->counters[i] > 0)
            printf(" %" PRIu64 " %s", figures->counters[i], counter_names[i]);
    printf("\n");
}

int cmd_import(int argc, char **argv)
{
    const char *config = NULL, *path = NULL;
    const struct option_row rows[] = {{"config", "FILE", "the settings", &config}, {0}};
    const struct command_line line = {
        .synopsis = "import FILE --config FILE",
        .summary =
            "Learns a recorded stream (.tsv or JSON lines, also .zst, as `freshet replay` takes "
            "it)\n"
            "as the history from before Kafka. Only into a state that has read nothing of the log\n"
            "yet; the daemon then goes on from the log's beginning. All of it, or nothing.",
        .rows = rows,
        .positional = &path,
        .positional_max = 1,
        .positional_min = 1,
    };
    struct error err = {0};
    struct settings *settings;
    struct import_figures figures = {0};
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    if (command_settings(config, &settings, &err) != 0)
        return command_fail(&err);
    int64_t began_ns = clock_monotonic_ns();
    status = import(settings, path, &figures, &err);
    settings_free(settings);
    if (status != 0)
        return command_fail(&err);
    print_figures(&figures, (double)(clock_monotonic_ns() - began_ns) * 1e-9);
    return 0;
}
