/* What a history makes of each kind of event, and what it remembers over a restart. */
#include "history_fixture.h"
#include "model/history_internal.h"

/* -- learning ---------------------------------------------------------------------------------- */

static void test_every_record_is_counted_once(void **at)
{
    struct place *place = *at;
    struct item_record record = {.present = true, .available_until_ms = INT64_MAX};
    place->settings.max_age_ms = 1000;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000)->id = SLICE("e1");
    click(place, 1, "u1", "i1", 5000)->id = SLICE("e1"); /* duplicate */
    click(place, 2, "u1", "i1", 3999);                   /* late */
    retract(place, 3, "u1", "e1");
    retract(place, 4, "u1", "e1"); /* nothing left to take back */
    forget(place, 5, "u2");
    dead(place, 6, DEAD_BAD_JSON);
    describe(place, 0, "i1", &record);
    learn(place);
    for (int counter = 0; counter < COUNTER_COUNT; counter++)
        assert_int_equal(history_counter(place->history, counter), 1);
    assert_int_equal(history_next_offset(place->history, false, 0), 7);
    assert_int_equal(history_next_offset(place->history, true, 0), 1);
    assert_int_equal(history_dead_count(place->history, DEAD_BAD_JSON), 1);
}

static void test_records_below_the_next_offset_are_dropped(void **at)
{
    struct place *place = *at;
    open_history(place);
    assign(place, 1);
    click(place, 7, "u1", "i1", 5000);
    learn(place);
    click(place, 7, "u1", "i1", 5000);
    click(place, 3, "u1", "i1", 5000);
    learn(place);
    assert_int_equal(history_counter(place->history, COUNTER_APPLIED), 1);
    assert_int_equal(place->learned.user_count, 0);
}

static void test_records_of_a_partition_not_assigned_are_dropped(void **at)
{
    struct place *place = *at;
    open_history(place);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    assert_int_equal(place->learned.user_count, 0);
    assert_int_equal(history_next_offset(place->history, false, 0), INT64_MIN);
}

static void test_an_event_is_late_only_when_older_than_max_age(void **at)
{
    struct place *place = *at;
    place->settings.max_age_ms = 1000;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    click(place, 1, "u1", "i1", 4000); /* just in time */
    click(place, 2, "u1", "i1", 3999);
    learn(place);
    assert_int_equal(history_counter(place->history, COUNTER_APPLIED), 2);
    assert_int_equal(history_counter(place->history, COUNTER_LATE), 1);
}

static void test_stream_time_is_the_largest_over_assigned_partitions(void **at)
{
    struct place *place = *at;
    int32_t second = 1;
    open_history(place);
    assert_int_equal(history_now_ms(place->history), INT64_MIN);
    assign(place, 2);
    click(place, 0, "u1", "i1", 5000);
    click(place, 1, "u1", "i1", 4000);
    click(place, 0, "u2", "i1", 9000)->partition = second;
    learn(place);
    assert_int_equal(history_now_ms(place->history), 9000);
    history_revoke(place->history, &second, 1);
    assert_int_equal(history_now_ms(place->history), 5000);
}

struct observed {
    int calls;
    uint64_t events_before[4];
    uint32_t items[4];
};

static void observe(const struct event *event, const struct user_record *before, uint32_t item,
                    void *arg)
{
    struct observed *observed = arg;
    observed->events_before[observed->calls] = before != NULL ? before->events : UINT64_MAX;
    observed->items[observed->calls++] = item;
}

static void test_the_observer_sees_each_interaction_before_it_is_applied(void **at)
{
    struct place *place = *at;
    place->settings.max_age_ms = 1000;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000)->id = SLICE("e1");
    click(place, 1, "u1", "i2", 5000)->id = SLICE("e1"); /* duplicate: not observed */
    click(place, 2, "u1", "i2", 100);                    /* late: not observed */
    click(place, 3, "u1", "i3", 5000);
    forget(place, 4, "u1");
    click(place, 5, "u1", "i1", 5000); /* a forgotten user is a new one */
    struct observed observed = {0};
    history_learn(place->history, &place->batch, observe, &observed, &place->learned);
    assert_int_equal(observed.calls, 3);
    assert_true(observed.events_before[0] == UINT64_MAX);
    assert_int_equal(observed.events_before[1], 1);
    assert_true(observed.events_before[2] == UINT64_MAX);
    assert_int_equal(observed.items[0], observed.items[2]);
    assert_true(
        slice_equal(ids_text(&history_items(place->history)->ids, observed.items[1]), SLICE("i3")));
}

static void test_learned_users_come_once_in_order_of_their_first_event(void **at)
{
    struct place *place = *at;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u2", "i1", 5000);
    click(place, 1, "u1", "i1", 5000);
    click(place, 2, "u2", "i2", 5000);
    learn(place);
    assert_int_equal(place->learned.user_count, 2);
    assert_true(slice_equal(place->learned.users[0]->id, SLICE("u2")));
    assert_true(slice_equal(place->learned.users[1]->id, SLICE("u1")));
    assert_int_equal(place->learned.users[0]->oldest_event_ms, 5000); /* its record's timestamp */
    assert_int_equal(place->learned.users[0]->record->wanted_offset, 3);
    assert_int_equal(place->learned.users[1]->record->wanted_offset, 2);
}

static void test_only_types_that_count_change_item_sums(void **at)
{
    struct place *place = *at;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    click(place, 1, "u1", "i2", 5000)->type = VIEW;
    learn(place);
    assert_int_equal(place->learned.item_count, 1);
    uint32_t items;
    assert_int_equal(history_sums_count(place->history), 1);
    const struct item_sums *sums = history_sums(place->history, 0, &items);
    assert_int_equal(items, 2);
    assert_int_equal(sums[0].count, 1);
    assert_int_equal(sums[1].count, 0);
}

static void test_an_item_beyond_the_most_is_a_dead_letter(void **at)
{
    struct place *place = *at;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    uint32_t known = place->history->items.ids.count;
    place->history->items.ids.count = ITEMS_MAX; /* as if there were so many */
    click(place, 1, "u1", "i1", 5000);           /* a known one still counts */
    click(place, 2, "u1", "i2", 5000);
    learn(place);
    place->history->items.ids.count = known;
    assert_int_equal(history_counter(place->history, COUNTER_APPLIED), 2);
    assert_int_equal(history_dead_count(place->history, DEAD_BAD_FIELD), 1);
}

/* -- taking back and forgetting ---------------------------------------------------------------- */

static void test_a_retraction_that_hits_wants_a_list_and_one_that_misses_does_not(void **at)
{
    struct place *place = *at;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000)->id = SLICE("e1");
    learn(place);
    retract(place, 1, "u1", "unknown");
    retract(place, 2, "nobody", "e1");
    learn(place);
    assert_int_equal(place->learned.user_count, 0);
    retract(place, 3, "u1", "e1");
    learn(place);
    assert_int_equal(place->learned.user_count, 1);
    assert_int_equal(place->learned.users[0]->record->wanted_offset, 4);
    assert_int_equal(place->learned.users[0]->record->interaction_count, 0);
}

static void test_a_user_nobody_knows_can_be_forgotten(void **at)
{
    struct place *place = *at;
    open_history(place);
    assign(place, 1);
    forget(place, 0, "u1");
    learn(place);
    assert_int_equal(history_counter(place->history, COUNTER_FORGOTTEN), 1);
    assert_int_equal(place->learned.user_count, 1);
    assert_int_equal(place->learned.users[0]->record->forgotten, 1);
    assert_true(user_is_owed(place->learned.users[0]->record, 0));
}

static void test_a_forgotten_user_goes_from_the_state_once_acknowledged(void **at)
{
    struct place *place = *at;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    forget(place, 1, "u1");
    learn(place);
    commit(place);
    acknowledge(place, user_of(place, "u1"), 2, NULL, 0);
    assert_null(user_of(place, "u1"));
    commit(place);
    char *text = dump(place);
    assert_null(strstr(text, "{\"user\""));
    free(text);
}

static void test_a_list_from_before_the_forgetting_does_not_end_it(void **at)
{
    struct place *place = *at;
    uint32_t list[] = {0};
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    struct user *user = user_of(place, "u1");
    history_pin(place->history, user);
    forget(place, 1, "u1"); /* while its list is on the way */
    learn(place);
    acknowledge(place, user, 1, list, 1);
    assert_true(user_is_owed(user->record, 0));
    assert_int_equal(user->record->list_count, 0);
    history_unpin(place->history, user);
}

static void test_forgetting_releases_what_the_scorer_cached(void **at)
{
    struct place *place = *at;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    user_of(place, "u1")->cache = malloc(1);
    forget(place, 1, "u1");
    learn(place);
    assert_int_equal(place->caches_released, 1);
    assert_null(place->learned.users[0]->cache);
}

/* -- acknowledgements -------------------------------------------------------------------------- */

static void test_an_event_that_came_since_leaves_the_user_owed(void **at)
{
    struct place *place = *at;
    uint32_t list[] = {0};
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    click(place, 1, "u1", "i1", 5000);
    learn(place);
    struct user *user = user_of(place, "u1");
    acknowledge(place, user, 1, list, 1);
    assert_true(user_is_owed(user->record, 0));
    assert_int_equal(user->record->list_count, 1);
    assert_int_equal(user->record->events, 2);
    acknowledge(place, user, 2, list, 1);
    assert_false(user_is_owed(user->record, 0));
}

static void test_an_older_acknowledgement_changes_nothing(void **at)
{
    struct place *place = *at;
    uint32_t list[] = {0, 0};
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    click(place, 1, "u1", "i1", 5000);
    learn(place);
    struct user *user = user_of(place, "u1");
    acknowledge(place, user, 2, list, 1);
    acknowledge(place, user, 1, list, 2);
    assert_int_equal(user->record->list_count, 1);
    assert_int_equal(user->record->acked_offset, 2);
}

static void test_acknowledgements_survive_a_restart(void **at)
{
    struct place *place = *at;
    uint32_t list[] = {1, 0};
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    click(place, 1, "u1", "i2", 5000);
    learn(place);
    acknowledge(place, user_of(place, "u1"), 2, list, 2);
    commit(place);
    reopen(place, 1);
    const struct user_record *record = user_of(place, "u1")->record;
    assert_false(user_is_owed(record, 0));
    assert_int_equal(record->list_count, 2);
    assert_memory_equal(user_list(record), list, sizeof list);
}

/* -- dead letters ------------------------------------------------------------------------------ */

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

static void
test_a_dead_letter_delivered_while_it_is_written_is_removed_by_the_next_commit(void **at)
{
    struct place *place = *at;
    struct dead_letter letter;
    struct outcome outcome = {0};
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
    assert_int_equal(strlen(nonce), 32);
    history_set_generation(place->history, 7, true, 8, 1);
    history_set_generation(place->history, 7, false, 9, 2);
    commit(place);
    reopen(place, 0);
    const struct state_meta *meta = history_meta(place->history);
    assert_string_equal(meta->nonce, nonce);
    assert_int_equal(meta->epoch, 1);
    assert_int_equal(meta->swap, 1);
    assert_int_equal(meta->generation, 7);
    assert_int_equal(meta->newest_generation, 9);
    assert_int_equal(meta->gate_refusals, 2);
}

static void test_a_swap_is_in_the_version_that_users_want(void **at)
{
    struct place *place = *at;
    open_history(place);
    assign(place, 1);
    history_set_generation(place->history, 1, true, 1, 0);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    assert_int_equal(place->learned.users[0]->record->wanted_swap, 1);
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
    struct outcome outcome = commit(place);
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
    history_revoke(place->history, &zero, 1);
    assign(place, 1);
    assert_int_equal(history_sums(place->history, 0, &items)[0].count, 1);
    assert_int_equal(history_next_offset(place->history, false, 0), 1);
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
    struct outcome outcome = {0};
    place->settings.hot_bytes = 1;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    learn(place);
    assert_true(history_commit(place->history, note_commit, &outcome));
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
    struct outcome outcome = commit(place);
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
    struct outcome first = {0}, second = {0};
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
    struct outcome outcome = {0};
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
    struct outcome outcome = try_commit(place);
    assert_int_equal(outcome.err.code, ERR_DATA);
    assert_non_null(strstr(outcome.err.text, "u1"));
    assert_int_equal(try_commit(place).err.code, ERR_DATA);
}

/* -- who is owed ------------------------------------------------------------------------------- */

static void expect_owed(struct place *place, bool all, int64_t since_ms, uint32_t swap,
                        const char *expected)
{
    struct owed_list owed;
    struct error err = {0};
    char names[256] = "";
    if (history_scan_owed(place->history, all, since_ms, swap, &owed, &err) != 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < owed.count; i++) {
        strncat(names, owed.users[i].id, owed.users[i].id_length);
        strcat(names, " ");
    }
    owed_list_deinit(&owed);
    assert_string_equal(names, expected);
}

static void learn_who_is_owed(struct place *place)
{
    open_history(place);
    assign(place, 2);
    click(place, 0, "old", "i1", 1000);
    click(place, 1, "new", "i1", 9000);
    click(place, 2, "sent", "i1", 5000);
    click(place, 0, "away", "i1", 7000)->partition = 1;
    forget(place, 3, "gone");
    learn(place);
    acknowledge(place, user_of(place, "sent"), 3, NULL, 0);
    commit(place);
}

static void test_owed_users_come_most_recently_active_first(void **at)
{
    learn_who_is_owed(*at);
    expect_owed(*at, false, INT64_MIN, 0, "new away old gone ");
}

static void test_the_forgotten_are_owed_however_long_ago(void **at)
{
    learn_who_is_owed(*at);
    expect_owed(*at, false, 6000, 0, "new away gone ");
}

static void test_a_swap_makes_everybody_owed(void **at)
{
    learn_who_is_owed(*at);
    expect_owed(*at, false, INT64_MIN, 1, "new away sent old gone ");
}

static void test_all_means_everybody_with_a_record(void **at)
{
    learn_who_is_owed(*at);
    expect_owed(*at, true, 6000, 0, "new away sent old gone ");
}

static void test_users_of_revoked_partitions_are_owed_nothing(void **at)
{
    struct place *place = *at;
    int32_t one = 1;
    learn_who_is_owed(place);
    history_revoke(place->history, &one, 1);
    expect_owed(place, false, INT64_MIN, 0, "new old gone ");
}

/* -- the dump ---------------------------------------------------------------------------------- */

static const char expected_dump[] =
    "{\"user\":\"u1\",\"partition\":0,\"events\":2,\"last_ts\":600000,\"forgotten\":false,"
    "\"interactions\":["
    "{\"item\":\"i2\",\"type\":\"buy\",\"value\":2.5,\"ts\":0,\"offset\":1},"
    "{\"item\":\"i1\",\"type\":\"click\",\"value\":1,\"ts\":600000,\"offset\":0}],"
    "\"seen\":[{\"item\":\"i1\",\"types\":[\"click\"]},{\"item\":\"i2\",\"types\":[\"buy\"]}],"
    "\"wanted\":{\"offset\":2,\"swap\":0},\"acked\":{\"offset\":2,\"swap\":0},"
    "\"list\":[\"i2\",\"i1\"]}\n"
    "{\"user\":\"u2\",\"partition\":0,\"events\":0,\"last_ts\":0,\"forgotten\":true,"
    "\"interactions\":[],\"seen\":[],\"wanted\":{\"offset\":3,\"swap\":0},"
    "\"acked\":{\"offset\":-1,\"swap\":0},\"list\":[]}\n"
    "{\"sums\":\"i1\",\"partition\":0,\"ts\":600000,\"count\":1,\"decayed\":"
    "{\"10m\":1,\"1h\":1,\"6h\":1,\"1d\":1,\"1w\":1,\"30d\":1,\"1y\":1}}\n"
    "{\"sums\":\"i2\",\"partition\":0,\"ts\":0,\"count\":1,\"decayed\":"
    "{\"10m\":1,\"1h\":1,\"6h\":1,\"1d\":1,\"1w\":1,\"30d\":1,\"1y\":1}}\n"
    "{\"item\":\"i1\",\"blocked\":true,\"from\":5,\"until\":null,\"title\":\"A lantern\","
    "\"categories\":[\"lamps\"]}\n"
    "{\"topic\":\"items\",\"partition\":0,\"next_offset\":1,\"stream_ts\":null,\"counters\":"
    "{\"applied\":0,\"duplicate\":0,\"late\":0,\"retracted\":0,\"retract_miss\":0,"
    "\"forgotten\":0,\"item_records\":1,\"dead\":0}}\n"
    "{\"topic\":\"events\",\"partition\":0,\"next_offset\":3,\"stream_ts\":600000,\"counters\":"
    "{\"applied\":2,\"duplicate\":0,\"late\":0,\"retracted\":0,\"retract_miss\":0,"
    "\"forgotten\":1,\"item_records\":0,\"dead\":0}}\n"
    "{\"state\":{\"format\":1,\"epoch\":1,\"swap\":0,\"generation\":0,\"newest_generation\":0,"
    "\"cluster\":\"cluster-a\",\"partitions\":1}}\n";

static void learn_what_is_dumped(struct place *place)
{
    struct slice category = SLICE("lamps");
    struct item_record record = {.present = true,
                                 .blocked = true,
                                 .available_from_ms = 5,
                                 .available_until_ms = INT64_MAX,
                                 .title = SLICE("A lantern"),
                                 .categories = &category,
                                 .category_count = 1};
    uint32_t list[] = {1, 0};
    open_history(place);
    assert_int_equal(history_bind(place->history, "cluster-a", 1, NULL), 0);
    assign(place, 1);
    click(place, 0, "u1", "i1", 10 * MINUTE_MS);
    struct event *buy = click(place, 1, "u1", "i2", 0);
    buy->type = BUY;
    buy->value = 2.5;
    forget(place, 2, "u2");
    describe(place, 0, "i1", &record);
    learn(place);
    acknowledge(place, user_of(place, "u1"), 2, list, 2);
    commit(place);
}

static void test_the_dump_has_the_shape_it_is_documented_to_have(void **at)
{
    learn_what_is_dumped(*at);
    char *text = dump(*at);
    assert_string_equal(text, expected_dump);
    free(text);
}

static void test_the_dump_of_one_user_is_that_users_line_alone(void **at)
{
    struct place *place = *at;
    learn_what_is_dumped(place);
    close_history(place);
    char text[1024] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_int_equal(history_dump(&place->settings.state, SLICE("u2"), out, NULL), 0);
    fclose(out);
    assert_ptr_equal(strstr(text, "{\"user\":\"u2\""), text);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_record_is_counted_once),
        TEST(test_records_below_the_next_offset_are_dropped),
        TEST(test_records_of_a_partition_not_assigned_are_dropped),
        TEST(test_an_event_is_late_only_when_older_than_max_age),
        TEST(test_stream_time_is_the_largest_over_assigned_partitions),
        TEST(test_the_observer_sees_each_interaction_before_it_is_applied),
        TEST(test_learned_users_come_once_in_order_of_their_first_event),
        TEST(test_only_types_that_count_change_item_sums),
        TEST(test_an_item_beyond_the_most_is_a_dead_letter),
        TEST(test_a_retraction_that_hits_wants_a_list_and_one_that_misses_does_not),
        TEST(test_a_user_nobody_knows_can_be_forgotten),
        TEST(test_a_forgotten_user_goes_from_the_state_once_acknowledged),
        TEST(test_a_list_from_before_the_forgetting_does_not_end_it),
        TEST(test_forgetting_releases_what_the_scorer_cached),
        TEST(test_an_event_that_came_since_leaves_the_user_owed),
        TEST(test_an_older_acknowledgement_changes_nothing),
        TEST(test_acknowledgements_survive_a_restart),
        TEST(test_dead_letters_wait_in_the_state_until_delivered),
        TEST(test_a_dead_letter_that_failed_comes_again),
        TEST(test_a_dead_letter_delivered_while_it_is_written_is_removed_by_the_next_commit),
        TEST(test_dead_letters_are_full_at_the_bound_until_one_is_delivered),
        TEST(test_descriptions_of_items_survive_and_can_be_taken_back),
        TEST(test_types_keep_their_numbers_whatever_the_settings_order),
        TEST(test_more_types_than_a_record_can_hold_are_refused),
        TEST(test_generation_swap_and_nonce_survive),
        TEST(test_a_swap_is_in_the_version_that_users_want),
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
        TEST(test_owed_users_come_most_recently_active_first),
        TEST(test_the_forgotten_are_owed_however_long_ago),
        TEST(test_a_swap_makes_everybody_owed),
        TEST(test_all_means_everybody_with_a_record),
        TEST(test_users_of_revoked_partitions_are_owed_nothing),
        TEST(test_the_dump_has_the_shape_it_is_documented_to_have),
        TEST(test_the_dump_of_one_user_is_that_users_line_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
