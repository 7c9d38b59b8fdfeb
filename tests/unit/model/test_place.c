/* Another state in the place of one: whole or not at all, wherever it is interrupted. */
#include "model/place.h"
#include "model/state.h"
#include "tests/unit/own_dir.h"

#define MAP_BYTES (16 << 20)

/* A state in `where` that says `word`. */
static void make_state(const char *where, const char *word)
{
    struct state_settings settings = {where, MAP_BYTES};
    struct state *state;
    struct error err = {0};
    if (state_open_writer(&state, NULL, &settings, &err) != 0)
        fail_msg("%s", err.text);
    struct state_commit *commit = state_commit_new(state);
    state_commit_put(commit, STATE_META, SLICE("word"), slice_of(word));
    assert_int_equal(state_commit_now(commit, &err), 0);
    state_close(state);
}

/* As a daemon would open it. */
static void expect_state(const char *word)
{
    struct state_settings settings = {dir, MAP_BYTES};
    struct state *state;
    struct state_view *view;
    struct slice value;
    struct error err = {0};
    if (state_open_writer(&state, NULL, &settings, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(state_view_open(&view, state, &err), 0);
    assert_int_equal(state_view_get(view, STATE_META, SLICE("word"), &value, &err), 1);
    assert_true(slice_equal(value, slice_of(word)));
    state_view_close(view);
    state_close(state);
    assert_false(file_exists(in_dir("incoming")));
}

static void test_what_is_finished_takes_the_place_with_its_generations(void **at)
{
    struct place *place;
    struct error err = {0};
    (void)at;
    make_state(dir, "old");
    mkdir(in_dir("generations"), 0700);
    write_text("generations/00000007.gen", "old");
    assert_int_equal(place_begin(&place, dir, &err), 0);
    make_state(place_aside(place), "new");
    mkdir(in_dir("aside/generations"), 0700);
    write_text("aside/generations/00000001.gen", "new");
    assert_true(file_exists(in_dir("lock.mdb")));
    assert_int_equal(place_finish(place, &err), 0);
    place_end(place);
    assert_false(file_exists(in_dir("lock.mdb"))); /* the readers' table of the old file */
    expect_state("new");
    assert_true(file_exists(in_dir("generations/00000001.gen")));
    assert_false(file_exists(in_dir("generations/00000007.gen")));
}

static void test_what_is_given_up_or_interrupted_aside_changes_nothing(void **at)
{
    struct place *place;
    struct error err = {0};
    (void)at;
    make_state(dir, "old");
    assert_int_equal(place_begin(&place, dir, &err), 0);
    make_state(place_aside(place), "new");
    place_end(place);
    assert_false(file_exists(in_dir("aside")));
    expect_state("old");
    mkdir(in_dir("aside"), 0700); /* left by one who was killed */
    write_text("aside/data.mdb", "half of it");
    expect_state("old");
    assert_int_equal(place_begin(&place, dir, &err), 0);
    assert_false(file_exists(in_dir("aside/data.mdb")));
    place_end(place);
}

/* The steps of the move, and a crash after each. */
static void test_a_move_that_was_interrupted_is_completed_by_the_next_writer(void **at)
{
    (void)at;
    for (int steps = 0; steps < 4; steps++) {
        make_state(dir, "old");
        mkdir(in_dir("generations"), 0700);
        make_state(in_dir("incoming"), "new");
        mkdir(in_dir("incoming/generations"), 0700);
        write_text("incoming/generations/00000001.gen", "new");
        struct error err = {0};
        if (steps > 0)
            assert_int_equal(file_remove_tree(in_dir("generations"), &err), 0);
        if (steps > 1)
            assert_int_equal(rename(in_dir("incoming/generations"), in_dir("generations")), 0);
        if (steps > 2)
            assert_int_equal(rename(in_dir("incoming/data.mdb"), in_dir("data.mdb")), 0);
        expect_state("new");
        assert_true(file_exists(in_dir("generations/00000001.gen")));
        empty_dir();
    }
}

static void test_a_move_that_was_interrupted_is_completed_before_another_is_made(void **at)
{
    struct place *place;
    struct error err = {0};
    (void)at;
    make_state(dir, "old");
    make_state(in_dir("incoming"), "interrupted");
    assert_int_equal(place_begin(&place, dir, &err), 0);
    make_state(place_aside(place), "new");
    if (place_finish(place, &err) != 0)
        fail_msg("%s", err.text);
    place_end(place);
    expect_state("new");
}

static void test_a_directory_in_use_is_refused(void **at)
{
    struct place *place, *second;
    struct error err = {0};
    (void)at;
    assert_int_equal(place_begin(&place, dir, &err), 0);
    assert_int_equal(place_begin(&second, dir, &err), ERR_SETTINGS);
    assert_non_null(strstr(err.text, "in use by process"));
    place_end(place);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_finished_takes_the_place_with_its_generations),
        TEST(test_what_is_given_up_or_interrupted_aside_changes_nothing),
        TEST(test_a_move_that_was_interrupted_is_completed_by_the_next_writer),
        TEST(test_a_move_that_was_interrupted_is_completed_before_another_is_made),
        TEST(test_a_directory_in_use_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
