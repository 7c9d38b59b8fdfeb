#include "base/kernel.h"
#include "model/blas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_kernels_of_before_avx2_are_not_for_a_processor_that_has_it(void **state)
{
    static const char *const old[] = {"Prescott", "Core2", "Nehalem", "Sandybridge", "Unknown"};
    const char *best = kernel_available(KERNEL_AVX512) ? "SkylakeX" : "Haswell";
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        if (kernel_available(KERNEL_AVX2))
            assert_string_equal(blas_better_core(old[i], NULL), best);
        else
            assert_null(blas_better_core(old[i], NULL));
}

static void test_what_openblas_knows_is_left_to_it(void **state)
{
    static const char *const known[] = {"Haswell",  "Zen",        "Excavator",
                                        "SkylakeX", "Cooperlake", "SapphireRapids"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_null(blas_better_core(known[i], NULL));
}

static void test_what_the_environment_says_goes(void **state)
{
    assert_null(blas_better_core("Prescott", "Prescott"));
    assert_null(blas_better_core("Prescott", ""));
}

/* Else the program would start itself for ever. */
static void test_what_it_asks_for_is_not_asked_for_again(void **state)
{
    const char *core = blas_better_core("Prescott", NULL);
    if (core != NULL)
        assert_null(blas_better_core("Prescott", core));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels_of_before_avx2_are_not_for_a_processor_that_has_it),
        cmocka_unit_test(test_what_openblas_knows_is_left_to_it),
        cmocka_unit_test(test_what_the_environment_says_goes),
        cmocka_unit_test(test_what_it_asks_for_is_not_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
