#include "model/place.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/state_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASIDE "aside"
#define INCOMING "incoming"

struct place {
    char *dir, *aside;
    int lock_fd;
};

static char *path_in(const char *dir, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return mem_strdup(path);
}

static int move(const char *from, const char *to, struct error *err)
{
    if (rename(from, to) == 0)
        return 0;
    return error_set(err, ERR_IO, "%s cannot become %s: %s", from, to, strerror(errno));
}

/* -- completing -------------------------------------------------------------------------------- */

/* Moves incoming's `name` if it is (still) there; `before` takes away what it replaces. */
static int move_in(const char *dir, const char *incoming, const char *name,
                   int (*before)(const char *path, struct error *err), struct error *err)
{
    char *from = path_in(incoming, name), *to = path_in(dir, name);
    int status = 0;
    if (file_exists(from)) {
        status = before(to, err);
        if (status == 0)
            status = move(from, to, err);
    }
    free(from);
    free(to);
    return status;
}

/* LMDB's table of readers belongs to the old file: who has it open keeps both, who comes next finds
 * none and makes one. */
static int drop_readers(const char *data_path, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s/lock.mdb", (int)(strrchr(data_path, '/') - data_path),
             data_path);
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    return error_set(err, ERR_IO, "%s: %s", path, strerror(errno));
}

/* In this order: generations are of no use without the state that names them, and the state's file
 * goes last. Each step may have been done before. */
static int complete(const char *dir, const char *incoming, struct error *err)
{
    int status = move_in(dir, incoming, "generations", file_remove_tree, err);
    if (status == 0)
        status = move_in(dir, incoming, "data.mdb", drop_readers, err);
    if (status == 0)
        status = file_sync_dir(dir, err);
    return status == 0 ? file_remove_tree(incoming, err) : status;
}

int place_complete(const char *dir, struct error *err)
{
    char *incoming = path_in(dir, INCOMING);
    int status = file_exists(incoming) ? complete(dir, incoming, err) : 0;
    free(incoming);
    if (status != 0)
        error_wrap(err, "%s waits for another state to be moved in", dir);
    return status;
}

/* -- making one -------------------------------------------------------------------------------- */

int place_begin(struct place **begun, const char *dir, struct error *err)
{
    int lock_fd = state_lock(dir, err);
    if (lock_fd < 0)
        return lock_fd;
    struct place *place = mem_zalloc(sizeof *place);
    *place =
        (struct place){.dir = mem_strdup(dir), .aside = path_in(dir, ASIDE), .lock_fd = lock_fd};
    int status = place_complete(dir, err);
    if (status == 0)
        status = file_remove_tree(place->aside, err);
    if (status == 0 && mkdir(place->aside, 0700) != 0)
        status = error_set(err, ERR_IO, "%s: %s", place->aside, strerror(errno));
    if (status != 0) {
        place_end(place);
        return status;
    }
    *begun = place;
    return 0;
}

const char *place_aside(const struct place *place)
{
    return place->aside;
}

/* Files made aside are synced by who makes them; here it is the entries. */
static int sync_entries(const struct place *place, struct error *err)
{
    char *generations = path_in(place->aside, "generations");
    int status = file_exists(generations) ? file_sync_dir(generations, err) : 0;
    free(generations);
    return status == 0 ? file_sync_dir(place->aside, err) : status;
}

int place_finish(struct place *place, struct error *err)
{
    char *incoming = path_in(place->dir, INCOMING);
    int status = sync_entries(place, err);
    if (status == 0)
        status = move(place->aside, incoming, err);
    free(incoming);
    if (status != 0)
        return status;
    status = file_sync_dir(place->dir, err);
    return status == 0 ? place_complete(place->dir, err) : status;
}

void place_end(struct place *place)
{
    struct error ignored;
    if (place == NULL)
        return;
    file_remove_tree(place->aside, &ignored);
    close(place->lock_fd);
    free(place->dir);
    free(place->aside);
    free(place);
}
