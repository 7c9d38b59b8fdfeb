#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

static uint64_t process_seed;

static void draw_seed(void)
{
    if (getrandom(&process_seed, sizeof process_seed, 0) == (ssize_t)sizeof process_seed)
        return;
    struct timespec now; /* an old kernel: worse than random, better than a constant */
    clock_gettime(CLOCK_MONOTONIC, &now);
    process_seed = (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid();
}

uint64_t hash_seeded(const void *data, size_t bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_seed);
    return XXH3_64bits_withSeed(data, bytes, process_seed);
}

uint64_t hash_stable(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}

uint64_t hash_stable_with(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}

/* The library's state wants an alignment of its own, so the library makes it. */
struct hash_stream *hash_stream_new(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state == NULL)
        abort(); /* as base/mem.h does: it is half a KiB */
    XXH3_64bits_reset(state);
    return (struct hash_stream *)state;
}

void hash_stream_add(struct hash_stream *stream, const void *data, size_t bytes)
{
    XXH3_64bits_update((XXH3_state_t *)stream, data, bytes);
}

uint64_t hash_stream_end(struct hash_stream *stream)
{
    uint64_t hash = XXH3_64bits_digest((XXH3_state_t *)stream);
    XXH3_freeState((XXH3_state_t *)stream);
    return hash;
}
