/* The environment: opening it, mending it after a failed write, and writing a commit. */
#include "base/failpoint.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/place.h"
#include "model/state_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define READERS_BYTES 8192 /* of LMDB's lock file */

struct state_writer *state_writer_of(const struct state *state)
{
    return state->writer;
}

int state_refuse(const struct state *state, int status, const char *what, struct error *err)
{
    if (status == MDB_MAP_FULL)
        return error_set(err, ERR_IO,
                         "the state in %s is full at state.map = %lld: raise it and restart",
                         state->dir, (long long)state->map_bytes);
    if (status == MDB_INVALID || status == MDB_CORRUPTED)
        return error_set(err, ERR_IO,
                         "the state in %s is damaged (%s): restore a backup (`freshet restore`), "
                         "or begin anew with `freshet reset`",
                         state->dir, mdb_strerror(status));
    return error_set(err, ERR_IO, "the state in %s: %s: %s", state->dir, what,
                     mdb_strerror(status));
}

int state_begin(struct state *state, unsigned flags, MDB_txn **txn)
{
    if (state->env == NULL)
        return MDB_PANIC;
    int status = mdb_txn_begin(state->env, NULL, flags, txn);
    if (status != MDB_MAP_RESIZED)
        return status;
    mdb_env_set_mapsize(state->env, 0); /* the writer has a larger map now: take its size */
    return mdb_txn_begin(state->env, NULL, flags, txn);
}

/* -- opening ----------------------------------------------------------------------------------- */

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
    return status == 0 ? 0 : state_refuse(state, status, "opening", err);
}

static void close_env(struct state *state)
{
    if (state->env != NULL)
        mdb_env_close(state->env);
    state->env = NULL;
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
        status = state_open_dbs(state, err);
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
    return state_open_dbs(state, err);
}

int state_mend(struct state *state, struct error *err)
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
        status = state_open_dbs(state, err);
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

/* -- writing ----------------------------------------------------------------------------------- */

/* LMDB says of a write that was cut short, as by a full disk, that input or output failed: so how
 * much room there is is always said, too. */
static int refuse_write(const struct state *state, int status, struct error *err)
{
    struct statvfs disk;
    state_refuse(state, status, "writing", err);
    if (err != NULL && status != MDB_MAP_FULL && statvfs(state->dir, &disk) == 0) {
        size_t length = strlen(err->text);
        uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
        snprintf(err->text + length, sizeof err->text - length, " (%.1f MiB are free there)",
                 (double)free_bytes / (1 << 20));
    }
    return ERR_IO;
}

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
    int status = FAILPOINT_FAILS("commit.begin") ? EIO : state_begin(state, 0, txn);
    if (status == MDB_PANIC) {
        if (state_mend(state, err) != 0)
            return ERR_IO;
        status = state_begin(state, 0, txn);
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
