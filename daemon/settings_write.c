#include "daemon/settings_table.h"

#include <stdio.h>
#include <string.h>

#define COMMENT_WIDTH 96 /* characters of a comment's line, "# " and indentation included */

/* "# word word ..." over as many lines as it takes. */
static void write_comment(struct buffer *out, int indent, const char *text)
{
    int column = 0;
    while (*text != '\0') {
        int length = (int)strcspn(text, " ");
        if (column == 0 || column + 1 + length > COMMENT_WIDTH) {
            buffer_printf(out, "%s%*s#", column == 0 ? "" : "\n", indent, "");
            column = indent + 1;
        }
        buffer_printf(out, " %.*s", length, text);
        column += 1 + length;
        text += length;
        text += *text == ' ';
    }
    buffer_byte(out, '\n');
}

/* Whether a text can stand in YAML without quotes and stay a text. */
static bool is_plain(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && text[length - 1] != ':' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./:_-") ==
               length;
}

static bool is_text(const struct row *row)
{
    return row->type == ROW_TEXT || row->type == ROW_SECRET || row->type == ROW_TIME ||
           row->type == ROW_PROPERTY;
}

static void write_standard(struct buffer *out, const struct row *row)
{
    const char *quote = is_text(row) && !is_plain(row->standard) ? "'" : "";
    buffer_printf(out, "%s%s%s", quote, row->standard, quote);
}

/* "fitted", "1 to 512": what may be given, behind the sentence. */
static void write_yaml_comment(struct buffer *out, int indent, const struct row *row)
{
    struct buffer text = {0}, range = {0};
    row_write_range(&range, row);
    buffer_text(&text, row->sentence);
    if (range.length > 0)
        buffer_printf(&text, " (%.*s)", SLICE_ARG(buffer_slice(&range)));
    if (row->type == ROW_SECRET)
        buffer_text(&text, " (Or file:PATH, or env:NAME.)");
    buffer_byte(&text, '\0');
    write_comment(out, indent, text.data);
    buffer_deinit(&range);
    buffer_deinit(&text);
}

/* A share of "rest" is control's alone; of the example, this. */
static void write_arm_value(struct buffer *out, const struct row *row)
{
    if (strcmp(row_key(row), "share") == 0)
        buffer_text(out, "0.1");
    else
        write_standard(out, row);
}

/* Rows like "guard.churn" are below "guard:". */
static void write_arm_rows(struct buffer *out)
{
    const char *group = "";
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        if (!row_is_of_arm(row))
            continue;
        const char *key = row_key(row), *dot = strchr(key, '.');
        if (dot != NULL && strncmp(group, key, (size_t)(dot - key) + 1) != 0)
            buffer_printf(out, "  %.*s:\n", (int)(dot - key), group = key);
        int indent = dot != NULL ? 4 : 2;
        write_yaml_comment(out, indent, row);
        buffer_printf(out, "%*s%s: ", indent, "", dot != NULL ? dot + 1 : key);
        write_arm_value(out, row);
        buffer_byte(out, '\n');
    }
}

/* What an arm looks like, each line a comment: the defaults have none. */
static void write_yaml_arms(struct buffer *out)
{
    struct buffer shape = {0};
    buffer_text(&shape, "control: {control: true}\nshorter:\n");
    write_arm_rows(&shape);
    write_comment(&shape, 2,
                  "And values of its own for keys of the file, as they are written there "
                  "(docs/CONFIG.md says for which).");
    buffer_text(&shape, "  lists: {n: 50}\n");
    bool begun = false; /* the line has its mark */
    for (size_t i = 0; i < shape.length; i++) {
        buffer_printf(out, "%s%c", begun ? "" : "  # ", shape.data[i]);
        begun = shape.data[i] != '\n';
    }
    buffer_deinit(&shape);
}

static void write_yaml_section(struct buffer *out, const struct section *section)
{
    buffer_byte(out, '\n');
    write_comment(out, 0, section->sentence);
    buffer_printf(out, "%s:\n", section->name);
    if (strcmp(section->name, "arms") == 0)
        write_yaml_arms(out);
    bool in_type = false;
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        if (!row_is_in(row, section) || row_is_of_arm(row))
            continue;
        if (row_is_of_type(row) && !in_type) {
            write_comment(out, 2, "One event type; name as many as there are.");
            buffer_text(out, "  default:\n");
            in_type = true;
        }
        int indent = in_type ? 4 : 2;
        write_yaml_comment(out, indent, row);
        buffer_printf(out, "%*s%s: ", indent, "", row_key(row));
        write_standard(out, row);
        buffer_byte(out, '\n');
    }
}

void settings_write_defaults(struct buffer *out)
{
    buffer_text(
        out, "# Every setting of Freshet with its default; what is left out has these values.\n"
             "# Printed by `freshet check --defaults`. Durations are written 250ms, 10s, 5m, 6h,\n"
             "# 30d; sizes 64KiB, 256MiB, 4GiB. docs/CONFIG.md says more.\n");
    for (size_t i = 0; i < settings_section_count; i++)
        write_yaml_section(out, &settings_sections[i]);
}

/* ---- docs/CONFIG.md ---- */

static void write_markdown_row(struct buffer *out, const struct row *row)
{
    buffer_printf(out, "| `%s` | %s", row_key(row), row_type_name(row));
    struct buffer range = {0};
    row_write_range(&range, row);
    if (range.length > 0)
        buffer_printf(out, ": %.*s", SLICE_ARG(buffer_slice(&range)));
    buffer_deinit(&range);
    buffer_text(out, " | `");
    write_standard(out, row);
    buffer_printf(out, "` | %s | %s | %s |\n", row->restart ? "restart" : "reload",
                  row->in_arms ? "yes" : "", row->sentence);
}

static void write_markdown_rows(struct buffer *out, const struct section *section, bool of_type)
{
    buffer_text(out, "| key | type | default | to change it | in arms | meaning |\n"
                     "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        if (row_is_in(row, section) && row_is_of_type(row) == of_type)
            write_markdown_row(out, row);
    }
}

/* The properties that somebody might try, and why not. */
static void write_markdown_denied(struct buffer *out)
{
    size_t count;
    const struct kafka_denied *denied = kafka_properties_denied(&count);
    buffer_text(out, "\nRefused:\n\n| property | why |\n|---|---|\n");
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "| `%s` | %s |\n", denied[i].name, denied[i].reason);
    buffer_text(out, "| `sasl.mechanism` | other than `SCRAM-SHA-512` (the default), "
                     "`SCRAM-SHA-256` and `PLAIN`: "
                     "the others run a command or fetch tokens |\n");
}

static void write_markdown_arms(struct buffer *out)
{
    buffer_printf(
        out,
        "    arms:\n"
        "      control: {control: true}\n"
        "      fast-trend:\n"
        "        share: 0.1\n"
        "        model: {trend_weight: 0.5, rank: 32}\n"
        "        events: {click: {weight: 2}}\n"
        "        lists: {n: 50, exclude_categories: [x]}\n"
        "        guard: {hit20_drop: 0.1, churn: 0.5}\n\n"
        "Under an arm's name stand the keys of the table below and, as they are written in the "
        "file, values of\n"
        "its own for every key marked \"in arms\"; what it leaves out is as the file says. Its "
        "event types are the\n"
        "file's; a list it gives replaces the file's. At most %d arms, named by 1 to 64 of a-z, "
        "A-Z, 0-9, `.`,\n"
        "`_` and `-`; exactly one is control. The shares of the others, shadow arms aside, come "
        "to at most 1.\n"
        "Arms that train alike share their generations: `freshet check` says which do.\n\n",
        ARMS_MAX);
}

static void write_markdown_section(struct buffer *out, const struct section *section)
{
    buffer_printf(out, "\n## %s\n\n%s\n\n", section->name, section->sentence);
    if (strcmp(section->name, "arms") == 0)
        write_markdown_arms(out);
    write_markdown_rows(out, section, false);
    if (strcmp(section->name, "kafka") == 0)
        write_markdown_denied(out);
    if (strcmp(section->name, "events") == 0) {
        buffer_text(out, "\nFor each event type, under its name:\n\n");
        write_markdown_rows(out, section, true);
    }
}

void settings_write_markdown(struct buffer *out)
{
    buffer_text(
        out,
        "# Settings\n\n"
        "Freshet reads one YAML file, when it starts and again at SIGHUP. `freshet check --config "
        "FILE` says what is\n"
        "wrong with one, each complaint as `FILE:LINE: KEY: what`; `freshet check --defaults` "
        "prints\n"
        "[every key with its default](../configs/freshet.yaml); `freshet check --markdown` prints "
        "this page,\n"
        "from the same table that the parser works by.\n\n"
        "- Unknown keys, keys given twice, and values of a wrong type or out of range are "
        "refused.\n"
        "- At SIGHUP all of the file is taken over or nothing: nothing if there is a complaint, or "
        "if a key differs\n"
        "  whose change needs a restart (\"to change it\" below). An arm's own values never need "
        "one.\n"
        "- Durations are a whole number and a unit: `250ms`, `10s`, `5m`, `6h`, `30d`.\n"
        "- Sizes are a whole number and a unit: `512B`, `64KiB`, `256MiB`, `4GiB`, `1TiB`.\n"
        "- Times are UTC, to the second: `2026-11-01T00:00:00Z`.\n"
        "- A secret may be written as it is, or as `file:PATH` (the file's one line), or as "
        "`env:NAME`\n"
        "  (a variable of the environment). So may every property under `kafka`.\n"
        "- No list may expire before it is renewed: `lists.sweep` must be shorter than "
        "`lists.expiry` less\n"
        "  its jitter. The three topics must differ.\n");
    for (size_t i = 0; i < settings_section_count; i++)
        write_markdown_section(out, &settings_sections[i]);
}
