#include "base/marks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_a_set_has_what_was_put_in_with_its_place(void **at)
{
    struct marks marks = {0};
    assert_false(marks_has(&marks, 0));
    marks_clear(&marks, 3);
    marks_put(&marks, 7, 2);
    marks_put(&marks, 0, 0);
    assert_true(marks_has(&marks, 7) && marks_has(&marks, 0) && !marks_has(&marks, 1));
    assert_int_equal(marks_place(&marks, 7), 2);
    assert_int_equal(marks_place(&marks, 0), 0);
    assert_true(marks_place(&marks, 1) >= 3 && marks_place(&marks, 1000000) >= 3);
    assert_false(marks_has(&marks, 1000000));
    marks_deinit(&marks);
}

static void test_a_cleared_set_is_empty(void **at)
{
    struct marks marks = {0};
    for (uint32_t round = 1; round < 50; round++) {
        marks_clear(&marks, round);
        for (uint32_t number = 0; number < 200; number++)
            assert_true(!marks_has(&marks, number) && marks_place(&marks, number) >= round);
        for (uint32_t place = 0; place < round; place++)
            marks_put(&marks, place * 3 % 200, place);
    }
    marks_deinit(&marks);
}

/* 2^32 marks later the numbers of the first are given again. */
static void test_marks_that_are_used_up_begin_anew(void **at)
{
    for (uint32_t left = 0; left < 12; left++) {
        struct marks marks = {0};
        marks_clear(&marks, 4);
        for (uint32_t number = 0; number < 4; number++)
            marks_put(&marks, number, number);
        marks.next = UINT32_MAX - left;
        for (uint32_t round = 0; round < 5; round++) {
            marks_clear(&marks, 4);
            for (uint32_t number = 0; number < 70; number++)
                assert_true(!marks_has(&marks, number) && marks_place(&marks, number) >= 4);
            marks_put(&marks, 10 + round, 3);
            assert_true(marks_has(&marks, 10 + round));
            assert_int_equal(marks_place(&marks, 10 + round), 3);
        }
        marks_deinit(&marks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_set_has_what_was_put_in_with_its_place),
        cmocka_unit_test(test_a_cleared_set_is_empty),
        cmocka_unit_test(test_marks_that_are_used_up_begin_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
