/* Which arm a user is in: uniform, stable, and nobody moves who need not. */
#include "model/arms.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SEED 44u
#define USERS 100000
#define CHANGES 20000

/* A fixed salt and fixed users give a fixed figure: if the hash is uniform, one salt in a million
 * would have been rejected, and we have not gone looking for one that is not. */
#define NORMAL_QUANTILE_1E6 4.7534

/* The worst excess of CHANGES random changes, of all users (docs/ARMS.md names it). */
#define WORST_EXCESS 0.47

static double draw(void)
{
    return rand() / (RAND_MAX + 1.0);
}

static struct slice user_id(uint32_t user)
{
    static char text[16];
    int length = snprintf(text, sizeof text, "u%u", user);
    return (struct slice){text, (uint32_t)length};
}

/* Wilson and Hilferty 1931: the cube root of chi-square / k is nearly normal. */
static double chi_square_limit(double degrees)
{
    double spread = 2 / (9 * degrees);
    return degrees * pow(1 - spread + NORMAL_QUANTILE_1E6 * sqrt(spread), 3);
}

static double chi_square(const uint32_t *found, const double *shares, uint32_t count, double total)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += pow(found[i] - shares[i] * total, 2) / (shares[i] * total);
    return sum;
}

/* Control first, then `count` - 1 arms of these shares. */
static void make(struct arms *arms, const char *salt, const double *shares, uint32_t count)
{
    struct arm_share list[ARMS_MAX] = {{.name = "control", .control = true}};
    for (uint32_t arm = 1; arm < count && arm < ARMS_MAX; arm++)
        list[arm] = (struct arm_share){.name = "arm", .share = shares[arm]};
    arms_init(arms, slice_of(salt), list, count);
}

static uint32_t buckets_moved(const struct arms *a, const struct arms *b)
{
    uint32_t moved = 0;
    for (uint32_t bucket = 0; bucket < ARM_BUCKETS; bucket++)
        moved += a->owner[bucket] != b->owner[bucket];
    return moved;
}

/* Any change from these counts of buckets to those must move as many as some arms lose. */
static uint32_t buckets_that_must_move(const struct arms *a, const struct arms *b)
{
    uint32_t lost = 0;
    for (uint32_t arm = 0; arm < ARMS_MAX; arm++)
        lost += a->owned[arm] > b->owned[arm] ? a->owned[arm] - b->owned[arm] : 0;
    return lost;
}

static uint32_t between_others(const struct arms *a, const struct arms *b)
{
    uint32_t moved = 0;
    for (uint32_t bucket = 0; bucket < ARM_BUCKETS; bucket++)
        moved += a->owner[bucket] != b->owner[bucket] && a->owner[bucket] && b->owner[bucket];
    return moved;
}

static void test_arms_get_the_users_their_shares_say(void **state)
{
    static struct arms arms;
    double shares[] = {0.45, 0.1, 0.25, 0.15, 0.05};
    uint32_t found[5] = {0};
    make(&arms, "salt", shares, 5);
    for (uint32_t user = 0; user < USERS; user++)
        found[arms_of(&arms, user_id(user))]++;
    assert_true(chi_square(found, shares, 5, USERS) < chi_square_limit(4));
}

static void test_arms_spread_users_evenly_over_a_hundred_stretches(void **state)
{
    static struct arms arms;
    double even[100];
    uint32_t found[100] = {0};
    make(&arms, "another", (double[]){1}, 1);
    for (uint32_t bucket = 0; bucket < ARM_BUCKETS; bucket++)
        arms.owner[bucket] = (uint8_t)(bucket / 100);
    for (uint32_t i = 0; i < 100; i++)
        even[i] = 0.01;
    for (uint32_t user = 0; user < USERS; user++)
        found[arms_of(&arms, user_id(user))]++;
    assert_true(chi_square(found, even, 100, USERS) < chi_square_limit(99));
}

/* Two salts: users of one arm are spread over the other experiment's arms as everybody is. */
static void test_arms_of_two_salts_have_nothing_to_do_with_each_other(void **state)
{
    static struct arms one, two;
    make(&one, "s1", (double[]){0, 0.5}, 2);
    make(&two, "s2", (double[]){0, 0.5}, 2);
    uint32_t found[4] = {0};
    for (uint32_t user = 0; user < USERS; user++)
        found[2 * arms_of(&one, user_id(user)) + arms_of(&two, user_id(user))]++;
    assert_true(chi_square(found, (double[]){.25, .25, .25, .25}, 4, USERS) < chi_square_limit(3));
}

static void test_arms_own_each_bucket_once_and_as_many_as_their_share(void **state)
{
    static struct arms arms;
    double shares[] = {0.3, 0.2, 0.00005, 0.49995, 0};
    make(&arms, "salt", shares, 5);
    uint32_t found[5] = {0};
    for (uint32_t bucket = 0; bucket < ARM_BUCKETS; bucket++)
        found[arms.owner[bucket]]++;
    for (uint32_t arm = 0; arm < 5; arm++)
        assert_int_equal(found[arm], arms.owned[arm]);
    assert_int_equal(arms.owned[1], 2000);
    assert_int_equal(arms.owned[2], 1); /* half a bucket, rounded up */
    assert_int_equal(arms.owned[3], 5000);
    assert_int_equal(arms.owned[4], 0);
    assert_int_equal(arms.owned[0], 2999);
}

static void test_arms_with_share_one_leave_nobody_to_control(void **state)
{
    static struct arms arms;
    make(&arms, "salt", (double[]){0, 1}, 2);
    for (uint32_t user = 0; user < 1000; user++)
        assert_int_equal(arms_of(&arms, user_id(user)), 1);
}

static void test_arms_whose_rounded_shares_exceed_all_still_fill_the_table_once(void **state)
{
    static struct arms arms;
    double seventh = 1.0 / 7;
    make(&arms, "salt",
         (double[]){0, seventh, seventh, seventh, seventh, seventh, seventh, seventh}, 8);
    uint32_t sum = 0;
    for (uint32_t arm = 1; arm < 8; arm++) {
        assert_in_range(arms.owned[arm], 1428, 1429);
        sum += arms.owned[arm];
    }
    assert_int_equal(sum, ARM_BUCKETS);
    assert_int_equal(arms.owned[0], 0);
}

static void test_arms_without_any_but_control_have_everybody_in_it(void **state)
{
    static struct arms arms;
    make(&arms, "", (double[]){1}, 1);
    for (uint32_t user = 0; user < 1000; user++)
        assert_int_equal(arms_of(&arms, user_id(user)), 0);
}

static void test_arms_begin_where_the_header_says(void **state)
{
    static struct arms arms;
    make(&arms, "salt", (double[]){0, 0.01, 0.01, 0.01, 0.01, 0.01}, 6);
    const uint32_t starts[] = {0, 5000, 2500, 7500, 1250};
    for (uint32_t arm = 1; arm < 6; arm++) {
        assert_int_equal(arms.owner[starts[arm - 1]], arm);
        assert_int_equal(arms.owner[starts[arm - 1] + 99], arm);
        assert_int_equal(arms.owner[starts[arm - 1] + 100], 0);
    }
}

/* The largest share that keeps `arms` stretches apart. */
static double room_of(uint32_t arms)
{
    return arms <= 1 ? 1 : arms <= 2 ? 0.5 : arms <= 4 ? 0.25 : arms <= 8 ? 0.125 : 0.0625;
}

/* Random shares for `count` arms, control first, each at most `most`, together at most 1. */
static void random_shares(double shares[ARMS_MAX], uint32_t count, double most)
{
    double left = 1;
    memset(shares, 0, ARMS_MAX * sizeof *shares);
    for (uint32_t arm = 1; arm < count; arm++) {
        shares[arm] = draw() * fmin(most, left);
        left -= shares[arm];
    }
}

static void test_arms_a_changed_share_moves_exactly_its_difference(void **state)
{
    static struct arms before, after;
    srand(SEED);
    for (int i = 0; i < CHANGES / 10; i++) {
        uint32_t count = 2 + (uint32_t)(draw() * (ARMS_MAX - 1)), arm;
        double shares[ARMS_MAX], room = room_of(count - 1);
        random_shares(shares, count, room);
        make(&before, "salt", shares, count);
        arm = 1 + (uint32_t)(draw() * (count - 1));
        double others = 0;
        for (uint32_t other = 1; other < count; other++)
            others += other == arm ? 0 : shares[other];
        shares[arm] = draw() * fmin(room, 1 - others);
        make(&after, "salt", shares, count);
        assert_int_equal(between_others(&before, &after), 0);
        assert_int_equal(buckets_moved(&before, &after),
                         labs((long)before.owned[arm] - (long)after.owned[arm]));
    }
}

static void test_arms_added_or_removed_at_the_end_move_their_own_users_alone(void **state)
{
    static struct arms fewer, more;
    srand(SEED);
    for (int i = 0; i < CHANGES / 10; i++) {
        uint32_t count = 3 + (uint32_t)(draw() * (ARMS_MAX - 2));
        double shares[ARMS_MAX];
        random_shares(shares, count, room_of(count - 1));
        make(&fewer, "salt", shares, count - 1);
        make(&more, "salt", shares, count);
        assert_int_equal(buckets_moved(&fewer, &more), more.owned[count - 1]);
    }
}

static void test_arms_that_became_shadows_or_nothing_keep_the_places_of_the_others(void **state)
{
    static struct arms published, shadowed;
    struct arm_share list[] = {{.name = "a", .share = 0.1},
                               {.name = "b", .share = 0.2},
                               {.name = "control", .control = true},
                               {.name = "c", .share = 0.25}};
    arms_init(&published, SLICE("salt"), list, 4);
    list[0].shadow = true;
    arms_init(&shadowed, SLICE("salt"), list, 4);
    assert_int_equal(buckets_moved(&published, &shadowed), 1000);
    assert_int_equal(shadowed.owned[1], 2000);
    assert_int_equal(shadowed.owned[2], 5500);
}

static void test_arms_do_not_mind_where_control_stands(void **state)
{
    static struct arms first, last;
    struct arm_share list[] = {{.name = "control", .control = true},
                               {.name = "a", .share = 0.1},
                               {.name = "b", .share = 0.2},
                               {.name = "control", .control = true}};
    arms_init(&first, SLICE("salt"), list, 3);
    arms_init(&last, SLICE("salt"), list + 1, 3);
    for (uint32_t user = 0; user < 10000; user++)
        assert_int_equal((arms_of(&first, user_id(user)) + 2) % 3, arms_of(&last, user_id(user)));
}

/* Any shares, also such as meet: nobody is lost, and what moves too much is bounded as the docs
 * say. */
static void test_arms_that_meet_move_no_more_than_the_worst_that_is_documented(void **state)
{
    static struct arms before, after;
    srand(SEED);
    uint32_t worst = 0, exact = 0;
    for (int i = 0; i < CHANGES; i++) {
        uint32_t count = 2 + (uint32_t)(draw() * (ARMS_MAX - 1)), arm;
        double shares[ARMS_MAX], left = 1;
        random_shares(shares, count, 1);
        make(&before, "salt", shares, count);
        arm = 1 + (uint32_t)(draw() * (count - 1));
        for (uint32_t other = 1; other < count; other++)
            left -= other == arm ? 0 : shares[other];
        shares[arm] = draw() * left;
        make(&after, "salt", shares, count);
        uint32_t excess = buckets_moved(&before, &after) - buckets_that_must_move(&before, &after);
        worst = excess > worst ? excess : worst;
        exact += excess == 0;
    }
    print_message("seed %u: of %d random changes %u move nobody in excess, the worst %.4f\n", SEED,
                  CHANGES, exact, (double)worst / ARM_BUCKETS);
    assert_true((double)worst / ARM_BUCKETS <= WORST_EXCESS);
}

static void test_arms_shadows_are_drawn_apart_from_the_published_arms(void **state)
{
    static struct arms arms;
    struct arm_share list[] = {{.name = "control", .control = true},
                               {.name = "a", .share = 0.5},
                               {.name = "s", .share = 0.5, .shadow = true},
                               {.name = "t", .share = 0.5, .shadow = true}};
    arms_init(&arms, SLICE("salt"), list, 4);
    uint32_t found[8] = {0};
    for (uint32_t user = 0; user < USERS; user++) {
        struct slice id = user_id(user);
        found[4 * arms_of(&arms, id) + 2 * arms_shadows(&arms, 2, id) +
              arms_shadows(&arms, 3, id)]++;
        assert_false(arms_shadows(&arms, 0, id) || arms_shadows(&arms, 1, id));
    }
    const double even[] = {.125, .125, .125, .125, .125, .125, .125, .125};
    assert_true(chi_square(found, even, 8, USERS) < chi_square_limit(7));
}

static void test_arms_a_larger_shadow_keeps_the_users_it_had(void **state)
{
    static struct arms small, large;
    struct arm_share list[] = {{.name = "control", .control = true},
                               {.name = "s", .share = 0.2, .shadow = true}};
    arms_init(&small, SLICE("salt"), list, 2);
    list[1].share = 0.3;
    arms_init(&large, SLICE("salt"), list, 2);
    for (uint32_t user = 0; user < 10000; user++)
        if (arms_shadows(&small, 1, user_id(user)))
            assert_true(arms_shadows(&large, 1, user_id(user)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arms_get_the_users_their_shares_say),
        cmocka_unit_test(test_arms_spread_users_evenly_over_a_hundred_stretches),
        cmocka_unit_test(test_arms_of_two_salts_have_nothing_to_do_with_each_other),
        cmocka_unit_test(test_arms_own_each_bucket_once_and_as_many_as_their_share),
        cmocka_unit_test(test_arms_with_share_one_leave_nobody_to_control),
        cmocka_unit_test(test_arms_whose_rounded_shares_exceed_all_still_fill_the_table_once),
        cmocka_unit_test(test_arms_without_any_but_control_have_everybody_in_it),
        cmocka_unit_test(test_arms_begin_where_the_header_says),
        cmocka_unit_test(test_arms_a_changed_share_moves_exactly_its_difference),
        cmocka_unit_test(test_arms_added_or_removed_at_the_end_move_their_own_users_alone),
        cmocka_unit_test(test_arms_that_became_shadows_or_nothing_keep_the_places_of_the_others),
        cmocka_unit_test(test_arms_do_not_mind_where_control_stands),
        cmocka_unit_test(test_arms_that_meet_move_no_more_than_the_worst_that_is_documented),
        cmocka_unit_test(test_arms_shadows_are_drawn_apart_from_the_published_arms),
        cmocka_unit_test(test_arms_a_larger_shadow_keeps_the_users_it_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
