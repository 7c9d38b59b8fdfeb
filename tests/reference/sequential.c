/* What monitor/sequential.c makes of sums and counts, for test_sequential.py. Reads lines, `sums`
 * being USERS EVENTS SUM NN NS SS:
 *
 *     begin                                    forget the earlier looks
 *     rates SCALE LEVEL DROP sums-arm sums-control
 *         prints rate, low, high of the arm in the pool of both; uplift's mean, low, high,
 * relative, p; 1 if worse, else 0 ratio COUNT users... shares...           prints p and its
 * evidence */
#include "monitor/sequential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARMS_READ_MAX 16

static double number(void)
{
    const char *word = strtok(NULL, " \n");
    return word ? strtod(word, NULL) : 0;
}

static struct rate_sums read_sums(void)
{
    struct rate_sums sums = {.users = (uint64_t)number()};
    sums.events = (uint64_t)number();
    sums.sum = number();
    sums.nn = number();
    sums.ns = number();
    sums.ss = number();
    return sums;
}

static void rates(struct sequential *sequential)
{
    struct sequential_test test = {.scale = number()};
    test.level = number();
    double drop = number();
    struct rate_sums arm = read_sums(), control = read_sums(), pool = rate_add(&arm, &control);
    struct rate_interval rate = sequential_rate(&arm, &pool, test);
    struct uplift uplift = sequential_uplift(sequential, &arm, &control, test);
    printf("%.17g %.17g %.17g ", rate.mean, rate.low, rate.high);
    printf("%.17g %.17g %.17g ", uplift.mean, uplift.low, uplift.high);
    printf("%.17g %.17g %d\n", uplift.relative, uplift.p,
           sequential_worse(&arm, &control, drop, test));
}

static void ratio(struct sequential *sequential)
{
    uint64_t users[ARMS_READ_MAX];
    double shares[ARMS_READ_MAX];
    uint32_t count = (uint32_t)number();
    for (uint32_t arm = 0; arm < count && arm < ARMS_READ_MAX; arm++)
        users[arm] = (uint64_t)number();
    for (uint32_t arm = 0; arm < count && arm < ARMS_READ_MAX; arm++)
        shares[arm] = number();
    double p = sequential_ratio(sequential, users, shares, count);
    printf("%.17g %.17g\n", p, sequential->evidence);
}

int main(void)
{
    struct sequential sequential = {0};
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        const char *verb = strtok(line, " \n");
        if (strcmp(verb, "rates") == 0)
            rates(&sequential);
        else if (strcmp(verb, "ratio") == 0)
            ratio(&sequential);
        else
            sequential = (struct sequential){0};
    }
    return 0;
}
