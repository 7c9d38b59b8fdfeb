#include "daemon/settings_loading.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PATH_MAX_BYTES 256 /* of a key with its section; what is longer is no key of ours */
#define ARMS "arms."
#define NOT_IN_ARMS "cannot differ between arms"

void complain(struct loading *loading, int line, const char *key, const char *format, ...)
{
    struct buffer *out = loading->complaints;
    size_t begin = out->length;
    buffer_printf(out, "%s:%d: ", loading->path, line);
    if (loading->arm > 0)
        buffer_printf(out, ARMS "%s%s", loading->settings->arms[loading->arm - 1].name,
                      *key != '\0' ? "." : "");
    buffer_printf(out, "%s: ", key);
    char what[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    buffer_text(out, what);
    for (size_t i = begin; i < out->length; i++)
        if ((unsigned char)out->data[i] < ' ' || out->data[i] == 127)
            out->data[i] = '?'; /* a quoted key may hold a newline: one complaint, one line */
    buffer_byte(out, '\n');
    loading->count++;
}

int line_of(const struct loading *loading, const char *path)
{
    return loading->lines[loading->arm][row_find(path) - settings_rows];
}

/* ---- kafka: free keys ---- */

static void read_property(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    struct error err;
    if (loading->arm > 0) {
        complain(loading, tree->line, path, NOT_IN_ARMS);
        return;
    }
    const char *denied = kafka_property_denied(tree->key, tree->text);
    if (denied != NULL) {
        complain(loading, tree->line, path, "may not be set: %s", denied);
        return;
    }
    if (tree->kind != YAML_TEXT) {
        complain(loading, tree->line, path,
                 "must be a text (properties are written in one word, "
                 "like bootstrap.servers)");
        return;
    }
    char *value = secret_find(tree->text, &err);
    if (value == NULL)
        complain(loading, tree->line, path, "%s", err.text);
    else
        settings_set_property(loading->into, tree->key, value);
}

/* ---- single keys ---- */

static void read_texts(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    if (tree->kind != YAML_LIST) {
        complain(loading, tree->line, path, "must be a list of texts, like [a, b]");
        return;
    }
    struct settings *settings = loading->into;
    settings_drop_categories(settings); /* an arm's replace the file's */
    settings->lists.exclude_categories =
        mem_array(NULL, tree->count, sizeof *settings->lists.exclude_categories);
    for (size_t i = 0; i < tree->count; i++) {
        const struct yaml_tree *child = &tree->children[i];
        if (child->kind == YAML_TEXT)
            settings->lists.exclude_categories[settings->lists.exclude_category_count++] =
                slice_of(mem_strdup(child->text));
        else
            complain(loading, child->line, path, "must be a list of texts, like [a, b]");
    }
}

void read_row(struct loading *loading, const struct row *row, void *base, const char *path,
              const struct yaml_tree *tree)
{
    struct error err;
    if (row->type == ROW_TEXTS)
        read_texts(loading, path, tree);
    else if (tree->kind == YAML_NULL)
        complain(loading, tree->line, path, "has no value (an empty text is written '')");
    else if (tree->kind != YAML_TEXT)
        complain(loading, tree->line, path, "must be a single value");
    else if (row_parse(row, base, tree->text, &err) != 0)
        complain(loading, tree->line, path, "%s", err.text);
    loading->lines[loading->arm][row - settings_rows] = tree->line;
}

static void read_key(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    const struct row *row = row_find(path);
    if (row == NULL || row_is_of_type(row))
        complain(loading, tree->line, path, "unknown key");
    else if (loading->arm > 0 && !row->in_arms)
        complain(loading, tree->line, path, NOT_IN_ARMS);
    else
        read_row(loading, row, loading->into, path, tree);
}

void read_members(struct loading *loading, const char *prefix, const struct yaml_tree *map,
                  read_cb read)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct yaml_tree *member = &map->children[i];
        char path[PATH_MAX_BYTES];
        int length = snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", member->key);
        if (length < 0 || (size_t)length >= sizeof path) {
            complain(loading, member->line, prefix, "a key that is too long");
            continue;
        }
        size_t first = 0;
        while (strcmp(map->children[first].key, member->key) != 0)
            first++;
        if (first < i)
            complain(loading, member->line, path, "given twice, first on line %d",
                     map->children[first].line);
        else
            read(loading, path, member);
    }
}

/* ---- events: free keys, each a map ---- */

static const char *objection_to_type(const struct loading *loading, const char *name)
{
    size_t length = strlen(name);
    if (loading->into->events.type_count == EVENT_TYPES_MAX)
        return "too many event types";
    if (length == 0 || length > TYPE_NAME_BYTES_MAX)
        return "an event type's name has 1 to 64 bytes";
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 127)
            return "an event type's name has no control characters";
    if (strcmp(name, "retract") == 0 || strcmp(name, "forget_user") == 0 ||
        strcmp(name, "impression") == 0)
        return "is a control type, not an interaction";
    return NULL;
}

/* A key of the type loading->type. */
static void read_type_key(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    char pattern[PATH_MAX_BYTES];
    snprintf(pattern, sizeof pattern, TYPE_PATH "%s", tree->key);
    const struct row *row = row_find(pattern);
    if (row == NULL)
        complain(loading, tree->line, path, "unknown key");
    else
        read_row(loading, row, &loading->into->events.weights[loading->type], path, tree);
}

/* Makes loading->type the one of this name: a new one of the file, one of the file's of an arm. */
static const char *choose_type(struct loading *loading, const char *name)
{
    int known = settings_find_type(loading->into, name);
    if (loading->arm > 0 && known < 0)
        return "is no event type outside the arms, where all are named";
    const char *objection = known < 0 ? objection_to_type(loading, name) : NULL;
    if (objection != NULL)
        return objection;
    if (known < 0)
        settings_add_type(loading->into, name);
    loading->type = known < 0 ? loading->into->events.type_count - 1 : (uint32_t)known;
    return NULL;
}

static void read_events_key(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    if (row_find(path) != NULL || tree->kind == YAML_TEXT || tree->kind == YAML_LIST) {
        read_key(loading, path, tree);
        return;
    }
    const char *objection = choose_type(loading, tree->key);
    if (objection != NULL)
        complain(loading, tree->line, path, "%s", objection);
    else
        read_members(loading, path, tree, read_type_key);
}

/* ---- sections ---- */

void read_map(struct loading *loading, const char *path, const struct yaml_tree *tree, read_cb read)
{
    if (tree->kind != YAML_MAP && tree->kind != YAML_NULL)
        complain(loading, tree->line, path, "must hold keys, indented below it");
    else
        read_members(loading, path, tree, read);
}

void read_section(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    bool arms = strcmp(path, "arms") == 0;
    if (section_find(path) == NULL)
        complain(loading, tree->line, path, "unknown key");
    else if (arms && loading->arm > 0)
        complain(loading, tree->line, path, NOT_IN_ARMS);
    else if (arms)
        loading->arms = tree; /* they change what the file says elsewhere, maybe below */
    else
        read_map(loading, path, tree,
                 strcmp(path, "kafka") == 0    ? read_property
                 : strcmp(path, "events") == 0 ? read_events_key
                                               : read_key);
}
