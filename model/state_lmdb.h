/* What the files of the state that know LMDB share: state.c opens, mends and writes, state_format.c
 * says what is in it, state_view.c reads. */
#ifndef FRESHET_MODEL_STATE_LMDB_H
#define FRESHET_MODEL_STATE_LMDB_H

#include "model/state_internal.h"

#include <lmdb.h>

struct state {
    uv_mutex_t writing; /* held by who writes a transaction */
    uv_mutex_t mutex;   /* guards the next two, and who begins a view from who replaces the first */
    MDB_env *env;       /* NULL: not yet, or not again (see `state_mend`) */
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

/* LMDB's `status` as an error that names the directory and the way out; returns ERR_IO. `what` was
 * being done: "reading". */
int state_refuse(const struct state *state, int status, const char *what, struct error *err);

/* LMDB's status; MDB_PANIC if the environment must be mended first. */
int state_begin(struct state *state, unsigned flags, MDB_txn **txn);

/* Opens the databases of an environment just opened. With the lock: makes what is missing, marks
 * what is new and upgrades an older format, all in one transaction. Without: an older one is
 * refused. */
int state_open_dbs(struct state *state, struct error *err);

/* After a failed write of the page that makes a transaction valid, LMDB refuses everything until it
 * is opened again, which this does; ERR_IO while a view is being read. That page may have got to
 * the disk all the same: then the commit that failed is there, and the next, which has all of it
 * once more, changes nothing in it. The caller holds `writing`. */
int state_mend(struct state *state, struct error *err);

#endif
