#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORTION_BYTES (1 << 20)
#define TREE_DESCRIPTORS 16

static int fail(const char *path, struct error *err)
{
    return error_set(err, ERR_IO, "%s: %s", path, strerror(errno));
}

static ssize_t read_some(int fd, char *bytes, size_t room)
{
    ssize_t got;
    do
        got = read(fd, bytes, room);
    while (got < 0 && errno == EINTR);
    return got;
}

int file_write_all(int fd, const char *bytes, size_t left)
{
    while (left > 0) {
        ssize_t written = write(fd, bytes, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        bytes += written;
        left -= (size_t)written;
    }
    return 0;
}

static int create(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

/* Syncs and closes what was created; takes it away again if anything failed. */
static int finish(int fd, const char *path, int status, struct error *err)
{
    if (status == 0 && fsync(fd) != 0)
        status = fail(path, err);
    if (close(fd) != 0 && status == 0)
        status = fail(path, err);
    if (status != 0)
        unlink(path);
    return status;
}

/* -- by portions ------------------------------------------------------------------------------- */

/* Reads `from` to its end, and writes it to `to` unless that is -1. */
static int pump(int from, const char *from_path, int to, const char *to_path, struct file_sum *sum,
                file_moved_cb moved, void *arg, struct error *err)
{
    char *portion = mem_alloc(PORTION_BYTES);
    struct hash_stream *hash = hash_stream_new();
    int status = 0;
    ssize_t got = 0;
    *sum = (struct file_sum){0};
    while (status == 0 && (got = read_some(from, portion, PORTION_BYTES)) > 0) {
        hash_stream_add(hash, portion, (size_t)got);
        sum->bytes += (uint64_t)got;
        if (to >= 0 && file_write_all(to, portion, (size_t)got) != 0)
            status = fail(to_path, err);
        if (moved != NULL)
            moved((uint64_t)got, arg);
    }
    if (got < 0)
        status = fail(from_path, err);
    sum->hash = hash_stream_end(hash);
    free(portion);
    return status;
}

int file_sum(const char *path, struct file_sum *sum, file_moved_cb moved, void *arg,
             struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(path, err);
    int status = pump(fd, path, -1, NULL, sum, moved, arg, err);
    close(fd);
    return status;
}

int file_copy(const char *from, const char *to, struct file_sum *sum, file_moved_cb moved,
              void *arg, struct error *err)
{
    int source = open(from, O_RDONLY | O_CLOEXEC);
    if (source < 0)
        return fail(from, err);
    int target = create(to);
    int status = target >= 0 ? pump(source, from, target, to, sum, moved, arg, err) : fail(to, err);
    close(source);
    return target >= 0 ? finish(target, to, status, err) : status;
}

/* -- small ones -------------------------------------------------------------------------------- */

int file_write(const char *path, struct slice bytes, struct error *err)
{
    int fd = create(path);
    if (fd < 0)
        return fail(path, err);
    int status = file_write_all(fd, bytes.data, bytes.length) == 0 ? 0 : fail(path, err);
    return finish(fd, path, status, err);
}

int file_read(char **text, size_t *length, const char *path, size_t bytes_max, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(path, err);
    char *read = mem_alloc(bytes_max + 1);
    size_t had = 0;
    ssize_t got;
    while (had <= bytes_max && (got = read_some(fd, read + had, bytes_max + 1 - had)) > 0)
        had += (size_t)got;
    int status = 0;
    if (had > bytes_max)
        status = error_set(err, ERR_DATA, "%s: more than %zu bytes", path, bytes_max);
    else if (got < 0)
        status = fail(path, err);
    close(fd);
    if (status != 0) {
        free(read);
        return status;
    }
    *text = read;
    *length = had;
    return 0;
}

bool file_exists(const char *path)
{
    struct stat about;
    return lstat(path, &about) == 0;
}

/* -- directories ------------------------------------------------------------------------------- */

int file_sync_dir(const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = fd >= 0 && fsync(fd) == 0 ? 0 : fail(path, err);
    if (fd >= 0)
        close(fd);
    return status;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *at)
{
    (void)about;
    (void)kind;
    (void)at;
    return remove(path);
}

int file_remove_tree(const char *path, struct error *err)
{
    if (!file_exists(path))
        return 0;
    return nftw(path, remove_entry, TREE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS) == 0 ? 0
                                                                                 : fail(path, err);
}
