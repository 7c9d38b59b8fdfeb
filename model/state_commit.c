#include "base/mem.h"
#include "model/state_internal.h"

#include <assert.h>
#include <stdlib.h>

#define SPARE_MAX (32 << 20) /* bytes that wait for the next commit */

/* -- gathering --------------------------------------------------------------------------------- */

struct state_commit *state_commit_new(struct state *state)
{
    struct state_writer *writer = state_writer_of(state);
    struct state_commit *commit = writer != NULL ? writer->spare : NULL;
    if (commit != NULL)
        writer->spare = NULL;
    else
        commit = mem_zalloc(sizeof *commit);
    commit->state = state;
    return commit;
}

/* Much the same is gathered each time, and memory that comes from the system each time costs more
 * than writing to it. */
static void recycle(struct state_writer *writer, struct state_commit *done)
{
    size_t bytes = done->bytes.capacity + done->capacity * sizeof *done->ops;
    if (writer->spare != NULL || bytes > SPARE_MAX) { /* after a burst, say */
        state_commit_drop(done);
        return;
    }
    struct buffer memory = done->bytes;
    buffer_clear(&memory);
    *done = (struct state_commit){.ops = done->ops, .capacity = done->capacity, .bytes = memory};
    writer->spare = done;
}

void state_commit_drop(struct state_commit *commit)
{
    buffer_deinit(&commit->bytes);
    free(commit->ops);
    free(commit);
}

static struct state_op *add_op(struct state_commit *commit, enum state_db db, enum op_kind kind,
                               struct slice key)
{
    assert(key.length > 0 && key.length <= STATE_KEY_MAX);
    if (commit->count == commit->capacity) {
        commit->capacity = commit->capacity ? commit->capacity * 2 : 64;
        commit->ops = mem_array(commit->ops, commit->capacity, sizeof *commit->ops);
    }
    struct state_op *op = &commit->ops[commit->count++];
    *op = (struct state_op){
        .db = db, .kind = kind, .key_length = key.length, .key_at = commit->bytes.length};
    buffer_add(&commit->bytes, key.data, key.length);
    return op;
}

void state_commit_put(struct state_commit *commit, enum state_db db, struct slice key,
                      struct slice value)
{
    struct state_op *op = add_op(commit, db, OP_PUT, key);
    op->value_at = commit->bytes.length;
    op->value_length = value.length;
    buffer_add(&commit->bytes, value.data, value.length);
}

void state_commit_put_lent(struct state_commit *commit, enum state_db db, struct slice key,
                           struct slice value)
{
    struct state_op *op = add_op(commit, db, OP_PUT_LENT, key);
    op->lent = value.data;
    op->value_length = value.length;
}

void state_commit_delete(struct state_commit *commit, enum state_db db, struct slice key)
{
    add_op(commit, db, OP_DELETE, key);
}

/* -- the writer thread ------------------------------------------------------------------------- */

static struct state_commit *wait_for_commit(struct state_writer *writer)
{
    uv_mutex_lock(&writer->mutex);
    while (writer->handed == NULL && !writer->stopping)
        uv_cond_wait(&writer->wake, &writer->mutex);
    struct state_commit *commit = writer->handed; /* one handed before the stop is still written */
    writer->handed = NULL;
    uv_mutex_unlock(&writer->mutex);
    return commit;
}

static void run_writer(void *arg)
{
    struct state_writer *writer = arg;
    struct state_commit *commit;
    while ((commit = wait_for_commit(writer)) != NULL) {
        commit->status = state_apply(commit->state, commit, &commit->err);
        uv_mutex_lock(&writer->mutex);
        writer->finished = commit;
        uv_mutex_unlock(&writer->mutex);
        uv_async_send(&writer->reported);
    }
}

static void report(struct state_writer *writer)
{
    uv_mutex_lock(&writer->mutex);
    struct state_commit *commit = writer->finished;
    writer->finished = NULL;
    uv_mutex_unlock(&writer->mutex);
    if (commit == NULL)
        return; /* libuv may wake us more than once */
    writer->running = false;
    uv_unref((uv_handle_t *)&writer->reported);
    commit->done(commit->status == 0 ? NULL : &commit->err, commit->arg);
    recycle(writer, commit);
}

static void on_reported(uv_async_t *async)
{
    report(async->data);
}

static void on_closed(uv_handle_t *handle)
{
    struct state_writer *writer = handle->data;
    report(writer);
    if (writer->spare != NULL)
        state_commit_drop(writer->spare);
    uv_mutex_destroy(&writer->mutex);
    uv_cond_destroy(&writer->wake);
    free(writer);
}

int state_writer_start(struct state_writer **started, uv_loop_t *loop, struct error *err)
{
    struct state_writer *writer = mem_zalloc(sizeof *writer);
    int status = uv_async_init(loop, &writer->reported, on_reported);
    if (status != 0) {
        free(writer);
        return error_set(err, ERR_DOWN, "the state's writer cannot start: %s", uv_strerror(status));
    }
    writer->reported.data = writer;
    uv_unref((uv_handle_t *)&writer->reported); /* only a commit under way keeps the loop going */
    uv_mutex_init(&writer->mutex);
    uv_cond_init(&writer->wake);
    status = uv_thread_create(&writer->thread, run_writer, writer);
    if (status != 0) {
        uv_close((uv_handle_t *)&writer->reported, on_closed);
        return error_set(err, ERR_DOWN, "the state's writer cannot start: %s", uv_strerror(status));
    }
    *started = writer;
    return 0;
}

void state_writer_stop(struct state_writer *writer)
{
    if (writer == NULL)
        return;
    uv_mutex_lock(&writer->mutex);
    writer->stopping = true;
    uv_cond_signal(&writer->wake);
    uv_mutex_unlock(&writer->mutex);
    uv_thread_join(&writer->thread);
    uv_close((uv_handle_t *)&writer->reported, on_closed);
}

/* -- committing -------------------------------------------------------------------------------- */

void state_commit_start(struct state_commit *commit, state_commit_cb done, void *arg)
{
    struct state_writer *writer = state_writer_of(commit->state);
    assert(writer != NULL && !writer->running);
    commit->done = done;
    commit->arg = arg;
    writer->running = true;
    uv_ref((uv_handle_t *)&writer->reported);
    uv_mutex_lock(&writer->mutex);
    writer->handed = commit;
    uv_cond_signal(&writer->wake);
    uv_mutex_unlock(&writer->mutex);
}

bool state_commit_running(const struct state *state)
{
    const struct state_writer *writer = state_writer_of(state);
    return writer != NULL && writer->running;
}

int state_commit_now(struct state_commit *commit, struct error *err)
{
    assert(!state_commit_running(commit->state));
    int status = state_apply(commit->state, commit, err);
    state_commit_drop(commit);
    return status;
}
