#include "base/hash.h"
#include "base/mem.h"
#include "model/history_internal.h"

#include <assert.h>
#include <stdlib.h>

#define USER_OVERHEAD 64 /* bytes, about: the allocator's, the table's, the record's header */

void user_set_add(struct user_set *set, struct user *user)
{
    if (set->count == set->capacity) {
        set->capacity = set->capacity ? set->capacity * 2 : 64;
        set->at = mem_array(set->at, set->capacity, sizeof(struct user *));
    }
    set->at[set->count++] = user;
}

/* -- the table --------------------------------------------------------------------------------- */

static uint64_t hash_of(int32_t partition, struct slice id)
{
    return hash_seeded(id.data, id.length) ^ ((uint64_t)partition * UINT64_C(0x9e3779b97f4a7c15));
}

static struct user *find(const struct users *users, int32_t partition, struct slice id)
{
    if (users->count == 0)
        return NULL;
    uint64_t hash = hash_of(partition, id);
    struct user *user = users->buckets[hash & users->mask];
    while (user != NULL &&
           !(user->hash == hash && user->partition == partition && slice_equal(user->id, id)))
        user = user->bucket_next;
    return user;
}

static void put_in_bucket(struct users *users, struct user *user)
{
    struct user **bucket = &users->buckets[user->hash & users->mask];
    user->bucket_next = *bucket;
    *bucket = user;
}

static void grow(struct users *users)
{
    size_t old_size = users->buckets != NULL ? users->mask + 1 : 0;
    struct user **old = users->buckets;
    size_t size = old_size ? old_size * 2 : 1024;
    users->buckets = mem_zalloc(size * sizeof(struct user *));
    users->mask = size - 1;
    for (size_t i = 0; i < old_size; i++) {
        while (old[i] != NULL) {
            struct user *user = old[i];
            old[i] = user->bucket_next;
            put_in_bucket(users, user);
        }
    }
    free(old);
}

static int64_t bytes_of(const struct user *user)
{
    return (int64_t)sizeof *user + user->id.length + user_record_room(user->record) + USER_OVERHEAD;
}

static struct user *insert(struct history *history, int32_t partition, struct slice id,
                           const struct user_record *record)
{
    struct users *users = &history->users;
    if (users->buckets == NULL || users->count > users->mask)
        grow(users);
    struct user *user = mem_zalloc(sizeof *user + id.length);
    char *text = (char *)(user + 1);
    memcpy(text, id.data, id.length);
    user->id = (struct slice){text, id.length};
    user->partition = partition;
    user->hash = hash_of(partition, id);
    user->record = record;
    put_in_bucket(users, user);
    users->count++;
    users->bytes += bytes_of(user);
    return user;
}

static void release(struct history *history, struct user *user)
{
    if (user->cache != NULL)
        history->release_cache(user->cache);
    user_record_unref(user->record);
    free(user);
}

/* -- who may leave ----------------------------------------------------------------------------- */

static void lru_remove(struct users *users, struct user *user)
{
    if (!user->in_lru)
        return;
    *(user->lru_newer != NULL ? &user->lru_newer->lru_older : &users->newest) = user->lru_older;
    *(user->lru_older != NULL ? &user->lru_older->lru_newer : &users->oldest) = user->lru_newer;
    user->lru_newer = user->lru_older = NULL;
    user->in_lru = false;
}

static void lru_add(struct users *users, struct user *user)
{
    user->lru_older = users->newest;
    *(users->newest != NULL ? &users->newest->lru_newer : &users->oldest) = user;
    users->newest = user;
    user->in_lru = true;
}

void users_settle(struct history *history, struct user *user)
{
    lru_remove(&history->users, user);
    if (!user->dirty && !user->committing && user->pins == 0)
        lru_add(&history->users, user);
}

static void evict(struct history *history, struct user *user)
{
    struct users *users = &history->users;
    lru_remove(users, user);
    struct user **at = &users->buckets[user->hash & users->mask];
    while (*at != user)
        at = &(*at)->bucket_next;
    *at = user->bucket_next;
    users->count--;
    users->bytes -= bytes_of(user);
    release(history, user);
}

void users_evict(struct history *history)
{
    struct users *users = &history->users;
    struct user *user = users->oldest;
    while (user != NULL && users->bytes > history->settings.hot_bytes) {
        struct user *newer = user->lru_newer;
        if (!user->queued)
            evict(history, user);
        user = newer;
    }
}

void users_deinit(struct history *history)
{
    struct users *users = &history->users;
    for (size_t i = 0; users->buckets != NULL && i <= users->mask; i++) {
        while (users->buckets[i] != NULL) {
            struct user *user = users->buckets[i];
            users->buckets[i] = user->bucket_next;
            release(history, user);
        }
    }
    free(users->buckets);
    free(users->dirty.at);
    free(users->committing.at);
    *users = (struct users){0};
}

/* -- from the state ---------------------------------------------------------------------------- */

/* A snapshot taken after the last commit was done: who left memory is in it as he left. */
static int refresh(struct history *history, struct error *err)
{
    if (history->view_is_fresh)
        return 0;
    int status = state_view_renew(history->view, err);
    history->view_is_fresh = status == 0;
    return status;
}

void history_rest(struct history *history)
{
    if (history->view_is_fresh)
        state_view_rest(history->view);
    history->view_is_fresh = false;
}

int history_ready(struct history *history, struct error *err)
{
    if (history->failure.code == 0)
        return refresh(history, err);
    if (err != NULL)
        *err = history->failure;
    return history->failure.code;
}

/* Users differ little in size, and a count is at hand. */
static int64_t unsaved_bytes(const struct users *users)
{
    size_t unsaved = users->dirty.count + users->committing.count;
    return users->count > 0 ? users->bytes / (int64_t)users->count * (int64_t)unsaved : 0;
}

bool history_is_full(const struct history *history)
{
    int64_t bytes = unsaved_bytes(&history->users);
    for (size_t i = 0; i < history->partitions.count; i++) {
        const struct pairs_journal *journal = &history->partitions.at[i]->journal;
        bytes += (int64_t)(journal->gathered.length + journal->committing.length);
    }
    return bytes >= history->settings.hot_bytes;
}

/* Numbers index tables, so they are checked once, here. */
static bool items_are_known(const struct user_record *record, uint32_t items)
{
    const struct interaction *interactions = user_interactions(record);
    for (uint32_t i = 0; i < record->interaction_count; i++)
        if (interactions[i].item >= items)
            return false;
    const struct seen_item *seen = user_seen(record);
    for (uint32_t i = 0; i < record->seen_count; i++)
        if (seen[i].item >= items)
            return false;
    const struct shown_item *shown = user_shown(record);
    for (uint32_t i = 0; i < record->shown_count; i++)
        if (shown[i].item >= items)
            return false;
    const uint32_t *list = user_list(record);
    for (uint32_t i = 0; i < record->list_count; i++)
        if (list[i] >= items)
            return false;
    return true;
}

static int read_record(struct history *history, int32_t partition, struct slice id,
                       const struct user_record **record, struct error *err)
{
    char bytes[STATE_KEY_MAX];
    struct slice key = {bytes,
                        (uint32_t)state_key_user(bytes, history->settings.topic, partition, id)};
    struct slice value;
    int found = refresh(history, err);
    if (found == 0)
        found = state_view_get(history->view, STATE_USERS, key, &value, err);
    if (found <= 0)
        return found;
    if (user_record_parse(record, value, err) != 0)
        return error_wrap(err, "user %.*s in partition %d", SLICE_ARG(id), partition);
    if (items_are_known(*record, items_count(&history->items)))
        return 1;
    user_record_unref(*record);
    return error_set(err, ERR_DATA, "user %.*s in partition %d has items that the state has not",
                     SLICE_ARG(id), partition);
}

int users_get(struct history *history, int32_t partition, struct slice id, struct user **user,
              struct error *err)
{
    *user = find(&history->users, partition, id);
    if (*user == NULL) {
        const struct user_record *record;
        int found = read_record(history, partition, id, &record, err);
        if (found <= 0)
            return found;
        *user = insert(history, partition, id, record);
    }
    users_settle(history, *user); /* the newest of those that may leave */
    return 1;
}

struct user *users_add(struct history *history, int32_t partition, struct slice id,
                       const struct user_record *record)
{
    struct user *user = insert(history, partition, id, record);
    users_mark(history, user);
    return user;
}

void users_mark(struct history *history, struct user *user)
{
    if (user->dirty)
        return;
    user->dirty = true;
    user_set_add(&history->users.dirty, user);
    users_settle(history, user);
}

/* The user has this record now, after one that took so much room. */
static void changed(struct history *history, struct user *user, const struct user_record *record,
                    uint32_t old_room)
{
    history->users.bytes += (int64_t)user_record_room(record) - (int64_t)old_room;
    user->record = record;
    users_mark(history, user);
}

void users_replace(struct history *history, struct user *user, const struct user_record *record)
{
    uint32_t old_room = user_record_room(user->record);
    user_record_unref(user->record);
    changed(history, user, record, old_room);
}

void users_apply(struct history *history, struct user *user, const struct interaction *interaction,
                 const struct trial_counts *counts)
{
    uint32_t room = user_record_room(user->record);
    changed(history, user,
            user_apply_onto(user->record, interaction, &history->settings.limits, counts,
                            &history->aside),
            room);
}

void users_impress(struct history *history, struct user *user, uint32_t item, int64_t ts_ms,
                   uint64_t id_hash)
{
    uint32_t room = user_record_room(user->record);
    changed(history, user,
            user_impress_onto(user->record, item, ts_ms, id_hash, &history->settings.limits,
                              &history->aside),
            room);
}

bool history_has_erased(const struct history *history, const struct user *user)
{
    if (!user->record->forgotten)
        return false;
    int64_t keep_ms = history->settings.tombstone_ms;
    const struct partition *partition = partition_find(&history->partitions, user->partition);
    int64_t stream_ts_ms = partition != NULL ? partition->record.stream_ts_ms : INT64_MIN;
    int64_t before_ms = stream_ts_ms > INT64_MIN + keep_ms ? stream_ts_ms - keep_ms : INT64_MIN;
    return user_is_erased(user->record, keep_ms > 0 ? before_ms : INT64_MAX);
}

/* -- for the pipeline -------------------------------------------------------------------------- */

struct user *history_user(struct history *history, int32_t partition, struct slice id,
                          struct error *err)
{
    if (err != NULL)
        err->code = 0;
    const struct partition *known = partition_find(&history->partitions, partition);
    if (known == NULL || !known->assigned || id.length == 0 || id.length > ID_BYTES_MAX)
        return NULL;
    users_evict(history); /* before, so that the one asked for stays */
    struct user *user;
    int found = users_get(history, partition, id, &user, err);
    history_rest(history);
    return found == 1 && !history_has_erased(history, user) ? user : NULL;
}

struct user *history_find_user(struct history *history, struct slice id, struct error *err)
{
    struct error failed = {0};
    struct user *user = NULL;
    for (size_t i = 0; i < history->assigned_count && user == NULL && failed.code == 0; i++)
        user = history_user(history, history->assigned[i]->number, id, &failed);
    if (err != NULL)
        *err = failed;
    return user;
}

size_t history_hot_users(const struct history *history, struct user **users, size_t max)
{
    const struct users *all = &history->users;
    size_t count = 0;
    for (size_t i = 0; all->buckets != NULL && i <= all->mask && count < max; i++)
        for (struct user *user = all->buckets[i]; user != NULL && count < max;
             user = user->bucket_next)
            users[count++] = user;
    return count;
}

void history_pin(struct history *history, struct user *user)
{
    user->pins++;
    users_settle(history, user);
}

void history_unpin(struct history *history, struct user *user)
{
    assert(user->pins > 0);
    user->pins--;
    users_settle(history, user);
}

static bool is_older(const struct version *version, const struct user_record *record)
{
    if (version->next_offset != record->acked_offset)
        return version->next_offset < record->acked_offset;
    return version->swap < record->acked_swap;
}

void history_acknowledge(struct history *history, struct user *user, const struct version *version,
                         const uint32_t *items, uint32_t count, bool changed)
{
    const struct user_record *record = user->record;
    if (version->epoch != history->meta.epoch || is_older(version, record))
        return;
    /* a list from before the forgetting may still be acknowledged: nothing of it may come back */
    if (record->forgotten)
        count = 0;
    users_replace(
        history, user,
        user_acknowledge(record, version->next_offset, version->swap, items, count, changed));
}

void history_disown_list(struct history *history, struct user *user)
{
    if (user->record->acked_offset >= 0)
        users_replace(history, user, user_acknowledge(user->record, -1, 0, NULL, 0, false));
}
