#include "consumer/event.h"
#include "base/mem.h"

#include <stdlib.h>

#define CHUNK_BYTES_MIN (64 * 1024)
#define CHUNK_BYTES_MAX (1024 * 1024)

/* Each chunk is twice the last, and the last one is kept: a batch soon fits into one. */
struct chunk {
    struct chunk *next;
    size_t used;
    size_t size;
    _Alignas(max_align_t) char bytes[];
};

struct owned_thing {
    void *thing;
    void (*release)(void *thing);
};

struct batch_memory {
    struct chunk *chunks;       /* the newest, which is the one in use, first */
    struct owned_thing *things; /* [thing_count] */
    size_t thing_count;
    size_t thing_capacity;
};

const char *dead_reason_name(enum dead_reason reason)
{
#define DEAD_NAME(name, text) [name] = text,
    static const char *const names[DEAD_REASON_COUNT] = {DEAD_REASONS(DEAD_NAME)};
#undef DEAD_NAME
    return (unsigned)reason < DEAD_REASON_COUNT ? names[reason] : "unknown";
}

void batch_init(struct batch *batch)
{
    *batch = (struct batch){.memory = mem_zalloc(sizeof *batch->memory)};
}

static void release_things(struct batch_memory *memory)
{
    for (size_t i = 0; i < memory->thing_count; i++)
        memory->things[i].release(memory->things[i].thing);
    memory->thing_count = 0;
}

static void free_chunks(struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void batch_clear(struct batch *batch)
{
    struct batch_memory *memory = batch->memory;
    release_things(memory);
    batch->count = 0;
    if (memory->chunks == NULL)
        return;
    free_chunks(memory->chunks->next);
    memory->chunks->next = NULL;
    memory->chunks->used = 0;
}

void batch_deinit(struct batch *batch)
{
    if (batch->memory != NULL) {
        release_things(batch->memory);
        free_chunks(batch->memory->chunks);
        free(batch->memory->things);
        free(batch->memory);
    }
    free(batch->events);
    *batch = (struct batch){0};
}

struct event *batch_add(struct batch *batch)
{
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity ? batch->capacity * 2 : 64;
        batch->events = mem_array(batch->events, batch->capacity, sizeof *batch->events);
    }
    struct event *event = &batch->events[batch->count++];
    *event = (struct event){0};
    return event;
}

void *batch_alloc(struct batch *batch, size_t bytes)
{
    struct batch_memory *memory = batch->memory;
    struct chunk *chunk = memory->chunks;
    size_t rounded = (bytes + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    if (chunk == NULL || chunk->size - chunk->used < rounded) {
        size_t size = chunk ? chunk->size * 2 : CHUNK_BYTES_MIN;
        if (size > CHUNK_BYTES_MAX)
            size = CHUNK_BYTES_MAX;
        if (size < rounded)
            size = rounded;
        chunk = mem_alloc(sizeof *chunk + size);
        *chunk = (struct chunk){.next = memory->chunks, .size = size};
        memory->chunks = chunk;
    }
    void *room = chunk->bytes + chunk->used;
    chunk->used += rounded;
    return room;
}

void batch_own(struct batch *batch, void *thing, void (*release)(void *thing))
{
    struct batch_memory *memory = batch->memory;
    if (memory->thing_count == memory->thing_capacity) {
        memory->thing_capacity = memory->thing_capacity ? memory->thing_capacity * 2 : 64;
        memory->things = mem_array(memory->things, memory->thing_capacity, sizeof *memory->things);
    }
    memory->things[memory->thing_count++] = (struct owned_thing){thing, release};
}
