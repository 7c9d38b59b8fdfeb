#include "base/mem.h"
#include "model/blas.h"
#include "model/topn.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* A catalogue, users with factors and lists, all released by teardown. */
struct world {
    uint64_t random;
    struct topn_items items;
    float *Y, *bias, *X;
    struct slice *ids;
    char *id_bytes;
    struct topn_user users[TOPN_USERS_MAX];
    struct topn_scratch *scratch;
    struct topn_entry *out;
    uint32_t counts[TOPN_USERS_MAX];
};

#define SEED 20240611u
#define ID_SIZE 12

static uint32_t draw(struct world *world, uint32_t below)
{
    world->random = world->random * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return (uint32_t)(world->random >> 33) % below;
}

static float draw_real(struct world *world)
{
    return (float)draw(world, 1u << 24) / (1 << 23) - 1;
}

static int setup(void **state)
{
    blas_init();
    struct world *world = mem_zalloc(sizeof *world);
    world->random = SEED;
    world->scratch = topn_scratch_new();
    *state = world;
    return 0;
}

static void clear(struct world *world)
{
    free(world->Y);
    free(world->bias);
    free(world->X);
    free(world->ids);
    free(world->id_bytes);
    free(world->out);
    world->out = NULL;
}

static int teardown(void **state)
{
    struct world *world = *state;
    clear(world);
    topn_scratch_free(world->scratch);
    free(world);
    return 0;
}

/* Ids in byte order for the rows, as in a generation file, and in no order for newer items. */
static void make_ids(struct world *world, size_t rows, size_t count)
{
    world->ids = mem_array(NULL, count, sizeof *world->ids);
    world->id_bytes = mem_array(NULL, count, ID_SIZE);
    for (size_t i = 0; i < count; i++) {
        char *id = world->id_bytes + i * ID_SIZE;
        size_t number = i < rows ? 2 * i : (2 * (i * 7919 % 100003)) + 1;
        int length = snprintf(id, ID_SIZE, "i%07zu", number);
        world->ids[i] = (struct slice){id, (uint32_t)length};
    }
}

/* `value` fills factors and biases. */
static void make(struct world *world, size_t rows, size_t newer, int rank,
                 float (*value)(struct world *world))
{
    clear(world);
    size_t stride = ((size_t)rank + 15) / 16 * 16, count = rows + newer;
    world->Y = mem_try(rows, stride * sizeof(float));
    world->X = mem_try(TOPN_USERS_MAX, stride * sizeof(float));
    world->bias = mem_array(NULL, count, sizeof(float));
    for (size_t row = 0; row < rows; row++)
        for (int k = 0; k < rank; k++)
            world->Y[row * stride + (size_t)k] = value(world);
    for (size_t i = 0; i < count; i++)
        world->bias[i] = value(world);
    for (size_t user = 0; user < TOPN_USERS_MAX; user++) {
        for (int k = 0; k < rank; k++)
            world->X[user * stride + (size_t)k] = value(world);
        world->users[user] = (struct topn_user){.x = world->X + user * stride};
    }
    make_ids(world, rows, count);
    world->items = (struct topn_items){.Y = world->Y,
                                       .rows = rows,
                                       .stride = stride,
                                       .rank = rank,
                                       .bias = world->bias,
                                       .count = count,
                                       .ids = world->ids};
}

static const struct slice *sorting_ids;

static int compare_entries(const void *a, const void *b)
{
    const struct topn_entry *left = a, *right = b;
    if (left->score != right->score)
        return left->score > right->score ? -1 : 1;
    return slice_compare(sorting_ids[left->column], sorting_ids[right->column]);
}

static bool is_hidden_from(const struct topn_user *user, uint32_t column)
{
    for (size_t i = 0; i < user->hidden_count; i++)
        if (user->hidden[i] == column)
            return true;
    return false;
}

/* The twin: every pair is scored, everything is sorted. */
static uint32_t full_sort(const struct topn_items *items, const struct topn_user *user,
                          struct topn_entry *entries)
{
    uint32_t count = 0;
    for (uint32_t column = 0; column < items->count; column++) {
        bool excluded = items->excluded && (items->excluded[column / 64] >> (column % 64) & 1);
        float score = topn_score(items, user->x, column);
        if (!excluded && !is_hidden_from(user, column) && !isnan(score))
            entries[count++] = (struct topn_entry){column, score};
    }
    sorting_ids = items->ids;
    qsort(entries, count, sizeof *entries, compare_entries);
    return count;
}

static void run(struct world *world, size_t users, uint32_t n)
{
    free(world->out);
    world->out = mem_array(NULL, users * n, sizeof *world->out);
    topn(&world->items, world->users, users, n, world->out, world->counts, world->scratch);
}

static void assert_entry(const struct topn_entry *found, const struct topn_entry *expected)
{
    assert_int_equal(found->column, expected->column);
    assert_memory_equal(&found->score, &expected->score, sizeof(float)); /* the same bits */
}

static void assert_equals_full_sort(struct world *world, size_t users, uint32_t n)
{
    run(world, users, n);
    struct topn_entry *sorted = mem_array(NULL, world->items.count, sizeof *sorted);
    for (size_t user = 0; user < users; user++) {
        uint32_t count = full_sort(&world->items, &world->users[user], sorted);
        assert_int_equal(world->counts[user], count < n ? count : n);
        for (uint32_t i = 0; i < world->counts[user]; i++)
            assert_entry(&world->out[user * n + i], &sorted[i]);
    }
    free(sorted);
}

static float small_integer(struct world *world)
{
    return (float)draw(world, 5) - 2;
}

static float one(struct world *world)
{
    return 1;
}

/* One, give or take the last bit: the differences are smaller than a product's rounding error. */
static float nearly_one(struct world *world)
{
    return 1 + (float)draw(world, 3) * 0x1p-23f;
}

static float huge(struct world *world)
{
    return draw_real(world) * 1e25f; /* products overflow to infinity, sums of them to NaN */
}

static float tiny(struct world *world)
{
    return draw_real(world) * 1e-21f; /* products are denormal */
}

static float any_scale(struct world *world)
{
    return ldexpf(draw_real(world), (int)draw(world, 120) - 60);
}

static void test_topn_equals_a_full_sort(void **state)
{
    static const size_t rows[] = {1, 15, 16, 17, 511, 512, 513, 1500};
    static const int ranks[] = {1, 10, 16, 64};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < sizeof ranks / sizeof *ranks; j++) {
            make(*state, rows[i], 0, ranks[j], draw_real);
            assert_equals_full_sort(*state, 5, 20);
        }
}

static void test_topn_equals_a_full_sort_for_a_whole_block(void **state)
{
    make(*state, 3000, 100, 64, draw_real);
    assert_equals_full_sort(*state, TOPN_USERS_MAX, 100);
}

static void test_topn_breaks_ties_by_id(void **state)
{
    make(*state, 2000, 700, 3, small_integer);
    assert_equals_full_sort(*state, 8, 50);
}

static void test_topn_breaks_ties_by_id_where_ids_are_in_no_order(void **state)
{
    make(*state, 0, 2000, 1, small_integer);
    assert_equals_full_sort(*state, 1, 50);
}

static void test_topn_gives_the_smallest_ids_when_all_scores_are_equal(void **state)
{
    make(*state, 1300, 300, 16, one);
    assert_equals_full_sort(*state, 3, 40);
}

static void test_topn_gives_the_smallest_ids_when_they_come_last(void **state)
{
    struct world *world = *state;
    make(world, 0, 2000, 1, one);
    for (size_t i = 0; i < 2000; i++)
        snprintf(world->id_bytes + i * ID_SIZE, ID_SIZE, "i%07zu", 2000 - i);
    assert_equals_full_sort(world, 1, 30);
}

static void test_topn_tells_scores_apart_that_differ_by_less_than_the_filter_errs(void **state)
{
    make(*state, 2500, 0, 64, nearly_one);
    assert_equals_full_sort(*state, TOPN_USERS_MAX, 30);
}

static void test_topn_is_exact_where_products_overflow(void **state)
{
    make(*state, 1500, 50, 16, huge);
    assert_equals_full_sort(*state, 8, 20);
}

static float zero(struct world *world)
{
    return 0;
}

/* 3e38 + 1e38 - 3e38 is infinite, 3e38 - 3e38 + 1e38 is not: the last row is far below the others
 * in one order of summation and above them in the other. */
static void test_topn_is_exact_where_the_order_of_a_sum_decides_on_overflow(void **state)
{
    struct world *world = *state;
    make(world, 600, 0, 16, zero);
    for (size_t row = 0; row < 600; row++)
        world->Y[row * 16] = 3.3e38f;
    float *last = world->Y + 599 * 16;
    last[0] = 3e38f;
    last[4] = -3e38f;
    last[8] = 1e38f;
    for (int k = 0; k < 16; k++)
        world->X[k] = 1;
    assert_true(isinf(topn_score(&world->items, world->X, 599)));
    assert_equals_full_sort(world, 1, 20);
}

static void test_topn_is_exact_where_products_are_denormal(void **state)
{
    make(*state, 1500, 50, 16, tiny);
    assert_equals_full_sort(*state, 8, 20);
}

static void test_topn_is_exact_where_scales_differ_wildly(void **state)
{
    make(*state, 1500, 50, 16, any_scale);
    assert_equals_full_sort(*state, 8, 20);
}

static void test_topn_list_does_not_depend_on_who_shares_the_block(void **state)
{
    struct world *world = *state;
    make(world, 1500, 10, 64, draw_real);
    run(world, TOPN_USERS_MAX, 50);
    struct topn_entry *alone = mem_array(NULL, 50, sizeof *alone);
    for (size_t user = 0; user < TOPN_USERS_MAX; user++) {
        uint32_t count;
        topn(&world->items, &world->users[user], 1, 50, alone, &count, world->scratch);
        assert_int_equal(count, world->counts[user]);
        for (uint32_t i = 0; i < count; i++)
            assert_entry(&world->out[user * 50 + i], &alone[i]);
    }
    free(alone);
}

static void test_topn_gives_all_items_in_order_when_fewer_than_n(void **state)
{
    make(*state, 30, 7, 8, draw_real);
    assert_equals_full_sort(*state, 2, 200);
}

static void test_topn_gives_the_only_item(void **state)
{
    struct world *world = *state;
    make(world, 1, 0, 4, draw_real);
    run(world, 1, 10);
    assert_int_equal(world->counts[0], 1);
    assert_int_equal(world->out[0].column, 0);
}

static void test_topn_of_no_items_is_empty(void **state)
{
    struct world *world = *state;
    make(world, 0, 0, 4, draw_real);
    run(world, 2, 10);
    assert_int_equal(world->counts[0] + world->counts[1], 0);
}

static void test_topn_of_none_wanted_is_empty(void **state)
{
    struct world *world = *state;
    make(world, 100, 0, 4, draw_real);
    world->counts[0] = 77;
    run(world, 1, 0);
    assert_int_equal(world->counts[0], 0);
}

static void test_topn_leaves_out_excluded_items(void **state)
{
    struct world *world = *state;
    make(world, 900, 100, 8, draw_real);
    uint64_t excluded[(1000 + 63) / 64];
    for (size_t i = 0; i < sizeof excluded / sizeof *excluded; i++)
        excluded[i] = (uint64_t)draw(world, 1u << 30) << 32 | draw(world, 1u << 30);
    world->items.excluded = excluded;
    assert_equals_full_sort(world, 6, 100);
}

static void test_topn_is_empty_when_everything_is_excluded(void **state)
{
    struct world *world = *state;
    make(world, 600, 40, 8, draw_real);
    uint64_t excluded[10] = {0};
    memset(excluded, 0xff, sizeof excluded);
    world->items.excluded = excluded;
    run(world, 3, 10);
    assert_int_equal(world->counts[0] + world->counts[1] + world->counts[2], 0);
}

static void test_topn_leaves_out_items_the_user_has_had(void **state)
{
    struct world *world = *state;
    make(world, 1200, 100, 8, draw_real);
    uint32_t hidden[500];
    for (uint32_t i = 0; i < 500; i++) /* ascending, repeats, both ends, the newer items, too */
        hidden[i] = i / 2 * 1299 / 249;
    world->users[1].hidden = hidden;
    world->users[1].hidden_count = 500;
    assert_equals_full_sort(world, 3, 60);
}

static void test_topn_refills_when_the_best_are_hidden(void **state)
{
    struct world *world = *state;
    make(world, 800, 0, 8, draw_real);
    run(world, 1, 10);
    uint32_t hidden[10], count = 0;
    for (uint32_t column = 0; column < 800; column++)
        for (uint32_t i = 0; i < 10; i++)
            if (world->out[i].column == column)
                hidden[count++] = column;
    world->users[0].hidden = hidden;
    world->users[0].hidden_count = count;
    assert_equals_full_sort(world, 1, 10);
}

static void test_topn_scores_newer_items_by_their_bias_alone(void **state)
{
    struct world *world = *state;
    make(world, 700, 1, 8, draw_real);
    world->bias[700] = 1000;
    run(world, 2, 5);
    assert_int_equal(world->out[5].column, 700);
    assert_true(world->out[5].score == 1000);
}

static void test_topn_goes_by_bias_where_there_is_no_generation(void **state)
{
    struct world *world = *state;
    make(world, 0, 900, 8, draw_real);
    world->items.Y = NULL;
    assert_equals_full_sort(world, 4, 25);
}

static void test_topn_goes_by_bias_for_users_without_factors(void **state)
{
    struct world *world = *state;
    make(world, 900, 30, 8, draw_real);
    world->users[0].x = world->users[3].x = NULL; /* between others */
    assert_equals_full_sort(world, 6, 25);
}

static void test_topn_never_lists_a_score_that_is_not_a_number(void **state)
{
    struct world *world = *state;
    make(world, 900, 30, 8, draw_real);
    for (size_t i = 0; i < 930; i += 3)
        world->bias[i] = NAN;
    assert_equals_full_sort(world, 4, 930);
    assert_int_equal(world->counts[0], 620);
}

static void test_topn_knowing_the_largest_norm_changes_nothing(void **state)
{
    struct world *world = *state;
    make(world, 1500, 10, 64, draw_real);
    world->items.norm_max = topn_norm_max(world->Y, 1500, world->items.stride, 64);
    assert_equals_full_sort(world, 9, 30);
}

/* Any order of summation of k products in float errs by at most k u |x| |y|, u = 2^-24, to first
 * order; adding the bias by u times the result. With entries below 1, |x| |y| <= k. */
static void test_topn_score_is_the_product_plus_the_bias(void **state)
{
    struct world *world = *state;
    make(world, 50, 5, 37, draw_real);
    for (uint32_t column = 0; column < 55; column++) {
        double expected = world->bias[column];
        for (size_t k = 0; k < 37 && column < 50; k++)
            expected += (double)world->X[k] * world->Y[column * world->items.stride + k];
        float score = topn_score(&world->items, world->X, column);
        assert_true(fabs(score - expected) <= (37.0 * 37 + 38) * 0x1p-24);
    }
}

int main(void)
{
    printf("seed %u\n", SEED);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_topn_equals_a_full_sort),
        TEST(test_topn_equals_a_full_sort_for_a_whole_block),
        TEST(test_topn_breaks_ties_by_id),
        TEST(test_topn_breaks_ties_by_id_where_ids_are_in_no_order),
        TEST(test_topn_gives_the_smallest_ids_when_all_scores_are_equal),
        TEST(test_topn_gives_the_smallest_ids_when_they_come_last),
        TEST(test_topn_tells_scores_apart_that_differ_by_less_than_the_filter_errs),
        TEST(test_topn_is_exact_where_products_overflow),
        TEST(test_topn_is_exact_where_the_order_of_a_sum_decides_on_overflow),
        TEST(test_topn_is_exact_where_products_are_denormal),
        TEST(test_topn_is_exact_where_scales_differ_wildly),
        TEST(test_topn_list_does_not_depend_on_who_shares_the_block),
        TEST(test_topn_gives_all_items_in_order_when_fewer_than_n),
        TEST(test_topn_gives_the_only_item),
        TEST(test_topn_of_no_items_is_empty),
        TEST(test_topn_of_none_wanted_is_empty),
        TEST(test_topn_leaves_out_excluded_items),
        TEST(test_topn_is_empty_when_everything_is_excluded),
        TEST(test_topn_leaves_out_items_the_user_has_had),
        TEST(test_topn_refills_when_the_best_are_hidden),
        TEST(test_topn_scores_newer_items_by_their_bias_alone),
        TEST(test_topn_goes_by_bias_where_there_is_no_generation),
        TEST(test_topn_goes_by_bias_for_users_without_factors),
        TEST(test_topn_never_lists_a_score_that_is_not_a_number),
        TEST(test_topn_knowing_the_largest_norm_changes_nothing),
        TEST(test_topn_score_is_the_product_plus_the_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
