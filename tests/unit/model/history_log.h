/* A log with everything in it, and a history that learns it: for tests of what is kept of a log
 * whatever happens to the process and the disk. Offsets of partition 0 to PARTITIONS - 1. */
#ifndef FRESHET_TESTS_HISTORY_LOG_H
#define FRESHET_TESTS_HISTORY_LOG_H

#include "history_fixture.h"

#define SEED 90210u
#define PARTITIONS 3
#define EVENTS 900
#define BATCH 30
#define BATCHES (EVENTS / BATCH)
#define USERS 40
#define ITEMS 60
#define TRIALS 5 /* 0: none */
#define IDS 24   /* few, so that they come twice and retractions hit */

/* A log with everything in it: ids that come twice, late events, retractions, forgetting, dead
 * letters and item records; each record an event with texts of its own. */
struct record {
    struct event event;
    struct item_record item_record;
    char user[16], item[16], id[16], ref[16];
};

struct log {
    uint64_t random;
    int64_t next[PARTITIONS], next_item;
    struct record records[EVENTS];
};

static inline uint32_t draw(struct log *log, uint32_t below)
{
    log->random = log->random * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return (uint32_t)(log->random >> 33) % below;
}

static inline void make_item_record(struct log *log, struct record *record)
{
    record->event.kind = EVENT_ITEM;
    record->event.from_items = true;
    record->event.partition = 0;
    record->event.offset = log->next_item++;
    record->item_record = (struct item_record){.present = draw(log, 4) > 0,
                                               .blocked = draw(log, 2) == 0,
                                               .available_from_ms = INT64_MIN,
                                               .available_until_ms = INT64_MAX};
    record->item_record.title = slice_of(record->item);
    record->event.record = &record->item_record;
}

static inline enum event_kind draw_kind(struct log *log)
{
    uint32_t drawn = draw(log, 100);
    return drawn < 64   ? EVENT_INTERACTION
           : drawn < 82 ? EVENT_IMPRESSION
           : drawn < 90 ? EVENT_RETRACT
           : drawn < 94 ? EVENT_FORGET_USER
                        : EVENT_DEAD;
}

static inline void make_record(struct log *log, struct record *record, int at)
{
    uint32_t user = draw(log, USERS);
    snprintf(record->user, sizeof record->user, "u%u", user);
    snprintf(record->item, sizeof record->item, "i%u", draw(log, ITEMS));
    snprintf(record->id, sizeof record->id, "e%u", draw(log, IDS));
    snprintf(record->ref, sizeof record->ref, "e%u", draw(log, IDS));
    struct event *event = &record->event;
    *event = (struct event){
        .partition = (int32_t)(user % PARTITIONS),
        .record_ts_ms = 1000 * at,
        .ts_ms = INT64_C(1000) * at - (draw(log, 5) == 0 ? draw(log, 300000) : 0),
        .type = (uint16_t)draw(log, 3),
        .value = draw(log, 4),
        .user = slice_of(record->user),
        .item = slice_of(record->item),
        .id = slice_of(draw(log, 3) == 0 ? "" : record->id),
        .ref = slice_of(record->ref),
        .reason = DEAD_BAD_JSON,
        .key = slice_of(record->user),
        .bytes = SLICE("{}"),
    };
    if (draw(log, 12) == 0) {
        make_item_record(log, record);
        return;
    }
    event->kind = draw_kind(log);
    event->offset = log->next[event->partition];
    log->next[event->partition] += 1 + draw(log, 2); /* logs have gaps */
}

static inline struct log *make_log(void)
{
    print_message("seed %u\n", SEED);
    struct log *log = calloc(1, sizeof *log);
    log->random = SEED;
    for (int at = 0; at < EVENTS; at++)
        make_record(log, &log->records[at], at);
    return log;
}

static inline int set_up_replay(void **at)
{
    int status = set_up(at);
    struct place *place = *at;
    place->settings.max_age_ms = 200000;
    place->settings.limits = (struct user_limits){8, 12, 10, 5};
    place->settings.dead_pending_max = EVENTS;
    return status;
}

/* Of the event alone, as a list that was live then would be of the log before it. */
static inline struct outcome come_out(const struct use *use, void *arg)
{
    uint32_t drawn = (uint32_t)use->event->offset * 2654435761u >> 8;
    return (struct outcome){.trial = drawn % TRIALS, .rank = drawn / TRIALS % 24};
}

static inline void learn_range(struct place *place, const struct log *log, int from, int to)
{
    for (int at = from; at < to; at++)
        *batch_add(&place->batch) = log->records[at].event;
    history_learn(place->history, &place->batch, come_out, NULL, &place->learned);
    batch_clear(&place->batch);
}

static inline void learn_batch(struct place *place, const struct log *log, int batch)
{
    learn_range(place, log, batch * BATCH, (batch + 1) * BATCH);
}

/* All of the log in memory, one commit at the end. */
static inline char *plain_dump(struct place *place, const struct log *log)
{
    open_history(place);
    assign(place, PARTITIONS);
    for (int batch = 0; batch < BATCHES; batch++)
        learn_batch(place, log, batch);
    commit(place);
    char *text = dump(place);
    remove_state(place);
    return text;
}

#endif
