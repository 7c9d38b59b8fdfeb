#include "base/mem.h"
#include "model/topn_work.h"

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
    size_t rows, stride;
    int rank;
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
    struct world *world = mem_zalloc(sizeof *world);
    world->random = SEED;
    world->scratch = topn_scratch_new();
    *state = world;
    return 0;
}

static void clear(struct world *world)
{
    topn_index_free((struct topn_index *)world->items.index);
    world->items.index = NULL;
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
    world->rows = rows;
    world->stride = stride;
    world->rank = rank;
    world->items = (struct topn_items){.bias = world->bias, .count = count, .ids = world->ids};
}

/* The index is made anew, since a test may have changed the factors. False if the processor lacks
 * the filter. */
static bool use(struct world *world, enum topn_filter filter)
{
    topn_index_free((struct topn_index *)world->items.index);
    world->items.index =
        topn_index_new_for(world->Y, world->rows, world->stride, world->rank, filter);
    return world->items.index != NULL;
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

static float extra_of(const struct topn_user *user, uint32_t column)
{
    for (size_t i = 0; i < user->extra_count; i++)
        if (user->extras[i].column == column)
            return user->extras[i].value;
    return 0;
}

/* The twin: every pair is scored, everything is sorted. */
static uint32_t full_sort(const struct topn_items *items, const struct topn_user *user,
                          struct topn_entry *entries)
{
    uint32_t count = 0;
    for (uint32_t column = 0; column < items->count; column++) {
        bool excluded = items->excluded && (items->excluded[column / 64] >> (column % 64) & 1);
        float score = topn_score(items, user->x, column, extra_of(user, column));
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
    world->out = mem_array(NULL, users * n + 1, sizeof *world->out);
    if (world->items.index == NULL)
        use(world, TOPN_PLAIN);
    topn(&world->items, world->users, users, n, world->out, world->counts, world->scratch);
}

static void assert_entry(const struct topn_entry *found, const struct topn_entry *expected)
{
    assert_int_equal(found->column, expected->column);
    assert_memory_equal(&found->score, &expected->score, sizeof(float)); /* the same bits */
}

/* expected: [users, items.count]; expected_counts: [users] */
static void assert_lists(struct world *world, size_t users, uint32_t n,
                         const struct topn_entry *expected, const uint32_t *expected_counts)
{
    run(world, users, n);
    for (size_t user = 0; user < users; user++) {
        uint32_t count = expected_counts[user];
        assert_int_equal(world->counts[user], count < n ? count : n);
        for (uint32_t i = 0; i < world->counts[user]; i++)
            assert_entry(&world->out[user * n + i], &expected[user * world->items.count + i]);
    }
}

/* Columns of an earlier list: the best `count`, but that every `step`-th is none, so that a few are
 * new, and in no order. */
static void remember(struct world *world, struct topn_user *user, uint32_t *last,
                     const struct topn_entry *best, uint32_t count, uint32_t step)
{
    user->last = last;
    user->last_count = 0;
    for (uint32_t i = 0; i < count; i++)
        last[user->last_count++] = i % step != 0 ? best[i].column : UINT32_MAX;
    for (uint32_t i = 1; i < user->last_count; i++) {
        uint32_t other = draw(world, i + 1), column = last[i];
        last[i] = last[other];
        last[other] = column;
    }
}

/* Warm: from a list that would do, one that is short of n, and one of the worst items. */
static void assert_warm_lists(struct world *world, size_t users, uint32_t n,
                              const struct topn_entry *expected, const uint32_t *counts)
{
    size_t columns = world->items.count;
    uint32_t *last = mem_array(NULL, users * columns, sizeof *last);
    for (int kind = 0; kind < 3; kind++) {
        for (size_t user = 0; user < users; user++) {
            const struct topn_entry *best = expected + user * columns;
            uint32_t count = counts[user], wanted = kind == 1 ? n / 2 : n + 16;
            if (kind == 2 && wanted < count)
                best += count - wanted;
            remember(world, &world->users[user], last + user * columns, best,
                     wanted < count ? wanted : count, kind == 0 ? 20 : 7);
        }
        assert_lists(world, users, n, expected, counts);
    }
    for (size_t user = 0; user < users; user++)
        world->users[user].last_count = 0;
    free(last);
}

/* What chooses among candidates is of the same kind as the filter. */
static void force_kernel_of(enum topn_filter filter)
{
    bool avx512 = filter == TOPN_AVX512 || filter == TOPN_BYTES_AVX512 || filter == TOPN_BYTES_VNNI;
    bool avx2 = filter == TOPN_AVX2 || filter == TOPN_BYTES_AVX2;
    assert_true(kernel_force(avx512 ? KERNEL_AVX512 : avx2 ? KERNEL_AVX2 : KERNEL_PLAIN));
}

/* By every filter that the processor has, cold and warm. */
static void assert_equals_full_sort(struct world *world, size_t users, uint32_t n)
{
    struct topn_entry *expected = mem_array(NULL, users * world->items.count, sizeof *expected);
    uint32_t counts[TOPN_USERS_MAX];
    enum kernel best = kernel_chosen();
    use(world, TOPN_PLAIN);
    for (size_t user = 0; user < users; user++)
        counts[user] =
            full_sort(&world->items, &world->users[user], expected + user * world->items.count);
    for (int filter = 0; filter < TOPN_FILTERS; filter++) {
        if (!use(world, (enum topn_filter)filter))
            continue;
        force_kernel_of((enum topn_filter)filter);
        assert_lists(world, users, n, expected, counts);
        assert_warm_lists(world, users, n, expected, counts);
    }
    kernel_force(best);
    free(expected);
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
    static const size_t rows[] = {1, 15, 47, 48, 49, 96, 500, 1500};
    static const int ranks[] = {1, 3, 10, 16, 33, 64};
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
    use(world, TOPN_PLAIN);
    assert_true(isinf(topn_score(&world->items, world->X, 599, 0)));
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
    world->rows = 0;
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
    struct topn_extra extra = {3, 1};
    world->users[1].extras = &extra;
    world->users[1].extra_count = 1;
    world->users[2].x = NULL;
    for (int k = 0; k < 8; k++)
        world->X[3 * 16 + k] *= 1e38f; /* too large for a filter */
    assert_equals_full_sort(world, 4, 930);
    assert_int_equal(world->counts[0], 620);
    assert_int_equal(world->counts[1], 620);
}

/* Any order of summation of k products in float errs by at most k u |x| |y|, u = 2^-24, to first
 * order; adding the bias by u times the result. With entries below 1, |x| |y| <= k. */
static void test_topn_score_is_the_product_plus_the_bias(void **state)
{
    struct world *world = *state;
    make(world, 50, 5, 37, draw_real);
    use(world, TOPN_PLAIN);
    for (uint32_t column = 0; column < 55; column++) {
        double expected = world->bias[column];
        for (size_t k = 0; k < 37 && column < 50; k++)
            expected += (double)world->X[k] * world->Y[column * world->stride + k];
        float score = topn_score(&world->items, world->X, column, 0);
        assert_true(fabs(score - expected) <= (37.0 * 37 + 38) * 0x1p-24);
    }
}

static void test_topn_is_exact_at_every_rank_up_to_the_largest(void **state)
{
    static const int ranks[] = {2, 5, 17, 31, 32, 47, 50, 100, 127, 128, 200, 257, 511, 512};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        make(*state, 700, 20, ranks[i], draw_real);
        assert_equals_full_sort(*state, 3, 30);
    }
}

static float equal_size(struct world *world)
{
    return draw(world, 2) ? 0.5f : -0.5f;
}

static void test_topn_is_exact_where_all_norms_are_equal(void **state)
{
    struct world *world = *state;
    make(world, 2000, 0, 64, equal_size);
    for (size_t i = 0; i < 2000; i++)
        world->bias[i] = 0;
    assert_equals_full_sort(world, 9, 100);
}

static void test_topn_is_exact_for_users_and_items_that_are_zero(void **state)
{
    struct world *world = *state;
    make(world, 1000, 10, 32, draw_real);
    memset(world->X, 0, 2 * world->stride * sizeof(float));
    memset(world->Y + 300 * world->stride, 0, 200 * world->stride * sizeof(float));
    assert_equals_full_sort(world, 4, 50);
}

/* Factors whose coordinates fall off as those of a trained generation do in its eigenbasis, so that
 * panels are passed over and tiles end early. */
static void fall_off(struct world *world)
{
    for (size_t row = 0; row < world->rows; row++)
        for (int k = 0; k < world->rank; k++)
            world->Y[row * world->stride + (size_t)k] *=
                expf(-0.1f * (float)k) * (float)(1 + 2000 / (row + 100));
    for (size_t user = 0; user < TOPN_USERS_MAX; user++)
        for (int k = 0; k < world->rank; k++)
            world->X[user * world->stride + (size_t)k] *= expf(-0.05f * (float)k);
    for (size_t i = 0; i < world->items.count; i++)
        world->bias[i] *= 0.1f;
}

static void test_topn_is_exact_where_panels_are_passed_over(void **state)
{
    make(*state, 5000, 100, 64, draw_real);
    fall_off(*state);
    assert_equals_full_sort(*state, 40, 50);
}

/* Factors are chosen so that all their rounding to bytes goes the same way, as far as it can: 1 is
 * one step of the bytes (the last coordinate sees to that), and each of 62 coordinates of an item
 * is rounded by 0.49, up for the many, down for the few. To the filter the few are 43 below the
 * many, and in truth 18 above them. The many come first, having larger norms. */
static void test_topn_is_exact_where_all_rounding_goes_the_same_way(void **state)
{
    struct world *world = *state;
    make(world, 410, 0, 64, zero);
    for (size_t row = 0; row < 410; row++) {
        float *y = world->Y + row * 64;
        bool few = row >= 400;
        for (int k = 0; k < 62; k++)
            y[k] = few ? (k < 43 ? 49.49f : 50.49f) : 49.51f;
        y[62] = few ? 0 : 100;
        y[63] = 127;
    }
    for (int k = 0; k < 62; k++)
        world->X[k] = 1;
    assert_equals_full_sort(world, 1, 20);
    assert_int_equal(world->out[0].column, 400);
}

/* Norms beyond FLT_MAX against zeros: bounds that are infinity times nothing. */
static void test_topn_is_exact_where_norms_overflow_and_products_do_not(void **state)
{
    struct world *world = *state;
    for (int side = 0; side < 2; side++) {
        make(world, 400, 10, 16, draw_real);
        memset(side == 0 ? world->X : world->Y, 0, (side == 0 ? 1 : 400) * 16 * sizeof(float));
        for (int k = 0; k < 16; k++)
            (side == 0 ? world->Y + 100 * 16 : world->X)[k] = 3e38f;
        assert_equals_full_sort(world, 2, 20);
    }
}

static void test_topn_is_exact_where_one_item_is_far_above_the_others(void **state)
{
    struct world *world = *state;
    make(world, 3000, 0, 64, draw_real);
    for (int k = 0; k < 64; k++)
        world->Y[1234 * 64 + k] *= 1e6f;
    assert_equals_full_sort(world, 16, 20);
}

static void test_topn_is_exact_where_the_bias_decides(void **state)
{
    struct world *world = *state;
    make(world, 3000, 50, 64, draw_real);
    for (size_t i = 0; i < 3050; i++)
        world->bias[i] *= draw(world, 10) == 0 ? 1000 : 1;
    assert_equals_full_sort(world, 16, 100);
}

static void test_topn_is_exact_where_a_bias_is_infinite(void **state)
{
    struct world *world = *state;
    make(world, 500, 10, 16, draw_real);
    world->bias[17] = INFINITY;
    world->bias[18] = -INFINITY;
    assert_equals_full_sort(world, 4, 500);
}

static void test_topn_adds_extras_to_the_score(void **state)
{
    struct world *world = *state;
    make(world, 2000, 60, 64, draw_real);
    struct topn_extra extras[3][100];
    for (uint32_t user = 0; user < 3; user++) {
        for (uint32_t i = 0; i < 100; i++) /* newer items, too */
            extras[user][i] = (struct topn_extra){i * 20 + user + 70, 5 * (1 + draw_real(world))};
        world->users[user].extras = extras[user];
        world->users[user].extra_count = user == 0 ? 1 : 100;
    }
    assert_equals_full_sort(world, 4, 50);
}

static void test_topn_extras_bring_back_neither_hidden_nor_excluded_items(void **state)
{
    struct world *world = *state;
    make(world, 400, 0, 8, draw_real);
    struct topn_extra extras[3] = {{5, 1000}, {7, 2000}, {9, 3000}};
    uint32_t hidden[1] = {7};
    uint64_t excluded[7] = {1 << 9};
    world->users[0].extras = extras;
    world->users[0].extra_count = 3;
    world->users[0].hidden = hidden;
    world->users[0].hidden_count = 1;
    world->items.excluded = excluded;
    assert_equals_full_sort(world, 2, 10);
    assert_int_equal(world->out[0].column, 5);
    assert_true(world->out[1].score < 900);
}

/* The sieve has a bit for many columns; those that share one with a hidden item are not hidden. */
static void test_topn_hides_one_of_those_that_share_a_bit(void **state)
{
    struct world *world = *state;
    make(world, 3 * TOPN_SIEVE_BITS, 0, 8, draw_real);
    uint32_t hidden[2] = {5, TOPN_SIEVE_BITS + 9};
    struct topn_extra extra = {2 * TOPN_SIEVE_BITS + 5, 1000};
    uint32_t best[3] = {TOPN_SIEVE_BITS + 5, 9, 2 * TOPN_SIEVE_BITS + 9};
    for (int i = 0; i < 3; i++)
        world->bias[best[i]] = 100;
    for (uint32_t i = 0; i < 2; i++) {
        world->users[i].hidden = hidden;
        world->users[i].hidden_count = 2;
        world->users[i].extras = &extra;
        world->users[i].extra_count = i;
    }
    assert_equals_full_sort(world, 2, 10);
    assert_int_equal(world->out[10].column, extra.column);
}

/* So does that of places in panels. */
static void test_topn_hides_one_of_those_that_share_a_place(void **state)
{
    struct world *world = *state;
    size_t rows = 3 * (size_t)TOPN_SIEVE_PANELS * TOPN_PANEL;
    make(world, rows, 0, 8, draw_real);
    uint32_t hidden[1000];
    for (uint32_t i = 0; i < 1000; i++)
        hidden[i] = i * (uint32_t)(rows / 1000) + draw(world, 10);
    world->users[1].hidden = hidden;
    world->users[1].hidden_count = 1000;
    assert_equals_full_sort(world, 2, 100);
}

static void test_topn_lists_extras_of_users_without_factors(void **state)
{
    struct world *world = *state;
    make(world, 400, 30, 8, draw_real);
    struct topn_extra extras[2] = {{3, 10}, {410, 20}};
    world->users[1].x = NULL;
    world->users[1].extras = extras;
    world->users[1].extra_count = 2;
    assert_equals_full_sort(world, 2, 10);
    assert_int_equal(world->out[10].column, 410);
}

static void test_topn_with_more_extras_than_fit_is_exact(void **state)
{
    struct world *world = *state;
    make(world, 3000, 0, 16, draw_real);
    struct topn_extra *extras = mem_array(NULL, 3000, sizeof *extras);
    for (uint32_t i = 0; i < 3000; i++)
        extras[i] = (struct topn_extra){i, 1 + draw_real(world)};
    world->users[0].extras = extras;
    world->users[0].extra_count = 3000;
    assert_equals_full_sort(world, 2, 10);
    free(extras);
}

/* So many columns of `count`, each once, in no order; ascending if `sorted`. */
static uint32_t draw_columns(struct world *world, uint32_t count, uint32_t share, bool sorted,
                             uint32_t *out)
{
    uint32_t drawn = 0;
    for (uint32_t column = 0; column < count; column++)
        if (draw(world, 100) < share)
            out[drawn++] = column;
    for (uint32_t i = 0; !sorted && i + 1 < drawn; i++) {
        uint32_t other = i + draw(world, drawn - i), column = out[i];
        out[i] = out[other];
        out[other] = column;
    }
    return drawn;
}

/* A last list gives the threshold that other extras are held against: some of them are in it, some
 * hidden, newer than the factors, excluded, or equal to others; in a large catalogue they share
 * bits of the sieve. */
static void test_topn_extras_beside_a_last_list_are_exact(void **state)
{
    enum { COLUMNS = TOPN_SIEVE_BITS + 900, USERS = 3 };
    struct world *world = *state;
    static uint32_t columns[COLUMNS], last[USERS][COLUMNS], hidden[USERS][COLUMNS];
    static struct topn_extra extras[USERS][COLUMNS];
    float (*kinds[])(struct world *) = {draw_real, small_integer, any_scale, huge};
    for (int round = 0; round < 40; round++) {
        uint32_t count = round % 10 < 9 ? 900 : COLUMNS;
        make(world, count - 60, 60, 20, kinds[round % 4]);
        uint64_t excluded[COLUMNS / 64 + 1] = {0};
        for (int i = 0; i < 20; i++)
            excluded[draw(world, count / 64)] |= UINT64_C(1) << draw(world, 64);
        world->items.excluded = excluded;
        for (uint32_t i = 0; i < USERS; i++) {
            struct topn_user *user = &world->users[i];
            user->extras = extras[i];
            user->extra_count = draw_columns(world, count, 10 + draw(world, 60), false, columns);
            for (size_t at = 0; at < user->extra_count; at++)
                extras[i][at] = (struct topn_extra){columns[at], (float)(1 + draw(world, 4)) / 4};
            user->hidden = hidden[i];
            user->hidden_count = draw_columns(world, count, draw(world, 30), true, hidden[i]);
        }
        uint32_t n = 5 + draw(world, 60);
        assert_equals_full_sort(world, USERS + 1, n);
        for (uint32_t i = 0; i < USERS; i++) { /* what it was, but for a few */
            world->users[i].last = last[i];
            world->users[i].last_count = world->counts[i];
            for (uint32_t at = 0; at < world->counts[i]; at++)
                last[i][at] = world->out[i * n + at].column;
            for (size_t at = 0; at < world->users[i].extra_count; at++)
                extras[i][at].value += (float)(draw(world, 8) == 0) / 4;
        }
        assert_equals_full_sort(world, USERS + 1, n);
    }
}

static void test_topn_last_list_may_hold_what_is_hidden_now(void **state)
{
    struct world *world = *state;
    make(world, 1000, 20, 32, draw_real);
    run(world, 1, 40);
    uint32_t last[40], hidden[20], count = 0;
    uint64_t excluded[16] = {0};
    for (uint32_t i = 0; i < 40; i++)
        last[i] = world->out[i].column;
    for (uint32_t column = 0; column < 1020; column++)
        for (uint32_t i = 0; i < 40; i += 2)
            if (last[i] == column && i % 4 == 0)
                hidden[count++] = column;
            else if (last[i] == column)
                excluded[column / 64] |= UINT64_C(1) << (column % 64);
    world->users[0].hidden = hidden;
    world->users[0].hidden_count = count;
    world->items.excluded = excluded;
    struct topn_entry *sorted = mem_array(NULL, 1020, sizeof *sorted);
    for (int filter = 0; filter < TOPN_FILTERS; filter++)
        for (uint32_t n = 10; use(world, (enum topn_filter)filter) && n <= 30; n += 10) {
            world->users[0].last = last;
            world->users[0].last_count = 40;
            uint32_t all = full_sort(&world->items, &world->users[0], sorted);
            assert_lists(world, 1, n, sorted, &all);
        }
    free(sorted);
}

static void assert_same_bits(const float *found, const float *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true((isnan(found[i]) && isnan(expected[i])) ||
                    memcmp(&found[i], &expected[i], sizeof *found) == 0);
}

/* However many rows are asked for at once, and in whatever order. */
static void test_topn_dot_products_have_the_same_bits_in_all_forms(void **state)
{
    struct world *world = *state;
    uint32_t rows[100];
    float expected[100];
    float (*kinds[])(struct world *) = {draw_real, any_scale, tiny, huge, nearly_one};
    for (int kind = 0; kind < 5; kind++)
        for (int rank = 16; rank <= 512; rank += 62) {
            make(world, 100, 0, rank, kinds[kind]);
            for (uint32_t i = 0; i < 100; i++) {
                rows[i] = (i * 37 + 11) % 100;
                topn_dots_plain(world->X, world->Y, world->stride, &rows[i], 1, &expected[i]);
            }
            for (int filter = 0; filter < TOPN_FILTERS; filter++)
                for (size_t count = 1;
                     topn_filter_available((enum topn_filter)filter) && count <= 100;
                     count += 1 + count / 2) {
                    topn_dots *dots = topn_filter_dots((enum topn_filter)filter);
                    float found[101] = {0};
                    dots(world->X, world->Y, world->stride, rows, count, found);
                    assert_same_bits(found, expected, count);
                    assert_true(found[count] == 0); /* no more than asked for */
                }
        }
}

enum { STEPS = 128 }; /* rank 512 */

struct bytes { /* of a tile */
    uint8_t *items;
    int8_t *users;
    float *bias;
    struct topn_panel panel;
    struct topn_group *group;
    struct topn_tile *tile, *twin;
};

static void bytes_init(struct bytes *bytes)
{
    *bytes = (struct bytes){.items = mem_try(STEPS * TOPN_PANEL, TOPN_QUAD),
                            .users = mem_try(STEPS * TOPN_GROUP, TOPN_QUAD),
                            .bias = mem_try(TOPN_PANEL, sizeof(float)),
                            .panel = {.norm = 1e30f, .rest = 1, .scale = 1},
                            .group = mem_try(1, sizeof *bytes->group),
                            .tile = mem_try(1, sizeof *bytes->tile),
                            .twin = mem_try(1, sizeof *bytes->twin)};
}

static void bytes_deinit(struct bytes *bytes)
{
    free(bytes->items);
    free(bytes->users);
    free(bytes->bias);
    free(bytes->group);
    free(bytes->tile);
    free(bytes->twin);
}

/* In the first round the largest there are, which must not overflow. */
static void draw_bytes(struct world *world, struct bytes *bytes, int most, int round)
{
    for (int i = 0; i < STEPS * TOPN_PANEL * TOPN_QUAD; i++)
        bytes->items[i] = (uint8_t)(round == 0 ? 255 : 1 + draw(world, 255));
    for (int i = 0; i < STEPS * TOPN_GROUP * TOPN_QUAD; i++)
        bytes->users[i] = (int8_t)(round == 0 ? (i & 4 ? most : -most)
                                              : (int)draw(world, 2 * (uint32_t)most + 1) - most);
    for (int i = 0; i < TOPN_PANEL; i++)
        bytes->bias[i] = draw(world, 20) == 0 ? NAN : 1e5f * draw_real(world);
    *bytes->tile =
        (struct topn_tile){.items = bytes->items,
                           .users = bytes->users,
                           .bias = bytes->bias,
                           .bias_max = 1e5f,
                           .panel = &bytes->panel,
                           .group = bytes->group,
                           .steps = round == 0 ? STEPS : 2 + (int)draw(world, STEPS - 1)};
    bytes->tile->first_steps = round % 2 == 0 ? 0 : bytes->tile->steps / 2;
    for (int user = 0; user < TOPN_GROUP; user++) {
        bytes->group->norm[user] = 1;
        bytes->group->rest[user] = 1e9f;
        bytes->group->scale[user] = 1 + draw_real(world);
        bytes->group->threshold[user] = user == 0 ? -INFINITY : 4e5f * draw_real(world);
        bytes->group->offset[user] = (int32_t)draw(world, 10000);
    }
    *bytes->twin = *bytes->tile;
}

/* Returns the users that something passed for. */
static unsigned assert_equals_twin(struct bytes *bytes, enum topn_filter filter)
{
    unsigned found = topn_filter_kernel(filter)(bytes->tile);
    assert_int_equal(found, topn_run_bytes_plain(bytes->twin));
    for (int user = 0; user < TOPN_GROUP; user++)
        if ((found >> user & 1) != 0)
            assert_true(bytes->tile->passing[user] == bytes->twin->passing[user]);
    for (int user = 0; user < TOPN_GROUP; user++)
        for (int i = 0; i < TOPN_PANEL; i++)
            if ((found >> user & 1) != 0 && (bytes->tile->passing[user] >> i & 1) != 0)
                assert_true(bytes->tile->scores[user][i] == bytes->twin->scores[user][i]);
    return found;
}

/* Sums of bytes are exact, so kernels and twin agree bit for bit. */
static void test_topn_kernels_of_bytes_equal_their_twin(void **state)
{
    struct bytes bytes;
    bytes_init(&bytes);
    for (int i = TOPN_BYTES_AVX2; i < TOPN_BYTES_PLAIN; i++) {
        enum topn_filter filter = (enum topn_filter)i;
        unsigned some = 0;
        for (int round = 0; round < 50 && topn_filter_available(filter); round++) {
            draw_bytes(*state, &bytes, topn_filter_user_most(filter), round);
            some |= assert_equals_twin(&bytes, filter);
        }
        assert_true(some == 255 || !topn_filter_available(filter));
    }
    bytes_deinit(&bytes);
}

static void test_topn_takes_floats_where_bytes_are_too_coarse(void **state)
{
    struct world *world = *state;
    make(world, 512, 0, 512, draw_real);
    struct topn_index *fine = topn_index_new(world->Y, 512, 512, 512);
    assert_true(topn_filter_is_bytes(fine->filter) || fine->filter == TOPN_PLAIN);
    for (size_t row = 0; row < 512; row++) /* one factor, another in each row, dwarfs the others */
        world->Y[row * 512 + row] = 50;
    struct topn_index *coarse = topn_index_new(world->Y, 512, 512, 512);
    assert_false(topn_filter_is_bytes(coarse->filter));
    topn_index_free(fine);
    topn_index_free(coarse);
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
        TEST(test_topn_score_is_the_product_plus_the_bias),
        TEST(test_topn_is_exact_at_every_rank_up_to_the_largest),
        TEST(test_topn_is_exact_where_all_norms_are_equal),
        TEST(test_topn_is_exact_for_users_and_items_that_are_zero),
        TEST(test_topn_is_exact_where_panels_are_passed_over),
        TEST(test_topn_is_exact_where_all_rounding_goes_the_same_way),
        TEST(test_topn_is_exact_where_norms_overflow_and_products_do_not),
        TEST(test_topn_is_exact_where_one_item_is_far_above_the_others),
        TEST(test_topn_is_exact_where_the_bias_decides),
        TEST(test_topn_is_exact_where_a_bias_is_infinite),
        TEST(test_topn_adds_extras_to_the_score),
        TEST(test_topn_extras_beside_a_last_list_are_exact),
        TEST(test_topn_extras_bring_back_neither_hidden_nor_excluded_items),
        TEST(test_topn_hides_one_of_those_that_share_a_bit),
        TEST(test_topn_hides_one_of_those_that_share_a_place),
        TEST(test_topn_lists_extras_of_users_without_factors),
        TEST(test_topn_with_more_extras_than_fit_is_exact),
        TEST(test_topn_last_list_may_hold_what_is_hidden_now),
        TEST(test_topn_dot_products_have_the_same_bits_in_all_forms),
        TEST(test_topn_kernels_of_bytes_equal_their_twin),
        TEST(test_topn_takes_floats_where_bytes_are_too_coarse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
