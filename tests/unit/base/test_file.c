/* Files as a whole: nothing that is there is written over, nothing outside is removed. */
#include "base/hash.h"
#include "tests/unit/own_dir.h"

#define BIG_BYTES ((3u << 20) + 5) /* several portions */

static void test_what_is_there_is_never_written_over(void **state)
{
    (void)state;
    struct error err = {0};
    struct file_sum sum;
    write_text("old", "old");
    write_text("new", "new");
    assert_int_equal(file_write(in_dir("old"), SLICE("new"), &err), ERR_IO);
    assert_non_null(strstr(err.text, in_dir("old")));
    assert_int_equal(file_copy(in_dir("new"), in_dir("old"), &sum, NULL, NULL, &err), ERR_IO);
    assert_true(says("old", "old"));
}

static void test_a_file_of_ours_is_nobody_elses_to_read(void **state)
{
    (void)state;
    struct stat about;
    write_text("file", "text");
    assert_int_equal(stat(in_dir("file"), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
}

static void count_moved(uint64_t bytes, void *arg)
{
    *(uint64_t *)arg += bytes;
}

static void test_a_copy_of_many_portions_is_the_same_with_its_sum(void **state)
{
    (void)state;
    struct error err = {0};
    struct file_sum copied, summed;
    uint64_t moved = 0;
    char *bytes = malloc(BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++)
        bytes[i] = (char)(i * 7 + (i >> 13));
    assert_int_equal(file_write(in_dir("big"), (struct slice){bytes, BIG_BYTES}, &err), 0);
    assert_int_equal(file_copy(in_dir("big"), in_dir("copy"), &copied, count_moved, &moved, &err),
                     0);
    assert_int_equal(file_sum(in_dir("copy"), &summed, NULL, NULL, &err), 0);
    assert_int_equal(copied.bytes, BIG_BYTES);
    assert_int_equal(moved, BIG_BYTES);
    assert_int_equal(summed.bytes, BIG_BYTES);
    assert_true(copied.hash == hash_stable(bytes, BIG_BYTES) && summed.hash == copied.hash);
    free(bytes);
}

static void test_a_file_of_one_byte_too_many_is_not_read(void **state)
{
    (void)state;
    struct error err = {0};
    char *read = NULL;
    size_t length;
    write_text("four", "four");
    assert_int_equal(file_read(&read, &length, in_dir("four"), 4, &err), 0);
    assert_int_equal(length, 4);
    free(read);
    assert_int_equal(file_read(&read, &length, in_dir("four"), 3, &err), ERR_DATA);
    assert_int_equal(file_read(&read, &length, in_dir("nothing"), 3, &err), ERR_IO);
}

static void test_removing_a_tree_follows_no_links_out_of_it(void **state)
{
    (void)state;
    struct error err = {0};
    mkdir(in_dir("tree"), 0700);
    mkdir(in_dir("tree/below"), 0700);
    mkdir(in_dir("outside"), 0700);
    write_text("tree/below/file", "text");
    write_text("outside/kept", "kept");
    assert_int_equal(symlink(in_dir("outside"), in_dir("tree/link")), 0);
    assert_int_equal(symlink(in_dir("nowhere"), in_dir("tree/dangling")), 0);
    assert_true(file_exists(in_dir("tree/dangling")));
    assert_int_equal(file_remove_tree(in_dir("tree"), &err), 0);
    assert_false(file_exists(in_dir("tree")));
    assert_true(says("outside/kept", "kept"));
    assert_int_equal(file_remove_tree(in_dir("tree"), &err), 0); /* nothing is there */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_there_is_never_written_over),
        TEST(test_a_file_of_ours_is_nobody_elses_to_read),
        TEST(test_a_copy_of_many_portions_is_the_same_with_its_sum),
        TEST(test_a_file_of_one_byte_too_many_is_not_read),
        TEST(test_removing_a_tree_follows_no_links_out_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
