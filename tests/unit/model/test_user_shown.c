/* What a user's record keeps of impressions, against a naive model and rule by rule; and records of
 * the format that kept none. */
#include "base/buffer.h"
#include "model/user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RUNS 200
#define STEPS 80
#define ITEMS 12
#define NAIVE_MAX 32

static const struct user_limits limits = {
    .history_max = 4, .seen_max = 3, .dedup_window = 2, .impressions_max = 3};

/* `record` was replaced by `next`. */
static const struct user_record *step(const struct user_record *record,
                                      const struct user_record *next)
{
    user_record_unref(record);
    return next;
}

static const struct user_record *use(const struct user_record *record, int64_t offset,
                                     uint32_t item, uint64_t id)
{
    struct interaction interaction = {
        .ts_ms = 1000 + offset, .offset = offset, .value = 1, .id_hash = id, .item = item};
    return step(record, user_apply(record, &interaction, &limits, NULL));
}

static const struct user_record *impress(const struct user_record *record, uint32_t item,
                                         int64_t ts_ms, uint64_t id, const struct user_limits *some)
{
    static struct buffer aside; /* as long as the program runs */
    return user_impress_onto(record, item, ts_ms, id, some, &aside);
}

static const struct user_record *show(const struct user_record *record, uint32_t item,
                                      int64_t ts_ms)
{
    return impress(record, item, ts_ms, 0, &limits);
}

/* `items` as digits, least recently shown first. */
static void assert_shown(const struct user_record *record, const char *items)
{
    assert_int_equal(record->shown_count, strlen(items));
    for (uint32_t i = 0; i < record->shown_count; i++)
        assert_int_equal(user_shown(record)[i].item, items[i] - '0');
}

/* -- the naive model --------------------------------------------------------------------------- */

struct naive {
    struct shown_item shown[NAIVE_MAX]; /* least recently shown first */
    uint32_t count;
};

static struct shown_item naive_take(struct naive *naive, uint32_t item)
{
    struct shown_item none = {.ts_ms = INT64_MIN, .item = item};
    for (uint32_t i = 0; i < naive->count; i++) {
        struct shown_item found = naive->shown[i];
        if (found.item != item)
            continue;
        memmove(&naive->shown[i], &naive->shown[i + 1],
                (--naive->count - i) * sizeof *naive->shown);
        return found;
    }
    return none;
}

static void naive_show(struct naive *naive, uint32_t item, int64_t ts_ms, uint32_t max)
{
    struct shown_item shown = naive_take(naive, item);
    shown.count++;
    shown.ts_ms = ts_ms > shown.ts_ms ? ts_ms : shown.ts_ms;
    naive->shown[naive->count++] = shown;
    if (naive->count > max)
        memmove(naive->shown, naive->shown + 1, --naive->count * sizeof *naive->shown);
}

static uint64_t sum_of(const void *bytes, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum = sum * 31 + ((const unsigned char *)bytes)[i];
    return sum;
}

/* What an impression must leave alone: interactions, seen items, list, and where it stands. */
static uint64_t untouched(const struct user_record *record)
{
    uint64_t sum = record->events + 7 * (uint64_t)record->last_ts_ms;
    sum +=
        sum_of(user_interactions(record), record->interaction_count * sizeof(struct interaction));
    sum += sum_of(user_seen(record), record->seen_count * sizeof(struct seen_item));
    return sum + sum_of(user_list(record), record->list_count * sizeof(uint32_t));
}

static void compare_one_life(void)
{
    static const uint32_t list[] = {5, 6, 7};
    struct user_limits some = limits;
    some.impressions_max = (uint32_t)(1 + rand() % ITEMS);
    struct naive naive = {0};
    const struct user_record *record = use(NULL, 0, 0, 0);
    record = step(record, user_acknowledge(record, 1, 0, list, 3, true));
    for (int64_t offset = 1; offset < STEPS; offset++) {
        uint32_t item = (uint32_t)(rand() % ITEMS);
        if (rand() % 4 == 0) {
            record = step(record, user_apply(record,
                                             &(struct interaction){
                                                 .ts_ms = 1000, .offset = offset, .item = item},
                                             &some, NULL));
            naive_take(&naive, item);
        } else {
            int64_t ts_ms = 1000 + rand() % 50;
            uint64_t before = untouched(record);
            record = impress(record, item, ts_ms, 0, &some);
            naive_show(&naive, item, ts_ms, some.impressions_max);
            assert_int_equal(untouched(record), before);
        }
        assert_int_equal(record->shown_count, naive.count);
        assert_memory_equal(user_shown(record), naive.shown, naive.count * sizeof *naive.shown);
        assert_memory_equal(user_list(record), list, sizeof list);
    }
    user_record_unref(record);
}

static void test_what_was_shown_is_what_the_naive_model_says(void **state)
{
    unsigned seed = 8002;
    print_message("seed %u\n", seed);
    srand(seed);
    for (int run = 0; run < RUNS; run++)
        compare_one_life();
}

/* -- the rules --------------------------------------------------------------------------------- */

static void test_impressions_of_an_item_are_counted_with_the_latest_time(void **state)
{
    const struct user_record *record = use(NULL, 0, 9, 0);
    record = show(record, 1, 500);
    record = show(record, 2, 600);
    record = show(record, 1, 400);
    assert_shown(record, "21");
    assert_int_equal(user_shown(record)[1].count, 2);
    assert_int_equal(user_shown(record)[1].ts_ms, 500);
    user_record_unref(record);
}

static void test_the_least_recently_shown_leaves_first(void **state)
{
    const struct user_record *record = use(NULL, 0, 9, 0);
    for (uint32_t item = 1; item <= 3; item++)
        record = show(record, item, 500);
    record = show(record, 1, 500);
    record = show(record, 4, 500);
    assert_shown(record, "314");
    user_record_unref(record);
}

static void test_using_an_item_takes_it_from_the_shown(void **state)
{
    const struct user_record *record = use(NULL, 0, 9, 0);
    record = show(record, 1, 500);
    record = show(record, 2, 500);
    record = use(record, 1, 1, 77);
    assert_shown(record, "2");
    record = step(record, user_retract(record, 77)); /* it does not come back, the other stays */
    assert_shown(record, "2");
    record = show(record, 1, 900);
    assert_int_equal(user_shown(record)[1].count, 1);
    user_record_unref(record);
}

static void test_an_impressions_id_takes_its_place_in_the_window(void **state)
{
    const struct user_record *record = use(NULL, 0, 9, 71);
    record = impress(record, 1, 500, 72, &limits);
    assert_true(user_knows_id(record, 71) && user_knows_id(record, 72));
    record = impress(record, 1, 500, 73, &limits);
    assert_false(user_knows_id(record, 71));
    user_record_unref(record);
}

static void test_a_smaller_limit_keeps_what_was_shown_last(void **state)
{
    struct user_limits fewer = limits, none = limits;
    struct interaction other = {.ts_ms = 9000, .offset = 9, .item = 8};
    fewer.impressions_max = 2;
    none.impressions_max = 0;
    const struct user_record *record = use(NULL, 0, 9, 0);
    for (uint32_t item = 1; item <= 3; item++)
        record = show(record, item, 500);
    record = step(record, user_apply(record, &other, &fewer, NULL));
    assert_shown(record, "23");
    record = step(record, user_apply(record, &other, &none, NULL));
    assert_shown(record, "");
    user_record_unref(record);
}

static void test_the_count_of_impressions_stays_at_its_largest(void **state)
{
    const struct user_record *record = show(use(NULL, 0, 9, 0), 1, 500);
    ((struct shown_item *)user_shown(record))->count = UINT32_MAX;
    record = show(record, 1, 500);
    assert_int_equal(user_shown(record)->count, UINT32_MAX);
    user_record_unref(record);
}

/* -- lists and trials -------------------------------------------------------------------------- */

static void test_the_record_says_at_which_event_the_list_last_changed(void **state)
{
    const struct user_record *record = use(NULL, 0, 9, 0);
    record = use(record, 1, 8, 0);
    record = step(record, user_acknowledge(record, 2, 0, NULL, 0, true));
    assert_int_equal(record->changed_events, 2);
    record = use(record, 2, 7, 0);
    record = step(record, user_acknowledge(record, 3, 0, NULL, 0, false));
    assert_int_equal(record->changed_events, 2);
    user_record_unref(record);
}

static void test_an_event_carries_the_trials_counts_until_it_is_told_others(void **state)
{
    struct trial_counts counts = {.trial = 5, .begun = 3, .events = 2, .rr = 0.5};
    struct interaction one = {.ts_ms = 1, .offset = 1, .item = 1};
    const struct user_record *record = user_apply(NULL, &one, &limits, &counts);
    assert_memory_equal(&record->trial, &counts, sizeof counts);
    record = use(record, 2, 7, 0);
    record = user_want(record, 9, 1);
    record = show(record, 4, 100);
    assert_memory_equal(&record->trial, &counts, sizeof counts);
    user_record_unref(record);
}

/* -- bytes ------------------------------------------------------------------------------------- */

static const struct user_record *full_record(void)
{
    static const uint32_t list[] = {3, 1, 2};
    struct trial_counts counts = {.trial = 5, .events = 2, .hits10 = 1, .hits20 = 1, .rr = 0.5};
    struct interaction one = {.ts_ms = 1, .offset = 1, .item = 1, .id_hash = 4};
    const struct user_record *record = user_apply(NULL, &one, &limits, &counts);
    record = show(show(record, 4, 100), 5, 200);
    return step(record, user_acknowledge(record, 3, 1, list, 3, true));
}

static void test_a_record_with_all_of_it_survives_being_bytes(void **state)
{
    const struct user_record *record = full_record(), *again = NULL;
    assert_int_equal(user_record_parse(&again, user_record_bytes(record), NULL), 0);
    assert_int_equal(again->bytes, record->bytes);
    assert_memory_equal(again, record, record->bytes);
    user_record_unref(record);
    user_record_unref(again);
}

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

static void too_many_shown(struct user_record *record)
{
    record->shown_count = UINT32_MAX;
}

static void more_hits_than_events(struct user_record *record)
{
    record->trial.hits20 = 3;
}

static void no_number_of_ranks(struct user_record *record)
{
    record->trial.rr = NAN;
}

static void test_damage_in_what_is_new_is_refused(void **state)
{
    expect_refused(too_many_shown);
    expect_refused(more_hits_than_events);
    expect_refused(no_number_of_ranks);
}

/* Format 1, as it was written. */
struct old_record {
    uint32_t bytes;
    uint16_t format, forgotten;
    uint32_t interaction_count, seen_count, dedup_count, list_count;
    int64_t last_ts_ms;
    uint64_t events;
    int64_t wanted_offset, acked_offset;
    uint32_t wanted_swap, acked_swap;
    struct interaction interactions[2];
    struct seen_item seen[1];
    uint64_t dedup[1];
    uint32_t list[3];
    uint32_t padding;
};

static const struct old_record old_record = {
    .bytes = sizeof old_record,
    .format = 1,
    .interaction_count = 2,
    .seen_count = 1,
    .dedup_count = 1,
    .list_count = 3,
    .last_ts_ms = 2000,
    .events = 6,
    .wanted_offset = 12,
    .acked_offset = 11,
    .wanted_swap = 2,
    .acked_swap = 1,
    .interactions = {{.ts_ms = 1000, .offset = 3, .value = 1, .item = 4},
                     {.ts_ms = 2000, .offset = 11, .value = 2, .id_hash = 77, .item = 5}},
    .seen = {{.types = 1, .item = 5}},
    .dedup = {77},
    .list = {9, 8, 7},
};

static const struct slice old_bytes = {(const char *)&old_record, sizeof old_record};

static void test_a_record_of_format_1_is_read_as_one_of_today(void **state)
{
    const struct user_record *record = NULL, *again = NULL;
    struct error err = {0};
    if (user_record_parse(&record, old_bytes, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(record->format, USER_RECORD_FORMAT);
    assert_memory_equal(user_interactions(record), old_record.interactions,
                        sizeof old_record.interactions);
    assert_memory_equal(user_seen(record), old_record.seen, sizeof old_record.seen);
    assert_memory_equal(user_dedup(record), old_record.dedup, sizeof old_record.dedup);
    assert_memory_equal(user_list(record), old_record.list, sizeof old_record.list);
    assert_int_equal(record->events, 6);
    assert_int_equal(record->wanted_offset, 12);
    assert_int_equal(record->acked_swap, 1);
    assert_int_equal(record->shown_count, 0);
    assert_int_equal(record->changed_events, 0);
    assert_int_equal(record->trial.trial, 0);
    assert_int_equal(user_record_parse(&again, user_record_bytes(record), NULL), 0);
    assert_memory_equal(again, record, record->bytes);
    user_record_unref(record);
    user_record_unref(again);
}

static void test_the_fixed_part_of_either_format_can_be_read_alone(void **state)
{
    const struct user_record *record = full_record();
    struct user_record head;
    assert_true(user_record_head(&head, user_record_bytes(record)));
    assert_memory_equal(&head, record, sizeof head);
    assert_true(user_record_head(&head, old_bytes));
    assert_int_equal(head.acked_offset, 11);
    assert_int_equal(head.trial.events, 0);
    assert_false(user_record_head(&head, (struct slice){old_bytes.data, 40}));
    assert_false(user_record_head(&head, (struct slice){(const char *)record, 80}));
    user_record_unref(record);
}

static void test_a_record_of_format_1_cut_anywhere_is_refused(void **state)
{
    const struct user_record *parsed = NULL;
    for (uint32_t length = 0; length < old_bytes.length; length++)
        assert_int_equal(user_record_parse(&parsed, (struct slice){old_bytes.data, length}, NULL),
                         ERR_DATA);
    assert_null(parsed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_shown_is_what_the_naive_model_says),
        cmocka_unit_test(test_impressions_of_an_item_are_counted_with_the_latest_time),
        cmocka_unit_test(test_the_least_recently_shown_leaves_first),
        cmocka_unit_test(test_using_an_item_takes_it_from_the_shown),
        cmocka_unit_test(test_an_impressions_id_takes_its_place_in_the_window),
        cmocka_unit_test(test_a_smaller_limit_keeps_what_was_shown_last),
        cmocka_unit_test(test_the_count_of_impressions_stays_at_its_largest),
        cmocka_unit_test(test_the_record_says_at_which_event_the_list_last_changed),
        cmocka_unit_test(test_an_event_carries_the_trials_counts_until_it_is_told_others),
        cmocka_unit_test(test_a_record_with_all_of_it_survives_being_bytes),
        cmocka_unit_test(test_damage_in_what_is_new_is_refused),
        cmocka_unit_test(test_a_record_of_format_1_is_read_as_one_of_today),
        cmocka_unit_test(test_the_fixed_part_of_either_format_can_be_read_alone),
        cmocka_unit_test(test_a_record_of_format_1_cut_anywhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
