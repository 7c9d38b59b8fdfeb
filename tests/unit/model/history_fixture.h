/* A history in a directory of its own, with few words to feed it: what its tests share. */
#ifndef FRESHET_TESTS_HISTORY_FIXTURE_H
#define FRESHET_TESTS_HISTORY_FIXTURE_H

#include "model/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TOPIC SLICE("events")
#define ITEMS_TOPIC SLICE("items")
#define MINUTE_MS 60000

enum { CLICK, BUY, VIEW }; /* settings' types; a VIEW does not count */
static const char *const type_names[] = {"click", "buy", "view"};
static const bool type_counts[] = {true, true, false};

struct place {
    char dir[64];
    uv_loop_t loop;
    struct history_settings settings;
    struct history *history; /* open, or NULL */
    struct batch batch;      /* being gathered for `learn` */
    struct learned learned;  /* what the last `learn` did */
    int caches_released;
};

static struct place *cache_owner; /* release_cache has no argument of its own */

static inline void release_cache(void *cache)
{
    free(cache);
    cache_owner->caches_released++;
}

static inline int set_up(void **at)
{
    struct place *place = calloc(1, sizeof *place);
    const char *folder = getenv("TMPDIR");
    snprintf(place->dir, sizeof place->dir, "%s/freshet-history-XXXXXX",
             folder != NULL ? folder : P_tmpdir);
    if (mkdtemp(place->dir) == NULL)
        return -1;
    place->settings = (struct history_settings){
        .state = {place->dir, 64 << 20},
        .topic = TOPIC,
        .items_topic = ITEMS_TOPIC,
        .limits = {.history_max = 20, .seen_max = 30, .dedup_window = 16, .impressions_max = 4},
        .neighbours_max = 6,
        .hot_bytes = 1 << 24,
        .dead_pending_max = 3,
        .type_count = 3,
        .types = type_names,
        .type_counts = type_counts,
    };
    uv_loop_init(&place->loop);
    batch_init(&place->batch);
    cache_owner = place;
    *at = place;
    return 0;
}

static inline void open_history(struct place *place)
{
    struct error err = {0};
    if (history_open(&place->history, &place->loop, &place->settings, release_cache, &err) != 0)
        fail_msg("%s", err.text);
}

static inline void assign(struct place *place, int32_t count)
{
    struct error err = {0};
    for (int32_t number = 0; number < count; number++)
        if (history_assign(place->history, &number, 1, &err) != 0)
            fail_msg("%s", err.text);
}

/* As after a crash: what was not committed is lost. */
static inline void close_history(struct place *place)
{
    history_close(place->history);
    place->history = NULL;
    uv_run(&place->loop, UV_RUN_DEFAULT);
}

static inline void remove_state(const struct place *place)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", place->dir, files[i]);
        unlink(path);
    }
}

static inline int tear_down(void **at)
{
    struct place *place = *at;
    close_history(place);
    int status = uv_loop_close(&place->loop); /* nothing may be left on the loop */
    batch_deinit(&place->batch);
    remove_state(place);
    rmdir(place->dir);
    free(place);
    return status;
}

/* -- events ------------------------------------------------------------------------------------ */

static inline struct event *add_event(struct place *place, enum event_kind kind, int32_t partition,
                                      int64_t offset)
{
    struct event *event = batch_add(&place->batch);
    event->kind = kind;
    event->partition = partition;
    event->offset = offset;
    event->value = 1.0;
    event->pos = -1;
    event->record_ts_ms = 5000 + offset;
    return event;
}

static inline struct event *click(struct place *place, int64_t offset, const char *user,
                                  const char *item, int64_t ts_ms)
{
    struct event *event = add_event(place, EVENT_INTERACTION, 0, offset);
    event->user = slice_of(user);
    event->item = slice_of(item);
    event->ts_ms = ts_ms;
    event->key = event->user;
    event->bytes = SLICE("{}");
    return event;
}

static inline void forget(struct place *place, int64_t offset, const char *user)
{
    add_event(place, EVENT_FORGET_USER, 0, offset)->user = slice_of(user);
}

static inline struct event *impress(struct place *place, int64_t offset, const char *user,
                                    const char *item, int64_t ts_ms)
{
    struct event *event = click(place, offset, user, item, ts_ms);
    event->kind = EVENT_IMPRESSION;
    return event;
}

static inline void retract(struct place *place, int64_t offset, const char *user, const char *ref)
{
    struct event *event = add_event(place, EVENT_RETRACT, 0, offset);
    event->user = slice_of(user);
    event->ref = slice_of(ref);
}

static inline void dead(struct place *place, int64_t offset, enum dead_reason reason)
{
    struct event *event = add_event(place, EVENT_DEAD, 0, offset);
    event->reason = reason;
    event->key = SLICE("someone");
    event->bytes = SLICE("nonsense");
}

static inline void describe(struct place *place, int64_t offset, const char *item,
                            const struct item_record *record)
{
    struct event *event = add_event(place, EVENT_ITEM, 0, offset);
    event->from_items = true;
    event->item = slice_of(item);
    event->record = record;
}

static inline void learn(struct place *place)
{
    history_learn(place->history, &place->batch, NULL, NULL, &place->learned);
    batch_clear(&place->batch);
}

static inline struct outcome say_outcome(const struct use *use, void *arg)
{
    return *(const struct outcome *)arg;
}

/* Every interaction comes out so. */
static inline void learn_in_trial(struct place *place, uint64_t trial, uint32_t rank)
{
    struct outcome outcome = {trial, rank};
    history_learn(place->history, &place->batch, say_outcome, &outcome, &place->learned);
    batch_clear(&place->batch);
}

/* -- commits ----------------------------------------------------------------------------------- */

struct commit_outcome {
    int calls;
    struct error err; /* code 0: done */
    size_t count;
    int32_t partitions[16];
    int64_t next_offsets[16];
};

static inline void note_commit(const struct error *err, const int32_t *partitions,
                               const int64_t *next_offsets, size_t count, void *arg)
{
    struct commit_outcome *outcome = arg;
    outcome->calls++;
    outcome->err = err != NULL ? *err : (struct error){0};
    outcome->count = count;
    for (size_t i = 0; i < count && i < 16; i++) {
        outcome->partitions[i] = partitions[i];
        outcome->next_offsets[i] = next_offsets[i];
    }
}

static inline struct commit_outcome try_commit(struct place *place)
{
    struct commit_outcome outcome = {0};
    assert_true(history_commit(place->history, note_commit, &outcome));
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(outcome.calls, 1);
    return outcome;
}

static inline struct commit_outcome commit(struct place *place)
{
    struct commit_outcome outcome = try_commit(place);
    if (outcome.err.code != 0)
        fail_msg("%s", outcome.err.text);
    return outcome;
}

static inline void reopen(struct place *place, int32_t partitions)
{
    close_history(place);
    open_history(place);
    assign(place, partitions);
}

/* -- looking ----------------------------------------------------------------------------------- */

/* An epoch is the time of a state's making, so no two have the same: 0 in its place. */
static inline void hide_epoch(char *text)
{
    char *digits = strstr(text, "\"epoch\":");
    if (digits == NULL)
        fail_msg("no epoch in the dump");
    digits += strlen("\"epoch\":");
    *digits = '0';
    size_t more = strspn(digits + 1, "0123456789");
    memmove(digits + 1, digits + 1 + more, strlen(digits + 1 + more) + 1);
}

/* The committed state as JSON lines, without its epoch; closes the history. The caller frees. */
static inline char *dump(struct place *place)
{
    close_history(place);
    char *text = NULL;
    size_t length;
    struct error err = {0};
    FILE *out = open_memstream(&text, &length);
    struct slice everybody = {NULL, 0};
    if (history_dump(&place->settings.state, everybody, out, &err) != 0)
        fail_msg("%s", err.text);
    fclose(out);
    hide_epoch(text);
    return text;
}

static inline struct user *user_of(struct place *place, const char *id)
{
    struct error err = {0};
    struct user *user = history_user(place->history, 0, slice_of(id), &err);
    if (err.code != 0)
        fail_msg("%s", err.text);
    return user;
}

static inline void acknowledge(struct place *place, struct user *user, int64_t next_offset,
                               const uint32_t *items, uint32_t count)
{
    const struct state_meta *meta = history_meta(place->history);
    struct version version = {meta->epoch, user->partition, next_offset, meta->swap};
    history_acknowledge(place->history, user, &version, items, count, true);
}

#endif
