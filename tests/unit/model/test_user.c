/* A user's record against a naive model of the same rules, and the rules one by one. */
#include "model/user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS 200
#define STEPS 60
#define NAIVE_MAX 128

static const struct user_limits limits = {.history_max = 4, .seen_max = 3, .dedup_window = 2};

/* `record` was replaced by `next`. */
static const struct user_record *step(const struct user_record *record,
                                      const struct user_record *next)
{
    user_record_unref(record);
    return next;
}

static const struct user_record *apply(const struct user_record *record, int64_t ts_ms,
                                       int64_t offset, uint32_t item, uint16_t type, uint64_t id)
{
    struct interaction interaction = {
        .ts_ms = ts_ms, .offset = offset, .value = 1.0, .id_hash = id, .item = item, .type = type};
    return step(record, user_apply(record, &interaction, &limits, NULL));
}

/* -- the naive model --------------------------------------------------------------------------- */

/* Everything ever said, in arrays that are searched and shifted, and cut to size when compared. */
struct naive {
    struct interaction kept[NAIVE_MAX]; /* by (ts, offset) */
    struct seen_item seen[NAIVE_MAX];   /* least recently touched first */
    uint64_t ids[NAIVE_MAX];
    uint32_t kept_count, seen_count, id_count;
    int64_t last_ts_ms;
    uint64_t events;
};

static int by_time(const void *a, const void *b)
{
    const struct interaction *left = a, *right = b;
    if (left->ts_ms != right->ts_ms)
        return left->ts_ms < right->ts_ms ? -1 : 1;
    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

#define DROP_FIRST(array, count) memmove((array), (array) + 1, --(count) * sizeof *(array))

static void naive_apply(struct naive *naive, const struct interaction *added,
                        const struct user_limits *at_most)
{
    naive->kept[naive->kept_count++] = *added;
    qsort(naive->kept, naive->kept_count, sizeof *naive->kept, by_time);
    if (naive->kept_count > at_most->history_max)
        DROP_FIRST(naive->kept, naive->kept_count);

    struct seen_item touched = {.item = added->item, .types = UINT64_C(1) << added->type};
    for (uint32_t i = 0; i < naive->seen_count; i++) {
        if (naive->seen[i].item != added->item)
            continue;
        touched.types |= naive->seen[i].types;
        memmove(&naive->seen[i], &naive->seen[i + 1],
                (--naive->seen_count - i) * sizeof *naive->seen);
        break;
    }
    naive->seen[naive->seen_count++] = touched;
    if (naive->seen_count > at_most->seen_max)
        DROP_FIRST(naive->seen, naive->seen_count);

    if (added->id_hash != 0)
        naive->ids[naive->id_count++] = added->id_hash;
    if (naive->id_count > at_most->dedup_window)
        DROP_FIRST(naive->ids, naive->id_count);
    if (naive->events++ == 0 || added->ts_ms > naive->last_ts_ms)
        naive->last_ts_ms = added->ts_ms;
}

static bool naive_has(const struct naive *naive, uint32_t item, uint16_t type)
{
    for (uint32_t i = 0; i < naive->kept_count; i++)
        if (naive->kept[i].item == item && naive->kept[i].type == type)
            return true;
    return false;
}

static bool naive_retract(struct naive *naive, uint64_t id)
{
    uint32_t at = naive->kept_count;
    for (uint32_t i = 0; i < naive->kept_count; i++)
        if (naive->kept[i].id_hash == id)
            at = i;
    if (at == naive->kept_count)
        return false;
    struct interaction gone = naive->kept[at];
    memmove(&naive->kept[at], &naive->kept[at + 1],
            (--naive->kept_count - at) * sizeof *naive->kept);
    for (uint32_t i = 0; i < naive->seen_count; i++) {
        if (naive->seen[i].item != gone.item || naive_has(naive, gone.item, gone.type))
            continue;
        naive->seen[i].types &= ~(UINT64_C(1) << gone.type);
        if (naive->seen[i].types != 0)
            break;
        memmove(&naive->seen[i], &naive->seen[i + 1],
                (--naive->seen_count - i) * sizeof *naive->seen);
        break;
    }
    return true;
}

static void assert_same(const struct user_record *record, const struct naive *naive)
{
    assert_int_equal(record->interaction_count, naive->kept_count);
    assert_memory_equal(user_interactions(record), naive->kept,
                        naive->kept_count * sizeof *naive->kept);
    assert_int_equal(record->seen_count, naive->seen_count);
    assert_memory_equal(user_seen(record), naive->seen, naive->seen_count * sizeof *naive->seen);
    assert_int_equal(record->dedup_count, naive->id_count);
    assert_memory_equal(user_dedup(record), naive->ids, naive->id_count * sizeof *naive->ids);
    assert_int_equal(record->last_ts_ms, naive->last_ts_ms);
    assert_int_equal(record->events, naive->events);
}

static struct interaction random_interaction(int64_t offset, int items)
{
    return (struct interaction){
        .ts_ms = 1000 + rand() % 40, /* few, so that many are equal and out of order */
        .offset = offset,
        .value = rand() % 5,
        .id_hash = rand() % 3 == 0 ? 0 : (uint64_t)(1 + rand() % 30),
        .item = (uint32_t)(rand() % items),
        .type = (uint16_t)(rand() % 3),
    };
}

/* most: of anything that is kept. */
static void compare_one_life(int most)
{
    struct user_limits some = {.history_max = (uint32_t)(1 + rand() % most),
                               .seen_max = (uint32_t)(1 + rand() % most),
                               .dedup_window = (uint32_t)(rand() % 6)};
    struct naive naive = {0};
    const struct user_record *record = NULL;
    for (int64_t offset = 0; offset < STEPS; offset++) {
        struct interaction added = random_interaction(offset, most);
        uint64_t ref = (uint64_t)(1 + rand() % 30);
        if (record != NULL && rand() % 5 == 0) {
            const struct user_record *after = user_retract(record, ref);
            assert_int_equal(after != NULL, naive_retract(&naive, ref));
            if (after != NULL)
                record = step(record, after);
        } else {
            record = step(record, user_apply(record, &added, &some, NULL));
            naive_apply(&naive, &added, &some);
        }
        if (record != NULL)
            assert_same(record, &naive);
    }
    user_record_unref(record);
}

static void test_a_record_is_what_the_naive_model_says_after_every_step(void **state)
{
    unsigned seed = 7001;
    print_message("seed %u\n", seed);
    srand(seed);
    for (int run = 0; run < RUNS; run++)
        compare_one_life(run % 2 == 0 ? 12 : NAIVE_MAX / 2);
}

/* -- the rules one by one ---------------------------------------------------------------------- */

static void test_an_event_makes_the_next_record_and_leaves_the_old_one(void **state)
{
    const struct user_record *first = apply(NULL, 10, 0, 1, 0, 77);
    struct interaction second = {.ts_ms = 20, .offset = 1, .value = 1, .item = 2};
    char *before = malloc(first->bytes);
    memcpy(before, first, first->bytes);
    const struct user_record *next = user_apply(first, &second, &limits, NULL);
    assert_memory_equal(first, before, first->bytes);
    assert_int_equal(next->interaction_count, 2);
    free(before);
    user_record_unref(first);
    user_record_unref(next);
}

static void test_an_event_older_than_a_full_history_is_seen_but_not_kept(void **state)
{
    const struct user_record *record = NULL;
    for (int64_t i = 0; i < limits.history_max; i++)
        record = apply(record, 100 + i, i, (uint32_t)i, 0, 0);
    record = apply(record, 50, 9, 42, 0, 0);
    assert_int_equal(record->interaction_count, limits.history_max);
    assert_int_equal(user_interactions(record)[0].ts_ms, 100);
    assert_true(user_has_seen(record, 42));
    assert_int_equal(record->events, limits.history_max + 1);
    user_record_unref(record);
}

static void test_smaller_limits_cut_a_record_at_its_next_event(void **state)
{
    struct user_limits small = {.history_max = 1, .seen_max = 1, .dedup_window = 0};
    struct interaction last = {.ts_ms = 300, .offset = 5, .value = 1, .id_hash = 9, .item = 8};
    const struct user_record *record = NULL;
    for (int64_t i = 0; i < 4; i++)
        record = apply(record, 100 + i, i, (uint32_t)i, 0, (uint64_t)i + 1);
    record = step(record, user_apply(record, &last, &small, NULL));
    assert_int_equal(record->interaction_count, 1);
    assert_int_equal(user_interactions(record)[0].item, 8);
    assert_int_equal(record->seen_count, 1);
    assert_int_equal(user_seen(record)[0].item, 8);
    assert_int_equal(record->dedup_count, 0);
    user_record_unref(record);
}

/* Wherever the item was among the seen: it goes last, and of the others the latest stay. */
static void test_smaller_limits_keep_the_seen_items_touched_last(void **state)
{
    for (uint32_t again = 0; again < 5; again++) {
        struct user_limits limits_then = {.history_max = 5, .seen_max = 5};
        struct user_limits limits_now = {.history_max = 5, .seen_max = 3};
        const struct user_record *record = NULL;
        for (uint32_t item = 0; item < 5; item++) {
            struct interaction one = {.ts_ms = 1000, .offset = item, .item = item};
            record = step(record, user_apply(record, &one, &limits_then, NULL));
        }
        struct interaction last = {.ts_ms = 1000, .offset = 5, .item = again};
        record = step(record, user_apply(record, &last, &limits_now, NULL));
        assert_int_equal(record->seen_count, 3);
        uint32_t expected[] = {again >= 3 ? 2 : 3, again == 4 ? 3 : 4, again};
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(user_seen(record)[i].item, expected[i]);
        user_record_unref(record);
    }
}

static void test_an_id_is_known_while_it_is_in_the_window(void **state)
{
    const struct user_record *record = apply(NULL, 10, 0, 1, 0, 71);
    record = apply(record, 20, 1, 1, 0, 72);
    assert_true(user_knows_id(record, 71));
    record = apply(record, 30, 2, 1, 0, 0); /* without an id, it takes no place */
    assert_true(user_knows_id(record, 71));
    record = apply(record, 40, 3, 1, 0, 73);
    assert_false(user_knows_id(record, 71));
    assert_true(user_knows_id(record, 72));
    assert_false(user_knows_id(record, 0));
    assert_false(user_knows_id(NULL, 71));
    user_record_unref(record);
}

static void test_what_is_retracted_is_unseen_and_its_id_still_known(void **state)
{
    const struct user_record *record = apply(NULL, 10, 0, 5, 1, 71);
    record = step(record, user_retract(record, 71));
    assert_int_equal(record->interaction_count, 0);
    assert_false(user_has_seen(record, 5));
    assert_true(user_knows_id(record, 71));
    user_record_unref(record);
}

static void test_an_item_stays_seen_by_what_else_is_known_of_it(void **state)
{
    const struct user_record *record = apply(NULL, 10, 0, 5, 1, 71);
    record = apply(record, 20, 1, 5, 1, 72);
    record = apply(record, 30, 2, 5, 2, 0);
    record = step(record, user_retract(record, 71));
    assert_int_equal(user_seen(record)[0].types, 1 << 1 | 1 << 2);
    record = step(record, user_retract(record, 72));
    assert_int_equal(user_seen(record)[0].types, 1 << 2);
    user_record_unref(record);
}

static void test_an_unknown_reference_retracts_nothing(void **state)
{
    const struct user_record *record = apply(NULL, 10, 0, 5, 1, 0);
    assert_null(user_retract(record, 71));
    assert_null(user_retract(record, 0));
    assert_null(user_retract(NULL, 71));
    user_record_unref(record);
}

static void test_a_new_user_is_owed_a_list_until_it_is_acknowledged(void **state)
{
    static const uint32_t list[] = {3, 1, 2};
    const struct user_record *record = apply(NULL, 10, 0, 5, 1, 71);
    record = user_want(record, 1, 4);
    assert_true(user_is_owed(record, 4));
    record = step(record, user_acknowledge(record, 1, 4, list, 3, true));
    assert_false(user_is_owed(record, 4));
    assert_int_equal(record->list_count, 3);
    assert_memory_equal(user_list(record), list, sizeof list);
    assert_true(user_has_seen(record, 5));
    assert_true(user_knows_id(record, 71));
    record = user_want(record, 9, 4);
    assert_true(user_is_owed(record, 4));
    user_record_unref(record);
}

static void test_wanting_a_list_leaves_a_record_that_others_hold_as_it_was(void **state)
{
    const struct user_record *record = apply(NULL, 10, 0, 5, 1, 71);
    const struct user_record *held = user_record_ref(record);
    record = user_want(record, 7, 2);
    assert_ptr_not_equal(record, held);
    assert_int_equal(held->wanted_offset, 0);
    assert_int_equal(record->wanted_offset, 7);
    assert_int_equal(record->wanted_swap, 2);
    assert_int_equal(record->bytes, held->bytes);
    assert_memory_equal(record + 1, held + 1, record->bytes - sizeof *record);
    const struct user_record *same = record;
    record = user_want(record, 8, 2); /* nobody else holds this one */
    assert_ptr_equal(record, same);
    assert_int_equal(record->wanted_offset, 8);
    user_record_unref(held);
    user_record_unref(record);
}

static void test_a_record_without_what_came_since_has_what_came_before(void **state)
{
    const struct user_record *record = NULL;
    static const int64_t ts_ms[] = {50, 20, 40, 30}; /* offset 2 comes late */
    for (int64_t offset = 0; offset < 4; offset++)
        record = apply(record, ts_ms[offset], offset, (uint32_t)offset, 0, 0);
    const struct user_record *before = user_without_since(record, 2);
    assert_int_equal(before->interaction_count, 2);
    assert_int_equal(user_interactions(before)[0].offset, 1); /* still by time */
    assert_int_equal(user_interactions(before)[1].offset, 0);
    assert_int_equal(before->seen_count, 0);
    const struct user_record *nothing = user_without_since(record, -1);
    assert_int_equal(nothing->interaction_count, 0);
    user_record_unref(nothing);
    user_record_unref(before);
    user_record_unref(record);
}

static void test_a_swap_makes_every_list_owed(void **state)
{
    const struct user_record *record = apply(NULL, 10, 0, 5, 1, 0);
    record = user_want(record, 1, 4);
    record = step(record, user_acknowledge(record, 1, 4, NULL, 0, true));
    assert_true(user_is_owed(record, 5));
    user_record_unref(record);
}

static void test_a_forgotten_user_keeps_nothing_but_that_a_tombstone_is_wanted(void **state)
{
    const struct user_record *record = step(NULL, user_forget(500));
    record = user_want(record, 8, 0);
    assert_int_equal(record->bytes, sizeof *record);
    assert_int_equal(record->forgotten, 1);
    assert_true(user_is_owed(record, 0));
    assert_false(user_is_erased(record, 500));
    record = step(record, user_acknowledge(record, 8, 0, NULL, 0, true));
    assert_false(user_is_erased(record, 499));
    assert_true(user_is_erased(record, 500));
    user_record_unref(record);
}

static void test_a_forgotten_user_who_comes_back_begins_anew(void **state)
{
    const struct user_record *record = apply(step(NULL, user_forget(500)), 10, 0, 5, 1, 71);
    assert_int_equal(record->forgotten, 0);
    assert_int_equal(record->events, 1);
    assert_int_equal(record->last_ts_ms, 10);
    assert_int_equal(record->acked_offset, -1);
    user_record_unref(record);
}

static void test_a_referenced_record_outlives_its_owner(void **state)
{
    const struct user_record *record = apply(NULL, 10, 0, 5, 1, 71);
    user_record_ref(record);
    user_record_unref(record);
    assert_true(user_has_seen(record, 5));
    user_record_unref(record);
    user_record_unref(NULL);
}

/* -- bytes ------------------------------------------------------------------------------------- */

static const struct user_record *full_record(void)
{
    static const uint32_t list[] = {3, 1, 2};
    const struct user_record *record = NULL;
    for (int64_t i = 0; i < 6; i++)
        record = apply(record, 100 - i % 3, i, (uint32_t)i, (uint16_t)i, (uint64_t)i + 1);
    return step(record, user_acknowledge(record, 3, 1, list, 3, true));
}

static void test_a_record_survives_being_bytes(void **state)
{
    const struct user_record *record = full_record(), *again = NULL;
    struct slice bytes = user_record_bytes(record);
    char *moved = malloc(bytes.length + 1); /* to an odd address, as LMDB may have it */
    memcpy(moved + 1, bytes.data, bytes.length);
    assert_int_equal(user_record_parse(&again, (struct slice){moved + 1, bytes.length}, NULL), 0);
    assert_int_equal(again->bytes, record->bytes);
    assert_memory_equal(again, record, record->bytes);
    free(moved);
    user_record_unref(record);
    user_record_unref(again);
}

static void test_a_truncated_record_is_refused_wherever_it_is_cut(void **state)
{
    const struct user_record *record = full_record(), *parsed = NULL;
    struct slice bytes = user_record_bytes(record);
    for (uint32_t length = 0; length < bytes.length; length++) {
        struct error err = {0};
        struct slice cut = {bytes.data, length};
        assert_int_equal(user_record_parse(&parsed, cut, &err), ERR_DATA);
    }
    assert_null(parsed);
    user_record_unref(record);
}

/* Changes the copy of a sound record by `damage`, and expects it to be refused. */
static void expect_refused(void (*damage)(struct user_record *record))
{
    const struct user_record *record = full_record(), *parsed = NULL;
    struct slice bytes = user_record_bytes(record);
    struct user_record *copy = malloc(bytes.length);
    memcpy(copy, bytes.data, bytes.length);
    damage(copy);
    struct slice damaged = {(const char *)copy, bytes.length};
    assert_int_equal(user_record_parse(&parsed, damaged, NULL), ERR_DATA);
    assert_null(parsed);
    free(copy);
    user_record_unref(record);
}

static void overflowing_counts(struct user_record *record)
{
    record->interaction_count = UINT32_MAX;
    record->dedup_count = UINT32_MAX;
}

static void newer_format(struct user_record *record)
{
    record->format++;
}

static void not_a_number(struct user_record *record)
{
    ((struct interaction *)user_interactions(record))[1].value = NAN;
}

static void impossible_type(struct user_record *record)
{
    ((struct interaction *)user_interactions(record))[1].type = 64;
}

static void out_of_order(struct user_record *record)
{
    ((struct interaction *)user_interactions(record))[0].ts_ms = 5000;
}

static void test_damaged_records_are_refused(void **state)
{
    expect_refused(overflowing_counts);
    expect_refused(newer_format);
    expect_refused(not_a_number);
    expect_refused(impossible_type);
    expect_refused(out_of_order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_is_what_the_naive_model_says_after_every_step),
        cmocka_unit_test(test_an_event_makes_the_next_record_and_leaves_the_old_one),
        cmocka_unit_test(test_an_event_older_than_a_full_history_is_seen_but_not_kept),
        cmocka_unit_test(test_smaller_limits_cut_a_record_at_its_next_event),
        cmocka_unit_test(test_smaller_limits_keep_the_seen_items_touched_last),
        cmocka_unit_test(test_an_id_is_known_while_it_is_in_the_window),
        cmocka_unit_test(test_what_is_retracted_is_unseen_and_its_id_still_known),
        cmocka_unit_test(test_an_item_stays_seen_by_what_else_is_known_of_it),
        cmocka_unit_test(test_an_unknown_reference_retracts_nothing),
        cmocka_unit_test(test_a_new_user_is_owed_a_list_until_it_is_acknowledged),
        cmocka_unit_test(test_wanting_a_list_leaves_a_record_that_others_hold_as_it_was),
        cmocka_unit_test(test_a_record_without_what_came_since_has_what_came_before),
        cmocka_unit_test(test_a_swap_makes_every_list_owed),
        cmocka_unit_test(test_a_forgotten_user_keeps_nothing_but_that_a_tombstone_is_wanted),
        cmocka_unit_test(test_a_forgotten_user_who_comes_back_begins_anew),
        cmocka_unit_test(test_a_referenced_record_outlives_its_owner),
        cmocka_unit_test(test_a_record_survives_being_bytes),
        cmocka_unit_test(test_a_truncated_record_is_refused_wherever_it_is_cut),
        cmocka_unit_test(test_damaged_records_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
