#include "eval/figures.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define EXACT 1e-12 /* some float64 operations on numbers of about 1 */
#define NONE UINT32_MAX

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= EXACT))
        fail_msg("%.17g is not %.17g", a, b);
}

static struct figures make(uint32_t methods)
{
    const struct figures_settings settings = {
        .ks = {2, 4}, .k_count = 2, .depth = 20, .methods = methods, .users = 10, .items = 50};
    struct figures figures;
    figures_init(&figures, &settings);
    return figures;
}

static void judge(struct figures *figures, uint32_t user, const struct relevant *relevant,
                  size_t relevant_count, const uint32_t *list, uint32_t count)
{
    const struct unit unit = {user, relevant, relevant_count};
    figures_unit(figures, &unit);
    figures_judge(figures, 0, &unit, list, count);
}

static double mean_of(const struct figures *figures, enum metric metric, uint32_t i)
{
    return figures_mean(figures, 0, NONE, figures_metric(figures, metric, i)).mean;
}

/* One relevant item at rank 3: what the formulas give by hand. */
static void test_one_relevant_item_counts_by_its_rank(void **at)
{
    struct figures figures = make(1);
    const struct relevant relevant = {7, 1};
    const uint32_t list[] = {1, 2, 7, 3};
    judge(&figures, 0, &relevant, 1, list, 4);
    assert_near(mean_of(&figures, METRIC_HIT, 0), 0);
    assert_near(mean_of(&figures, METRIC_HIT, 1), 1);
    assert_near(mean_of(&figures, METRIC_PRECISION, 1), 0.25);
    assert_near(mean_of(&figures, METRIC_RECALL, 1), 1);
    assert_near(mean_of(&figures, METRIC_MAP, 1), 1 / 3.0);
    assert_near(mean_of(&figures, METRIC_NDCG, 0), 0);
    assert_near(mean_of(&figures, METRIC_NDCG, 1), 0.5); /* 1 / log2(1 + 3) */
    assert_near(mean_of(&figures, METRIC_KINDS, 0), 1 / 3.0);
    figures_deinit(&figures);
}

/* Three relevant, of which the list has two, at ranks 1 and 3. */
static void test_several_relevant_items_share_the_gain(void **at)
{
    struct figures figures = make(1);
    const struct relevant relevant[] = {{9, 1}, {7, 1}, {8, 1}};
    const uint32_t list[] = {7, 1, 9};
    judge(&figures, 0, relevant, 3, list, 3);
    assert_near(mean_of(&figures, METRIC_PRECISION, 0), 0.5);
    assert_near(mean_of(&figures, METRIC_PRECISION, 1), 0.5);
    assert_near(mean_of(&figures, METRIC_RECALL, 0), 1 / 3.0);
    assert_near(mean_of(&figures, METRIC_RECALL, 1), 2 / 3.0);
    assert_near(mean_of(&figures, METRIC_MAP, 0), 1 / 2.0);
    assert_near(mean_of(&figures, METRIC_MAP, 1), (1 + 2 / 3.0) / 3);
    assert_near(mean_of(&figures, METRIC_NDCG, 1), (1 + 0.5) / (1 + 1 / log2(3) + 0.5));
    assert_near(mean_of(&figures, METRIC_KINDS, 0), 1);
    figures_deinit(&figures);
}

static void test_a_list_that_is_empty_is_a_miss(void **at)
{
    struct figures figures = make(1);
    const struct relevant relevant = {7, 1};
    judge(&figures, 0, &relevant, 1, NULL, 0);
    for (int metric = 0; metric <= METRIC_KINDS; metric++)
        assert_near(mean_of(&figures, (enum metric)metric, 0), 0);
    figures_deinit(&figures);
}

/* Two users with 3 and 1 units, hits 1 1 0 and 0: mean 1/2; the users' sums of deviations are
 * +1/2 and -1/2, so se^2 = 2/1 (1/4 + 1/4) / 4^2 = 1/16. */
static void test_standard_errors_take_a_users_units_as_one(void **at)
{
    struct figures figures = make(1);
    const struct relevant relevant = {7, 1};
    const uint32_t hit[] = {7}, miss[] = {1};
    judge(&figures, 3, &relevant, 1, hit, 1);
    judge(&figures, 5, &relevant, 1, miss, 1);
    judge(&figures, 3, &relevant, 1, hit, 1);
    judge(&figures, 3, &relevant, 1, miss, 1);
    struct mean mean = figures_mean(&figures, 0, NONE, figures_metric(&figures, METRIC_HIT, 0));
    assert_near(mean.mean, 0.5);
    assert_near(mean.se, 0.25);
    figures_deinit(&figures);
}

/* Methods that differ by the same in every unit differ without error. */
static void test_differences_are_paired(void **at)
{
    struct figures figures = make(2);
    const struct relevant relevant = {7, 1};
    const uint32_t hit[] = {7}, second[] = {1, 7};
    for (uint32_t user = 0; user < 3; user++) {
        const struct unit unit = {user, &relevant, 1};
        figures_unit(&figures, &unit);
        figures_judge(&figures, 0, &unit, hit, 1);
        figures_judge(&figures, 1, &unit, second, 2);
    }
    struct mean mean = figures_mean(&figures, 0, 1, figures_metric(&figures, METRIC_KINDS, 0));
    assert_near(mean.mean, 0.5);
    assert_near(mean.se, 0);
    figures_deinit(&figures);
}

/* More users than the figures have room for at first. */
static void test_many_users_each_keep_their_own(void **at)
{
    const struct figures_settings settings = {
        .ks = {1}, .k_count = 1, .depth = 20, .methods = 1, .users = 5000, .items = 1};
    struct figures figures;
    figures_init(&figures, &settings);
    for (uint32_t i = 0; i < 10000; i++) {
        const struct relevant relevant = {0, 1};
        const uint32_t list[] = {0};
        judge(&figures, (i * 7919) % 5000, &relevant, 1, list, i % 5000 < 1250);
    }
    struct mean mean = figures_mean(&figures, 0, NONE, 0);
    assert_int_equal(figures.slots, 5000);
    assert_near(mean.mean, 0.25);
    /* All of a user's units are alike: as 5000 units, sd^2 = .25 .75 5000 / 4999. */
    assert_near(mean.se, sqrt(0.25 * 0.75 / 4999));
    figures_deinit(&figures);
}

static void test_hits_count_by_value(void **at)
{
    struct figures figures = make(1);
    double values[] = {5, 1, 5, 3};
    const struct relevant relevant[] = {{1, 1}, {2, 3}, {3, 5}, {4, 5}};
    const uint32_t list[] = {3};
    figures_values(&figures, values, 4, NAN);
    for (uint32_t i = 0; i < 4; i++)
        judge(&figures, i, &relevant[i], 1, list, 1);
    assert_near(figures.chr_min, 3); /* the lower median */
    assert_int_equal(figures.value_groups, 3);
    assert_int_equal(figures.value_units[2], 2);
    assert_int_equal(figures.methods[0].value_hits[2], 1);
    assert_int_equal(figures.chosen_units, 3);
    assert_int_equal(figures.methods[0].chosen_hits[0], 1);
    figures_deinit(&figures);
}

static void test_many_values_are_grouped_in_quarters(void **at)
{
    struct figures figures = make(1);
    double values[100];
    for (int i = 0; i < 100; i++)
        values[i] = (i * 37) % 100;
    figures_values(&figures, values, 100, 50);
    assert_int_equal(figures.value_groups, 4);
    for (uint32_t group = 0; group < 4; group++) {
        assert_near(figures.value_from[group], 25.0 * group);
        assert_near(figures.value_to[group], 25.0 * group + 24);
    }
    assert_near(figures.chr_min, 50);
    figures_deinit(&figures);
}

static void test_values_that_are_all_the_same_say_nothing(void **at)
{
    struct figures figures = make(1);
    double values[] = {1, 1, 1};
    figures_values(&figures, values, 3, NAN);
    assert_false(figures.valued);
    figures_deinit(&figures);
}

/* -- lists ------------------------------------------------------------------------------------- */

/* Factors along the axes: pairs (0,1) alike, others at right angles: mean cosine 1/3. */
static void test_diversity_is_one_less_the_mean_cosine_of_pairs(void **at)
{
    struct figures figures = make(1);
    static const float Y[] = {2, 0, 5, 0, 0, 1, 0, 0};
    static const uint32_t row_of[50] = {0, 1, 2, 3, [4 ... 49] = NONE};
    static const uint64_t uses[50] = {1, 1, 2, 4};
    const struct shelf shelf = {uses, 8, row_of, Y, 2, 2};
    const uint32_t list[] = {0, 1, 2, 3, 9}; /* 3 has no length, 9 no factors and no uses */
    const struct relevant relevant = {9, 1};
    judge(&figures, 0, &relevant, 1, list, 5);
    figures_list(&figures, 0, 0, list, 5, &shelf);
    assert_int_equal(figures.methods[0].diverse_lists, 1);
    assert_near(figures.methods[0].diversity, 2 / 3.0);
    assert_near(figures.methods[0].novelty, (3 + 3 + 2 + 1) / 4.0); /* -log2 of 1/8 1/8 1/4 1/2 */
    assert_true(figures.methods[0].short_list[0]);
    figures_deinit(&figures);
}

static void test_churn_is_between_a_users_own_lists(void **at)
{
    struct figures figures = make(1);
    static const uint64_t uses[50] = {0};
    const struct shelf shelf = {.uses = uses, .uses_total = 1};
    const uint32_t first[] = {1, 2}, second[] = {3, 2};
    figures_list(&figures, 0, 0, first, 2, &shelf);
    figures_list(&figures, 0, 1, second, 2, &shelf); /* another user's: no pair */
    assert_int_equal(figures.methods[0].churn_pairs, 0);
    figures_list(&figures, 0, 0, second, 2, &shelf);
    assert_int_equal(figures.methods[0].churn_pairs, 1);
    assert_near(figures.methods[0].churn[0], 1 - 1 / 3.0);
    figures_deinit(&figures);
}

static void test_a_gap_is_closed_by_its_share(void **at)
{
    struct figures figures = make(1);
    figures_answer(&figures, 0, true, 0.2, 0.6);
    figures_answer(&figures, 0, false, 1.1, 1.2); /* none was left */
    figures_answer(&figures, 0, false, NAN, NAN);
    assert_int_equal(figures.methods[0].answers, 3);
    assert_int_equal(figures.methods[0].changed, 1);
    assert_int_equal(figures.methods[0].gaps, 1);
    assert_near(figures.methods[0].gap, 0.5);
    figures_deinit(&figures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_relevant_item_counts_by_its_rank),
        cmocka_unit_test(test_several_relevant_items_share_the_gain),
        cmocka_unit_test(test_a_list_that_is_empty_is_a_miss),
        cmocka_unit_test(test_standard_errors_take_a_users_units_as_one),
        cmocka_unit_test(test_differences_are_paired),
        cmocka_unit_test(test_many_users_each_keep_their_own),
        cmocka_unit_test(test_hits_count_by_value),
        cmocka_unit_test(test_many_values_are_grouped_in_quarters),
        cmocka_unit_test(test_values_that_are_all_the_same_say_nothing),
        cmocka_unit_test(test_diversity_is_one_less_the_mean_cosine_of_pairs),
        cmocka_unit_test(test_churn_is_between_a_users_own_lists),
        cmocka_unit_test(test_a_gap_is_closed_by_its_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
