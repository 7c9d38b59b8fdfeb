#include "base/failpoint.h"
#include "base/mem.h"
#include "model/history_internal.h"

#include <stdlib.h>

/* What is needed when the commit is done even if the history was closed meanwhile. */
struct commit_job {
    struct history *history; /* NULL once it is closed */
    history_commit_cb done;
    void *arg;
    const struct user_record **records; /* [record_count] a reference each: their bytes are lent */
    size_t record_count;
    int32_t *partitions; /* [partition_count] of the events topic */
    int64_t *next_offsets;
    size_t partition_count;
};

void history_job_detach(struct history *history)
{
    if (history->job != NULL)
        history->job->history = NULL;
}

static void job_free(struct commit_job *job)
{
    for (size_t i = 0; i < job->record_count; i++)
        user_record_unref(job->records[i]);
    free(job->records);
    free(job->partitions);
    free(job->next_offsets);
    free(job);
}

/* -- gathering --------------------------------------------------------------------------------- */

static void take_meta(struct history *history, struct state_commit *commit)
{
    if (history->meta_dirty)
        save_meta(history, commit);
    history->meta_committing = history->meta_dirty;
    history->meta_dirty = false;
}

static void take_items(struct history *history, struct state_commit *commit)
{
    char key[STATE_KEY_MAX];
    uint32_t count = items_count(&history->items);
    for (uint32_t item = history->items_stored; item < count; item++)
        state_commit_put(commit, STATE_ITEMS,
                         (struct slice){key, (uint32_t)state_key_item(key, item)},
                         ids_text(&history->items.ids, item));
    history->items_taken = count;
}

static void take_catalog(struct history *history, struct state_commit *commit)
{
    char bytes[STATE_KEY_MAX];
    numbers_swap(&history->dirty_catalog, &history->committing_catalog);
    for (size_t i = 0; i < history->committing_catalog.count; i++) {
        uint32_t item = history->committing_catalog.at[i];
        struct slice key = {bytes, (uint32_t)state_key_item(bytes, item)};
        buffer_clear(&history->scratch);
        items_info_write(&history->scratch, &history->items, item);
        if (history->scratch.length > 0)
            state_commit_put(commit, STATE_CATALOG, key, buffer_slice(&history->scratch));
        else
            state_commit_delete(commit, STATE_CATALOG, key);
    }
}

static void take_user(struct history *history, struct state_commit *commit, struct user *user,
                      struct commit_job *job)
{
    char bytes[STATE_KEY_MAX];
    struct slice topic = history->settings.topic;
    struct slice key = {bytes, (uint32_t)state_key_user(bytes, topic, user->partition, user->id)};
    user->dirty = false;
    user->committing = true;
    if (history_has_erased(history, user)) {
        state_commit_delete(commit, STATE_USERS, key);
        return;
    }
    const struct user_record *record = user_record_ref(user->record);
    job->records[job->record_count++] = record;
    state_commit_put_lent(commit, STATE_USERS, key, user_record_bytes(record));
}

static void take_users(struct history *history, struct state_commit *commit, struct commit_job *job)
{
    struct users *users = &history->users;
    struct user_set taken = users->dirty;
    users->dirty = users->committing;
    users->dirty.count = 0;
    users->committing = taken;
    job->records = mem_array(NULL, taken.count, sizeof(struct user_record *));
    for (size_t i = 0; i < taken.count; i++)
        take_user(history, commit, taken.at[i], job);
}

static void take_sums(struct partition *partition, struct slice topic, struct state_commit *commit)
{
    char bytes[STATE_KEY_MAX];
    numbers_swap(&partition->dirty_sums, &partition->committing_sums);
    for (size_t i = 0; i < partition->committing_sums.count; i++) {
        uint32_t item = partition->committing_sums.at[i];
        size_t length = state_key_partition_item(bytes, topic, partition->number, item);
        state_commit_put(
            commit, STATE_SUMS, (struct slice){bytes, (uint32_t)length},
            (struct slice){(const char *)&partition->sums[item], sizeof(struct item_sums)});
        partition->sum_dirty[item] = false;
    }
}

static void take_partition(struct partition *partition, struct slice topic,
                           struct state_commit *commit)
{
    char bytes[STATE_KEY_MAX];
    struct slice key = {bytes, (uint32_t)state_key_partition(bytes, topic, partition->number)};
    state_commit_put(commit, STATE_PARTITIONS, key,
                     (struct slice){(const char *)&partition->record, sizeof partition->record});
    take_sums(partition, topic, commit);
    take_trials(partition, topic, commit);
    partition->dirty = false;
    partition->committing = true;
}

static size_t count_dirty(const struct partition_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++)
        count += set->at[i]->dirty;
    return count;
}

static void take_partitions(struct history *history, struct state_commit *commit,
                            struct commit_job *job)
{
    const struct partition_set *set = &history->partitions;
    size_t pairs_bytes =
        history->pairs_whole ? PAIRS_ALL : PAIRS_COMMIT_BYTES / (count_dirty(set) + 1);
    job->partitions = mem_array(NULL, set->count, sizeof *job->partitions);
    job->next_offsets = mem_array(NULL, set->count, sizeof *job->next_offsets);
    for (size_t i = 0; i < set->count; i++) {
        if (!set->at[i]->dirty)
            continue;
        take_partition(set->at[i], history->settings.topic, commit);
        take_pairs(set->at[i], history->settings.topic, commit, pairs_bytes, &history->scratch);
        job->partitions[job->partition_count] = set->at[i]->number;
        job->next_offsets[job->partition_count++] = set->at[i]->record.next_offset;
    }
    set = &history->items_partitions;
    for (size_t i = 0; i < set->count; i++)
        if (set->at[i]->dirty)
            take_partition(set->at[i], history->settings.items_topic, commit);
}

/* -- done: clean, or dirty again --------------------------------------------------------------- */

static void users_committed(struct history *history, bool ok)
{
    struct user_set *committing = &history->users.committing;
    for (size_t i = 0; i < committing->count; i++) {
        struct user *user = committing->at[i];
        user->committing = false;
        if (!ok)
            users_mark(history, user);
        users_settle(history, user);
    }
    committing->count = 0;
}

static void partition_committed(struct partition *partition, bool ok)
{
    if (!partition->committing)
        return;
    partition->committing = false;
    for (size_t i = 0; i < partition->committing_sums.count && !ok; i++)
        partition_mark_sums(partition, partition->committing_sums.at[i]);
    partition->committing_sums.count = 0;
    pairs_committed(partition, ok);
    trials_committed(&partition->trials, ok);
    partition->dirty |= !ok;
    if (!partition->assigned && !partition->dirty)
        partition_unload(partition);
}

static void catalog_committed(struct history *history, bool ok)
{
    struct numbers *committing = &history->committing_catalog;
    for (size_t i = 0; i < committing->count && !ok; i++)
        numbers_add(&history->dirty_catalog, committing->at[i]);
    committing->count = 0;
}

static void all_committed(struct history *history, bool ok)
{
    history->meta_dirty |= history->meta_committing && !ok;
    history->meta_committing = false;
    if (ok)
        history->items_stored = history->items_taken;
    history->items_taken = history->items_stored;
    catalog_committed(history, ok);
    users_committed(history, ok);
    for (size_t i = 0; i < history->partitions.count; i++)
        partition_committed(history->partitions.at[i], ok);
    for (size_t i = 0; i < history->items_partitions.count; i++)
        partition_committed(history->items_partitions.at[i], ok);
    dead_committed(history, ok);
    users_evict(history);
}

static void committed(const struct error *err, void *arg)
{
    struct commit_job *job = arg;
    struct history *history = job->history;
    struct error failure = {0};
    FAILPOINT("commit.reported");
    if (history != NULL) {
        history->job = NULL;
        all_committed(history, err == NULL);
        failure = history->failure; /* a copy: `done` may close the history */
    }
    if (err == NULL && failure.code != 0)
        err = &failure;
    if (err == NULL)
        job->done(NULL, job->partitions, job->next_offsets, job->partition_count, job->arg);
    else
        job->done(err, NULL, NULL, 0, job->arg);
    job_free(job);
}

bool history_commit(struct history *history, history_commit_cb done, void *arg)
{
    if (history->job != NULL)
        return false;
    struct commit_job *job = mem_zalloc(sizeof *job);
    *job = (struct commit_job){.history = history, .done = done, .arg = arg};
    struct state_commit *commit = state_commit_new(history->state);
    take_meta(history, commit);
    take_items(history, commit);
    take_catalog(history, commit);
    take_users(history, commit, job);
    take_partitions(history, commit, job);
    dead_commit(history, commit);
    history->pairs_whole = false;
    history->job = job;
    FAILPOINT("commit.gathered");
    state_commit_start(commit, committed, job);
    return true;
}

void history_write_pairs(struct history *history)
{
    history->pairs_whole = true;
    for (size_t i = 0; i < history->partitions.count; i++)
        history->partitions.at[i]->dirty |= history->partitions.at[i]->loaded;
}

bool history_is_dirty(const struct history *history)
{
    return history->users.dirty.count > 0 || history->meta_dirty || history->dead.dirty ||
           history->dirty_catalog.count > 0 || history->failure.code != 0 ||
           history->items_taken < items_count(&history->items) ||
           count_dirty(&history->partitions) > 0 || count_dirty(&history->items_partitions) > 0;
}
