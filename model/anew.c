#include "model/anew.h"
#include "base/file.h"
#include "model/history_internal.h"

#include <limits.h>
#include <stdio.h>

static int move_offset(struct state_view *view, struct state_commit *commit,
                       const struct anew_offset *offset, struct error *err)
{
    char bytes[STATE_KEY_MAX];
    struct slice key = {bytes,
                        (uint32_t)state_key_partition(bytes, offset->topic, offset->partition)};
    struct slice value;
    struct partition_record record;
    int status = state_view_get(view, STATE_PARTITIONS, key, &value, err);
    if (status < 0)
        return status;
    if (status == 0 || !partition_record_parse(&record, value))
        return error_set(err, ERR_DATA, "the state's record of partition %d is damaged",
                         (int)offset->partition);
    record.next_offset = offset->next_offset;
    state_commit_put(commit, STATE_PARTITIONS, key,
                     (struct slice){(const char *)&record, sizeof record});
    return 0;
}

static int draw_anew(struct state_view *view, struct state_commit *commit, const struct anew *anew,
                     struct error *err)
{
    struct state_meta meta = {0};
    int status = load_meta(view, &meta, err);
    if (status == 0)
        status = meta_draw(&meta, err);
    meta.epoch = 0;
    if (anew->lists_owed)
        meta.arms_swap = ++meta.swap;
    meta_save(&meta, commit);
    catching_up_save(commit);
    for (size_t i = 0; i < anew->offset_count && status == 0; i++)
        status = move_offset(view, commit, &anew->offsets[i], err);
    return status;
}

static int begin(struct state *state, const struct anew *anew, struct error *err)
{
    struct state_view *view;
    int status = state_view_open(&view, state, err);
    if (status != 0)
        return status;
    struct state_commit *commit = state_commit_new(state);
    status = draw_anew(view, commit, anew, err);
    state_view_close(view);
    if (status == 0)
        return state_commit_now(commit, err);
    state_commit_drop(commit);
    return status;
}

int anew_begin(const struct state_settings *settings, const struct anew *anew, struct error *err)
{
    struct state *state;
    int status = state_open_writer(&state, NULL, settings, err);
    if (status != 0)
        return status;
    status = begin(state, anew, err);
    state_close(state);
    return status;
}

/* -- what there was ---------------------------------------------------------------------------- */

/* Opens a state to look at it: 1, or 0 if there is none. */
static int open_view(struct state **state, struct state_view **view,
                     const struct state_settings *settings, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/data.mdb", settings->dir);
    if (!file_exists(path))
        return 0;
    int status = state_open_reader(state, settings, err);
    if (status != 0)
        return status;
    status = state_view_open(view, *state, err);
    if (status == 0)
        return 1;
    state_close(*state);
    return status;
}

static int visit_record(struct slice key, struct slice value, void *arg)
{
    (void)key;
    (void)value;
    (void)arg;
    return 1;
}

int anew_check_unread(const struct state_settings *settings, struct slice topic, struct error *err)
{
    struct state *state;
    struct state_view *view;
    char key[STATE_KEY_MAX];
    int status = open_view(&state, &view, settings, err);
    if (status != 1)
        return status;
    struct slice prefix = {key, (uint32_t)state_key_topic(key, topic)};
    status = state_view_scan(view, STATE_PARTITIONS, prefix, visit_record, NULL, err);
    state_view_close(view);
    state_close(state);
    if (status != 1)
        return status;
    return error_set(err, ERR_SETTINGS,
                     "the state in %s has learned events of %.*s already, or was imported into: "
                     "history comes before all others. `freshet reset` begins anew; then import, "
                     "and the log is read again",
                     settings->dir, SLICE_ARG(topic));
}
