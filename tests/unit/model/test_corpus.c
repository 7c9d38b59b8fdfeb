#include "model/corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct slice item_ids[] = {{"i9", 2}, {"i10", 3}, {"i1", 2}, {"zz", 2}, {"a", 1}};
#define ITEMS 5

static struct interaction at(int64_t ts_ms, int64_t offset, uint32_t item, uint16_t type)
{
    return (struct interaction){
        .ts_ms = ts_ms, .offset = offset, .value = 1, .item = item, .type = type};
}

/* Type 0 counts, type 1 weighs nothing and leaves no trace, type 2 weighs nothing but hides. */
static struct corpus empty(void)
{
    struct corpus corpus = {0};
    corpus.types[0] = (struct type_weight){1, 0, 1, VALUE_NONE, true};
    corpus.types[2] = (struct type_weight){0, 0, 1, VALUE_NONE, true};
    return corpus;
}

static struct corpus two_users(void)
{
    struct corpus corpus = empty();
    const struct interaction of_b[] = {at(5, 1, 0, 0), at(6, 2, 3, 1), at(9, 3, 2, 0)};
    const struct interaction of_a[] = {at(7, 4, 1, 0)};
    const struct seen_item seen_by_b[] = {{.types = 1, .item = 0},
                                          {.types = 1, .item = 1},
                                          {.types = 2, .item = 2},
                                          {.types = 4, .item = 2},
                                          {.types = 1, .item = 4}};
    corpus_add_user(&corpus, SLICE("b"), 3, of_b, 3, seen_by_b, 5);
    corpus_add_user(&corpus, SLICE("a"), 1, of_a, 1, NULL, 0);
    assert_int_equal(corpus_finish(&corpus, item_ids, ITEMS, 1, NULL), 0);
    return corpus;
}

static void test_users_come_in_the_order_of_their_ids(void **state)
{
    struct corpus corpus = two_users();
    assert_int_equal(corpus.users, 2);
    assert_int_equal(corpus.partition[0], 1);
    assert_int_equal(corpus.partition[1], 3);
    assert_int_equal(corpus.user_begin[1], 1);
    assert_int_equal(corpus.user_begin[2], 3);
    corpus_deinit(&corpus);
}

static void test_items_become_rows_in_byte_order(void **state)
{
    struct corpus corpus = two_users();
    assert_int_equal(corpus.items, 3);
    assert_true(slice_equal(corpus.ids[0], SLICE("i1")));
    assert_true(slice_equal(corpus.ids[1], SLICE("i10")));
    assert_true(slice_equal(corpus.ids[2], SLICE("i9")));
    assert_int_equal(corpus.log[0].item, 1);
    assert_int_equal(corpus.log[1].item, 2);
    assert_int_equal(corpus.log[2].item, 0);
    corpus_deinit(&corpus);
}

static void test_types_without_weight_are_left_out(void **state)
{
    struct corpus corpus = two_users();
    for (size_t i = 0; i < corpus.user_begin[2]; i++)
        assert_int_equal(corpus.log[i].type, 0);
    assert_int_equal(corpus.now_ms, 9);
    corpus_deinit(&corpus);
}

static void test_older_items_are_those_seen_and_no_longer_kept(void **state)
{
    struct corpus corpus = two_users();
    /* Of b's five: i9 and i1 are kept, "a" is nobody's row, i10 remains. */
    assert_int_equal(corpus.older_begin[1], 0);
    assert_int_equal(corpus.older_begin[2], 1);
    assert_int_equal(corpus.older[0], 1);
    corpus_deinit(&corpus);
}

static void test_an_interaction_finds_its_user(void **state)
{
    struct corpus corpus = empty();
    const struct interaction one = at(1, 1, 0, 0), none = at(1, 1, 0, 1);
    corpus_add_user(&corpus, SLICE("a"), 0, &none, 1, NULL, 0);
    corpus_add_user(&corpus, SLICE("b"), 0, &one, 1, NULL, 0);
    corpus_add_user(&corpus, SLICE("c"), 0, &none, 1, NULL, 0);
    corpus_add_user(&corpus, SLICE("d"), 0, &one, 1, NULL, 0);
    assert_int_equal(corpus_finish(&corpus, item_ids, ITEMS, 1, NULL), 0);
    assert_int_equal(corpus_user_at(&corpus, 0), 1);
    assert_int_equal(corpus_user_at(&corpus, 1), 3);
    corpus_deinit(&corpus);
}

enum { LINES = 100 };

/* One invoice of a hundred lines, then one later line. */
static struct corpus invoice(uint64_t seed)
{
    struct corpus corpus = empty();
    static struct interaction lines[LINES + 1];
    for (int i = 0; i < LINES; i++)
        lines[i] = at(5, i, (uint32_t)(i % ITEMS), 0);
    lines[LINES] = at(6, LINES, 0, 0);
    corpus_add_user(&corpus, SLICE("u"), 0, lines, LINES + 1, NULL, 0);
    assert_int_equal(corpus_finish(&corpus, item_ids, ITEMS, seed, NULL), 0);
    return corpus;
}

static void test_equal_times_are_shuffled_and_none_is_lost(void **state)
{
    struct corpus corpus = invoice(1);
    bool seen[LINES] = {false};
    size_t ascents = 0;
    for (size_t i = 0; i < LINES; i++) {
        assert_false(seen[corpus.log[i].offset]);
        seen[corpus.log[i].offset] = true;
        ascents += i > 0 && corpus.log[i].offset > corpus.log[i - 1].offset;
    }
    /* 99 neighbours, half of them ascending by chance, standard deviation 2.9: within 7 of them. */
    assert_in_range(ascents, 30, 70);
    assert_int_equal(corpus.log[LINES].offset, LINES);
    corpus_deinit(&corpus);
}

static void test_the_shuffle_is_the_seeds(void **state)
{
    struct corpus a = invoice(1), same = invoice(1), other = invoice(2);
    size_t bytes = (LINES + 1) * sizeof *a.log;
    assert_memory_equal(a.log, same.log, bytes);
    assert_memory_not_equal(a.log, other.log, bytes);
    corpus_deinit(&a);
    corpus_deinit(&same);
    corpus_deinit(&other);
}

/* Numbers are given in the order in which partitions were consumed; rows are not. */
static void test_the_shuffle_does_not_depend_on_how_items_were_numbered(void **state)
{
    static const struct slice renumbered[] = {
        {"a", 1}, {"zz", 2}, {"i1", 2}, {"i10", 3}, {"i9", 2}};
    struct corpus corpus = invoice(1), other = empty();
    static struct interaction lines[LINES + 1];
    for (int i = 0; i < LINES; i++)
        lines[i] = at(5, i, (uint32_t)(ITEMS - 1 - i % ITEMS), 0);
    lines[LINES] = at(6, LINES, ITEMS - 1, 0);
    corpus_add_user(&other, SLICE("u"), 0, lines, LINES + 1, NULL, 0);
    assert_int_equal(corpus_finish(&other, renumbered, ITEMS, 1, NULL), 0);
    assert_memory_equal(corpus.log, other.log, (LINES + 1) * sizeof *corpus.log);
    corpus_deinit(&corpus);
    corpus_deinit(&other);
}

static void test_a_history_with_an_unknown_item_is_bad_data(void **state)
{
    struct corpus corpus = empty();
    const struct interaction wild = at(1, 1, ITEMS, 0);
    struct error err = {0};
    corpus_add_user(&corpus, SLICE("a"), 0, &wild, 1, NULL, 0);
    assert_int_equal(corpus_finish(&corpus, item_ids, ITEMS, 1, &err), ERR_DATA);
    corpus_deinit(&corpus);
}

static void test_ratings_end_where_they_are_told(void **state)
{
    struct corpus corpus = two_users();
    struct hyperparameters hyper = {OBJECTIVE_IALS, 4, 0.1, 0.01, 1, LAMBDA_COUNT};
    struct ratings all, head;
    size_t end[2] = {0, 2}; /* nothing of a, the first of b */
    assert_int_equal(corpus_ratings(&corpus, &hyper, NULL, 9, &all, NULL), 0);
    assert_int_equal(corpus_ratings(&corpus, &hyper, end, 9, &head, NULL), 0);
    assert_int_equal(all.user_begin[2], 3);
    assert_int_equal(head.user_begin[1], 0);
    assert_int_equal(head.user_begin[2], 1);
    assert_int_equal(head.user_pairs[0].row, 2);
    assert_int_equal(head.item_begin[3], 1);
    ratings_deinit(&all);
    ratings_deinit(&head);
    corpus_deinit(&corpus);
}

static void test_nobody_makes_an_empty_corpus(void **state)
{
    struct corpus corpus = {0};
    assert_int_equal(corpus_finish(&corpus, NULL, 0, 1, NULL), 0);
    assert_int_equal(corpus.users, 0);
    assert_int_equal(corpus.user_begin[0], 0);
    corpus_deinit(&corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users_come_in_the_order_of_their_ids),
        cmocka_unit_test(test_items_become_rows_in_byte_order),
        cmocka_unit_test(test_types_without_weight_are_left_out),
        cmocka_unit_test(test_older_items_are_those_seen_and_no_longer_kept),
        cmocka_unit_test(test_an_interaction_finds_its_user),
        cmocka_unit_test(test_equal_times_are_shuffled_and_none_is_lost),
        cmocka_unit_test(test_the_shuffle_is_the_seeds),
        cmocka_unit_test(test_the_shuffle_does_not_depend_on_how_items_were_numbered),
        cmocka_unit_test(test_a_history_with_an_unknown_item_is_bad_data),
        cmocka_unit_test(test_ratings_end_where_they_are_told),
        cmocka_unit_test(test_nobody_makes_an_empty_corpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
