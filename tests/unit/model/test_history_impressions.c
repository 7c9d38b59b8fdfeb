/* What a history makes of impressions. */
#include "history_fixture.h"
#include "model/history_internal.h"

static void begin(struct place *place)
{
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    click(place, 1, "u1", "i2", 5000);
    learn(place);
    commit(place);
}

/* One impression at offset 2, learned. */
static void show(struct place *place, const char *user, const char *item)
{
    impress(place, 2, user, item, 6000);
    learn(place);
}

static void assert_counted(struct place *place, uint64_t impressions)
{
    uint64_t sum = 0;
    assert_int_equal(history_counter(place->history, COUNTER_IMPRESSION), impressions);
    for (int counter = 0; counter < COUNTER_COUNT; counter++)
        sum += history_counter(place->history, counter);
    assert_int_equal(sum, history_next_offset(place->history, false, 0));
}

static void test_an_impression_is_kept_with_its_user_and_nothing_else(void **at)
{
    struct place *place = *at;
    begin(place);
    show(place, "u1", "i2");
    const struct user_record *record = user_of(place, "u1")->record;
    assert_int_equal(record->shown_count, 1);
    assert_int_equal(user_shown(record)->item, 1);
    assert_int_equal(user_shown(record)->ts_ms, 6000);
    assert_int_equal(record->events, 2);
    assert_int_equal(record->interaction_count, 2);
    assert_int_equal(record->last_ts_ms, 5000);
    assert_int_equal(history_now_ms(place->history), 5000);
    assert_int_equal(place->learned.item_count, 0);
    uint32_t items;
    assert_int_equal(history_sums(place->history, 0, &items)[1].count, 1);
    assert_counted(place, 1);
    commit(place);
    reopen(place, 1);
    assert_int_equal(user_of(place, "u1")->record->shown_count, 1);
}

static void test_the_observer_is_not_asked_about_an_impression(void **at)
{
    struct place *place = *at;
    struct trial_sums sums;
    begin(place);
    impress(place, 2, "u1", "i2", 6000);
    learn_in_trial(place, 7, 1);
    assert_false(history_trial(place->history, 7, &sums));
}

static void test_an_impression_wants_a_list_only_if_the_settings_say_so(void **at)
{
    struct place *place = *at;
    begin(place);
    show(place, "u1", "i2");
    assert_int_equal(user_of(place, "u1")->record->wanted_offset, 2);
    assert_int_equal(place->learned.user_count, 0);
    close_history(place);
    place->settings.impressions_want_lists = true;
    open_history(place);
    assign(place, 1);
    show(place, "u1", "i2");
    assert_int_equal(user_of(place, "u1")->record->wanted_offset, 3);
    assert_int_equal(place->learned.user_count, 1);
}

static void test_an_impression_makes_no_user_and_no_item(void **at)
{
    struct place *place = *at;
    begin(place);
    impress(place, 2, "nobody", "i1", 6000);
    impress(place, 3, "u1", "never heard of", 6000);
    learn(place);
    assert_null(user_of(place, "nobody"));
    assert_int_equal(items_count(history_items(place->history)), 2);
    assert_int_equal(user_of(place, "u1")->record->shown_count, 0);
    assert_false(place->history->users.dirty.count > 0);
    assert_counted(place, 2);
}

static void test_an_impression_does_not_bring_back_the_forgotten(void **at)
{
    struct place *place = *at;
    begin(place);
    impress(place, 2, "u1", "i1", 6000);
    forget(place, 3, "u1");
    impress(place, 4, "u1", "i1", 6000);
    learn(place);
    const struct user_record *record = user_of(place, "u1")->record;
    assert_int_equal(record->forgotten, 1);
    assert_int_equal(record->bytes, sizeof *record);
    assert_counted(place, 2);
}

static void test_an_impression_known_by_its_id_or_late_is_dropped(void **at)
{
    struct place *place = *at;
    place->settings.max_age_ms = 1000;
    begin(place);
    impress(place, 2, "u1", "i2", 6000)->id = SLICE("e1");
    impress(place, 3, "u1", "i2", 6000)->id = SLICE("e1");
    click(place, 4, "u1", "i2", 6000)->id = SLICE("e1");
    impress(place, 5, "u1", "i2", 3000);
    learn(place);
    assert_int_equal(history_counter(place->history, COUNTER_DUPLICATE), 2);
    assert_int_equal(history_counter(place->history, COUNTER_LATE), 1);
    assert_int_equal(user_shown(user_of(place, "u1")->record)->count, 1);
    assert_counted(place, 1);
}

static void test_without_a_place_for_them_impressions_are_counted_alone(void **at)
{
    struct place *place = *at;
    place->settings.limits.impressions_max = 0;
    place->settings.impressions_want_lists = true;
    begin(place);
    show(place, "u1", "i2");
    assert_int_equal(user_of(place, "u1")->record->shown_count, 0);
    assert_int_equal(user_of(place, "u1")->record->wanted_offset, 2);
    assert_int_equal(place->history->users.dirty.count, 0);
    assert_counted(place, 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_impression_is_kept_with_its_user_and_nothing_else),
        TEST(test_the_observer_is_not_asked_about_an_impression),
        TEST(test_an_impression_wants_a_list_only_if_the_settings_say_so),
        TEST(test_an_impression_makes_no_user_and_no_item),
        TEST(test_an_impression_does_not_bring_back_the_forgotten),
        TEST(test_an_impression_known_by_its_id_or_late_is_dropped),
        TEST(test_without_a_place_for_them_impressions_are_counted_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
