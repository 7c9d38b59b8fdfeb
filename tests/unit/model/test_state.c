/* The durable state: what a commit promises, who may open it, what is refused. */
#include "model/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAP_BYTES (16 << 20)
#define PAGE_BYTES 4096
#define COMMITS 50

struct place {
    char dir[64];
    struct state_settings settings;
    uv_loop_t loop;
};

static int set_up(void **at)
{
    struct place *place = calloc(1, sizeof *place);
    snprintf(place->dir, sizeof place->dir, "%s/freshet-state-XXXXXX", P_tmpdir);
    if (mkdtemp(place->dir) == NULL)
        return -1;
    place->settings = (struct state_settings){place->dir, MAP_BYTES};
    uv_loop_init(&place->loop);
    *at = place;
    return 0;
}

static int tear_down(void **at)
{
    struct place *place = *at;
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock"};
    uv_run(&place->loop, UV_RUN_DEFAULT);
    int status = uv_loop_close(&place->loop); /* nothing may be left on the loop */
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", place->dir, files[i]);
        unlink(path);
    }
    rmdir(place->dir);
    free(place);
    return status;
}

static struct state *open_writer(struct place *place)
{
    struct state *state = NULL;
    struct error err = {0};
    if (state_open_writer(&state, &place->loop, &place->settings, &err) != 0)
        fail_msg("%s", err.text);
    return state;
}

static void put(struct state *state, enum state_db db, const char *key, struct slice value)
{
    struct state_commit *commit = state_commit_new(state);
    state_commit_put(commit, db, slice_of(key), value);
    struct error err = {0};
    if (state_commit_now(commit, &err) != 0)
        fail_msg("%s", err.text);
}

/* The value of a key as text, "" if there is none. */
static const char *get(struct state *state, enum state_db db, const char *key)
{
    static char text[256];
    struct state_view *view;
    struct slice value = SLICE("");
    assert_int_equal(state_view_open(&view, state, NULL), 0);
    assert_true(state_view_get(view, db, slice_of(key), &value, NULL) >= 0);
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(value));
    state_view_close(view);
    return text;
}

struct outcome {
    int calls;
    bool failed;
    struct error err;
};

static void note(const struct error *err, void *arg)
{
    struct outcome *outcome = arg;
    outcome->calls++;
    outcome->failed = err != NULL;
    if (err != NULL)
        outcome->err = *err;
}

/* -- commits ----------------------------------------------------------------------------------- */

static void test_a_commit_is_there_after_the_state_was_closed(void **at)
{
    struct state *state = open_writer(*at);
    put(state, STATE_ITEMS, "key", SLICE("value"));
    state_close(state);
    state = open_writer(*at);
    assert_string_equal(get(state, STATE_ITEMS, "key"), "value");
    state_close(state);
}

static void test_done_comes_once_from_the_loop_and_not_before_the_call_returned(void **at)
{
    struct place *place = *at;
    struct state *state = open_writer(place);
    struct outcome outcome = {0};
    struct state_commit *commit = state_commit_new(state);
    state_commit_put(commit, STATE_ITEMS, SLICE("key"), SLICE("value"));
    state_commit_start(commit, note, &outcome);
    assert_int_equal(outcome.calls, 0);
    assert_true(state_commit_running(state));
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(outcome.calls, 1);
    assert_false(outcome.failed);
    assert_false(state_commit_running(state));
    assert_string_equal(get(state, STATE_ITEMS, "key"), "value");
    state_close(state);
}

static void test_lent_values_are_written_and_the_last_of_a_key_wins(void **at)
{
    struct state *state = open_writer(*at);
    struct state_commit *commit = state_commit_new(state);
    state_commit_put(commit, STATE_USERS, SLICE("a"), SLICE("first"));
    state_commit_put_lent(commit, STATE_USERS, SLICE("a"), SLICE("second"));
    state_commit_put(commit, STATE_USERS, SLICE("b"), SLICE("kept?"));
    state_commit_delete(commit, STATE_USERS, SLICE("b"));
    state_commit_delete(commit, STATE_USERS, SLICE("never there"));
    assert_int_equal(state_commit_now(commit, NULL), 0);
    assert_string_equal(get(state, STATE_USERS, "a"), "second");
    assert_string_equal(get(state, STATE_USERS, "b"), "");
    state_close(state);
}

static void test_a_commit_under_way_at_close_is_finished_and_reported(void **at)
{
    struct place *place = *at;
    struct state *state = open_writer(place);
    struct outcome outcome = {0};
    struct state_commit *commit = state_commit_new(state);
    state_commit_put(commit, STATE_ITEMS, SLICE("key"), SLICE("value"));
    state_commit_start(commit, note, &outcome);
    state_close(state);
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(outcome.calls, 1);
    assert_false(outcome.failed);
    state = open_writer(place);
    assert_string_equal(get(state, STATE_ITEMS, "key"), "value");
    state_close(state);
}

static void test_a_full_map_fails_names_the_setting_and_writes_nothing(void **at)
{
    struct place *place = *at;
    place->settings.map_bytes = 256 << 10;
    struct state *state = open_writer(place);
    char *big = calloc(1, 300 << 10);
    struct outcome outcome = {0};
    struct state_commit *commit = state_commit_new(state);
    state_commit_put(commit, STATE_ITEMS, SLICE("small"), SLICE("value"));
    state_commit_put_lent(commit, STATE_ITEMS, SLICE("big"), (struct slice){big, 300 << 10});
    state_commit_start(commit, note, &outcome);
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_true(outcome.failed);
    assert_int_equal(outcome.err.code, ERR_IO);
    assert_non_null(strstr(outcome.err.text, "state.map = "));
    assert_string_equal(get(state, STATE_ITEMS, "small"), "");
    put(state, STATE_ITEMS, "small", SLICE("later")); /* and the state still works */
    assert_string_equal(get(state, STATE_ITEMS, "small"), "later");
    state_close(state);
    free(big);
}

/* -- views ------------------------------------------------------------------------------------- */

static void test_a_view_stays_as_it_was_until_renewed(void **at)
{
    struct state *state = open_writer(*at);
    put(state, STATE_ITEMS, "key", SLICE("old"));
    struct state_view *view;
    struct slice value;
    assert_int_equal(state_view_open(&view, state, NULL), 0);
    put(state, STATE_ITEMS, "key", SLICE("new"));
    assert_int_equal(state_view_get(view, STATE_ITEMS, SLICE("key"), &value, NULL), 1);
    assert_true(slice_equal(value, SLICE("old")));
    state_view_rest(view);
    assert_int_equal(state_view_renew(view, NULL), 0);
    assert_int_equal(state_view_get(view, STATE_ITEMS, SLICE("key"), &value, NULL), 1);
    assert_true(slice_equal(value, SLICE("new")));
    state_view_close(view);
    state_close(state);
}

struct visits {
    char keys[64];
    int stop_after;
};

static int visit(struct slice key, struct slice value, void *arg)
{
    struct visits *visits = arg;
    strncat(visits->keys, key.data, key.length);
    strcat(visits->keys, ".");
    return --visits->stop_after == 0 ? 7 : 0;
}

static void test_a_scan_visits_the_keys_of_a_prefix_in_order(void **at)
{
    struct state *state = open_writer(*at);
    static const char *const keys[] = {"b", "ab", "aa", "a", "ac", "B"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        put(state, STATE_ITEMS, keys[i], SLICE("x"));
    struct state_view *view;
    assert_int_equal(state_view_open(&view, state, NULL), 0);
    struct visits some = {"", 0}, all = {"", 0}, stopped = {"", 2};
    assert_int_equal(state_view_scan(view, STATE_ITEMS, SLICE("a"), visit, &some, NULL), 0);
    assert_string_equal(some.keys, "a.aa.ab.ac.");
    assert_int_equal(state_view_scan(view, STATE_ITEMS, SLICE(""), visit, &all, NULL), 0);
    assert_string_equal(all.keys, "B.a.aa.ab.ac.b.");
    assert_int_equal(state_view_scan(view, STATE_ITEMS, SLICE("a"), visit, &stopped, NULL), 7);
    assert_string_equal(stopped.keys, "a.aa.");
    state_view_close(view);
    state_close(state);
}

/* -- keys -------------------------------------------------------------------------------------- */

static void test_keys_sort_by_topic_partition_and_number(void **at)
{
    char low[STATE_KEY_MAX], high[STATE_KEY_MAX];
    struct slice topic = SLICE("events");
    size_t length = state_key_offset(low, topic, 1, 255);
    assert_int_equal(state_key_offset(high, topic, 1, 256), length);
    assert_true(memcmp(low, high, length) < 0);
    length = state_key_partition_item(low, topic, 255, 9);
    assert_int_equal(state_key_partition_item(high, topic, 256, 0), length);
    assert_true(memcmp(low, high, length) < 0);
}

static void test_a_key_is_parsed_back_into_its_parts(void **at)
{
    char key[STATE_KEY_MAX];
    struct state_key parts;
    int64_t offset;
    size_t length = state_key_user(key, SLICE("events"), 7, SLICE("u1"));
    assert_true(state_key_parse((struct slice){key, (uint32_t)length}, &parts));
    assert_true(slice_equal(parts.topic, SLICE("events")));
    assert_int_equal(parts.partition, 7);
    assert_true(slice_equal(parts.rest, SLICE("u1")));
    length = state_key_offset(key, SLICE("events"), 7, INT64_C(1) << 40);
    assert_true(state_key_parse((struct slice){key, (uint32_t)length}, &parts));
    assert_true(state_key_offset_number(parts.rest, &offset));
    assert_int_equal(offset, INT64_C(1) << 40);
    assert_false(state_key_parse((struct slice){key, 5}, &parts));
    assert_false(state_key_offset_number(SLICE("short"), &offset));
}

/* -- who may open it --------------------------------------------------------------------------- */

static void test_a_second_writer_is_refused_with_the_process_that_has_it(void **at)
{
    struct place *place = *at;
    struct state *state = open_writer(place), *second = NULL;
    struct error err = {0};
    char expected[64];
    snprintf(expected, sizeof expected, "in use by process %ld", (long)getpid());
    assert_int_equal(state_open_writer(&second, &place->loop, &place->settings, &err),
                     ERR_SETTINGS);
    assert_non_null(strstr(err.text, expected));
    assert_null(second);
    state_close(state);
    state_close(open_writer(place)); /* and the lock went with its holder */
}

/* The reader is another process, as LMDB wants it. */
static void test_another_process_reads_while_one_writes(void **at)
{
    struct place *place = *at;
    struct state *state = open_writer(place);
    put(state, STATE_ITEMS, "key", SLICE("value"));
    pid_t child = fork();
    if (child == 0) {
        struct state *reader;
        bool ok = state_open_reader(&reader, &place->settings, NULL) == 0 &&
                  strcmp(get(reader, STATE_ITEMS, "key"), "value") == 0;
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    put(state, STATE_ITEMS, "key", SLICE("written on"));
    state_close(state);
}

static void test_a_new_state_that_was_never_finished_is_made_again(void **at)
{
    struct place *place = *at;
    char path[128];
    snprintf(path, sizeof path, "%s/new.mdb", place->dir);
    FILE *half = fopen(path, "w");
    fputs("half of a page", half);
    fclose(half);
    state_close(open_writer(place));
    assert_int_not_equal(access(path, F_OK), 0);
}

/* LMDB writes there through memory: a full disk would be a signal, not an error. */
static void test_the_table_of_readers_has_its_place_on_the_disk(void **at)
{
    struct place *place = *at;
    struct stat about;
    char path[128];
    struct state *state = open_writer(place);
    snprintf(path, sizeof path, "%s/lock.mdb", place->dir);
    assert_int_equal(stat(path, &about), 0);
    assert_true(about.st_blocks * 512 >= about.st_size);
    state_close(state);
}

/* A process that has the state open to read: with a view it dies at once and closes nothing; else
 * it stays until `stays` is closed. */
static pid_t start_reader(struct place *place, bool with_view, int stays[2])
{
    int ready[2];
    char byte = 1;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct state *state;
        struct state_view *view;
        bool reads = state_open_reader(&state, &place->settings, NULL) == 0 &&
                     (!with_view || state_view_open(&view, state, NULL) == 0);
        close(stays[1]);
        if (reads && write(ready[1], &byte, 1) == 1 && !with_view && read(stays[0], &byte, 1) < 0)
            _exit(1);
        _exit(reads ? 0 : 1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void wait_reader(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_what_a_killed_reader_saw_pins_no_pages(void **at)
{
    struct place *place = *at;
    int stays[2];
    assert_int_equal(pipe(stays), 0);
    state_close(open_writer(place));
    pid_t living = start_reader(place, false, stays); /* so the table of readers is kept */
    wait_reader(start_reader(place, true, stays));
    struct state *state = open_writer(place);
    uint64_t before = state_bytes(state);
    for (int i = 0; i < COMMITS; i++) /* each writes some pages anew, of those that are free */
        put(state, STATE_ITEMS, "key", SLICE("value"));
    assert_true(state_bytes(state) < before + COMMITS * PAGE_BYTES);
    state_close(state);
    close(stays[0]);
    close(stays[1]);
    wait_reader(living);
}

static void test_a_reader_of_an_empty_directory_is_told_there_is_no_state(void **at)
{
    struct place *place = *at;
    struct state *state = NULL;
    struct error err = {0};
    assert_int_equal(state_open_reader(&state, &place->settings, &err), ERR_SETTINGS);
    assert_non_null(strstr(err.text, "there is no state"));
}

static void test_a_directory_that_cannot_be_made_is_a_matter_of_settings(void **at)
{
    struct place *place = *at;
    struct state_settings settings = {"/dev/null/state", MAP_BYTES};
    struct state *state = NULL;
    struct error err = {0};
    assert_int_equal(state_open_writer(&state, &place->loop, &settings, &err), ERR_SETTINGS);
    assert_non_null(strstr(err.text, "/dev/null/state"));
}

/* -- formats ----------------------------------------------------------------------------------- */

static void expect_refused_with_meta(struct place *place, const char *name, uint32_t number,
                                     const char *way_out)
{
    struct state *state = open_writer(place);
    put(state, STATE_META, name, (struct slice){(const char *)&number, sizeof number});
    state_close(state);
    struct error err = {0};
    state = NULL;
    assert_int_equal(state_open_writer(&state, &place->loop, &place->settings, &err), ERR_SETTINGS);
    if (strstr(err.text, way_out) == NULL)
        fail_msg("no way out in: %s", err.text);
    assert_int_equal(state_open_reader(&state, &place->settings, &err), ERR_SETTINGS);
    assert_null(state);
}

static void test_a_newer_format_is_refused_with_the_way_out(void **at)
{
    expect_refused_with_meta(*at, "format", STATE_FORMAT + 1, "freshet reset");
}

static void test_a_format_that_cannot_be_upgraded_is_refused_with_the_way_out(void **at)
{
    expect_refused_with_meta(*at, "format", 0, "freshet reset");
}

/* What format 1 had: no `journal`, and in `pairs` nothing, or what nobody wrote. */
static void make_format_1(const struct place *place, bool with_rubbish)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta, pairs, journal;
    uint32_t one = 1;
    char name[] = "format";
    MDB_val format = {strlen(name), name}, number = {sizeof one, &one};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, STATE_DB_COUNT), 0);
    assert_int_equal(mdb_env_open(env, place->dir, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_dbi_open(txn, "pairs", 0, &pairs), 0);
    assert_int_equal(mdb_dbi_open(txn, "journal", 0, &journal), 0);
    assert_int_equal(mdb_drop(txn, journal, 1), 0);
    assert_int_equal(mdb_drop(txn, pairs, 0), 0);
    assert_int_equal(mdb_put(txn, meta, &format, &number, 0), 0);
    if (with_rubbish)
        assert_int_equal(mdb_put(txn, pairs, &format, &number, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void test_format_1_is_upgraded_and_keeps_what_it_had(void **at)
{
    struct place *place = *at;
    struct state *state = open_writer(place);
    put(state, STATE_ITEMS, "key", SLICE("value"));
    state_close(state);
    make_format_1(place, true);
    for (int opening = 0; opening < 2; opening++) { /* the second finds today's */
        state = open_writer(place);
        assert_string_equal(get(state, STATE_ITEMS, "key"), "value");
        assert_string_equal(get(state, STATE_PAIRS, "format"), "");
        assert_string_equal(get(state, STATE_PAIRS, "new"), opening == 0 ? "" : "pairs");
        assert_string_equal(get(state, STATE_JOURNAL, "new"), opening == 0 ? "" : "journal");
        put(state, STATE_PAIRS, "new", SLICE("pairs"));
        put(state, STATE_JOURNAL, "new", SLICE("journal"));
        state_close(state);
    }
    assert_int_equal(state_open_reader(&state, &place->settings, NULL), 0);
    state_close(state);
}

static void test_format_2_is_upgraded_and_its_trials_begin_empty(void **at)
{
    struct place *place = *at;
    uint32_t two = 2;
    struct state *state = open_writer(place);
    put(state, STATE_PAIRS, "key", SLICE("pairs"));
    put(state, STATE_TRIALS, "key", SLICE("what nobody wrote"));
    put(state, STATE_META, "format", (struct slice){(const char *)&two, sizeof two});
    state_close(state);
    for (int opening = 0; opening < 2; opening++) { /* the second finds today's */
        state = open_writer(place);
        assert_string_equal(get(state, STATE_PAIRS, "key"), "pairs");
        assert_string_equal(get(state, STATE_TRIALS, "key"), "");
        assert_string_equal(get(state, STATE_TRIALS, "new"), opening == 0 ? "" : "trial");
        put(state, STATE_TRIALS, "new", SLICE("trial"));
        state_close(state);
    }
}

static void test_a_reader_of_format_1_is_told_who_upgrades_it(void **at)
{
    struct place *place = *at;
    struct state *state = NULL;
    struct error err = {0};
    state_close(open_writer(place));
    make_format_1(place, false);
    assert_int_equal(state_open_reader(&state, &place->settings, &err), ERR_SETTINGS);
    assert_non_null(strstr(err.text, "has format 1"));
    assert_non_null(strstr(err.text, "start the daemon once"));
    assert_null(state);
}

static void test_another_byte_order_is_refused(void **at)
{
    expect_refused_with_meta(*at, "byte_order", 0x04030201, "byte order");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_commit_is_there_after_the_state_was_closed),
        TEST(test_done_comes_once_from_the_loop_and_not_before_the_call_returned),
        TEST(test_lent_values_are_written_and_the_last_of_a_key_wins),
        TEST(test_a_commit_under_way_at_close_is_finished_and_reported),
        TEST(test_a_full_map_fails_names_the_setting_and_writes_nothing),
        TEST(test_a_view_stays_as_it_was_until_renewed),
        TEST(test_a_scan_visits_the_keys_of_a_prefix_in_order),
        TEST(test_keys_sort_by_topic_partition_and_number),
        TEST(test_a_key_is_parsed_back_into_its_parts),
        TEST(test_a_second_writer_is_refused_with_the_process_that_has_it),
        TEST(test_another_process_reads_while_one_writes),
        TEST(test_a_new_state_that_was_never_finished_is_made_again),
        TEST(test_the_table_of_readers_has_its_place_on_the_disk),
        TEST(test_what_a_killed_reader_saw_pins_no_pages),
        TEST(test_a_reader_of_an_empty_directory_is_told_there_is_no_state),
        TEST(test_a_directory_that_cannot_be_made_is_a_matter_of_settings),
        TEST(test_a_newer_format_is_refused_with_the_way_out),
        TEST(test_a_format_that_cannot_be_upgraded_is_refused_with_the_way_out),
        TEST(test_format_1_is_upgraded_and_keeps_what_it_had),
        TEST(test_format_2_is_upgraded_and_its_trials_begin_empty),
        TEST(test_a_reader_of_format_1_is_told_who_upgrades_it),
        TEST(test_another_byte_order_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
