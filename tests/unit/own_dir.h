/* A directory of the test's own, made before each and removed after it, and small files in it. */
#ifndef FRESHET_TESTS_OWN_DIR_H
#define FRESHET_TESTS_OWN_DIR_H

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static inline int make_dir(void **at)
{
    const char *folder = getenv("TMPDIR");
    (void)at;
    snprintf(dir, sizeof dir, "%s/freshet-test-XXXXXX", folder != NULL ? folder : P_tmpdir);
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static inline int drop_dir(void **at)
{
    struct error err;
    (void)at;
    return file_remove_tree(dir, &err);
}

static inline void empty_dir(void)
{
    struct error err = {0};
    assert_int_equal(file_remove_tree(dir, &err), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
}

/* Good until the fourth call after it. */
static inline const char *in_dir(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 256, "%s/%s", dir, name);
    return path;
}

static inline void write_text(const char *name, const char *text)
{
    struct error err = {0};
    if (file_write(in_dir(name), slice_of(text), &err) != 0)
        fail_msg("%s", err.text);
}

static inline bool says(const char *name, const char *text)
{
    struct error err = {0};
    char *read;
    size_t length;
    if (file_read(&read, &length, in_dir(name), 100, &err) != 0)
        return false;
    bool same = slice_equal((struct slice){read, (uint32_t)length}, slice_of(text));
    free(read);
    return same;
}

#endif
