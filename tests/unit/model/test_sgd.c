#include "model/sgd.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { RANK = 20, STRIDE = 32, ROWS = 12 };

static float Y[ROWS * STRIDE] __attribute__((aligned(64)));
static double g[RANK];
static const struct basis basis = {Y, g, ROWS, STRIDE, RANK};
static const struct hyperparameters hyper = {OBJECTIVE_IALS, RANK, 0.1, 0.01, 1, LAMBDA_NONE};

static double uniform(uint64_t *state) /* [-1, 1) */
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-52 - 1;
}

static int fill(void **state)
{
    uint64_t seed = 20240601;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int row = 0; row < ROWS; row++)
        for (int k = 0; k < RANK; k++) {
            Y[row * STRIDE + k] = (float)uniform(&seed);
            g[k] += (double)Y[row * STRIDE + k] * (double)Y[row * STRIDE + k];
        }
    return 0;
}

/* The two lines of model/sgd.h, in double. */
static void reference_step(const struct hyperparameters *h, double rate, const struct pair *pair,
                           uint32_t t, double *x)
{
    const float *y = Y + pair->row * STRIDE;
    double lambda = h->lambda_scaling == LAMBDA_COUNT ? h->lambda * t : h->lambda;
    double xy = 0, yy = 0;
    for (int k = 0; k < RANK; k++) {
        x[k] /= 1 + rate / t * (h->w0 * g[k] + lambda);
        xy += x[k] * (double)y[k];
        yy += (double)y[k] * (double)y[k];
    }
    double p = (double)pair->p, q = (double)pair->q;
    for (int k = 0; k < RANK; k++)
        x[k] += rate * (q - p * xy) / (1 + rate * (p > 0 ? p : 0) * yy) * (double)y[k];
}

static void test_a_hundred_steps_follow_the_formula(void **state)
{
    float x[STRIDE] = {0};
    double wanted[RANK] = {0};
    uint64_t seed = 7;
    for (uint32_t t = 1; t <= 100; t++) {
        struct pair pair = {t % ROWS, (float)(1 + uniform(&seed)), 1};
        sgd_step(&basis, &hyper, 0.05, &pair, t, x);
        reference_step(&hyper, 0.05, &pair, t, wanted);
    }
    /* Each step is a contraction, so rounding errors of 2^-24 of |x| <= 10 a step at most add up:
     * 100 * 10 * 6e-8. */
    for (int k = 0; k < RANK; k++)
        assert_true(fabs((double)x[k] - wanted[k]) <= 6e-5);
}

static void test_lambda_scaled_by_count_is_the_rows_lambda(void **state)
{
    struct hyperparameters scaled = hyper;
    scaled.lambda_scaling = LAMBDA_COUNT;
    scaled.lambda = 0.3;
    struct pair pair = {1, 1, 1};
    float x[STRIDE];
    double wanted[RANK];
    memset(x, 0, sizeof x);
    for (int k = 0; k < RANK; k++)
        wanted[k] = (double)(x[k] = 1);
    sgd_step(&basis, &scaled, 0.1, &pair, 5, x);
    reference_step(&scaled, 0.1, &pair, 5, wanted);
    for (int k = 0; k < RANK; k++)
        assert_true(fabs((double)x[k] - wanted[k]) <= 1e-6);
}

static double score(const float *x, uint32_t row)
{
    double sum = 0;
    for (int k = 0; k < RANK; k++)
        sum += (double)x[k] * (double)Y[row * STRIDE + k];
    return sum;
}

static void test_no_rate_overshoots(void **state)
{
    for (double rate = 0.01; rate < 1e7; rate *= 10) {
        float x[STRIDE] = {0};
        struct pair pair = {3, 1, 1};
        sgd_step(&basis, &hyper, rate, &pair, 1, x);
        assert_true(score(x, 3) > 0);
        assert_true(score(x, 3) <= 1 + 1e-6);
    }
}

static void test_repeating_a_pair_pulls_its_score_up(void **state)
{
    float x[STRIDE] = {0};
    struct pair pair = {2, 1, 1};
    double before = 0;
    for (uint32_t t = 1; t <= 5; t++) {
        sgd_step(&basis, &hyper, 0.02, &pair, t, x);
        assert_true(score(x, 2) > before);
        before = score(x, 2);
    }
}

static void test_padding_stays_zero(void **state)
{
    float x[STRIDE] = {0};
    struct pair pair = {2, 1, 1};
    sgd_step(&basis, &hyper, 0.5, &pair, 1, x);
    for (int k = RANK; k < STRIDE; k++)
        assert_true(x[k] == 0);
}

static void test_a_negative_p_keeps_the_step_finite(void **state)
{
    /* rate p |y|^2 = -1 would divide by zero if p below zero were taken as it is. */
    double yy = 0;
    for (int k = 0; k < RANK; k++)
        yy += (double)Y[k] * (double)Y[k];
    float x[STRIDE] = {0};
    struct pair pair = {0, (float)(-1 / yy), 1};
    sgd_step(&basis, &hyper, 1, &pair, 1, x);
    for (int k = 0; k < RANK; k++)
        assert_true(fabs((double)x[k]) <= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hundred_steps_follow_the_formula),
        cmocka_unit_test(test_lambda_scaled_by_count_is_the_rows_lambda),
        cmocka_unit_test(test_no_rate_overshoots),
        cmocka_unit_test(test_repeating_a_pair_pulls_its_score_up),
        cmocka_unit_test(test_padding_stays_zero),
        cmocka_unit_test(test_a_negative_p_keeps_the_step_finite),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
