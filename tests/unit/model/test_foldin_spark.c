/* Spark MLlib's user factors, reproduced by our fold-in from its item factors:
 * tests/golden/spark.tsv, which tests/golden/make_spark.py made. Objective hu, lambda scaled by
 * count. */
#include "base/mem.h"
#include "model/als.h"
#include "model/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { USERS_MAX = 100, ITEMS_MAX = 100, RATINGS_MAX = 100, RANK = 8, STRIDE = 16 };

struct golden {
    struct hyperparameters hyper;
    struct interaction ratings[USERS_MAX][RATINGS_MAX];
    size_t rating_count[USERS_MAX];
    float users[USERS_MAX][RANK];
    bool has_user[USERS_MAX];
    float Y[ITEMS_MAX * STRIDE] __attribute__((aligned(64)));
    uint32_t row_of[ITEMS_MAX];
    double g[RANK], V[RANK * RANK];
};

static void read_factors(char *fields, float *factors)
{
    for (size_t k = 0; k < RANK; k++)
        factors[k] = strtof(fields, &fields);
}

static void read_line(struct golden *golden, char *line)
{
    char name[32], kind[16];
    int used = 0;
    unsigned row, item;
    double value;
    if (sscanf(line, "setting\t%31s\t%lf", name, &value) == 2) {
        if (strcmp(name, "alpha") == 0)
            golden->hyper.alpha = value;
        if (strcmp(name, "regParam") == 0)
            golden->hyper.lambda = value;
    } else if (sscanf(line, "rating\t%u\t%u\t%lf", &row, &item, &value) == 3) {
        assert_true(row < USERS_MAX && item < ITEMS_MAX);
        size_t at = golden->rating_count[row]++;
        assert_true(at < RATINGS_MAX);
        golden->ratings[row][at] = (struct interaction){.item = item, .value = value};
    } else if (sscanf(line, "%15s\t%u%n", kind, &row, &used) == 2) {
        assert_true(row < USERS_MAX && row < ITEMS_MAX);
        bool user = strcmp(kind, "user") == 0;
        read_factors(line + used, user ? golden->users[row] : golden->Y + row * STRIDE);
        if (user)
            golden->has_user[row] = true;
        else
            golden->row_of[row] = row;
    }
}

static int read_golden(void **state)
{
    struct golden *golden = mem_try(1, sizeof *golden);
    golden->hyper = (struct hyperparameters){OBJECTIVE_HU, RANK, 1, 0, 0, LAMBDA_COUNT};
    memset(golden->row_of, 0xff, sizeof golden->row_of); /* ROW_NONE */
    FILE *file = fopen(FRESHET_SOURCE_DIR "/tests/golden/spark.tsv", "r");
    assert_non_null(file);
    char line[512];
    while (fgets(line, sizeof line, file) != NULL)
        read_line(golden, line);
    fclose(file);

    double G[RANK * RANK];
    blas_init();
    blas_gram(golden->Y, ITEMS_MAX, STRIDE, RANK, G);
    assert_int_equal(blas_eigen(G, RANK, golden->V, golden->g, NULL), 0);
    blas_rotate(golden->Y, ITEMS_MAX, STRIDE, RANK, golden->V);
    *state = golden;
    return 0;
}

static int free_golden(void **state)
{
    free(*state);
    return 0;
}

/* x in Spark's basis: x V' of ours. */
static void fold_in(const struct golden *golden, size_t user, double *x)
{
    struct type_weight types[1] = {{.weight = 1, .cap = INFINITY}};
    types[0].value = VALUE_LINEAR;
    struct pair pairs[RATINGS_MAX];
    size_t count = confidence_pairs(golden->ratings[user], golden->rating_count[user], types,
                                    &golden->hyper, 1, 0, golden->row_of, ITEMS_MAX, pairs);
    struct basis basis = {golden->Y, golden->g, ITEMS_MAX, STRIDE, RANK};
    struct foldin_scratch *scratch = foldin_scratch_new(RANK);
    float rotated[STRIDE] = {0};
    foldin_solve(&basis, &golden->hyper, pairs, count, rotated, scratch);
    foldin_scratch_free(scratch);
    for (size_t k = 0; k < RANK; k++) {
        x[k] = 0;
        for (size_t j = 0; j < RANK; j++)
            x[k] += (double)rotated[j] * golden->V[k * RANK + j];
    }
}

static void test_sparks_user_factors_are_our_fold_in(void **state)
{
    const struct golden *golden = *state;
    size_t compared = 0;
    double worst = 0;
    for (size_t user = 0; user < USERS_MAX; user++) {
        if (!golden->has_user[user])
            continue;
        double x[RANK], norm = 0, difference = 0;
        fold_in(golden, user, x);
        for (size_t k = 0; k < RANK; k++) {
            norm += (double)golden->users[user][k] * (double)golden->users[user][k];
            difference += pow((double)golden->users[user][k] - x[k], 2);
        }
        worst = fmax(worst, sqrt(difference / norm));
        compared++;
    }
    print_message("%zu users, worst relative difference %.2g\n", compared, worst);
    assert_int_equal(compared, 60);
    assert_true(worst <= 1e-5); /* what was promised; float32 itself leaves some 1e-7 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sparks_user_factors_are_our_fold_in),
    };
    return cmocka_run_group_tests(tests, read_golden, free_golden);
}
