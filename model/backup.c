/* A backup in the making. */
#include "model/backup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/generation.h"
#include "model/history_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_NS 100000000 /* between two looks at how far the copy is */

struct making {
    struct backup *backup;
    const struct backup_settings *settings;
    char partial[PATH_MAX]; /* where it is made */
    backup_progress_cb progress;
    void *arg;
};

/* -- the state --------------------------------------------------------------------------------- */

struct copying { /* by a thread, so that somebody can look how far it is */
    struct state *state;
    int fd, status;
    struct error err;
    uv_mutex_t mutex;
    uv_cond_t ended;
    bool done;
};

static void copy_on_thread(void *arg)
{
    struct copying *copying = arg;
    copying->status = state_copy(copying->state, copying->fd, &copying->err);
    uv_mutex_lock(&copying->mutex);
    copying->done = true;
    uv_cond_signal(&copying->ended);
    uv_mutex_unlock(&copying->mutex);
}

static void tell_size(const struct making *making, const struct copying *copying, uint64_t of)
{
    struct stat about;
    if (making->progress == NULL || fstat(copying->fd, &about) != 0)
        return;
    uint64_t bytes = (uint64_t)about.st_size;
    making->progress("copying the state", bytes < of ? bytes : of, of, making->arg);
}

static void watch_copy(const struct making *making, struct copying *copying)
{
    uint64_t of = state_bytes(copying->state);
    uv_mutex_lock(&copying->mutex);
    while (!copying->done) {
        uv_cond_timedwait(&copying->ended, &copying->mutex, LOOK_NS);
        tell_size(making, copying, of);
    }
    uv_mutex_unlock(&copying->mutex);
}

static int run_copy(const struct making *making, struct copying *copying, struct error *err)
{
    uv_thread_t thread;
    uv_mutex_init(&copying->mutex);
    uv_cond_init(&copying->ended);
    if (uv_thread_create(&thread, copy_on_thread, copying) == 0) {
        watch_copy(making, copying);
        uv_thread_join(&thread);
    } else {
        copy_on_thread(copying);
    }
    uv_cond_destroy(&copying->ended);
    uv_mutex_destroy(&copying->mutex);
    if (copying->status == 0 && fsync(copying->fd) != 0)
        return error_set(err, ERR_IO, "%s/data.mdb: %s", making->partial, strerror(errno));
    return copying->status == 0 ? 0 : error_set(err, copying->status, "%s", copying->err.text);
}

static int copy_state(const struct making *making, struct error *err)
{
    char path[PATH_MAX + 16];
    struct copying copying = {0};
    int status = state_open_reader(&copying.state, &making->settings->state, err);
    if (status != 0)
        return status;
    snprintf(path, sizeof path, "%s/data.mdb", making->partial);
    copying.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (copying.fd < 0) {
        status = error_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    } else {
        status = run_copy(making, &copying, err);
        close(copying.fd);
    }
    state_close(copying.state);
    return status;
}

/* -- what is in the copy ----------------------------------------------------------------------- */

static int visit_partition(struct slice key, struct slice value, void *arg)
{
    struct backup *backup = arg;
    struct state_key parts;
    struct partition_record record;
    if (!state_key_parse(key, &parts) || !partition_record_parse(&record, value))
        return ERR_DATA;
    size_t count = backup->offset_count + 1;
    backup->offsets = mem_array(backup->offsets, count, sizeof *backup->offsets);
    backup->offsets[backup->offset_count++] = (struct backup_offset){
        mem_strndup(parts.topic.data, parts.topic.length), parts.partition, record.next_offset};
    return 0;
}

static int read_view(struct backup *backup, struct state_view *view, struct error *err)
{
    struct state_meta meta = {0};
    int status = load_meta(view, &meta, err);
    if (status != 0)
        return status;
    backup->state_format = STATE_FORMAT; /* the only one that opens */
    backup->cluster_id = mem_strdup(meta.cluster_id);
    backup->partition_count = meta.partition_count;
    backup->epoch = meta.epoch;
    backup->live_count = meta.series_count;
    memcpy(backup->live, meta.series, sizeof backup->live);
    status = state_view_scan(view, STATE_PARTITIONS, SLICE(""), visit_partition, backup, err);
    return status == ERR_DATA
               ? error_set(err, ERR_DATA, "the state's table of partitions is damaged")
               : status;
}

/* What the manifest says is read from the copy, which no daemon changes. */
static int read_copy(const struct making *making, struct error *err)
{
    char lock[PATH_MAX + 16];
    struct state_settings settings = making->settings->state;
    struct state *state;
    struct state_view *view;
    settings.dir = making->partial;
    int status = state_open_reader(&state, &settings, err);
    if (status != 0)
        return status;
    status = state_view_open(&view, state, err);
    if (status == 0) {
        status = read_view(making->backup, view, err);
        state_view_close(view);
    }
    state_close(state);
    snprintf(lock, sizeof lock, "%s/lock.mdb", making->partial);
    unlink(lock);
    return status;
}

/* -- files ------------------------------------------------------------------------------------- */

static struct backup_file *add_file(struct backup *backup, const char *name)
{
    size_t count = backup->file_count + 1;
    backup->files = mem_array(backup->files, count, sizeof *backup->files);
    backup->files[backup->file_count] = (struct backup_file){.name = mem_strdup(name)};
    return &backup->files[backup->file_count++];
}

static int sum_state(const struct making *making, struct error *err)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/data.mdb", making->partial);
    return file_sum(path, &add_file(making->backup, "data.mdb")->sum, NULL, NULL, err);
}

/* It is checked where it lies: a copy of what is damaged would pass as whole by its checksum. */
static int check_generation(struct backup *backup, const char *path, bool is_live, bool *whole,
                            struct error *err)
{
    struct generation *generation;
    int status = generation_read(&generation, path, err);
    *whole = status == 0;
    if (status == 0)
        generation_free(generation);
    if (status != ERR_DATA)
        return status;
    if (is_live)
        return error_wrap(err, "the live generation (another becomes live by `freshet train` or "
                               "`freshet rollback`: then back up again)");
    backup->left_out =
        mem_array(backup->left_out, backup->left_out_count + 1, sizeof *backup->left_out);
    backup->left_out[backup->left_out_count++] = mem_strdup(err->text);
    *err = (struct error){0};
    return 0;
}

static int copy_generation(const struct making *making, const struct state_series *series,
                           uint64_t number, struct error *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    bool whole;
    generation_path(from, sizeof from, making->settings->state.dir, series->key, number);
    generation_path(to, sizeof to, making->partial, series->key, number);
    bool is_live = number == series->generation;
    int status = check_generation(making->backup, from, is_live, &whole, err);
    if (status != 0 || !whole)
        return status;
    struct backup_file *file = add_file(making->backup, to + strlen(making->partial) + 1);
    return file_copy(from, to, &file->sum, NULL, NULL, err);
}

/* The live one was there when the state was copied; trainings since may have let it go. */
static int check_live(const struct state_series *series, bool has_live, struct error *err)
{
    if (has_live || series->generation == 0)
        return 0;
    return error_set(
        err, ERR_DOWN,
        "generation %llu, live in the copy, left state.dir while that was made, or was "
        "not there: try again",
        (unsigned long long)series->generation);
}

static int copy_series(const struct making *making, const struct state_series *series,
                       struct error *err)
{
    char dir[PATH_MAX];
    uint64_t *numbers;
    size_t count;
    bool has_live = false;
    int status = generation_list(making->settings->state.dir, series->key, &numbers, &count, err);
    if (status != 0)
        return status;
    status = generation_make_dir(making->partial, series->key, err);
    for (size_t i = 0; i < count && status == 0; i++) {
        status = copy_generation(making, series, numbers[i], err);
        has_live |= numbers[i] == series->generation;
    }
    free(numbers);
    generation_dir(dir, sizeof dir, making->partial, series->key);
    if (status == 0)
        status = file_sync_dir(dir, err);
    return status == 0 ? check_live(series, has_live, err) : status;
}

static int copy_generations(const struct making *making, struct error *err)
{
    int status = 0;
    for (uint32_t i = 0; i < making->backup->live_count && status == 0; i++)
        status = copy_series(making, &making->backup->live[i], err);
    return status;
}

/* -- all --------------------------------------------------------------------------------------- */

static int begin(struct making *making, const char *dir, struct error *err)
{
    if (file_exists(dir))
        return error_set(err, ERR_SETTINGS, "%s is there already: a backup needs a new directory",
                         dir);
    if (snprintf(making->partial, sizeof making->partial, "%s.partial", dir) >=
        (int)sizeof making->partial - 64)
        return error_set(err, ERR_SETTINGS, "the backup's directory is too long a path");
    if (mkdir(making->partial, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return error_set(err, ERR_IO, "%s: %s", making->partial, strerror(errno));
    return error_set(err, ERR_SETTINGS,
                     "%s is there: another backup is being made, or one was interrupted; then "
                     "remove it",
                     making->partial);
}

static int fill(struct making *making, struct error *err)
{
    int status = copy_state(making, err);
    if (status == 0)
        status = read_copy(making, err);
    if (status == 0)
        status = sum_state(making, err);
    if (status == 0)
        status = copy_generations(making, err);
    if (status == 0)
        status = backup_write_manifest(making->backup, making->partial, err);
    return status == 0 ? file_sync_dir(making->partial, err) : status;
}

static int sync_parent(const char *dir, struct error *err)
{
    char path[PATH_MAX];
    const char *end = dir + strlen(dir);
    while (end > dir + 1 && end[-1] == '/')
        end--;
    while (end > dir && end[-1] != '/')
        end--;
    snprintf(path, sizeof path, "%.*s", end > dir ? (int)(end - dir) : 1, end > dir ? dir : ".");
    return file_sync_dir(path, err);
}

static int put_in_place(const struct making *making, const char *dir, struct error *err)
{
    if (rename(making->partial, dir) != 0)
        return error_set(err, ERR_IO, "%s cannot become %s: %s", making->partial, dir,
                         strerror(errno));
    return sync_parent(dir, err);
}

int backup_write(struct backup **made, const struct backup_settings *settings, const char *dir,
                 backup_progress_cb progress, void *arg, struct error *err)
{
    struct making making = {.settings = settings, .progress = progress, .arg = arg};
    struct error ignored;
    int status = begin(&making, dir, err);
    if (status != 0)
        return status;
    making.backup = mem_zalloc(sizeof *making.backup);
    making.backup->made_ms = clock_wall_ms();
    making.backup->topic = mem_strndup(settings->topic.data, settings->topic.length);
    making.backup->items_topic =
        mem_strndup(settings->items_topic.data, settings->items_topic.length);
    status = fill(&making, err);
    if (status == 0)
        status = put_in_place(&making, dir, err);
    if (status == 0) {
        *made = making.backup;
        return 0;
    }
    file_remove_tree(making.partial, &ignored);
    backup_free(making.backup);
    return status;
}
