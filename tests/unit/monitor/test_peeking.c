/* Somebody looks at experiments after every step, on simulated users: does the chance of a false
 * positive stay at its level, do the intervals hold the truth at all looks together, and is a true
 * effect found?
 *
 *     test_peeking            the tests
 *     test_peeking 10000      a table of all worlds, each simulated so often (docs/BENCHMARKS.md)
 */
#include "peeking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define SEED 46u
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SIMULATIONS 150
#else
#define SIMULATIONS 600
#endif

/* A test may fail by chance once in 3.5 million: so many standard deviations of a binomial. */
#define DEVIATIONS 5
#define LEVEL 0.05
#define SCALE 0.03 /* the one with most false positives in these worlds */
#define GUARD_DROP 0.2

static const struct sequential_test TEST = {.scale = SCALE, .level = LEVEL};

#define WORLDS(X)                                                                             \
    X(STEADY, "half, users coming", 400, 100, 8, .5, .12, 10, 2, 1, 0)                        \
    X(LIGHT, "half, users much alike", 400, 100, 8, .5, .12, 1000, 8, 1, 0)                   \
    X(ALL_THERE, "half, all users there", 400, 2000, 0, .5, .12, 10, 2, 1, 0)                 \
    X(GROWING, "half, later users 20 times as active", 400, 100, 8, .5, .12, 10, 2, 20, 0)    \
    X(DIFFER, "half, users of very different rates", 400, 100, 8, .5, .12, 1, 2, 1, 0)        \
    X(RARE, "half, one hit in a hundred", 400, 100, 16, .5, .01, 10, 2, 1, 0)                 \
    X(TENTH, "a tenth", 400, 200, 20, .1, .12, 10, 2, 1, 0)                                   \
    X(TENTH_HEAVY, "a tenth, few users with most events", 300, 500, 60, .1, .1, 2, 1.3, 1, 0) \
    X(TENTH_DIFFER, "a tenth, very different rates", 300, 500, 60, .1, .05, 1, 2, 1, 0)       \
    X(TWENTIETH, "a twentieth, very different rates", 300, 500, 60, .05, .1, 1, 2, 1, 0)

#define WORLD_NAME(id, ...) id,
#define WORLD_ROW(id, ...) [id] = {__VA_ARGS__},
enum { WORLDS(WORLD_NAME) WORLD_COUNT };
static const struct world worlds[WORLD_COUNT] = {WORLDS(WORLD_ROW)};

/* What was ever so, at any look of a simulation; then, of how many simulations. */
struct seen {
    uint32_t said;       /* anything at all */
    uint32_t z;          /* a fixed-horizon z-test said p < 0.05 */
    uint32_t plain;      /* the same test without the two rules of monitor/sequential.h */
    uint32_t positive;   /* the always-valid p was at most the level */
    uint32_t difference; /* the interval of the difference did not hold the true one */
    uint32_t arm;        /* nor the arm's its rate */
    uint32_t control;
    uint32_t worse; /* the guard's verdict */
};

static void add(struct seen *sum, const struct seen *one)
{
    sum->said += one->said;
    sum->z += one->z;
    sum->plain += one->plain;
    sum->positive += one->positive;
    sum->difference += one->difference;
    sum->arm += one->arm;
    sum->control += one->control;
    sum->worse += one->worse;
}

static bool outside(double truth, double low, double high)
{
    return truth < low || truth > high; /* NaN: nothing is said, so nothing wrong */
}

static void look_as_usual(const struct rate_sums *arm, const struct rate_sums *control,
                          struct seen *seen)
{
    if (arm->users < SEQUENTIAL_USERS_MIN || control->users < SEQUENTIAL_USERS_MIN)
        return;
    struct rate a = rate_of(arm), c = rate_of(control);
    double d = a.mean - c.mean, v = a.variance + c.variance, t = SCALE * SCALE;
    seen->z |= fabs(d) > 1.96 * sqrt(v);
    seen->plain |= t * d * d / (2 * v * (v + t)) - log1p(t / v) / 2 >= -log(LEVEL);
}

static void look(const struct sim *sim, const struct world *world, struct sequential *sequential,
                 struct seen *seen)
{
    const struct rate_sums *control = &sim->sums[0], *arm = &sim->sums[1];
    struct rate_sums pool = rate_add(arm, control);
    struct uplift uplift = sequential_uplift(sequential, arm, control, TEST);
    struct rate_interval a = sequential_rate(arm, &pool, TEST);
    struct rate_interval c = sequential_rate(control, &pool, TEST);
    double arm_rate = world->rate * (1 + world->effect);
    seen->said |= !isnan(uplift.low);
    seen->positive |= uplift.p <= LEVEL;
    seen->difference |= outside(arm_rate - world->rate, uplift.low, uplift.high);
    seen->arm |= outside(arm_rate, a.low, a.high);
    seen->control |= outside(world->rate, c.low, c.high);
    seen->worse |= sequential_worse(arm, control, GUARD_DROP, TEST);
}

static struct seen simulate(const struct world *world, uint64_t simulations)
{
    static struct sim sim;
    struct seen sum = {0};
    for (uint64_t i = 0; i < simulations; i++) {
        struct sequential sequential = {0};
        struct seen seen = {0};
        sim_begin(&sim, world, SEED + i * 1000003);
        for (uint32_t step = 0; step < world->steps; step++) {
            sim_step(&sim, world, step);
            look_as_usual(&sim.sums[1], &sim.sums[0], &seen);
            look(&sim, world, &sequential, &seen);
        }
        add(&sum, &seen);
    }
    return sum;
}

static double deviation(double share, double simulations)
{
    return DEVIATIONS * sqrt(share * (1 - share) * simulations);
}

static void assert_at_most(uint32_t count, double share, const char *what)
{
    double most = share * SIMULATIONS + deviation(share, SIMULATIONS);
    print_message("seed %u: %s in %u of %d, at most %.0f\n", SEED, what, count, SIMULATIONS, most);
    assert_true(count <= most);
}

static void assert_at_least(uint32_t count, double share, const char *what)
{
    double least = share * SIMULATIONS - deviation(share, SIMULATIONS);
    print_message("seed %u: %s in %u of %d, at least %.0f\n", SEED, what, count, SIMULATIONS,
                  least);
    assert_true(count >= least);
}

static struct seen check_level(const struct world *world)
{
    struct seen seen = simulate(world, SIMULATIONS);
    print_message("%s:\n", world->name);
    assert_at_most(seen.positive, LEVEL, "a false positive");
    assert_at_most(seen.difference, LEVEL, "a difference outside its interval");
    assert_at_most(seen.arm, LEVEL, "an arm's rate outside its interval");
    assert_at_most(seen.control, LEVEL, "control's rate outside its interval");
    return seen;
}

static void test_peeking_keeps_its_level_where_a_z_test_does_not(void **state)
{
    struct seen seen = check_level(&worlds[STEADY]);
    assert_at_least(seen.z, 4 * LEVEL, "a false positive of the z-test");
    assert_at_least(seen.said, 0.9, "anything said");
}

static void test_peeking_keeps_its_level_with_users_much_alike(void **state)
{
    check_level(&worlds[LIGHT]);
}

/* A world in which the plug-in variance alone does not keep the level. */
static void test_peeking_keeps_its_level_with_a_small_arm_of_very_different_users(void **state)
{
    struct seen seen = check_level(&worlds[TENTH_DIFFER]);
    assert_at_least(seen.plain, 1.5 * LEVEL, "a false positive without the two rules");
    assert_at_least(seen.said, 0.9, "anything said");
}

static void test_peeking_finds_an_effect_and_its_interval_holds_it(void **state)
{
    struct world world = worlds[LIGHT];
    world.effect = 0.3;
    struct seen seen = simulate(&world, SIMULATIONS);
    assert_at_least(seen.positive, 0.95, "the effect found");
    assert_at_most(seen.difference, LEVEL, "the effect outside its interval");
    assert_at_most(seen.worse, LEVEL, "a better arm stopped");
}

static void test_peeking_guard_spares_an_arm_that_is_just_not_worse_than_it_may(void **state)
{
    struct world world = worlds[LIGHT];
    world.effect = -GUARD_DROP;
    struct seen seen = simulate(&world, SIMULATIONS);
    assert_at_most(seen.worse, LEVEL, "an arm stopped that is worse by the drop and no more");
}

static void test_peeking_guard_stops_an_arm_that_is_much_worse(void **state)
{
    struct world world = worlds[LIGHT];
    world.effect = -0.6;
    struct seen seen = simulate(&world, SIMULATIONS);
    assert_at_least(seen.worse, 0.95, "a bad arm stopped");
}

#define RATIO_USERS 100000
#define RATIO_STEP 100 /* users between two looks */

/* How often of `simulations` the sample ratio was found wrong for two arms of a half, one of which
 * truly gets `share` of the users. `users`: how many it took, on average where it was. */
static uint32_t ratio_alarms(double share, uint64_t simulations, double *users)
{
    static struct sim sim;
    uint32_t alarms = 0;
    uint64_t taken = 0, below = sim_below(share);
    for (uint64_t i = 0; i < simulations; i++) {
        struct sequential sequential = {0};
        uint64_t counts[2] = {0};
        sim.random = SEED + i * 1000003;
        double p = 1;
        uint32_t user = 0;
        while (user < RATIO_USERS && p > LEVEL) {
            counts[sim_bits(&sim) < below]++;
            if (++user % RATIO_STEP == 0)
                p = sequential_ratio(&sequential, counts, (double[]){0.5, 0.5}, 2);
        }
        alarms += p <= LEVEL;
        taken += p <= LEVEL ? user : 0;
    }
    *users = alarms ? (double)taken / alarms : 0;
    return alarms;
}

static void test_peeking_at_the_sample_ratio_keeps_its_level(void **state)
{
    double users;
    assert_at_most(ratio_alarms(0.5, SIMULATIONS, &users), LEVEL, "a false alarm of the ratio");
}

static void test_peeking_at_the_sample_ratio_finds_a_skew_of_two_percent(void **state)
{
    double users;
    assert_at_least(ratio_alarms(0.51, SIMULATIONS, &users), 0.99, "51% for 50% found");
    print_message("after %.0f users on average\n", users);
}

static int print_figures(uint64_t simulations)
{
    double n = (double)simulations, users;
    printf("seed %u, %.0f simulations of each, level %g, scale %g\n\n", SEED, n, LEVEL, SCALE);
    puts("| the arm's users | z-test | mSPRT, plain | Freshet | difference missed | arm's rate "
         "missed | control's rate missed | nothing said |");
    puts("|---|---|---|---|---|---|---|---|");
    for (int world = 0; world < WORLD_COUNT; world++) {
        struct seen seen = simulate(&worlds[world], simulations);
        printf("| %s | %.4f | %.4f | **%.4f** | %.4f | %.4f | %.4f | %.3f |\n", worlds[world].name,
               seen.z / n, seen.plain / n, seen.positive / n, seen.difference / n, seen.arm / n,
               seen.control / n, 1 - seen.said / n);
        fflush(stdout);
    }
    puts("\n| true effect | found | outside its interval | guard of 20% |\n|---|---|---|---|");
    for (double effect = -0.6; effect < 0.7; effect += 0.2) {
        struct world world = worlds[LIGHT];
        world.effect = fabs(effect) < 0.1 ? 0 : effect;
        struct seen seen = simulate(&world, simulations);
        printf("| %+.0f%% | %.4f | %.4f | %.4f |\n", 100 * world.effect, seen.positive / n,
               seen.difference / n, seen.worse / n);
    }
    puts("\n| the arm's true share, of 0.5 | alarm within 100,000 users | after, on average |");
    puts("|---|---|---|");
    const double shares[] = {0.5, 0.505, 0.51, 0.52};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        double alarms = ratio_alarms(shares[i], simulations, &users);
        printf("| %.3f | %.4f | %.0f |\n", shares[i], alarms / n, users);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return print_figures(strtoull(argv[1], NULL, 10));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peeking_keeps_its_level_where_a_z_test_does_not),
        cmocka_unit_test(test_peeking_keeps_its_level_with_users_much_alike),
        cmocka_unit_test(test_peeking_keeps_its_level_with_a_small_arm_of_very_different_users),
        cmocka_unit_test(test_peeking_finds_an_effect_and_its_interval_holds_it),
        cmocka_unit_test(test_peeking_guard_spares_an_arm_that_is_just_not_worse_than_it_may),
        cmocka_unit_test(test_peeking_guard_stops_an_arm_that_is_much_worse),
        cmocka_unit_test(test_peeking_at_the_sample_ratio_keeps_its_level),
        cmocka_unit_test(test_peeking_at_the_sample_ratio_finds_a_skew_of_two_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
