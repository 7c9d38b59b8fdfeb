#include "model/similar.h"
#include "scorer_world.h"

#define SEEDS 12
#define NEAR 1e-6 /* float32 products of 16 numbers below 1 */

static double cosine(const struct scorer_parts *parts, uint32_t a, uint32_t b)
{
    const float *x = parts->generation->Y + parts->columns->row_of[a] * STRIDE;
    const float *y = parts->generation->Y + parts->columns->row_of[b] * STRIDE;
    double xy = 0, xx = 0, yy = 0;
    for (int k = 0; k < RANK; k++) {
        xy += (double)x[k] * (double)y[k];
        xx += (double)x[k] * (double)x[k];
        yy += (double)y[k] * (double)y[k];
    }
    return xy / sqrt(xx * yy);
}

static void assert_in_order(const struct similar_list *list)
{
    for (uint32_t i = 1; i < list->count; i++)
        assert_true(list->items[i].cosine <= list->items[i - 1].cosine);
}

static double cosine_in(const struct similar_list *list, uint32_t item)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->items[i].item == item)
            return list->items[i].cosine;
    return NAN;
}

static void test_nearest_by_factors_are_the_largest_cosines(void **state)
{
    struct world *world = drawn_world(4, UPDATE_ALS);
    struct scorer_parts parts;
    scorer_parts(world->scorer, &parts);
    uint32_t item = item_of(world, 2);
    struct similar found;
    similar(world->scorer, item, 5, &found);
    assert_true(found.has_factors);
    assert_int_equal(found.by_factors.count, 5);
    assert_in_order(&found.by_factors);
    assert_true(isnan(cosine_in(&found.by_factors, item)));
    double least = found.by_factors.items[4].cosine;
    for (uint32_t i = 0; i < parts.columns->items; i++) {
        if (parts.columns->row_of[i] == ROW_NONE || i == item)
            continue;
        double expected = cosine(&parts, item, i), said = cosine_in(&found.by_factors, i);
        if (isnan(said))
            assert_true(expected <= least + NEAR);
        else
            assert_true(fabs(said - expected) <= NEAR);
    }
    similar_deinit(&found);
    world_free(world);
}

/* The third term of a user whose latest item alone is this one, is this cosine. */
static void test_together_is_as_the_third_term_counts_it(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world *world = drawn_world(seed, UPDATE_ALS);
        struct scorer_parts parts;
        scorer_parts(world->scorer, &parts);
        if (parts.weights->together > 0) {
            uint32_t item = item_of(world, 3);
            struct similar found;
            similar(world->scorer, item, SIMILAR_MAX, &found);
            assert_in_order(&found.by_together);
            assert_true(found.by_together.count > 0);
            for (uint32_t i = 0; i < found.by_together.count; i++) {
                struct together_share share;
                together_split(parts.together, &item, 1, found.by_together.items[i].item,
                               history_now_ms(world->history), &share);
                assert_true(fabs(found.by_together.items[i].cosine - share.n * share.norm) < 1e-12);
            }
            similar_deinit(&found);
        }
        world_free(world);
    }
}

static void test_an_item_newer_than_the_factors_has_only_what_goes_together(void **state)
{
    struct world *world = drawn_world(4, UPDATE_ALS);
    add_event(world, 2, 58, VIEW, world->now_ms, 1);
    add_event(world, 2, 59, VIEW, world->now_ms, 1);
    learn(world);
    struct similar found;
    similar(world->scorer, item_of(world, 59), 5, &found);
    assert_false(found.has_factors);
    assert_int_equal(found.by_factors.count, 0);
    assert_true(found.by_together.count > 0);
    similar_deinit(&found);
    world_free(world);
}

static void test_without_a_third_term_all_that_was_counted_is_shown(void **state)
{
    struct world *world = drawn_world(3, UPDATE_ALS); /* no generation */
    struct similar found;
    similar(world->scorer, item_of(world, 3), 5, &found);
    assert_int_equal(found.generation, 0);
    assert_true(found.together_of.horizon == PAIRS_EVER && found.together_of.both);
    assert_int_equal(found.by_together.count, 5);
    similar_deinit(&found);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest_by_factors_are_the_largest_cosines),
        cmocka_unit_test(test_together_is_as_the_third_term_counts_it),
        cmocka_unit_test(test_an_item_newer_than_the_factors_has_only_what_goes_together),
        cmocka_unit_test(test_without_a_third_term_all_that_was_counted_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
