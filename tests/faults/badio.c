/* Each call below stands in front of the C library's own, and counts only calls of its rule. */
#include "tests/faults/badio.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_BYTES 4096

enum family {
    FAMILY_OPEN,     /* open, openat */
    FAMILY_WRITE,    /* write, pwrite, writev, pwritev */
    FAMILY_FSYNC,    /* fsync, fdatasync, msync */
    FAMILY_TRUNCATE, /* ftruncate, posix_fallocate */
    FAMILY_RENAME,
    FAMILY_MAP,    /* mmap of a file */
    FAMILY_MAKE,   /* mkdir */
    FAMILY_REMOVE, /* unlink */
    FAMILY_MEMORY, /* malloc, calloc, realloc */
    FAMILY_LARGE,  /* aligned_alloc */
    FAMILY_COUNT
};
static const char *const family_names[FAMILY_COUNT] = {
    "open", "write", "fsync", "truncate", "rename", "map", "make", "remove", "memory", "large"};

struct rule {
    char text[BADIO_RULE_BYTES]; /* as it was given */
    unsigned families;           /* bits */
    char dir[PATH_BYTES], match[256];
    int error;
    long nth;
    bool only, cut;
    long seen;
    int failures;
};

static struct rule rule;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *shared; /* FRESHET_BADIO's bytes, or NULL */

static bool skips_sync;

enum verdict { GOES, FAILS, CUT };

/* -- rules ------------------------------------------------------------------------------------- */

static unsigned read_families(const char *names, size_t length)
{
    unsigned families = 0;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        size_t name = strlen(family_names[family]);
        for (size_t at = 0; at + name <= length; at++)
            if (memcmp(names + at, family_names[family], name) == 0 &&
                (at == 0 || names[at - 1] == ',') &&
                (at + name == length || names[at + name] == ','))
                families |= 1u << family;
    }
    return families;
}

static bool word_is(const char *word, const char *key, const char **value)
{
    size_t length = strlen(key);
    *value = word + length + 1;
    return strncmp(word, key, length) == 0 && word[length] == '=';
}

static void read_word(const char *word, size_t length)
{
    const char *value;
    size_t rest;
    if (word_is(word, "calls", &value))
        rule.families = read_families(value, length - (size_t)(value - word));
    else if (word_is(word, "errno", &value))
        rule.error = atoi(value);
    else if (word_is(word, "nth", &value))
        rule.nth = atol(value);
    else if (word_is(word, "only", &value))
        rule.only = atoi(value) != 0;
    else if (word_is(word, "short", &value))
        rule.cut = atoi(value) != 0;
    else if (word_is(word, "dir", &value) && (rest = length - (size_t)(value - word)) < PATH_BYTES)
        memcpy(rule.dir, value, rest);
    else if (word_is(word, "match", &value) && (rest = length - (size_t)(value - word)) < 256)
        memcpy(rule.match, value, rest);
}

static void read_rule(const char *text)
{
    rule = (struct rule){.error = EIO, .nth = 1};
    memcpy(rule.text, text, strnlen(text, BADIO_RULE_BYTES - 1));
    for (const char *at = rule.text; *at != '\0';) {
        size_t length = strcspn(at, " \n");
        read_word(at, length);
        at += length;
        at += strspn(at, " \n");
    }
}

__attribute__((constructor)) static void find_shared(void)
{
    const char *path = getenv("FRESHET_BADIO");
    int fd = path != NULL ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = (void *)syscall(SYS_mmap, NULL, BADIO_RULE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    shared = at != MAP_FAILED ? at : NULL;
    close(fd);
}

void badio_rule(const char *text)
{
    pthread_mutex_lock(&mutex);
    read_rule(text);
    pthread_mutex_unlock(&mutex);
}

void badio_skip_sync(void)
{
    skips_sync = true;
}

int badio_failures(void)
{
    return rule.failures;
}

/* -- verdicts ---------------------------------------------------------------------------------- */

static bool is_about(const char *path)
{
    return strncmp(path, rule.dir, strlen(rule.dir)) == 0 && strstr(path, rule.match) != NULL;
}

static enum verdict count_call(enum family family, const char *path)
{
    if (shared != NULL && strncmp(shared, rule.text, BADIO_RULE_BYTES) != 0)
        read_rule(shared);
    if ((rule.families & 1u << family) == 0 || (path != NULL && !is_about(path)))
        return GOES;
    rule.seen++;
    if (rule.only ? rule.seen != rule.nth : rule.seen < rule.nth)
        return GOES;
    rule.failures++;
    return rule.cut && family == FAMILY_WRITE ? CUT : FAILS;
}

/* Sets errno if the call is to fail. */
static enum verdict judge(enum family family, const char *path)
{
    if (shared == NULL && rule.families == 0)
        return GOES;
    pthread_mutex_lock(&mutex);
    enum verdict verdict = count_call(family, path);
    int error = rule.error;
    pthread_mutex_unlock(&mutex);
    if (verdict == FAILS)
        errno = error;
    return verdict;
}

static enum verdict judge_fd(enum family family, int fd)
{
    char link[64], path[PATH_BYTES];
    int kept = errno;
    if (shared == NULL && rule.families == 0)
        return GOES;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    errno = kept;
    return judge(family, path);
}

/* A path below the working directory is judged as if it were absolute. */
static enum verdict judge_path(enum family family, const char *path)
{
    char full[2 * PATH_BYTES];
    if (path[0] == '/' || (shared == NULL && rule.families == 0))
        return judge(family, path);
    if (getcwd(full, PATH_BYTES) == NULL)
        return GOES;
    size_t length = strlen(full);
    snprintf(full + length, sizeof full - length, "/%s", path);
    return judge(family, full);
}

/* -- the calls --------------------------------------------------------------------------------- */

/* The next `name` in the order of libraries: the C library's, or a sanitizer's in front of it. */
#define NEXT(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    if (skips_sync)
        flags &= ~O_SYNC; /* O_DSYNC is part of it */
    return judge_path(FAMILY_OPEN, path) == GOES ? NEXT(open)(path, flags, mode) : -1;
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return judge_path(FAMILY_OPEN, path) == GOES ? NEXT(open64)(path, flags, mode) : -1;
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return judge_path(FAMILY_OPEN, path) == GOES ? NEXT(openat)(dir, path, flags, mode) : -1;
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    enum verdict verdict = judge_fd(FAMILY_WRITE, fd);
    return verdict == FAILS ? -1 : NEXT(write)(fd, bytes, verdict == CUT ? count / 2 : count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    enum verdict verdict = judge_fd(FAMILY_WRITE, fd);
    return verdict == FAILS ? -1 : NEXT(pwrite)(fd, bytes, verdict == CUT ? count / 2 : count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at)
{
    return pwrite(fd, bytes, count, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    enum verdict verdict = judge_fd(FAMILY_WRITE, fd);
    if (verdict == CUT)
        return NEXT(write)(fd, parts[0].iov_base, parts[0].iov_len / 2);
    return verdict == FAILS ? -1 : NEXT(writev)(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    enum verdict verdict = judge_fd(FAMILY_WRITE, fd);
    if (verdict == CUT)
        return NEXT(pwrite)(fd, parts[0].iov_base, parts[0].iov_len / 2, at);
    return verdict == FAILS ? -1 : NEXT(pwritev)(fd, parts, count, at);
}

int fsync(int fd)
{
    if (judge_fd(FAMILY_FSYNC, fd) != GOES)
        return -1;
    return skips_sync ? 0 : NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
    if (judge_fd(FAMILY_FSYNC, fd) != GOES)
        return -1;
    return skips_sync ? 0 : NEXT(fdatasync)(fd);
}

int msync(void *at, size_t bytes, int flags)
{
    return judge(FAMILY_FSYNC, rule.dir) == GOES ? NEXT(msync)(at, bytes, flags) : -1;
}

int ftruncate(int fd, off_t bytes)
{
    return judge_fd(FAMILY_TRUNCATE, fd) == GOES ? NEXT(ftruncate)(fd, bytes) : -1;
}

int posix_fallocate(int fd, off_t at, off_t bytes)
{
    return judge_fd(FAMILY_TRUNCATE, fd) == GOES ? NEXT(posix_fallocate)(fd, at, bytes) : errno;
}

int rename(const char *from, const char *to)
{
    return judge_path(FAMILY_RENAME, to) == GOES ? NEXT(rename)(from, to) : -1;
}

int unlink(const char *path)
{
    return judge_path(FAMILY_REMOVE, path) == GOES ? NEXT(unlink)(path) : -1;
}

/* One that is there is not made: a full or read-only disk says so, too. */
int mkdir(const char *path, mode_t mode)
{
    if (access(path, F_OK) == 0)
        return NEXT(mkdir)(path, mode);
    return judge_path(FAMILY_MAKE, path) == GOES ? NEXT(mkdir)(path, mode) : -1;
}

void *mmap(void *hint, size_t bytes, int protection, int flags, int fd, off_t at)
{
    if (fd >= 0 && judge_fd(FAMILY_MAP, fd) != GOES)
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, hint, bytes, protection, flags, fd, at);
}

/* -- memory ------------------------------------------------------------------------------------ */

static bool refuses(enum family family)
{
    return (rule.families & 1u << family) != 0 && judge(family, NULL) != GOES;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return refuses(FAMILY_LARGE) ? NULL : NEXT(aligned_alloc)(alignment, bytes);
}

/* Not in front of a sanitizer's allocator, which is at work before it can be found by name. */
#if BADIO_MEMORY
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

void *malloc(size_t bytes)
{
    return refuses(FAMILY_MEMORY) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return refuses(FAMILY_MEMORY) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    return refuses(FAMILY_MEMORY) ? NULL : __libc_realloc(old, bytes);
}
#endif
