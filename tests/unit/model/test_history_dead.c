/* Dead letters: kept until they are delivered, and a forgotten user's tombstone behind them. */
#include "history_fixture.h"
#include "model/history_internal.h"

static bool says(struct slice json, const char *word)
{
    char text[512];
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(json));
    return strstr(text, word) != NULL;
}

static void test_dead_letters_wait_in_the_state_until_delivered(void **at)
{
    struct place *place = *at;
    struct dead_letter letter;
    open_history(place);
    assign(place, 1);
    dead(place, 0, DEAD_BAD_JSON);
    dead(place, 1, DEAD_AHEAD);
    learn(place);
    commit(place);
    reopen(place, 1);
    assert_true(history_dead_next(place->history, &letter));
    assert_true(slice_equal(letter.key, SLICE("someone")));
    assert_true(says(letter.json, "bad_json"));
    history_dead_delivered(place->history, letter.token, true);
    commit(place);
    reopen(place, 1);
    assert_true(history_dead_next(place->history, &letter));
    assert_true(says(letter.json, "ahead"));
    assert_false(history_dead_next(place->history, &letter));
}

/* Letters of "someone", one of them in flight, then the forgetting. */
static void test_a_forgotten_users_tombstone_comes_after_all_letters_of_that_key(void **at)
{
    struct place *place = *at;
    struct dead_letter letter, tombstone;
    open_history(place);
    assign(place, 1);
    dead(place, 0, DEAD_BAD_JSON);
    learn(place);
    assert_true(history_dead_next(place->history, &letter));
    forget(place, 1, "someone");
    learn(place);
    assert_int_equal(history_dead_of(place->history, SLICE("someone")), 2);
    assert_false(history_dead_next(place->history, &tombstone)); /* the letter may come again */
    history_dead_delivered(place->history, letter.token, false);
    commit(place);
    reopen(place, 1); /* and so after a restart */
    assert_true(history_dead_next(place->history, &letter));
    assert_true(says(letter.json, "bad_json"));
    assert_false(history_dead_next(place->history, &tombstone));
    history_dead_delivered(place->history, letter.token, true);
    assert_true(history_dead_next(place->history, &tombstone));
    assert_true(slice_equal(tombstone.key, SLICE("someone")));
    assert_null(tombstone.json.data);
    history_dead_delivered(place->history, tombstone.token, true);
    assert_int_equal(history_dead_of(place->history, SLICE("someone")), 0);
}

static void test_a_dead_letter_that_failed_comes_again(void **at)
{
    struct place *place = *at;
    struct dead_letter letter;
    open_history(place);
    assign(place, 1);
    dead(place, 0, DEAD_BAD_JSON);
    learn(place);
    assert_true(history_dead_next(place->history, &letter));
    assert_false(history_dead_next(place->history, &letter));
    history_dead_delivered(place->history, letter.token, false);
    assert_true(history_dead_next(place->history, &letter));
}

static void test_a_dead_letter_delivered_while_written_is_removed_by_the_next_commit(void **at)
{
    struct place *place = *at;
    struct dead_letter letter;
    struct commit_outcome outcome = {0};
    open_history(place);
    assign(place, 1);
    dead(place, 0, DEAD_BAD_JSON);
    learn(place);
    assert_true(history_dead_next(place->history, &letter));
    assert_true(history_commit(place->history, note_commit, &outcome));
    history_dead_delivered(place->history, letter.token, true);
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_true(history_is_dirty(place->history));
    commit(place);
    assert_false(history_is_dirty(place->history));
    reopen(place, 1);
    assert_false(history_dead_next(place->history, &letter));
}

/* What history_commit does with dead letters, but for the disk, which refuses. */
static void fail_to_commit_dead_letters(struct place *place)
{
    struct state_commit *refused = state_commit_new(place->history->state);
    dead_commit(place->history, refused);
    state_commit_drop(refused);
    dead_committed(place->history, false);
    assert_true(history_is_dirty(place->history));
}

static void test_dead_letters_of_a_failed_commit_are_written_and_removed_by_the_next(void **at)
{
    struct place *place = *at;
    struct dead_letter letter;
    open_history(place);
    assign(place, 1);
    dead(place, 0, DEAD_BAD_JSON);
    learn(place);
    fail_to_commit_dead_letters(place);
    commit(place);
    reopen(place, 1);
    assert_true(history_dead_next(place->history, &letter));
    history_dead_delivered(place->history, letter.token, true);
    fail_to_commit_dead_letters(place);
    commit(place);
    reopen(place, 1);
    assert_false(history_dead_next(place->history, &letter));
}

static void test_dead_letters_are_full_at_the_bound_until_one_is_delivered(void **at)
{
    struct place *place = *at;
    struct dead_letter letter;
    open_history(place);
    assign(place, 1);
    for (int64_t offset = 0; offset < 3; offset++) {
        assert_false(history_dead_full(place->history));
        dead(place, offset, DEAD_BAD_UTF8);
        learn(place);
    }
    assert_true(history_dead_full(place->history));
    assert_true(history_dead_next(place->history, &letter));
    history_dead_delivered(place->history, letter.token, true);
    assert_false(history_dead_full(place->history));
}

/* As the events topic's, but an item's. */
static void dead_item(struct place *place, int64_t offset)
{
    dead(place, offset, DEAD_BAD_JSON);
    place->batch.events[place->batch.count - 1].from_items = true;
}

static void test_a_tombstone_waits_for_no_letters_of_the_items_topic(void **at)
{
    struct place *place = *at;
    struct dead_letter letter;
    open_history(place);
    assign(place, 1);
    dead_item(place, 0);
    forget(place, 1, "someone");
    learn(place);
    assert_int_equal(history_dead_of(place->history, SLICE("someone")), 1); /* the tombstone */
    assert_true(history_dead_next(place->history, &letter));
    assert_non_null(letter.json.data);
    assert_true(history_dead_next(place->history, &letter));
    assert_null(letter.json.data);
}

static void test_letters_of_one_key_go_out_together_before_and_after_a_restart(void **at)
{
    struct place *place = *at;
    struct dead_letter letter;
    open_history(place);
    assign(place, 1);
    dead(place, 0, DEAD_BAD_JSON);
    dead(place, 1, DEAD_AHEAD);
    learn(place);
    assert_true(history_dead_next(place->history, &letter));
    assert_true(history_dead_next(place->history, &letter));
    commit(place);
    reopen(place, 1);
    assert_true(history_dead_next(place->history, &letter));
    assert_true(history_dead_next(place->history, &letter));
    assert_false(history_dead_next(place->history, &letter));
}

static void test_a_second_tombstone_waits_for_the_first(void **at)
{
    struct place *place = *at;
    struct dead_letter first, second;
    open_history(place);
    assign(place, 1);
    forget(place, 0, "someone");
    forget(place, 1, "someone");
    learn(place);
    assert_true(history_dead_next(place->history, &first));
    assert_false(history_dead_next(place->history, &second));
    history_dead_delivered(place->history, first.token, true);
    assert_true(history_dead_next(place->history, &second));
}

static void test_a_letter_after_the_forgetting_waits_for_nothing(void **at)
{
    struct place *place = *at;
    struct dead_letter tombstone, letter;
    open_history(place);
    assign(place, 1);
    forget(place, 0, "someone");
    dead(place, 1, DEAD_BAD_JSON);
    learn(place);
    commit(place);
    reopen(place, 1);
    assert_true(history_dead_next(place->history, &tombstone));
    assert_null(tombstone.json.data);
    assert_true(history_dead_next(place->history, &letter));
    assert_true(says(letter.json, "bad_json"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dead_letters_wait_in_the_state_until_delivered),
        TEST(test_a_forgotten_users_tombstone_comes_after_all_letters_of_that_key),
        TEST(test_a_dead_letter_that_failed_comes_again),
        TEST(test_a_dead_letter_delivered_while_written_is_removed_by_the_next_commit),
        TEST(test_dead_letters_of_a_failed_commit_are_written_and_removed_by_the_next),
        TEST(test_dead_letters_are_full_at_the_bound_until_one_is_delivered),
        TEST(test_a_tombstone_waits_for_no_letters_of_the_items_topic),
        TEST(test_letters_of_one_key_go_out_together_before_and_after_a_restart),
        TEST(test_a_second_tombstone_waits_for_the_first),
        TEST(test_a_letter_after_the_forgetting_waits_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
