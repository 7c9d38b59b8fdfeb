#include "model/generation.h"
#include "base/mem.h"
#include "model/blas.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct generation *generation_share(struct generation *generation)
{
    generation->sharers++;
    return generation;
}

void generation_free(struct generation *generation)
{
    if (generation == NULL)
        return;
    if (generation->sharers > 0) {
        generation->sharers--;
        return;
    }
    topn_index_free(generation->index);
    free(generation->cutoffs);
    free(generation->ids);
    free(generation->Y);
    free(generation->g);
    free(generation->bytes);
    free(generation->sample.rows);
    free(generation->sample.units);
    free(generation);
}

int generation_rotate(struct generation *generation, struct error *err)
{
    size_t f = (size_t)generation->hyper.rank;
    double *G = mem_array(NULL, 2 * f * f, sizeof *G), *V = G + f * f;
    double *g = mem_array(NULL, f, sizeof *g);
    blas_gram(generation->Y, generation->items, generation->stride, generation->hyper.rank, G);
    int failed = blas_eigen(G, generation->hyper.rank, V, g, err);
    if (failed) {
        free(g);
    } else {
        blas_rotate(generation->Y, generation->items, generation->stride, generation->hyper.rank,
                    V);
        free(generation->g);
        generation->g = g;
    }
    free(G);
    return failed;
}

static void add_to_sample(struct generation_sample *sample, const float *y, uint32_t row,
                          size_t stride)
{
    double square = 0;
    for (size_t k = 0; k < stride; k++)
        square += (double)y[k] * (double)y[k];
    if (square == 0)
        return;
    double length = sqrt(square);
    sample->rows[sample->count] = row;
    float *unit = sample->units + sample->count++ * stride;
    for (size_t k = 0; k < stride; k++)
        unit[k] = (float)((double)y[k] / length);
}

static int take_sample(struct generation *generation)
{
    size_t items = generation->items;
    size_t count = items < GENERATION_SAMPLE_MAX ? items : GENERATION_SAMPLE_MAX;
    struct generation_sample *sample = &generation->sample;
    free(sample->rows);
    free(sample->units);
    *sample = (struct generation_sample){
        .rows = mem_try(count, sizeof *sample->rows),
        .units = mem_try(count * generation->stride, sizeof *sample->units)};
    if (sample->rows == NULL || sample->units == NULL)
        return -1;
    for (size_t i = 0; i < count; i++) {
        size_t row = i * items / count;
        add_to_sample(sample, generation->Y + row * generation->stride, (uint32_t)row,
                      generation->stride);
    }
    return 0;
}

int generation_prepare(struct generation *generation, struct error *err)
{
    int failed = generation_rotate(generation, err);
    if (failed)
        return failed;
    topn_index_free(generation->index);
    generation->index = topn_index_new(generation->Y, generation->items, generation->stride,
                                       generation->hyper.rank);
    if (generation->index == NULL || take_sample(generation) != 0)
        return error_set(err, ERR_DOWN, "no memory to pack %zu items", generation->items);
    return 0;
}

void generation_dir(char *path, size_t size, const char *state_dir, uint64_t key)
{
    if (key == 0)
        snprintf(path, size, "%s/generations", state_dir);
    else
        snprintf(path, size, "%s/generations/%016" PRIx64, state_dir, key);
}

void generation_path(char *path, size_t size, const char *state_dir, uint64_t key, uint64_t number)
{
    generation_dir(path, size, state_dir, key);
    size_t length = strlen(path);
    snprintf(path + length, size - length, "/%08" PRIu64 ".gen", number);
}

int generation_make_dir(const char *state_dir, uint64_t key, struct error *err)
{
    char path[4096];
    if (key != 0 && generation_make_dir(state_dir, 0, err) != 0)
        return ERR_IO;
    generation_dir(path, sizeof path, state_dir, key);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    return 0;
}

/* The number in "NNNNNNNN.gen", 0 for any other name (what is being written, for one). */
static uint64_t number_of(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    if (digits < 8 || digits > 18 || strcmp(name + digits, ".gen") != 0)
        return 0;
    return strtoull(name, NULL, 10);
}

static int compare_numbers(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

int generation_list(const char *state_dir, uint64_t key, uint64_t **numbers, size_t *count,
                    struct error *err)
{
    char path[4096];
    generation_dir(path, sizeof path, state_dir, key);
    *numbers = NULL;
    *count = 0;
    DIR *dir = opendir(path);
    if (dir == NULL && errno == ENOENT)
        return 0;
    if (dir == NULL)
        return error_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    size_t capacity = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        uint64_t number = number_of(entry->d_name);
        if (number == 0)
            continue;
        if (*count == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            *numbers = mem_array(*numbers, capacity, sizeof **numbers);
        }
        (*numbers)[(*count)++] = number;
    }
    closedir(dir);
    if (*count > 0)
        qsort(*numbers, *count, sizeof **numbers, compare_numbers);
    return 0;
}

int generation_prune(const char *state_dir, uint64_t key, size_t keep, uint64_t live,
                     struct error *err)
{
    uint64_t *numbers;
    size_t count;
    if (generation_list(state_dir, key, &numbers, &count, err) != 0)
        return ERR_IO;
    int failed = 0;
    for (size_t i = 0; i + keep < count && numbers[i] < live && !failed; i++) {
        char path[4096];
        generation_path(path, sizeof path, state_dir, key, numbers[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            failed = error_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    }
    free(numbers);
    return failed;
}
