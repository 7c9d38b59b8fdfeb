/* Out of a backup: checked, or checked and copied. */
#include "base/mem.h"
#include "model/backup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct moving {
    const char *stage;
    uint64_t bytes, of;
    backup_progress_cb progress;
    void *arg;
};

static void moved(uint64_t bytes, void *arg)
{
    struct moving *moving = arg;
    moving->bytes += bytes;
    if (moving->progress != NULL)
        moving->progress(moving->stage, moving->bytes, moving->of, moving->arg);
}

/* The directories on the way to a file of the backup. */
static int make_dirs(const char *root, const char *name, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return error_set(err, ERR_IO, "%s: %s", path, strerror(errno));
        *slash = '/';
    }
    return 0;
}

static int sync_dir_of(const char *root, const char *name, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", root, name);
    *strrchr(path, '/') = '\0';
    return file_sync_dir(path, err);
}

static int check_sum(const char *path, const struct file_sum *sum, const struct file_sum *want,
                     struct error *err)
{
    if (sum->bytes == want->bytes && sum->hash == want->hash)
        return 0;
    if (sum->bytes != want->bytes)
        return error_set(err, ERR_DATA,
                         "%s is damaged: it has %llu bytes, and %llu in the manifest: use another "
                         "backup",
                         path, (unsigned long long)sum->bytes, (unsigned long long)want->bytes);
    return error_set(err, ERR_DATA,
                     "%s is damaged: its checksum is not the manifest's: use another backup", path);
}

static int pass_file(const struct backup_file *file, const char *dir, const char *aside,
                     struct moving *moving, struct error *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct file_sum sum;
    snprintf(from, sizeof from, "%s/%s", dir, file->name);
    int status;
    if (aside == NULL) {
        status = file_sum(from, &sum, moved, moving, err);
    } else {
        snprintf(to, sizeof to, "%s/%s", aside, file->name);
        status = make_dirs(aside, file->name, err);
        if (status == 0)
            status = file_copy(from, to, &sum, moved, moving, err);
        if (status == 0)
            status = sync_dir_of(aside, file->name, err);
    }
    return status == 0 ? check_sum(from, &sum, &file->sum, err) : status;
}

int backup_copy(const struct backup *backup, const char *dir, const char *aside,
                backup_progress_cb progress, void *arg, struct error *err)
{
    struct moving moving = {aside != NULL ? "copying" : "checking", 0, backup_bytes(backup),
                            progress, arg};
    int status = aside != NULL ? make_dirs(aside, "generations/", err) : 0;
    for (size_t i = 0; i < backup->file_count && status == 0; i++)
        status = pass_file(&backup->files[i], dir, aside, &moving, err);
    return status;
}

int backup_check(const struct backup *backup, const char *dir, backup_progress_cb progress,
                 void *arg, struct error *err)
{
    return backup_copy(backup, dir, NULL, progress, arg, err);
}
