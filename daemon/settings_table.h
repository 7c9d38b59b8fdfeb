/* The table of settings: one row a key, and what the rows have in common.
 *
 * A row says everything about its key, so that the parser, the checks, the defaults file and the
 * reference read the same words. Paths are "section.key"; in "events.*.weight" the star stands for
 * an event type, in "arms.*.share" for an arm, and the offset counts from struct type_weight or
 * struct settings_arm instead of struct settings. Const tables; any thread. */
#ifndef FRESHET_DAEMON_SETTINGS_TABLE_H
#define FRESHET_DAEMON_SETTINGS_TABLE_H

#include "daemon/settings.h"

enum row_type {               /* kept as: */
                ROW_INT,      /* int64_t */
                ROW_REAL,     /* double */
                ROW_BOOL,     /* bool */
                ROW_TEXT,     /* char *, owned */
                ROW_SECRET,   /* char *, owned; "file:PATH" and "env:NAME" are looked up */
                ROW_DURATION, /* int64_t, ms */
                ROW_SIZE,     /* int64_t, bytes */
                ROW_TIME,     /* int64_t, ms since 1970; `none` where the text is empty */
                ROW_CHOICE,   /* an enum or an int: the number of the name */
                ROW_TEXTS,    /* struct slice *, owned; the size_t count follows it */
                ROW_PROPERTY, /* struct kafka_property, one of many */
                ROW_TYPE_COUNT
};

struct row {
    const char *path;
    enum row_type type;
    size_t offset;
    double least, most;       /* of numbers; ms, bytes */
    bool above;               /* greater than `least`, not equal */
    const char *const *names; /* [name_count], of a choice */
    int name_count;
    const char *word; /* may be given instead, and stands for `word_value` */
    double word_value;
    int64_t none;         /* of a time: what an empty text stands for */
    bool restart;         /* cannot change while the daemon runs */
    bool in_arms;         /* an arm may have its own */
    const char *standard; /* the default, as it would be written */
    const char *sentence; /* for CONFIG.md and the comment in the YAML */
};

struct section {
    const char *name;
    const char *sentence;
};

extern const struct row settings_rows[];
extern const size_t settings_row_count;
extern const struct section settings_sections[];
extern const size_t settings_section_count;

#define ROWS_MAX 128
#define TYPE_PATH "events.*."
#define ARM_PATH "arms.*."

const struct row *row_find(const char *path); /* NULL if there is none */
const struct section *section_find(const char *name);

/* Whether the row belongs to `section`; its key, without the section (and the type). */
bool row_is_in(const struct row *row, const struct section *section);
bool row_is_of_type(const struct row *row); /* "events.*.": offsets in struct type_weight */
bool row_is_of_arm(const struct row *row);  /* "arms.*.": offsets in struct settings_arm */
const char *row_key(const struct row *row);

/* Stores `text` at base + offset, releasing a text that was there. ERR_SETTINGS with what would be
 * right ("must be a whole number from 1 to 512"); nothing is stored then. Not for ROW_TEXTS and
 * ROW_PROPERTY, which are no single values. */
int row_parse(const struct row *row, void *base, const char *text, struct error *err);

/* The row's default. */
void row_reset(const struct row *row, void *base);

/* Of two bases, the row's own. Not for ROW_PROPERTY; row_write_value not for secrets either. */
bool row_equal(const struct row *row, const void *base, const void *other);
void row_write_value(struct buffer *out, const struct row *row, const void *base);

/* What durations and sizes are written in, ascending, each a multiple of the one before; a NULL
 * name ends them. */
struct unit {
    const char *name;
    double factor;
};
const struct unit *row_units(enum row_type type);

/* What may be given: "1 to 512", "ials, hu or implicit", "0s to 365d"; empty where all may. */
void row_write_range(struct buffer *out, const struct row *row);
const char *row_type_name(const struct row *row); /* "duration" */

/* A secret as written -> the secret (caller frees), or NULL and err. */
char *secret_find(const char *text, struct error *err);

#endif
