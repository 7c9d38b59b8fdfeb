/* Co-occurrence in the state: what a commit writes of it, when the journal is let go, what a
 * restart finds, and what is refused. That tables do not depend on any of it is in
 * test_history_replay. */
#include "history_fixture.h"
#include "model/history_internal.h"
#include "model/state_internal.h"

#include <math.h>

#define SEED 5150u
#define ITEMS 50
#define RISING 200 /* users of learn_rising, with one item more than the last each */

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return (uint32_t)(random_state >> 33) % below;
}

static int set_up_pairs(void **at)
{
    random_state = SEED;
    print_message("seed %u\n", SEED);
    return set_up(at);
}

static struct partition *partition_of(const struct place *place)
{
    return place->history->partitions.at[0];
}

static struct event *use(struct place *place, int64_t offset, const char *user, uint32_t item)
{
    static char names[ITEMS + RISING][8]; /* events lend their texts until learned */
    snprintf(names[item], sizeof names[item], "i%u", item);
    return click(place, offset, user, names[item], 1000 * offset);
}

/* Each offset another user's three items: two of them are events of pairs. */
static int64_t learn_users(struct place *place, int64_t from, int count)
{
    static char users[1000][16];
    int64_t offset = from;
    for (int i = 0; i < count; i++) {
        snprintf(users[i], sizeof users[i], "u%d-%d", (int)from, i);
        for (uint32_t third = 0; third < 3; third++)
            use(place, offset++, users[i], third * (ITEMS / 3) + draw(ITEMS / 3));
    }
    learn(place);
    return offset;
}

static void open_one(struct place *place)
{
    open_history(place);
    assign(place, 1);
}

/* -- what is counted --------------------------------------------------------------------------- */

static const struct pairs_table *table_of(struct place *place, const char *item)
{
    struct slice id = slice_of(item);
    return pairs_table(history_pairs(place->history, 0),
                       ids_find(&history_items(place->history)->ids, id));
}

/* forward(item, other), ever; 0 if other is no neighbour. */
static double came_after(struct place *place, const char *item, const char *other)
{
    const struct pairs_table *table = table_of(place, item);
    uint32_t number = ids_find(&history_items(place->history)->ids, slice_of(other));
    for (uint32_t i = 0; table != NULL && i < table->count; i++)
        if (table->items[i] == number)
            return (double)table->ever[i].forward;
    return 0;
}

static void test_a_users_first_use_goes_with_what_came_before(void **at)
{
    struct place *place = *at;
    open_one(place);
    click(place, 0, "u1", "a", 1000);
    click(place, 1, "u1", "b", 2000);
    click(place, 2, "u1", "c", 3000);
    click(place, 3, "u1", "a", 4000); /* not the first time */
    click(place, 4, "u2", "b", 5000); /* nothing before it */
    learn(place);
    assert_true(came_after(place, "a", "b") == 1);
    assert_true(came_after(place, "b", "c") == 1);
    assert_true(came_after(place, "a", "c") == (double)PAIRS_FADE);
    assert_true(came_after(place, "c", "a") == 0);
    assert_true(came_after(place, "b", "a") == 0);
    assert_int_equal(table_of(place, "a")->applied, 2);
}

static void test_what_does_not_count_late_and_duplicate_events_go_with_nothing(void **at)
{
    struct place *place = *at;
    place->settings.max_age_ms = MINUTE_MS;
    open_one(place);
    click(place, 0, "u1", "a", 10 * MINUTE_MS)->id = SLICE("x");
    click(place, 1, "u1", "b", 10 * MINUTE_MS)->type = VIEW;
    click(place, 2, "u1", "c", MINUTE_MS);
    click(place, 3, "u1", "d", 10 * MINUTE_MS)->id = SLICE("x");
    learn(place);
    assert_null(table_of(place, "a"));
    click(place, 4, "u1", "e", 10 * MINUTE_MS);
    learn(place);
    assert_int_equal(table_of(place, "e")->count, 1); /* "a", and not the view of "b" */
}

static void test_the_forgotten_begin_with_nothing_before_them(void **at)
{
    struct place *place = *at;
    open_one(place);
    click(place, 0, "u1", "a", 1000);
    forget(place, 1, "u1");
    click(place, 2, "u1", "b", 2000);
    learn(place);
    assert_null(table_of(place, "a"));
    assert_null(table_of(place, "b"));
}

static void expect_same_dump(struct place *place, const char *expected)
{
    char *text = dump(place);
    assert_string_equal(text, expected);
    free(text);
}

/* -- the journal ------------------------------------------------------------------------------- */

static int count_key(struct slice key, struct slice value, void *arg)
{
    ++*(size_t *)arg;
    return 0;
}

static size_t count_keys(struct place *place, enum state_db db)
{
    struct state_view *view;
    size_t count = 0;
    assert_int_equal(state_view_open(&view, place->history->state, NULL), 0);
    assert_int_equal(state_view_scan(view, db, SLICE(""), count_key, &count, NULL), 0);
    state_view_close(view);
    return count;
}

static int look_at_record(struct slice key, struct slice value, void *arg)
{
    assert_in_range(value.length, 1, JOURNAL_RECORD_BYTES_MAX);
    ++*(size_t *)arg;
    return 0;
}

static size_t count_records(struct place *place)
{
    struct state_view *view;
    size_t count = 0;
    assert_int_equal(state_view_open(&view, place->history->state, NULL), 0);
    assert_int_equal(state_view_scan(view, STATE_JOURNAL, SLICE(""), look_at_record, &count, NULL),
                     0);
    state_view_close(view);
    return count;
}

/* 200 users' 400 events of 28 or 32 bytes, in pages. */
static void test_a_commit_writes_events_and_few_tables(void **at)
{
    struct place *place = *at;
    open_one(place);
    learn_users(place, 0, 200);
    size_t unsaved = partition_of(place)->journal.unsaved_count;
    assert_true(unsaved > ITEMS / 2);
    commit(place);
    assert_int_equal(count_records(place), 3);
    assert_in_range(count_keys(place, STATE_PAIRS), 1, unsaved - 1);
    assert_int_equal(partition_of(place)->journal.unsaved_count,
                     unsaved - count_keys(place, STATE_PAIRS));
}

static void test_a_commit_that_failed_leaves_its_records_to_the_next(void **at)
{
    struct place *place = *at;
    open_one(place);
    int64_t offset = learn_users(place, 0, 200);
    struct state_commit *refused = state_commit_new(place->history->state);
    take_pairs(partition_of(place), TOPIC, refused, 1, &place->history->scratch);
    assert_int_equal(partition_of(place)->journal.record_count, 3);
    state_commit_drop(refused);
    pairs_committed(partition_of(place), false);
    assert_int_equal(partition_of(place)->journal.record_count, 0);
    learn_users(place, offset, 1); /* meanwhile */
    commit(place);
    assert_int_equal(count_records(place), 4);
    char *expected = dump(place);
    reopen(place, 1);
    expect_same_dump(place, expected);
    free(expected);
}

static void test_events_whose_tables_are_all_written_are_not_in_the_journal(void **at)
{
    struct place *place = *at;
    open_one(place);
    use(place, 0, "u1", 1);
    learn(place);
    commit(place);
    assert_int_equal(count_keys(place, STATE_JOURNAL), 0); /* it goes with nothing */
    use(place, 1, "u1", 2);
    learn(place);
    commit(place); /* one of two tables */
    assert_int_equal(count_keys(place, STATE_JOURNAL), 1);
    assert_int_equal(count_keys(place, STATE_PAIRS), 1);
    use(place, 2, "u1", 2);
    learn(place);
    commit(place); /* the other, and the record leaves with it */
    assert_int_equal(count_keys(place, STATE_JOURNAL), 0);
    assert_int_equal(count_keys(place, STATE_PAIRS), 2);
}

static void test_an_idle_partition_writes_nothing(void **at)
{
    struct place *place = *at;
    open_one(place);
    learn_users(place, 0, 50);
    commit(place);
    assert_false(history_is_dirty(place->history));
    size_t tables = count_keys(place, STATE_PAIRS);
    assert_int_equal(commit(place).count, 0);
    assert_int_equal(count_keys(place, STATE_PAIRS), tables);
}

/* J = sqrt(s r D), the design's own figure: r = 10 users' 20 events of 28 or 32 bytes and a head a
 * commit, D = 50 tables of 184 bytes. Twice that leaves room for tables being whole. */
static void test_the_journal_stays_about_as_small_as_it_was_designed_to_be(void **at)
{
    struct place *place = *at;
    open_one(place);
    int64_t offset = 0;
    double most = 0, designed = sqrt(PAIRS_JOURNAL_SHARE * 608.0 * 50 * 184);
    for (int batch = 0; batch < 500; batch++) {
        offset = learn_users(place, offset, 10);
        commit(place);
        const struct pairs_journal *journal = &partition_of(place)->journal;
        double bytes = 0;
        for (size_t i = 0; i < journal->record_count; i++)
            bytes += (double)journal->records[i].bytes;
        most = bytes > most ? bytes : most;
        assert_int_equal(count_keys(place, STATE_JOURNAL), journal->record_count);
    }
    print_message("at most %.0f bytes, designed %.0f\n", most, designed);
    assert_true(most < 2 * designed);
}

static int64_t learn_same_items(struct place *place, int64_t offset, int users)
{
    static char names[200][16];
    for (int i = 0; i < users; i++) {
        snprintf(names[i], sizeof names[i], "s%d-%d", (int)offset, i);
        for (uint32_t item = 0; item < 3; item++)
            use(place, offset++, names[i], item);
    }
    learn(place);
    return offset;
}

/* So much that every table is taken, some with entries that count for nothing. */
static void fail_commit(struct place *place, size_t expected)
{
    struct partition *partition = partition_of(place);
    struct state_commit *refused = state_commit_new(place->history->state);
    take_pairs(partition, TOPIC, refused, PAIRS_COMMIT_BYTES, &place->history->scratch);
    assert_int_equal(partition->journal.unsaved_taken, expected);
    assert_int_equal(refused->count, 3); /* each table once, and so no record */
    state_commit_drop(refused);
}

static void test_tables_of_commits_that_failed_wait_for_what_they_lacked_at_first(void **at)
{
    struct place *place = *at;
    open_one(place);
    int64_t offset = learn_same_items(place, 0, 100), since[3];
    for (uint32_t item = 0; item < 3; item++)
        since[item] = partition_of(place)->pairs.tables[item]->unsaved_since;
    fail_commit(place, 3);
    learn_same_items(place, offset, 1); /* meanwhile, so that they wait twice */
    pairs_committed(partition_of(place), false);
    fail_commit(place, 6);
    pairs_committed(partition_of(place), false);
    for (uint32_t item = 0; item < 3; item++)
        assert_int_equal(partition_of(place)->pairs.tables[item]->unsaved_since, since[item]);
    commit(place);
    assert_int_equal(partition_of(place)->journal.unsaved_count, 0);
    assert_int_equal(count_keys(place, STATE_JOURNAL), 0);
}

/* -- restarts ---------------------------------------------------------------------------------- */

static void test_a_restart_finds_the_journal_and_goes_on_with_it(void **at)
{
    struct place *place = *at;
    open_one(place);
    int64_t offset = learn_users(place, 0, 100);
    commit(place);
    size_t records = count_keys(place, STATE_JOURNAL);
    size_t unsaved = partition_of(place)->journal.unsaved_count;
    reopen(place, 1);
    const struct pairs_journal *journal = &partition_of(place)->journal;
    assert_true(records > 0);
    assert_int_equal(journal->record_count, records);
    assert_int_equal(journal->unsaved_count, unsaved);
    for (int i = 0; i < 100 && partition_of(place)->journal.record_count > 0; i++) {
        use(place, offset++, "nobody", 1);
        learn(place);
        commit(place); /* all of it drains */
    }
    assert_int_equal(count_keys(place, STATE_JOURNAL), 0);
}

/* So that the first events that tables wait for are in all records. */
static int64_t learn_rising(struct place *place)
{
    static char users[RISING][16];
    int64_t offset = 0;
    for (uint32_t i = 0; i < RISING; i++) {
        snprintf(users[i], sizeof users[i], "r%u", i);
        for (uint32_t item = i; item < i + 3; item++)
            use(place, offset++, users[i], item);
    }
    learn(place);
    return offset;
}

static void write_tables(struct place *place, struct buffer *out)
{
    const struct pairs *pairs = &partition_of(place)->pairs;
    for (uint32_t item = 0; item < pairs->table_count; item++) {
        const struct pairs_table *table = pairs_table(pairs, item);
        if (table != NULL)
            pairs_table_write(out, table);
    }
}

/* The first of a commit's records leave before the last do. */
static void test_a_commits_records_leave_one_by_one_and_every_restart_has_the_same(void **at)
{
    struct place *place = *at;
    open_one(place);
    int64_t offset = learn_rising(place);
    size_t before = 0, left_some = 0;
    do {
        commit(place);
        size_t records = partition_of(place)->journal.record_count;
        left_some += records > 0 && records < before;
        before = records;
        struct buffer expected = {0}, loaded = {0};
        write_tables(place, &expected);
        reopen(place, 1);
        write_tables(place, &loaded);
        assert_int_equal(partition_of(place)->journal.record_count, records);
        assert_int_equal(loaded.length, expected.length);
        assert_memory_equal(loaded.data, expected.data, expected.length);
        buffer_deinit(&expected);
        buffer_deinit(&loaded);
        use(place, offset++, "nobody", 1);
        learn(place);
    } while (before > 0);
    assert_true(left_some > 0);
}

/* So many events of one item before another, 28 bytes each, fill a record: it takes one more as
 * long as that could be the longest. */
#define BLOCK ((JOURNAL_RECORD_BYTES_MAX - 8 - (int)sizeof(struct pairs_event)) / 28 + 1)

/* Three records, each of one pair of items, whose two tables have 16 + 28 bytes each. */
static void learn_blocks(struct place *place)
{
    static char users[3 * BLOCK][16];
    for (uint32_t i = 0; i < 3 * BLOCK; i++) {
        snprintf(users[i], sizeof users[i], "b%u", i);
        use(place, 2 * i, users[i], i / BLOCK * 2);
        use(place, 2 * i + 1, users[i], i / BLOCK * 2 + 1);
    }
    learn(place);
}

static void test_a_record_is_not_written_whose_tables_are(void **at)
{
    struct place *place = *at;
    static const struct {
        size_t bytes, tables, records;
    } cases[] = {{1, 1, 3}, {45, 2, 2}, {89, 3, 2}, {133, 4, 1}, {1000, 6, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_one(place);
        learn_blocks(place);
        struct pairs_journal *journal = &partition_of(place)->journal;
        struct state_commit *refused = state_commit_new(place->history->state);
        take_pairs(partition_of(place), TOPIC, refused, cases[i].bytes, &place->history->scratch);
        assert_int_equal(refused->count, cases[i].tables + cases[i].records);
        assert_int_equal(journal->record_count, cases[i].records);
        if (cases[i].records > 0)
            assert_in_range(journal->records[0].first, 2 * BLOCK * (3 - cases[i].records),
                            2 * BLOCK * (4 - cases[i].records));
        state_commit_drop(refused);
        pairs_committed(partition_of(place), false);
        assert_int_equal(journal->record_count, 0);
        close_history(place);
        remove_state(place);
    }
    open_one(place);
}

static void test_a_journal_being_written_when_the_history_closes_is_there_afterwards(void **at)
{
    struct place *place = *at;
    struct commit_outcome outcome = {0};
    open_one(place);
    learn_users(place, 0, 200);
    assert_true(history_commit(place->history, note_commit, &outcome));
    reopen(place, 1);
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(partition_of(place)->journal.record_count, 3);
    assert_int_equal(partition_of(place)->journal.last, 599);
}

static void test_the_journal_is_applied_with_the_bound_it_was_learned_with(void **at)
{
    struct place *place = *at;
    place->settings.neighbours_max = 3;
    open_one(place);
    learn_users(place, 0, 200);
    commit(place);
    char *expected = dump(place);
    place->settings.neighbours_max = 40;
    open_one(place);
    assert_true(partition_of(place)->journal.record_count > 0);
    commit(place);
    expect_same_dump(place, expected);
    free(expected);
}

static void test_a_larger_bound_lets_tables_grow_and_a_smaller_one_keeps_them(void **at)
{
    struct place *place = *at;
    place->settings.neighbours_max = 3;
    open_one(place);
    int64_t offset = learn_users(place, 0, 200);
    commit(place);
    place->settings.neighbours_max = 30;
    reopen(place, 1);
    offset = learn_users(place, offset, 200);
    commit(place);
    uint32_t most = 0;
    for (uint32_t item = 0; item < ITEMS; item++) {
        const struct pairs_table *table = pairs_table(history_pairs(place->history, 0), item);
        most = table != NULL && table->count > most ? table->count : most;
    }
    assert_in_range(most, 4, 30);
    place->settings.neighbours_max = 2;
    reopen(place, 1);
    learn_users(place, offset, 200);
    commit(place);
    reopen(place, 1); /* and such tables are read back */
}

static void test_without_neighbours_pairs_are_left_alone_until_wanted_again(void **at)
{
    struct place *place = *at;
    open_one(place);
    int64_t offset = learn_users(place, 0, 50);
    commit(place);
    size_t tables = count_keys(place, STATE_PAIRS), records = count_keys(place, STATE_JOURNAL);
    place->settings.neighbours_max = 0;
    reopen(place, 1);
    offset = learn_users(place, offset, 50);
    assert_null(pairs_table(history_pairs(place->history, 0), 1));
    commit(place);
    assert_int_equal(count_keys(place, STATE_PAIRS), tables);
    assert_int_equal(count_keys(place, STATE_JOURNAL), records);
    place->settings.neighbours_max = 6;
    reopen(place, 1);
    learn_users(place, offset, 50);
    commit(place);
    reopen(place, 1);
    assert_non_null(pairs_table(history_pairs(place->history, 0), 1));
}

/* A revoked partition's tables are given back once they are committed; the journal keeps the
 * rest. */
static void test_a_revoked_partition_leaves_memory_with_its_journal(void **at)
{
    struct place *place = *at;
    int32_t zero = 0;
    open_one(place);
    learn_users(place, 0, 50);
    history_revoke(place->history, &zero, 1);
    struct partition *partition = partition_of(place);
    assert_non_null(partition->pairs.tables);
    commit(place);
    assert_null(partition->pairs.tables);
    assert_int_equal(partition->journal.unsaved_count, 0);
    assign(place, 1);
    assert_non_null(partition->pairs.tables);
    assert_true(partition->journal.unsaved_count > 0);
}

/* -- damage ------------------------------------------------------------------------------------ */

static void put(struct place *place, enum state_db db, size_t key_length, const char *key,
                struct slice value)
{
    struct state_commit *change = state_commit_new(place->history->state);
    state_commit_put(change, db, (struct slice){key, (uint32_t)key_length}, value);
    assert_int_equal(state_commit_now(change, NULL), 0);
}

static void expect_refused(struct place *place)
{
    struct error err = {0};
    int32_t one = 1;
    assert_int_equal(history_assign(place->history, &one, 1, &err), ERR_DATA);
    if (strstr(err.text, "partition 1") == NULL)
        fail_msg("no partition in: %s", err.text);
    assert_int_equal(history_partitions(place->history, NULL, 0), 0);
    close_history(place);
    FILE *out = fopen("/dev/null", "w");
    assert_int_equal(history_dump(&place->settings.state, (struct slice){NULL, 0}, out, &err),
                     ERR_DATA);
    fclose(out);
}

/* Partition 1 has learned items 0 and 1 up to offset 2; the pair's event is at offset 1. */
static void open_to_damage(struct place *place)
{
    open_history(place);
    int32_t one = 1;
    assert_int_equal(history_assign(place->history, &one, 1, NULL), 0);
    use(place, 0, "u1", 0)->partition = 1;
    use(place, 1, "u1", 1)->partition = 1;
    use(place, 2, "u1", 1)->partition = 1;
    learn(place);
    commit(place);
    reopen(place, 0);
}

static void damage_table(struct place *place, uint32_t item, uint32_t neighbour, int64_t applied)
{
    char key[STATE_KEY_MAX];
    struct pairs_ever ever = {.forward = 1};
    struct pairs_day day = {.ts_ms = 5, .forward = 1};
    struct pairs_table table = {
        .applied = applied, .count = 1, .items = &neighbour, .ever = &ever, .day = &day};
    struct buffer bytes = {0};
    pairs_table_write(&bytes, &table);
    put(place, STATE_PAIRS, state_key_partition_item(key, TOPIC, 1, item), key,
        buffer_slice(&bytes));
    buffer_deinit(&bytes);
}

static void test_tables_that_cannot_be_are_refused_with_their_partition(void **at)
{
    struct place *place = *at;
    static const struct {
        uint32_t item, neighbour;
        int64_t applied;
    } cases[] = {{0, 2, 1}, {2, 0, 1}, {0, 0, 1}, {0, 1, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_to_damage(place);
        damage_table(place, cases[i].item, cases[i].neighbour, cases[i].applied);
        expect_refused(place);
        remove_state(place);
    }
    open_to_damage(place);
    damage_table(place, 0, 1, 1); /* and one that can be is not */
    int32_t one = 1;
    assert_int_equal(history_assign(place->history, &one, 1, NULL), 0);
}

struct bad_record {
    int64_t key;
    uint32_t neighbours_max;
    int64_t offset;   /* of its event, */
    uint32_t before;  /* which is of item 0 after this one, */
    int times, bytes; /* so many times, and then so many bytes more or less */
    uint32_t said;    /* of its bytes */
};

static void write_record(struct place *place, const struct bad_record *bad)
{
    char key[STATE_KEY_MAX];
    uint32_t head[2] = {bad->neighbours_max, bad->said};
    struct pairs_event event = {.offset = bad->offset, .count = 1, .before = {bad->before}};
    struct buffer bytes = {0};
    buffer_add(&bytes, head, sizeof head);
    for (int i = 0; i < bad->times; i++)
        pairs_event_write(&bytes, &event);
    buffer_add(&bytes, "rubbish", strlen("rubbish"));
    struct slice value = {bytes.data,
                          (uint32_t)((int)(bytes.length - strlen("rubbish")) + bad->bytes)};
    put(place, STATE_JOURNAL, state_key_offset(key, TOPIC, 1, bad->key), key, value);
    buffer_deinit(&bytes);
}

static void test_journals_that_cannot_be_are_refused_with_their_partition(void **at)
{
    struct place *place = *at;
    static const struct bad_record cases[] = {
        {3, 6, 3, 1, 1, 0, 0}, /* not learned yet */
        {3, 6, 2, 1, 1, 0, 0}, /* not its key's */
        {1, 6, 1, 1, 2, 0, 0}, /* the same offset twice */
        {1, 6, 1, 9, 1, 0, 0}, /* no such item */
        {1, 6, 1, 1, 1, -1, 0},  {1, 6, 1, 1, 1, 5, 0},
        {1, 6, 1, 1, 1, -28, 0}, /* a head alone */
        {1, 0, 1, 1, 1, 0, 0},   {1, PAIRS_NEIGHBOURS_MAX + 1, 1, 1, 1, 0, 0},
        {1, 6, 1, 1, 1, 0, 35},  {1, 6, 1, 1, 1, 0, 37},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_to_damage(place);
        assert_int_equal(count_keys(place, STATE_JOURNAL), 1);
        write_record(place, &cases[i]);
        expect_refused(place);
        remove_state(place);
    }
}

/* 0: written when a commit had one record, however long. */
static void test_journals_that_say_how_long_they_are_and_older_ones_are_read(void **at)
{
    struct place *place = *at;
    for (uint32_t said = 0; said <= 36; said += 36) {
        int32_t one = 1;
        open_to_damage(place);
        write_record(place, &(struct bad_record){1, 6, 1, 1, 1, 0, said});
        assert_int_equal(history_assign(place->history, &one, 1, NULL), 0);
        close_history(place);
        remove_state(place);
    }
    open_one(place);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_pairs, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_users_first_use_goes_with_what_came_before),
        TEST(test_what_does_not_count_late_and_duplicate_events_go_with_nothing),
        TEST(test_the_forgotten_begin_with_nothing_before_them),
        TEST(test_a_commit_writes_events_and_few_tables),
        TEST(test_a_commit_that_failed_leaves_its_records_to_the_next),
        TEST(test_events_whose_tables_are_all_written_are_not_in_the_journal),
        TEST(test_an_idle_partition_writes_nothing),
        TEST(test_the_journal_stays_about_as_small_as_it_was_designed_to_be),
        TEST(test_tables_of_commits_that_failed_wait_for_what_they_lacked_at_first),
        TEST(test_a_restart_finds_the_journal_and_goes_on_with_it),
        TEST(test_a_commits_records_leave_one_by_one_and_every_restart_has_the_same),
        TEST(test_a_record_is_not_written_whose_tables_are),
        TEST(test_a_journal_being_written_when_the_history_closes_is_there_afterwards),
        TEST(test_the_journal_is_applied_with_the_bound_it_was_learned_with),
        TEST(test_a_larger_bound_lets_tables_grow_and_a_smaller_one_keeps_them),
        TEST(test_without_neighbours_pairs_are_left_alone_until_wanted_again),
        TEST(test_a_revoked_partition_leaves_memory_with_its_journal),
        TEST(test_tables_that_cannot_be_are_refused_with_their_partition),
        TEST(test_journals_that_cannot_be_are_refused_with_their_partition),
        TEST(test_journals_that_say_how_long_they_are_and_older_ones_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
