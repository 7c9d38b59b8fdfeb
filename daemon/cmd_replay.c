/* `freshet replay` and `freshet items`: files -> Kafka. */
#include "base/clock.h"
#include "consumer/produce.h"
#include "consumer/item_file.h"
#include "consumer/recording.h"
#include "daemon/command.h"
#include "daemon/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AHEAD_MAX 20000 /* records the embedded broker may hold for a consumer: about 4 MB */
#define LOOK_EVERY 500  /* records between looks at how far the group is */
#define FLUSH_MS 60000
#define TICK_NS 1000000

struct replay {
    struct producer *producer;
    int64_t from_ms, to_ms, limit;
    double speed; /* times event time, 0: not paced by it */
    double rate;  /* records a second, 0: as fast as may be */
    int64_t ahead_max;
    int64_t began_ns, first_ts_ms;
    uint64_t sent;
    struct progress progress;
};

/* Up to TICK_NS early: a sleep for each of thousands of records costs more than they do. */
static void sleep_until(int64_t ns)
{
    int64_t left_ns = ns - clock_monotonic_ns();
    if (left_ns <= TICK_NS)
        return;
    struct timespec wait = {(time_t)(left_ns / 1000000000), (long)(left_ns % 1000000000)};
    nanosleep(&wait, NULL);
}

static void keep_pace(struct replay *replay, const struct recorded_event *event)
{
    if (replay->rate > 0)
        sleep_until(replay->began_ns + (int64_t)((double)replay->sent * 1e9 / replay->rate));
    else if (replay->speed > 0)
        sleep_until(replay->began_ns +
                    (int64_t)((double)(event->ts_ms - replay->first_ts_ms) * 1e6 / replay->speed));
}

/* Lets the group catch up, so that a broker which keeps little drops nothing. */
static int let_group_follow(struct replay *replay, const char *path, struct error *err)
{
    bool told = false;
    for (int64_t ahead = 0; replay->ahead_max > 0;) {
        if (producer_wait_for_group(replay->producer, replay->ahead_max, 2000, &ahead, err) != 0)
            return err->code;
        if (ahead <= replay->ahead_max)
            return 0;
        if (!told)
            fprintf(stderr, "%s: %" PRId64 " records ahead; waiting for freshet to take them\n",
                    path, ahead);
        told = true;
    }
    return 0;
}

static int send_event(struct replay *replay, const struct recorded_event *event,
                      struct buffer *json, struct error *err)
{
    buffer_clear(json);
    recorded_event_write(json, event);
    if (producer_send(replay->producer, false, event->user, buffer_slice(json), err) != 0)
        return err->code;
    replay->sent++;
    return 0;
}

/* Connecting takes a second or so, in which all that is sent would grow old; so the pace is counted
 * from when the first record has arrived. */
static int wait_for_first(struct replay *replay, struct error *err)
{
    int status = producer_flush(replay->producer, FLUSH_MS, err);
    replay->began_ns = clock_monotonic_ns();
    return status;
}

/* What was taken before an error is sent all the same, and the error says how much that is. */
static int flush_after(struct producer *producer, int status, struct error *err)
{
    struct error late = {0};
    if (status >= 0)
        return producer_flush(producer, FLUSH_MS, err);
    producer_flush(producer, FLUSH_MS, &late);
    return error_wrap(err, "after %" PRIu64 " records were sent", producer_delivered(producer));
}

static int replay_all(struct replay *replay, struct recording *recording, const char *path,
                      struct error *err)
{
    struct recorded_event event;
    struct buffer json = {0};
    int status = 0;
    replay->began_ns = clock_monotonic_ns();
    progress_begin(&replay->progress);
    while (status == 0 && (int64_t)replay->sent < replay->limit &&
           (status = recording_next(recording, &event, err)) == 1) {
        status = 0;
        if (event.ts_ms < replay->from_ms || event.ts_ms >= replay->to_ms)
            continue;
        if (replay->sent == 0)
            replay->first_ts_ms = event.ts_ms;
        keep_pace(replay, &event);
        status = send_event(replay, &event, &json, err);
        if (status == 0 && replay->sent == 1)
            status = wait_for_first(replay, err);
        if (status == 0 && replay->sent % LOOK_EVERY == 0)
            status = let_group_follow(replay, path, err);
        char text[64];
        snprintf(text, sizeof text, "%" PRIu64 " events", replay->sent);
        progress_draw(&replay->progress, recording_progress(recording), text);
    }
    status = flush_after(replay->producer, status, err);
    progress_end(&replay->progress);
    buffer_deinit(&json);
    return status;
}

static int parse_pace(struct replay *replay, const char *speed, const char *rate, struct error *err)
{
    char *end;
    if (speed != NULL && rate != NULL)
        return error_set(err, ERR_USAGE, "--speed and --rate exclude each other");
    if (speed != NULL) {
        replay->speed = strtod(speed, &end);
        if (end == speed || *end != '\0' || !(replay->speed > 0))
            return error_set(err, ERR_USAGE, "--speed wants a number above 0, not \"%s\"", speed);
    }
    if (rate != NULL) {
        replay->rate = strtod(rate, &end);
        if (end == rate || *end != '\0' || !(replay->rate > 0))
            return error_set(err, ERR_USAGE, "--rate wants a number above 0, not \"%s\"", rate);
    }
    return 0;
}

static int open_producer(const char *config, struct producer **producer, struct error *err)
{
    struct settings *settings;
    if (command_settings(config, &settings, err) != 0)
        return err->code;
    struct consumer_settings consumer;
    settings_consumer(settings, &consumer);
    int status = producer_open(producer, &consumer, err);
    settings_free(settings);
    return status == 0 ? 0 : error_wrap(err, "kafka");
}

static int replay_file(struct replay *replay, const char *path, const char *config, bool shuffle,
                       int64_t seed, struct error *err)
{
    struct recording *recording;
    if (recording_open(&recording, path, shuffle, (uint64_t)seed, err) != 0)
        return err->code;
    int status = open_producer(config, &replay->producer, err);
    if (status == 0) {
        if (producer_broker_is_embedded(replay->producer))
            replay->ahead_max = AHEAD_MAX;
        status = replay_all(replay, recording, path, err);
        if (status == 0)
            printf("%" PRIu64 " events in %.1f s\n", producer_delivered(replay->producer),
                   (double)(clock_monotonic_ns() - replay->began_ns) * 1e-9);
        producer_close(replay->producer);
    }
    recording_close(recording);
    return status;
}

int cmd_replay(int argc, char **argv)
{
    const char *config = NULL, *speed = NULL, *rate = NULL, *from = NULL, *to = NULL;
    const char *seed_text = NULL, *limit = NULL, *path = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings: brokers and topic", &config},
        {"speed", "X", "so many times as fast as it was recorded", &speed},
        {"rate", "N", "so many events a second", &rate},
        {"from", "TS", "leave out events before this time (ms since 1970)", &from},
        {"to", "TS", "and from this time on", &to},
        {"limit", "N", "stop after so many events", &limit},
        {"shuffle-ties", "SEED", "events of equal time in an order drawn from SEED", &seed_text},
        {0},
    };
    const struct command_line line = {
        .synopsis = "replay FILE --config FILE [options]",
        .summary =
            "Sends a recorded stream (.tsv or JSON lines, also .zst) to Kafka, keyed by user.\n"
            "Without --speed or --rate, as fast as broker and daemon follow.",
        .rows = rows,
        .positional = &path,
        .positional_max = 1,
        .positional_min = 1,
    };
    struct error err = {0};
    struct replay replay = {.from_ms = INT64_MIN, .to_ms = INT64_MAX, .limit = INT64_MAX};
    bool help;
    int64_t seed = 0;
    if (command_parse(&line, argc, argv, &help, &err) != 0)
        return command_fail(&err);
    if (help)
        return 0;
    if (parse_pace(&replay, speed, rate, &err) != 0 ||
        (from && command_number("from", from, INT64_MIN, INT64_MAX, &replay.from_ms, &err) != 0) ||
        (to && command_number("to", to, INT64_MIN, INT64_MAX, &replay.to_ms, &err) != 0) ||
        (limit && command_number("limit", limit, 1, INT64_MAX, &replay.limit, &err) != 0) ||
        (seed_text && command_number("shuffle-ties", seed_text, 0, INT64_MAX, &seed, &err) != 0))
        return command_fail(&err);
    if (replay_file(&replay, path, config, seed_text != NULL, seed, &err) != 0)
        return command_fail(&err);
    return 0;
}

/* -- items ------------------------------------------------------------------------------------- */

static int send_items(struct producer *producer, struct item_file *file, uint64_t *sent,
                      struct error *err)
{
    struct slice item, json;
    int status;
    while ((status = item_file_next(file, &item, &json, err)) == 1) {
        if (producer_send(producer, true, item, json, err) != 0)
            return err->code;
        (*sent)++;
    }
    return flush_after(producer, status, err);
}

int cmd_items(int argc, char **argv)
{
    const char *config = NULL, *path = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings: brokers and topic", &config}, {0}};
    const struct command_line line = {
        .synopsis = "items FILE --config FILE",
        .summary =
            "Sends item records to the items topic: tab-separated `item title`, or JSON lines as "
            "on the\n"
            "topic (blocked, available_from, available_until, categories, title), also .zst.",
        .rows = rows,
        .positional = &path,
        .positional_max = 1,
        .positional_min = 1,
    };
    struct error err = {0};
    struct item_file *file;
    struct producer *producer;
    uint64_t sent = 0;
    bool help;
    if (command_parse(&line, argc, argv, &help, &err) != 0)
        return command_fail(&err);
    if (help)
        return 0;
    if (item_file_open(&file, path, &err) != 0)
        return command_fail(&err);
    int status = open_producer(config, &producer, &err);
    if (status == 0) {
        status = send_items(producer, file, &sent, &err);
        producer_close(producer);
    }
    item_file_close(file);
    if (status != 0)
        return command_fail(&err);
    printf("%" PRIu64 " items\n", sent);
    return 0;
}
