#include "daemon/settings.h"
#include "base/mem.h"
#include "daemon/settings_checks.h"
#include "daemon/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PATH_MAX_BYTES 256 /* of a key with its section; what is longer is no key of ours */

void complain(struct loading *loading, int line, const char *key, const char *format, ...)
{
    struct buffer *out = loading->complaints;
    size_t begin = out->length;
    buffer_printf(out, "%s:%d: %s: ", loading->path, line, key);
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

static char *text_of(const char *borrowed) /* what a `const char *` field owns */
{
    return (char *)(uintptr_t)borrowed;
}

/* ---- kafka: free keys ---- */

/* Takes `value` over. */
static void set_property(struct settings *settings, const char *name, char *value)
{
    for (size_t i = 0; i < settings->consumer.property_count; i++) {
        struct kafka_property *property = &settings->consumer.properties[i];
        if (strcmp(property->name, name) == 0) {
            free(text_of(property->value));
            property->value = value;
            return;
        }
    }
    size_t count = ++settings->consumer.property_count;
    settings->consumer.properties =
        mem_array(settings->consumer.properties, count, sizeof *settings->consumer.properties);
    settings->consumer.properties[count - 1] =
        (struct kafka_property){.name = mem_strdup(name), .value = value};
}

static void read_property(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    struct error err;
    const char *denied = kafka_property_denied(tree->key);
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
        set_property(loading->settings, tree->key, value);
}

/* ---- single keys ---- */

static void read_texts(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    if (tree->kind != YAML_LIST) {
        complain(loading, tree->line, path, "must be a list of texts, like [a, b]");
        return;
    }
    struct settings *settings = loading->settings;
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

static void read_row(struct loading *loading, const struct row *row, void *base, const char *path,
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
    loading->lines[row - settings_rows] = tree->line;
}

static void read_key(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    const struct row *row = row_find(path);
    if (row == NULL || row_is_of_type(row))
        complain(loading, tree->line, path, "unknown key");
    else
        read_row(loading, row, loading->settings, path, tree);
}

typedef void (*read_cb)(struct loading *loading, const char *path, const struct yaml_tree *tree);

/* Calls `read` for each member of a map, with its path; a key given twice is read once. */
static void read_members(struct loading *loading, const char *prefix, const struct yaml_tree *map,
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

static void add_type(struct settings *settings, const char *name)
{
    uint32_t type = settings->events.type_count++;
    settings->events.names[type] = mem_strdup(name);
    settings->events.weights[type] = (struct type_weight){0};
    for (size_t i = 0; i < settings_row_count; i++)
        if (row_is_of_type(&settings_rows[i]))
            row_reset(&settings_rows[i], &settings->events.weights[type]);
}

static const char *objection_to_type(const struct loading *loading, const char *name)
{
    size_t length = strlen(name);
    if (loading->settings->events.type_count == EVENT_TYPES_MAX)
        return "too many event types";
    if (length == 0 || length > TYPE_NAME_BYTES_MAX)
        return "an event type's name has 1 to 64 bytes";
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 127)
            return "an event type's name has no control characters";
    if (strcmp(name, "retract") == 0 || strcmp(name, "forget_user") == 0)
        return "is a control type, not an interaction";
    return NULL;
}

/* A key of the type that was added last. */
static void read_type_key(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    struct settings *settings = loading->settings;
    char pattern[PATH_MAX_BYTES];
    snprintf(pattern, sizeof pattern, TYPE_PATH "%s", tree->key);
    const struct row *row = row_find(pattern);
    if (row == NULL)
        complain(loading, tree->line, path, "unknown key");
    else
        read_row(loading, row, &settings->events.weights[settings->events.type_count - 1], path,
                 tree);
}

static void read_events_key(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    if (row_find(path) != NULL || tree->kind == YAML_TEXT || tree->kind == YAML_LIST) {
        read_key(loading, path, tree);
        return;
    }
    const char *objection = objection_to_type(loading, tree->key);
    if (objection != NULL) {
        complain(loading, tree->line, path, "%s", objection);
        return;
    }
    add_type(loading->settings, tree->key);
    read_members(loading, path, tree, read_type_key);
}

/* ---- the whole ---- */

static void read_section(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    if (section_find(path) == NULL)
        complain(loading, tree->line, path, "unknown key");
    else if (tree->kind != YAML_MAP && tree->kind != YAML_NULL)
        complain(loading, tree->line, path, "must hold keys, indented below it");
    else
        read_members(loading, path, tree,
                     strcmp(path, "kafka") == 0    ? read_property
                     : strcmp(path, "events") == 0 ? read_events_key
                                                   : read_key);
}

static void read_file(struct loading *loading)
{
    struct error err;
    struct yaml_tree *tree = NULL;
    if (yaml_tree_load(&tree, loading->path, &err) != 0) {
        buffer_printf(loading->complaints, "%s\n", err.text);
        loading->count++;
        return;
    }
    if (tree->kind == YAML_TEXT || tree->kind == YAML_LIST)
        complain(loading, tree->line, "settings", "must be keys and values, like state: ...");
    else
        read_members(loading, "", tree, read_section);
    yaml_tree_free(tree);
}

static struct settings *settings_defaults(void)
{
    struct settings *settings = mem_zalloc(sizeof *settings);
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        if (row->type == ROW_PROPERTY)
            set_property(settings, row_key(row), mem_strdup(row->standard));
        else if (!row_is_of_type(row) && !row_is_of_arm(row))
            row_reset(row, settings);
    }
    return settings;
}

/* ---- arms ---- */

static struct slice *copy_slices(const struct slice *slices, size_t count)
{
    struct slice *copy = mem_array(NULL, count, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = slice_of(mem_strdup(slices[i].data));
    return copy;
}

/* Whole and deep, but for the arms. */
static struct settings *settings_copy(const struct settings *settings)
{
    struct settings *copy = mem_alloc(sizeof *copy);
    *copy = *settings;
    copy->arm_count = 0;
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        char *text;
        if (row->type != ROW_TEXT && row->type != ROW_SECRET)
            continue;
        memcpy(&text, (char *)copy + row->offset, sizeof text);
        text = mem_strdup(text);
        memcpy((char *)copy + row->offset, &text, sizeof text);
    }
    copy->lists.exclude_categories =
        copy_slices(settings->lists.exclude_categories, settings->lists.exclude_category_count);
    for (uint32_t type = 0; type < copy->events.type_count; type++)
        copy->events.names[type] = mem_strdup(settings->events.names[type]);
    copy->consumer.properties = NULL;
    copy->consumer.property_count = 0;
    for (size_t i = 0; i < settings->consumer.property_count; i++)
        set_property(copy, settings->consumer.properties[i].name,
                     mem_strdup(settings->consumer.properties[i].value));
    return copy;
}

static struct settings_arm *add_arm(struct settings *settings, const char *name)
{
    struct settings_arm *arm = &settings->arms[settings->arm_count++];
    *arm = (struct settings_arm){.name = mem_strdup(name), .settings = settings_copy(settings)};
    for (size_t i = 0; i < settings_row_count; i++)
        if (row_is_of_arm(&settings_rows[i]))
            row_reset(&settings_rows[i], arm);
    return arm;
}

static void add_default_arm(struct settings *settings)
{
    struct settings_arm *arm = add_arm(settings, "default");
    arm->control = true;
    arm->share = 1;
}

/* What follows from what was given. */
static void settings_complete(struct settings *settings)
{
    settings->events.default_type = -1;
    for (uint32_t type = 0; type < settings->events.type_count; type++) {
        settings->events.counts[type] = settings->events.weights[type].weight > 0;
        if (strcmp(settings->events.names[type], "default") == 0)
            settings->events.default_type = (int32_t)type;
    }
    if (settings->consumer.dead_topic[0] == '\0') {
        struct buffer name = {0};
        buffer_printf(&name, "%s.dead", settings->consumer.topic);
        free(settings->consumer.dead_topic);
        settings->consumer.dead_topic = mem_strndup(name.data, name.length);
        buffer_deinit(&name);
    }
    if (settings->experiment.salt[0] == '\0') {
        free(settings->experiment.salt);
        settings->experiment.salt = mem_strdup(settings->experiment.id);
    }
    settings->model.hyper.rank = (int)settings->model.rank;
    if (settings->model.hyper.objective != OBJECTIVE_IALS)
        settings->model.hyper.w0 = 1; /* as the two are defined */
}

int settings_load(struct settings **settings, const char *path, struct buffer *complaints,
                  struct error *err)
{
    *settings = NULL;
    struct loading loading = {
        .path = path, .settings = settings_defaults(), .complaints = complaints};
    if (path != NULL) {
        read_file(&loading);
        settings_check(&loading);
    }
    if (loading.count > 0) {
        settings_free(loading.settings);
        return error_set(err, ERR_SETTINGS, "%s: %zu %s", path, loading.count,
                         loading.count == 1 ? "complaint" : "complaints");
    }
    if (loading.settings->events.type_count == 0)
        add_type(loading.settings, "default");
    add_default_arm(loading.settings);
    settings_complete(loading.settings);
    settings_complete(loading.settings->arms[0].settings);
    *settings = loading.settings;
    return 0;
}

static void free_texts(struct settings *settings)
{
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        char *text = NULL;
        if (row->type == ROW_TEXT || row->type == ROW_SECRET)
            memcpy(&text, (char *)settings + row->offset, sizeof text);
        free(text);
    }
    for (size_t i = 0; i < settings->lists.exclude_category_count; i++)
        free(text_of(settings->lists.exclude_categories[i].data));
    free(settings->lists.exclude_categories);
}

void settings_free(struct settings *settings)
{
    if (settings == NULL)
        return;
    free_texts(settings);
    for (uint32_t type = 0; type < settings->events.type_count; type++)
        free(settings->events.names[type]);
    for (size_t i = 0; i < settings->consumer.property_count; i++) {
        free(text_of(settings->consumer.properties[i].name));
        free(text_of(settings->consumer.properties[i].value));
    }
    free(settings->consumer.properties);
    for (uint32_t i = 0; i < settings->arm_count; i++) {
        free(settings->arms[i].name);
        settings_free(settings->arms[i].settings);
    }
    free(settings);
}
