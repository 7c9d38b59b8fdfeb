/* topn-driver DIR RANK ITEMS USERS FILTER: exact top-100 lists for a few hundred users, on one
 * core.
 *
 * DIR holds Y.f32 [ITEMS, RANK], X.f32 [USERS, RANK] and before.f32 [USERS, RANK]: users' factors
 * before their latest event, whose lists give the warm threshold. FILTER is one of
 * topn_filter_names, or "best".
 *
 * Runs: cold, warm (lists); sgemm, sgemm-t (OpenBLAS, the whole product and nothing else, [USERS,
 * ITEMS] and [ITEMS, USERS]); kernel (products and comparisons alone, nothing passes or is passed
 * over); probe (multiply-adds in registers alone: what the core can do). */
#include "base/mem.h"
#include "bench/driver.h"
#include "model/blas.h"
#include "model/topn_index.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 100
#define REMEMBERED (N + 16) /* what a user's record keeps */
#define PROBE_STEPS 20000000
#define ID_SIZE 16

struct work {
    size_t items, users, stride;
    int rank;
    struct topn_items catalogue;
    struct topn_index *index;
    float *Y, *X, *before; /* [.., stride] */
    struct topn_user *cold, *warm, *earlier;
    struct topn_entry *entries, *first; /* [users, N]; first: of the first run */
    uint32_t *counts;
    float *product; /* [users, items] */
    struct topn_scratch *scratch;
};

static float *load(const char *dir, const char *name, size_t rows, int rank, size_t stride)
{
    char path[4096];
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    float *from = driver_load(path, &bytes), *to = mem_try(rows, stride * sizeof *to);
    if (to == NULL || bytes != rows * (size_t)rank * sizeof *from) {
        fprintf(stderr, "topn: %s has the wrong size\n", path);
        exit(65);
    }
    for (size_t row = 0; row < rows; row++)
        memcpy(to + row * stride, from + row * (size_t)rank, (size_t)rank * sizeof *to);
    free(from);
    return to;
}

static void make_catalogue(struct work *work)
{
    struct slice *ids = mem_array(NULL, work->items, sizeof *ids);
    char *bytes = mem_array(NULL, work->items, ID_SIZE);
    for (size_t i = 0; i < work->items; i++) {
        int length = snprintf(bytes + i * ID_SIZE, ID_SIZE, "i%08zu", i);
        ids[i] = (struct slice){bytes + i * ID_SIZE, (uint32_t)length};
    }
    work->catalogue = (struct topn_items){.index = work->index,
                                          .bias = mem_try(work->items, sizeof(float)),
                                          .count = work->items,
                                          .ids = ids};
}

static void lists(struct work *work, const struct topn_user *users, uint32_t n,
                  struct topn_entry *entries)
{
    for (size_t i = 0; i < work->users; i += TOPN_USERS_MAX) {
        size_t count = work->users - i < TOPN_USERS_MAX ? work->users - i : TOPN_USERS_MAX;
        topn(&work->catalogue, users + i, count, n, entries + i * n, work->counts + i,
             work->scratch);
    }
}

static void make_users(struct work *work)
{
    work->cold = mem_zalloc(work->users * sizeof *work->cold);
    work->warm = mem_zalloc(work->users * sizeof *work->warm);
    work->earlier = mem_zalloc(work->users * sizeof *work->earlier);
    uint32_t *last = mem_array(NULL, work->users * REMEMBERED, sizeof *last);
    struct topn_entry *entries = mem_array(NULL, work->users * REMEMBERED, sizeof *entries);
    for (size_t i = 0; i < work->users; i++) {
        work->earlier[i].x = work->before + i * work->stride;
        work->cold[i].x = work->warm[i].x = work->X + i * work->stride;
        work->warm[i].last = last + i * REMEMBERED;
    }
    lists(work, work->earlier, REMEMBERED, entries);
    for (size_t i = 0; i < work->users; i++) {
        work->warm[i].last_count = work->counts[i];
        for (uint32_t j = 0; j < work->counts[i]; j++)
            last[i * REMEMBERED + j] = entries[i * REMEMBERED + j].column;
    }
    free(entries);
}

/* Whatever the run, the lists have to be the same. */
static void check(struct work *work)
{
    size_t bytes = work->users * N * sizeof *work->entries;
    if (work->first == NULL) {
        work->first = mem_alloc(bytes);
        memcpy(work->first, work->entries, bytes);
    }
    if (memcmp(work->first, work->entries, bytes) != 0) {
        fprintf(stderr, "topn: the lists differ from those of the first run\n");
        exit(70);
    }
}

static void run_cold(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    lists(work, work->cold, N, work->entries);
    check(work);
}

static void run_warm(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    lists(work, work->warm, N, work->entries);
    check(work);
}

static void core_field(char *fields, size_t fields_size)
{
    snprintf(fields, fields_size, "\"core\":\"%s\"", blas_core_name());
}

static void run_sgemm(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    blas_multiply_transposed(work->X, work->stride, work->Y, work->stride, work->product,
                             work->items, (int)work->users, (int)work->items, work->rank);
    core_field(fields, fields_size);
}

static void run_sgemm_t(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    blas_multiply_transposed(work->Y, work->stride, work->X, work->stride, work->product,
                             work->users, (int)work->items, (int)work->users, work->rank);
    core_field(fields, fields_size);
}

static void run_kernel(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    const struct topn_index *index = work->index;
    static const struct topn_panel panel = {.norm = FLT_MAX, .scale = 1};
    static const _Alignas(64) float bias[TOPN_PANEL];
    struct topn_group group = {.scale = {0}};
    struct topn_tile *tile = mem_try(1, sizeof *tile);
    char *users = mem_try(TOPN_USERS_MAX, (size_t)index->steps * TOPN_GROUP * sizeof(float));
    memset(users, 1, TOPN_USERS_MAX * (size_t)index->steps * sizeof(float));
    *tile =
        (struct topn_tile){.bias = bias, .steps = index->steps, .panel = &panel, .group = &group};
    for (int i = 0; i < TOPN_GROUP; i++) {
        group.threshold[i] = FLT_MAX / 4;
        group.norm[i] = group.scale[i] = 1;
    }
    unsigned passing = 0;
    for (size_t block = 0; block < work->users; block += TOPN_USERS_MAX)
        for (size_t at = 0; at < index->panel_count; at++)
            for (size_t user = block; user < work->users && user < block + TOPN_USERS_MAX;
                 user += TOPN_GROUP) {
                tile->items = index->packed + at * index->panel_bytes;
                tile->users = users + (user - block) * (size_t)index->steps * sizeof(float);
                passing += index->kernel(tile);
            }
    snprintf(fields, fields_size, "\"passing\":%u", passing);
    free(users);
    free(tile);
}

#if defined(__x86_64__)
#include <immintrin.h>

/* 2 * 16 * 12 operations a step. */
__attribute__((target("avx512f"))) static float probe_avx512(void)
{
    __m512 sums[12];
    for (int i = 0; i < 12; i++)
        sums[i] = _mm512_set1_ps((float)i);
    __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
    for (int step = 0; step < PROBE_STEPS; step++)
        _Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) sums[i] =
            _mm512_fmadd_ps(sums[i], a, b);
    float sum = 0;
    for (int i = 0; i < 12; i++)
        sum += _mm512_reduce_add_ps(sums[i]);
    return sum;
}

/* 2 * 8 * 12. */
__attribute__((target("avx2,fma"))) static float probe_avx2(void)
{
    __m256 sums[12];
    for (int i = 0; i < 12; i++)
        sums[i] = _mm256_set1_ps((float)i);
    __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
    for (int step = 0; step < PROBE_STEPS; step++)
        _Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) sums[i] =
            _mm256_fmadd_ps(sums[i], a, b);
    float sum = 0, lanes[8];
    for (int i = 0; i < 12; i++) {
        _mm256_storeu_ps(lanes, sums[i]);
        sum += lanes[0];
    }
    return sum;
}
#endif

static void run_probe(void *arg, char *fields, size_t fields_size)
{
    struct work *work = arg;
    double operations = 0;
    float sum = 0;
#if defined(__x86_64__)
    bool wide = work->index->dots == topn_dots_avx512;
    if (topn_filter_available(TOPN_AVX2)) {
        sum = wide ? probe_avx512() : probe_avx2();
        operations = 2.0 * 12 * PROBE_STEPS * (wide ? 16 : 8);
    }
#endif
    snprintf(fields, fields_size, "\"operations\":%.0f,\"sum\":%g", operations, (double)sum);
}

static struct topn_index *make_index(const struct work *work, const char *name)
{
    if (strcmp(name, "best") == 0)
        return topn_index_new(work->Y, work->items, work->stride, work->rank);
    for (int filter = 0; filter < TOPN_FILTERS; filter++)
        if (strcmp(name, topn_filter_names[filter]) == 0)
            return topn_index_new_for(work->Y, work->items, work->stride, work->rank,
                                      (enum topn_filter)filter);
    return NULL;
}

/* What the best filter here is: what `topn-driver filter` prints. */
static int print_best(void)
{
    static const float one[TOPN_LANES] = {1};
    struct topn_index *index = topn_index_new(one, 1, TOPN_LANES, 1);
    puts(topn_filter_names[index->filter]);
    topn_index_free(index);
    return 0;
}

int main(int argc, char **argv)
{
    blas_know_processor(argv);
    if (argc == 2 && strcmp(argv[1], "filter") == 0)
        return print_best();
    if (argc != 6) {
        fprintf(stderr, "usage: topn-driver DIR RANK ITEMS USERS FILTER | topn-driver filter\n");
        return 64;
    }
    blas_init();
    struct work work = {.rank = atoi(argv[2]),
                        .items = strtoul(argv[3], NULL, 10),
                        .users = strtoul(argv[4], NULL, 10)};
    work.stride = ((size_t)work.rank + 15) / 16 * 16;
    work.Y = load(argv[1], "Y.f32", work.items, work.rank, work.stride);
    work.X = load(argv[1], "X.f32", work.users, work.rank, work.stride);
    work.before = load(argv[1], "before.f32", work.users, work.rank, work.stride);
    work.index = make_index(&work, argv[5]);
    work.product = mem_try(work.users, work.items * sizeof(float));
    if (work.index == NULL || work.product == NULL) {
        fprintf(stderr, "topn: no such filter here, or not enough memory: %s\n", argv[5]);
        return 69;
    }
    make_catalogue(&work);
    work.scratch = topn_scratch_new();
    work.entries = mem_array(NULL, work.users * N, sizeof *work.entries);
    work.counts = mem_array(NULL, work.users, sizeof *work.counts);
    make_users(&work);
    const struct driver_run runs[] = {
        {"cold", run_cold, &work},     {"warm", run_warm, &work},
        {"sgemm", run_sgemm, &work},   {"sgemm-t", run_sgemm_t, &work},
        {"kernel", run_kernel, &work}, {"probe", run_probe, &work}};
    return driver_serve(runs, sizeof runs / sizeof *runs);
}
