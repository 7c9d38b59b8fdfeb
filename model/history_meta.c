#include "base/clock.h"
#include "base/mem.h"
#include "model/history_internal.h"

#include <assert.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define NOTE_NAME_MAX 64 /* bytes */

/* -- in the state ------------------------------------------------------------------------------ */

struct meta_field {
    const char *name;
    size_t at;
    uint32_t bytes;
};

#define FIELD(name, member)                                                                 \
    {                                                                                       \
        name, offsetof(struct state_meta, member), sizeof(((struct state_meta *)0)->member) \
    }
static const struct meta_field meta_fields[] = {
    FIELD("epoch", epoch),           FIELD("swap", swap),
    FIELD("arms_swap", arms_swap),   FIELD("nonce", nonce),
    FIELD("cluster_id", cluster_id), FIELD("partition_count", partition_count),
};
/* Of formats 1 and 2, which had one series. */
static const struct meta_field old_fields[] = {
    FIELD("generation", series[0].generation),
    FIELD("newest_generation", series[0].newest_generation),
    FIELD("gate_refusals", series[0].gate_refusals),
};
#undef FIELD
#define META_FIELDS (sizeof meta_fields / sizeof meta_fields[0])
#define OLD_FIELDS (sizeof old_fields / sizeof old_fields[0])

static int load_fields(struct state_view *view, const struct meta_field *fields, size_t count,
                       struct state_meta *meta, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct meta_field *field = &fields[i];
        struct slice value;
        int status = state_view_get(view, STATE_META, slice_of(field->name), &value, err);
        if (status < 0)
            return status;
        if (status == 0)
            continue; /* a new state, or a field that came later */
        if (value.length != field->bytes)
            return error_set(err, ERR_DATA, "the state's %s is damaged", field->name);
        memcpy((char *)meta + field->at, value.data, field->bytes);
    }
    return 0;
}

static int load_series(struct state_view *view, struct state_meta *meta, struct error *err)
{
    struct slice value;
    int status = state_view_get(view, STATE_META, SLICE("series"), &value, err);
    if (status < 0)
        return status;
    meta->series_count = 1;
    if (status == 0) {
        meta->series[0].swap = meta->swap; /* there was nothing else to swap */
        return load_fields(view, old_fields, OLD_FIELDS, meta, err);
    }
    uint32_t count = value.length / (uint32_t)sizeof meta->series[0];
    if (value.length % sizeof meta->series[0] != 0 || count < 1 || count > SERIES_MAX)
        return error_set(err, ERR_DATA, "the state's series of generations are damaged");
    memcpy(meta->series, value.data, value.length);
    meta->series_count = count;
    return meta->series[0].key == 0
               ? 0
               : error_set(err, ERR_DATA, "the state's series of generations lack the first");
}

int load_meta(struct state_view *view, struct state_meta *meta, struct error *err)
{
    int status = load_fields(view, meta_fields, META_FIELDS, meta, err);
    if (status == 0)
        status = load_series(view, meta, err);
    meta->nonce[sizeof meta->nonce - 1] = '\0';
    meta->cluster_id[sizeof meta->cluster_id - 1] = '\0';
    return status;
}

static void save_notes(const struct history *history, struct state_commit *commit)
{
    char key[sizeof NOTE_PREFIX + NOTE_NAME_MAX];
    for (size_t i = 0; i < history->note_count; i++) {
        const struct note *note = &history->notes[i];
        snprintf(key, sizeof key, NOTE_PREFIX "%s", note->name);
        if (note->length > 0)
            state_commit_put(commit, STATE_META, slice_of(key),
                             (struct slice){note->text, note->length});
        else
            state_commit_delete(commit, STATE_META, slice_of(key));
    }
}

void meta_save(const struct state_meta *meta, struct state_commit *commit)
{
    for (size_t i = 0; i < META_FIELDS; i++) {
        const struct meta_field *field = &meta_fields[i];
        struct slice value = {(const char *)meta + field->at, field->bytes};
        state_commit_put(commit, STATE_META, slice_of(field->name), value);
    }
    struct slice series = {(const char *)meta->series,
                           meta->series_count * (uint32_t)sizeof meta->series[0]};
    state_commit_put(commit, STATE_META, SLICE("series"), series);
    for (size_t i = 0; i < OLD_FIELDS; i++)
        state_commit_delete(commit, STATE_META, slice_of(old_fields[i].name));
}

void save_meta(const struct history *history, struct state_commit *commit)
{
    meta_save(history->swap_announced ? &history->announced : &history->meta, commit);
    save_notes(history, commit);
}

/* -- the cluster ------------------------------------------------------------------------------- */

int history_bind(struct history *history, const char *cluster_id, int partition_count,
                 struct error *err)
{
    struct state_meta *meta = &history->meta;
    const char *dir = history->settings.state.dir;
    if (partition_count < 1 || partition_count > PARTITIONS_MAX)
        return error_set(err, ERR_SETTINGS, "the topic %s has %d partitions: 1 to %d can be read",
                         history->topic, partition_count, PARTITIONS_MAX);
    if (strlen(cluster_id) >= sizeof meta->cluster_id)
        return error_set(err, ERR_SETTINGS, "the Kafka cluster's id is too long: %s", cluster_id);
    if (meta->partition_count == 0) {
        snprintf(meta->cluster_id, sizeof meta->cluster_id, "%s", cluster_id);
        meta->partition_count = partition_count;
        history->meta_dirty = true;
        return 0;
    }
    if (strcmp(meta->cluster_id, cluster_id) != 0)
        return error_set(err, ERR_SETTINGS,
                         "the state in %s belongs to Kafka cluster %s, this one is %s: use "
                         "another state.dir, or begin anew with `freshet reset`",
                         dir, meta->cluster_id, cluster_id);
    if (meta->partition_count != partition_count)
        return error_set(err, ERR_SETTINGS,
                         "the state in %s was made with %d partitions of %s, now there are %d, and "
                         "users are on others than before: put the records into a new topic by key "
                         "(docs/OPERATING.md), and begin anew with that, another consumer.group "
                         "and `freshet reset`",
                         dir, meta->partition_count, history->topic, partition_count);
    return 0;
}

const struct state_meta *history_meta(const struct history *history)
{
    return &history->meta;
}

/* -- series ------------------------------------------------------------------------------------ */

const struct state_series *series_find(const struct state_meta *meta, uint64_t key)
{
    for (uint32_t i = 0; i < meta->series_count; i++)
        if (meta->series[i].key == key)
            return &meta->series[i];
    return NULL;
}

/* NULL: there is no room for it. */
static struct state_series *series_ensure(struct state_meta *meta, uint64_t key)
{
    struct state_series *found = (struct state_series *)series_find(meta, key);
    if (found != NULL)
        return found;
    if (meta->series_count == SERIES_MAX)
        return NULL;
    meta->series[meta->series_count] = (struct state_series){.key = key};
    return &meta->series[meta->series_count++];
}

const struct state_series *history_series(const struct history *history, uint64_t key)
{
    return series_find(&history->meta, key);
}

uint32_t history_owed_swap(const struct history *history, uint64_t key)
{
    const struct state_meta *meta = &history->meta;
    const struct state_series *series = series_find(meta, key);
    return series != NULL && series->swap > meta->arms_swap ? series->swap : meta->arms_swap;
}

static bool is_among(uint64_t key, const uint64_t *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (keys[i] == key)
            return true;
    return key == 0;
}

static bool keep_series(struct state_meta *meta, const uint64_t *keys, size_t count)
{
    uint32_t kept = 0, before = meta->series_count;
    for (uint32_t i = 0; i < before; i++)
        if (is_among(meta->series[i].key, keys, count))
            meta->series[kept++] = meta->series[i];
    meta->series_count = kept;
    return kept < before;
}

void history_keep_series(struct history *history, const uint64_t *keys, size_t count)
{
    bool dropped = keep_series(&history->meta, keys, count);
    if (history->swap_announced)
        dropped |= keep_series(&history->announced, keys, count);
    history->meta_dirty |= dropped;
}

static bool set_generation(struct state_meta *meta, uint64_t key, uint64_t generation,
                           uint64_t newest, uint32_t gate_refusals)
{
    struct state_series *series = series_ensure(meta, key);
    if (series == NULL)
        return false;
    series->generation = generation;
    series->newest_generation = newest;
    series->gate_refusals = gate_refusals;
    return true;
}

bool history_set_generation(struct history *history, uint64_t key, uint64_t generation,
                            uint64_t newest, uint32_t gate_refusals)
{
    assert(!history->swap_announced || !history->announced_series || history->announced_key != key);
    if (history->swap_announced && /* which may have one series more than is live */
        !set_generation(&history->announced, key, generation, newest, gate_refusals))
        return false;
    if (!set_generation(&history->meta, key, generation, newest, gate_refusals))
        return false;
    history->meta_dirty = true;
    return true;
}

/* -- swaps ------------------------------------------------------------------------------------- */

/* What the state will be, one swap on; written by the next commit once it is `announce`d. */
static struct state_meta swapped(const struct history *history)
{
    assert(!history->swap_announced);
    struct state_meta meta = history->meta;
    meta.swap++;
    return meta;
}

static void announce(struct history *history, const struct state_meta *meta, bool of_series,
                     uint64_t key)
{
    history->announced = *meta;
    history->announced_series = of_series;
    history->announced_key = key;
    history->swap_announced = true;
    history->meta_dirty = true;
}

bool history_announce_swap(struct history *history, uint64_t key, uint64_t generation,
                           uint64_t newest)
{
    struct state_meta meta = swapped(history);
    if (!set_generation(&meta, key, generation, newest, 0))
        return false;
    series_ensure(&meta, key)->swap = meta.swap;
    announce(history, &meta, true, key);
    return true;
}

void history_announce_arms_swap(struct history *history)
{
    struct state_meta meta = swapped(history);
    meta.arms_swap = meta.swap;
    announce(history, &meta, false, 0);
}

bool history_swap_is_announced(const struct history *history)
{
    return history->swap_announced;
}

void history_take_swap(struct history *history)
{
    assert(history->swap_announced);
    history->meta = history->announced;
    history->swap_announced = false;
}

/* -- among others ------------------------------------------------------------------------------ */

/* The time in seconds is greater than any earlier epoch; a clock that was set back is of no harm.
 */
static uint32_t new_epoch(uint32_t before)
{
    uint32_t now_s = (uint32_t)(clock_wall_ms() / 1000);
    return now_s > before ? now_s : before + 1;
}

/* What is announced stays one swap ahead, with those that it is owed to. */
static void raise_announced(struct history *history)
{
    struct state_meta *announced = &history->announced;
    announced->epoch = history->meta.epoch;
    if (announced->swap <= history->meta.swap)
        announced->swap = history->meta.swap + 1;
    announced->arms_swap = history->announced_series ? history->meta.arms_swap : announced->swap;
    if (history->announced_series)
        series_ensure(announced, history->announced_key)->swap = announced->swap;
}

static uint32_t joined_epoch(uint32_t own, const struct state_others *others)
{
    if (own == 0)
        return others->alive && others->epoch > 0 ? others->epoch : new_epoch(others->epoch);
    return others->epoch > own ? others->epoch : own;
}

bool history_join(struct history *history, const struct state_others *others)
{
    struct state_meta *meta = &history->meta, before = *meta;
    meta->epoch = joined_epoch(before.epoch, others);
    bool owed = others->taken_over || (before.epoch != 0 && before.epoch != meta->epoch);
    meta->swap += owed;
    if (meta->swap < others->swap_least)
        meta->swap = others->swap_least;
    if (owed)
        meta->arms_swap = meta->swap;
    if (meta->epoch == before.epoch && meta->swap == before.swap)
        return false;
    if (history->swap_announced)
        raise_announced(history);
    history->meta_dirty = true;
    return owed;
}

/* -- notes ------------------------------------------------------------------------------------- */

static struct note *find_note(const struct history *history, const char *name)
{
    for (size_t i = 0; i < history->note_count; i++)
        if (strcmp(history->notes[i].name, name) == 0)
            return (struct note *)&history->notes[i];
    return NULL;
}

/* An emptied one keeps its place until the process ends: a commit must still take it away. */
static struct note *add_note(struct history *history, struct slice name)
{
    if (history->note_count == NOTES_MAX || name.length > NOTE_NAME_MAX)
        return NULL;
    struct note *note = &history->notes[history->note_count++];
    *note = (struct note){.name = mem_strndup(name.data, name.length)};
    return note;
}

static void write_note(struct note *note, struct slice text)
{
    char *copy = text.length > 0 ? mem_strndup(text.data, text.length) : NULL;
    free(note->text);
    note->text = copy;
    note->length = text.length;
}

bool history_set_note(struct history *history, const char *name, struct slice text)
{
    if (text.length > NOTE_BYTES_MAX)
        return false;
    struct note *note = find_note(history, name);
    if (note == NULL)
        note = add_note(history, slice_of(name));
    if (note == NULL)
        return false;
    write_note(note, text);
    history->meta_dirty = true;
    return true;
}

struct slice history_note(const struct history *history, const char *name)
{
    const struct note *note = find_note(history, name);
    return note != NULL && note->length > 0 ? (struct slice){note->text, note->length} : SLICE("");
}

struct loading_notes {
    struct history *history;
    struct error *err;
};

static int visit_note(struct slice key, struct slice value, void *arg)
{
    struct loading_notes *loading = arg;
    uint32_t prefix = sizeof NOTE_PREFIX - 1;
    struct slice name = {key.data + prefix, key.length - prefix};
    struct note *note = add_note(loading->history, name);
    if (note == NULL || value.length > NOTE_BYTES_MAX)
        return error_set(loading->err, ERR_DATA, "the state's notes are damaged");
    write_note(note, value);
    return 0;
}

int load_notes(struct history *history, struct error *err)
{
    struct loading_notes loading = {history, err};
    return state_view_scan(history->view, STATE_META, SLICE(NOTE_PREFIX), visit_note, &loading,
                           err);
}

void notes_deinit(struct history *history)
{
    for (size_t i = 0; i < history->note_count; i++) {
        free(history->notes[i].name);
        free(history->notes[i].text);
    }
}
