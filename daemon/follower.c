#include "daemon/follower.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mark { /* one file */
    uint64_t number, checksum;
};

struct followed_series {
    uint64_t key;
    struct mark last;    /* followed */
    struct mark refused; /* by the trainer's gate: not to be read again */
};

struct follower {
    uv_loop_t *loop;
    char *dir, *state_dir;
    struct history *history;
    struct swapper *swapper;
    struct followed_series series[ARMS_MAX]; /* [count] */
    size_t count;
    uv_timer_t timer;
    uv_work_t work;
    bool looking, swapping;
    struct error why; /* code 0: nothing is wrong */
    int64_t told_ms;

    /* the worker's: a copy of what it goes by, and what it found */
    struct followed_series at[ARMS_MAX];
    size_t at_count;
    bool found; /* something new, which lies in our directory now */
    size_t found_at;
    struct mark found_mark;
    struct error error;

    void (*freed)(void *arg);
    void *freed_arg;
};

const char *follower_why(const struct follower *follower)
{
    return follower->why.code != 0 ? follower->why.text : "";
}

static bool is_same(const struct mark *a, const struct mark *b)
{
    return a->number == b->number && a->checksum == b->checksum;
}

/* -- the note: what was followed last ---------------------------------------------------------- */

static void note_name(char name[32], uint64_t key)
{
    snprintf(name, 32, "followed:%016" PRIx64, key);
}

static struct mark read_note(const struct follower *follower, uint64_t key)
{
    char name[32], text[64];
    struct mark mark = {0};
    note_name(name, key);
    struct slice note = history_note(follower->history, name);
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(note));
    if (sscanf(text, "%" SCNu64 " %" SCNx64, &mark.number, &mark.checksum) != 2)
        mark = (struct mark){0};
    return mark;
}

static void write_note(struct follower *follower, uint64_t key, const struct mark *mark)
{
    char name[32], text[64];
    note_name(name, key);
    snprintf(text, sizeof text, "%" PRIu64 " %016" PRIx64, mark->number, mark->checksum);
    if (!history_set_note(follower->history, name, slice_of(text)))
        log_warn("train.follow: the state has no room for a note; a restart follows %" PRIu64
                 " again",
                 mark->number);
}

/* -- on the worker ----------------------------------------------------------------------------- */

/* Checked in full by reading it; what is written is the same file. */
static int take(struct follower *follower, const struct followed_series *series,
                const struct mark *mark, struct generation *generation)
{
    char path[PATH_MAX];
    generation_path(path, sizeof path, follower->state_dir, series->key, mark->number);
    if (generation_make_dir(follower->state_dir, series->key, &follower->error) != 0)
        return follower->error.code;
    return generation_write(generation, path, &follower->error);
}

/* One file of the trainer's. True if there is no need to look at an older one. */
static bool look_at_file(struct follower *follower, size_t at, uint64_t number)
{
    struct followed_series *series = &follower->at[at];
    char path[PATH_MAX];
    struct mark mark = {.number = number};
    struct generation *generation;
    generation_path(path, sizeof path, follower->dir, series->key, number);
    if (generation_checksum(path, &mark.checksum, &follower->error) != 0 ||
        is_same(&mark, &series->last))
        return true;
    if (is_same(&mark, &series->refused))
        return false;
    if (generation_read(&generation, path, &follower->error) != 0)
        return true;
    bool refused = generation->gate == GATE_REFUSED;
    if (refused)
        series->refused = mark;
    else if (take(follower, series, &mark, generation) == 0) {
        follower->found = true;
        follower->found_at = at;
        follower->found_mark = mark;
    }
    generation_free(generation);
    return !refused;
}

static void look_at_series(struct follower *follower, size_t at)
{
    uint64_t *numbers = NULL;
    size_t count = 0;
    struct error *err = &follower->error;
    if (generation_list(follower->dir, follower->at[at].key, &numbers, &count, err) == 0 &&
        count == 0)
        error_set(err, ERR_DOWN, "%s: no generations are there", follower->dir);
    while (count > 0 && !look_at_file(follower, at, numbers[count - 1]))
        count--;
    free(numbers);
}

static void look_on_worker(uv_work_t *work)
{
    struct follower *follower = work->data;
    follower->error = (struct error){0};
    follower->found = false;
    for (size_t i = 0; i < follower->at_count && !follower->found; i++)
        look_at_series(follower, i);
}

/* -- on the loop ------------------------------------------------------------------------------- */

static void free_now(struct follower *follower);

static void say(struct follower *follower, const struct error *err)
{
    follower->why = *err;
    if (err->code == 0)
        follower->told_ms = 0;
    else if (log_once_a_minute(&follower->told_ms))
        log_warn("train.follow: %s; the live generation stays", err->text);
}

static void swapped(const struct error *err, void *arg)
{
    struct follower *follower = arg;
    follower->swapping = false;
    if (follower->freed != NULL) {
        free_now(follower);
        return;
    }
    if (err != NULL) {
        say(follower, err);
        return;
    }
    const struct followed_series *found = &follower->at[follower->found_at];
    write_note(follower, found->key, &follower->found_mark);
    for (size_t i = 0; i < follower->count; i++)
        if (follower->series[i].key == found->key)
            follower->series[i].last = follower->found_mark;
}

static void keep_refused(struct follower *follower)
{
    for (size_t i = 0; i < follower->count && i < follower->at_count; i++)
        if (follower->series[i].key == follower->at[i].key)
            follower->series[i].refused = follower->at[i].refused;
}

static void looked(uv_work_t *work, int status)
{
    struct follower *follower = work->data;
    (void)status;
    follower->looking = false;
    if (follower->freed != NULL) {
        free_now(follower);
        return;
    }
    keep_refused(follower);
    say(follower, &follower->error);
    if (!follower->found)
        return;
    follower->swapping = true;
    swapper_force(follower->swapper, follower->at[follower->found_at].key,
                  follower->found_mark.number, swapped, follower);
}

static void look(uv_timer_t *timer)
{
    struct follower *follower = timer->data;
    if (follower->looking || follower->swapping || swapper_busy(follower->swapper))
        return;
    follower->looking = true;
    memcpy(follower->at, follower->series, sizeof follower->at);
    follower->at_count = follower->count;
    follower->work.data = follower;
    uv_queue_work(follower->loop, &follower->work, look_on_worker, looked);
}

void follower_set_series(struct follower *follower, const uint64_t *keys, size_t count)
{
    follower->count = count;
    for (size_t i = 0; i < count; i++)
        follower->series[i] =
            (struct followed_series){.key = keys[i], .last = read_note(follower, keys[i])};
}

/* -- life -------------------------------------------------------------------------------------- */

struct follower *follower_new(uv_loop_t *loop, const char *dir, const char *state_dir,
                              struct history *history, struct swapper *swapper)
{
    struct follower *follower = mem_zalloc(sizeof *follower);
    *follower = (struct follower){.loop = loop,
                                  .dir = mem_strdup(dir),
                                  .state_dir = mem_strdup(state_dir),
                                  .history = history,
                                  .swapper = swapper};
    uv_timer_init(loop, &follower->timer);
    follower->timer.data = follower;
    uv_timer_start(&follower->timer, look, 0, FOLLOWER_LOOK_MS);
    return follower;
}

static void timer_closed(uv_handle_t *handle)
{
    struct follower *follower = handle->data;
    void (*freed)(void *arg) = follower->freed;
    void *arg = follower->freed_arg;
    free(follower->dir);
    free(follower->state_dir);
    free(follower);
    freed(arg);
}

static void free_now(struct follower *follower)
{
    uv_close((uv_handle_t *)&follower->timer, timer_closed);
}

void follower_free(struct follower *follower, void (*freed)(void *arg), void *arg)
{
    follower->freed = freed;
    follower->freed_arg = arg;
    uv_timer_stop(&follower->timer);
    if (!follower->looking && !follower->swapping) /* else who is under way comes back to us */
        free_now(follower);
}
