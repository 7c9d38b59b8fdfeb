#include "daemon/settings_loading.h"
#include "base/mem.h"

#include <stdlib.h>

static char *text_of(const char *borrowed) /* what a `const char *` field owns */
{
    return (char *)(uintptr_t)borrowed;
}

/* Takes `value` over. */
void settings_set_property(struct settings *settings, const char *name, char *value)
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

void settings_add_type(struct settings *settings, const char *name)
{
    uint32_t type = settings->events.type_count++;
    settings->events.names[type] = mem_strdup(name);
    settings->events.weights[type] = (struct type_weight){0};
    for (size_t i = 0; i < settings_row_count; i++)
        if (row_is_of_type(&settings_rows[i]))
            row_reset(&settings_rows[i], &settings->events.weights[type]);
}

static struct settings *settings_defaults(void)
{
    struct settings *settings = mem_zalloc(sizeof *settings);
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        if (row->type == ROW_PROPERTY)
            settings_set_property(settings, row_key(row), mem_strdup(row->standard));
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
struct settings *settings_copy(const struct settings *settings)
{
    struct settings *copy = mem_alloc(sizeof *copy);
    *copy = *settings;
    memset(copy->arms, 0, sizeof copy->arms);
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
        settings_set_property(copy, settings->consumer.properties[i].name,
                              mem_strdup(settings->consumer.properties[i].value));
    return copy;
}

int settings_find_type(const struct settings *settings, const char *name)
{
    for (uint32_t type = 0; type < settings->events.type_count; type++)
        if (strcmp(settings->events.names[type], name) == 0)
            return (int)type;
    return -1;
}

struct settings_arm *settings_add_arm(struct settings *settings, const char *name)
{
    struct settings_arm *arm = &settings->arms[settings->arm_count++];
    *arm = (struct settings_arm){.name = mem_strdup(name), .settings = settings_copy(settings)};
    for (size_t i = 0; i < settings_row_count; i++)
        if (row_is_of_arm(&settings_rows[i]))
            row_reset(&settings_rows[i], arm);
    return arm;
}

/* What follows from what was given. */
static void settings_complete(struct settings *settings)
{
    settings->events.default_type = settings_find_type(settings, "default");
    for (uint32_t type = 0; type < settings->events.type_count; type++)
        settings->events.counts[type] = settings->events.weights[type].weight > 0;
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

static void read_file(struct loading *loading, struct yaml_tree **tree)
{
    struct error err;
    if (yaml_tree_load(tree, loading->path, &err) != 0) {
        buffer_printf(loading->complaints, "%s\n", err.text);
        loading->count++;
    } else if ((*tree)->kind == YAML_TEXT || (*tree)->kind == YAML_LIST) {
        complain(loading, (*tree)->line, "settings", "must be keys and values, like state: ...");
    } else {
        read_members(loading, "", *tree, read_section);
    }
}

static void read_all(struct loading *loading)
{
    struct yaml_tree *tree = NULL;
    if (loading->path != NULL)
        read_file(loading, &tree);
    if (loading->settings->events.type_count == 0)
        settings_add_type(loading->settings, "default");
    read_arms(loading);
    settings_check(loading);
    yaml_tree_free(tree);
}

int settings_load(struct settings **settings, const char *path, struct buffer *complaints,
                  struct error *err)
{
    struct settings *made = settings_defaults();
    struct loading loading = {
        .path = path, .settings = made, .into = made, .complaints = complaints};
    *settings = NULL;
    read_all(&loading);
    if (loading.count > 0) {
        settings_free(made);
        return error_set(err, ERR_SETTINGS, "%s: %zu %s", path, loading.count,
                         loading.count == 1 ? "complaint" : "complaints");
    }
    settings_complete(made);
    for (uint32_t i = 0; i < made->arm_count; i++)
        settings_complete(made->arms[i].settings);
    *settings = made;
    return 0;
}

void settings_drop_categories(struct settings *settings)
{
    for (size_t i = 0; i < settings->lists.exclude_category_count; i++)
        free(text_of(settings->lists.exclude_categories[i].data));
    free(settings->lists.exclude_categories);
    settings->lists.exclude_categories = NULL;
    settings->lists.exclude_category_count = 0;
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
}

void settings_free(struct settings *settings)
{
    if (settings == NULL)
        return;
    free_texts(settings);
    settings_drop_categories(settings);
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
