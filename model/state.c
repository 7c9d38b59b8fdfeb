#include "base/failpoint.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/place.h"
#include "model/state_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define READERS_BYTES 8192 /* of LMDB's lock file */
#define BYTE_ORDER_MARK 0x01020304u

struct state {
    uv_mutex_t writing; /* held by who writes a transaction */
    uv_mutex_t mutex;   /* guards the next two, and who begins a view from who replaces the first */
    MDB_env *env;       /* NULL: not yet, or not again (see `mend`) */
    struct state_view *views;
    MDB_dbi dbs[STATE_DB_COUNT];
    char *dir;
    int64_t map_bytes;
    uint64_t written; /* LMDB's number of the last transaction that is known to be durable */
    int lock_fd;      /* -1 for a reader */
    struct state_writer *writer; /* NULL for a reader, or without a loop */
};

struct state_view {
    struct state *state;
    struct state_view *next; /* of the state's */
    MDB_txn *txn;            /* NULL: gone with the environment that was replaced */
    bool rests;
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
    if (status == MDB_INVALID || status == MDB_CORRUPTED)
        return error_set(err, ERR_IO,
                         "the state in %s is damaged (%s): restore a backup (`freshet restore`), "
                         "or begin anew with `freshet reset`",
                         state->dir, mdb_strerror(status));
    return error_set(err, ERR_IO, "the state in %s: %s: %s", state->dir, what,
                     mdb_strerror(status));
}

/* LMDB says of a write that was cut short, as by a full disk, that input or output failed: so how
 * much room there is is always said, too. */
static int refuse_write(const struct state *state, int status, struct error *err)
{
    struct statvfs disk;
    refuse(state, status, "writing", err);
    if (err != NULL && status != MDB_MAP_FULL && statvfs(state->dir, &disk) == 0) {
        size_t length = strlen(err->text);
        uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
        snprintf(err->text + length, sizeof err->text - length, " (%.1f MiB are free there)",
                 (double)free_bytes / (1 << 20));
    }
    return ERR_IO;
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
                             "anew with `freshet reset`",
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
                         "state: begin anew with `freshet reset`",
                         state->dir);
    if (format > STATE_FORMAT)
        return error_set(
            err, ERR_SETTINGS,
            "the state in %s has format %u and this freshet knows %u: run the newer "
            "freshet that wrote it, restore a backup of this one's (`freshet restore`), "
            "or begin anew with `freshet reset`",
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
    if (state->env == NULL)
        return MDB_PANIC;
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

static int open_env(struct state *state, const char *path, unsigned flags, struct error *err)
{
    size_t map_bytes = ((size_t)state->map_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    int status = mdb_env_create(&state->env);
    if (status == 0)
        status = mdb_env_set_mapsize(state->env, map_bytes);
    if (status == 0)
        status = mdb_env_set_maxdbs(state->env, STATE_DB_COUNT);
    if (status == 0)
        status = mdb_env_open(state->env, path, MDB_NOTLS | flags, 0600);
    if (status == ENOENT)
        return error_set(err, ERR_SETTINGS, "there is no state in %s", state->dir);
    return status == 0 ? 0 : refuse(state, status, "opening", err);
}

static void close_env(struct state *state)
{
    if (state->env != NULL)
        mdb_env_close(state->env);
    state->env = NULL;
}

static int open_dbs(struct state *state, struct error *err)
{
    bool writing = state->lock_fd >= 0;
    MDB_txn *txn;
    int status = begin(state, writing ? 0 : MDB_RDONLY, &txn);
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

static void path_of(const struct state *state, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", state->dir, name);
}

/* A new state is made aside and renamed, so that a disk that is full half-way leaves none. */
static int found(struct state *state, struct error *err)
{
    char path[PATH_MAX], aside[PATH_MAX];
    path_of(state, "data.mdb", path);
    path_of(state, "new.mdb", aside);
    if (access(path, F_OK) == 0)
        return 0;
    unlink(aside);
    int status = open_env(state, aside, MDB_NOSUBDIR | MDB_NOLOCK, err);
    if (status == 0)
        status = open_dbs(state, err);
    close_env(state);
    if (status == 0 && rename(aside, path) != 0)
        status = error_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    if (status != 0)
        unlink(aside);
    return status;
}

/* LMDB writes to its lock file through memory, where a full disk is not an error but the end. */
static int reserve_readers(struct state *state, struct error *err)
{
    char path[PATH_MAX];
    path_of(state, "lock.mdb", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int reason = fd >= 0 ? posix_fallocate(fd, 0, READERS_BYTES) : errno;
    if (fd >= 0)
        close(fd);
    return reason == 0 ? 0 : error_set(err, ERR_IO, "%s: %s", path, strerror(reason));
}

static int open_to_write(struct state *state, struct error *err)
{
    MDB_envinfo info;
    int dead_readers; /* of processes that were killed: their snapshots would pin freed pages */
    int status = reserve_readers(state, err);
    if (status == 0)
        status = open_env(state, state->dir, 0, err);
    if (status != 0)
        return status;
    mdb_reader_check(state->env, &dead_readers);
    mdb_env_info(state->env, &info);
    if (info.me_last_txnid < state->written)
        return error_set(err, ERR_IO,
                         "the state in %s is older than what was written to it: somebody has "
                         "replaced it; restart",
                         state->dir);
    return open_dbs(state, err);
}

/* After a failed write of the page that makes a transaction valid, LMDB refuses everything until it
 * is opened again. That page may have got to the disk all the same: then the commit that failed is
 * there, and the next, which has all of it once more, changes nothing in it. The caller holds
 * `writing`. */
static int mend(struct state *state, struct error *err)
{
    uv_mutex_lock(&state->mutex);
    bool busy = false;
    for (struct state_view *view = state->views; view != NULL; view = view->next)
        busy |= !view->rests;
    for (struct state_view *view = state->views; view != NULL && !busy; view = view->next) {
        mdb_txn_abort(view->txn); /* NULL is allowed */
        view->txn = NULL;
    }
    int status =
        busy ? error_set(err, ERR_IO, "the state in %s failed and is still being read", state->dir)
             : 0;
    if (status == 0) {
        close_env(state);
        char path[PATH_MAX];
        path_of(state, "data.mdb", path);
        status = access(path, F_OK) == 0
                     ? open_to_write(state, err)
                     : error_set(err, ERR_IO, "%s: %s: restart", path, strerror(errno));
        if (status != 0)
            close_env(state);
    }
    uv_mutex_unlock(&state->mutex);
    return status;
}

static struct state *state_new(const struct state_settings *settings, int lock_fd)
{
    struct state *state = mem_zalloc(sizeof *state);
    state->dir = mem_strdup(settings->dir);
    state->map_bytes = settings->map_bytes;
    state->lock_fd = lock_fd;
    uv_mutex_init(&state->writing);
    uv_mutex_init(&state->mutex);
    return state;
}

int state_open_writer(struct state **opened, uv_loop_t *loop, const struct state_settings *settings,
                      struct error *err)
{
    int lock_fd = state_lock(settings->dir, err);
    if (lock_fd < 0)
        return lock_fd;
    struct state *state = state_new(settings, lock_fd);
    int status = place_complete(settings->dir, err);
    if (status == 0)
        status = found(state, err);
    if (status == 0)
        status = open_to_write(state, err);
    if (status == 0)
        status = file_sync_dir(state->dir, err); /* LMDB syncs the file's bytes, not its entry */
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
    int status = open_env(state, state->dir, MDB_RDONLY, err);
    if (status == 0)
        status = open_dbs(state, err);
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
    close_env(state);
    uv_mutex_destroy(&state->mutex);
    uv_mutex_destroy(&state->writing);
    if (state->lock_fd >= 0)
        close(state->lock_fd);
    free(state->dir);
    free(state);
}

/* -- reading ----------------------------------------------------------------------------------- */

static int try_snapshot(struct state_view *view)
{
    struct state *state = view->state;
    uv_mutex_lock(&state->mutex);
    int status =
        view->txn != NULL ? mdb_txn_renew(view->txn) : begin(state, MDB_RDONLY, &view->txn);
    view->rests = status != 0;
    uv_mutex_unlock(&state->mutex);
    return status;
}

static int take_snapshot(struct state_view *view, struct error *err)
{
    struct state *state = view->state;
    int status = try_snapshot(view);
    if (status == MDB_PANIC && uv_mutex_trylock(&state->writing) == 0) {
        int mended = mend(state, err);
        uv_mutex_unlock(&state->writing);
        if (mended != 0)
            return mended;
        status = try_snapshot(view);
    }
    return status == 0 ? 0 : refuse(state, status, "reading", err);
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
    return status == 0 ? 0 : refuse(state, status, "copying", err);
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

static int apply_ops(struct state *state, MDB_txn *txn, const struct state_commit *commit)
{
    int status = 0;
    for (size_t i = 0; i < commit->count && status == 0; i++)
        status = apply_op(state, txn, commit, &commit->ops[i]);
    if (status == 0 && FAILPOINT_FAILS("commit.write"))
        status = EIO;
    if (status != 0) {
        mdb_txn_abort(txn);
        return status;
    }
    uint64_t number = mdb_txn_id(txn);
    status = mdb_txn_commit(txn);
    if (status == 0)
        state->written = number;
    FAILPOINT("commit.written");
    return status;
}

static int begin_writing(struct state *state, MDB_txn **txn, struct error *err)
{
    int status = FAILPOINT_FAILS("commit.begin") ? EIO : begin(state, 0, txn);
    if (status == MDB_PANIC) {
        if (mend(state, err) != 0)
            return ERR_IO;
        status = begin(state, 0, txn);
    }
    return status == 0 ? 0 : refuse_write(state, status, err);
}

int state_apply(struct state *state, const struct state_commit *commit, struct error *err)
{
    MDB_txn *txn;
    uv_mutex_lock(&state->writing);
    int failed = begin_writing(state, &txn, err);
    if (!failed) {
        int status = apply_ops(state, txn, commit);
        failed = status == 0 ? 0 : refuse_write(state, status, err);
    }
    uv_mutex_unlock(&state->writing);
    return failed;
}
