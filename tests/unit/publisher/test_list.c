#include "base/json.h"
#include "publisher/publisher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static char a_user; /* the publisher only asks whether there is one */

static struct slate_item two_items[] = {
    {.item = 9, .score = 0.91f, .id = {"i9", 2}},
    {.item = 4, .score = -0.5f, .id = {"i4", 2}},
};

static struct slate_list list_of(const char *user)
{
    return (struct slate_list){
        .arm_name = SLICE("default"),
        .generation = 7,
        .user = (struct user *)&a_user,
        .user_id = slice_of(user),
        .version = {.epoch = 1, .partition = 3, .next_offset = 4711, .swap = 2},
        .cause = CAUSE_EVENT,
        .items = two_items,
        .count = 2,
    };
}

static struct buffer written_at(const struct slate_list *list, int64_t stream_ts_ms)
{
    const struct slate slate = {.stream_ts_ms = stream_ts_ms};
    struct buffer out = {0};
    list_write(&out, &slate, list);
    return out;
}

static struct buffer written(const struct slate_list *list)
{
    return written_at(list, 1700000000000);
}

static void assert_written(const struct slate_list *list, const char *expected)
{
    struct buffer out = written(list);
    buffer_byte(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_deinit(&out);
}

static void test_list_is_the_json_that_the_readme_shows(void **state)
{
    struct slate_list list = list_of("u1");
    assert_written(&list, "{\"v\":\"00000001.0003.0000000000001267.00000002\",\"user\":\"u1\","
                          "\"arm\":\"default\",\"gen\":7,\"ts\":1700000000000,\"cause\":\"event\","
                          "\"items\":[[\"i9\",0.91],[\"i4\",-0.5]]}");
}

static void test_list_of_a_state_that_learned_nothing_has_no_time(void **state)
{
    struct slate_list list = list_of("u1");
    struct buffer out = written_at(&list, INT64_MIN);
    buffer_byte(&out, '\0');
    assert_non_null(strstr(out.data, "\"ts\":null,"));
    buffer_deinit(&out);
}

static void test_list_of_a_forgotten_user_is_a_tombstone(void **state)
{
    struct slate_list list = list_of("u1");
    list.forgotten = true;
    assert_written(&list, "{\"v\":\"00000001.0003.0000000000001267.00000002\",\"user\":\"u1\","
                          "\"forgotten\":true,\"items\":[]}");
}

static void test_list_says_what_was_explored_where_and_how_likely(void **state)
{
    struct slate_list list = list_of("u1");
    struct slate_explored explored[] = {{.at = 0, .propensity = 0.0125},
                                        {.at = 1, .propensity = 1}};
    list.explored = explored;
    list.explored_count = 2;
    assert_written(&list, "{\"v\":\"00000001.0003.0000000000001267.00000002\",\"user\":\"u1\","
                          "\"arm\":\"default\",\"gen\":7,\"ts\":1700000000000,\"cause\":\"event\","
                          "\"items\":[[\"i9\",0.91],[\"i4\",-0.5]],"
                          "\"explored\":[[1,\"i9\",0.0125],[2,\"i4\",1]]}");
}

static void test_list_says_its_own_arm_generation_and_cause(void **state)
{
    struct slate_list list = list_of("u1");
    list.arm_name = SLICE("fa\"st");
    list.generation = 9007199254740993; /* more than a double holds */
    list.cause = CAUSE_ARMS;
    assert_written(&list, "{\"v\":\"00000001.0003.0000000000001267.00000002\",\"user\":\"u1\","
                          "\"arm\":\"fa\\\"st\",\"gen\":9007199254740993,\"ts\":1700000000000,"
                          "\"cause\":\"arms\",\"items\":[[\"i9\",0.91],[\"i4\",-0.5]]}");
}

static void test_popular_list_has_no_user(void **state)
{
    struct slate_list list = list_of("");
    list.user = NULL;
    struct buffer out = written(&list);
    struct json *json = json_parse(buffer_slice(&out), NULL);
    assert_non_null(json);
    assert_non_null(json_get(json, "user"));
    assert_int_equal(json_type(json_get(json, "user")), JSON_NULL);
    assert_int_equal(json_count(json_get(json, "items")), 2);
    json_free(json);
    buffer_deinit(&out);
}

static void test_list_without_items_is_an_empty_array(void **state)
{
    struct slate_list list = list_of("u1");
    list.count = 0;
    struct buffer out = written(&list);
    struct json *json = json_parse(buffer_slice(&out), NULL);
    assert_int_equal(json_type(json_get(json, "items")), JSON_ARRAY);
    assert_int_equal(json_count(json_get(json, "items")), 0);
    json_free(json);
    buffer_deinit(&out);
}

static void test_list_with_awkward_ids_reads_back_the_same(void **state)
{
    const char *awkward = "\"quoted\"\\ \n\t\x01 caf\xc3\xa9 </script>";
    struct slate_list list = list_of(awkward);
    struct slate_item item = {.item = 1, .score = 1e-7f, .id = slice_of(awkward)};
    list.items = &item;
    list.count = 1;
    struct buffer out = written(&list);
    struct error err;
    struct json *json = json_parse(buffer_slice(&out), &err);
    if (json == NULL)
        fail_msg("%s", err.text);
    assert_true(slice_equal(json_get_string(json, "user", SLICE("")), slice_of(awkward)));
    const struct json *pair = json_at(json_get(json, "items"), 0);
    assert_true(slice_equal(json_to_string(json_at(pair, 0), SLICE("")), slice_of(awkward)));
    /* Six significant digits are written: a relative error of at most 5e-6. */
    assert_true(json_to_number(json_at(pair, 1), 0) > 0.999995e-7 &&
                json_to_number(json_at(pair, 1), 0) < 1.000005e-7);
    json_free(json);
    buffer_deinit(&out);
}

static void assert_key(struct slice user, const char *expected)
{
    struct buffer key = {0};
    publisher_key(&key, "rec:", user);
    assert_true(slice_equal(buffer_slice(&key), slice_of(expected)));
    buffer_deinit(&key);
}

static void test_key_is_prefix_and_user(void **state)
{
    assert_key(SLICE("u1"), "rec:u1");
    assert_key(SLICE("populars"), "rec:populars");
    assert_key(SLICE("user"), "rec:user");
}

static void test_key_of_nobody_is_the_popular_list(void **state)
{
    assert_key((struct slice){NULL, 0}, "rec:popular");
}

static void test_key_of_a_user_never_meets_a_key_of_ours(void **state)
{
    assert_key(SLICE("popular"), "rec:user:popular");
    assert_key(SLICE("meta"), "rec:user:meta");
    assert_key(SLICE("changes"), "rec:user:changes");
}

static void test_key_of_a_user_who_looks_moved_never_meets_a_moved_one(void **state)
{
    assert_key(SLICE("user:meta"), "rec:user:user:meta");
    assert_key(SLICE("user:"), "rec:user:user:");
}

static void test_expiry_stays_within_the_jitter(void **state)
{
    const struct publisher_settings settings = {.expiry_ms = 100000, .expiry_jitter = 0.1};
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < 1000; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        struct slate_list list = list_of(user);
        int64_t expiry = list_expiry_ms(&settings, &list);
        assert_true(expiry >= 90000 && expiry <= 100000);
        least = expiry < least ? expiry : least;
        most = expiry > most ? expiry : most;
    }
    /* Of 1000 even draws none lies in a given tenth with probability 0.9^1000 = 2e-46. */
    assert_true(least < 91000 && most > 99000);
}

static void test_expiry_of_the_same_list_is_the_same(void **state)
{
    const struct publisher_settings settings = {.expiry_ms = 1000000000, .expiry_jitter = 0.5};
    struct slate_list list = list_of("u1"), next = list;
    next.version.next_offset++;
    assert_int_equal(list_expiry_ms(&settings, &list), list_expiry_ms(&settings, &list));
    assert_int_not_equal(list_expiry_ms(&settings, &list), list_expiry_ms(&settings, &next));
}

static void test_expiry_is_never_nothing(void **state)
{
    const struct publisher_settings settings = {.expiry_ms = 1, .expiry_jitter = 1};
    struct slate_list list = list_of("u1");
    assert_int_equal(list_expiry_ms(&settings, &list), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_is_the_json_that_the_readme_shows),
        cmocka_unit_test(test_list_of_a_state_that_learned_nothing_has_no_time),
        cmocka_unit_test(test_list_of_a_forgotten_user_is_a_tombstone),
        cmocka_unit_test(test_list_says_what_was_explored_where_and_how_likely),
        cmocka_unit_test(test_list_says_its_own_arm_generation_and_cause),
        cmocka_unit_test(test_popular_list_has_no_user),
        cmocka_unit_test(test_list_without_items_is_an_empty_array),
        cmocka_unit_test(test_list_with_awkward_ids_reads_back_the_same),
        cmocka_unit_test(test_key_is_prefix_and_user),
        cmocka_unit_test(test_key_of_nobody_is_the_popular_list),
        cmocka_unit_test(test_key_of_a_user_never_meets_a_key_of_ours),
        cmocka_unit_test(test_key_of_a_user_who_looks_moved_never_meets_a_moved_one),
        cmocka_unit_test(test_expiry_stays_within_the_jitter),
        cmocka_unit_test(test_expiry_of_the_same_list_is_the_same),
        cmocka_unit_test(test_expiry_is_never_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
