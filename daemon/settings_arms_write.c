#include "daemon/settings_table.h"

static const char *separator(size_t *said)
{
    return (*said)++ == 0 ? "; with " : ", ";
}

static void write_types(struct buffer *out, const struct row *row, const struct settings *arm,
                        const struct settings *base, size_t *said)
{
    for (uint32_t type = 0; type < base->events.type_count; type++) {
        if (row_equal(row, &arm->events.weights[type], &base->events.weights[type]))
            continue;
        buffer_printf(out, "%sevents.%s.%s ", separator(said), base->events.names[type],
                      row_key(row));
        row_write_value(out, row, &arm->events.weights[type]);
    }
}

/* "; with model.rank 32, lists.n 50": where the arm differs from the file. */
static void write_overrides(struct buffer *out, const struct settings *arm,
                            const struct settings *base)
{
    size_t said = 0;
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        if (!row->in_arms)
            continue;
        if (row_is_of_type(row))
            write_types(out, row, arm, base, &said);
        else if (!row_equal(row, arm, base)) {
            buffer_printf(out, "%s%s ", separator(&said), row->path);
            row_write_value(out, row, arm);
        }
    }
    if (said == 0)
        buffer_text(out, "; as the file says");
}

static uint64_t key_of(const struct settings *settings, uint32_t arm)
{
    return settings_series_key(settings->arms[arm].settings, settings);
}

/* "the file's generations", or "generations of its own", or of which others as well. */
static void write_series(struct buffer *out, const struct settings *settings, uint32_t arm)
{
    uint64_t key = key_of(settings, arm);
    const char *between = " with ";
    if (key == 0) {
        buffer_text(out, "; the file's generations");
        return;
    }
    buffer_text(out, "; generations of its own");
    for (uint32_t i = 0; i < settings->arm_count; i++)
        if (i != arm && key_of(settings, i) == key) {
            buffer_printf(out, "%s%s", between, settings->arms[i].name);
            between = ", ";
        }
}

static void write_guards(struct buffer *out, const struct settings_arm *arm)
{
    if (arm->guard_hit20_drop > 0)
        buffer_printf(out, "; stopped if hit@20 drops by %.6g%%", arm->guard_hit20_drop * 100);
    if (arm->guard_churn > 0)
        buffer_printf(out, "; stopped if churn is above %.6g", arm->guard_churn);
}

void settings_write_arms(struct buffer *out, const struct settings *settings)
{
    for (uint32_t i = 0; i < settings->arm_count; i++) {
        const struct settings_arm *arm = &settings->arms[i];
        buffer_printf(out, "arm %s: %.6g%% of users%s", arm->name, arm->share * 100,
                      arm->control  ? ", control"
                      : arm->shadow ? ", in the shadow"
                                    : "");
        write_series(out, settings, i);
        write_overrides(out, arm->settings, settings);
        write_guards(out, arm);
        buffer_byte(out, '\n');
    }
}

static void write_shape(struct buffer *out, const struct row *row, const struct settings *arm)
{
    for (uint32_t type = 0; type < arm->events.type_count && row_is_of_type(row); type++) {
        buffer_printf(out, "events.%s.%s ", arm->events.names[type], row_key(row));
        row_write_value(out, row, &arm->events.weights[type]);
        buffer_byte(out, '\n');
    }
    if (row_is_of_type(row))
        return;
    buffer_printf(out, "%s ", row->path);
    row_write_value(out, row, arm);
    buffer_byte(out, '\n');
}

void settings_write_shape(struct buffer *out, const struct settings *settings)
{
    buffer_printf(out, "%s\n%s\n", settings->experiment.id, settings->experiment.salt);
    for (uint32_t i = 0; i < settings->arm_count; i++) {
        const struct settings_arm *arm = &settings->arms[i];
        buffer_printf(out, "arm %s %.17g %d %d\n", arm->name, arm->share, arm->control,
                      arm->shadow);
        for (size_t row = 0; row < settings_row_count; row++)
            if (settings_rows[row].in_arms)
                write_shape(out, &settings_rows[row], arm->settings);
    }
}
