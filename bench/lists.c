/* lists-driver DIR RANK ITEMS USERS: exact top-100 lists of all users, without what they have had.
 *
 * DIR holds Y.f32 [ITEMS, RANK], X.f32 [USERS, RANK], seen.begin (u64 [USERS + 1]) and seen.columns
 * (u32, ascending for each user). Runs: cold, and warm, which starts from each user's list as it
 * was when his factors were a tenth different. */
#include "base/mem.h"
#include "bench/driver.h"
#include "model/topn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 100
#define REMEMBERED (N + 16) /* what a user's record keeps */
#define ID_SIZE 16
#define CHANGE 0.1f

struct work {
    size_t items, users, stride;
    int rank;
    struct topn_items catalogue;
    struct topn_user *cold, *warm;
    struct topn_entry *entries; /* [TOPN_USERS_MAX, REMEMBERED] */
    struct topn_scratch *scratch;
};

static void *load(const char *dir, const char *name, size_t bytes_wanted)
{
    char path[4096];
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    void *data = driver_load(path, &bytes);
    if (bytes_wanted != 0 && bytes != bytes_wanted) {
        fprintf(stderr, "lists: %s has the wrong size\n", path);
        exit(65);
    }
    return data;
}

static float *load_matrix(const char *dir, const char *name, size_t rows, int rank, size_t stride)
{
    float *from = load(dir, name, rows * (size_t)rank * sizeof(float));
    float *to = mem_try(rows, stride * sizeof *to);
    if (to == NULL)
        exit(71);
    for (size_t row = 0; row < rows; row++)
        memcpy(to + row * stride, from + row * (size_t)rank, (size_t)rank * sizeof *to);
    free(from);
    return to;
}

static void make_catalogue(struct work *work, const float *Y)
{
    struct slice *ids = mem_array(NULL, work->items, sizeof *ids);
    char *bytes = mem_array(NULL, work->items, ID_SIZE);
    for (size_t i = 0; i < work->items; i++) {
        int length = snprintf(bytes + i * ID_SIZE, ID_SIZE, "i%08zu", i);
        ids[i] = (struct slice){bytes + i * ID_SIZE, (uint32_t)length};
    }
    work->catalogue =
        (struct topn_items){.index = topn_index_new(Y, work->items, work->stride, work->rank),
                            .bias = mem_try(work->items, sizeof(float)),
                            .count = work->items,
                            .ids = ids};
}

static size_t block(const struct work *work, size_t begin)
{
    return work->users - begin < TOPN_USERS_MAX ? work->users - begin : TOPN_USERS_MAX;
}

/* X with each factor up to a tenth larger or smaller. */
static float *change(const struct work *work, const float *X)
{
    float *changed = mem_try(work->users, work->stride * sizeof *changed);
    uint64_t random = 1;
    for (size_t i = 0; changed != NULL && i < work->users * work->stride; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
        changed[i] = X[i] * (1 + CHANGE * ((float)(random >> 40) / (1 << 23) - 1));
    }
    return changed;
}

static void remember(struct work *work, float *before)
{
    uint32_t *last = mem_array(NULL, work->users * REMEMBERED, sizeof *last);
    uint32_t counts[TOPN_USERS_MAX];
    struct topn_user users[TOPN_USERS_MAX];
    for (size_t begin = 0; begin < work->users; begin += TOPN_USERS_MAX) {
        size_t count = block(work, begin);
        for (size_t i = 0; i < count; i++) {
            users[i] = work->cold[begin + i];
            users[i].x = before + (begin + i) * work->stride;
        }
        topn(&work->catalogue, users, count, REMEMBERED, work->entries, counts, work->scratch);
        for (size_t i = 0; i < count; i++) {
            work->warm[begin + i].last = last + (begin + i) * REMEMBERED;
            work->warm[begin + i].last_count = counts[i];
            for (uint32_t j = 0; j < counts[i]; j++)
                last[(begin + i) * REMEMBERED + j] = work->entries[i * REMEMBERED + j].column;
        }
    }
    free(before);
}

static void make_users(struct work *work, const char *dir, const float *X)
{
    const uint64_t *from = load(dir, "seen.begin", (work->users + 1) * sizeof *from);
    const uint32_t *seen = load(dir, "seen.columns", from[work->users] * sizeof *seen);
    work->cold = mem_zalloc(work->users * sizeof *work->cold);
    work->warm = mem_zalloc(work->users * sizeof *work->warm);
    for (size_t i = 0; i < work->users; i++) {
        work->cold[i] = (struct topn_user){.x = X + i * work->stride,
                                           .hidden = seen + from[i],
                                           .hidden_count = from[i + 1] - from[i]};
        work->warm[i] = work->cold[i];
    }
}

static void lists(struct work *work, const struct topn_user *users, char *fields,
                  size_t fields_size)
{
    uint32_t counts[TOPN_USERS_MAX];
    double sum = 0; /* of the columns: the same, however they were found */
    for (size_t begin = 0; begin < work->users; begin += TOPN_USERS_MAX) {
        size_t count = block(work, begin);
        topn(&work->catalogue, users + begin, count, N, work->entries, counts, work->scratch);
        for (size_t i = 0; i < count; i++)
            for (uint32_t j = 0; j < counts[i]; j++)
                sum += (j + 1) * (double)work->entries[i * N + j].column;
    }
    snprintf(fields, fields_size, "\"sum\":%.0f", sum);
}

static void run_cold(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    lists(work, work->cold, fields, fields_size);
}

static void run_warm(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    lists(work, work->warm, fields, fields_size);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: lists-driver DIR RANK ITEMS USERS\n");
        return 64;
    }
    struct work work = {.rank = atoi(argv[2]),
                        .items = strtoul(argv[3], NULL, 10),
                        .users = strtoul(argv[4], NULL, 10)};
    work.stride = ((size_t)work.rank + 15) / 16 * 16;
    float *Y = load_matrix(argv[1], "Y.f32", work.items, work.rank, work.stride);
    float *X = load_matrix(argv[1], "X.f32", work.users, work.rank, work.stride);
    make_catalogue(&work, Y);
    work.scratch = topn_scratch_new();
    work.entries = mem_array(NULL, TOPN_USERS_MAX * REMEMBERED, sizeof *work.entries);
    make_users(&work, argv[1], X);
    remember(&work, change(&work, X));
    const struct driver_run runs[] = {{"cold", run_cold, &work}, {"warm", run_warm, &work}};
    return driver_serve(runs, sizeof runs / sizeof *runs);
}
