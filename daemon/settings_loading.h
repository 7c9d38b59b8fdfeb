/* One reading of one file. Internal to the settings.
 *
 * settings_read.c walks the YAML and fills in rows, settings_arms.c does so for arms,
 * settings_checks.c says what the rows cannot say alone, settings.c puts them in order: the file's
 * own keys; then each arm, which begins as a copy of those; then the checks of all; then, unless
 * there were complaints, what follows from what was given. */
#ifndef FRESHET_DAEMON_SETTINGS_LOADING_H
#define FRESHET_DAEMON_SETTINGS_LOADING_H

#include "daemon/settings_table.h"
#include "daemon/yaml.h"

struct loading {
    const char *path;
    struct settings *settings; /* the file's */
    struct settings *into;     /* what keys are read into and checked: those, or an arm's own */
    uint32_t arm;              /* 0: the file itself; else the arm's number and one */
    uint32_t type;             /* the event type whose keys are read */
    struct buffer *complaints;
    size_t count;                      /* of complaints */
    int lines[1 + ARMS_MAX][ROWS_MAX]; /* [arm, row]: where the key was given; 0: it was not */
    int arm_lines[1 + ARMS_MAX];       /* [arm]: where its name is */
    const struct yaml_tree *arms;      /* arms:, kept for last; NULL: not given */
};

/* Adds "FILE:LINE: KEY: what"; while an arm is read, KEY gets "arms.NAME." in front. */
void complain(struct loading *loading, int line, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Where the row was given by the file, or by the arm that is read or checked. */
int line_of(const struct loading *loading, const char *path);

/* Calls `read` for each member of a map, with its path; a key given twice is read once. */
typedef void (*read_cb)(struct loading *loading, const char *path, const struct yaml_tree *tree);
void read_members(struct loading *loading, const char *prefix, const struct yaml_tree *map,
                  read_cb read);
/* The same of a tree that may be something else, which is complained about. */
void read_map(struct loading *loading, const char *path, const struct yaml_tree *tree,
              read_cb read);
void read_row(struct loading *loading, const struct row *row, void *base, const char *path,
              const struct yaml_tree *tree);
/* "model" and what is under it, into loading->into. */
void read_section(struct loading *loading, const char *path, const struct yaml_tree *tree);
void read_arms(struct loading *loading);

void settings_check(struct loading *loading);
void settings_check_arms(struct loading *loading); /* how arms go together */

/* What belongs to struct settings; the callee owns what it is given. */
struct settings *settings_copy(const struct settings *settings); /* without its arms */
void settings_set_property(struct settings *settings, const char *name, char *value);
void settings_add_type(struct settings *settings, const char *name);
int settings_find_type(const struct settings *settings, const char *name); /* or -1 */
struct settings_arm *settings_add_arm(struct settings *settings, const char *name);
void settings_drop_categories(struct settings *settings);

#endif
