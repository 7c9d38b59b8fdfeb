#include "base/ids.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

#define CHUNK_BYTES (64 * 1024)

struct ids_chunk {
    struct ids_chunk *next;
    size_t used;
    size_t size;
    char bytes[];
};

void ids_deinit(struct ids *ids)
{
    while (ids->chunks != NULL) {
        struct ids_chunk *chunk = ids->chunks;
        ids->chunks = chunk->next;
        free(chunk);
    }
    free(ids->slots);
    free(ids->texts);
    *ids = (struct ids){0};
}

static char *keep_bytes(struct ids *ids, struct slice id)
{
    struct ids_chunk *chunk = ids->chunks;
    if (chunk == NULL || chunk->size - chunk->used < id.length) {
        size_t size = id.length > CHUNK_BYTES ? id.length : CHUNK_BYTES;
        chunk = mem_alloc(sizeof *chunk + size);
        *chunk = (struct ids_chunk){.next = ids->chunks, .size = size};
        ids->chunks = chunk;
    }
    char *kept = chunk->bytes + chunk->used;
    if (id.length > 0)
        memcpy(kept, id.data, id.length);
    chunk->used += id.length;
    return kept;
}

/* Where `id` is, or the empty slot where it would go. */
static uint32_t slot_of(const struct ids *ids, struct slice id)
{
    uint32_t slot = (uint32_t)hash_seeded(id.data, id.length) & ids->mask;
    while (ids->slots[slot] != 0 && !slice_equal(ids->texts[ids->slots[slot] - 1], id))
        slot = (slot + 1) & ids->mask;
    return slot;
}

static void grow(struct ids *ids)
{
    uint32_t size = ids->mask ? (ids->mask + 1) * 2 : 64;
    free(ids->slots);
    ids->slots = mem_zalloc((size_t)size * sizeof *ids->slots);
    ids->mask = size - 1;
    for (uint32_t number = 0; number < ids->count; number++)
        ids->slots[slot_of(ids, ids->texts[number])] = number + 1;
}

uint32_t ids_find(const struct ids *ids, struct slice id)
{
    if (ids->count == 0)
        return IDS_NONE;
    return ids->slots[slot_of(ids, id)] - 1; /* 0 - 1 is IDS_NONE */
}

uint32_t ids_add(struct ids *ids, struct slice id)
{
    if (ids->mask == 0 || ids->count + ids->count / 2 > ids->mask)
        grow(ids);
    uint32_t slot = slot_of(ids, id);
    if (ids->slots[slot] != 0)
        return ids->slots[slot] - 1;

    if (ids->count == ids->texts_capacity) {
        ids->texts_capacity = ids->texts_capacity ? ids->texts_capacity * 2 : 64;
        ids->texts = mem_array(ids->texts, ids->texts_capacity, sizeof *ids->texts);
    }
    ids->texts[ids->count] = (struct slice){keep_bytes(ids, id), id.length};
    ids->slots[slot] = ++ids->count;
    return ids->count - 1;
}
