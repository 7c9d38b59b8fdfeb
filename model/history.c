#include "base/mem.h"
#include "model/history_internal.h"

#include <endian.h>
#include <stdlib.h>

const char *const counter_names[COUNTER_COUNT] = {"applied",      "duplicate",    "late",
                                                  "retracted",    "retract_miss", "forgotten",
                                                  "item_records", "dead",         "impressions"};

void numbers_add(struct numbers *numbers, uint32_t number)
{
    if (numbers->count == numbers->capacity) {
        numbers->capacity = numbers->capacity ? numbers->capacity * 2 : 64;
        numbers->at = mem_array(numbers->at, numbers->capacity, sizeof *numbers->at);
    }
    numbers->at[numbers->count++] = number;
}

void numbers_swap(struct numbers *a, struct numbers *b)
{
    struct numbers kept = *a;
    *a = *b;
    *b = kept;
}

/* -- opening ----------------------------------------------------------------------------------- */

static int load(struct history *history, struct error *err)
{
    struct state_view *view = history->view;
    int status = load_items(view, &history->items, err);
    if (status == 0)
        status = load_types(view, &history->types.names, err);
    if (status == 0)
        status = load_meta(view, &history->meta, err);
    if (status == 0)
        status = load_notes(history, err);
    for (int items = 0; items <= 1 && status == 0; items++) {
        struct partition_set *set = items ? &history->items_partitions : &history->partitions;
        status = load_partitions(view, history_topic(history, items), set, err);
        if (status == 0)
            status = dead_load(history, items, view, err);
    }
    history->items_stored = history->items_taken = items_count(&history->items);
    return status;
}

/* Gives the settings' types their numbers; new ones go to the state. */
static int number_types(struct history *history, const struct history_settings *settings,
                        struct state_commit *commit, struct error *err)
{
    struct event_types *types = &history->types;
    for (uint32_t i = 0; i < settings->type_count; i++) {
        uint32_t before = types->names.count;
        uint32_t number = ids_add(&types->names, slice_of(settings->types[i]));
        if (number >= EVENT_TYPES_MAX)
            return error_set(err, ERR_SETTINGS,
                             "events: %s is one type too many: the state in %s has met %d types, "
                             "which is the most; begin anew with `freshet reset`",
                             settings->types[i], settings->state.dir, EVENT_TYPES_MAX);
        types->number_of[i] = (uint16_t)number;
        if (history->type_counts[i])
            history->types_counting |= UINT64_C(1) << number;
        types->index_of[number] = (int)i;
        if (number < before)
            continue;
        uint16_t key = htobe16((uint16_t)number);
        state_commit_put(commit, STATE_TYPES, (struct slice){(const char *)&key, sizeof key},
                         slice_of(settings->types[i]));
    }
    return 0;
}

/* What must be durable before anything else is done with the state. */
static int found_state(struct history *history, const struct history_settings *settings,
                       struct error *err)
{
    struct state_commit *commit = state_commit_new(history->state);
    int status = 0;
    if (history->meta.nonce[0] == '\0') {
        status = meta_draw(&history->meta, err);
        save_meta(history, commit);
    }
    for (int number = 0; number < EVENT_TYPES_MAX; number++)
        history->types.index_of[number] = -1;
    if (status == 0)
        status = number_types(history, settings, commit, err);
    if (status == 0)
        return state_commit_now(commit, err);
    state_commit_drop(commit);
    return status;
}

static char *copy_slice(struct slice *slice)
{
    char *copy = mem_strndup(slice->length > 0 ? slice->data : "", slice->length);
    slice->data = copy;
    return copy;
}

static struct history *history_new(const struct history_settings *settings,
                                   void (*release_cache)(void *cache))
{
    struct history *history = mem_zalloc(sizeof *history);
    history->settings = *settings;
    history->settings.types = NULL;
    history->settings.type_counts = NULL;
    history->topic = copy_slice(&history->settings.topic);
    history->items_topic = copy_slice(&history->settings.items_topic);
    for (uint32_t i = 0; i < settings->type_count; i++)
        history->type_counts[i] = settings->type_counts[i];
    history->release_cache = release_cache;
    history->dead.ready_tail = &history->dead.ready;
    uv_mutex_init(&history->assigned_mutex);
    return history;
}

int history_open(struct history **opened, uv_loop_t *loop, const struct history_settings *settings,
                 void (*release_cache)(void *cache), struct error *err)
{
    if (settings->type_count > EVENT_TYPES_MAX)
        return error_set(err, ERR_SETTINGS, "events: more than %d types", EVENT_TYPES_MAX);
    struct history *history = history_new(settings, release_cache);
    int status = state_open_writer(&history->state, loop, &settings->state, err);
    if (status == 0)
        status = state_view_open(&history->view, history->state, err);
    if (status == 0) {
        status = load(history, err);
        state_view_rest(history->view);
    }
    if (status == 0)
        status = found_state(history, settings, err);
    if (status != 0) {
        history_close(history);
        return status;
    }
    *opened = history;
    return 0;
}

void history_close(struct history *history)
{
    if (history == NULL)
        return;
    history_job_detach(history);
    state_view_close(history->view);
    state_close(history->state);
    users_deinit(history);
    dead_deinit(history);
    partition_set_deinit(&history->partitions);
    partition_set_deinit(&history->items_partitions);
    notes_deinit(history);
    items_deinit(&history->items);
    ids_deinit(&history->types.names);
    buffer_deinit(&history->scratch);
    buffer_deinit(&history->aside);
    free(history->dirty_catalog.at);
    free(history->committing_catalog.at);
    free(history->learned.at);
    free(history->learned_items.at);
    free(history->assigned);
    uv_mutex_destroy(&history->assigned_mutex);
    free(history->topic);
    free(history->items_topic);
    free(history);
}

/* -- what is known ----------------------------------------------------------------------------- */

struct items *history_items(struct history *history)
{
    return &history->items;
}

uint16_t history_type_number(const struct history *history, uint16_t settings_type)
{
    return history->types.number_of[settings_type];
}

uint64_t history_types_counting(const struct history *history)
{
    return history->types_counting;
}

const struct user_limits *history_limits(const struct history *history)
{
    return &history->settings.limits;
}

int history_type_index(const struct history *history, uint16_t state_type)
{
    return state_type < EVENT_TYPES_MAX ? history->types.index_of[state_type] : -1;
}

void history_want_lists_for_impressions(struct history *history, bool want)
{
    history->settings.impressions_want_lists = want;
}
