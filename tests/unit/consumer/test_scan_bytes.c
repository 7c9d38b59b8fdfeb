/* What looks at many bytes at once against what looks at one, wherever in a run of any length. */
#include "consumer/scan_bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEED 17u
#define LENGTH_MAX 70 /* four vectors and a rest */
#define TRIES 300000

/* A run that ends where its memory does, so that the sanitizers see a byte read too many. Mostly
 * plain, with some of what is looked for and its neighbours. */
static unsigned char *draw_run(size_t *length)
{
    static const unsigned char special[] = {'"',  '\\', 0x1F, 0x20, 0x21, 0x7E, 0x7F, 0x80,
                                            0xC1, 0xC2, 0xC3, 0xFF, 0,    '[',  ']',  0xA2};
    *length = (size_t)rand() % LENGTH_MAX;
    unsigned char *run = malloc(*length + 1);
    for (size_t i = 1; i <= *length; i++)
        run[i] = rand() % 40 == 0 ? special[(size_t)rand() % sizeof special] : 'a';
    return run;
}

static const unsigned char *plain_end_one_by_one(const unsigned char *at, const unsigned char *end)
{
    while (at < end && *at >= 0x20 && *at != '"' && *at != '\\')
        at++;
    return at;
}

static bool has(const unsigned char *at, const unsigned char *end, unsigned char low,
                unsigned char high)
{
    for (; at < end; at++)
        if (*at >= low && *at <= high)
            return true;
    return false;
}

static void test_bytes_plain_end_is_where_one_by_one_stops(void **state)
{
    for (int i = 0; i < TRIES; i++) {
        size_t length;
        unsigned char *run = draw_run(&length), *at = run + 1, *end = at + length;
        const unsigned char *stop = plain_end_one_by_one(at, end);
        assert_ptr_equal(bytes_plain_end(at, end), stop);
        assert_ptr_equal(bytes_plain_end_words(at, end), stop);
        free(run);
    }
}

static void test_bytes_are_ascii_where_none_is_over_7f(void **state)
{
    for (int i = 0; i < TRIES; i++) {
        size_t length;
        unsigned char *run = draw_run(&length), *at = run + 1, *end = at + length;
        bool ascii = !has(at, end, 0x80, 0xFF);
        assert_int_equal(bytes_are_ascii(at, end), ascii);
        assert_int_equal(bytes_are_ascii_words(at, end), ascii);
        free(run);
    }
}

static void test_bytes_hint_control_where_there_is_7f_or_c2(void **state)
{
    for (int i = 0; i < TRIES; i++) {
        size_t length;
        unsigned char *run = draw_run(&length), *at = run + 1, *end = at + length;
        bool hint = has(at, end, 0x7F, 0x7F) || has(at, end, 0xC2, 0xC2);
        assert_int_equal(bytes_hint_control(at, end), hint);
        assert_int_equal(bytes_hint_control_words(at, end), hint);
        free(run);
    }
}

static uint64_t word_of(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return le64toh(word);
}

static void test_bytes_number_is_that_of_eight_digits(void **state)
{
    for (int i = 0; i < TRIES; i++) {
        char text[16];
        unsigned number = (unsigned)rand() % 100000000;
        snprintf(text, sizeof text, "%08u", number);
        assert_true(bytes_are_digits(word_of(text)));
        assert_int_equal(bytes_number(word_of(text)), number);
    }
}

static void test_bytes_are_digits_refuses_any_other_byte_at_any_place(void **state)
{
    for (int place = 0; place < 8; place++)
        for (int byte = 0; byte < 256; byte++) {
            char text[] = "90817263";
            text[place] = (char)byte;
            assert_int_equal(bytes_are_digits(word_of(text)), byte >= '0' && byte <= '9');
        }
}

int main(void)
{
    printf("seed %u\n", SEED);
    srand(SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_plain_end_is_where_one_by_one_stops),
        cmocka_unit_test(test_bytes_are_ascii_where_none_is_over_7f),
        cmocka_unit_test(test_bytes_hint_control_where_there_is_7f_or_c2),
        cmocka_unit_test(test_bytes_number_is_that_of_eight_digits),
        cmocka_unit_test(test_bytes_are_digits_refuses_any_other_byte_at_any_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
