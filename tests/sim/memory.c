/* The process's memory: every block that the product allocates is on one list, so that a crash can
 * take them all and an orderly end must have given all back. The linker sends malloc and its like
 * here (--wrap); the simulator's own memory comes from __real_malloc or is static. */
#include "tests/sim/memory.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next, *before;
    uint64_t alive; /* ALIVE, until it is given back */
    _Alignas(16) char bytes[];
};

#define ALIVE UINT64_C(0x5eed5eed5eed5eed)

static struct block all = {.next = &all, .before = &all};
static size_t count;

static void *link_in(struct block *block)
{
    if (block == NULL)
        return NULL;
    block->next = all.next;
    block->before = &all;
    block->next->before = block->before->next = block;
    block->alive = ALIVE;
    count++;
    return block->bytes;
}

static struct block *take_out(void *memory)
{
    struct block *block = (struct block *)((char *)memory - offsetof(struct block, bytes));
    sim_check(block->alive == ALIVE, "memory is given back that is not in use");
    block->alive = 0;
    block->next->before = block->before;
    block->before->next = block->next;
    count--;
    return block;
}

void *__wrap_malloc(size_t bytes)
{
    return link_in(__real_malloc(sizeof(struct block) + bytes));
}

void *__wrap_calloc(size_t number, size_t bytes)
{
    return link_in(__real_calloc(1, sizeof(struct block) + number * bytes));
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    struct block *old = memory != NULL ? take_out(memory) : NULL;
    return link_in(__real_realloc(old, sizeof(struct block) + bytes));
}

void __wrap_free(void *memory)
{
    if (memory != NULL)
        __real_free(take_out(memory));
}

void memory_drop(void)
{
    while (all.next != &all)
        __real_free(take_out(all.next->bytes));
}

size_t memory_blocks(void)
{
    return count;
}
