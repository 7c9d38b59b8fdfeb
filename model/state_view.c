/* Reading: a view is one snapshot of LMDB. Views are in a list, because an environment that failed
 * can only be replaced while none of them is being read (state_mend). */
#include "base/mem.h"
#include "model/state_lmdb.h"

#include <stdlib.h>
#include <string.h>

static int try_snapshot(struct state_view *view)
{
    struct state *state = view->state;
    uv_mutex_lock(&state->mutex);
    int status =
        view->txn != NULL ? mdb_txn_renew(view->txn) : state_begin(state, MDB_RDONLY, &view->txn);
    view->rests = status != 0;
    uv_mutex_unlock(&state->mutex);
    return status;
}

static int take_snapshot(struct state_view *view, struct error *err)
{
    struct state *state = view->state;
    int status = try_snapshot(view);
    if (status == MDB_PANIC && uv_mutex_trylock(&state->writing) == 0) {
        int mended = state_mend(state, err);
        uv_mutex_unlock(&state->writing);
        if (mended != 0)
            return mended;
        status = try_snapshot(view);
    }
    return status == 0 ? 0 : state_refuse(state, status, "reading", err);
}

int state_view_open(struct state_view **opened, struct state *state, struct error *err)
{
    struct state_view *view = mem_alloc(sizeof *view);
    *view = (struct state_view){.state = state, .rests = true};
    uv_mutex_lock(&state->mutex);
    view->next = state->views;
    state->views = view;
    uv_mutex_unlock(&state->mutex);
    int status = take_snapshot(view, err);
    if (status == 0)
        *opened = view;
    else
        state_view_close(view);
    return status;
}

void state_view_close(struct state_view *view)
{
    if (view == NULL)
        return;
    struct state *state = view->state;
    uv_mutex_lock(&state->mutex);
    struct state_view **at = &state->views;
    while (*at != view)
        at = &(*at)->next;
    *at = view->next;
    mdb_txn_abort(view->txn); /* NULL is allowed */
    uv_mutex_unlock(&state->mutex);
    free(view);
}

void state_view_rest(struct state_view *view)
{
    uv_mutex_lock(&view->state->mutex);
    mdb_txn_reset(view->txn);
    view->rests = true;
    uv_mutex_unlock(&view->state->mutex);
}

int state_view_renew(struct state_view *view, struct error *err)
{
    return take_snapshot(view, err);
}

int state_copy(struct state *state, int fd, struct error *err)
{
    int status = mdb_env_copyfd2(state->env, fd, MDB_CP_COMPACT);
    return status == 0 ? 0 : state_refuse(state, status, "copying", err);
}

uint64_t state_bytes(const struct state *state)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(state->env, &info) != 0 || mdb_env_stat(state->env, &stat) != 0)
        return 0;
    return (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
}

static struct slice slice_from(const MDB_val *val)
{
    return (struct slice){val->mv_data, (uint32_t)val->mv_size};
}

int state_view_get(struct state_view *view, enum state_db db, struct slice key, struct slice *value,
                   struct error *err)
{
    MDB_val at = {key.length, (void *)key.data};
    MDB_val found;
    int status = mdb_get(view->txn, view->state->dbs[db], &at, &found);
    if (status == MDB_NOTFOUND)
        return 0;
    if (status != 0)
        return state_refuse(view->state, status, "reading", err);
    *value = slice_from(&found);
    return 1;
}

int state_view_scan(struct state_view *view, enum state_db db, struct slice prefix,
                    state_visit visit, void *arg, struct error *err)
{
    MDB_cursor *cursor;
    int status = mdb_cursor_open(view->txn, view->state->dbs[db], &cursor);
    if (status != 0)
        return state_refuse(view->state, status, "reading", err);

    int visited = 0;
    MDB_val key = {prefix.length, (void *)prefix.data};
    MDB_val value;
    status = mdb_cursor_get(cursor, &key, &value, prefix.length > 0 ? MDB_SET_RANGE : MDB_FIRST);
    while (status == 0 && key.mv_size >= prefix.length &&
           (prefix.length == 0 || memcmp(key.mv_data, prefix.data, prefix.length) == 0)) {
        visited = visit(slice_from(&key), slice_from(&value), arg);
        if (visited != 0)
            break;
        status = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (status != 0 && status != MDB_NOTFOUND)
        return state_refuse(view->state, status, "reading", err);
    return visited;
}
