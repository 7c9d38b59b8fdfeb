#include "daemon/yaml.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    const char *path;
    struct error *err;
};

static int refuse(struct reader *reader, size_t line, const char *what)
{
    return error_set(reader->err, ERR_SETTINGS, "%s:%zu: %s", reader->path, line + 1, what);
}

static int refuse_syntax(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *what = parser->problem != NULL ? parser->problem : "not YAML";
    if (parser->error == YAML_READER_ERROR)
        return error_set(reader->err, ERR_SETTINGS, "%s:%zu: %s (byte %zu of the file)",
                         reader->path, parser->mark.line + 1, what, parser->problem_offset);
    return refuse(reader, parser->problem_mark.line, what);
}

static int next_event(struct reader *reader, yaml_event_t *event)
{
    return yaml_parser_parse(&reader->parser, event) ? 0 : refuse_syntax(reader);
}

/* Why the event has no place in a settings file, or NULL. */
static const char *objection_to(const yaml_event_t *event, int depth)
{
    if (depth > YAML_TREE_DEPTH_MAX)
        return "nested too deep";
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "aliases (*name) are not supported";
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.anchor != NULL)
            return "anchors (&name) are not supported";
        if (event->data.scalar.tag != NULL)
            return "tags (!name) are not supported";
        if (strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
            return "U+0000 in a text";
        return NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL ? "anchors (&name) are not supported"
               : event->data.mapping_start.tag != NULL  ? "tags (!name) are not supported"
                                                        : NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL ? "anchors (&name) are not supported"
               : event->data.sequence_start.tag != NULL  ? "tags (!name) are not supported"
                                                         : NULL;
    default:
        return NULL;
    }
}

static bool is_null(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (*text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static struct yaml_tree *add_child(struct yaml_tree *tree)
{
    if ((tree->count & (tree->count - 1)) == 0) /* 0, 1, 2, 4, ...: the array is full */
        tree->children =
            mem_array(tree->children, tree->count ? tree->count * 2 : 1, sizeof *tree->children);
    struct yaml_tree *child = &tree->children[tree->count++];
    *child = (struct yaml_tree){0};
    return child;
}

static int read_value(struct reader *reader, const yaml_event_t *first, struct yaml_tree *tree,
                      int depth);

static int read_list(struct reader *reader, struct yaml_tree *tree, int depth)
{
    for (;;) {
        yaml_event_t event;
        if (next_event(reader, &event) != 0)
            return ERR_SETTINGS;
        bool ended = event.type == YAML_SEQUENCE_END_EVENT;
        int status = ended ? 0 : read_value(reader, &event, add_child(tree), depth);
        yaml_event_delete(&event);
        if (ended || status != 0)
            return status;
    }
}

static int read_member(struct reader *reader, const yaml_event_t *key, struct yaml_tree *tree,
                       int depth)
{
    const char *objection = objection_to(key, depth);
    if (objection == NULL && key->type != YAML_SCALAR_EVENT)
        objection = "a key must be a single word or text";
    if (objection != NULL)
        return refuse(reader, key->start_mark.line, objection);
    struct yaml_tree *child = add_child(tree);
    child->key = mem_strdup((const char *)key->data.scalar.value);
    yaml_event_t event;
    if (next_event(reader, &event) != 0)
        return ERR_SETTINGS;
    int status = read_value(reader, &event, child, depth);
    yaml_event_delete(&event);
    child->line = (int)key->start_mark.line + 1;
    return status;
}

static int read_map(struct reader *reader, struct yaml_tree *tree, int depth)
{
    for (;;) {
        yaml_event_t event;
        if (next_event(reader, &event) != 0)
            return ERR_SETTINGS;
        bool ended = event.type == YAML_MAPPING_END_EVENT;
        int status = ended ? 0 : read_member(reader, &event, tree, depth);
        yaml_event_delete(&event);
        if (ended || status != 0)
            return status;
    }
}

/* The value that begins with the event `first`. */
static int read_value(struct reader *reader, const yaml_event_t *first, struct yaml_tree *tree,
                      int depth)
{
    const char *objection = objection_to(first, depth);
    if (objection != NULL)
        return refuse(reader, first->start_mark.line, objection);
    tree->line = (int)first->start_mark.line + 1;
    if (first->type == YAML_MAPPING_START_EVENT) {
        tree->kind = YAML_MAP;
        return read_map(reader, tree, depth + 1);
    }
    if (first->type == YAML_SEQUENCE_START_EVENT) {
        tree->kind = YAML_LIST;
        return read_list(reader, tree, depth + 1);
    }
    tree->kind = is_null(first) ? YAML_NULL : YAML_TEXT;
    if (tree->kind == YAML_TEXT)
        tree->text = mem_strdup((const char *)first->data.scalar.value);
    return 0;
}

/* The stream: its start, at most one document, its end. */
static int read_stream(struct reader *reader, struct yaml_tree *tree)
{
    bool ended = false;
    int documents = 0;
    while (!ended) {
        yaml_event_t event;
        if (next_event(reader, &event) != 0)
            return ERR_SETTINGS;
        int status = 0;
        if (event.type == YAML_STREAM_END_EVENT)
            ended = true;
        else if (event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
            status = refuse(reader, event.start_mark.line, "a second document begins");
        else if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_START_EVENT &&
                 event.type != YAML_DOCUMENT_END_EVENT)
            status = read_value(reader, &event, tree, 0);
        yaml_event_delete(&event);
        if (status != 0)
            return status;
    }
    return 0;
}

static int read_text(const char *path, char **text, size_t *length, struct error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(err, ERR_SETTINGS, "%s: %s", path, strerror(errno));
    *text = mem_alloc(YAML_TREE_BYTES_MAX + 1);
    *length = fread(*text, 1, YAML_TREE_BYTES_MAX + 1, file);
    int status = 0;
    if (ferror(file))
        status = error_set(err, ERR_SETTINGS, "%s: %s", path, strerror(errno));
    else if (*length > YAML_TREE_BYTES_MAX)
        status =
            error_set(err, ERR_SETTINGS, "%s: larger than %d bytes", path, YAML_TREE_BYTES_MAX);
    fclose(file);
    if (status != 0)
        free(*text);
    return status;
}

int yaml_tree_load(struct yaml_tree **tree, const char *path, struct error *err)
{
    char *text = NULL;
    size_t length = 0;
    if (read_text(path, &text, &length, err) != 0)
        return ERR_SETTINGS;
    struct reader reader = {.path = path, .err = err};
    if (!yaml_parser_initialize(&reader.parser)) {
        free(text);
        return error_set(err, ERR_SETTINGS, "%s: no memory for a YAML parser", path);
    }
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
    *tree = mem_zalloc(sizeof **tree);
    int status = read_stream(&reader, *tree);
    yaml_parser_delete(&reader.parser);
    free(text);
    if (status != 0) {
        yaml_tree_free(*tree);
        *tree = NULL;
    }
    return status;
}

static void release(struct yaml_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        release(&tree->children[i]);
    free(tree->children);
    free(tree->key);
    free(tree->text);
}

void yaml_tree_free(struct yaml_tree *tree)
{
    if (tree == NULL)
        return;
    release(tree);
    free(tree);
}
