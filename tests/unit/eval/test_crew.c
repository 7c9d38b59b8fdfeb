#include "eval/crew.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define PIECES_MAX 40

/* Some pieces take long, so that who does not wait for them is seen. */
static void count_piece(size_t number, void *arg)
{
    int *times = arg;
    for (volatile int left = number % 7 == 3 ? 100000 : 0; left > 0;)
        left--;
    times[number]++; /* each its own: nobody else writes there */
}

static void check(size_t threads)
{
    struct crew *crew = crew_new(threads);
    for (size_t round = 0; round < 500; round++) {
        int times[PIECES_MAX] = {0};
        size_t count = round % PIECES_MAX;
        crew_run(crew, count, count_piece, times);
        for (size_t i = 0; i < PIECES_MAX; i++)
            assert_int_equal(times[i], i < count);
    }
    crew_free(crew);
}

static void test_each_piece_is_done_once_before_the_call_returns(void **at)
{
    check(1);
    check(2);
    check(5);
}

static void test_a_crew_that_never_worked_goes(void **at)
{
    crew_free(crew_new(4));
    crew_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_piece_is_done_once_before_the_call_returns),
        cmocka_unit_test(test_a_crew_that_never_worked_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
