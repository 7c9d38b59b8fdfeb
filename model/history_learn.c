#include "base/hash.h"
#include "model/history_internal.h"

struct learning {
    struct history *history;
    history_observer observe;
    void *arg;
    struct error err;
};

/* 0 stands for "no id" in records. */
static uint64_t hash_id(struct slice id)
{
    if (id.length == 0)
        return 0;
    uint64_t hash = hash_stable(id.data, id.length);
    return hash != 0 ? hash : 1;
}

/* The user's list is to answer this event; what the user wants is written once a batch. */
static void touch(struct history *history, struct user *user, const struct event *event)
{
    if (user->learned_offset == 0)
        user_set_add(&history->learned, user);
    user->learned_offset = event->offset + 1;
    if (user->oldest_event_ms != 0 && event->record_ts_ms >= user->oldest_event_ms)
        return;
    user->oldest_event_ms = event->record_ts_ms;
    user->oldest_ts_ms = event->ts_ms;
}

static void want_lists(struct history *history)
{
    for (size_t i = 0; i < history->learned.count; i++) {
        struct user *user = history->learned.at[i];
        user->record = user_want(user->record, user->learned_offset, history->meta.swap);
        users_mark(history, user);
        user->learned_offset = 0;
    }
}

/* The item's number, new if need be; IDS_NONE if there is no room for one more. */
static uint32_t number_item(struct history *history, struct slice id)
{
    struct ids *ids = &history->items.ids;
    return ids->count < ITEMS_MAX ? ids_add(ids, id) : ids_find(ids, id);
}

static enum counter refuse(struct history *history, const struct event *event,
                           enum dead_reason reason)
{
    dead_add(history, event, reason);
    return COUNTER_DEAD;
}

/* -- each kind; a counter, or a negative code if the state cannot be read ---------------------- */

static bool is_late(const struct history *history, const struct partition *partition, int64_t ts_ms)
{
    int64_t max_age_ms = history->settings.max_age_ms;
    int64_t stream_ts_ms = partition->record.stream_ts_ms;
    return max_age_ms > 0 && stream_ts_ms >= INT64_MIN + max_age_ms &&
           ts_ms < stream_ts_ms - max_age_ms;
}

static void count_item(struct history *history, struct partition *partition, uint32_t item,
                       int64_t ts_ms)
{
    sums_add(partition_sums(partition, item), ts_ms);
    partition_mark_sums(partition, item);
    numbers_add(&history->learned_items, item);
}

/* The first use of an item goes with what the user used before it. */
static void count_pairs(struct history *history, struct partition *partition, const struct use *use)
{
    struct pairs_event counted;
    const struct user_record *before = use->before;
    if (before == NULL || !use->is_new)
        return;
    if (pairs_event_make(&counted, user_interactions(before), before->interaction_count,
                         history_types_counting(history), use->item, use->event->ts_ms,
                         use->event->offset))
        partition_count_pairs(partition, &counted);
}

static void apply(struct learning *learning, struct partition *partition, struct user *user,
                  const struct event *event, uint32_t item)
{
    struct history *history = learning->history;
    struct interaction interaction = {
        .ts_ms = event->ts_ms,
        .offset = event->offset,
        .value = event->value,
        .id_hash = hash_id(event->id),
        .item = item,
        .type = history->types.number_of[event->type],
    };
    const struct user_record *before =
        user != NULL && !user->record->forgotten ? user->record : NULL;
    const struct use use = {event, before, item, !user_has_seen(before, item)};
    struct outcome outcome = {0};
    if (learning->observe != NULL)
        outcome = learning->observe(&use, learning->arg);
    if (history->type_counts[event->type])
        count_pairs(history, partition, &use);
    struct trial_counts counts = before != NULL ? before->trial : (struct trial_counts){0};
    if (outcome.trial != 0)
        counts = trials_count(&partition->trials, &counts, &outcome, event->offset);
    if (before != NULL) {
        users_apply(history, user, &interaction, &counts);
    } else {
        const struct user_record *first =
            user_apply(NULL, &interaction, &history->settings.limits, &counts);
        if (user == NULL)
            user = users_add(history, partition->number, event->user, first);
        else
            users_replace(history, user, first); /* he was forgotten */
    }
    touch(history, user, event);
}

static int learn_interaction(struct learning *learning, struct partition *partition,
                             const struct event *event)
{
    struct history *history = learning->history;
    if (is_late(history, partition, event->ts_ms))
        return COUNTER_LATE;
    struct user *user;
    int status = users_get(history, partition->number, event->user, &user, &learning->err);
    if (status < 0)
        return status;
    if (user != NULL && user_knows_id(user->record, hash_id(event->id)))
        return COUNTER_DUPLICATE;
    uint32_t item = number_item(history, event->item);
    if (item == IDS_NONE)
        return refuse(history, event, DEAD_BAD_FIELD);

    apply(learning, partition, user, event, item);
    if (history->type_counts[event->type])
        count_item(history, partition, item, event->ts_ms);
    if (event->ts_ms > partition->record.stream_ts_ms)
        partition->record.stream_ts_ms = event->ts_ms;
    return COUNTER_APPLIED;
}

static int learn_retract(struct learning *learning, struct partition *partition,
                         const struct event *event)
{
    struct history *history = learning->history;
    struct user *user;
    int status = users_get(history, partition->number, event->user, &user, &learning->err);
    if (status < 0)
        return status;
    const struct user_record *after =
        user != NULL ? user_retract(user->record, hash_id(event->ref)) : NULL;
    if (after == NULL)
        return COUNTER_RETRACT_MISS;
    users_replace(history, user, after);
    touch(history, user, event);
    return COUNTER_RETRACTED;
}

/* One of whom nothing is kept may still have a list in Redis, so that a tombstone is wanted too. */
static int learn_forget(struct learning *learning, struct partition *partition,
                        const struct event *event)
{
    struct history *history = learning->history;
    struct user *user;
    int64_t stream_ts_ms = partition->record.stream_ts_ms,
            at_ms = event->ts_ms > stream_ts_ms ? event->ts_ms : stream_ts_ms;
    int status = users_get(history, partition->number, event->user, &user, &learning->err);
    if (status < 0)
        return status;
    if (user == NULL) {
        user = users_add(history, partition->number, event->user, user_forget(at_ms));
    } else {
        trials_forget(&partition->trials, &user->record->trial);
        users_replace(history, user, user_forget(at_ms));
    }
    if (user->cache != NULL)
        history->release_cache(user->cache);
    user->cache = NULL;
    dead_forget(history, event);
    touch(history, user, event);
    return COUNTER_FORGOTTEN;
}

/* Nothing is kept of somebody who did nothing, and of an item that nobody used or described: what
 * was shown but never used must not fill the state, and the first use of an item takes away what
 * its impressions said. */
static int learn_impression(struct learning *learning, struct partition *partition,
                            const struct event *event)
{
    struct history *history = learning->history;
    struct user *user;
    if (is_late(history, partition, event->ts_ms))
        return COUNTER_LATE;
    if (history->settings.limits.impressions_max == 0)
        return COUNTER_IMPRESSION;
    int status = users_get(history, partition->number, event->user, &user, &learning->err);
    if (status < 0)
        return status;
    if (user == NULL || user->record->forgotten)
        return COUNTER_IMPRESSION;
    uint64_t id = hash_id(event->id);
    if (user_knows_id(user->record, id))
        return COUNTER_DUPLICATE;
    uint32_t item = ids_find(&history->items.ids, event->item);
    if (item == IDS_NONE)
        return COUNTER_IMPRESSION;
    users_impress(history, user, item, event->ts_ms, id);
    if (history->settings.impressions_want_lists)
        touch(history, user, event);
    return COUNTER_IMPRESSION;
}

static int learn_item(struct history *history, const struct event *event)
{
    uint32_t item = event->record->present ? number_item(history, event->item)
                                           : ids_find(&history->items.ids, event->item);
    if (item == IDS_NONE)
        return event->record->present ? refuse(history, event, DEAD_BAD_FIELD)
                                      : COUNTER_ITEM_RECORDS; /* takes back what nobody said */
    items_describe(&history->items, item, event->record);
    numbers_add(&history->dirty_catalog, item);
    history->items_described = true;
    return COUNTER_ITEM_RECORDS;
}

static int learn_kind(struct learning *learning, struct partition *partition,
                      const struct event *event)
{
    switch (event->kind) {
    case EVENT_INTERACTION:
        return learn_interaction(learning, partition, event);
    case EVENT_RETRACT:
        return learn_retract(learning, partition, event);
    case EVENT_FORGET_USER:
        return learn_forget(learning, partition, event);
    case EVENT_IMPRESSION:
        return learn_impression(learning, partition, event);
    case EVENT_ITEM:
        return learn_item(learning->history, event);
    case EVENT_DEAD:
        break;
    }
    return refuse(learning->history, event, event->reason);
}

/* -- the batch --------------------------------------------------------------------------------- */

/* NULL: not ours to learn, or learned before. */
static struct partition *partition_for(struct history *history, const struct event *event)
{
    struct partition *partition =
        event->from_items ? partition_ensure(&history->items_partitions, event->partition)
                          : partition_find(&history->partitions, event->partition);
    if (partition == NULL || (!event->from_items && !partition->assigned))
        return NULL;
    return event->offset >= partition->record.next_offset ? partition : NULL;
}

static int learn_event(struct learning *learning, const struct event *event)
{
    struct partition *partition = partition_for(learning->history, event);
    if (partition == NULL)
        return 0;
    int counter = learn_kind(learning, partition, event);
    if (counter < 0)
        return error_wrap(&learning->err, "offset %lld of partition %d", (long long)event->offset,
                          event->partition);
    partition->record.counters[counter]++;
    partition->record.next_offset = event->offset + 1;
    partition->dirty = true;
    return 0;
}

void history_learn(struct history *history, const struct batch *batch, history_observer observe,
                   void *arg, struct learned *learned)
{
    history->learned.count = 0;
    history->learned_items.count = 0;
    history->items_described = false;
    struct learning learning = {.history = history, .observe = observe, .arg = arg};
    for (size_t i = 0; i < batch->count && history->failure.code == 0; i++)
        if (learn_event(&learning, &batch->events[i]) != 0)
            history->failure = learning.err;
    want_lists(history);
    history_rest(history);
    users_evict(history);
    *learned = (struct learned){
        .users = history->learned.at,
        .user_count = history->learned.count,
        .items = history->learned_items.at,
        .item_count = history->learned_items.count,
        .items_described = history->items_described,
    };
}
