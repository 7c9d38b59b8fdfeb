/* Recorded streams: both forms, compressed and not, in order and shuffled. */
#include "base/buffer.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "consumer/decode.h"
#include "consumer/item_file.h"
#include "consumer/recording.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define RETAIL FRESHET_SOURCE_DIR "/data/online-retail.tsv.zst"
#define RETAIL_ROWS 316075
#define HEADER "ts_ms\tuser\titem\tevent\tvalue\n"

static char path[64];

static int remove_file(void **state)
{
    unlink(path);
    return 0;
}

static void write_bytes(const char *bytes, size_t count)
{
    strcpy(path, "/tmp/freshet-test-recording-XXXXXX");
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, bytes, count), count);
    close(descriptor);
}

static void write_file(const char *text)
{
    write_bytes(text, strlen(text));
}

static struct recording *open_or_fail(const char *file, bool shuffle, uint64_t seed)
{
    struct recording *recording = NULL;
    struct error err;
    if (recording_open(&recording, file, shuffle, seed, &err) != 0)
        fail_msg("%s", err.text);
    return recording;
}

static struct recorded_event next_or_fail(struct recording *recording)
{
    struct recorded_event event;
    struct error err = {0};
    if (recording_next(recording, &event, &err) != 1)
        fail_msg("no event: %s", err.text);
    return event;
}

static void assert_text(struct slice text, const char *expected)
{
    if (!slice_equal(text, slice_of(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(text), expected);
}

static uint64_t hash_event(const struct recorded_event *event)
{
    struct buffer text = {0};
    recorded_event_write(&text, event);
    uint64_t hash = hash_stable(text.data, text.length);
    buffer_deinit(&text);
    return hash;
}

/* Reads all of it: how many, a sum that no order changes, and one that order does. */
struct summary {
    size_t count, runs;
    uint64_t unordered, ordered, by_run;
};

static struct summary summarize(struct recording *recording)
{
    struct summary summary = {0};
    struct recorded_event event;
    struct error err;
    int64_t last_ts_ms = INT64_MIN;
    int got;
    while ((got = recording_next(recording, &event, &err)) == 1) {
        uint64_t hash = hash_event(&event);
        assert_true(event.ts_ms >= last_ts_ms);
        summary.runs += event.ts_ms != last_ts_ms;
        last_ts_ms = event.ts_ms;
        summary.count++;
        summary.unordered += hash;
        summary.ordered = summary.ordered * 31 + hash;
        summary.by_run += hash * (summary.runs * 2 + 1); /* moves only across runs change it */
    }
    if (got < 0)
        fail_msg("%s", err.text);
    return summary;
}

static struct summary summarize_retail(bool shuffle, uint64_t seed)
{
    struct recording *recording = open_or_fail(RETAIL, shuffle, seed);
    struct summary summary = summarize(recording);
    assert_true(recording_progress(recording) == 1);
    recording_close(recording);
    return summary;
}

static void test_the_retail_recording_is_read_whole(void **state)
{
    struct recording *recording = open_or_fail(RETAIL, false, 0);
    struct recorded_event event = next_or_fail(recording);
    assert_int_equal(event.ts_ms, 1291191960000);
    assert_text(event.user, "17850");
    assert_text(event.item, "85123A");
    assert_text(event.type, "purchase");
    assert_true(event.value == 6);
    assert_int_equal(1 + summarize(recording).count, RETAIL_ROWS);
    recording_close(recording);
}

static void test_shuffling_permutes_within_equal_timestamps_only(void **state)
{
    struct summary plain = summarize_retail(false, 0), shuffled = summarize_retail(true, 7);
    assert_int_equal(shuffled.count, plain.count);
    assert_true(shuffled.unordered == plain.unordered);
    assert_true(shuffled.by_run == plain.by_run);
    assert_true(shuffled.ordered != plain.ordered);
}

static void test_a_seed_draws_one_order(void **state)
{
    struct summary once = summarize_retail(true, 7), again = summarize_retail(true, 7);
    struct summary other = summarize_retail(true, 8);
    assert_true(once.ordered == again.ordered);
    assert_true(once.ordered != other.ordered);
}

static void test_shuffling_draws_all_orders_alike(void **state)
{
    write_file(HEADER "1\tu\ta\tclick\t1\n1\tu\tb\tclick\t1\n1\tu\tc\tclick\t1\n");
    int first[3] = {0};
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct recording *recording = open_or_fail(path, true, seed);
        first[next_or_fail(recording).item.data[0] - 'a']++;
        recording_close(recording);
    }
    /* 3000 draws of 1/3: standard deviation 26; five of them either way is one in two million. */
    for (int i = 0; i < 3; i++)
        assert_in_range(first[i], 1000 - 130, 1000 + 130);
}

static void test_json_lines_are_read(void **state)
{
    write_file("{\"user\":\"u\",\"item\":5,\"type\":\"click\",\"ts\":9,\"value\":2.5}\n"
               "{\"user\":\"u\",\"type\":\"forget_user\",\"ts\":10}");
    struct recording *recording = open_or_fail(path, false, 0);
    struct recorded_event event = next_or_fail(recording);
    assert_int_equal(event.ts_ms, 9);
    assert_text(event.item, "5");
    assert_true(event.value == 2.5);
    assert_text(event.json,
                "{\"user\":\"u\",\"item\":5,\"type\":\"click\",\"ts\":9,\"value\":2.5}");
    event = next_or_fail(recording);
    assert_text(event.type, "forget_user");
    assert_int_equal(event.item.length, 0);
    assert_int_equal(recording_next(recording, &event, NULL), 0);
    recording_close(recording);
}

static void test_json_lines_are_shuffled_too(void **state)
{
    write_file("{\"user\":\"u\",\"item\":\"a\",\"type\":\"click\",\"ts\":9}\n"
               "{\"user\":\"u\",\"item\":\"b\",\"type\":\"click\",\"ts\":9}\n"
               "{\"user\":\"u\",\"item\":\"c\",\"type\":\"click\",\"ts\":10}\n");
    int b_first = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct recording *recording = open_or_fail(path, true, seed);
        b_first += next_or_fail(recording).item.data[0] == 'b';
        next_or_fail(recording);
        assert_text(next_or_fail(recording).item, "c");
        recording_close(recording);
    }
    assert_in_range(b_first, 20, 80); /* six standard deviations of 5 */
}

static void expect_bad(const char *text, const char *where)
{
    struct recording *recording = NULL;
    struct recorded_event event;
    struct error err = {0};
    write_file(text);
    int got = recording_open(&recording, path, false, 0, &err);
    while (got >= 0 && (got = recording_next(recording, &event, &err)) == 1)
        continue;
    if (got != ERR_DATA || strstr(err.text, where) == NULL || strstr(err.text, path) == NULL)
        fail_msg("%d \"%s\" for: %s", got, err.text, text);
    recording_close(recording);
    unlink(path);
}

static void test_a_bad_line_is_named(void **state)
{
    expect_bad(HEADER "1\tu\ti\tclick\n", ":2:");
    expect_bad(HEADER "1\tu\ti\tclick\t1\n\n1\tu\ti\tclick\t1\tx\n", ":4:");
    expect_bad(HEADER "x\tu\ti\tclick\t1\n", ":2:");
    expect_bad(HEADER "1\t\ti\tclick\t1\n", ":2:");
    expect_bad(HEADER "1\tu\t\tclick\t1\n", ":2:");
    expect_bad(HEADER "1\tu\ti\tclick\t-1\n", ":2:");
    expect_bad(HEADER "1\tu\ti\tclick\tnan\n", ":2:");
    expect_bad(HEADER "1\tu\ti\xFF\tclick\t1\n", ":2:");
    expect_bad("{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"ts\":1}\n{\n", ":2:");
    expect_bad("{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\"}\n", ":1:");
    expect_bad("user,item\n", ":1:");
    expect_bad("", ":1:");
}

static void expect_bad_item(const char *text, size_t length)
{
    struct item_file *file;
    struct slice item, value;
    struct error err = {0};
    write_bytes(text, length);
    assert_int_equal(item_file_open(&file, path, &err), 0);
    assert_int_equal(item_file_next(file, &item, &value, &err), ERR_DATA);
    assert_non_null(strstr(err.text, ":2: "));
    item_file_close(file);
    unlink(path);
}

static void test_an_item_that_the_daemon_would_refuse_is_named(void **state)
{
    char text[256] = "item\ttitle\n";
    memset(text + strlen(text), 'i', ID_BYTES_MAX + 1);
    expect_bad_item(text, strlen(text));
    expect_bad_item("item\ttitle\ni1\tA\0title\n", 23);
    expect_bad_item("item\ttitle\ni1\tA\xfftitle\n", 23);
    expect_bad_item("item\ttitle\n\tA title\n", 21);
}

static void test_line_ends_of_other_systems_are_read(void **state)
{
    write_file("ts_ms\tuser\titem\tevent\tvalue\r\n1\tu\ti\tclick\t0.5\r\n");
    struct recording *recording = open_or_fail(path, false, 0);
    assert_true(next_or_fail(recording).value == 0.5);
    recording_close(recording);
}

static void test_a_file_that_is_not_there_is_an_error(void **state)
{
    struct recording *recording;
    struct error err;
    assert_int_equal(recording_open(&recording, "/nowhere/at.all", false, 0, &err), ERR_IO);
}

static void test_a_compressed_file_that_was_cut_is_an_error(void **state)
{
    char half[200000];
    FILE *whole = fopen(RETAIL, "rb");
    assert_int_equal(fread(half, 1, sizeof half, whole), sizeof half);
    fclose(whole);
    snprintf(path, sizeof path, "/tmp/freshet-test-recording-%d.tsv.zst", (int)getpid());
    FILE *cut = fopen(path, "wb");
    assert_int_equal(fwrite(half, 1, sizeof half, cut), sizeof half);
    fclose(cut);

    struct recording *recording = open_or_fail(path, false, 0);
    struct recorded_event event;
    struct error err;
    int got;
    while ((got = recording_next(recording, &event, &err)) == 1)
        continue;
    assert_int_equal(got, ERR_DATA);
    assert_non_null(strstr(err.text, "ends in the middle"));
    recording_close(recording);
}

static void test_what_is_written_decodes_to_the_same_event(void **state)
{
    struct recorded_event recorded = {.ts_ms = 1291191960000,
                                      .user = SLICE("u\"1"),
                                      .item = SLICE("\xC3\xA9"),
                                      .type = SLICE("purchase"),
                                      .value = 0.1};
    static const char *const types[] = {"purchase"};
    struct decode_settings settings = {.types = types,
                                       .type_count = 1,
                                       .default_type = -1,
                                       .max_ahead_ms = 0,
                                       .event_bytes_max = 1000};
    struct buffer json = {0};
    struct batch batch;
    recorded_event_write(&json, &recorded);
    batch_init(&batch);
    struct event *event = batch_add(&batch);
    event->key = recorded.user;
    event->bytes = buffer_slice(&json);
    event->record_ts_ms = INT64_C(1700000000000);
    decode_event(&settings, &batch, event);
    assert_int_equal(event->kind, EVENT_INTERACTION);
    assert_int_equal(event->ts_ms, recorded.ts_ms);
    assert_true(slice_equal(event->item, recorded.item));
    assert_true(event->value == recorded.value);
    batch_deinit(&batch);
    buffer_deinit(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_retail_recording_is_read_whole),
        cmocka_unit_test(test_shuffling_permutes_within_equal_timestamps_only),
        cmocka_unit_test(test_a_seed_draws_one_order),
        cmocka_unit_test_teardown(test_shuffling_draws_all_orders_alike, remove_file),
        cmocka_unit_test_teardown(test_json_lines_are_read, remove_file),
        cmocka_unit_test_teardown(test_json_lines_are_shuffled_too, remove_file),
        cmocka_unit_test_teardown(test_a_bad_line_is_named, remove_file),
        cmocka_unit_test_teardown(test_an_item_that_the_daemon_would_refuse_is_named, remove_file),
        cmocka_unit_test_teardown(test_line_ends_of_other_systems_are_read, remove_file),
        cmocka_unit_test(test_a_file_that_is_not_there_is_an_error),
        cmocka_unit_test_teardown(test_a_compressed_file_that_was_cut_is_an_error, remove_file),
        cmocka_unit_test(test_what_is_written_decodes_to_the_same_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
