/* A state that takes another's place meets Redis as a new one, owes every list, and says nothing
 * before it has caught up with the log. */
#include "history_fixture.h"
#include "model/anew.h"

/* One partition of events up to offset 4, under swap 1. */
static void make_state(struct place *place)
{
    struct state_others alone = {0};
    open_history(place);
    assign(place, 1);
    click(place, 3, "anna", "i1", MINUTE_MS);
    learn(place);
    history_join(place->history, &alone);
    history_announce_swap(place->history, 0, 1, 1);
    history_take_swap(place->history);
    commit(place);
}

static void begin_anew(struct place *place, const struct anew *anew)
{
    struct error err = {0};
    close_history(place);
    if (anew_begin(&place->settings.state, anew, &err) != 0)
        fail_msg("%s", err.text);
    open_history(place);
    assign(place, 1);
}

static void test_it_has_another_nonce_and_no_epoch(void **at)
{
    struct place *place = *at;
    make_state(place);
    struct state_meta before = *history_meta(place->history);
    assert_true(before.epoch > 0);
    begin_anew(place, &(struct anew){.lists_owed = true});
    const struct state_meta *after = history_meta(place->history);
    assert_int_equal(after->epoch, 0);
    assert_int_equal(strlen(after->nonce), strlen(before.nonce));
    assert_string_not_equal(after->nonce, before.nonce);
}

static void test_it_owes_every_list(void **at)
{
    struct place *place = *at;
    make_state(place);
    begin_anew(place, &(struct anew){.lists_owed = true});
    assert_int_equal(history_meta(place->history)->swap, 2);
    assert_int_equal(history_owed_swap(place->history, 0), 2);
    assert_int_equal(history_series(place->history, 0)->generation, 1); /* which stays */
    begin_anew(place, &(struct anew){.lists_owed = false});
    assert_int_equal(history_meta(place->history)->swap, 2);
}

static void test_it_catches_up_until_that_is_said_and_durable(void **at)
{
    struct place *place = *at;
    make_state(place);
    assert_false(history_is_catching_up(place->history));
    begin_anew(place, &(struct anew){.lists_owed = true});
    assert_true(history_is_catching_up(place->history));
    history_caught_up(place->history);
    reopen(place, 1); /* as after a crash */
    assert_true(history_is_catching_up(place->history));
    history_caught_up(place->history);
    commit(place);
    reopen(place, 1);
    assert_false(history_is_catching_up(place->history));
}

static void test_reading_goes_on_where_it_is_told_to(void **at)
{
    struct place *place = *at;
    const struct anew_offset moved = {TOPIC, 0, 100};
    make_state(place);
    begin_anew(place, &(struct anew){true, &moved, 1});
    assert_int_equal(history_next_offset(place->history, false, 0), 100);
    assert_int_equal(user_of(place, "anna")->record->interaction_count, 1);
}

static void test_a_partition_that_it_does_not_have_cannot_be_moved(void **at)
{
    struct place *place = *at;
    const struct anew_offset moved = {TOPIC, 9, 100};
    struct error err = {0};
    make_state(place);
    char nonce[64];
    snprintf(nonce, sizeof nonce, "%s", history_meta(place->history)->nonce);
    close_history(place);
    assert_int_equal(anew_begin(&place->settings.state, &(struct anew){true, &moved, 1}, &err),
                     ERR_DATA);
    assert_non_null(strstr(err.text, "partition 9"));
    open_history(place);
    assert_string_equal(history_meta(place->history)->nonce, nonce); /* nothing was changed */
}

static void test_an_empty_directory_gets_a_state(void **at)
{
    struct place *place = *at;
    begin_anew(place, &(struct anew){.lists_owed = false});
    assert_true(history_is_catching_up(place->history));
    assert_true(history_meta(place->history)->nonce[0] != '\0');
}

static void test_only_a_state_that_has_learned_of_the_topic_counts_as_read(void **at)
{
    struct place *place = *at;
    const struct state_settings *settings = &place->settings.state;
    struct error err = {0};
    assert_int_equal(anew_check_unread(settings, TOPIC, &err), 0); /* there is none */
    open_history(place);
    describe(place, 0, "i1", &(struct item_record){0});
    learn(place);
    commit(place);
    assert_int_equal(history_next_offset(place->history, true, 0), 1);
    close_history(place);
    assert_int_equal(anew_check_unread(settings, TOPIC, &err), 0);
    make_state(place);
    close_history(place);
    assert_int_equal(anew_check_unread(settings, TOPIC, &err), ERR_SETTINGS);
    assert_non_null(strstr(err.text, "freshet reset"));
    assert_int_equal(anew_check_unread(settings, SLICE("event"), &err), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_has_another_nonce_and_no_epoch),
        TEST(test_it_owes_every_list),
        TEST(test_it_catches_up_until_that_is_said_and_durable),
        TEST(test_reading_goes_on_where_it_is_told_to),
        TEST(test_a_partition_that_it_does_not_have_cannot_be_moved),
        TEST(test_an_empty_directory_gets_a_state),
        TEST(test_only_a_state_that_has_learned_of_the_topic_counts_as_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
