#include "base/hash.h"

#include <pthread.h>
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
