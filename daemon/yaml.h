/* YAML -> a tree of keys, texts and line numbers: the one door to libyaml.
 *
 * One document of at most YAML_TREE_BYTES_MAX bytes, nested at most YAML_TREE_DEPTH_MAX deep. What
 * a settings file does not need is refused: anchors, aliases, tags, keys that are no scalars.
 * Nothing is interpreted; duplicate keys are kept, in order, for the caller to complain about.
 * Plain memory, one thread at a time. https://yaml.org/spec/1.1/ */
#ifndef FRESHET_DAEMON_YAML_H
#define FRESHET_DAEMON_YAML_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define YAML_TREE_BYTES_MAX (1024 * 1024)
#define YAML_TREE_DEPTH_MAX 8

enum yaml_kind { YAML_NULL, YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_tree {
    enum yaml_kind kind;        /* YAML_NULL: nothing, "~" or "null", unquoted */
    int line;                   /* of its key, in a map; counts from 1 */
    char *key;                  /* in a map, else NULL */
    char *text;                 /* of YAML_TEXT; UTF-8 without U+0000 */
    struct yaml_tree *children; /* [count], of a list or a map */
    size_t count;
};

/* Reads the file. ERR_SETTINGS with "FILE:LINE: what"; an empty file is YAML_NULL. */
int yaml_tree_load(struct yaml_tree **tree, const char *path, struct error *err);
void yaml_tree_free(struct yaml_tree *tree);

#endif
