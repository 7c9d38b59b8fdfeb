#include "base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENAS_MAX 2          /* the loop's, and one for all that work beside it */
#define OWN_MAPPING (1 << 20) /* bytes */

void mem_give_back(void)
{
    mallopt(M_ARENA_MAX, ARENAS_MAX);
    mallopt(M_MMAP_THRESHOLD, OWN_MAPPING);
    mallopt(M_TRIM_THRESHOLD, OWN_MAPPING);
}

void mem_trim(void)
{
    malloc_trim(0);
}

static void *require(void *memory, size_t bytes)
{
    if (memory != NULL)
        return memory;
    fprintf(stderr, "freshet: out of memory (%zu bytes wanted)\n", bytes);
    abort();
}

void *mem_alloc(size_t bytes)
{
    return require(malloc(bytes ? bytes : 1), bytes);
}

void *mem_zalloc(size_t bytes)
{
    return require(calloc(1, bytes ? bytes : 1), bytes);
}

void *mem_array(void *old, size_t count, size_t bytes)
{
    if (bytes != 0 && count > SIZE_MAX / bytes)
        return require(NULL, SIZE_MAX);
    size_t total = count * bytes;
    return require(realloc(old, total ? total : 1), total);
}

char *mem_strndup(const char *text, size_t length)
{
    char *copy = mem_alloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

void *mem_try(size_t count, size_t bytes)
{
    if (bytes != 0 && count > (SIZE_MAX - 64) / bytes)
        return NULL;
    size_t total = (count * bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, total ? total : 64);
    if (memory != NULL)
        memset(memory, 0, total);
    return memory;
}
