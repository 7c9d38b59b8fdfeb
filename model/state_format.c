/* What is in the environment: its databases, the mark of its format, and the way from an older one
 * (state.h says what each format has). */
#include "model/state_lmdb.h"

#include <string.h>

#define BYTE_ORDER_MARK 0x01020304u

static const char *const db_names[STATE_DB_COUNT] = {"meta",   "types",      "items", "catalog",
                                                     "users",  "sums",       "pairs", "journal",
                                                     "trials", "partitions", "dead"};

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
    return status == 0 ? 0 : state_refuse(state, status, "upgrading", err);
}

/* Format 2 counted no trials; its records of users and partitions are converted as they are read.
 */
static int begin_trials(struct state *state, MDB_txn *txn, struct error *err)
{
    int status = mdb_drop(txn, state->dbs[STATE_TRIALS], 0);
    return status == 0 ? 0 : state_refuse(state, status, "upgrading", err);
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
    return status == 0 ? 0 : state_refuse(state, status, "upgrading", err);
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

static int open_db(struct state *state, MDB_txn *txn, enum state_db db, struct error *err)
{
    unsigned flags = state->lock_fd >= 0 ? MDB_CREATE : 0;
    int status = mdb_dbi_open(txn, db_names[db], flags, &state->dbs[db]);
    if (status == MDB_NOTFOUND)
        return error_set(err, ERR_SETTINGS, "there is no state in %s yet", state->dir);
    return status == 0 ? 0 : state_refuse(state, status, "opening", err);
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
    return status == 0 ? 0 : state_refuse(state, status, "marking", err);
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

int state_open_dbs(struct state *state, struct error *err)
{
    bool writing = state->lock_fd >= 0;
    MDB_txn *txn;
    int status = state_begin(state, writing ? 0 : MDB_RDONLY, &txn);
    if (status != 0)
        return state_refuse(state, status, "opening", err);
    status = prepare(state, txn, writing, err);
    if (status != 0) {
        mdb_txn_abort(txn);
        return status;
    }
    status = mdb_txn_commit(txn);
    return status == 0 ? 0 : state_refuse(state, status, "opening", err);
}
