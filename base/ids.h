/* A set of ids, each with a small dense number: "i9" <-> 7.
 *
 * The model works on numbers (rows of a matrix), the world on strings; this is where they meet.
 * Numbers count up from 0 in the order in which ids were first added. The bytes of an id never move
 * until ids_deinit, so a slice from ids_text may be kept. One thread writes; others may read only
 * while it does not. Keys are hashed with a seed of the process's own. */
#ifndef FRESHET_BASE_IDS_H
#define FRESHET_BASE_IDS_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define IDS_NONE UINT32_MAX

struct ids_chunk;

struct ids {
    uint32_t count;
    uint32_t mask;       /* size of `slots` - 1; 0 before the first add */
    uint32_t *slots;     /* open addressing: number + 1, or 0 for empty */
    struct slice *texts; /* [count] */
    uint32_t texts_capacity;
    struct ids_chunk *chunks; /* the bytes of the ids */
};

void ids_deinit(struct ids *ids);

/* The number of `id`, or IDS_NONE. */
uint32_t ids_find(const struct ids *ids, struct slice id);

/* The number of `id`, added if it is new. */
uint32_t ids_add(struct ids *ids, struct slice id);

static inline struct slice ids_text(const struct ids *ids, uint32_t number)
{
    return ids->texts[number];
}

#endif
