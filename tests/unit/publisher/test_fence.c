#include "publisher/fence.h"

#include "harness.h"

static struct server server;

static int start(void **state)
{
    server_start(&server, false);
    return 0;
}

static int stop(void **state)
{
    server_stop(&server);
    return 0;
}

static int empty(void **state)
{
    tell(&server, "FLUSHALL");
    tell(&server, "CONFIG SET maxmemory 0");
    return 0;
}

static char *fenced_text(const char *version, const char *body)
{
    char value[256];
    snprintf(value, sizeof value, "{\"v\":\"%s\",%s}", version, body);
    redisReply *reply = ask(&server, "EVAL %s 1 k %s 60000 %s", fence_script, value, version);
    char *text = strdup(reply->str != NULL ? reply->str : "");
    freeReplyObject(reply);
    return text;
}

static void assert_fenced(const char *version, const char *body, const char *expected)
{
    char *text = fenced_text(version, body);
    assert_string_equal(text, expected);
    free(text);
}

#define OLD "00000002.0001.00000000000000ff.00000003"

static void put_old(void)
{
    assert_fenced(OLD, "\"old\":1", FENCE_STORED);
}

static bool holds(const char *body)
{
    char *text = ask_text(&server, "GET k");
    bool found = text != NULL && strstr(text, body) != NULL;
    free(text);
    return found;
}

static void assert_replaced_by(const char *version)
{
    put_old();
    assert_fenced(version, "\"new\":1", FENCE_STORED);
    assert_true(holds("new"));
}

static void assert_kept_from(const char *version, const char *answer)
{
    put_old();
    assert_fenced(version, "\"new\":1", answer);
    assert_true(holds("old"));
}

static void test_fence_stores_where_there_is_nothing(void **state)
{
    put_old();
    assert_true(holds("old"));
}

static void test_fence_sets_the_expiry(void **state)
{
    put_old();
    long long left = ask_number(&server, "PTTL k");
    assert_true(left > 0 && left <= 60000);
}

static void test_fence_renews_the_expiry_of_an_equal_version(void **state)
{
    put_old();
    tell(&server, "PERSIST k");
    put_old();
    assert_true(ask_number(&server, "PTTL k") > 0);
}

static void test_fence_replaces_an_equal_version(void **state)
{
    assert_replaced_by(OLD);
}

static void test_fence_replaces_an_older_offset(void **state)
{
    assert_replaced_by("00000002.0001.0000000000000100.00000000");
}

static void test_fence_replaces_an_offset_older_in_its_upper_half(void **state)
{
    assert_replaced_by("00000002.0001.0000000100000000.00000000");
}

static void test_fence_replaces_an_older_swap(void **state)
{
    assert_replaced_by("00000002.0001.00000000000000ff.0000000a");
}

static void test_fence_replaces_an_older_epoch_of_any_partition(void **state)
{
    assert_replaced_by("00000003.0000.0000000000000000.00000000");
}

static void test_fence_keeps_a_newer_offset(void **state)
{
    assert_kept_from("00000002.0001.00000000000000fe.ffffffff", FENCE_OLDER " " OLD);
}

static void test_fence_keeps_a_newer_swap(void **state)
{
    assert_kept_from("00000002.0001.00000000000000ff.00000002", FENCE_OLDER " " OLD);
}

static void test_fence_keeps_a_newer_epoch_of_any_partition(void **state)
{
    assert_kept_from("00000001.0009.7fffffffffffffff.ffffffff", FENCE_OLDER " " OLD);
}

static void test_fence_tells_apart_offsets_that_a_double_cannot(void **state)
{
    assert_fenced("00000002.0001.0020000000000001.00000000", "\"old\":1", FENCE_STORED);
    assert_fenced("00000002.0001.0020000000000000.00000000", "\"new\":1", FENCE_OLDER " " OLD);
}

static void test_fence_refuses_another_partition_of_the_epoch(void **state)
{
    assert_kept_from("00000002.0002.0000000000000fff.00000003", FENCE_PARTITION);
    assert_kept_from("00000002.0000.0000000000000001.00000003", FENCE_PARTITION);
}

static void assert_foreign(const char *command)
{
    tell(&server, "DEL k");
    tell(&server, command);
    redisReply *before = ask(&server, "DUMP k");
    assert_fenced(OLD, "\"old\":1", FENCE_FOREIGN);
    redisReply *after = ask(&server, "DUMP k");
    assert_int_equal(before->len, after->len);
    assert_memory_equal(before->str, after->str, before->len);
    freeReplyObject(before);
    freeReplyObject(after);
}

static void test_fence_never_replaces_what_is_not_a_list(void **state)
{
    assert_foreign("SET k somebody-else's");
    assert_foreign("SET k {\"v\":1}");
    assert_foreign("SET k {\"v\":\"00000002.0001.00000000000000ff.00000003");     /* cut off */
    assert_foreign("SET k {\"v\":\"00000002.0001.00000000000000FF.00000003\",}"); /* upper case */
    assert_foreign("SET k {\"v\":\"00000002.00010.0000000000000ff.00000003\",}"); /* odd widths */
    assert_foreign("SET k {\"v\":\"00000002.0001.00000000000000ff.03\"");
    assert_foreign("SET k {\"v\":\"00000002x0001.00000000000000ff.00000003\",}");
    assert_foreign("SET k [\"v\":\"00000002.0001.00000000000000ff.00000003\",]");
}

static void test_fence_never_replaces_an_empty_string(void **state)
{
    freeReplyObject(ask(&server, "SET k %s", ""));
    assert_fenced(OLD, "\"old\":1", FENCE_FOREIGN);
}

static void test_fence_never_replaces_another_type(void **state)
{
    assert_foreign("HSET k a b");
    assert_foreign("RPUSH k a");
    assert_foreign("XADD k * a b");
}

static void test_fence_lets_a_full_servers_error_through(void **state)
{
    tell(&server, "CONFIG SET maxmemory 1");
    char *text = fenced_text(OLD, "\"old\":1");
    assert_int_equal(strncmp(text, "OOM ", 4), 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fence_stores_where_there_is_nothing, empty),
        cmocka_unit_test_setup(test_fence_sets_the_expiry, empty),
        cmocka_unit_test_setup(test_fence_renews_the_expiry_of_an_equal_version, empty),
        cmocka_unit_test_setup(test_fence_replaces_an_equal_version, empty),
        cmocka_unit_test_setup(test_fence_replaces_an_older_offset, empty),
        cmocka_unit_test_setup(test_fence_replaces_an_offset_older_in_its_upper_half, empty),
        cmocka_unit_test_setup(test_fence_replaces_an_older_swap, empty),
        cmocka_unit_test_setup(test_fence_replaces_an_older_epoch_of_any_partition, empty),
        cmocka_unit_test_setup(test_fence_keeps_a_newer_offset, empty),
        cmocka_unit_test_setup(test_fence_keeps_a_newer_swap, empty),
        cmocka_unit_test_setup(test_fence_keeps_a_newer_epoch_of_any_partition, empty),
        cmocka_unit_test_setup(test_fence_tells_apart_offsets_that_a_double_cannot, empty),
        cmocka_unit_test_setup(test_fence_refuses_another_partition_of_the_epoch, empty),
        cmocka_unit_test_setup(test_fence_never_replaces_what_is_not_a_list, empty),
        cmocka_unit_test_setup(test_fence_never_replaces_an_empty_string, empty),
        cmocka_unit_test_setup(test_fence_never_replaces_another_type, empty),
        cmocka_unit_test_setup(test_fence_lets_a_full_servers_error_through, empty),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
