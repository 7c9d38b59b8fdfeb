/* What a state has one of: series of generations, swaps, notes; and a state of an older format. */
#include "history_fixture.h"
#include "model/history_internal.h"

#define KEY 0xfeedu

static const struct state_series *series(struct place *place, uint64_t key)
{
    return history_series(place->history, key);
}

/* -- series ------------------------------------------------------------------------------------ */

static void test_the_base_series_is_always_there_and_others_begin_when_set(void **at)
{
    struct place *place = *at;
    open_history(place);
    assert_int_equal(series(place, 0)->generation, 0);
    assert_null(series(place, KEY));
    assert_true(history_set_generation(place->history, KEY, 3, 4, 1));
    assert_int_equal(series(place, KEY)->generation, 3);
    assert_int_equal(series(place, KEY)->newest_generation, 4);
    assert_int_equal(series(place, KEY)->gate_refusals, 1);
    assert_int_equal(series(place, 0)->newest_generation, 0);
    commit(place);
    reopen(place, 0);
    assert_int_equal(series(place, KEY)->newest_generation, 4);
    assert_int_equal(history_meta(place->history)->series_count, 2);
}

static void test_a_swap_of_one_series_owes_lists_to_its_users_alone(void **at)
{
    struct place *place = *at;
    open_history(place);
    history_announce_swap(place->history, 0, 1, 1);
    history_take_swap(place->history);
    history_announce_swap(place->history, KEY, 1, 1);
    assert_null(series(place, KEY)); /* announced, not taken */
    history_take_swap(place->history);
    assert_int_equal(history_meta(place->history)->swap, 2);
    assert_int_equal(history_owed_swap(place->history, 0), 1);
    assert_int_equal(history_owed_swap(place->history, KEY), 2);
    assert_int_equal(history_owed_swap(place->history, 99), 0);
}

static void test_a_swap_of_arms_owes_lists_to_everybody(void **at)
{
    struct place *place = *at;
    open_history(place);
    history_announce_swap(place->history, 0, 1, 1);
    history_take_swap(place->history);
    history_announce_arms_swap(place->history);
    assert_true(history_swap_is_announced(place->history));
    assert_int_equal(history_meta(place->history)->swap, 1);
    commit(place);
    reopen(place, 0); /* durable, so it happened */
    assert_false(history_swap_is_announced(place->history));
    assert_int_equal(history_meta(place->history)->swap, 2);
    assert_int_equal(series(place, 0)->swap, 1);
    assert_int_equal(history_owed_swap(place->history, 0), 2);
    assert_int_equal(history_owed_swap(place->history, KEY), 2);
}

static void test_what_is_set_while_a_swap_is_announced_stays(void **at)
{
    struct place *place = *at;
    open_history(place);
    history_announce_swap(place->history, KEY, 1, 1);
    assert_true(history_set_generation(place->history, 0, 0, 7, 1));
    assert_int_equal(series(place, 0)->newest_generation, 7);
    history_take_swap(place->history);
    assert_int_equal(series(place, 0)->newest_generation, 7);
    assert_int_equal(series(place, KEY)->generation, 1);
}

static void test_series_not_in_use_make_room_for_others(void **at)
{
    struct place *place = *at;
    static const uint64_t kept[] = {5, 77};
    open_history(place);
    for (uint64_t key = 1; key < SERIES_MAX; key++)
        assert_true(history_set_generation(place->history, key, key, key, 0));
    assert_false(history_set_generation(place->history, 77, 1, 1, 0));
    assert_false(history_announce_swap(place->history, 77, 1, 1));
    assert_false(history_swap_is_announced(place->history));
    history_keep_series(place->history, kept, 2);
    assert_int_equal(history_meta(place->history)->series_count, 2);
    assert_int_equal(series(place, 5)->generation, 5);
    assert_non_null(series(place, 0));
    assert_true(history_set_generation(place->history, 77, 1, 1, 0));
    commit(place);
    reopen(place, 0);
    assert_int_equal(history_meta(place->history)->series_count, 3);
    assert_null(series(place, 4));
}

/* -- notes ------------------------------------------------------------------------------------- */

static void assert_note(struct place *place, const char *name, const char *text)
{
    if (!slice_equal(history_note(place->history, name), slice_of(text)))
        fail_msg("the note is %.*s", SLICE_ARG(history_note(place->history, name)));
}

static void test_a_note_survives_and_an_empty_one_is_none(void **at)
{
    struct place *place = *at;
    open_history(place);
    assert_note(place, "stopped", "");
    assert_true(history_set_note(place->history, "stopped", SLICE("an arm")));
    assert_true(history_set_note(place->history, "other", SLICE("x")));
    commit(place);
    assert_true(history_set_note(place->history, "stopped", SLICE("two arms")));
    reopen(place, 0);
    assert_note(place, "stopped", "an arm");
    assert_true(history_set_note(place->history, "stopped", SLICE("")));
    commit(place);
    reopen(place, 0);
    assert_note(place, "stopped", "");
    assert_note(place, "other", "x");
    assert_int_equal(place->history->note_count, 1);
}

static void test_a_note_too_long_or_one_too_many_is_refused(void **at)
{
    struct place *place = *at;
    char *text = calloc(1, NOTE_BYTES_MAX + 1);
    char name[16];
    open_history(place);
    assert_false(history_set_note(place->history, "n", (struct slice){text, NOTE_BYTES_MAX + 1}));
    assert_true(history_set_note(place->history, "n", (struct slice){text, NOTE_BYTES_MAX}));
    for (int i = 1; i < NOTES_MAX; i++) {
        snprintf(name, sizeof name, "n%d", i);
        assert_true(history_set_note(place->history, name, SLICE("x")));
    }
    assert_false(history_set_note(place->history, "more", SLICE("x")));
    assert_true(history_set_note(place->history, "n", SLICE("y")));
    commit(place);
    reopen(place, 0);
    assert_note(place, "n", "y");
    free(text);
}

/* -- a state of format 2 ----------------------------------------------------------------------- */

/* As they were written. */
struct old_user {
    uint32_t bytes;
    uint16_t format, forgotten;
    uint32_t interaction_count, seen_count, dedup_count, list_count;
    int64_t last_ts_ms;
    uint64_t events;
    int64_t wanted_offset, acked_offset;
    uint32_t wanted_swap, acked_swap;
    struct interaction interaction;
    struct seen_item seen;
    uint32_t list[2];
};

struct old_partition {
    int64_t next_offset, stream_ts_ms;
    uint64_t counters[8];
};

#define BYTES_OF(thing)                       \
    (struct slice)                            \
    {                                         \
        (const char *)&(thing), sizeof(thing) \
    }

static void put_meta(struct state_commit *commit, const char *name, struct slice value)
{
    state_commit_put(commit, STATE_META, slice_of(name), value);
}

static void put_old_records(struct state_commit *commit)
{
    char bytes[STATE_KEY_MAX];
    struct old_user user = {
        .bytes = sizeof user,
        .format = 1,
        .interaction_count = 1,
        .seen_count = 1,
        .list_count = 2,
        .last_ts_ms = 5000,
        .events = 3,
        .wanted_offset = 8,
        .acked_offset = 8,
        .wanted_swap = 2,
        .acked_swap = 2,
        .interaction = {.ts_ms = 5000, .offset = 7, .value = 1},
        .seen = {.types = 1},
        .list = {0, 1},
    };
    struct old_partition partition = {8, 5000, {3, 0, 0, 0, 0, 4, 0, 1}};
    size_t length = state_key_user(bytes, TOPIC, 0, SLICE("u1"));
    state_commit_put(commit, STATE_USERS, (struct slice){bytes, (uint32_t)length}, BYTES_OF(user));
    length = state_key_partition(bytes, TOPIC, 0);
    state_commit_put(commit, STATE_PARTITIONS, (struct slice){bytes, (uint32_t)length},
                     BYTES_OF(partition));
    for (uint32_t item = 0; item < 2; item++)
        state_commit_put(commit, STATE_ITEMS,
                         (struct slice){bytes, (uint32_t)state_key_item(bytes, item)},
                         item == 0 ? SLICE("i1") : SLICE("i2"));
}

/* A state that a freshet of format 2 left, with rubbish where nobody wrote. */
static void make_format_2(struct place *place)
{
    struct state *state;
    uint32_t format = 2, swap = 2, epoch = 1700000000, refusals = 1;
    uint64_t generation = 5, newest = 6;
    char nonce[33] = "0123456789abcdef0123456789abcdef";
    assert_int_equal(state_open_writer(&state, NULL, &place->settings.state, NULL), 0);
    struct state_commit *commit = state_commit_new(state);
    put_meta(commit, "format", BYTES_OF(format));
    put_meta(commit, "swap", BYTES_OF(swap));
    put_meta(commit, "epoch", BYTES_OF(epoch));
    put_meta(commit, "nonce", BYTES_OF(nonce));
    put_meta(commit, "generation", BYTES_OF(generation));
    put_meta(commit, "newest_generation", BYTES_OF(newest));
    put_meta(commit, "gate_refusals", BYTES_OF(refusals));
    put_old_records(commit);
    state_commit_put(commit, STATE_TRIALS, SLICE("rubbish"), SLICE("rubbish"));
    assert_int_equal(state_commit_now(commit, NULL), 0);
    state_close(state);
}

static void assert_series_of_format_2(struct place *place)
{
    assert_int_equal(history_meta(place->history)->swap, 2);
    assert_int_equal(history_meta(place->history)->series_count, 1);
    assert_int_equal(series(place, 0)->generation, 5);
    assert_int_equal(series(place, 0)->newest_generation, 6);
    assert_int_equal(series(place, 0)->gate_refusals, 1);
    assert_int_equal(series(place, 0)->swap, 2);
}

static uint32_t swap_of_base(struct slice user, void *arg)
{
    struct place *place = arg;
    return history_owed_swap(place->history, 0);
}

static void test_a_state_of_format_2_goes_on_where_it_was(void **at)
{
    struct place *place = *at;
    struct owed_list owed;
    make_format_2(place);
    open_history(place);
    assign(place, 1);
    assert_series_of_format_2(place);
    assert_int_equal(history_next_offset(place->history, false, 0), 8);
    assert_int_equal(history_counter(place->history, COUNTER_FORGOTTEN), 4);
    assert_int_equal(history_counter(place->history, COUNTER_DEAD), 1);
    assert_int_equal(history_counter(place->history, COUNTER_IMPRESSION), 0);
    assert_int_equal(
        history_scan_owed(place->history, false, INT64_MIN, swap_of_base, place, &owed, NULL), 0);
    assert_int_equal(owed.count, 0); /* its fixed part, as it was, says that it is owed nothing */
    owed_list_deinit(&owed);
    click(place, 8, "u1", "i2", 6000);
    impress(place, 9, "u1", "i1", 6000);
    learn_in_trial(place, 77, 2);
    const struct user_record *record = user_of(place, "u1")->record;
    assert_int_equal(record->events, 4);
    assert_int_equal(record->interaction_count, 2);
    assert_int_equal(record->shown_count, 1);
    assert_int_equal(record->trial.hits20, 1);
    assert_int_equal(user_list(record)[1], 1);
}

static void test_what_format_2_said_of_its_series_moves_with_the_next_change(void **at)
{
    struct place *place = *at;
    make_format_2(place);
    open_history(place);
    assert_true(history_set_generation(place->history, KEY, 1, 1, 0));
    commit(place);
    reopen(place, 0);
    assert_int_equal(history_meta(place->history)->series_count, 2);
    assert_true(history_set_generation(place->history, 0, 5, 9, 0));
    commit(place);
    reopen(place, 0);
    assert_int_equal(series(place, 0)->newest_generation, 9);
    assert_int_equal(series(place, 0)->generation, 5);
    assert_int_equal(series(place, 0)->swap, 2);
}

static void test_damaged_series_are_refused(void **at)
{
    struct place *place = *at;
    struct state *state;
    struct error err = {0};
    open_history(place);
    close_history(place);
    assert_int_equal(state_open_writer(&state, NULL, &place->settings.state, NULL), 0);
    struct state_commit *commit = state_commit_new(state);
    put_meta(commit, "series", SLICE("half of one"));
    assert_int_equal(state_commit_now(commit, NULL), 0);
    state_close(state);
    assert_int_equal(
        history_open(&place->history, &place->loop, &place->settings, release_cache, &err),
        ERR_DATA);
    assert_non_null(strstr(err.text, "series"));
    uv_run(&place->loop, UV_RUN_DEFAULT);
}

/* -- among others ------------------------------------------------------------------------------ */

static bool join(struct place *place, struct state_others others)
{
    return history_join(place->history, &others);
}

static void test_a_state_without_an_epoch_joins_those_that_are_alive(void **at)
{
    struct place *place = *at;
    open_history(place);
    assert_false(join(place, (struct state_others){.epoch = 7, .alive = true}));
    assert_int_equal(history_meta(place->history)->epoch, 7);
    commit(place);
    reopen(place, 0);
    assert_int_equal(history_meta(place->history)->epoch, 7);
}

static void test_a_state_without_an_epoch_is_newer_than_all_that_the_dead_left(void **at)
{
    struct place *place = *at;
    open_history(place);
    assert_false(join(place, (struct state_others){.epoch = UINT32_MAX - 1}));
    assert_int_equal(history_meta(place->history)->epoch, UINT32_MAX);
}

static void test_a_greater_epoch_is_taken_over_and_owes_every_list(void **at)
{
    struct place *place = *at;
    open_history(place);
    join(place, (struct state_others){.epoch = 7, .alive = true});
    assert_false(join(place, (struct state_others){.epoch = 6, .alive = true}));
    assert_int_equal(history_owed_swap(place->history, 0), 0);
    assert_true(join(place, (struct state_others){.epoch = 9}));
    assert_int_equal(history_meta(place->history)->epoch, 9);
    assert_int_equal(history_owed_swap(place->history, 0), 1);
}

static void test_who_takes_over_has_the_greatest_swap_and_owes_every_list(void **at)
{
    struct place *place = *at;
    open_history(place);
    join(place, (struct state_others){0});
    assert_true(join(place, (struct state_others){.swap_least = 5, .taken_over = true}));
    assert_int_equal(history_meta(place->history)->swap, 5);
    assert_int_equal(history_owed_swap(place->history, 0), 5);
    assert_true(join(place, (struct state_others){.swap_least = 2, .taken_over = true}));
    assert_int_equal(history_meta(place->history)->swap, 6);
}

static void test_an_announced_swap_stays_above_one_taken_over(void **at)
{
    struct place *place = *at;
    open_history(place);
    join(place, (struct state_others){0});
    history_announce_swap(place->history, KEY, 1, 1);
    join(place, (struct state_others){.swap_least = 5, .taken_over = true});
    history_take_swap(place->history);
    assert_int_equal(history_meta(place->history)->swap, 6);
    assert_int_equal(history_owed_swap(place->history, KEY), 6);
    assert_int_equal(history_owed_swap(place->history, 0), 5);
}

static void test_an_announced_swap_of_arms_still_owes_every_list_after_a_takeover(void **at)
{
    struct place *place = *at;
    open_history(place);
    join(place, (struct state_others){0});
    history_announce_arms_swap(place->history);
    join(place, (struct state_others){.swap_least = 5, .taken_over = true});
    commit(place); /* with which it has happened */
    reopen(place, 0);
    assert_int_equal(history_meta(place->history)->swap, 6);
    assert_int_equal(history_owed_swap(place->history, 0), 6);
}

static void test_a_greater_epoch_outlives_a_swap_that_was_announced_before(void **at)
{
    struct place *place = *at;
    open_history(place);
    join(place, (struct state_others){.epoch = 7, .alive = true});
    history_announce_swap(place->history, KEY, 1, 1);
    assert_true(join(place, (struct state_others){.epoch = 9}));
    history_take_swap(place->history);
    assert_int_equal(history_meta(place->history)->epoch, 9);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_state_without_an_epoch_joins_those_that_are_alive),
        TEST(test_a_state_without_an_epoch_is_newer_than_all_that_the_dead_left),
        TEST(test_a_greater_epoch_is_taken_over_and_owes_every_list),
        TEST(test_who_takes_over_has_the_greatest_swap_and_owes_every_list),
        TEST(test_an_announced_swap_stays_above_one_taken_over),
        TEST(test_an_announced_swap_of_arms_still_owes_every_list_after_a_takeover),
        TEST(test_a_greater_epoch_outlives_a_swap_that_was_announced_before),
        TEST(test_the_base_series_is_always_there_and_others_begin_when_set),
        TEST(test_a_swap_of_one_series_owes_lists_to_its_users_alone),
        TEST(test_a_swap_of_arms_owes_lists_to_everybody),
        TEST(test_what_is_set_while_a_swap_is_announced_stays),
        TEST(test_series_not_in_use_make_room_for_others),
        TEST(test_a_note_survives_and_an_empty_one_is_none),
        TEST(test_a_note_too_long_or_one_too_many_is_refused),
        TEST(test_a_state_of_format_2_goes_on_where_it_was),
        TEST(test_what_format_2_said_of_its_series_moves_with_the_next_change),
        TEST(test_damaged_series_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
