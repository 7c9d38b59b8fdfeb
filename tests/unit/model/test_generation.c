/* A generation file comes back as it was, or not at all. */
#include "model/generation.h"
#include "base/hash.h"
#include "base/mem.h"
#include "generation_sample.h"
#include "model/als.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    char dir[64];
    char path[128];
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/freshet-generation-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->path, sizeof f->path, "%s/generations", f->dir);
    if (mkdir(f->path, 0700) != 0)
        return -1;
    generation_path(f->path, sizeof f->path, f->dir, 0, 7);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char path[128];
    uint64_t *numbers;
    size_t count;
    generation_list(f->dir, 0, &numbers, &count, NULL);
    for (size_t i = 0; i < count; i++) {
        generation_path(path, sizeof path, f->dir, 0, numbers[i]);
        unlink(path);
    }
    free(numbers);
    snprintf(path, sizeof path, "%s/generations/00000009.gen.tmp", f->dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/generations/notes.gen", f->dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/generations", f->dir);
    rmdir(path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void write_sample(const struct fixture *f)
{
    struct generation *g = sample_generation(7);
    assert_int_equal(generation_write(g, f->path, NULL), 0);
    generation_free(g);
}

static unsigned char *slurp(const char *path, size_t *count)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    unsigned char *bytes = mem_alloc(65536);
    *count = fread(bytes, 1, 65536, file);
    fclose(file);
    return bytes;
}

static void spill(const char *path, const unsigned char *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

/* What reading the file says; NULL if it is taken. */
static const char *refusal(const char *path)
{
    static struct error err;
    struct generation *g;
    err = (struct error){0};
    if (generation_read(&g, path, &err) == 0) {
        generation_free(g);
        return NULL;
    }
    assert_null(g);
    return err.text;
}

/* Changes bytes and mends the checksum, as a faulty maker of files would. */
static void forge(const struct fixture *f, size_t at, const void *what, size_t count)
{
    size_t bytes;
    unsigned char *image = slurp(f->path, &bytes);
    memcpy(image + at, what, count);
    uint64_t checksum = hash_stable(image + 24, bytes - 24);
    memcpy(image + 16, &checksum, sizeof checksum);
    spill(f->path, image, bytes);
    free(image);
}

static uint64_t header_u64(const struct fixture *f, size_t at)
{
    size_t bytes;
    uint64_t value;
    unsigned char *image = slurp(f->path, &bytes);
    memcpy(&value, image + at, sizeof value);
    free(image);
    return value;
}

#define AT_RANK 40
#define AT_MANIFEST 48
#define AT_IDS 64
#define AT_FACTORS 72

static void test_a_generation_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct generation *g = sample_generation(7), *back;
    struct error err = {0};
    assert_int_equal(generation_write(g, f->path, &err), 0);
    assert_int_equal(generation_read(&back, f->path, &err), 0);
    assert_int_equal(back->number, 7);
    assert_memory_equal(&back->hyper, &g->hyper, sizeof g->hyper);
    assert_memory_equal(&back->weights, &g->weights, sizeof g->weights);
    assert_int_equal(back->gate, GATE_PASSED);
    assert_true(back->seed == g->seed);
    assert_int_equal(back->iterations, 15);
    assert_int_equal(back->cutoff_count, 2);
    assert_int_equal(back->cutoffs[0].next_offset, 123456789012);
    assert_int_equal(back->cutoffs[1].partition, 3);
    assert_int_equal(back->items, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(slice_equal(back->ids[i], g->ids[i]));
    assert_int_equal(back->stride, g->stride);
    assert_memory_equal(back->Y, g->Y, 3 * g->stride * sizeof(float));
    assert_int_equal((uintptr_t)back->Y % 64, 0);
    assert_null(back->g);
    generation_free(back);
    generation_free(g);
}

static void test_a_generation_is_not_written_through_a_symbolic_link(void **state)
{
    struct fixture *f = *state;
    char aside[160];
    snprintf(aside, sizeof aside, "%s.tmp", f->path);
    assert_int_equal(symlink("/dev/null", aside), 0);
    struct generation *g = sample_generation(7);
    struct error err = {0};
    assert_int_equal(generation_write(g, f->path, &err), ERR_IO);
    assert_int_equal(unlink(aside), 0);
    generation_free(g);
}

static void test_figures_come_back_and_nan_stays_nan(void **state)
{
    struct fixture *f = *state;
    struct generation *back;
    write_sample(f);
    assert_int_equal(generation_read(&back, f->path, NULL), 0);
    assert_int_equal(back->figures.interactions, 99);
    assert_int_equal(back->figures.tail_events, 12);
    assert_true(back->figures.ndcg20 == 0.08);
    assert_true(back->figures.ndcg20_se == 0.003);
    assert_true(back->figures.ndcg20_recent == 0.02);
    assert_true(back->figures.ndcg20_taste == 0.05);
    assert_true(back->figures.ndcg20_together == 0.06);
    assert_true(isnan(back->figures.ndcg20_live));
    generation_free(back);
}

/* What is made of the same snapshot twice is the same, however long it took. */
static void test_the_time_it_took_is_not_in_the_file(void **state)
{
    struct fixture *f = *state;
    struct generation *back;
    write_sample(f);
    assert_int_equal(generation_read(&back, f->path, NULL), 0);
    assert_true(isnan(back->figures.seconds));
    generation_free(back);
}

static void test_a_generation_without_items_is_one(void **state)
{
    struct fixture *f = *state;
    struct generation *g = sample_generation(7);
    g->items = 0;
    assert_int_equal(generation_write(g, f->path, NULL), 0);
    assert_null(refusal(f->path));
    generation_free(g);
}

static void test_a_file_cut_anywhere_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t bytes;
    write_sample(f);
    unsigned char *image = slurp(f->path, &bytes);
    for (size_t length = 0; length < bytes; length++) {
        spill(f->path, image, length);
        assert_non_null(refusal(f->path));
    }
    free(image);
}

static void test_a_file_that_has_grown_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t bytes;
    write_sample(f);
    unsigned char *image = slurp(f->path, &bytes);
    image[bytes] = 0;
    spill(f->path, image, bytes + 1);
    assert_non_null(strstr(refusal(f->path), "grown"));
    free(image);
}

static void test_a_flipped_bit_in_any_byte_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t bytes;
    write_sample(f);
    unsigned char *image = slurp(f->path, &bytes);
    for (size_t at = 0; at < bytes; at++) {
        image[at] ^= (unsigned char)(1u << at % 8);
        spill(f->path, image, bytes);
        assert_non_null(refusal(f->path));
        image[at] ^= (unsigned char)(1u << at % 8);
    }
    free(image);
}

static void test_wild_offsets_are_refused_not_followed(void **state)
{
    struct fixture *f = *state;
    static const uint64_t wild[] = {
        0, 1, 64, 4096, UINT32_MAX, UINT64_MAX, INT64_MAX, UINT64_MAX / 4, UINT64_MAX - 79};
    write_sample(f);
    size_t bytes;
    unsigned char *image = slurp(f->path, &bytes);
    /* file bytes, items, manifest offset and bytes, ids offset, factors offset */
    static const size_t fields[] = {24, 32, AT_MANIFEST, AT_MANIFEST + 8, AT_IDS, AT_FACTORS};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        for (size_t k = 0; k < sizeof wild / sizeof *wild; k++) {
            spill(f->path, image, bytes);
            forge(f, fields[i], &wild[k], sizeof wild[k]);
            assert_non_null(refusal(f->path));
        }
    free(image);
}

static void test_a_factor_that_is_not_finite_is_refused(void **state)
{
    struct fixture *f = *state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        write_sample(f);
        forge(f, header_u64(f, AT_FACTORS) + 4 * sizeof(float), &bad[i], sizeof(float));
        assert_non_null(strstr(refusal(f->path), "finite"));
    }
}

static void test_a_factor_beyond_the_rank_is_refused(void **state)
{
    struct fixture *f = *state;
    float one = 1;
    write_sample(f);
    forge(f, header_u64(f, AT_FACTORS) + 5 * sizeof(float), &one, sizeof one);
    assert_non_null(strstr(refusal(f->path), "beyond the rank"));
}

static void test_ids_out_of_order_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {"i1i10i0", "i3i10i9"};
    for (size_t i = 0; i < 2; i++) {
        write_sample(f);
        forge(f, header_u64(f, AT_IDS) + 4 * sizeof(uint32_t), texts[i], 7);
        assert_non_null(strstr(refusal(f->path), "byte order"));
    }
}

static void test_the_same_id_twice_is_refused(void **state)
{
    struct fixture *f = *state;
    const uint32_t begin[4] = {0, 2, 4, 6};
    write_sample(f);
    forge(f, header_u64(f, AT_IDS), begin, sizeof begin);
    forge(f, header_u64(f, AT_IDS) + sizeof begin, "i1i1i2", 6);
    assert_non_null(strstr(refusal(f->path), "byte order"));
}

static void test_ids_that_point_outside_are_refused(void **state)
{
    struct fixture *f = *state;
    static const uint32_t begins[][4] = {
        {0, 2, 5, 4000000000u}, {0, 2, 5, 100}, {0, 5, 2, 7}, {1, 2, 5, 7}, {0, 2, 2, 7}};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        write_sample(f);
        forge(f, header_u64(f, AT_IDS), begins[i], sizeof begins[i]);
        assert_non_null(refusal(f->path));
    }
}

static void test_a_rank_out_of_range_is_refused(void **state)
{
    struct fixture *f = *state;
    static const uint32_t ranks[] = {0, 4, 6, 17, RANK_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        write_sample(f);
        forge(f, AT_RANK, &ranks[i], sizeof ranks[i]);
        assert_non_null(refusal(f->path));
    }
}

static void test_another_version_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    uint32_t version = 2;
    write_sample(f);
    forge(f, 8, &version, sizeof version);
    assert_non_null(strstr(refusal(f->path), "version"));
}

static void test_the_other_byte_order_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    uint32_t mark = 0x04030201;
    write_sample(f);
    forge(f, 12, &mark, sizeof mark);
    assert_non_null(strstr(refusal(f->path), "byte order"));
}

/* Puts `with` where the manifest has `what`, of the same length. */
static void forge_manifest(const struct fixture *f, const char *what, const char *with)
{
    size_t bytes;
    unsigned char *image = slurp(f->path, &bytes);
    size_t at = 0, length = strlen(what);
    assert_int_equal(length, strlen(with));
    while (at + length < bytes && memcmp(image + at, what, length) != 0)
        at++;
    assert_true(at + length < bytes);
    free(image);
    forge(f, at, with, strlen(with));
}

static void test_a_manifest_that_makes_no_sense_is_refused_by_its_key(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *what, *with, *key;
    } cases[] = {
        {"\"objective\":\"hu\"", "\"objective\":\"uh\"", "objective"},
        {"\"objective\":\"hu\"", "\"objectivy\":\"hu\"", "objective"},
        {"\"rank\":5", "\"rank\":0", "rank"},
        {"\"w0\":1", "\"w0\":x", "manifest"},
        {"\"alpha\":40", "\"alpha\":-1", "alpha"},
        {"\"lambda_scaling\":\"none\"", "\"lambda_scaling\":\"some\"", "lambda_scaling"},
        {"\"trend_half_life\":\"1d\"", "\"trend_half_life\":\"2d\"", "trend_half_life"},
        {"\"rho\":0.5", "\"rho\":1.5", "rho"},
        {"\"rho\":0.5", "\"rho\":0.0", "rho"},
        {"\"weights\":", "\"weightz\":", "weights"},
        {"\"partition\":3", "\"partition\":x", "manifest"},
        {"\"partition\":3", "\"portition\":3", "cutoff"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_sample(f);
        forge_manifest(f, cases[i].what, cases[i].with);
        const char *text = refusal(f->path);
        assert_non_null(text);
        assert_non_null(strstr(text, cases[i].key));
    }
}

static void test_a_manifest_without_figures_is_taken(void **state)
{
    struct fixture *f = *state;
    struct generation *back;
    write_sample(f);
    forge_manifest(f, "\"figures\":", "\"figurez\":");
    forge_manifest(f, "\"cutoff\":", "\"cutofz\":");
    forge_manifest(f, "\"gate\":", "\"gaze\":");
    assert_int_equal(generation_read(&back, f->path, NULL), 0);
    assert_true(isnan(back->figures.ndcg20));
    assert_int_equal(back->cutoff_count, 0);
    assert_int_equal(back->gate, GATE_FIRST);
    generation_free(back);
}

static void test_a_generation_with_nan_is_not_written(void **state)
{
    struct fixture *f = *state;
    struct generation *g = sample_generation(7);
    g->Y[2] = NAN;
    assert_int_equal(generation_write(g, f->path, NULL), ERR_DATA);
    assert_int_equal(access(f->path, F_OK), -1);
    generation_free(g);
}

static void test_a_failed_write_leaves_the_old_file(void **state)
{
    struct fixture *f = *state;
    write_sample(f);
    struct generation *g = sample_generation(7);
    g->ids[2] = g->ids[0];
    assert_int_equal(generation_write(g, f->path, NULL), ERR_DATA);
    assert_null(refusal(f->path));
    generation_free(g);
}

static void test_a_missing_file_is_named(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(refusal(f->path), "00000007.gen"));
}

static void test_a_directory_that_is_not_there_is_an_error_of_input_and_output(void **state)
{
    struct generation *g = sample_generation(7);
    assert_int_equal(generation_write(g, "/nonexistent/generations/1.gen", NULL), ERR_IO);
    generation_free(g);
}

static void test_rotation_keeps_products_and_makes_the_gram_matrix_diagonal(void **state)
{
    struct generation *g = sample_generation(7);
    float before[9], after[9];
    double G[25] = {0};
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < 9; i++) {
            float *out = turn ? &after[i] : &before[i];
            *out = 0;
            for (size_t k = 0; k < 5; k++)
                *out += g->Y[i / 3 * g->stride + k] * g->Y[i % 3 * g->stride + k];
        }
        if (turn == 0)
            assert_int_equal(generation_rotate(g, NULL), 0);
    }
    for (size_t i = 0; i < 9; i++) /* sums of five products of order 1, in float32 */
        assert_true(fabsf(before[i] - after[i]) < 5e-6f);
    for (size_t i = 0; i < 25; i++)
        for (size_t row = 0; row < 3; row++)
            G[i] += (double)g->Y[row * g->stride + i / 5] * (double)g->Y[row * g->stride + i % 5];
    for (size_t i = 0; i < 25; i++)
        assert_true(fabs(G[i] - (i / 5 == i % 5 ? g->g[i / 5] : 0)) < 1e-5);
    for (size_t k = 1; k < 5; k++)
        assert_true(g->g[k] <= g->g[k - 1]);
    generation_free(g);
}

static void touch(const struct fixture *f, uint64_t number)
{
    char path[128];
    generation_path(path, sizeof path, f->dir, 0, number);
    spill(path, (const unsigned char *)"x", 1);
}

static void assert_listed(const struct fixture *f, const char *wanted)
{
    uint64_t *numbers;
    size_t count;
    char text[256] = "";
    assert_int_equal(generation_list(f->dir, 0, &numbers, &count, NULL), 0);
    for (size_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%llu", i ? " " : "",
                 (unsigned long long)numbers[i]);
    free(numbers);
    assert_string_equal(text, wanted);
}

static void test_the_list_is_ascending_and_knows_its_own(void **state)
{
    struct fixture *f = *state;
    char path[128];
    touch(f, 100000001); /* nine digits: after the eight */
    touch(f, 12);
    touch(f, 3);
    snprintf(path, sizeof path, "%s/generations/00000009.gen.tmp", f->dir);
    spill(path, (const unsigned char *)"x", 1);
    snprintf(path, sizeof path, "%s/generations/notes.gen", f->dir);
    spill(path, (const unsigned char *)"x", 1);
    assert_listed(f, "3 12 100000001");
}

static void test_no_directory_is_an_empty_list(void **state)
{
    uint64_t *numbers;
    size_t count = 9;
    assert_int_equal(generation_list("/nonexistent", 0, &numbers, &count, NULL), 0);
    assert_int_equal(count, 0);
}

static void test_pruning_keeps_the_newest(void **state)
{
    struct fixture *f = *state;
    for (uint64_t number = 1; number <= 6; number++)
        touch(f, number);
    assert_int_equal(generation_prune(f->dir, 0, 2, 6, NULL), 0);
    assert_listed(f, "5 6");
}

static void test_series_do_not_see_each_others_files(void **state)
{
    struct fixture *f = *state;
    const uint64_t key = 0x00c0ffee00c0ffee;
    char path[128];
    uint64_t *numbers;
    size_t count;
    touch(f, 1);
    touch(f, 2);
    assert_int_equal(generation_make_dir(f->dir, key, NULL), 0);
    assert_int_equal(generation_make_dir(f->dir, key, NULL), 0); /* it is there */
    generation_path(path, sizeof path, f->dir, key, 9);
    spill(path, (const unsigned char *)"x", 1);
    assert_non_null(strstr(path, "/generations/00c0ffee00c0ffee/00000009.gen"));
    assert_listed(f, "1 2");
    assert_int_equal(generation_list(f->dir, key, &numbers, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(numbers[0], 9);
    free(numbers);
    assert_int_equal(generation_prune(f->dir, 0, 0, 9, NULL), 0);
    assert_listed(f, "");
    generation_path(path, sizeof path, f->dir, key, 8);
    spill(path, (const unsigned char *)"x", 1);
    assert_int_equal(generation_prune(f->dir, key, 1, 9, NULL), 0);
    assert_int_equal(unlink(path), -1);
    generation_path(path, sizeof path, f->dir, key, 9);
    assert_int_equal(unlink(path), 0); /* the base's pruning left it */
    generation_dir(path, sizeof path, f->dir, key);
    assert_int_equal(rmdir(path), 0);
}

static void test_pruning_never_takes_the_live_one_or_newer(void **state)
{
    struct fixture *f = *state;
    for (uint64_t number = 1; number <= 6; number++)
        touch(f, number);
    assert_int_equal(generation_prune(f->dir, 0, 1, 3, NULL), 0);
    assert_listed(f, "3 4 5 6");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_generation_comes_back_as_it_was),
        TEST(test_a_generation_is_not_written_through_a_symbolic_link),
        TEST(test_figures_come_back_and_nan_stays_nan),
        TEST(test_the_time_it_took_is_not_in_the_file),
        TEST(test_a_generation_without_items_is_one),
        TEST(test_a_file_cut_anywhere_is_refused),
        TEST(test_a_file_that_has_grown_is_refused),
        TEST(test_a_flipped_bit_in_any_byte_is_refused),
        TEST(test_wild_offsets_are_refused_not_followed),
        TEST(test_a_factor_that_is_not_finite_is_refused),
        TEST(test_a_factor_beyond_the_rank_is_refused),
        TEST(test_ids_out_of_order_are_refused),
        TEST(test_the_same_id_twice_is_refused),
        TEST(test_ids_that_point_outside_are_refused),
        TEST(test_a_rank_out_of_range_is_refused),
        TEST(test_another_version_is_refused_by_name),
        TEST(test_the_other_byte_order_is_refused_by_name),
        TEST(test_a_manifest_that_makes_no_sense_is_refused_by_its_key),
        TEST(test_a_manifest_without_figures_is_taken),
        TEST(test_a_generation_with_nan_is_not_written),
        TEST(test_a_failed_write_leaves_the_old_file),
        TEST(test_a_missing_file_is_named),
        TEST(test_a_directory_that_is_not_there_is_an_error_of_input_and_output),
        TEST(test_rotation_keeps_products_and_makes_the_gram_matrix_diagonal),
        TEST(test_the_list_is_ascending_and_knows_its_own),
        TEST(test_no_directory_is_an_empty_list),
        TEST(test_pruning_keeps_the_newest),
        TEST(test_series_do_not_see_each_others_files),
        TEST(test_pruning_never_takes_the_live_one_or_newer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
