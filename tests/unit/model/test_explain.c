#include "model/explain.h"
#include "scorer_world.h"

#define SEEDS 60

/* -- how near a sum of terms is to the score --------------------------------------------------- */

static double length_of(const float *x)
{
    double square = 0;
    for (int k = 0; k < RANK; k++)
        square += (double)x[k] * (double)x[k];
    return sqrt(square);
}

/* What |x_u| cannot be above on its way, step by step, and |b|: sum of q |y|. */
static double reach(const struct scorer_parts *parts, const struct user_record *record,
                    int64_t now_ms)
{
    struct pair pairs[64];
    double reach = 0;
    bool steps = parts->settings->update == UPDATE_SGD;
    for (uint32_t i = 0; i < (steps ? record->interaction_count : 1); i++) {
        const struct interaction *at = user_interactions(record) + i;
        size_t count = confidence_pairs(at, steps ? 1 : record->interaction_count, parts->types,
                                        &parts->generation->hyper, steps ? 1 : parts->weights->rho,
                                        steps ? at->ts_ms : now_ms, parts->columns->row_of,
                                        parts->columns->items, pairs);
        for (size_t p = 0; p < count; p++)
            reach += (double)pairs[p].q *
                     length_of(parts->generation->Y + pairs[p].row * parts->generation->stride) *
                     (steps ? parts->settings->sgd_rate : 1);
    }
    return reach;
}

/* als: x leaves a residual r <= 1e-6 |b|, and y.(x - A^-1 b) = (A^-1 y).r <= |y| |r| / lambda; the
 * residual that the iteration carries along drifts from the true one by as much again. sgd: each of
 * at most 20 steps rounds x, at most `reach` long, some four times. The sum itself: some 20
 * operations of float32 on its terms. */
static double tolerance(const struct scorer_parts *parts, const struct user *user,
                        const struct explain *explain)
{
    double sizes = fabs(explain->sums[EXPLAIN_TREND]) + explain->sums[EXPLAIN_TOGETHER];
    if (explain->user_has_factors && explain->item_has_factors) {
        const struct hyperparameters *hyper = &parts->generation->hyper;
        uint32_t row = parts->columns->row_of[explain->item];
        double y = length_of(parts->generation->Y + row * parts->generation->stride);
        double most = reach(parts, user->record, explain->now_ms) * y * parts->weights->taste;
        if (parts->settings->update == UPDATE_SGD)
            return (80 * most + 20 * sizes) * 0x1p-24;
        sizes += most / hyper->lambda;
        return 2e-6 * most / hyper->lambda + 20 * sizes * 0x1p-24;
    }
    return 20 * sizes * 0x1p-24;
}

static void assert_terms_add_up(struct world *world, struct user *user, const struct explain *why)
{
    struct scorer_parts parts;
    double total = 0;
    scorer_parts(world->scorer, &parts);
    for (size_t i = 0; i < why->count; i++)
        total += why->terms[i].score;
    assert_true(fabs(total - why->total) <= 1e-12 * (1 + fabs(total)));
    if (why->rank == 0)
        return;
    double off = fabs(why->total - (double)why->list_score);
    if (!(off <= tolerance(&parts, user, why)))
        fail_msg("the terms make %.9g, the list says %.9g, which may be off by %g", why->total,
                 (double)why->list_score, tolerance(&parts, user, why));
}

struct tally { /* of items, over users and worlds */
    uint32_t listed, explored, discounted;
};

/* Each item of each user's list, and all others' places against their reasons. */
static struct tally check_world(struct world *world)
{
    struct tally tally = {0};
    for (uint32_t number = 0; number < USERS; number++) {
        struct user *user = find_user(world, number);
        for (uint32_t i = 0; i < ITEMS; i++) {
            struct explain why;
            explain(world->scorer, user, item_of(world, i), &why);
            assert_terms_add_up(world, user, &why);
            if (why.out != 0)
                assert_int_equal(why.rank, 0);
            else if (why.rank == 0)
                assert_int_equal(why.list_count, N); /* crowded out, nothing else */
            if (why.out == 0 && why.rank == 0)
                assert_true(why.total <= (double)why.last_score + 1e-4);
            tally.listed += why.rank != 0;
            tally.explored += why.propensity > 0;
            tally.discounted += why.sums[EXPLAIN_IMPRESSIONS] < 0;
            explain_deinit(&why);
        }
    }
    return tally;
}

static void test_the_terms_add_up_to_the_score_in_the_list(void **state)
{
    struct tally all = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world *world = drawn_world(seed, seed % 2 ? UPDATE_ALS : UPDATE_SGD);
        struct tally tally = check_world(world);
        all.listed += tally.listed;
        all.explored += tally.explored;
        all.discounted += tally.discounted;
        world_free(world);
    }
    assert_true(all.listed > SEEDS * USERS * 10); /* and it was about something */
    assert_true(all.explored > SEEDS && all.discounted > SEEDS);
}

/* -- taste --------------------------------------------------------------------------------------*/

/* A world of taste alone, where it is easy to say what must come out. */
static struct world *tasteful(enum update update)
{
    struct world *world = world_new(4, update);
    for (int type = 0; type < TYPES; type++)
        world->types[type].half_life_ms = 0, world->types[type].value = VALUE_NONE,
        world->types[type].cap = 100;
    scorer_free(world->scorer);
    world->scorer = scorer_new(world->history, &world->settings);
    world->hyper.objective = OBJECTIVE_IALS;
    world->hyper.lambda_scaling = LAMBDA_NONE;
    world->weights = (struct score_weights){.taste = 0.7, .trend_half_life = 3, .rho = 1};
    install_generation(world);
    return world;
}

/* Where the fold-in is linear: with one event alone, its term is the whole taste. */
static void test_one_event_has_all_of_the_taste(void **state)
{
    for (int update = 0; update < 2; update++) {
        struct world *world = tasteful((enum update)update);
        add_event(world, 2, 5, VIEW, START_MS, 1);
        add_event(world, 4, 6, VIEW, START_MS, 1);
        learn(world);
        struct explain why;
        explain(world->scorer, find_user(world, 2), item_of(world, 6), &why);
        assert_true(why.user_has_factors && why.item_has_factors);
        assert_int_equal(why.count, 2); /* the event, and a trend of nothing */
        assert_int_equal(why.terms[1].kind, EXPLAIN_TASTE);
        assert_int_equal(why.terms[1].item, item_of(world, 5));
        assert_true(fabs(why.terms[1].score - why.total) < 1e-12);
        assert_true(why.total != 0);
        explain_deinit(&why);
        world_free(world);
    }
}

/* Two events of one item at one time with the same weight are alike; three times the weight of
 * another type is three times the share. */
static void test_events_of_one_item_share_by_their_confidence(void **state)
{
    struct world *world = tasteful(UPDATE_ALS);
    add_event(world, 2, 5, VIEW, START_MS, 1);
    add_event(world, 2, 5, VIEW, START_MS, 1);
    add_event(world, 2, 5, WISH, START_MS, 1);
    learn(world);
    struct explain why;
    explain(world->scorer, find_user(world, 2), item_of(world, 5), &why);
    const struct explain_term *wish = &why.terms[1], *view = &why.terms[2];
    double ratio = world->types[WISH].weight / world->types[VIEW].weight;
    assert_int_equal(wish->event.type, history_type_number(world->history, WISH));
    assert_true(fabs(view[0].score - view[1].score) < 1e-12);
    assert_true(fabs(wish->score - ratio * view->score) < 1e-12);
    assert_true(fabs(wish->event.confidence - ratio * view->event.confidence) < 1e-12);
    explain_deinit(&why);
    world_free(world);
}

static void test_what_is_over_the_cap_is_shared_too(void **state)
{
    struct world *world = tasteful(UPDATE_ALS);
    world->types[VIEW].cap = world->types[VIEW].weight; /* of one */
    scorer_free(world->scorer);
    world->scorer = scorer_new(world->history, &world->settings);
    install_generation(world);
    for (int i = 0; i < 4; i++)
        add_event(world, 2, 5, VIEW, START_MS, 1);
    learn(world);
    struct explain why;
    explain(world->scorer, find_user(world, 2), item_of(world, 5), &why);
    double whole = world->hyper.alpha * world->types[VIEW].weight;
    for (int i = 1; i <= 4; i++)
        assert_true(fabs(why.terms[i].event.confidence - whole / 4) < 1e-12);
    explain_deinit(&why);
    world_free(world);
}

/* It adds nothing of its own; it is what the others add that gets less or more. */
static void test_a_dislike_is_in_the_matrix_alone(void **state)
{
    for (int update = 0; update < 2; update++) {
        struct world *world = tasteful((enum update)update);
        add_event(world, 2, 5, VIEW, START_MS, 1);
        learn(world);
        struct explain before, after;
        explain(world->scorer, find_user(world, 2), item_of(world, 5), &before);
        add_event(world, 2, 6, DISLIKE, START_MS + 1, 1);
        learn(world);
        explain(world->scorer, find_user(world, 2), item_of(world, 5), &after);
        assert_int_equal(after.count, 3);
        assert_true(after.terms[1].event.confidence < 0); /* newest first */
        assert_true(after.terms[1].score == 0);
        assert_true(after.terms[2].score != before.terms[1].score);
        explain_deinit(&before);
        explain_deinit(&after);
        world_free(world);
    }
}

/* -- who has what -------------------------------------------------------------------------------*/

static void test_before_the_first_generation_there_is_trend_alone(void **state)
{
    struct world *world = world_new(0, UPDATE_ALS);
    live(world, 50);
    struct user *user = find_user(world, 3);
    struct explain why;
    explain(world->scorer, user, user_interactions(user->record)[0].item, &why);
    assert_int_equal(why.generation, 0);
    assert_false(why.user_has_factors || why.item_has_factors);
    assert_int_equal(why.count, 1 + user->record->interaction_count);
    for (size_t i = 1; i < why.count; i++)
        assert_true(why.terms[i].kind == EXPLAIN_TASTE && why.terms[i].score == 0);
    assert_true(fabs(why.total - log1p(why.terms[0].trend.count)) < 1e-12);
    explain_deinit(&why);
    world_free(world);
}

static void test_a_stranger_has_the_popular_list(void **state)
{
    struct world *world = drawn_world(1, UPDATE_ALS);
    struct user nobody = {.id = SLICE("nobody"), .partition = 1};
    struct slate popular = {0};
    struct explain why;
    scorer_add_popular(world->scorer, &popular);
    scorer_run(world->scorer, &popular);
    explain(world->scorer, &nobody, popular.lists[0].items[2].item, &why);
    assert_int_equal(why.rank, 3);
    assert_int_equal(why.count, 1);
    explain_deinit(&why);
    explain(world->scorer, NULL, popular.lists[0].items[2].item, &why);
    assert_int_equal(why.rank, 3);
    explain_deinit(&why);
    slate_deinit(&popular);
    world_free(world);
}

static void test_an_item_nobody_named_is_unknown(void **state)
{
    struct world *world = drawn_world(1, UPDATE_ALS);
    struct explain why;
    explain(world->scorer, find_user(world, 1), IDS_NONE, &why);
    assert_int_equal(why.out, EXPLAIN_UNKNOWN);
    assert_int_equal(why.item, ITEM_NONE);
    assert_int_equal(why.count, 0);
    assert_true(why.total == 0);
    assert_int_equal(why.rank, 0);
    explain_deinit(&why);
    world_free(world);
}

static unsigned out_of(struct world *world, uint32_t item)
{
    struct explain why;
    explain(world->scorer, find_user(world, 2), item_of(world, item), &why);
    unsigned out = why.out;
    assert_int_equal(why.rank == 0, out != 0); /* few items: all that may be are in the list */
    explain_deinit(&why);
    return out;
}

static void test_every_reason_to_be_left_out_is_told(void **state)
{
    struct world *world = world_new(1, UPDATE_ALS);
    install_generation(world);
    int64_t now_ms = START_MS;
    const struct item_record blocked = {.present = true,
                                        .blocked = true,
                                        .available_from_ms = INT64_MIN,
                                        .available_until_ms = INT64_MAX};
    const struct item_record later = {
        .present = true, .available_from_ms = now_ms + 1, .available_until_ms = INT64_MAX};
    const struct item_record gone = {
        .present = true, .available_from_ms = INT64_MIN, .available_until_ms = now_ms};
    struct slice category = SLICE("hidden");
    const struct item_record hidden = {.present = true,
                                       .available_from_ms = INT64_MIN,
                                       .available_until_ms = INT64_MAX,
                                       .categories = &category,
                                       .category_count = 1};
    for (uint32_t item = 0; item < 7; item++)
        add_event(world, 2, item, item == 5 ? BUY : VIEW, now_ms, 1);
    learn(world);
    describe(world, 1, &blocked);
    describe(world, 2, &later);
    describe(world, 3, &gone);
    describe(world, 4, &hidden);
    describe(world, 5, &blocked);
    assert_int_equal(out_of(world, 0), 0);
    assert_int_equal(out_of(world, 1), EXPLAIN_BLOCKED);
    assert_int_equal(out_of(world, 2), EXPLAIN_NOT_YET);
    assert_int_equal(out_of(world, 3), EXPLAIN_NO_LONGER);
    assert_int_equal(out_of(world, 4), EXPLAIN_CATEGORY);
    assert_int_equal(out_of(world, 5), EXPLAIN_SEEN | EXPLAIN_BLOCKED);
    assert_int_equal(out_of(world, 6), 0);
    world_free(world);
}

static void test_explaining_changes_no_list(void **state)
{
    struct world *world = drawn_world(7, UPDATE_SGD);
    struct user *user = find_user(world, 5);
    struct slate_list before, after;
    struct explain why;
    void *cache = user->cache;
    explain_list(world->scorer, user, -1, &before);
    explain(world->scorer, user, before.items[0].item, &why);
    explain_list(world->scorer, user, -1, &after);
    assert_int_equal(before.count, after.count);
    for (uint32_t i = 0; i < before.count; i++)
        assert_true(before.items[i].item == after.items[i].item &&
                    before.items[i].score == after.items[i].score);
    assert_ptr_equal(user->cache, cache);
    explain_list_free(&before);
    explain_list_free(&after);
    explain_deinit(&why);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_terms_add_up_to_the_score_in_the_list),
        cmocka_unit_test(test_one_event_has_all_of_the_taste),
        cmocka_unit_test(test_events_of_one_item_share_by_their_confidence),
        cmocka_unit_test(test_what_is_over_the_cap_is_shared_too),
        cmocka_unit_test(test_a_dislike_is_in_the_matrix_alone),
        cmocka_unit_test(test_before_the_first_generation_there_is_trend_alone),
        cmocka_unit_test(test_a_stranger_has_the_popular_list),
        cmocka_unit_test(test_an_item_nobody_named_is_unknown),
        cmocka_unit_test(test_every_reason_to_be_left_out_is_told),
        cmocka_unit_test(test_explaining_changes_no_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
