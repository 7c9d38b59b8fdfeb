#include "publisher/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void test_address_of_a_host_and_port(void **state)
{
    struct address address;
    assert_int_equal(address_parse(&address, "cache.example.org:6379", NULL), 0);
    assert_null(address.path);
    assert_string_equal(address.host, "cache.example.org");
    assert_string_equal(address.port, "6379");
}

static void test_address_of_ipv6_is_in_brackets(void **state)
{
    struct address address;
    assert_int_equal(address_parse(&address, "[::1]:7000", NULL), 0);
    assert_string_equal(address.host, "::1");
    assert_string_equal(address.port, "7000");
}

static void test_address_that_begins_with_a_slash_is_a_socket(void **state)
{
    struct address address;
    assert_int_equal(address_parse(&address, "/run/redis:1.sock", NULL), 0);
    assert_string_equal(address.path, "/run/redis:1.sock");
}

static void test_address_that_is_none_is_refused(void **state)
{
    const char *const wrong[] = {"",      "localhost", ":6379",   "localhost:",      "localhost:0",
                                 "::1:1", "[]:1",      "[::1]",   "localhost:65536", "localhost:6x",
                                 "a:-1",  "a: 1",      "[::1]:x", "a:123456"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct address address;
        struct error err;
        if (address_parse(&address, wrong[i], &err) != ERR_SETTINGS)
            fail_msg("\"%s\" was taken", wrong[i]);
        assert_non_null(strstr(err.text, wrong[i]));
    }
}

static void test_address_longer_than_the_kernel_takes_is_refused(void **state)
{
    char path[109] = "";
    memset(path, '/', sizeof path - 1);
    struct address address;
    assert_int_equal(address_parse(&address, path, NULL), ERR_SETTINGS);
    path[107] = '\0'; /* Linux's sun_path has 108 bytes, with the closing NUL */
    assert_int_equal(address_parse(&address, path, NULL), 0);
}

static void test_address_with_a_host_longer_than_any_name_is_refused(void **state)
{
    char text[400];
    memset(text, 'a', sizeof text);
    strcpy(text + sizeof text - 4, ":80");
    struct address address;
    assert_int_equal(address_parse(&address, text, NULL), ERR_SETTINGS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_of_a_host_and_port),
        cmocka_unit_test(test_address_of_ipv6_is_in_brackets),
        cmocka_unit_test(test_address_that_begins_with_a_slash_is_a_socket),
        cmocka_unit_test(test_address_that_is_none_is_refused),
        cmocka_unit_test(test_address_longer_than_the_kernel_takes_is_refused),
        cmocka_unit_test(test_address_with_a_host_longer_than_any_name_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
