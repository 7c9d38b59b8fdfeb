#include "daemon/importing.h"
#include "base/clock.h"
#include "base/mem.h"
#include "consumer/recording.h"
#include "model/scorer.h"

#include <inttypes.h>
#include <stdlib.h>

#define BATCH_EVENTS 1024   /* learned at once */
#define COMMIT_EVENTS 50000 /* users changed stay in memory until they are committed */
#define LOOK_EVENTS 1024    /* between two looks at how far it is */

struct importing {
    const struct log_look *look;
    const char *path;
    struct decode_settings decode;
    struct history_settings history_settings;
    struct history *history;
    uv_loop_t loop;
    struct batch batch;
    struct buffer json;
    int64_t latest_ms;     /* that an event may say */
    uint64_t *counts;      /* [partitions] events of the file, by the first pass */
    int64_t *next_offsets; /* [partitions] of the second */
    uint64_t uncommitted;
    struct import_figures *figures;
    import_progress_cb progress;
    void *arg;
};

/* -- an event as the consumer would have it ---------------------------------------------------- */

static struct event *add_event(struct importing *importing, const struct recorded_event *recorded)
{
    struct batch *batch = &importing->batch;
    buffer_clear(&importing->json);
    recorded_event_write(&importing->json, recorded);
    struct slice user = recorded->user, value = buffer_slice(&importing->json);
    char *copy = batch_alloc(batch, (size_t)user.length + value.length);
    memcpy(copy, user.data, user.length);
    memcpy(copy + user.length, value.data, value.length);
    struct event *event = batch_add(batch);
    event->key = (struct slice){copy, user.length};
    event->bytes = (struct slice){copy + user.length, value.length};
    event->partition = log_partition_of(importing->look, user);
    event->record_ts_ms = recorded->ts_ms;
    decode_event(&importing->decode, batch, event);
    return event;
}

static void tell(const struct importing *importing, const char *stage,
                 const struct recording *recording, uint64_t events)
{
    if (importing->progress != NULL && events % LOOK_EVENTS == 0)
        importing->progress(stage, recording_progress(recording), importing->arg);
}

/* -- first pass: is every line an event, and how many has a partition? ------------------------- */

static void count_event(struct importing *importing, const struct event *event)
{
    struct import_figures *figures = importing->figures;
    importing->counts[event->partition]++;
    if (figures->events == 0)
        figures->first_ms = figures->last_ms = event->ts_ms;
    if (event->ts_ms < figures->first_ms)
        figures->first_ms = event->ts_ms;
    if (event->ts_ms > figures->last_ms)
        figures->last_ms = event->ts_ms;
    figures->events++;
}

static int check_event(struct importing *importing, const struct recording *recording,
                       const struct recorded_event *recorded, struct error *err)
{
    const struct event *event = add_event(importing, recorded);
    if (event->kind == EVENT_DEAD)
        return error_set(err, ERR_DATA,
                         "%s:%" PRIu64 ": no event that the daemon would take: %s. Nothing was "
                         "imported",
                         importing->path, recording_line(recording),
                         dead_reason_name(event->reason));
    if (event->ts_ms > importing->latest_ms)
        return error_set(err, ERR_DATA,
                         "%s:%" PRIu64 ": its time, %" PRId64 " ms, is still to come: to the state "
                         "all later events would be old. Nothing was imported",
                         importing->path, recording_line(recording), event->ts_ms);
    count_event(importing, event);
    batch_clear(&importing->batch);
    return 0;
}

static int check_all(struct importing *importing, struct recording *recording, struct error *err)
{
    struct recorded_event recorded;
    int status;
    while ((status = recording_next(recording, &recorded, err)) == 1) {
        status = check_event(importing, recording, &recorded, err);
        if (status != 0)
            return status;
        tell(importing, "checking", recording, importing->figures->events);
    }
    return status;
}

/* The last event of a partition stands right before the first of its log. */
static void number_offsets(struct importing *importing)
{
    for (int i = 0; i < importing->look->events.partitions; i++) {
        int64_t begin = importing->look->events.ends[i].low;
        importing->next_offsets[i] = begin - (int64_t)importing->counts[i];
        importing->figures->partitions += importing->counts[i] > 0;
    }
}

/* -- second pass: learning --------------------------------------------------------------------- */

struct saving {
    bool done;
    struct error err;
};

static void committed(const struct error *err, const int32_t *partitions,
                      const int64_t *next_offsets, size_t count, void *arg)
{
    struct saving *saving = arg;
    saving->done = true;
    if (err != NULL)
        saving->err = *err;
}

static int commit(struct importing *importing, struct error *err)
{
    struct saving saving = {0};
    importing->uncommitted = 0;
    history_commit(importing->history, committed, &saving);
    while (!saving.done)
        uv_run(&importing->loop, UV_RUN_ONCE);
    if (saving.err.code != 0)
        return error_set(err, saving.err.code, "%s", saving.err.text);
    if (history_counter(importing->history, COUNTER_DEAD) > 0)
        return error_set(err, ERR_DATA, "%s: more than %d items", importing->path, ITEMS_MAX);
    return 0;
}

static int learn_batch(struct importing *importing, struct error *err)
{
    struct learned learned;
    importing->uncommitted += importing->batch.count;
    history_learn(importing->history, &importing->batch, NULL, NULL, &learned);
    batch_clear(&importing->batch);
    return importing->uncommitted < COMMIT_EVENTS ? 0 : commit(importing, err);
}

static int learn_all(struct importing *importing, struct recording *recording, struct error *err)
{
    struct recorded_event recorded;
    uint64_t events = 0;
    int status;
    while ((status = recording_next(recording, &recorded, err)) == 1) {
        struct event *event = add_event(importing, &recorded);
        event->offset = importing->next_offsets[event->partition]++;
        status = importing->batch.count < BATCH_EVENTS ? 0 : learn_batch(importing, err);
        if (status != 0)
            return status;
        tell(importing, "importing", recording, ++events);
    }
    if (status != 0)
        return status;
    if (events != importing->figures->events)
        return error_set(err, ERR_DATA, "%s changed while it was read", importing->path);
    status = learn_batch(importing, err);
    history_write_pairs(importing->history);
    return status == 0 ? commit(importing, err) : status;
}

/* -- both -------------------------------------------------------------------------------------- */

static int with_recording(struct importing *importing,
                          int (*pass)(struct importing *importing, struct recording *recording,
                                      struct error *err),
                          struct error *err)
{
    struct recording *recording;
    int status = recording_open(&recording, importing->path, false, 0, err);
    if (status != 0)
        return status;
    status = pass(importing, recording, err);
    recording_close(recording);
    return status;
}

static int assign_all(struct importing *importing, struct error *err)
{
    size_t count = (size_t)importing->look->events.partitions;
    int32_t *numbers = mem_array(NULL, count, sizeof *numbers);
    for (size_t i = 0; i < count; i++)
        numbers[i] = (int32_t)i;
    int status = history_assign(importing->history, numbers, count, err);
    free(numbers);
    return status;
}

static int learn_into(struct importing *importing, struct error *err)
{
    const struct log_look *look = importing->look;
    uv_loop_init(&importing->loop);
    int status = history_open(&importing->history, &importing->loop, &importing->history_settings,
                              scorer_release_cache, err);
    if (status == 0) {
        status = history_bind(importing->history, look->cluster_id, look->events.partitions, err);
        if (status == 0)
            status = assign_all(importing, err);
        if (status == 0)
            status = with_recording(importing, learn_all, err);
        for (int i = 0; i < COUNTER_COUNT && status == 0; i++)
            importing->figures->counters[i] = history_counter(importing->history, (enum counter)i);
        history_close(importing->history);
    }
    uv_run(&importing->loop, UV_RUN_DEFAULT); /* the state's own handles */
    uv_loop_close(&importing->loop);
    return status;
}

int import_recording(const struct settings *settings, const struct log_look *look, const char *path,
                     const char *dir, struct import_figures *figures, import_progress_cb progress,
                     void *arg, struct error *err)
{
    struct consumer_settings consumer;
    size_t partitions = (size_t)look->events.partitions;
    settings_consumer(settings, &consumer);
    *figures = (struct import_figures){0};
    struct importing importing = {.look = look,
                                  .path = path,
                                  .decode = consumer.decode,
                                  .latest_ms = clock_wall_ms() + consumer.decode.max_ahead_ms,
                                  .counts = mem_zalloc(partitions * sizeof(uint64_t)),
                                  .next_offsets = mem_zalloc(partitions * sizeof(int64_t)),
                                  .figures = figures,
                                  .progress = progress,
                                  .arg = arg};
    settings_history(settings, &importing.history_settings);
    importing.history_settings.state.dir = dir;
    batch_init(&importing.batch);
    int status = with_recording(&importing, check_all, err);
    number_offsets(&importing);
    if (status == 0)
        status = learn_into(&importing, err);
    batch_deinit(&importing.batch);
    buffer_deinit(&importing.json);
    free(importing.counts);
    free(importing.next_offsets);
    return status;
}
