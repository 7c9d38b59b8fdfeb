/* Files as a whole: summed, copied, made durable, removed.
 *
 * What is written is on the disk (fsync) when the call returns; its entry in the directory is after
 * file_sync_dir. Errors name the path and are ERR_IO. Blocking, any thread; not for the loop. */
#ifndef FRESHET_BASE_FILE_H
#define FRESHET_BASE_FILE_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct file_sum {
    uint64_t bytes;
    uint64_t hash; /* hash_stable of all of them */
};

/* How many bytes went by since the last call: for a progress bar. May be NULL. */
typedef void (*file_moved_cb)(uint64_t bytes, void *arg);

int file_sum(const char *path, struct file_sum *sum, file_moved_cb moved, void *arg,
             struct error *err);

/* `to` must not be there yet; mode 0600. The sum is of what was read. */
int file_copy(const char *from, const char *to, struct file_sum *sum, file_moved_cb moved,
              void *arg, struct error *err);

/* A new file of these bytes; mode 0600. */
int file_write(const char *path, struct slice bytes, struct error *err);

/* For who has one open: 0, or -1 and errno. */
int file_write_all(int fd, const char *bytes, size_t count);

/* All of it, for small files: the caller frees; ERR_DATA if it has more than `bytes_max`. */
int file_read(char **text, size_t *length, const char *path, size_t bytes_max, struct error *err);

bool file_exists(const char *path); /* of any kind */

/* The entries of a directory are on the disk. */
int file_sync_dir(const char *path, struct error *err);

/* With all that is in it; nothing there is no error. Follows no links. */
int file_remove_tree(const char *path, struct error *err);

#endif
