#include "model/state_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse_locked(int fd, const char *dir, struct error *err)
{
    char text[32] = "";
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    long process = length > 0 ? strtol(text, NULL, 10) : 0;
    close(fd);
    if (process <= 0)
        return error_set(err, ERR_SETTINGS, "the state in %s is in use by another process", dir);
    return error_set(err, ERR_SETTINGS, "the state in %s is in use by process %ld", dir, process);
}

/* The number is for people alone: the flock is what counts, and it ends with the process. */
static void write_process(int fd)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length)
        return;
}

int state_lock(const char *dir, struct error *err)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return error_set(err, ERR_SETTINGS, "state.dir %s cannot be made: %s", dir,
                         strerror(errno));
    char path[4096];
    if (snprintf(path, sizeof path, "%s/lock", dir) >= (int)sizeof path)
        return error_set(err, ERR_SETTINGS, "state.dir is too long a path");
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(err, ERR_SETTINGS, "%s cannot be opened: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        write_process(fd);
        return fd;
    }
    if (errno == EWOULDBLOCK)
        return refuse_locked(fd, dir, err);
    error_set(err, ERR_IO, "%s cannot be locked: %s", path, strerror(errno));
    close(fd);
    return ERR_IO;
}
