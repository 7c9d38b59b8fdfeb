#include "daemon/settings_table.h"

#include <stdio.h>

static void refuse(struct buffer *complaints, const char *section, const char *name,
                   const char *key)
{
    buffer_printf(complaints, "%s%s%s: needs a restart\n", section, name, key);
}

static const char *property_of(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->consumer.property_count; i++)
        if (strcmp(settings->consumer.properties[i].name, name) == 0)
            return settings->consumer.properties[i].value;
    return NULL;
}

/* Properties of `one` that `other` has not, or (with `values`) has with another value. */
static void compare_properties(const struct settings *one, const struct settings *other,
                               bool values, struct buffer *complaints)
{
    for (size_t i = 0; i < one->consumer.property_count; i++) {
        const struct kafka_property *property = &one->consumer.properties[i];
        const char *value = property_of(other, property->name);
        if (value == NULL || (values && strcmp(value, property->value) != 0))
            refuse(complaints, "kafka.", property->name, "");
    }
}

static const char *type_name(const struct settings *settings, uint32_t type)
{
    return type < settings->events.type_count ? settings->events.names[type] : NULL;
}

static void compare_type(const struct settings *old, const struct settings *now, uint32_t type,
                         struct buffer *complaints)
{
    char key[64];
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        if (!row_is_of_type(row) || !row->restart ||
            row_equal(row, &old->events.weights[type], &now->events.weights[type]))
            continue;
        snprintf(key, sizeof key, ".%s", row_key(row));
        refuse(complaints, "events.", old->events.names[type], key);
    }
}

/* Events carry their type's number, so the numbers must stay what they are. */
static void compare_types(const struct settings *old, const struct settings *now,
                          struct buffer *complaints)
{
    for (uint32_t type = 0; type < EVENT_TYPES_MAX; type++) {
        const char *before = type_name(old, type), *after = type_name(now, type);
        if (before != NULL && after != NULL && strcmp(before, after) == 0)
            compare_type(old, now, type, complaints);
        else if (before != NULL || after != NULL)
            refuse(complaints, "events.", before != NULL ? before : after, "");
    }
}

bool settings_may_reload(const struct settings *old, const struct settings *now,
                         struct buffer *complaints)
{
    size_t before = complaints->length;
    compare_properties(old, now, true, complaints);
    compare_properties(now, old, false, complaints);
    compare_types(old, now, complaints);
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        if (row->restart && row->type != ROW_PROPERTY && !row_is_of_type(row) &&
            !row_equal(row, old, now))
            refuse(complaints, row->path, "", "");
    }
    return complaints->length == before;
}
