/* What the files of the state share. Those that include state_lmdb.h know LMDB: to the others a
 * transaction is state_apply. */
#ifndef FRESHET_MODEL_STATE_INTERNAL_H
#define FRESHET_MODEL_STATE_INTERNAL_H

#include "base/buffer.h"
#include "model/state.h"

enum op_kind { OP_PUT, OP_PUT_LENT, OP_DELETE };

struct state_op {
    enum state_db db;
    enum op_kind kind;
    uint32_t key_length, value_length;
    size_t key_at, value_at; /* in the commit's bytes; value_at of OP_PUT only */
    const char *lent;        /* the value of OP_PUT_LENT */
};

struct state_commit {
    struct state *state;
    struct state_op *ops; /* [count] */
    size_t count, capacity;
    struct buffer bytes; /* keys, and values that were copied */
    state_commit_cb done;
    void *arg;
    int status; /* written by the writer thread before it reports */
    struct error err;
};

/* The writer thread and its way back to the loop. Outlives the state by one turn of the loop, as
 * libuv needs it to. */
struct state_writer {
    uv_async_t reported;
    uv_thread_t thread;
    uv_mutex_t mutex; /* guards the next four */
    uv_cond_t wake;
    struct state_commit *handed, *finished;
    bool stopping;
    bool running;               /* loop thread, as the next: from start to just before `done` */
    struct state_commit *spare; /* NULL, or one that is done: its memory is the next one's */
};

int state_writer_start(struct state_writer **writer, uv_loop_t *loop, struct error *err);
void state_writer_stop(struct state_writer *writer); /* NULL is allowed */
struct state_writer *state_writer_of(const struct state *state);

/* All of the commit in one durable transaction, or an error and nothing. */
int state_apply(struct state *state, const struct state_commit *commit, struct error *err);

/* Makes the directory if it is missing and takes its lock: a descriptor, or a negative code. */
int state_lock(const char *dir, struct error *err);

#endif
