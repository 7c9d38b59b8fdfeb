#include "base/mem.h"
#include "model/history_internal.h"

#include <stdlib.h>

/* -- one topic's ------------------------------------------------------------------------------- */

/* Where the partition is, or would be put. */
static size_t place_of(const struct partition_set *set, int32_t number)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->at[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct partition *partition_find(const struct partition_set *set, int32_t number)
{
    size_t place = place_of(set, number);
    return place < set->count && set->at[place]->number == number ? set->at[place] : NULL;
}

struct partition *partition_ensure(struct partition_set *set, int32_t number)
{
    struct partition *found = partition_find(set, number);
    if (found != NULL)
        return found;
    struct partition *partition = mem_zalloc(sizeof *partition);
    partition->number = number;
    partition->record.next_offset = INT64_MIN;
    partition->record.stream_ts_ms = INT64_MIN;
    size_t place = place_of(set, number);
    set->at = mem_array(set->at, set->count + 1, sizeof(struct partition *));
    memmove(set->at + place + 1, set->at + place, (set->count - place) * sizeof *set->at);
    set->at[place] = partition;
    set->count++;
    return partition;
}

struct item_sums *partition_sums(struct partition *partition, uint32_t item)
{
    if (item >= partition->sums_count) {
        uint32_t old = partition->sums_count;
        uint32_t count = old ? old : 64;
        while (count <= item)
            count *= 2;
        partition->sums = mem_array(partition->sums, count, sizeof *partition->sums);
        partition->sum_dirty = mem_array(partition->sum_dirty, count, sizeof(bool));
        memset(partition->sums + old, 0, (count - old) * sizeof *partition->sums);
        memset(partition->sum_dirty + old, 0, (count - old) * sizeof(bool));
        partition->sums_count = count;
    }
    return &partition->sums[item];
}

void partition_mark_sums(struct partition *partition, uint32_t item)
{
    if (partition->sum_dirty[item])
        return;
    partition->sum_dirty[item] = true;
    numbers_add(&partition->dirty_sums, item);
}

void partition_unload(struct partition *partition)
{
    free(partition->sums);
    free(partition->sum_dirty);
    pairs_clear(&partition->pairs);
    journal_clear(&partition->journal);
    trials_deinit(&partition->trials);
    partition->sums = NULL;
    partition->sum_dirty = NULL;
    partition->sums_count = 0;
    partition->loaded = false;
}

void partition_set_deinit(struct partition_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct partition *partition = set->at[i];
        partition_unload(partition);
        free(partition->dirty_sums.at);
        free(partition->committing_sums.at);
        free(partition);
    }
    free(set->at);
}

/* -- assigned ---------------------------------------------------------------------------------- */

static void list_assigned(struct history *history)
{
    const struct partition_set *set = &history->partitions;
    uv_mutex_lock(&history->assigned_mutex);
    history->assigned = mem_array(history->assigned, set->count, sizeof(struct partition *));
    history->assigned_count = 0;
    for (size_t i = 0; i < set->count; i++)
        if (set->at[i]->assigned)
            history->assigned[history->assigned_count++] = set->at[i];
    uv_mutex_unlock(&history->assigned_mutex);
}

static int load_partition(struct history *history, struct state_view *view, int32_t number,
                          struct error *err)
{
    struct partition *partition = partition_ensure(&history->partitions, number);
    partition->pairs.neighbours_max =
        pairs_share(history->settings.neighbours_max, history->meta.partition_count);
    if (partition->loaded)
        return 0; /* what is in memory is newer than the state */
    struct slice topic = history->settings.topic;
    uint32_t items = items_count(&history->items);
    int status = load_sums(view, topic, partition, items, err);
    if (status == 0)
        status = load_trials(view, topic, partition, err);
    if (status == 0 && partition->pairs.neighbours_max > 0)
        status = load_pairs(view, topic, partition, items, err);
    if (status != 0)
        partition_unload(partition);
    partition->loaded = status == 0;
    return status;
}

int history_assign(struct history *history, const int32_t *partitions, size_t count,
                   struct error *err)
{
    struct state_view *view;
    int status = state_view_open(&view, history->state, err);
    if (status != 0)
        return status;
    for (size_t i = 0; i < count && status == 0; i++)
        status = load_partition(history, view, partitions[i], err);
    state_view_close(view);
    for (size_t i = 0; i < count && status == 0; i++)
        partition_find(&history->partitions, partitions[i])->assigned = true;
    list_assigned(history);
    return status;
}

void history_revoke(struct history *history, const int32_t *partitions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct partition *partition = partition_find(&history->partitions, partitions[i]);
        if (partition == NULL)
            continue;
        partition->assigned = false;
        if (!partition->dirty && !partition->committing)
            partition_unload(partition);
    }
    list_assigned(history);
}

/* -- what is known ----------------------------------------------------------------------------- */

static const struct partition_set *set_of(const struct history *history, bool items)
{
    return items ? &history->items_partitions : &history->partitions;
}

int64_t history_next_offset(const struct history *history, bool items, int32_t partition)
{
    const struct partition *found = partition_find(set_of(history, items), partition);
    return found != NULL ? found->record.next_offset : INT64_MIN;
}

const struct partition_record *history_partition(const struct history *history, bool items,
                                                 int32_t partition)
{
    const struct partition *found = partition_find(set_of(history, items), partition);
    return found != NULL ? &found->record : NULL;
}

bool history_is_assigned(const struct history *history, int32_t partition)
{
    const struct partition *found = partition_find(&history->partitions, partition);
    return found != NULL && found->assigned;
}

size_t history_partitions(const struct history *history, int32_t *partitions, size_t max)
{
    for (size_t i = 0; i < history->assigned_count && i < max; i++)
        partitions[i] = history->assigned[i]->number;
    return history->assigned_count;
}

int64_t history_now_ms(const struct history *history)
{
    int64_t now_ms = INT64_MIN;
    for (size_t i = 0; i < history->assigned_count; i++)
        if (history->assigned[i]->record.stream_ts_ms > now_ms)
            now_ms = history->assigned[i]->record.stream_ts_ms;
    return now_ms;
}

uint64_t history_counter(const struct history *history, enum counter counter)
{
    uint64_t sum = 0;
    for (int items = 0; items <= 1; items++) {
        const struct partition_set *set = set_of(history, items);
        for (size_t i = 0; i < set->count; i++)
            sum += set->at[i]->record.counters[counter];
    }
    return sum;
}

bool history_type_counts(const struct history *history, uint16_t type)
{
    return history->type_counts[type];
}

size_t history_sums_count(const struct history *history)
{
    return history->assigned_count;
}

const struct item_sums *history_sums(const struct history *history, size_t index, uint32_t *items)
{
    const struct partition *partition = history->assigned[index];
    uint32_t known = items_count(&history->items);
    *items = partition->sums_count < known ? partition->sums_count : known;
    return partition->sums;
}

const struct pairs *history_pairs(const struct history *history, size_t index)
{
    return &history->assigned[index]->pairs;
}
