#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- errors ---- */

static void test_error_set_returns_the_code_and_keeps_the_sentence(void **state)
{
    struct error err;
    assert_int_equal(error_set(&err, ERR_DATA, "row %d", 7), ERR_DATA);
    assert_int_equal(err.code, ERR_DATA);
    assert_string_equal(err.text, "row 7");
}

static void test_error_may_be_left_out(void **state)
{
    assert_int_equal(error_set(NULL, ERR_IO, "nobody reads this"), ERR_IO);
}

static void test_error_wrap_puts_the_context_in_front(void **state)
{
    struct error err;
    error_set(&err, ERR_DOWN, "refused");
    assert_int_equal(error_wrap(&err, "redis %s", "127.0.0.1:1"), ERR_DOWN);
    assert_string_equal(err.text, "redis 127.0.0.1:1: refused");
}

static void test_error_texts_too_long_are_cut_at_the_end(void **state)
{
    char lots[2 * ERROR_TEXT_MAX];
    memset(lots, 'x', sizeof lots - 1);
    lots[sizeof lots - 1] = '\0';
    struct error err;
    error_set(&err, ERR_DATA, "%s", lots);
    assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
    error_wrap(&err, "ids");
    assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "ids: xxx", 8);
    error_wrap(&err, "%s", lots);
    assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
}

static void test_error_codes_have_names_and_exit_as_sysexits_says(void **state)
{
    assert_string_equal(error_name(ERR_SETTINGS), "bad settings");
    assert_string_equal(error_name(0), "unknown error");
    assert_int_equal(-ERR_USAGE, 64);
    assert_int_equal(-ERR_BUG, 70);
    assert_int_equal(-ERR_DOWN, 75);
    assert_int_equal(-ERR_SETTINGS, 78);
}

/* ---- buffers ---- */

static void test_buffer_numbers_are_what_printf_says(void **state)
{
    static const uint64_t numbers[] = {0, 7, 10, 99, 100, 4294967296, UINT64_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct buffer ours = {0}, printed = {0};
        buffer_number(&ours, numbers[i]);
        buffer_printf(&printed, "%" PRIu64, numbers[i]);
        assert_int_equal(ours.length, printed.length);
        assert_memory_equal(ours.data, printed.data, printed.length);
        buffer_deinit(&ours);
        buffer_deinit(&printed);
    }
}

static void test_buffer_keeps_what_was_added_while_it_grows(void **state)
{
    struct buffer buffer = {0};
    for (int i = 0; i < 1000; i++)
        buffer_printf(&buffer, "%03d", i);
    assert_int_equal(buffer.length, 3000);
    assert_memory_equal(buffer.data, "000001002", 9);
    assert_memory_equal(buffer.data + 2994, "998999", 6);
    buffer_deinit(&buffer);
    assert_null(buffer.data);
}

static void test_buffer_takes_more_than_twice_its_size_at_once(void **state)
{
    struct buffer buffer = {0};
    buffer_byte(&buffer, 'a');
    size_t bytes = 10 * buffer.capacity + 1;
    char *lots = mem_zalloc(bytes);
    buffer_add(&buffer, lots, bytes);
    assert_int_equal(buffer.length, bytes + 1);
    assert_true(buffer.capacity >= buffer.length);
    free(lots);
    buffer_deinit(&buffer);
}

static void test_buffer_consume_moves_the_rest_to_the_front(void **state)
{
    struct buffer buffer = {0};
    buffer_text(&buffer, "abcdef");
    buffer_consume(&buffer, 2);
    assert_true(slice_equal(buffer_slice(&buffer), SLICE("cdef")));
    buffer_consume(&buffer, 4);
    assert_int_equal(buffer.length, 0);
    while (buffer.length < buffer.capacity) /* full: moving too much would be seen by ASan */
        buffer_byte(&buffer, 'x');
    buffer_consume(&buffer, 1);
    assert_int_equal(buffer.length, buffer.capacity - 1);
    buffer_deinit(&buffer);
}

static void test_buffer_clear_keeps_the_memory(void **state)
{
    struct buffer buffer = {0};
    buffer_text(&buffer, "x");
    const char *before = buffer.data;
    buffer_clear(&buffer);
    buffer_add(&buffer, NULL, 0);
    assert_int_equal(buffer.length, 0);
    assert_ptr_equal(buffer.data, before);
    buffer_deinit(&buffer);
}

/* ---- slices ---- */

static void test_slices_are_equal_by_their_bytes(void **state)
{
    assert_true(slice_equal(SLICE("ab"), slice_of("ab")));
    assert_false(slice_equal(SLICE("ab"), SLICE("ac")));
    assert_false(slice_equal(SLICE("a"), SLICE("a\0")));
    assert_true(slice_equal(SLICE(""), (struct slice){0}));
}

static void test_slices_are_ordered_by_bytes_and_then_by_length(void **state)
{
    assert_true(slice_compare(SLICE("i10"), SLICE("i9")) < 0);
    assert_true(slice_compare(SLICE("i1"), SLICE("i10")) < 0);
    assert_true(slice_compare(SLICE("\xC3\xA9"), SLICE("z")) > 0); /* bytes are unsigned */
    assert_true(slice_compare(SLICE(""), SLICE("a")) < 0);
    assert_int_equal(slice_compare(SLICE("a"), SLICE("a")), 0);
    assert_int_equal(slice_compare((struct slice){0}, SLICE("")), 0);
}

/* ---- ids ---- */

static void test_ids_number_upwards_and_find_what_was_added(void **state)
{
    struct ids ids = {0};
    char text[16];
    for (uint32_t i = 0; i < 10000; i++) {
        snprintf(text, sizeof text, "i%u", i);
        assert_int_equal(ids_add(&ids, slice_of(text)), i);
    }
    for (uint32_t i = 0; i < 10000; i++) {
        snprintf(text, sizeof text, "i%u", i);
        assert_int_equal(ids_find(&ids, slice_of(text)), i);
        assert_true(slice_equal(ids_text(&ids, i), slice_of(text)));
    }
    assert_int_equal(ids.count, 10000);
    ids_deinit(&ids);
}

static void test_ids_added_again_keep_their_number(void **state)
{
    struct ids ids = {0};
    ids_add(&ids, SLICE("a"));
    assert_int_equal(ids_add(&ids, SLICE("b")), 1);
    assert_int_equal(ids_add(&ids, SLICE("a")), 0);
    assert_int_equal(ids.count, 2);
    ids_deinit(&ids);
}

static void test_ids_do_not_find_what_was_never_added(void **state)
{
    struct ids ids = {0};
    assert_int_equal(ids_find(&ids, SLICE("a")), IDS_NONE);
    ids_add(&ids, SLICE("ab"));
    assert_int_equal(ids_find(&ids, SLICE("a")), IDS_NONE);
    assert_int_equal(ids_find(&ids, SLICE("")), IDS_NONE);
    ids_deinit(&ids);
}

static void test_ids_may_be_empty_long_and_hold_any_byte(void **state)
{
    struct ids ids = {0};
    char *large = mem_zalloc(100000); /* more than a chunk */
    struct slice texts[] = {SLICE(""), SLICE("a\0b"), SLICE("a\0c"), {large, 100000}};
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(ids_add(&ids, texts[i]), i);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(ids_find(&ids, texts[i]), i);
    free(large);
    ids_deinit(&ids);
}

static void test_bytes_of_an_id_never_move(void **state)
{
    struct ids ids = {0};
    ids_add(&ids, SLICE("first"));
    struct slice kept = ids_text(&ids, 0);
    char text[128];
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "%0100d", i);
        ids_add(&ids, slice_of(text));
    }
    assert_ptr_equal(ids_text(&ids, 0).data, kept.data);
    assert_true(slice_equal(kept, SLICE("first")));
    ids_deinit(&ids);
}

/* ---- hashes ---- */

static void test_stable_hash_is_the_same_for_ever(void **state)
{
    /* XXH3-64 of the empty string, as published with the algorithm; states rely on it. */
    assert_true(hash_stable("", 0) == 0x2d06800538d394c2u);
    assert_true(hash_stable("freshet", 7) == hash_stable_with("freshet", 7, 0));
    assert_true(hash_stable_with("a", 1, 1) != hash_stable_with("a", 1, 2));
}

static void test_seeded_hash_is_another_one_in_each_process(void **state)
{
    assert_true(hash_seeded("a", 1) == hash_seeded("a", 1));
    assert_true(hash_seeded("a", 1) != hash_stable("a", 1)); /* seed 0: once in 2^64 runs */
}

/* ---- memory and clocks ---- */

static void test_large_arrays_are_aligned_zeroed_or_refused(void **state)
{
    float *array = mem_try(1000, sizeof *array);
    assert_int_equal((uintptr_t)array % 64, 0);
    for (int i = 0; i < 1000; i++)
        assert_true(array[i] == 0);
    free(array);
    assert_null(mem_try(SIZE_MAX / 2, 4));
    void *none = mem_try(0, 4);
    assert_non_null(none);
    free(none);
}

static void test_strings_are_copied_with_their_end(void **state)
{
    char *copy = mem_strndup("abcdef", 3);
    assert_string_equal(copy, "abc");
    free(copy);
    copy = mem_strdup("");
    assert_string_equal(copy, "");
    free(copy);
}

static void test_monotonic_clock_never_goes_back(void **state)
{
    int64_t last = clock_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_monotonic_ns();
        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_wall_ms() > INT64_C(1700000000000)); /* milliseconds, not seconds */
}

/* ---- the log ---- */

static void test_log_once_a_minute_speaks_once(void **state)
{
    int64_t last_ms = 0, other_ms = 0;
    assert_true(log_once_a_minute(&last_ms));
    assert_false(log_once_a_minute(&last_ms));
    assert_true(log_once_a_minute(&other_ms));
}

static void test_log_once_a_minute_speaks_again_after_a_minute(void **state)
{
    int64_t now_ms = clock_monotonic_ns() / 1000000;
    int64_t old_ms = now_ms - 60000, young_ms = now_ms - 30000;
    assert_true(log_once_a_minute(&old_ms));
    assert_true(old_ms >= now_ms);
    assert_false(log_once_a_minute(&young_ms));
}

/* What log_line writes to stderr, read back through a pipe. */
static void capture(char *line, size_t size, enum log_level level, const char *text)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int real = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    log_line(level, "%s", text);
    dup2(real, STDERR_FILENO);
    close(real);
    close(ends[1]);
    ssize_t got = read(ends[0], line, size - 1);
    close(ends[0]);
    assert_true(got >= 0);
    line[got] = '\0';
}

static void test_a_log_line_stays_one_line_whatever_it_says(void **state)
{
    char line[256];
    capture(line, sizeof line, LOG_LEVEL_WARN, "a\nb\x1b[31m");
    assert_non_null(strstr(line, "Z warn  a?b?[31m\n"));
}

static void test_a_log_line_too_long_is_cut_and_still_ends(void **state)
{
    char lots[5000], line[5000];
    memset(lots, 'x', sizeof lots - 1);
    lots[sizeof lots - 1] = '\0';
    capture(line, sizeof line, LOG_LEVEL_ERROR, lots);
    size_t length = strlen(line);
    assert_in_range(length, 1000, 2048);
    assert_int_equal(line[length - 1], '\n');
}

static void test_lines_below_the_level_are_not_written(void **state)
{
    char line[256];
    log_set_level(LOG_LEVEL_ERROR);
    capture(line, sizeof line, LOG_LEVEL_WARN, "quiet");
    log_set_level(LOG_LEVEL_INFO);
    assert_string_equal(line, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_set_returns_the_code_and_keeps_the_sentence),
        cmocka_unit_test(test_error_may_be_left_out),
        cmocka_unit_test(test_error_wrap_puts_the_context_in_front),
        cmocka_unit_test(test_error_texts_too_long_are_cut_at_the_end),
        cmocka_unit_test(test_error_codes_have_names_and_exit_as_sysexits_says),
        cmocka_unit_test(test_buffer_numbers_are_what_printf_says),
        cmocka_unit_test(test_buffer_keeps_what_was_added_while_it_grows),
        cmocka_unit_test(test_buffer_takes_more_than_twice_its_size_at_once),
        cmocka_unit_test(test_buffer_consume_moves_the_rest_to_the_front),
        cmocka_unit_test(test_buffer_clear_keeps_the_memory),
        cmocka_unit_test(test_slices_are_equal_by_their_bytes),
        cmocka_unit_test(test_slices_are_ordered_by_bytes_and_then_by_length),
        cmocka_unit_test(test_ids_number_upwards_and_find_what_was_added),
        cmocka_unit_test(test_ids_added_again_keep_their_number),
        cmocka_unit_test(test_ids_do_not_find_what_was_never_added),
        cmocka_unit_test(test_ids_may_be_empty_long_and_hold_any_byte),
        cmocka_unit_test(test_bytes_of_an_id_never_move),
        cmocka_unit_test(test_stable_hash_is_the_same_for_ever),
        cmocka_unit_test(test_seeded_hash_is_another_one_in_each_process),
        cmocka_unit_test(test_large_arrays_are_aligned_zeroed_or_refused),
        cmocka_unit_test(test_strings_are_copied_with_their_end),
        cmocka_unit_test(test_monotonic_clock_never_goes_back),
        cmocka_unit_test(test_log_once_a_minute_speaks_once),
        cmocka_unit_test(test_log_once_a_minute_speaks_again_after_a_minute),
        cmocka_unit_test(test_a_log_line_stays_one_line_whatever_it_says),
        cmocka_unit_test(test_a_log_line_too_long_is_cut_and_still_ends),
        cmocka_unit_test(test_lines_below_the_level_are_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
