/* A bad disk under the state itself: a state moved into another's place, and LMDB opened again
 * after a write that failed. */
#include "tests/faults/badio.h"

#include "model/place.h"
#include "model/state.h"
#include "tests/unit/own_dir.h"

#define MAP_BYTES (16 << 20)
#define CALLS 200 /* more than any run makes: the loop must end by itself */

static int tear_down(void **at)
{
    badio_rule("");
    return drop_dir(at);
}

static void fail_call(const char *calls, const char *words, int nth)
{
    char rule[BADIO_RULE_BYTES];
    snprintf(rule, sizeof rule, "calls=%s dir=%s %s nth=%d", calls, dir, words, nth);
    badio_rule(rule);
}

static void test_a_copy_that_fails_is_taken_away_again(void **at)
{
    (void)at;
    write_text("from", "text");
    for (int nth = 1, failures = 1; failures > 0; nth++) {
        struct error err = {0};
        struct file_sum sum;
        fail_call("open,write,fsync", "match=to errno=28", nth);
        int status = file_copy(in_dir("from"), in_dir("to"), &sum, NULL, NULL, &err);
        failures = badio_failures();
        badio_rule("");
        assert_int_equal(status, failures > 0 ? ERR_IO : 0);
        assert_int_equal(file_exists(in_dir("to")), status == 0);
        assert_true(nth < CALLS);
    }
}

/* -- another state's place --------------------------------------------------------------------- */

/* The old state with its generation, and a new one aside. */
static struct place *begin_place(void)
{
    struct place *place = NULL;
    struct error err = {0};
    assert_int_equal(mkdir(in_dir("generations"), 0700), 0);
    write_text("data.mdb", "old");
    write_text("generations/1.gen", "old");
    if (place_begin(&place, dir, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(mkdir(in_dir("aside/generations"), 0700), 0);
    write_text("aside/data.mdb", "new");
    write_text("aside/generations/1.gen", "new");
    return place;
}

static void test_a_move_that_fails_has_changed_nothing_or_is_completed(void **at)
{
    (void)at;
    int changed = 0;
    for (int nth = 1, failures = 1; failures > 0; nth++) {
        struct error err = {0};
        struct place *place = begin_place();
        fail_call("open,fsync,rename,remove", "", nth);
        int status = place_finish(place, &err);
        failures = badio_failures();
        badio_rule("");
        place_end(place);
        if (!says("data.mdb", "old")) /* the state is nowhere without its generations */
            assert_true(says("data.mdb", "new") && says("generations/1.gen", "new"));
        bool begun = file_exists(in_dir("incoming"));
        assert_true(status != 0 || !begun);
        assert_int_equal(place_complete(dir, &err), 0);
        const char *word = begun || says("data.mdb", "new") ? "new" : "old";
        assert_true(says("data.mdb", word) && says("generations/1.gen", word));
        assert_false(file_exists(in_dir("incoming")) || file_exists(in_dir("aside")));
        changed += word[0] == 'n';
        empty_dir();
        assert_true(nth < CALLS);
    }
    assert_true(changed > 2);
}

/* -- opened again ------------------------------------------------------------------------------ */

static struct state *open_state(void)
{
    static struct state_settings settings = {dir, MAP_BYTES};
    struct state *state = NULL;
    struct error err = {0};
    if (state_open_writer(&state, NULL, &settings, &err) != 0)
        fail_msg("%s", err.text);
    return state;
}

static int put(struct state *state, const char *word, struct error *err)
{
    struct state_commit *commit = state_commit_new(state);
    state_commit_put(commit, STATE_META, SLICE("word"), slice_of(word));
    return state_commit_now(commit, err);
}

static void expect_word(struct state_view *view, const char *word)
{
    struct slice value;
    struct error err = {0};
    assert_int_equal(state_view_get(view, STATE_META, SLICE("word"), &value, &err), 1);
    assert_true(slice_equal(value, slice_of(word)));
}

/* The nth write or sync of a commit fails. False if there is none. */
static bool fail_commit(struct state *state, int nth)
{
    struct error err = {0};
    fail_call("write,fsync,map", "match=data.mdb only=1", nth);
    int status = put(state, "second", &err);
    bool failed = badio_failures() > 0;
    badio_rule("");
    assert_int_equal(status != 0, failed);
    return failed;
}

static void test_a_view_that_is_read_stays_and_puts_off_the_mending(void **at)
{
    (void)at;
    int put_off = 0;
    for (int nth = 1, failed = true; failed; nth++) {
        struct state *state = open_state();
        struct state_view *view;
        struct error err = {0};
        assert_int_equal(put(state, "first", &err), 0);
        assert_int_equal(state_view_open(&view, state, &err), 0);
        failed = fail_commit(state, nth);
        if (put(state, "third", &err) != 0) {
            assert_non_null(strstr(err.text, "still being read"));
            put_off++;
        }
        expect_word(view, "first");
        state_view_rest(view);
        assert_int_equal(put(state, "fourth", &err), 0);
        assert_int_equal(state_view_renew(view, &err), 0);
        expect_word(view, "fourth");
        state_view_close(view);
        state_close(state);
        assert_true(nth < CALLS);
    }
    assert_true(put_off > 0);
}

static void test_whoever_reads_next_mends_what_failed(void **at)
{
    (void)at;
    for (int nth = 1, failed = true; failed; nth++) {
        struct state *state = open_state();
        struct state_view *rested, *view;
        struct error err = {0};
        assert_int_equal(put(state, "first", &err), 0);
        assert_int_equal(state_view_open(&rested, state, &err), 0);
        state_view_rest(rested);
        failed = fail_commit(state, nth);
        if (state_view_open(&view, state, &err) != 0)
            fail_msg("call %d: %s", nth, err.text);
        assert_int_equal(state_view_renew(rested, &err), 0);
        state_view_close(view);
        state_view_close(rested);
        state_close(state);
        assert_true(nth < CALLS);
    }
}

static void test_a_file_that_was_taken_away_is_not_made_anew(void **at)
{
    (void)at;
    int refused = 0;
    for (int nth = 1, failed = true; failed; nth++) {
        struct error err = {0};
        struct state *state = open_state();
        assert_int_equal(put(state, "first", &err), 0);
        failed = fail_commit(state, nth);
        assert_int_equal(unlink(in_dir("data.mdb")), 0);
        if (put(state, "third", &err) != 0) {
            assert_non_null(strstr(err.text, "data.mdb: No such file or directory: restart"));
            refused++;
        }
        assert_false(file_exists(in_dir("data.mdb")));
        state_close(state);
        assert_true(nth < CALLS);
    }
    assert_true(refused > 0);
}

static void test_a_state_that_cannot_be_made_leaves_nothing_half_made(void **at)
{
    static struct state_settings settings = {dir, MAP_BYTES};
    (void)at;
    for (int nth = 1, failures = 1; failures > 0; nth++) {
        struct state *state = NULL;
        struct error err = {0};
        fail_call("open,write,fsync,truncate,rename,map", "errno=28", nth);
        int status = state_open_writer(&state, NULL, &settings, &err);
        failures = badio_failures();
        badio_rule("");
        assert_int_equal(status != 0, failures > 0);
        assert_false(file_exists(in_dir("new.mdb")));
        state_close(state);
        empty_dir();
        assert_true(nth < CALLS);
    }
}

static void test_a_file_that_was_replaced_by_an_older_one_is_not_written_to(void **at)
{
    (void)at;
    int refused = 0;
    for (int nth = 1, failed = true; failed; nth++) {
        struct error err = {0};
        struct file_sum sum;
        struct state *state = open_state();
        assert_int_equal(file_copy(in_dir("data.mdb"), in_dir("old"), &sum, NULL, NULL, &err), 0);
        assert_int_equal(put(state, "first", &err), 0);
        failed = fail_commit(state, nth);
        assert_int_equal(rename(in_dir("old"), in_dir("data.mdb")), 0);
        if (put(state, "third", &err) != 0) {
            assert_non_null(strstr(err.text, "somebody has replaced it"));
            assert_int_equal(put(state, "fourth", &err), ERR_IO);
            refused++;
        }
        state_close(state);
        assert_true(nth < CALLS);
    }
    assert_true(refused > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_copy_that_fails_is_taken_away_again),
        TEST(test_a_move_that_fails_has_changed_nothing_or_is_completed),
        TEST(test_a_view_that_is_read_stays_and_puts_off_the_mending),
        TEST(test_whoever_reads_next_mends_what_failed),
        TEST(test_a_file_that_was_taken_away_is_not_made_anew),
        TEST(test_a_state_that_cannot_be_made_leaves_nothing_half_made),
        TEST(test_a_file_that_was_replaced_by_an_older_one_is_not_written_to),
    };
    badio_skip_sync();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
