#include "base/failpoint.h"
#include "base/mem.h"
#include "model/state_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define BYTE_ORDER_MARK 0x01020304u

struct state {
    MDB_env *env;
    MDB_dbi dbs[STATE_DB_COUNT];
    char *dir;
    int64_t map_bytes;
    int lock_fd;                 /* -1 for a reader */
    struct state_writer *writer; /* NULL for a reader, or without a loop */
};

struct state_view {
    struct state *state;
    MDB_txn *txn;
};

static const char *const db_names[STATE_DB_COUNT] = {"meta",   "types",      "items", "catalog",
                                                     "users",  "sums",       "pairs", "journal",
                                                     "trials", "partitions", "dead"};

struct state_writer *state_writer_of(const struct state *state)
{
    return state->writer;
}

static int refuse(const struct state *state, int status, const char *what, struct error *err)
{
    if (status == MDB_MAP_FULL)
        return error_set(err, ERR_IO,
                         "the state in %s is full at state.map_bytes = %lld: raise it and restart",
                         state->dir, (long long)state->map_bytes);
    return error_set(err, ERR_IO, "the state in %s: %s: %s", state->dir, what,
                     mdb_strerror(status));
}

/* -- format ------------------------------------------------------------------------------------ */

static int put_number(struct state *state, MDB_txn *txn, const char *name, uint32_t number)
{
    MDB_val key = {strlen(name), (void *)name};
    MDB_val value = {sizeof number, &number};
    return mdb_put(txn, state->dbs[STATE_META], &key, &value, 0);
}

/* 0 if it is not there, or not a number; none of the numbers kept here is ever 0. */
static uint32_t get_number(struct state *state, MDB_txn *txn, const char *name)
{
    uint32_t number = 0;
    MDB_val key = {strlen(name), (void *)name};
    MDB_val value;
    if (mdb_get(txn, state->dbs[STATE_META], &key, &value) == 0 && value.mv_size == sizeof number)
        memcpy(&number, value.mv_data, sizeof number);
    return number;
}

/* Format 1 counted no co-occurrence: it begins empty. */
static int begin_pairs(struct state *state, MDB_txn *txn, struct error *err)
{
    int status = mdb_drop(txn, state->dbs[STATE_PAIRS], 0);
    if (status == 0)
        status = mdb_drop(txn, state->dbs[STATE_JOURNAL], 0);
    return status == 0 ? 0 : refuse(state, status, "upgrading", err);
}

/* Format 2 counted no trials; its records of users and partitions are converted as they are read.
 */
static int begin_trials(struct state *state, MDB_txn *txn, struct error *err)
{
    int status = mdb_drop(txn, state->dbs[STATE_TRIALS], 0);
    return status == 0 ? 0 : refuse(state, status, "upgrading", err);
}

/* upgrades[n] makes format n + 1 of format n, whose databases were all made; NULL: there is no way.
 * There was no format 0. */
typedef int (*upgrade_step)(struct state *state, MDB_txn *txn, struct error *err);
static const upgrade_step upgrades[STATE_FORMAT] = {NULL, begin_pairs, begin_trials};

static int upgrade(struct state *state, MDB_txn *txn, uint32_t format, struct error *err)
{
    if (format == STATE_FORMAT)
        return 0;
    for (uint32_t from = format; from < STATE_FORMAT; from++) {
        if (upgrades[from] == NULL)
            return error_set(err, ERR_SETTINGS,
                             "the state in %s has format %u, too old to be upgraded to %u: begin "
                             "anew with an empty state.dir",
                             state->dir, format, STATE_FORMAT);
        int status = upgrades[from](state, txn, err);
        if (status != 0)
            return status;
    }
    int status = put_number(state, txn, "format", STATE_FORMAT);
    return status == 0 ? 0 : refuse(state, status, "upgrading", err);
}

/* Looks at meta alone: an older format may lack databases, and a newer one be none of ours. */
static int check_format(struct state *state, MDB_txn *txn, uint32_t format, struct error *err)
{
    uint32_t order = get_number(state, txn, "byte_order");
    if (order != BYTE_ORDER_MARK)
        return error_set(err, ERR_SETTINGS,
                         "the state in %s was written by a machine of another byte order, or is no "
                         "state: begin anew with an empty state.dir",
                         state->dir);
    if (format > STATE_FORMAT)
        return error_set(err, ERR_SETTINGS,
                         "the state in %s has format %u and this freshet knows %u: run the newer "
                         "freshet that wrote it, or begin anew with an empty state.dir",
                         state->dir, format, STATE_FORMAT);
    if (format < STATE_FORMAT && state->lock_fd < 0)
        return error_set(err, ERR_SETTINGS,
                         "the state in %s has format %u and this freshet knows %u: start the "
                         "daemon once, which upgrades it",
                         state->dir, format, STATE_FORMAT);
    return 0;
}

/* -- opening ----------------------------------------------------------------------------------- */

static int begin(struct state *state, unsigned flags, MDB_txn **txn)
{
    int status = mdb_txn_begin(state->env, NULL, flags, txn);
    if (status != MDB_MAP_RESIZED)
        return status;
    mdb_env_set_mapsize(state->env, 0); /* the writer has a larger map now: take its size */
    return mdb_txn_begin(state->env, NULL, flags, txn);
}

static int open_db(struct state *state, MDB_txn *txn, enum state_db db, struct error *err)
{
    unsigned flags = state->lock_fd >= 0 ? MDB_CREATE : 0;
    int status = mdb_dbi_open(txn, db_names[db], flags, &state->dbs[db]);
    if (status == MDB_NOTFOUND)
        return error_set(err, ERR_SETTINGS, "there is no state in %s yet", state->dir);
    return status == 0 ? 0 : refuse(state, status, "opening", err);
}

static int mark_if_new(struct state *state, MDB_txn *txn, struct error *err)
{
    MDB_stat stat;
    int status = mdb_stat(txn, state->dbs[STATE_META], &stat);
    if (status == 0 && stat.ms_entries == 0) {
        status = put_number(state, txn, "format", STATE_FORMAT);
        if (status == 0)
            status = put_number(state, txn, "byte_order", BYTE_ORDER_MARK);
    }
    return status == 0 ? 0 : refuse(state, status, "marking", err);
}

static int prepare(struct state *state, MDB_txn *txn, bool writing, struct error *err)
{
    int status = open_db(state, txn, STATE_META, err);
    if (status == 0 && writing)
        status = mark_if_new(state, txn, err);
    if (status != 0)
        return status;
    uint32_t format = get_number(state, txn, "format");
    status = check_format(state, txn, format, err);
    for (int db = STATE_META + 1; db < STATE_DB_COUNT && status == 0; db++)
        status = open_db(state, txn, (enum state_db)db, err);
    return status == 0 ? upgrade(state, txn, format, err) : status;
}

static int open_env(struct state *state, struct error *err)
{
    bool writing = state->lock_fd >= 0;
    size_t map_bytes = ((size_t)state->map_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    int status = mdb_env_create(&state->env);
    if (status == 0)
        status = mdb_env_set_mapsize(state->env, map_bytes);
    if (status == 0)
        status = mdb_env_set_maxdbs(state->env, STATE_DB_COUNT);
    if (status == 0)
        status = mdb_env_open(state->env, state->dir, MDB_NOTLS | (writing ? 0 : MDB_RDONLY), 0600);
    if (status == ENOENT)
        return error_set(err, ERR_SETTINGS, "there is no state in %s", state->dir);
    if (status != 0)
        return refuse(state, status, "opening", err);

    int dead_readers; /* of processes that were killed: their snapshots would pin freed pages */
    mdb_reader_check(state->env, &dead_readers);

    MDB_txn *txn;
    status = begin(state, writing ? 0 : MDB_RDONLY, &txn);
    if (status != 0)
        return refuse(state, status, "opening", err);
    status = prepare(state, txn, writing, err);
    if (status != 0) {
        mdb_txn_abort(txn);
        return status;
    }
    status = mdb_txn_commit(txn);
    return status == 0 ? 0 : refuse(state, status, "opening", err);
}

static struct state *state_new(const struct state_settings *settings, int lock_fd)
{
    struct state *state = mem_zalloc(sizeof *state);
    state->dir = mem_strdup(settings->dir);
    state->map_bytes = settings->map_bytes;
    state->lock_fd = lock_fd;
    return state;
}

/* LMDB syncs the file's bytes, not the directory's entry for it. */
static int sync_directory(struct state *state, struct error *err)
{
    int fd = open(state->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = fd >= 0 ? fsync(fd) : -1;
    if (status != 0)
        status = error_set(err, ERR_IO, "%s cannot be synced: %s", state->dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

int state_open_writer(struct state **opened, uv_loop_t *loop, const struct state_settings *settings,
                      struct error *err)
{
    int lock_fd = state_lock(settings->dir, err);
    if (lock_fd < 0)
        return lock_fd;
    struct state *state = state_new(settings, lock_fd);
    int status = open_env(state, err);
    if (status == 0)
        status = sync_directory(state, err);
    if (status == 0 && loop != NULL)
        status = state_writer_start(&state->writer, loop, err);
    if (status != 0) {
        state_close(state);
        return status;
    }
    *opened = state;
    return 0;
}

int state_open_reader(struct state **opened, const struct state_settings *settings,
                      struct error *err)
{
    struct state *state = state_new(settings, -1);
    int status = open_env(state, err);
    if (status != 0) {
        state_close(state);
        return status;
    }
    *opened = state;
    return 0;
}

void state_close(struct state *state)
{
    if (state == NULL)
        return;
    state_writer_stop(state->writer);
    if (state->env != NULL)
        mdb_env_close(state->env);
    if (state->lock_fd >= 0)
        close(state->lock_fd);
    free(state->dir);
    free(state);
}

/* -- reading ----------------------------------------------------------------------------------- */

int state_view_open(struct state_view **opened, struct state *state, struct error *err)
{
    MDB_txn *txn;
    int status = begin(state, MDB_RDONLY, &txn);
    if (status != 0)
        return refuse(state, status, "reading", err);
    struct state_view *view = mem_alloc(sizeof *view);
    *view = (struct state_view){state, txn};
    *opened = view;
    return 0;
}

void state_view_close(struct state_view *view)
{
    if (view == NULL)
        return;
    mdb_txn_abort(view->txn);
    free(view);
}

void state_view_rest(struct state_view *view)
{
    mdb_txn_reset(view->txn);
}

int state_view_renew(struct state_view *view, struct error *err)
{
    int status = mdb_txn_renew(view->txn);
    return status == 0 ? 0 : refuse(view->state, status, "reading", err);
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
        return refuse(view->state, status, "reading", err);
    *value = slice_from(&found);
    return 1;
}

int state_view_scan(struct state_view *view, enum state_db db, struct slice prefix,
                    state_visit visit, void *arg, struct error *err)
{
    MDB_cursor *cursor;
    int status = mdb_cursor_open(view->txn, view->state->dbs[db], &cursor);
    if (status != 0)
        return refuse(view->state, status, "reading", err);

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
        return refuse(view->state, status, "reading", err);
    return visited;
}

/* -- writing ----------------------------------------------------------------------------------- */

static int apply_op(struct state *state, MDB_txn *txn, const struct state_commit *commit,
                    const struct state_op *op)
{
    if (FAILPOINT_FAILS("commit.put"))
        return ENOSPC;
    MDB_val key = {op->key_length, commit->bytes.data + op->key_at};
    if (op->kind == OP_DELETE) {
        int status = mdb_del(txn, state->dbs[op->db], &key, NULL);
        return status == MDB_NOTFOUND ? 0 : status;
    }
    const char *bytes = op->kind == OP_PUT ? commit->bytes.data + op->value_at : op->lent;
    MDB_val value = {op->value_length, (void *)bytes};
    return mdb_put(txn, state->dbs[op->db], &key, &value, 0);
}

int state_apply(struct state *state, const struct state_commit *commit, struct error *err)
{
    MDB_txn *txn;
    if (FAILPOINT_FAILS("commit.begin"))
        return refuse(state, EIO, "writing", err);
    int status = mdb_txn_begin(state->env, NULL, 0, &txn);
    if (status != 0)
        return refuse(state, status, "writing", err);
    for (size_t i = 0; i < commit->count && status == 0; i++)
        status = apply_op(state, txn, commit, &commit->ops[i]);
    if (status == 0 && FAILPOINT_FAILS("commit.write"))
        status = EIO;
    if (status != 0) {
        mdb_txn_abort(txn);
        return refuse(state, status, "writing", err);
    }
    status = mdb_txn_commit(txn);
    FAILPOINT("commit.written");
    return status == 0 ? 0 : refuse(state, status, "writing", err);
}
