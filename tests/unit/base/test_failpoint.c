/* Failpoints: armed as the environment says, passed as often as told. Without -DFRESHET_FAILPOINTS
 * there is nothing to test. */
#include "base/failpoint.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef FRESHET_FAILPOINTS

#include <sys/wait.h>

#define NAME "commit.put"

/* How a child ends that arms this and passes once: the status of waitpid. */
static int end_of(const char *text)
{
    pid_t child = fork();
    if (child == 0) {
        failpoint_arm(text);
        FAILPOINT(NAME);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_one_that_is_not_armed_is_passed(void **state)
{
    failpoint_arm(NULL);
    assert_false(FAILPOINT_FAILS(NAME));
    failpoint_arm("commit.write=error");
    assert_false(FAILPOINT_FAILS(NAME));
}

static void test_it_fails_once_at_the_passage_that_was_named(void **state)
{
    failpoint_arm(NAME "=error@3");
    assert_false(FAILPOINT_FAILS(NAME));
    assert_false(FAILPOINT_FAILS(NAME));
    assert_true(FAILPOINT_FAILS(NAME));
    assert_false(FAILPOINT_FAILS(NAME));
}

static void test_with_a_plus_it_goes_on_failing(void **state)
{
    failpoint_arm("commit.write=kill@9," NAME "=error@2+");
    assert_false(FAILPOINT_FAILS(NAME));
    assert_true(FAILPOINT_FAILS(NAME));
    assert_true(FAILPOINT_FAILS(NAME));
}

static void test_it_stands_still_for_so_long(void **state)
{
    struct timespec begin, end;
    failpoint_arm(NAME "=stall:30");
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_false(FAILPOINT_FAILS(NAME));
    clock_gettime(CLOCK_MONOTONIC, &end);
    int64_t ns = (end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec;
    assert_true(ns >= 30000000);
}

static void test_it_kills_or_ends_the_process(void **state)
{
    int killed = end_of(NAME "=kill"), ended = end_of(NAME "=exit");
    assert_true(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL);
    assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 70);
    assert_int_equal(end_of(NAME "=kill@2"), 0);
}

static void test_what_is_not_understood_ends_the_process(void **state)
{
    static const char *const texts[] = {
        "commit.nothing=kill", NAME, NAME "=", NAME "=burn", NAME "=kill@2x", NAME "=stall:5s"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(WEXITSTATUS(end_of(texts[i])), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_that_is_not_armed_is_passed),
        cmocka_unit_test(test_it_fails_once_at_the_passage_that_was_named),
        cmocka_unit_test(test_with_a_plus_it_goes_on_failing),
        cmocka_unit_test(test_it_stands_still_for_so_long),
        cmocka_unit_test(test_it_kills_or_ends_the_process),
        cmocka_unit_test(test_what_is_not_understood_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void test_there_are_none(void **state)
{
    FAILPOINT("a name that nobody knows");
    assert_false(FAILPOINT_FAILS("another"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_there_are_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
