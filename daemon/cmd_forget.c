/* `freshet forget` and `freshet receipt`: a user is forgotten, and what remains where. */
#include "base/clock.h"
#include "consumer/log_look.h"
#include "consumer/produce.h"
#include "consumer/topic_config.h"
#include "daemon/command.h"
#include "daemon/control.h"
#include "model/generation.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS 30000    /* for Kafka to answer */
#define ANSWER_MS 60000  /* for the daemon, which commits first */
#define FORGET_MS 120000 /* from the event in the log to the tombstone in Redis */
#define AGAIN_MS 100

struct receipt {
    const struct settings *settings;
    struct consumer_settings consumer;
    struct log_look look;
    struct slice user;
    int32_t partition;    /* that the user's events go to */
    int64_t forgotten_at; /* offset of the event, -1: not by us */
    struct json *answer;  /* the daemon's */
};

/* -- asking ------------------------------------------------------------------------------------ */

static int look(struct receipt *r, struct error *err)
{
    if (r->user.length == 0 || r->user.length > ID_BYTES_MAX)
        return error_set(err, ERR_USAGE, "a user has 1 to %d bytes", ID_BYTES_MAX);
    settings_consumer(r->settings, &r->consumer);
    int status = log_look(&r->look, &r->consumer, LOOK_MS, err);
    if (status == 0)
        r->partition = log_partition_of(&r->look, r->user);
    return status;
}

/* What the daemon knows is of the partitions that it has: of others it may keep what it once read.
 */
static int check_ours(const struct receipt *r, struct error *err)
{
    if (json_get_bool(r->answer, "assigned", false))
        return 0;
    if (json_get_int(r->answer, "partitions", 0) == 0)
        return error_set(err, ERR_DOWN, "the daemon waits for the group to give it partitions");
    return error_set(err, ERR_DOWN,
                     "partition %d of %s is another instance's: ask that one (`partitions` in "
                     "`freshet status --json`)",
                     (int)r->partition, r->consumer.topic);
}

static int ask(struct receipt *r, struct error *err)
{
    struct buffer text = {0};
    struct json_writer w = {.out = &text};
    json_free(r->answer);
    json_begin_object(&w, NULL);
    json_text(&w, "cmd", "receipt");
    json_string(&w, "user", r->user);
    json_int(&w, "partition", r->partition);
    json_end_object(&w);
    int status =
        control_ask(r->settings->state.dir, buffer_slice(&text), ANSWER_MS, &r->answer, err);
    buffer_deinit(&text);
    return status;
}

/* Nothing, or a tombstone that Redis has, too. */
static bool is_erased(const struct json *record)
{
    return record == NULL || json_get_bool(record, "told", false);
}

static bool is_done(const struct receipt *r)
{
    return json_get_bool(r->answer, "assigned", false) &&
           json_get_int(r->answer, "next_offset", INT64_MIN) > r->forgotten_at &&
           is_erased(json_get(r->answer, "record")) &&
           json_get_int(r->answer, "dead_letters", 0) == 0 &&
           json_get_bool(json_get(r->answer, "redis"), "forgotten", false);
}

/* Learned, durable, the tombstones in Redis and in the dead letters' topic. */
static int wait_for_it(struct receipt *r, struct error *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + FORGET_MS * INT64_C(1000000);
    int status;
    while ((status = ask(r, err)) == 0 && !is_done(r)) {
        if (json_get_int(r->answer, "partitions", 0) > 0 && (status = check_ours(r, err)) != 0)
            break;
        if (clock_monotonic_ns() > deadline_ns) {
            status = error_set(err, ERR_DOWN, "not done within %d s", FORGET_MS / 1000);
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = AGAIN_MS * 1000000L}, NULL);
    }
    if (status == 0)
        return 0;
    return error_wrap(err,
                      "the event is in the log at partition %d, offset %" PRId64
                      ", and is obeyed when the daemon comes to it (`freshet receipt` says what is "
                      "left)",
                      (int)r->partition, r->forgotten_at);
}

static int send_event(struct receipt *r, struct error *err)
{
    struct producer *producer;
    struct buffer text = {0};
    struct json_writer w = {.out = &text};
    json_begin_object(&w, NULL);
    json_string(&w, "user", r->user);
    json_text(&w, "type", "forget_user");
    json_end_object(&w);
    int status = producer_open(&producer, &r->consumer, err);
    if (status == 0) {
        status = producer_send(producer, false, r->user, buffer_slice(&text), err);
        if (status == 0)
            status = producer_flush(producer, LOOK_MS, err);
        if (status == 0)
            producer_last(producer, &r->partition, &r->forgotten_at);
        producer_close(producer);
    }
    buffer_deinit(&text);
    return status;
}

/* -- what is left ------------------------------------------------------------------------------ */

static void print_state(const struct receipt *r)
{
    const struct json *record = json_get(r->answer, "record");
    int64_t days = r->settings->lists.expiry_ms / 86400000;
    if (record == NULL)
        printf("state        nothing is kept of the user (durable)\n");
    else if (is_erased(record))
        printf(
            "state        nothing is kept of the user but a tombstone with the id (durable), for "
            "lists.expiry =\n             %" PRId64 " days: a Redis put back to an older copy "
            "is told again\n",
            days);
    else
        printf("state        %s%" PRId64 " interactions, %" PRId64 " items seen, %" PRId64
               " shown, %" PRId64 " event ids, a list of %" PRId64 "\n",
               json_get_bool(record, "forgotten", false) ? "forgotten, Redis not yet told; " : "",
               json_get_int(record, "interactions", 0), json_get_int(record, "seen", 0),
               json_get_int(record, "shown", 0), json_get_int(record, "event_ids", 0),
               json_get_int(record, "list", 0));
    printf("vector       none is stored; one in memory left it with the record\n");
    printf(
        "item sums    what the user's events added stays in the items' counts and co-occurrence, "
        "without\n             a name, and fades with their half-lives (1 year the longest)\n");
    printf("state file   %s/data.mdb: freed pages may hold old bytes until they are used again; a "
           "backup has none of them\n",
           r->settings->state.dir);
}

static void print_redis(const struct receipt *r)
{
    const struct json *list = json_get(r->answer, "redis");
    int64_t days = r->settings->lists.expiry_ms / 86400000;
    if (list == NULL)
        printf("Redis        no list\n");
    else if (json_get_bool(list, "forgotten", false))
        printf("Redis        a tombstone with the user's id (version %.*s), gone within "
               "lists.expiry = %" PRId64 " days\n",
               SLICE_ARG(json_get_string(list, "v", SLICE("?"))), days);
    else
        printf("Redis        a list of %zu items (version %.*s)\n",
               json_count(json_get(list, "items")),
               SLICE_ARG(json_get_string(list, "v", SLICE("?"))));
    if (r->settings->lists.changes_max > 0)
        printf("             %schanges: the id, in entries that leave when %" PRId64
               " newer ones have come\n",
               r->settings->redis.prefix, r->settings->lists.changes_max);
}

static void print_keeping(const struct receipt *r, const char *topic)
{
    struct topic_config config;
    struct error err = {0};
    if (topic_config_read(&config, &r->consumer, topic, LOOK_MS, &err) != 0) {
        printf("             (%s)\n", err.text);
        return;
    }
    printf("             cleanup.policy %s, retention.ms %s, retention.bytes %s\n",
           config.cleanup_policy, config.retention_ms, config.retention_bytes);
}

static void print_kafka(const struct receipt *r)
{
    const struct log_ends *ends = &r->look.events.ends[r->partition];
    int64_t end = r->forgotten_at >= 0 ? r->forgotten_at : ends->high - 1;
    printf("log          %s partition %d: the user's own records among offsets %" PRId64
           " to %" PRId64 ", until they are deleted there\n",
           r->consumer.topic, (int)r->partition, ends->low, end);
    print_keeping(r, r->consumer.topic);
    printf("dead letters %" PRId64 " with the user's key are held in the state\n",
           json_get_int(r->answer, "dead_letters", 0));
    if (r->forgotten_at >= 0)
        printf("             %s: a tombstone follows those delivered; compaction erases them, else "
               "retention does\n",
               r->consumer.dead_topic);
    else
        printf("             %s: those delivered, until they are deleted there\n",
               r->consumer.dead_topic);
    print_keeping(r, r->consumer.dead_topic);
}

static int64_t cutoff_of(const struct generation *generation, int32_t partition)
{
    for (size_t i = 0; i < generation->cutoff_count; i++)
        if (generation->cutoffs[i].partition == partition)
            return generation->cutoffs[i].next_offset;
    return 0;
}

/* A training before the forgetting had the history, one after it has not. */
static void print_generation(const struct receipt *r, uint64_t series, uint64_t number)
{
    char path[PATH_MAX];
    struct generation *generation;
    struct error err = {0};
    generation_path(path, sizeof path, r->settings->state.dir, series, number);
    if (generation_read(&generation, path, &err) != 0) {
        printf("             %s\n", err.text);
        return;
    }
    int64_t cutoff = cutoff_of(generation, r->partition);
    bool without = r->forgotten_at >= 0 && cutoff > r->forgotten_at;
    printf("             %s: cut at offset %" PRId64 "%s\n", path, cutoff,
           without ? ", after the forgetting" : "");
    generation_free(generation);
}

static void print_generations(const struct receipt *r)
{
    printf("generations  item factors only; those cut before the forgetting were trained with the "
           "history, and\n             leave when train.keep = %" PRId64 " newer ones are there\n",
           r->settings->train.keep);
    for (uint32_t i = 0; i < r->settings->arm_count; i++) {
        uint64_t *numbers, series = settings_series_key(r->settings->arms[i].settings, r->settings);
        size_t count;
        struct error err = {0};
        bool known = false;
        for (uint32_t j = 0; j < i; j++)
            known |= settings_series_key(r->settings->arms[j].settings, r->settings) == series;
        if (known || generation_list(r->settings->state.dir, series, &numbers, &count, &err) != 0)
            continue;
        for (size_t n = 0; n < count; n++)
            print_generation(r, series, numbers[n]);
        free(numbers);
    }
}

static void print_instances(const struct receipt *r)
{
    printf("instances    a state that had partition %d before this one keeps what it read of it, "
           "until it has the\n             partition again and reads on, or `freshet reset`\n",
           (int)r->partition);
}

static void print_receipt(const struct receipt *r)
{
    printf("user         %.*s, partition %d", SLICE_ARG(r->user), (int)r->partition);
    if (r->forgotten_at >= 0)
        printf(", forgotten by the event at offset %" PRId64, r->forgotten_at);
    printf("\n");
    print_state(r);
    print_redis(r);
    print_kafka(r);
    print_generations(r);
    print_instances(r);
    printf("backups      those made before have the history; a restored one forgets again as long "
           "as the log still\n             has the event: delete them, or forget again after a "
           "restore\n");
}

/* -- the two commands -------------------------------------------------------------------------- */

static int give_receipt(struct receipt *r, bool forget, struct error *err)
{
    int status = look(r, err);
    if (status == 0 && forget)
        status = send_event(r, err);
    if (status == 0)
        status = forget ? wait_for_it(r, err) : ask(r, err);
    if (status == 0 && !forget)
        status = check_ours(r, err);
    if (status == 0)
        print_receipt(r);
    json_free(r->answer);
    log_look_deinit(&r->look);
    return status;
}

static int run(const struct command_line *line, const char *const *config, const char *const *user,
               bool forget, int argc, char **argv)
{
    struct error err = {0};
    struct settings *settings;
    int status;
    if (!command_begin(line, argc, argv, &status))
        return status;
    if (command_settings(*config, &settings, &err) != 0)
        return command_fail(&err);
    struct receipt receipt = {.settings = settings, .user = slice_of(*user), .forgotten_at = -1};
    status = give_receipt(&receipt, forget, &err);
    settings_free(settings);
    return status == 0 ? 0 : command_fail(&err);
}

int cmd_forget(int argc, char **argv)
{
    const char *config = NULL, *user = NULL;
    const struct option_row rows[] = {{"config", "FILE", "the settings", &config}, {0}};
    const struct command_line line = {
        .synopsis = "forget USER --config FILE",
        .summary = "Sends the event forget_user, waits until the daemon has erased the user's "
                   "history, vector and list,\nand prints a receipt of what remains where.",
        .rows = rows,
        .positional = &user,
        .positional_max = 1,
        .positional_min = 1,
    };
    return run(&line, &config, &user, true, argc, argv);
}

int cmd_receipt(int argc, char **argv)
{
    const char *config = NULL, *user = NULL;
    const struct option_row rows[] = {{"config", "FILE", "the settings", &config}, {0}};
    const struct command_line line = {
        .synopsis = "receipt USER --config FILE",
        .summary = "Says what there is of a user, and where. Changes nothing.",
        .rows = rows,
        .positional = &user,
        .positional_max = 1,
        .positional_min = 1,
    };
    return run(&line, &config, &user, false, argc, argv);
}
