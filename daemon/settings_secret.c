#include "base/mem.h"
#include "daemon/settings_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_BYTES_MAX 4096

static char *secret_in_environment(const char *name, struct error *err)
{
    const char *value = getenv(name);
    if (value == NULL)
        error_set(err, ERR_SETTINGS, "the environment has no %s", name);
    return value != NULL ? mem_strdup(value) : NULL;
}

/* The file's first line: editors and `echo` leave a newline at its end. */
static char *secret_in_file(const char *path, struct error *err)
{
    char text[SECRET_BYTES_MAX + 1];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        error_set(err, ERR_SETTINGS, "%s: %s", path, strerror(errno));
        return NULL;
    }
    size_t length = fread(text, 1, sizeof text, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    if (failed)
        error_set(err, ERR_SETTINGS, "%s: cannot be read", path);
    else if (length == 0)
        error_set(err, ERR_SETTINGS, "%s: is empty", path);
    else if (length > SECRET_BYTES_MAX)
        error_set(err, ERR_SETTINGS, "%s: larger than %d bytes", path, SECRET_BYTES_MAX);
    else if (memchr(text, '\0', length) != NULL || memchr(text, '\n', length) != NULL)
        error_set(err, ERR_SETTINGS, "%s: must hold one line of text", path);
    else
        return mem_strndup(text, length);
    return NULL;
}

char *secret_find(const char *text, struct error *err)
{
    if (strncmp(text, "env:", 4) == 0)
        return secret_in_environment(text + 4, err);
    if (strncmp(text, "file:", 5) == 0)
        return secret_in_file(text + 5, err);
    return mem_strdup(text);
}
