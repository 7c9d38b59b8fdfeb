/* What the rows of the table cannot say alone: how keys go together. Internal to the settings. */
#ifndef FRESHET_DAEMON_SETTINGS_CHECKS_H
#define FRESHET_DAEMON_SETTINGS_CHECKS_H

#include "daemon/settings_table.h"

struct loading { /* one reading of one file */
    const char *path;
    struct settings *settings;
    struct buffer *complaints;
    size_t count;        /* of complaints */
    int lines[ROWS_MAX]; /* where each row's key was given last; 0: it was not */
};

/* Adds "FILE:LINE: KEY: what". */
void complain(struct loading *loading, int line, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void settings_check(struct loading *loading);

#endif
