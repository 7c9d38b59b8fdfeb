/* A generation file. Input: one byte of flags (1: its length is put right, 2: its checksum), then
 * the file. What is taken can be made ready for scoring, and written and read again. */
#include "base/hash.h"
#include "model/generation.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>

#define LENGTH_AT 24 /* see model/generation.h */
#define CHECKSUM_AT 16
#define ITEMS_PREPARED_MAX 256 /* of larger ones the eigenvectors take too long for a fuzzer */

static void put_right(char *bytes, size_t size, unsigned flags)
{
    uint64_t length = size;
    if (size < 80)
        return;
    if (flags & 1)
        memcpy(bytes + LENGTH_AT, &length, sizeof length);
    uint64_t checksum = hash_stable(bytes + LENGTH_AT, size - LENGTH_AT);
    if (flags & 2)
        memcpy(bytes + CHECKSUM_AT, &checksum, sizeof checksum);
}

static void check(const struct generation *generation)
{
    for (size_t i = 0; i < generation->items; i++) {
        MUST(generation->ids[i].length > 0);
        for (size_t k = 0; k < generation->stride; k++)
            MUST(isfinite(generation->Y[i * generation->stride + k]));
    }
}

static void write_again(const struct generation *generation)
{
    struct generation *again = NULL;
    struct error err = {0};
    const char *path = file_of("", 0, ".again");
    MUST(generation_write(generation, path, &err) == 0);
    MUST(generation_read(&again, path, &err) == 0);
    MUST(again->items == generation->items && again->stride == generation->stride);
    generation_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, (uint32_t)size};
    struct generation *generation = NULL;
    struct error err = {0};
    unsigned flags = (unsigned)take_number(&input, 1);
    char *bytes = copy_exactly(input);
    put_right(bytes, input.length, flags);
    if (generation_read(&generation, file_of(bytes, input.length, ".gen"), &err) == 0) {
        check(generation);
        write_again(generation);
        if (generation->items <= ITEMS_PREPARED_MAX && generation->stride <= 64)
            generation_prepare(generation, &err);
        generation_free(generation);
    } else {
        MUST(generation == NULL && err.text[0] != '\0');
    }
    free(bytes);
    return 0;
}
