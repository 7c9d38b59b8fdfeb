/* What commits hold, what survives a restart, and what stays in memory until then. */
#include "history_fixture.h"
#include "model/history_internal.h"

/* -- what survives a restart ------------------------------------------------------------------- */

static void test_descriptions_of_items_survive_and_can_be_taken_back(void **at)
{
    struct place *place = *at;
    struct item_record record = {.present = true, .blocked = true, .title = SLICE("A lantern")};
    struct item_record tombstone = {.present = false};
    open_history(place);
    describe(place, 0, "i1", &record);
    describe(place, 1, "i2", &record);
    describe(place, 2, "i2", &tombstone);
    describe(place, 3, "never seen", &tombstone);
    learn(place);
    assert_true(place->learned.items_described);
    commit(place);
    reopen(place, 0);
    struct items *items = history_items(place->history);
    assert_int_equal(items_count(items), 2);
    assert_false(items_eligible(items, 0, 0));
    assert_true(slice_equal(items_info(items, 0)->title, SLICE("A lantern")));
    assert_null(items_info(items, 1));
    assert_int_equal(history_next_offset(place->history, true, 0), 4);
}

static void test_types_keep_their_numbers_whatever_the_settings_order(void **at)
{
    struct place *place = *at;
    static const char *const later[] = {"view", "new", "click"};
    open_history(place);
    uint16_t click_number = history_type_number(place->history, CLICK);
    uint16_t buy_number = history_type_number(place->history, BUY);
    close_history(place);
    place->settings.types = later;
    open_history(place);
    assert_int_equal(history_type_number(place->history, 2), click_number);
    assert_int_equal(history_type_index(place->history, click_number), 2);
    assert_int_equal(history_type_index(place->history, buy_number), -1);
    assert_int_equal(history_type_number(place->history, 1), 3);
    assert_int_equal(history_type_index(place->history, UINT16_MAX), -1);
}

static void test_more_types_than_a_record_can_hold_are_refused(void **at)
{
    struct place *place = *at;
    char names[EVENT_TYPES_MAX][16];
    const char *types[EVENT_TYPES_MAX];
    bool counts[EVENT_TYPES_MAX] = {false};
    for (int i = 0; i < EVENT_TYPES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        types[i] = names[i];
    }
    open_history(place); /* takes three numbers */
    close_history(place);
    place->settings.type_count = EVENT_TYPES_MAX;
    place->settings.types = types;
    place->settings.type_counts = counts;
    struct error err = {0};
    int status = history_open(&place->history, &place->loop, &place->settings, NULL, &err);
    assert_int_equal(status, ERR_SETTINGS);
    assert_non_null(strstr(err.text, "t61"));
    assert_null(place->history);
}

static void test_generation_swap_and_nonce_survive(void **at)
{
    struct place *place = *at;
    char nonce[33];
    open_history(place);
    strcpy(nonce, history_meta(place->history)->nonce);
    assert_int_equal(history_meta(place->history)->epoch, 0); /* it has not met Redis */
    history_join(place->history, &(struct state_others){0});
    uint32_t epoch = history_meta(place->history)->epoch;
    assert_in_range(epoch, 1700000000, UINT32_MAX - 1); /* the time of that, in seconds */
    assert_int_equal(strlen(nonce), 32);
    history_announce_swap(place->history, 0, 7, 8);
    history_take_swap(place->history);
    history_set_generation(place->history, 0, 7, 9, 2);
    commit(place);
    reopen(place, 0);
    const struct state_meta *meta = history_meta(place->history);
    assert_string_equal(meta->nonce, nonce);
    assert_int_equal(meta->epoch, epoch);
    assert_int_equal(meta->swap, 1);
    assert_int_equal(meta->series[0].generation, 7);
    assert_int_equal(meta->series[0].newest_generation, 9);
    assert_int_equal(meta->series[0].gate_refusals, 2);
}

static void test_a_swap_is_in_the_version_that_users_want(void **at)
{
    struct place *place = *at;
    open_history(place);
    assign(place, 1);
    history_announce_swap(place->history, 0, 1, 1);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    assert_int_equal(place->learned.users[0]->record->wanted_swap, 0); /* not yet */
    history_take_swap(place->history);
    click(place, 1, "u1", "i2", 6000);
    learn(place);
    assert_int_equal(place->learned.users[0]->record->wanted_swap, 1);
}

static void test_an_announced_swap_is_durable_before_it_is_taken(void **at)
{
    struct place *place = *at;
    open_history(place);
    history_announce_swap(place->history, 0, 4, 4);
    commit(place);
    assert_int_equal(history_meta(place->history)->swap, 0);
    assert_int_equal(history_series(place->history, 0)->generation, 0);
    reopen(place, 0); /* as after a crash */
    assert_int_equal(history_meta(place->history)->swap, 1);
    assert_int_equal(history_series(place->history, 0)->generation, 4);
}

static void test_another_cluster_or_partition_count_is_refused(void **at)
{
    struct place *place = *at;
    struct error err = {0};
    open_history(place);
    assert_int_equal(history_bind(place->history, "cluster-a", 4, &err), 0);
    commit(place);
    reopen(place, 0);
    assert_int_equal(history_bind(place->history, "cluster-a", 4, &err), 0);
    assert_int_equal(history_bind(place->history, "cluster-b", 4, &err), ERR_SETTINGS);
    assert_non_null(strstr(err.text, "cluster-b"));
    assert_non_null(strstr(err.text, "freshet reset"));
    assert_int_equal(history_bind(place->history, "cluster-a", 5, &err), ERR_SETTINGS);
    assert_non_null(strstr(err.text, "freshet reset"));
}

static void test_a_second_history_in_the_same_directory_is_refused(void **at)
{
    struct place *place = *at;
    struct history *second = NULL;
    struct error err = {0};
    open_history(place);
    int status = history_open(&second, &place->loop, &place->settings, NULL, &err);
    assert_int_equal(status, ERR_SETTINGS);
    assert_non_null(strstr(err.text, "in use by process"));
    assert_null(second);
}

/* -- partitions -------------------------------------------------------------------------------- */

static void test_what_a_revoked_partition_had_uncommitted_is_in_the_next_commit(void **at)
{
    struct place *place = *at;
    int32_t zero = 0;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    history_revoke(place->history, &zero, 1);
    assert_int_equal(history_partitions(place->history, NULL, 0), 0);
    struct commit_outcome outcome = commit(place);
    assert_int_equal(outcome.count, 1);
    assert_int_equal(outcome.next_offsets[0], 1);
    reopen(place, 1);
    uint32_t items;
    assert_int_equal(history_sums(place->history, 0, &items)[0].count, 1);
    assert_int_equal(user_of(place, "u1")->record->events, 1);
}

static void test_a_partition_that_comes_back_before_the_commit_is_as_it_was_left(void **at)
{
    struct place *place = *at;
    int32_t zero = 0;
    uint32_t items;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    commit(place);
    click(place, 1, "u1", "i1", 5000);
    learn(place);
    history_revoke(place->history, &zero, 1);
    assign(place, 1);
    assert_int_equal(history_sums(place->history, 0, &items)[0].count, 2);
    assert_int_equal(history_next_offset(place->history, false, 0), 2);
}

static void test_users_of_revoked_partitions_are_not_found(void **at)
{
    struct place *place = *at;
    int32_t zero = 0;
    struct error err = {.code = 1};
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    assert_non_null(history_find_user(place->history, SLICE("u1"), &err));
    history_revoke(place->history, &zero, 1);
    assert_null(user_of(place, "u1"));
    assert_null(history_find_user(place->history, SLICE("u1"), &err));
    assert_int_equal(err.code, 0);
}

static void test_a_user_is_found_in_whatever_partition(void **at)
{
    struct place *place = *at;
    struct error err = {0};
    open_history(place);
    assign(place, 3);
    click(place, 0, "u1", "i1", 5000)->partition = 2;
    learn(place);
    commit(place);
    reopen(place, 3); /* so that it is found in the state, not in memory */
    struct user *user = history_find_user(place->history, SLICE("u1"), &err);
    assert_non_null(user);
    assert_int_equal(user->partition, 2);
    assert_null(history_find_user(place->history, SLICE("u2"), &err));
}

/* -- memory ------------------------------------------------------------------------------------ */

static void test_a_pinned_user_stays_in_memory_and_a_clean_one_leaves(void **at)
{
    struct place *place = *at;
    place->settings.hot_bytes = 1;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    click(place, 1, "u2", "i1", 5000);
    learn(place);
    assert_int_equal(place->history->users.count, 2); /* not committed yet */
    struct user *pinned = place->learned.users[0];
    history_pin(place->history, pinned);
    commit(place);
    assert_int_equal(place->history->users.count, 1);
    assert_ptr_equal(user_of(place, "u1"), pinned);
    history_unpin(place->history, pinned);
    assert_non_null(user_of(place, "u2"));
    assert_int_equal(place->history->users.count, 1);
}

static void test_a_user_whose_commit_is_under_way_stays_in_memory(void **at)
{
    struct place *place = *at;
    struct commit_outcome outcome = {0};
    place->settings.hot_bytes = 1;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    assert_true(history_commit(place->history, note_commit, &outcome));
    assert_non_null(user_of(place, "u1"));
    assert_null(user_of(place, "u2")); /* looks for who may leave */
    assert_int_equal(place->history->users.count, 1);
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(place->history->users.count, 0);
}

static void test_a_cache_goes_with_its_user(void **at)
{
    struct place *place = *at;
    place->settings.hot_bytes = 1;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    place->learned.users[0]->cache = malloc(1);
    commit(place);
    assert_int_equal(place->caches_released, 1);
}

/* -- commits ----------------------------------------------------------------------------------- */

static void test_a_commit_reports_the_offsets_of_partitions_that_changed(void **at)
{
    struct place *place = *at;
    open_history(place);
    assign(place, 3);
    click(place, 4, "u1", "i1", 5000)->partition = 2;
    click(place, 9, "u2", "i1", 5000);
    learn(place);
    struct commit_outcome outcome = commit(place);
    assert_int_equal(outcome.count, 2);
    assert_int_equal(outcome.partitions[0], 0);
    assert_int_equal(outcome.next_offsets[0], 10);
    assert_int_equal(outcome.partitions[1], 2);
    assert_int_equal(outcome.next_offsets[1], 5);
    assert_int_equal(commit(place).count, 0); /* and nothing twice */
}

static void test_one_commit_at_a_time(void **at)
{
    struct place *place = *at;
    struct commit_outcome first = {0}, second = {0};
    open_history(place);
    assert_true(history_commit(place->history, note_commit, &first));
    assert_false(history_commit(place->history, note_commit, &second));
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 0);
}

static void test_closing_during_a_commit_still_reports_it(void **at)
{
    struct place *place = *at;
    struct commit_outcome outcome = {0};
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    assert_true(history_commit(place->history, note_commit, &outcome));
    close_history(place);
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(outcome.err.code, 0);
    open_history(place);
    assert_int_equal(history_next_offset(place->history, false, 0), 1);
}

static void close_when_done(const struct error *err, const int32_t *partitions,
                            const int64_t *next_offsets, size_t count, void *arg)
{
    struct place *place = arg;
    history_close(place->history);
    place->history = NULL;
}

static void test_the_history_may_be_closed_by_the_callback_of_a_commit(void **at)
{
    struct place *place = *at;
    open_history(place);
    assert_true(history_commit(place->history, close_when_done, place));
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_null(place->history);
}

static void test_a_damaged_user_stops_learning_and_every_commit_says_so(void **at)
{
    struct place *place = *at;
    char key[STATE_KEY_MAX];
    struct slice bad = {key, (uint32_t)state_key_user(key, TOPIC, 0, SLICE("u1"))};
    open_history(place);
    assign(place, 1);
    struct state_commit *damage = state_commit_new(place->history->state);
    state_commit_put(damage, STATE_USERS, bad, SLICE("cut sho"));
    assert_int_equal(state_commit_now(damage, NULL), 0);
    click(place, 0, "u2", "i1", 5000);
    click(place, 1, "u1", "i1", 5000);
    click(place, 2, "u2", "i1", 5000);
    learn(place);
    assert_int_equal(history_next_offset(place->history, false, 0), 1);
    assert_true(history_is_dirty(place->history));
    struct commit_outcome outcome = try_commit(place);
    assert_int_equal(outcome.err.code, ERR_DATA);
    assert_non_null(strstr(outcome.err.text, "u1"));
    assert_int_equal(try_commit(place).err.code, ERR_DATA);
}

static void test_a_damaged_user_is_said_before_the_next_batch(void **at)
{
    struct place *place = *at;
    struct error err = {0};
    char key[STATE_KEY_MAX];
    struct slice bad = {key, (uint32_t)state_key_user(key, TOPIC, 0, SLICE("u1"))};
    open_history(place);
    assign(place, 1);
    struct state_commit *damage = state_commit_new(place->history->state);
    state_commit_put(damage, STATE_USERS, bad, SLICE("cut sho"));
    assert_int_equal(state_commit_now(damage, NULL), 0);
    assert_int_equal(history_ready(place->history, &err), 0);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    assert_int_equal(history_ready(place->history, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "u1"));
}

/* -- what waits to be written ------------------------------------------------------------------ */

static void test_memory_is_full_of_what_is_not_committed_and_not_of_what_is(void **at)
{
    struct place *place = *at;
    place->settings.hot_bytes = 20000;
    open_history(place);
    assign(place, 1);
    int64_t offset = 0;
    for (; !history_is_full(place->history); offset++) {
        char id[16];
        snprintf(id, sizeof id, "u%d", (int)offset);
        click(place, offset, id, "i1", 5000);
        learn(place);
        assert_true(offset < 200); /* of a hundred bytes at the least */
    }
    assert_true(offset > 10);
    struct commit_outcome outcome = {0};
    assert_true(history_commit(place->history, note_commit, &outcome));
    assert_true(history_is_full(place->history)); /* it may fail yet */
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_false(history_is_full(place->history));
}

static void test_the_events_of_one_user_fill_memory_too(void **at)
{
    struct place *place = *at;
    place->settings.hot_bytes = 20000;
    open_history(place);
    assign(place, 1);
    for (int64_t offset = 0; !history_is_full(place->history); offset++) {
        char id[16];
        snprintf(id, sizeof id, "i%d", (int)offset);
        click(place, offset, "u1", id, 5000 + offset);
        learn(place);
        assert_true(offset < 2000);
    }
    commit(place);
    assert_false(history_is_full(place->history));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_descriptions_of_items_survive_and_can_be_taken_back),
        TEST(test_types_keep_their_numbers_whatever_the_settings_order),
        TEST(test_more_types_than_a_record_can_hold_are_refused),
        TEST(test_generation_swap_and_nonce_survive),
        TEST(test_a_swap_is_in_the_version_that_users_want),
        TEST(test_an_announced_swap_is_durable_before_it_is_taken),
        TEST(test_another_cluster_or_partition_count_is_refused),
        TEST(test_a_second_history_in_the_same_directory_is_refused),
        TEST(test_what_a_revoked_partition_had_uncommitted_is_in_the_next_commit),
        TEST(test_a_partition_that_comes_back_before_the_commit_is_as_it_was_left),
        TEST(test_users_of_revoked_partitions_are_not_found),
        TEST(test_a_user_is_found_in_whatever_partition),
        TEST(test_a_pinned_user_stays_in_memory_and_a_clean_one_leaves),
        TEST(test_a_user_whose_commit_is_under_way_stays_in_memory),
        TEST(test_a_cache_goes_with_its_user),
        TEST(test_a_commit_reports_the_offsets_of_partitions_that_changed),
        TEST(test_one_commit_at_a_time),
        TEST(test_closing_during_a_commit_still_reports_it),
        TEST(test_the_history_may_be_closed_by_the_callback_of_a_commit),
        TEST(test_a_damaged_user_stops_learning_and_every_commit_says_so),
        TEST(test_a_damaged_user_is_said_before_the_next_batch),
        TEST(test_memory_is_full_of_what_is_not_committed_and_not_of_what_is),
        TEST(test_the_events_of_one_user_fill_memory_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
