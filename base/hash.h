/* Hashes: XXH3 (https://xxhash.com), from the library.
 *
 * hash_seeded is for tables in memory: its seed is drawn once a process from the system, so that
 * nobody can choose keys that collide. hash_stable is for bytes that outlive the process
 * (checksums, event ids in the state): the same everywhere and for ever. Any thread. */
#ifndef FRESHET_BASE_HASH_H
#define FRESHET_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_seeded(const void *data, size_t bytes);
uint64_t hash_stable(const void *data, size_t bytes);
uint64_t hash_stable_with(const void *data, size_t bytes, uint64_t seed);

/* hash_stable of bytes that come piece by piece; _end gives it and frees. */
struct hash_stream;
struct hash_stream *hash_stream_new(void);
void hash_stream_add(struct hash_stream *stream, const void *data, size_t bytes);
uint64_t hash_stream_end(struct hash_stream *stream);

#endif
