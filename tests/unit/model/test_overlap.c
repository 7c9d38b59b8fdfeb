#include "model/overlap.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define EXACT 1e-12 /* some float64 operations on numbers of about 1 */
#define LENGTH_MOST 120

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= EXACT))
        fail_msg("%.17g is not %.17g", a, b);
}

static struct overlapping overlapping;

static int teardown(void **at)
{
    overlapping_deinit(&overlapping);
    return 0;
}

static double rbo_of(const uint32_t *a, uint32_t m, const uint32_t *b, uint32_t n)
{
    return overlap_of(&overlapping, a, m, b, n, OVERLAP_K).rbo;
}

static double distance_at(const uint32_t *a, uint32_t m, const uint32_t *b, uint32_t n, uint32_t k)
{
    return overlap_of(&overlapping, a, m, b, n, k).jaccard_distance;
}

static void test_jaccard_counts_the_first_k_of_each(void **at)
{
    const uint32_t a[] = {1, 2, 3, 4}, b[] = {2, 9, 8, 1};
    assert_near(distance_at(a, 4, a, 4, 4), 0);
    assert_near(distance_at(a, 4, b, 4, 2), 1 - 1 / 3.0);
    assert_near(distance_at(a, 4, b, 4, 4), 1 - 2 / 6.0);
    assert_near(distance_at(a, 4, b, 0, 4), 1);
    assert_near(distance_at(a, 0, b, 0, 4), 0);
    assert_near(distance_at(a, 4, NULL, 0, 4), 1);
}

/* Agreements 0, 1/2, 2/3: 2/3 .9^3 + (.1/.9)(0 + .9^2/2 + .9^3 2/3). */
static void test_rank_biased_overlap_weighs_the_top(void **at)
{
    const uint32_t a[] = {1, 2, 3}, b[] = {2, 4, 1}, c[] = {5, 6, 7};
    double made = 2 / 3.0 * 0.729 + 0.1 / 0.9 * (0.81 / 2 + 0.729 * 2 / 3);
    assert_near(rbo_of(a, 3, b, 3), made);
    assert_near(rbo_of(b, 3, a, 3), made);
    assert_near(rbo_of(a, 3, a, 3), 1);
    assert_near(rbo_of(a, 3, c, 3), 0);
    assert_near(rbo_of(a, 0, a, 0), 1);
    assert_near(rbo_of(a, 3, a, 0), 0);
}

/* The definitions as they stand: every prefix counted anew. */
static uint32_t common_of(const uint32_t *a, uint32_t m, const uint32_t *b, uint32_t n)
{
    uint32_t common = 0;
    for (uint32_t i = 0; i < m; i++)
        for (uint32_t j = 0; j < n; j++)
            common += a[i] == b[j];
    return common;
}

static double plain_rbo(const uint32_t *a, uint32_t m, const uint32_t *b, uint32_t n)
{
    const double p = 0.9;
    uint32_t depth = m < n ? m : n;
    double sum = 0;
    for (uint32_t d = 1; d <= depth; d++)
        sum += pow(p, d) * common_of(a, d, b, d) / d;
    return pow(p, depth) * common_of(a, depth, b, depth) / depth + (1 - p) / p * sum;
}

/* A random list of distinct items below `most`. */
static uint32_t draw(uint32_t *list, uint32_t most)
{
    uint32_t count = 1 + (uint32_t)(rand() % LENGTH_MOST), drawn = 0;
    bool had[2 * LENGTH_MOST] = {false};
    while (drawn < count) {
        uint32_t item = (uint32_t)rand() % most;
        if (!had[item])
            list[drawn++] = item;
        had[item] = true;
    }
    return count;
}

static void test_both_are_what_their_definitions_say_on_random_lists(void **at)
{
    srand(20);
    for (int round = 0; round < 1000; round++) {
        uint32_t a[LENGTH_MOST], b[LENGTH_MOST], m = draw(a, 2 * LENGTH_MOST),
                                                 n = draw(b, 2 * LENGTH_MOST);
        uint32_t k = 1 + (uint32_t)(rand() % LENGTH_MOST), common;
        assert_near(rbo_of(a, m, b, n), plain_rbo(a, m, b, n));
        uint32_t i = m < k ? m : k, j = n < k ? n : k;
        common = common_of(a, i, b, j);
        assert_near(distance_at(a, m, b, n, k), 1 - (double)common / (i + j - common));
    }
}

/* As a list is renewed: some leave, some move a little, some come. */
static uint32_t renew(const uint32_t *a, uint32_t count, uint32_t *b)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (rand() % 10 != 0)
            b[kept++] = a[i];
    for (uint32_t i = 1; i < kept; i++)
        if (rand() % 8 == 0) {
            uint32_t moved = b[i];
            b[i] = b[i - 1];
            b[i - 1] = moved;
        }
    while (kept < LENGTH_MOST && rand() % 3 != 0) {
        b[kept] = 2 * LENGTH_MOST + kept;
        kept++;
    }
    return kept;
}

static void test_one_pass_over_a_renewed_list_says_what_both_definitions_say(void **at)
{
    srand(21);
    for (int round = 0; round < 1000; round++) {
        uint32_t a[LENGTH_MOST], b[LENGTH_MOST], m = draw(a, 2 * LENGTH_MOST), n = renew(a, m, b);
        uint32_t k = 1 + (uint32_t)(rand() % LENGTH_MOST), i = m < k ? m : k, j = n < k ? n : k;
        uint32_t common = common_of(a, i, b, j);
        struct overlap overlap = overlap_of(&overlapping, a, m, b, n, k);
        if (n == 0)
            continue;
        assert_near(overlap.rbo, plain_rbo(a, m, b, n));
        assert_near(overlap.jaccard_distance, 1 - (double)common / (i + j - common));
    }
}

/* Nothing that is the same is a hair's breadth away, nor nearer than that. */
static void test_equal_lists_are_at_no_distance_whatever_their_length(void **at)
{
    static uint32_t list[1500];
    for (uint32_t i = 0; i < 1500; i++)
        list[i] = i * 7;
    for (uint32_t count = 1; count < 1500; count += count < 60 ? 1 : 97) {
        struct overlap same = overlap_of(&overlapping, list, count, list, count, 20);
        assert_true(same.rbo == 1 && same.jaccard_distance == 0);
        assert_true(rbo_of(list, count, list, count + 1) <= 1);
    }
}

static void test_long_lists_are_compared_as_short_ones_are(void **at)
{
    static uint32_t a[1500], b[1500];
    for (uint32_t i = 0; i < 1500; i++) {
        a[i] = i;
        b[i] = i * 7 % 1500;
    }
    assert_near(rbo_of(a, 1500, b, 1500), plain_rbo(a, 1500, b, 1500));
    assert_near(distance_at(a, 1500, b, 1500, 1200),
                1 - common_of(a, 1200, b, 1200) / (2400.0 - common_of(a, 1200, b, 1200)));
}

/* As far down as the two have any weight. */
static void test_what_lists_have_in_common_only_far_down_is_next_to_nothing(void **at)
{
    static uint32_t a[1500], b[1500];
    for (uint32_t i = 0; i < 1500; i++) {
        a[i] = i;
        b[i] = i < 700 ? 2000 + i : i;
    }
    assert_near(rbo_of(a, 1500, b, 1500), 0);
    assert_near(distance_at(a, 1500, b, 1500, 1500), 1 - 800 / 2200.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jaccard_counts_the_first_k_of_each),
        cmocka_unit_test(test_rank_biased_overlap_weighs_the_top),
        cmocka_unit_test(test_both_are_what_their_definitions_say_on_random_lists),
        cmocka_unit_test(test_equal_lists_are_at_no_distance_whatever_their_length),
        cmocka_unit_test(test_long_lists_are_compared_as_short_ones_are),
        cmocka_unit_test(test_one_pass_over_a_renewed_list_says_what_both_definitions_say),
        cmocka_unit_test(test_what_lists_have_in_common_only_far_down_is_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
