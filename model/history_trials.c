/* The sums of trials that a partition keeps. A user's record says since when he is counted in his
 * trial; sums that began later, because those before them had left, know nothing of him yet. */
#include "base/mem.h"
#include "model/history_internal.h"

#include <stdlib.h>

static struct trial_entry *find(const struct partition_trials *trials, uint64_t trial)
{
    for (size_t i = 0; i < trials->count; i++)
        if (trials->at[i].trial == trial)
            return &trials->at[i];
    return NULL;
}

static struct trial_entry *add(struct partition_trials *trials, uint64_t trial)
{
    if (trials->count == trials->capacity) {
        trials->capacity = trials->capacity ? 2 * trials->capacity : 8;
        trials->at = mem_array(trials->at, trials->capacity, sizeof *trials->at);
    }
    struct trial_entry *entry = &trials->at[trials->count++];
    *entry = (struct trial_entry){.trial = trial, .gone = true};
    return entry;
}

/* -- counting ---------------------------------------------------------------------------------- */

static void begin(struct partition_trials *trials, struct trial_entry *entry, int64_t offset)
{
    entry->gone = false;
    entry->record = (struct trial_record){.begun = offset};
    trials->live++;
}

static void drop_oldest(struct partition_trials *trials)
{
    struct trial_entry *oldest = NULL;
    for (size_t i = 0; i < trials->count; i++) {
        struct trial_entry *entry = &trials->at[i];
        if (!entry->gone && (oldest == NULL || entry->record.touched < oldest->record.touched))
            oldest = entry;
    }
    oldest->gone = oldest->dirty = true;
    trials->live--;
}

static struct trial_entry *ensure(struct partition_trials *trials, uint64_t trial, int64_t offset)
{
    struct trial_entry *entry = find(trials, trial);
    if (entry != NULL && !entry->gone)
        return entry;
    if (trials->live == TRIALS_MAX)
        drop_oldest(trials);
    if (entry == NULL)
        entry = add(trials, trial);
    begin(trials, entry, offset);
    return entry;
}

/* What the sums know of the user. */
static struct trial_counts known_of(const struct trial_entry *entry,
                                    const struct trial_counts *counts)
{
    bool known = counts->trial == entry->trial && counts->begun >= entry->record.begun;
    return known ? *counts : (struct trial_counts){0};
}

struct trial_counts trials_count(struct partition_trials *trials, const struct trial_counts *counts,
                                 const struct outcome *outcome, int64_t offset)
{
    struct trial_entry *entry = ensure(trials, outcome->trial, offset);
    struct trial_counts before = known_of(entry, counts);
    struct trial_counts after = trial_count(&before, outcome, offset);
    trial_replace(&entry->record.sums, &before, &after);
    entry->record.touched = offset;
    entry->dirty = true;
    return after;
}

void trials_forget(struct partition_trials *trials, const struct trial_counts *counts)
{
    struct trial_entry *entry = counts->trial != 0 ? find(trials, counts->trial) : NULL;
    if (entry == NULL || entry->gone)
        return;
    struct trial_counts known = known_of(entry, counts);
    trial_remove(&entry->record.sums, &known);
    entry->dirty = true;
}

bool history_trial(const struct history *history, uint64_t trial, struct trial_sums *sums)
{
    bool known = false;
    *sums = (struct trial_sums){0};
    for (size_t i = 0; i < history->assigned_count; i++) {
        const struct trial_entry *entry = find(&history->assigned[i]->trials, trial);
        if (entry == NULL || entry->gone)
            continue;
        trial_merge(sums, &entry->record.sums);
        known = true;
    }
    return known;
}

/* -- to and from the state --------------------------------------------------------------------- */

bool trial_record_parse(struct trial_record *record, struct slice value)
{
    if (value.length != sizeof *record)
        return false;
    memcpy(record, value.data, sizeof *record);
    return true;
}

struct loading {
    struct partition *partition;
    struct error *err;
};

static int visit(struct slice key, struct slice value, void *arg)
{
    struct loading *loading = arg;
    struct partition_trials *trials = &loading->partition->trials;
    struct state_key parts;
    uint64_t trial;
    struct trial_record record;
    if (!state_key_parse(key, &parts) || !state_key_trial_number(parts.rest, &trial) ||
        !trial_record_parse(&record, value) || trials->live == TRIALS_MAX)
        return error_set(loading->err, ERR_DATA, "the trials of partition %d are damaged",
                         loading->partition->number);
    struct trial_entry *entry = add(trials, trial);
    entry->gone = false;
    entry->record = record;
    trials->live++;
    return 0;
}

int load_trials(struct state_view *view, struct slice topic, struct partition *partition,
                struct error *err)
{
    char key[STATE_KEY_MAX];
    struct slice prefix = {key, (uint32_t)state_key_partition(key, topic, partition->number)};
    struct loading loading = {partition, err};
    return state_view_scan(view, STATE_TRIALS, prefix, visit, &loading, err);
}

void take_trials(struct partition *partition, struct slice topic, struct state_commit *commit)
{
    char bytes[STATE_KEY_MAX];
    for (size_t i = 0; i < partition->trials.count; i++) {
        struct trial_entry *entry = &partition->trials.at[i];
        if (!entry->dirty)
            continue;
        size_t length = state_key_trial(bytes, topic, partition->number, entry->trial);
        struct slice key = {bytes, (uint32_t)length};
        if (entry->gone)
            state_commit_delete(commit, STATE_TRIALS, key);
        else
            state_commit_put(commit, STATE_TRIALS, key,
                             (struct slice){(const char *)&entry->record, sizeof entry->record});
        entry->dirty = false;
        entry->committing = true;
    }
}

void trials_committed(struct partition_trials *trials, bool ok)
{
    size_t kept = 0;
    for (size_t i = 0; i < trials->count; i++) {
        struct trial_entry *entry = &trials->at[i];
        entry->dirty |= entry->committing && !ok;
        entry->committing = false;
        if (!entry->gone || entry->dirty)
            trials->at[kept++] = *entry;
    }
    trials->count = kept;
}

void trials_deinit(struct partition_trials *trials)
{
    free(trials->at);
    *trials = (struct partition_trials){0};
}
