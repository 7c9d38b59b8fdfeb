/* The sums of a trial, kept event by event, against sums of the users as they are. */
#include "model/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEED 4711u
#define RUNS 50
#define USERS 30
#define EVENTS 2000
#define TRIALS 3

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return (uint32_t)(random_state >> 33) % below;
}

static struct trial_counts count(const struct trial_counts *before, uint64_t trial, uint32_t rank)
{
    struct outcome outcome = {trial, rank};
    return trial_count(before, &outcome, 0);
}

/* `exactly` only what whole numbers make; reciprocal ranks are rounded once an event and sum. */
static void assert_near(double have, double want, double events)
{
    if (fabs(have - want) > 4 * events * 0x1p-52 * (1 + fabs(want)))
        fail_msg("have %.17g, want %.17g", have, want);
}

static void assert_same_sums(const struct trial_sums *have, const struct trial_sums *want)
{
    assert_int_equal(have->users, want->users);
    assert_int_equal(have->events, want->events);
    assert_int_equal(have->hits10, want->hits10);
    assert_int_equal(have->hits20, want->hits20);
    assert_true(have->nn == want->nn && have->nh == want->nh && have->hh == want->hh);
    assert_near(have->rr, want->rr, EVENTS);
    assert_near(have->nr, want->nr, EVENTS);
    assert_near(have->r2, want->r2, EVENTS);
}

/* -- one event --------------------------------------------------------------------------------- */

static void test_an_event_counts_by_the_rank_of_its_item(void **at)
{
    struct trial_counts counts = {0};
    static const uint32_t ranks[] = {1, 10, 11, 20, 21, 0};
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++)
        counts = count(&counts, 7, ranks[i]);
    assert_int_equal(counts.trial, 7);
    assert_int_equal(counts.events, 6);
    assert_int_equal(counts.hits10, 2);
    assert_int_equal(counts.hits20, 4);
    assert_true(fabs(counts.rr - (1 + 1.0 / 10 + 1.0 / 11 + 1.0 / 20)) < 1e-15);
}

static void test_a_user_begins_with_zeros_in_another_trial(void **at)
{
    struct trial_counts one = count(&(struct trial_counts){0}, 7, 1);
    struct outcome outcome = {8, 0};
    struct trial_counts other = trial_count(&one, &outcome, 99);
    assert_int_equal(other.trial, 8);
    assert_int_equal(other.begun, 99);
    assert_int_equal(other.events, 1);
    assert_int_equal(other.hits20, 0);
    assert_true(other.rr == 0);
}

/* -- many -------------------------------------------------------------------------------------- */

/* What became of all users: in each trial, everybody who ever counted in it and did not leave. */
struct world {
    struct trial_counts users[USERS];
    struct trial_counts left[EVENTS]; /* what somebody had in a trial when going on to another */
    size_t left_count;
    struct trial_sums sums[TRIALS];
};

static void take_event(struct world *world)
{
    struct trial_counts *user = &world->users[draw(USERS)];
    uint64_t trial = draw(8) == 0 || user->trial == 0 ? 1 + draw(TRIALS) : user->trial;
    struct trial_counts none = {0};
    struct trial_counts before = user->trial == trial ? *user : none;
    if (user->trial != 0 && user->trial != trial)
        world->left[world->left_count++] = *user;
    *user = count(user, trial, draw(25));
    trial_replace(&world->sums[trial - 1], &before, user);
}

static void forget_user(struct world *world)
{
    struct trial_counts *user = &world->users[draw(USERS)];
    if (user->trial != 0)
        trial_remove(&world->sums[user->trial - 1], user);
    *user = (struct trial_counts){0};
}

static void add_if_of(struct trial_sums *sums, uint64_t trial, const struct trial_counts *counts)
{
    if (counts->trial == trial)
        trial_add(sums, counts);
}

static void assert_sums_are_of_the_users(const struct world *world)
{
    for (uint64_t trial = 1; trial <= TRIALS; trial++) {
        struct trial_sums sums = {0};
        for (size_t i = 0; i < USERS; i++)
            add_if_of(&sums, trial, &world->users[i]);
        for (size_t i = 0; i < world->left_count; i++)
            add_if_of(&sums, trial, &world->left[i]);
        assert_same_sums(&world->sums[trial - 1], &sums);
    }
}

static void test_sums_kept_by_event_are_those_of_the_users(void **at)
{
    print_message("seed %u\n", SEED);
    random_state = SEED;
    for (int run = 0; run < RUNS; run++) {
        struct world *world = calloc(1, sizeof *world);
        for (int i = 0; i < EVENTS; i++) {
            if (draw(20) == 0)
                forget_user(world);
            else
                take_event(world);
        }
        assert_sums_are_of_the_users(world);
        free(world);
    }
}

static void test_the_last_user_leaves_nothing_behind(void **at)
{
    random_state = SEED;
    struct trial_sums sums = {0}, nothing = {0};
    struct trial_counts users[USERS] = {0};
    for (int i = 0; i < EVENTS; i++) {
        struct trial_counts *user = &users[draw(USERS)], before = *user;
        *user = count(user, 1, draw(25));
        trial_replace(&sums, &before, user);
    }
    for (size_t i = 0; i < USERS; i++)
        trial_remove(&sums, &users[i]);
    assert_memory_equal(&sums, &nothing, sizeof sums);
}

static void test_merged_sums_are_those_of_all_users(void **at)
{
    struct trial_counts a = count(&(struct trial_counts){0}, 1, 2);
    struct trial_counts b = count(&(struct trial_counts){0}, 1, 4);
    struct trial_sums first = {0}, second = {0}, both = {0};
    trial_add(&first, &a);
    trial_add(&second, &b);
    trial_add(&both, &a);
    trial_add(&both, &b);
    trial_merge(&first, &second);
    assert_memory_equal(&first, &both, sizeof both);
}

/* The formula of the header, on users whose variance is had the long way. */
static void test_the_variance_over_users_can_be_had_from_the_sums(void **at)
{
    static const uint32_t events[] = {4, 1, 9, 2}, hits[] = {1, 1, 3, 0};
    enum { U = 4 };
    struct trial_sums sums = {0};
    for (int u = 0; u < U; u++) {
        struct trial_counts counts = {.trial = 1, .events = events[u], .hits20 = hits[u]};
        trial_add(&sums, &counts);
    }
    double N = (double)sums.events, p = (double)sums.hits20 / N, long_way = 0;
    for (int u = 0; u < U; u++) /* residuals h - p n have mean 0 */
        long_way += (hits[u] - p * events[u]) * (hits[u] - p * events[u]);
    double var = (sums.hh - 2 * p * sums.nh + p * p * sums.nn) / (N * N) * U / (U - 1);
    assert_true(fabs(var - long_way / (N * N) * U / (U - 1)) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_counts_by_the_rank_of_its_item),
        cmocka_unit_test(test_a_user_begins_with_zeros_in_another_trial),
        cmocka_unit_test(test_sums_kept_by_event_are_those_of_the_users),
        cmocka_unit_test(test_the_last_user_leaves_nothing_behind),
        cmocka_unit_test(test_merged_sums_are_those_of_all_users),
        cmocka_unit_test(test_the_variance_over_users_can_be_had_from_the_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
