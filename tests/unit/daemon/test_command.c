/* Options of the subcommands. */
#include "daemon/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *config, *flag, *n, *words[2];

static int parse(int argc, const char **argv, struct error *err)
{
    static const struct option_row rows[] = {{"config", "FILE", "the settings", &config},
                                             {"all", NULL, "everybody", &flag},
                                             {"n", "N", "how many", &n},
                                             {0}};
    static const struct command_line line = {.synopsis = "thing USER --config FILE",
                                             .summary = "Does a thing.",
                                             .rows = rows,
                                             .positional = words,
                                             .positional_max = 2,
                                             .positional_min = 1};
    bool help;
    config = flag = n = words[0] = words[1] = NULL;
    return command_parse(&line, argc, (char **)(uintptr_t)argv, &help, err);
}

static void test_options_and_words_may_come_in_any_order(void **state)
{
    (void)state;
    struct error err = {0};
    const char *argv[] = {"thing", "--all", "u1", "--config", "a.yaml"};
    assert_int_equal(parse(5, argv, &err), 0);
    assert_string_equal(config, "a.yaml");
    assert_string_equal(words[0], "u1");
    assert_non_null(flag);
}

static void test_a_value_may_follow_an_equals_sign(void **state)
{
    (void)state;
    struct error err = {0};
    const char *argv[] = {"thing", "u1", "--config=b.yaml"};
    assert_int_equal(parse(3, argv, &err), 0);
    assert_string_equal(config, "b.yaml");
}

static void test_a_letter_is_an_option_if_there_is_one_of_that_name(void **state)
{
    (void)state;
    struct error err = {0};
    const char *argv[] = {"thing", "u1", "-n", "5", "-x"};
    assert_int_equal(parse(5, argv, &err), 0);
    assert_string_equal(n, "5");
    assert_string_equal(words[1], "-x"); /* an id may begin with a dash */
    const char *no_value[] = {"thing", "u1", "-n"};
    assert_int_equal(parse(3, no_value, &err), ERR_USAGE);
}

static void test_after_two_dashes_all_are_words(void **state)
{
    (void)state;
    struct error err = {0};
    const char *line[] = {"thing", "--config", "f", "--", "--help", "--all"};
    assert_int_equal(parse(6, line, &err), 0);
    assert_string_equal(words[0], "--help");
    assert_string_equal(words[1], "--all");
    assert_null(flag);
}

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
    struct error err = {0};
    const char *unknown[] = {"thing", "u1", "--verbose"};
    assert_int_equal(parse(3, unknown, &err), ERR_USAGE);
    assert_non_null(strstr(err.text, "--verbose"));
    const char *no_value[] = {"thing", "u1", "--config"};
    assert_int_equal(parse(3, no_value, &err), ERR_USAGE);
    assert_non_null(strstr(err.text, "--config wants FILE"));
    const char *flag_value[] = {"thing", "u1", "--all=yes"};
    assert_int_equal(parse(3, flag_value, &err), ERR_USAGE);
    const char *missing[] = {"thing"};
    assert_int_equal(parse(1, missing, &err), ERR_USAGE);
    const char *many[] = {"thing", "a", "b", "c"};
    assert_int_equal(parse(4, many, &err), ERR_USAGE);
    assert_non_null(strstr(err.text, "\"c\""));
}

static void test_numbers_are_whole_and_in_range(void **state)
{
    (void)state;
    struct error err = {0};
    int64_t value = 0;
    assert_int_equal(command_number("limit", "12", 1, 100, &value, &err), 0);
    assert_int_equal(value, 12);
    const char *bad[] = {"", "x", "1.5", "0", "101", "99999999999999999999", "12 "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(command_number("limit", bad[i], 1, 100, &value, &err), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_and_words_may_come_in_any_order),
        cmocka_unit_test(test_a_value_may_follow_an_equals_sign),
        cmocka_unit_test(test_a_letter_is_an_option_if_there_is_one_of_that_name),
        cmocka_unit_test(test_after_two_dashes_all_are_words),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_numbers_are_whole_and_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
