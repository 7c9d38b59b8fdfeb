/* Fold-in against the normal equations, built and solved here in float64 by Gaussian elimination:
 * no line of product code is shared. */
#include "model/foldin.h"
#include "base/kernel.h"
#include "model/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED 20240602

struct problem {
    struct basis basis;
    struct hyperparameters hyper;
    float *Y;
    double *g;
    struct pair *pairs;
    size_t count;
    float *x;
    double *exact, *residual; /* [rank] */
};

static uint64_t random_state = SEED;

static double uniform(void) /* [0, 1) */
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 11) * 0x1p-53;
}

static double normal(void)
{
    return sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform());
}

/* Random factors whose columns fall off like a real spectrum. g is the diagonal of Y'Y and need be
 * nothing else here: the equations are what they are for any diagonal. */
static struct problem problem_new(int rank, size_t rows, size_t count, double scale, double p_scale)
{
    struct problem problem = {.count = count};
    size_t stride = ((size_t)rank + 15) / 16 * 16;
    problem.Y = aligned_alloc(64, rows * stride * sizeof(float));
    problem.g = calloc((size_t)rank, sizeof(double));
    problem.pairs = calloc(count + 1, sizeof(struct pair));
    problem.x = calloc(stride, sizeof(float));
    problem.exact = calloc((size_t)rank, sizeof(double));
    problem.residual = calloc((size_t)rank, sizeof(double));
    memset(problem.Y, 0, rows * stride * sizeof(float));
    for (size_t row = 0; row < rows; row++)
        for (size_t k = 0; k < (size_t)rank; k++) {
            float y = (float)(scale * normal() / (1 + 0.2 * (double)k));
            problem.Y[row * stride + k] = y;
            problem.g[k] += (double)y * (double)y;
        }
    for (size_t i = 0; i < count; i++) {
        float c = (float)(p_scale * (0.1 + uniform()));
        problem.pairs[i] = (struct pair){(uint32_t)(i * 7919 % rows), c, c};
    }
    problem.basis = (struct basis){problem.Y, problem.g, rows, stride, rank};
    problem.hyper = (struct hyperparameters){OBJECTIVE_IALS, rank, 0.1, 0.01, 1, LAMBDA_COUNT};
    return problem;
}

static void problem_free(struct problem *problem)
{
    free(problem->Y);
    free(problem->g);
    free(problem->pairs);
    free(problem->x);
    free(problem->exact);
    free(problem->residual);
}

/* A x = c by elimination with partial pivoting; A: [n, n] and c destroyed, c becomes x. */
static void gauss(double *A, double *c, size_t n)
{
    for (size_t step = 0; step < n; step++) {
        size_t pivot = step;
        for (size_t row = step + 1; row < n; row++)
            if (fabs(A[row * n + step]) > fabs(A[pivot * n + step]))
                pivot = row;
        for (size_t k = 0; k < n && pivot != step; k++) {
            double swap = A[step * n + k];
            A[step * n + k] = A[pivot * n + k];
            A[pivot * n + k] = swap;
        }
        double swap = c[step];
        c[step] = c[pivot];
        c[pivot] = swap;
        for (size_t row = step + 1; row < n; row++) {
            double factor = A[row * n + step] / A[step * n + step];
            for (size_t k = step; k < n; k++)
                A[row * n + k] -= factor * A[step * n + k];
            c[row] -= factor * c[step];
        }
    }
    for (size_t row = n; row-- > 0;) {
        for (size_t k = row + 1; k < n; k++)
            c[row] -= A[row * n + k] * c[k];
        c[row] /= A[row * n + row];
    }
}

/* Fills `exact`, and `residual` with b - A x of the x at hand; returns |b|. */
static double solve_exactly(struct problem *problem)
{
    size_t n = (size_t)problem->basis.rank;
    double *A = calloc(n * n, sizeof *A), b_squared = 0;
    double lambda = problem->hyper.lambda_scaling == LAMBDA_COUNT
                        ? problem->hyper.lambda * (double)problem->count
                        : problem->hyper.lambda;
    memset(problem->exact, 0, n * sizeof(double));
    for (size_t k = 0; k < n; k++)
        A[k * n + k] = problem->hyper.w0 * problem->g[k] + lambda;
    for (size_t i = 0; i < problem->count; i++) {
        const float *y = problem->Y + problem->pairs[i].row * problem->basis.stride;
        for (size_t k = 0; k < n; k++) {
            problem->exact[k] += (double)problem->pairs[i].q * (double)y[k];
            for (size_t j = 0; j < n; j++)
                A[k * n + j] += (double)problem->pairs[i].p * (double)y[k] * (double)y[j];
        }
    }
    for (size_t k = 0; k < n; k++) {
        b_squared += problem->exact[k] * problem->exact[k];
        problem->residual[k] = problem->exact[k];
        for (size_t j = 0; j < n; j++)
            problem->residual[k] -= A[k * n + j] * (double)problem->x[j];
    }
    gauss(A, problem->exact, n);
    free(A);
    return sqrt(b_squared);
}

static double norm(const double *v, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += v[k] * v[k];
    return sqrt(sum);
}

/* The largest error of a score, relative to the largest score. */
static double score_error(const struct problem *problem)
{
    double worst = 0, largest = 0;
    for (size_t row = 0; row < problem->basis.rows; row++) {
        double error = 0, score = 0;
        for (size_t k = 0; k < (size_t)problem->basis.rank; k++) {
            double y = (double)problem->Y[row * problem->basis.stride + k];
            error += ((double)problem->x[k] - problem->exact[k]) * y;
            score += problem->exact[k] * y;
        }
        worst = fmax(worst, fabs(error));
        largest = fmax(largest, fabs(score));
    }
    return worst / largest;
}

static int solve(struct problem *problem)
{
    struct foldin_scratch *scratch = foldin_scratch_new(problem->basis.rank);
    int steps = foldin_solve(&problem->basis, &problem->hyper, problem->pairs, problem->count,
                             problem->x, scratch);
    foldin_scratch_free(scratch);
    return steps;
}

static void test_scores_are_those_of_the_exact_solution(void **state)
{
    static const int ranks[] = {1, 2, 15, 16, 17, 31, 48, 63, 64, 65, 96, 128, 200};
    static const size_t counts[] = {1, 2, 3, 10, 50, 64, 200, 999};
    printf("seed %d\n", SEED);
    for (size_t r = 0; r < sizeof ranks / sizeof *ranks; r++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            struct problem problem = problem_new(ranks[r], 1009, counts[c], 0.3, 1);
            assert_true(solve(&problem) >= 0);
            solve_exactly(&problem);
            /* The preconditioned system's condition number is below some 1e2 here (each pair adds
             * p y'D^-1 y < 1), so a residual of 1e-6 leaves at most 1e-4. */
            assert_true(score_error(&problem) < 1e-4);
            problem_free(&problem);
        }
}

static void test_the_residual_is_what_was_promised(void **state)
{
    for (size_t count = 1; count <= 300; count += 13) {
        struct problem problem = problem_new(64, 503, count, 0.3, 1);
        assert_true(solve(&problem) >= 0);
        double b = solve_exactly(&problem);
        /* Float32's own rounding of A x: |A| |x| 2^-24 sqrt(n), of the order of |b| 1e-6. */
        assert_true(norm(problem.residual, 64) <= b * (FOLDIN_RESIDUAL + 3e-6));
        problem_free(&problem);
    }
}

static void test_scales_from_tiny_to_huge_are_solved(void **state)
{
    static const double scales[] = {1e-12, 1e-8, 1e-4, 1, 1e3, 1e6};
    static const double confidences[] = {1e-6, 1e-3, 1, 1e3, 1e6, 1e8};
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
        for (size_t c = 0; c < sizeof confidences / sizeof *confidences; c++) {
            struct problem problem = problem_new(32, 211, 40, scales[s], confidences[c]);
            problem.hyper.lambda = 0.01 * scales[s] * scales[s]; /* keep the same problem's shape */
            int steps = solve(&problem);
            solve_exactly(&problem);
            /* The condition number is below foldin.c's bound for CG, 1e5, else Cholesky in float64
             * has done it: the error is at most 1e5 * 1e-6 in the worst direction, and two orders
             * less in what scores see. */
            double error = score_error(&problem);
            if (error >= 1e-3)
                print_error("scale %g, confidence %g: %d steps, error %g\n", scales[s],
                            confidences[c], steps, error);
            assert_true(error < 1e-3);
            problem_free(&problem);
        }
}

static void test_what_cg_cannot_do_cholesky_does(void **state)
{
    struct problem problem = problem_new(64, 307, 30, 1, 1e7);
    assert_true(solve(&problem) < 0);
    solve_exactly(&problem);
    assert_true(score_error(&problem) < 1e-5);
    problem_free(&problem);
}

static void test_a_few_steps_are_enough(void **state)
{
    /* Measured 12 to 15 for such rows. Where directions are no longer conjugate it is 18 to 27, and
     * nothing but the time taken would show it. */
    for (int trial = 0; trial < 50; trial++) {
        struct problem problem = problem_new(64, 2003, 30, 0.3, 10);
        assert_in_range(solve(&problem), 1, 16);
        problem_free(&problem);
    }
}

static void test_a_warm_start_at_the_solution_takes_no_step(void **state)
{
    struct problem problem = problem_new(64, 307, 30, 0.3, 1);
    solve_exactly(&problem);
    for (size_t k = 0; k < 64; k++)
        problem.x[k] = (float)problem.exact[k];
    assert_true(solve(&problem) <= 1); /* rounded to float32 it may miss by a hair */
    problem_free(&problem);
}

static void test_the_starting_point_does_not_matter(void **state)
{
    struct problem problem = problem_new(48, 307, 60, 0.3, 1);
    for (size_t k = 0; k < 48; k++)
        problem.x[k] = (float)normal();
    assert_true(solve(&problem) >= 0);
    solve_exactly(&problem);
    assert_true(score_error(&problem) < 1e-4);
    problem_free(&problem);
}

static void test_no_pairs_are_the_zero_vector(void **state)
{
    struct problem problem = problem_new(20, 11, 0, 1, 1);
    for (size_t k = 0; k < problem.basis.stride; k++)
        problem.x[k] = 5;
    assert_int_equal(solve(&problem), 0);
    for (size_t k = 0; k < problem.basis.stride; k++)
        assert_true(problem.x[k] == 0);
    problem_free(&problem);
}

static void test_dislikes_and_p_unlike_q_are_solved(void **state)
{
    struct problem problem = problem_new(40, 307, 60, 0.3, 1);
    for (size_t i = 0; i < problem.count; i++) {
        problem.pairs[i].p = i % 3 == 0 ? 2.0f : 0.5f;
        problem.pairs[i].q = i % 3 == 0 ? 0 : 1.5f;
    }
    assert_true(solve(&problem) >= 0);
    solve_exactly(&problem);
    assert_true(score_error(&problem) < 1e-4);
    problem_free(&problem);
}

static void test_lambda_is_not_scaled_unless_asked(void **state)
{
    struct problem problem = problem_new(24, 307, 60, 0.3, 1);
    problem.hyper.lambda = 3;
    problem.hyper.lambda_scaling = LAMBDA_NONE;
    assert_true(solve(&problem) >= 0);
    solve_exactly(&problem);
    assert_true(score_error(&problem) < 1e-4);
    problem_free(&problem);
}

static void test_an_item_of_zeros_says_nothing(void **state)
{
    struct problem problem = problem_new(24, 31, 1, 0.3, 1);
    memset(problem.Y + problem.pairs[0].row * problem.basis.stride, 0, 24 * sizeof(float));
    solve(&problem);
    for (size_t k = 0; k < 24; k++)
        assert_true(problem.x[k] == 0);
    problem_free(&problem);
}

static void test_an_unsolvable_row_is_zero_and_finite(void **state)
{
    /* No regularization, no w0: rank 24 from 3 pairs has no inverse. */
    struct problem problem = problem_new(24, 31, 3, 0.3, 1);
    problem.hyper.lambda = problem.hyper.w0 = 0;
    solve(&problem);
    for (size_t k = 0; k < 24; k++)
        assert_true(isfinite(problem.x[k]));
    problem_free(&problem);
}

/* The largest difference of a score between two solutions, relative to the largest score. */
static double score_difference(const struct problem *problem, const float *a, const float *b)
{
    double worst = 0, largest = 0;
    for (size_t row = 0; row < problem->basis.rows; row++) {
        double difference = 0, score = 0;
        for (size_t k = 0; k < (size_t)problem->basis.rank; k++) {
            double y = (double)problem->Y[row * problem->basis.stride + k];
            difference += ((double)a[k] - (double)b[k]) * y;
            score += (double)a[k] * y;
        }
        worst = fmax(worst, fabs(difference));
        largest = fmax(largest, fabs(score));
    }
    return worst / largest;
}

/* sum |q| |y| / |b|: how much of the sum cancels, and takes its rounding errors along. */
static double cancellation(struct problem *problem)
{
    double sum = 0;
    for (size_t i = 0; i < problem->count; i++) {
        double squares = 0;
        const float *y = problem->Y + problem->pairs[i].row * problem->basis.stride;
        for (int k = 0; k < problem->basis.rank; k++)
            squares += (double)y[k] * (double)y[k];
        sum += fabs((double)problem->pairs[i].q) * sqrt(squares);
    }
    return sum / solve_exactly(problem);
}

/* From the problem's x to its x, by a kernel. */
static int solve_by(enum kernel kernel, struct problem *problem)
{
    enum kernel best = kernel_chosen();
    assert_true(kernel_force(kernel));
    int steps = solve(problem);
    assert_true(kernel_force(best));
    return steps;
}

static void assert_kernel_is_its_twin(enum kernel kernel, struct problem *problem, bool warm)
{
    size_t stride = problem->basis.stride;
    float *plain = calloc(stride, sizeof *plain);
    for (int k = 0; k < problem->basis.rank; k++)
        problem->x[k] = plain[k] = warm ? (float)(0.1 * normal()) : 0;
    int steps = solve_by(kernel, problem);
    float *fast = problem->x;
    problem->x = plain;
    int plain_steps = solve_by(KERNEL_PLAIN, problem);
    problem->x = fast;
    /* Sums in another order move a residual across the threshold by a step, and which of the two
     * is Cholesky's never. Both are within 1e-6 of |b| and the rounding of b, 2^-24 of what cancels
     * in it; the condition is below some 1e2. */
    assert_true(abs(steps - plain_steps) <= 2);
    double allowed = 1e2 * (1e-6 + 0x1p-24 * cancellation(problem));
    double difference = score_difference(problem, fast, plain);
    if (difference >= allowed)
        print_error("%s, rank %d, %zu pairs, %s: %d and %d steps, scores differ by %g\n",
                    kernel_names[kernel], problem->basis.rank, problem->count,
                    warm ? "warm" : "cold", steps, plain_steps, difference);
    assert_true(difference < allowed);
    for (size_t k = (size_t)problem->basis.rank; k < stride; k++)
        assert_true(fast[k] == 0);
    free(plain);
}

static void test_every_kernel_is_its_plain_twin(void **state)
{
    static const int ranks[] = {1, 7, 16, 40, 64, 65, 96, 128, 200};
    static const size_t counts[] = {1, 7, 8, 9, 16, 50, 71, 300, 2100};
    for (int kernel = KERNEL_AVX2; kernel < KERNEL_COUNT; kernel++) {
        if (!kernel_available((enum kernel)kernel)) {
            print_message("%s is not of this processor\n", kernel_names[kernel]);
            continue;
        }
        for (size_t r = 0; r < sizeof ranks / sizeof *ranks; r++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
                for (int warm = 0; warm < 2; warm++) {
                    struct problem problem = problem_new(ranks[r], 2503, counts[c], 0.3, 1);
                    assert_kernel_is_its_twin((enum kernel)kernel, &problem, warm);
                    problem_free(&problem);
                }
    }
}

static void test_every_kernel_gives_up_where_its_twin_does(void **state)
{
    for (int kernel = KERNEL_PLAIN; kernel < KERNEL_COUNT; kernel++) {
        if (!kernel_available((enum kernel)kernel))
            continue;
        struct problem problem = problem_new(64, 307, 30, 1, 1e7);
        assert_true(solve_by((enum kernel)kernel, &problem) < 0);
        solve_exactly(&problem);
        assert_true(score_error(&problem) < 1e-5);
        problem_free(&problem);
    }
}

static void test_rows_asked_for_ahead_change_nothing(void **state)
{
    struct problem problem = problem_new(64, 307, 60, 0.3, 1);
    struct foldin_scratch *scratch = foldin_scratch_new(64);
    float alone[64] = {0};
    foldin_solve(&problem.basis, &problem.hyper, problem.pairs, 21, alone, scratch);
    foldin_solve_to(&problem.basis, &problem.hyper, problem.pairs, 21, 39, FOLDIN_RESIDUAL,
                    problem.x, scratch);
    assert_memory_equal(alone, problem.x, sizeof alone);
    foldin_scratch_free(scratch);
    problem_free(&problem);
}

static void test_a_coarser_residual_is_kept_in_fewer_steps(void **state)
{
    struct problem problem = problem_new(64, 503, 50, 0.3, 1);
    struct foldin_scratch *scratch = foldin_scratch_new(64);
    int exact = solve(&problem);
    memset(problem.x, 0, 64 * sizeof *problem.x);
    int coarse = foldin_solve_to(&problem.basis, &problem.hyper, problem.pairs, problem.count, 0,
                                 1e-2, problem.x, scratch);
    assert_in_range(coarse, 1, exact - 1);
    double b = solve_exactly(&problem);
    assert_true(norm(problem.residual, 64) <= b * (1e-2 + 3e-6));
    foldin_scratch_free(scratch);
    problem_free(&problem);
}

/* As in a generation: trained-like factors in the eigenbasis of their own Gram matrix. */
static void into_eigenbasis(struct problem *problem)
{
    size_t f = (size_t)problem->basis.rank;
    double *G = calloc(2 * f * f, sizeof *G);
    blas_gram(problem->Y, problem->basis.rows, problem->basis.stride, (int)f, G);
    assert_int_equal(blas_eigen(G, (int)f, G + f * f, problem->g, NULL), 0);
    blas_rotate(problem->Y, problem->basis.rows, problem->basis.stride, (int)f, G + f * f);
    free(G);
}

static void test_fold_in_equals_the_re_solve_in_every_objective(void **state)
{
    static const enum objective objectives[] = {OBJECTIVE_IALS, OBJECTIVE_HU, OBJECTIVE_IMPLICIT};
    static const enum lambda_scaling scalings[] = {LAMBDA_NONE, LAMBDA_COUNT};
    static const size_t counts[] = {1, 5, 50, 300};
    double worst = 0;
    for (int trial = 0; trial < 24 * 6; trial++) {
        enum objective objective = objectives[trial % 3];
        size_t count = counts[trial / 6 % 4];
        struct problem problem = problem_new(trial / 24 % 2 ? 64 : 128, 2003, count, 0.3, 1);
        into_eigenbasis(&problem);
        problem.hyper.objective = objective;
        problem.hyper.lambda_scaling = scalings[trial / 3 % 2];
        problem.hyper.w0 = objective == OBJECTIVE_IALS ? 0.1 : 1;
        for (size_t i = 0; i < count; i++) {
            float c = 1 + (float)(9 * uniform());
            bool dislike = i % 10 == 9;
            problem.pairs[i].p = objective == OBJECTIVE_IMPLICIT && !dislike ? c - 1 : c;
            problem.pairs[i].q = dislike ? 0 : objective == OBJECTIVE_HU ? 1 + c : c;
        }
        assert_true(solve(&problem) >= 0);
        solve_exactly(&problem);
        worst = fmax(worst, score_error(&problem));
        problem_free(&problem);
    }
    print_message("worst error of a score: %.2g of the largest\n", worst);
    assert_true(worst <= 1e-5); /* what was promised */
}

static void test_a_vector_off_the_boundary_is_taken(void **state)
{
    struct problem problem = problem_new(32, 307, 30, 0.3, 1);
    float *memory = calloc(problem.basis.stride + 1, sizeof *memory), *kept = problem.x;
    problem.x = memory + 1; /* 4 bytes past where malloc begins: on no vector's boundary */
    assert_true(solve(&problem) >= 0);
    solve_exactly(&problem);
    assert_true(score_error(&problem) < 1e-4);
    problem.x = kept;
    free(memory);
    problem_free(&problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_are_those_of_the_exact_solution),
        cmocka_unit_test(test_the_residual_is_what_was_promised),
        cmocka_unit_test(test_scales_from_tiny_to_huge_are_solved),
        cmocka_unit_test(test_what_cg_cannot_do_cholesky_does),
        cmocka_unit_test(test_a_few_steps_are_enough),
        cmocka_unit_test(test_a_warm_start_at_the_solution_takes_no_step),
        cmocka_unit_test(test_the_starting_point_does_not_matter),
        cmocka_unit_test(test_no_pairs_are_the_zero_vector),
        cmocka_unit_test(test_dislikes_and_p_unlike_q_are_solved),
        cmocka_unit_test(test_lambda_is_not_scaled_unless_asked),
        cmocka_unit_test(test_an_item_of_zeros_says_nothing),
        cmocka_unit_test(test_an_unsolvable_row_is_zero_and_finite),
        cmocka_unit_test(test_every_kernel_is_its_plain_twin),
        cmocka_unit_test(test_every_kernel_gives_up_where_its_twin_does),
        cmocka_unit_test(test_rows_asked_for_ahead_change_nothing),
        cmocka_unit_test(test_a_coarser_residual_is_kept_in_fewer_steps),
        cmocka_unit_test(test_fold_in_equals_the_re_solve_in_every_objective),
        cmocka_unit_test(test_a_vector_off_the_boundary_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
