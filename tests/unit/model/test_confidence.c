/* Interactions -> pairs: every expected number here is worked out by hand from the formula in
 * model/confidence.h. */
#include "model/confidence.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define DAY_MS INT64_C(86400000)

/* A confidence is computed in double and rounded once to float. */
#define assert_close(got, wanted) \
    assert_true(fabs((double)(got) - (wanted)) <= FLT_EPSILON * fabs(wanted))

static const uint32_t rows[] = {10, 11, 12, ROW_NONE, 14};
#define ROWS 5

static const struct hyperparameters ials = {OBJECTIVE_IALS, 8, 0.1, 0.01, 1, LAMBDA_COUNT};
static const struct type_weight plain[] = {{1, 0, 1e9, VALUE_NONE, true}};

static struct interaction at(int64_t ts_ms, uint32_t item)
{
    return (struct interaction){.ts_ms = ts_ms, .value = 1, .item = item};
}

static struct interaction with(struct interaction interaction, uint16_t type, double value)
{
    interaction.type = type;
    interaction.value = value;
    return interaction;
}

/* The only pair that one interaction makes. */
static struct pair pair_of(struct interaction interaction, const struct type_weight *types,
                           const struct hyperparameters *hyper, int64_t now_ms)
{
    struct pair pair;
    assert_int_equal(confidence_pairs(&interaction, 1, types, hyper, 1, now_ms, rows, ROWS, &pair),
                     1);
    return pair;
}

static void test_no_interactions_make_no_pairs(void **state)
{
    assert_int_equal(confidence_pairs(NULL, 0, plain, &ials, 1, 0, rows, ROWS, NULL), 0);
}

static void test_an_item_makes_one_pair_however_often_it_comes(void **state)
{
    struct interaction log[] = {at(1, 0), at(2, 0), at(3, 0)};
    struct pair pairs[3];
    assert_int_equal(confidence_pairs(log, 3, plain, &ials, 1, 3, rows, ROWS, pairs), 1);
    assert_int_equal(pairs[0].row, 10);
    assert_close(pairs[0].p, 3.0);
}

static void test_pairs_come_newest_item_first(void **state)
{
    struct interaction log[] = {at(1, 0), at(2, 1), at(3, 2), at(4, 0)};
    struct pair pairs[4];
    assert_int_equal(confidence_pairs(log, 4, plain, &ials, 1, 4, rows, ROWS, pairs), 3);
    assert_int_equal(pairs[0].row, 10);
    assert_int_equal(pairs[1].row, 12);
    assert_int_equal(pairs[2].row, 11);
}

static void test_items_without_a_row_are_left_out(void **state)
{
    struct interaction log[] = {at(1, 3), at(2, 4), at(3, 5), at(4, UINT32_MAX)};
    struct pair pairs[4];
    assert_int_equal(confidence_pairs(log, 4, plain, &ials, 1, 4, rows, ROWS, pairs), 1);
    assert_int_equal(pairs[0].row, 14);
}

static void test_rho_counts_distinct_timestamps_from_the_latest(void **state)
{
    struct interaction log[] = {at(1, 0), at(2, 1), at(2, 2), at(3, 4)};
    struct pair pairs[4];
    assert_int_equal(confidence_pairs(log, 4, plain, &ials, 0.5, 99, rows, ROWS, pairs), 4);
    assert_close(pairs[0].p, 1.0); /* ts 3 */
    assert_close(pairs[1].p, 0.5); /* ts 2, both */
    assert_close(pairs[2].p, 0.5);
    assert_close(pairs[3].p, 0.25); /* ts 1 */
}

static void test_types_without_weight_take_no_position(void **state)
{
    const struct type_weight types[] = {{1, 0, 1e9, VALUE_NONE, true}, {0, 0, 1, VALUE_NONE, 0}};
    struct interaction log[] = {at(1, 0), with(at(2, 1), 1, 1), with(at(3, 1), 1, 1)};
    struct pair pairs[3];
    assert_int_equal(confidence_pairs(log, 3, types, &ials, 0.5, 3, rows, ROWS, pairs), 1);
    assert_close(pairs[0].p, 1.0);
}

static void test_the_cap_bounds_what_an_item_gathers_of_one_type(void **state)
{
    const struct type_weight types[] = {{1, 0, 2.5, VALUE_NONE, true}, {1, 0, 1, VALUE_NONE, true}};
    struct interaction log[] = {at(1, 0), at(2, 0), at(3, 0), with(at(4, 0), 1, 1),
                                with(at(5, 0), 1, 1)};
    struct pair pairs[5];
    assert_int_equal(confidence_pairs(log, 5, types, &ials, 1, 5, rows, ROWS, pairs), 1);
    assert_close(pairs[0].p, 3.5); /* min(2.5, 3) + min(1, 2) */
}

static void test_a_half_life_halves_the_confidence(void **state)
{
    const struct type_weight types[] = {{4, DAY_MS, 1e9, VALUE_NONE, true}};
    assert_close(pair_of(at(0, 0), types, &ials, 2 * DAY_MS).p, 1.0);
}

static void test_an_interaction_ahead_of_now_does_not_grow(void **state)
{
    const struct type_weight types[] = {{1, DAY_MS, 1e9, VALUE_NONE, true}};
    assert_close(pair_of(at(5 * DAY_MS, 0), types, &ials, 0).p, 1.0);
}

static void test_the_value_counts_as_its_type_says(void **state)
{
    const struct type_weight types[] = {{1, 0, 1e9, VALUE_NONE, true},
                                        {1, 0, 1e9, VALUE_LINEAR, true},
                                        {1, 0, 1e9, VALUE_LOG, true}};
    assert_close(pair_of(with(at(0, 0), 0, 7), types, &ials, 0).p, 1.0);
    assert_close(pair_of(with(at(0, 0), 1, 7), types, &ials, 0).p, 7.0);
    assert_close(pair_of(with(at(0, 0), 2, 7), types, &ials, 0).p, log(8.0));
}

static void test_each_objective_has_its_own_p_and_q(void **state)
{
    const struct type_weight types[] = {{3, 0, 1e9, VALUE_NONE, true}};
    struct hyperparameters hyper = ials;
    hyper.alpha = 2; /* c = 6 */
    assert_close(pair_of(at(0, 0), types, &hyper, 0).p, 6.0);
    assert_close(pair_of(at(0, 0), types, &hyper, 0).q, 6.0);
    hyper.objective = OBJECTIVE_HU;
    assert_close(pair_of(at(0, 0), types, &hyper, 0).p, 6.0);
    assert_close(pair_of(at(0, 0), types, &hyper, 0).q, 7.0);
    hyper.objective = OBJECTIVE_IMPLICIT;
    assert_close(pair_of(at(0, 0), types, &hyper, 0).p, 5.0);
    assert_close(pair_of(at(0, 0), types, &hyper, 0).q, 6.0);
}

static void test_implicit_never_takes_more_than_w0_has_given(void **state)
{
    struct hyperparameters hyper = ials;
    hyper.objective = OBJECTIVE_IMPLICIT;
    hyper.w0 = 0.5;
    hyper.alpha = 0.25;
    assert_close(pair_of(at(0, 0), plain, &hyper, 0).p, -0.5); /* not 0.25 - 1 */
}

static void test_a_dislike_asks_for_zero(void **state)
{
    const struct type_weight types[] = {{-2, 0, 1e9, VALUE_NONE, true}};
    struct pair pair = pair_of(at(0, 0), types, &ials, 0);
    assert_close(pair.p, 2.0);
    assert_true(pair.q == 0);
}

static void test_likes_and_dislikes_of_an_item_add_up(void **state)
{
    const struct type_weight types[] = {{3, 0, 1e9, VALUE_NONE, true},
                                        {-1, 0, 1e9, VALUE_NONE, true},
                                        {-3, 0, 1e9, VALUE_NONE, true}};
    struct interaction log[] = {at(1, 0), with(at(2, 0), 1, 1), at(3, 1), with(at(4, 1), 2, 1)};
    struct pair pairs[4];
    /* Item 1: 3 - 3 is nothing, so no pair. */
    assert_int_equal(confidence_pairs(log, 4, types, &ials, 1, 4, rows, ROWS, pairs), 1);
    assert_int_equal(pairs[0].row, 10);
    assert_close(pairs[0].q, 2.0);
}

static void test_no_confidence_is_infinite(void **state)
{
    const struct type_weight types[] = {{1e30, 0, INFINITY, VALUE_LINEAR, true}};
    assert_true(isfinite(pair_of(with(at(0, 0), 0, 1e300), types, &ials, 0).p));
}

static void test_the_last_type_number_counts_too(void **state)
{
    struct type_weight types[64] = {{0}};
    types[63] = (struct type_weight){1, 0, 1, VALUE_NONE, true};
    assert_close(pair_of(with(at(0, 0), 63, 1), types, &ials, 0).p, 1.0);
}

static void test_many_items_keep_their_own_confidence(void **state)
{
    enum { COUNT = 5000 };
    static struct interaction log[2 * COUNT];
    static uint32_t row_of[COUNT];
    static struct pair pairs[2 * COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        row_of[i] = i * 64; /* rows that would collide in a poor hash */
        log[i] = at((int64_t)i, i);
        log[COUNT + i] = at((int64_t)(COUNT + i), i % 2 ? i : 0);
    }
    size_t count = confidence_pairs(log, 2 * COUNT, plain, &ials, 1, 0, row_of, COUNT, pairs);
    assert_int_equal(count, COUNT);
    for (size_t i = 0; i < count; i++) {
        uint32_t item = pairs[i].row / 64;
        assert_close(pairs[i].p, item == 0 ? 1.0 + COUNT / 2 : item % 2 ? 2.0 : 1.0);
    }
}

static void test_lambda_scales_with_the_pairs_only_if_asked(void **state)
{
    struct hyperparameters hyper = ials;
    assert_true(lambda_of(&hyper, 7) == 0.01 * 7);
    hyper.lambda_scaling = LAMBDA_NONE;
    assert_true(lambda_of(&hyper, 7) == 0.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_interactions_make_no_pairs),
        cmocka_unit_test(test_an_item_makes_one_pair_however_often_it_comes),
        cmocka_unit_test(test_pairs_come_newest_item_first),
        cmocka_unit_test(test_items_without_a_row_are_left_out),
        cmocka_unit_test(test_rho_counts_distinct_timestamps_from_the_latest),
        cmocka_unit_test(test_types_without_weight_take_no_position),
        cmocka_unit_test(test_the_cap_bounds_what_an_item_gathers_of_one_type),
        cmocka_unit_test(test_a_half_life_halves_the_confidence),
        cmocka_unit_test(test_an_interaction_ahead_of_now_does_not_grow),
        cmocka_unit_test(test_the_value_counts_as_its_type_says),
        cmocka_unit_test(test_each_objective_has_its_own_p_and_q),
        cmocka_unit_test(test_implicit_never_takes_more_than_w0_has_given),
        cmocka_unit_test(test_a_dislike_asks_for_zero),
        cmocka_unit_test(test_likes_and_dislikes_of_an_item_add_up),
        cmocka_unit_test(test_no_confidence_is_infinite),
        cmocka_unit_test(test_the_last_type_number_counts_too),
        cmocka_unit_test(test_many_items_keep_their_own_confidence),
        cmocka_unit_test(test_lambda_scales_with_the_pairs_only_if_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
