#include "model/whatif.h"
#include "scorer_world.h"

#define SEEDS 40

/* The same scores but for the item sums' last bits, in which one of two orders of adding shows. */
static void assert_same_list(const struct whatif *supposed, const struct slate_list *list)
{
    assert_int_equal(supposed->after_count, list->count);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct whatif_place *place = &supposed->places[i];
        assert_int_equal(place->after, i + 1);
        assert_int_equal(place->item, list->items[i].item);
        assert_true(fabsf(place->score_after - list->items[i].score) <=
                    4e-7f * fabsf(list->items[i].score));
    }
}

static void assert_list_before(const struct whatif *supposed, const struct slate_list *list)
{
    assert_int_equal(supposed->before_count, list->count);
    uint32_t found = 0;
    for (uint32_t i = 0; i < supposed->count; i++) {
        const struct whatif_place *place = &supposed->places[i];
        if (place->before == 0)
            continue;
        found++;
        assert_int_equal(place->item, list->items[place->before - 1].item);
        assert_true(place->score_before == list->items[place->before - 1].score);
    }
    assert_int_equal(found, list->count);
}

static uint16_t number_of(struct world *world, int type)
{
    return history_type_number(world->history, (uint16_t)type);
}

/* Supposes some events of one user, then has them really come, and compares. */
static void suppose_and_see(struct world *world, uint32_t number, int type, uint32_t count)
{
    struct user *user = find_user(world, number);
    struct slate_list before, again, after;
    struct whatif supposed;
    struct error err;
    uint32_t items[WHATIF_ITEMS_MAX], numbers[WHATIF_ITEMS_MAX];
    for (uint32_t i = 0; i < count; i++)
        for (items[i] = IDS_NONE; items[i] == IDS_NONE;)
            items[i] = item_of(world, numbers[i] = draw(world, ITEMS));
    explain_list(world->scorer, user, -1, &before);
    assert_int_equal(
        whatif(world->scorer, user, items, count, number_of(world, type), &supposed, &err), 0);
    assert_list_before(&supposed, &before);
    explain_list(world->scorer, user, -1, &again);
    assert_list_before(&supposed, &again); /* nothing has changed by asking */
    for (uint32_t i = 0; i < count; i++)
        add_event(world, number, numbers[i], type, supposed.now_ms, 1);
    learn(world);
    explain_list(world->scorer, find_user(world, number), -1, &after);
    assert_same_list(&supposed, &after);
    explain_list_free(&before);
    explain_list_free(&again);
    explain_list_free(&after);
    whatif_deinit(&supposed);
}

static void test_the_supposed_list_is_what_such_an_event_makes(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world *world = drawn_world(seed, seed % 2 ? UPDATE_ALS : UPDATE_SGD);
        for (uint32_t round = 0; round < 30; round++) {
            uint32_t number = draw(world, USERS), type = draw(world, TYPES);
            suppose_and_see(world, number, (int)type, 1 + draw(world, 4));
        }
        world_free(world);
    }
}

/* Everything behind lists, bit for bit. */
static void test_supposing_leaves_all_as_it_was(void **state)
{
    struct world *world = drawn_world(1, UPDATE_ALS);
    world->weights = (struct score_weights){.taste = 1,
                                            .trend = 0.3,
                                            .trend_half_life = 3,
                                            .rho = 1,
                                            .together = 2,
                                            .together_of = {0.8, PAIRS_EVER, true}};
    install_generation(world);
    struct scorer_parts parts;
    scorer_parts(world->scorer, &parts);
    struct user *user = find_user(world, 3);
    const struct user_record *record = user->record;
    uint32_t items[] = {item_of(world, 1), item_of(world, 2), item_of(world, 1)};
    size_t bytes = parts.trend->count * sizeof(double);
    double *trend = mem_alloc(bytes), *use = mem_alloc(bytes);
    memcpy(trend, parts.trend->gathered, bytes);
    memcpy(use, parts.together->use.gathered, bytes);
    const struct pairs *pairs = parts.together->pairs[1];
    while (pairs_table(pairs, items[0]) == NULL)
        items[0] = items[2] = items[0] + 1;
    int64_t applied = pairs_table(pairs, items[0])->applied;
    uint32_t bytes_before = record->bytes;
    struct whatif supposed;
    assert_int_equal(whatif(world->scorer, user, items, 3, number_of(world, VIEW), &supposed, NULL),
                     0);
    assert_memory_equal(trend, parts.trend->gathered, bytes);
    assert_memory_equal(use, parts.together->use.gathered, bytes);
    assert_ptr_equal(parts.together->pairs[1], pairs);
    assert_int_equal(pairs_table(pairs, items[0])->applied, applied);
    assert_ptr_equal(user->record, record);
    assert_int_equal(record->bytes, bytes_before);
    whatif_deinit(&supposed);
    free(trend);
    free(use);
    world_free(world);
}

static void test_changes_are_counted(void **state)
{
    struct world *world = drawn_world(2, UPDATE_ALS);
    struct user *user = find_user(world, 2);
    struct whatif supposed;
    struct slate_list before;
    explain_list(world->scorer, user, -1, &before);
    uint32_t bought = before.items[0].item;
    assert_int_equal(
        whatif(world->scorer, user, &bought, 1, number_of(world, BUY), &supposed, NULL), 0);
    const struct whatif_place *last = &supposed.places[supposed.count - 1];
    assert_true(supposed.left >= 1 && last->after == 0 && last->before >= 1);
    uint32_t entered = 0, left = 0, moved = 0;
    for (uint32_t i = 0; i < supposed.count; i++) {
        const struct whatif_place *place = &supposed.places[i];
        entered += place->before == 0;
        left += place->after == 0;
        moved += place->before != 0 && place->after != 0 && place->before != place->after;
        if (place->item == bought)
            assert_int_equal(place->after, 0);
    }
    assert_int_equal(supposed.entered, entered);
    assert_int_equal(supposed.left, left);
    assert_int_equal(supposed.moved, moved);
    assert_true(supposed.jaccard > 0 && supposed.jaccard <= 1);
    assert_true(supposed.rbo > 0 && supposed.rbo <= 1);
    explain_list_free(&before);
    whatif_deinit(&supposed);
    world_free(world);
}

static void test_nothing_supposed_changes_nothing(void **state)
{
    struct world *world = drawn_world(5, UPDATE_SGD);
    struct whatif supposed;
    assert_int_equal(whatif(world->scorer, find_user(world, 2), NULL, 0, 0, &supposed, NULL), 0);
    assert_int_equal(supposed.entered + supposed.left + supposed.moved, 0);
    assert_true(supposed.jaccard == 0 && supposed.rbo == 0);
    whatif_deinit(&supposed);
    world_free(world);
}

static void test_a_stranger_may_be_supposed(void **state)
{
    struct world *world = drawn_world(4, UPDATE_ALS);
    struct user nobody = {.id = SLICE("nobody"), .partition = 1};
    uint32_t item = item_of(world, 3);
    struct whatif supposed;
    assert_int_equal(
        whatif(world->scorer, &nobody, &item, 1, number_of(world, VIEW), &supposed, NULL), 0);
    assert_true(supposed.after_count > 0);
    whatif_deinit(&supposed);
    world_free(world);
}

static void test_before_any_event_there_is_no_time_to_suppose_one_at(void **state)
{
    struct world *world = world_new(1, UPDATE_ALS);
    const struct item_record record = {
        .present = true, .available_from_ms = INT64_MIN, .available_until_ms = INT64_MAX};
    describe(world, 1, &record);
    struct user nobody = {.id = SLICE("nobody")};
    uint32_t item = item_of(world, 1);
    struct whatif supposed;
    struct error err = {0};
    assert_int_equal(whatif(world->scorer, &nobody, &item, 1, 0, &supposed, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "no event has come"));
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_supposed_list_is_what_such_an_event_makes),
        cmocka_unit_test(test_supposing_leaves_all_as_it_was),
        cmocka_unit_test(test_changes_are_counted),
        cmocka_unit_test(test_nothing_supposed_changes_nothing),
        cmocka_unit_test(test_a_stranger_may_be_supposed),
        cmocka_unit_test(test_before_any_event_there_is_no_time_to_suppose_one_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
