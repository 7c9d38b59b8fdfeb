/* Where a key stands in a settings file, for complaints that come after it was read. */
#include "daemon/settings.h"
#include "daemon/yaml.h"

#include <stdio.h>
#include <string.h>

/* What of `key` is left below the child of that name, or NULL. Names may have dots in them. */
static const char *below(const char *key, const char *name)
{
    size_t length = strlen(name);
    if (strncmp(key, name, length) != 0)
        return NULL;
    return key[length] == '.' ? key + length + 1 : key[length] == '\0' ? key + length : NULL;
}

/* The line of the key, or of what it would stand under; `line` if it has nothing of it. */
static int find_line(const struct yaml_tree *tree, const char *key, int line)
{
    for (size_t i = 0; i < tree->count && *key != '\0' && tree->kind == YAML_MAP; i++) {
        const struct yaml_tree *child = &tree->children[i];
        const char *rest = below(key, child->key);
        if (rest != NULL)
            return find_line(child, rest, child->line);
    }
    return line;
}

static void place(struct buffer *out, const char *path, const struct yaml_tree *tree,
                  struct slice complaint)
{
    char key[256];
    const char *colon = memchr(complaint.data, ':', complaint.length);
    size_t length = colon != NULL ? (size_t)(colon - complaint.data) : complaint.length;
    snprintf(key, sizeof key, "%.*s", (int)length, complaint.data);
    buffer_printf(out, "%s:%d: %.*s\n", path, find_line(tree, key, 1), SLICE_ARG(complaint));
}

void settings_place_complaints(struct buffer *complaints, const char *path)
{
    struct yaml_tree *tree;
    struct error err = {0};
    struct buffer placed = {0};
    if (complaints->length == 0 || yaml_tree_load(&tree, path, &err) != 0)
        return;
    const char *at = complaints->data, *last = at + complaints->length;
    for (const char *end; at < last && (end = memchr(at, '\n', (size_t)(last - at))) != NULL;
         at = end + 1)
        place(&placed, path, tree, (struct slice){at, (uint32_t)(end - at)});
    yaml_tree_free(tree);
    buffer_clear(complaints);
    buffer_add(complaints, placed.data, placed.length);
    buffer_deinit(&placed);
}
