/* Settings files for the tests of the settings: a text is read as one, and what is said of it is
 * looked at. */
#ifndef FRESHET_TESTS_SETTINGS_FIXTURE_H
#define FRESHET_TESTS_SETTINGS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/settings_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* One reading of a text as a settings file. The file is called FILE in `complaints`. */
struct reading {
    struct settings *settings;
    struct buffer complaints; /* NUL-terminated */
    struct error err;
    int status;
};

static inline void write_file(char path[64], const char *text, size_t length)
{
    strcpy(path, "/tmp/freshet-settings-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, length), length);
    close(fd);
}

/* Puts FILE where the file's name is, so that tests can say what they expect. */
static inline void rename_file(struct buffer *complaints, const char *path)
{
    struct buffer renamed = {0};
    size_t length = strlen(path);
    for (size_t i = 0; i < complaints->length;) {
        if (complaints->length - i >= length && memcmp(complaints->data + i, path, length) == 0) {
            buffer_text(&renamed, "FILE");
            i += length;
        } else {
            buffer_byte(&renamed, complaints->data[i++]);
        }
    }
    buffer_byte(&renamed, '\0');
    buffer_deinit(complaints);
    *complaints = renamed;
}

static inline void read_bytes(struct reading *reading, const char *text, size_t length)
{
    *reading = (struct reading){0};
    char path[64];
    write_file(path, text, length);
    reading->status = settings_load(&reading->settings, path, &reading->complaints, &reading->err);
    unlink(path);
    rename_file(&reading->complaints, path);
}

static inline void reading_end(struct reading *reading)
{
    settings_free(reading->settings);
    buffer_deinit(&reading->complaints);
}

static inline struct settings *load(struct reading *reading, const char *text)
{
    read_bytes(reading, text, strlen(text));
    if (reading->status != 0)
        fail_msg("refused:\n%s", reading->complaints.data);
    return reading->settings;
}

/* The text is refused with these complaints, no more and no less. */
static inline void assert_complaints(const char *text, const char *expected)
{
    struct reading reading;
    read_bytes(&reading, text, strlen(text));
    assert_string_equal(reading.complaints.data, expected);
    assert_int_equal(reading.status, ERR_SETTINGS);
    assert_null(reading.settings);
    reading_end(&reading);
}

/* The text is refused, and `part` is among what is said. */
static inline void assert_complains(const char *text, const char *part)
{
    struct reading reading;
    read_bytes(&reading, text, strlen(text));
    assert_int_equal(reading.status, ERR_SETTINGS);
    if (strstr(reading.complaints.data, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, reading.complaints.data);
    reading_end(&reading);
}

#endif
