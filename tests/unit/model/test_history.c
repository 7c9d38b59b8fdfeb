/* What a history makes of each kind of event and of an acknowledgement. */
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
    impress(place, 7, "u1", "i1", 5000);
    describe(place, 0, "i1", &record);
    learn(place);
    for (int counter = 0; counter < COUNTER_COUNT; counter++)
        assert_int_equal(history_counter(place->history, counter), 1);
    assert_int_equal(history_next_offset(place->history, false, 0), 8);
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
    bool are_new[4];
};

static struct outcome observe(const struct use *use, void *arg)
{
    struct observed *observed = arg;
    observed->events_before[observed->calls] =
        use->before != NULL ? use->before->events : UINT64_MAX;
    observed->are_new[observed->calls] = use->is_new;
    observed->items[observed->calls++] = use->item;
    return (struct outcome){0};
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
    click(place, 4, "u1", "i1", 5000); /* the second time */
    forget(place, 5, "u1");
    click(place, 6, "u1", "i1", 5000); /* a forgotten user is a new one */
    struct observed observed = {0};
    history_learn(place->history, &place->batch, observe, &observed, &place->learned);
    assert_int_equal(observed.calls, 4);
    assert_true(observed.events_before[0] == UINT64_MAX);
    assert_int_equal(observed.events_before[1], 1);
    assert_int_equal(observed.events_before[2], 2);
    assert_true(observed.events_before[3] == UINT64_MAX);
    assert_int_equal(observed.items[0], observed.items[2]);
    assert_int_equal(observed.items[0], observed.items[3]);
    assert_true(observed.are_new[0] && observed.are_new[1] && observed.are_new[3]);
    assert_false(observed.are_new[2]);
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

static void test_a_tombstone_is_kept_as_long_as_redis_may_have_the_list(void **at)
{
    struct place *place = *at;
    place->settings.tombstone_ms = 1000;
    open_history(place);
    assign(place, 1);
    click(place, 0, "u1", "i1", 5000);
    forget(place, 1, "u1");
    learn(place);
    acknowledge(place, user_of(place, "u1"), 2, NULL, 0);
    commit(place);
    int64_t forgotten_ms = user_of(place, "u1")->record->last_ts_ms;
    close_history(place); /* over a restart, too */
    open_history(place);
    assign(place, 1);
    assert_int_equal(user_of(place, "u1")->record->forgotten, 1);
    click(place, 2, "u2", "i1", forgotten_ms + 999);
    learn(place);
    acknowledge(place, user_of(place, "u1"), 3, NULL, 0); /* a sweep */
    assert_non_null(user_of(place, "u1"));
    click(place, 3, "u2", "i1", forgotten_ms + 1000);
    learn(place);
    assert_null(user_of(place, "u1"));
    commit(place);
    char *text = dump(place);
    assert_null(strstr(text, "{\"user\":\"u1\""));
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

/* -- who is owed ------------------------------------------------------------------------------- */

static uint32_t swap_itself(struct slice user, void *arg)
{
    return *(const uint32_t *)arg;
}

static void expect_owed(struct place *place, bool all, int64_t since_ms, uint32_t swap,
                        const char *expected)
{
    struct owed_list owed;
    struct error err = {0};
    char names[256] = "";
    if (history_scan_owed(place->history, all, since_ms, swap_itself, &swap, &owed, &err) != 0)
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
    expect_owed(*at, false, INT64_MIN, 0, "gone new away old ");
}

static void test_the_forgotten_are_owed_however_long_ago(void **at)
{
    learn_who_is_owed(*at);
    expect_owed(*at, false, 6000, 0, "gone new away ");
}

static void test_a_swap_makes_everybody_owed(void **at)
{
    learn_who_is_owed(*at);
    expect_owed(*at, false, INT64_MIN, 1, "gone new away sent old ");
}

static void test_all_means_everybody_with_a_record(void **at)
{
    learn_who_is_owed(*at);
    expect_owed(*at, true, 6000, 0, "gone new away sent old ");
}

static void test_users_of_revoked_partitions_are_owed_nothing(void **at)
{
    struct place *place = *at;
    int32_t one = 1;
    learn_who_is_owed(place);
    history_revoke(place->history, &one, 1);
    expect_owed(place, false, INT64_MIN, 0, "gone new old ");
}

/* -- the dump ---------------------------------------------------------------------------------- */

static const char expected_dump[] =
    "{\"user\":\"u1\",\"partition\":0,\"events\":2,\"last_ts\":600000,\"forgotten\":false,"
    "\"interactions\":["
    "{\"item\":\"i2\",\"type\":\"buy\",\"value\":2.5,\"ts\":0,\"offset\":1},"
    "{\"item\":\"i1\",\"type\":\"click\",\"value\":1,\"ts\":600000,\"offset\":0}],"
    "\"seen\":[{\"item\":\"i1\",\"types\":[\"click\"]},{\"item\":\"i2\",\"types\":[\"buy\"]}],"
    "\"shown\":[{\"item\":\"i1\",\"count\":1,\"ts\":600001}],"
    "\"wanted\":{\"offset\":2,\"swap\":0},\"acked\":{\"offset\":2,\"swap\":0},"
    "\"changed_events\":2,\"list\":[\"i2\",\"i1\"],\"trial\":{\"id\":\"00000000000000c0\","
    "\"begun\":0,\"events\":2,\"hits10\":0,\"hits20\":0,\"rr\":0}}\n"
    "{\"user\":\"u2\",\"partition\":0,\"events\":0,\"last_ts\":600000,\"forgotten\":true,"
    "\"interactions\":[],\"seen\":[],\"shown\":[],\"wanted\":{\"offset\":4,\"swap\":0},"
    "\"acked\":{\"offset\":-1,\"swap\":0},\"changed_events\":0,\"list\":[],\"trial\":null}\n"
    "{\"sums\":\"i1\",\"partition\":0,\"ts\":600000,\"count\":1,\"decayed\":"
    "{\"10m\":1,\"1h\":1,\"6h\":1,\"1d\":1,\"1w\":1,\"30d\":1,\"1y\":1}}\n"
    "{\"sums\":\"i2\",\"partition\":0,\"ts\":0,\"count\":1,\"decayed\":"
    "{\"10m\":1,\"1h\":1,\"6h\":1,\"1d\":1,\"1w\":1,\"30d\":1,\"1y\":1}}\n"
    "{\"pairs\":\"i1\",\"partition\":0,\"applied\":1,\"neighbours\":[{\"item\":\"i2\",\"ts\":0,"
    "\"forward\":{\"1d\":1,\"ever\":1},\"backward\":{\"1d\":0,\"ever\":0}}]}\n"
    "{\"pairs\":\"i2\",\"partition\":0,\"applied\":1,\"neighbours\":[{\"item\":\"i1\",\"ts\":0,"
    "\"forward\":{\"1d\":0,\"ever\":0},\"backward\":{\"1d\":1,\"ever\":1}}]}\n"
    "{\"trial\":\"00000000000000c0\",\"partition\":0,\"begun\":0,\"touched\":1,\"users\":1,"
    "\"events\":2,\"hits10\":0,\"hits20\":0,\"rr\":0,\"nn\":4,\"nh\":0,\"hh\":0,\"nr\":0,\"r2\":0}"
    "\n"
    "{\"item\":\"i1\",\"blocked\":true,\"from\":5,\"until\":null,\"title\":\"A lantern\","
    "\"categories\":[\"lamps\"]}\n"
    "{\"topic\":\"items\",\"partition\":0,\"next_offset\":1,\"stream_ts\":null,\"counters\":"
    "{\"applied\":0,\"duplicate\":0,\"late\":0,\"retracted\":0,\"retract_miss\":0,"
    "\"forgotten\":0,\"item_records\":1,\"dead\":0,\"impressions\":0}}\n"
    "{\"topic\":\"events\",\"partition\":0,\"next_offset\":4,\"stream_ts\":600000,\"counters\":"
    "{\"applied\":2,\"duplicate\":0,\"late\":0,\"retracted\":0,\"retract_miss\":0,"
    "\"forgotten\":1,\"item_records\":0,\"dead\":0,\"impressions\":1}}\n"
    "{\"state\":{\"format\":3,\"epoch\":0,\"swap\":0,\"arms_swap\":0,\"generation\":0,"
    "\"newest_generation\":0,\"series\":[{\"key\":\"0000000000000000\",\"generation\":0,"
    "\"newest_generation\":0,\"swap\":0,\"gate_refusals\":0}],"
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
    impress(place, 2, "u1", "i1", 10 * MINUTE_MS + 1);
    forget(place, 3, "u2");
    describe(place, 0, "i1", &record);
    learn_in_trial(place, 0xc0, 0);
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
    char text[4096] = "";
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
        TEST(test_a_tombstone_is_kept_as_long_as_redis_may_have_the_list),
        TEST(test_a_list_from_before_the_forgetting_does_not_end_it),
        TEST(test_forgetting_releases_what_the_scorer_cached),
        TEST(test_an_event_that_came_since_leaves_the_user_owed),
        TEST(test_an_older_acknowledgement_changes_nothing),
        TEST(test_acknowledgements_survive_a_restart),
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
