/* The last steps of a list: in whole random worlds by the scorer, and by themselves on columns made
 * for it. */
#include "model/overlap.h"
#include "model/topn_select.h"
#include "scorer_world.h"

#define SEEDS 60

/* -- whole worlds ------------------------------------------------------------------------------ */

/* The lists of all users, with the finishing that is wanted; the slate is the caller's. */
static void score_all(struct world *world, const struct finishing_settings *finishing,
                      struct slate *slate)
{
    struct generation *generation =
        (struct generation *)(uintptr_t)scorer_generation(world->scorer);
    if (generation != NULL)
        generation_share(generation);
    scorer_free(world->scorer);
    world->settings.finishing = *finishing;
    world->scorer = scorer_new(world->history, &world->settings);
    scorer_install(world->scorer, generation);
    for (uint32_t number = 0; number < USERS; number++)
        scorer_add(world->scorer, slate, find_user(world, number));
    scorer_run(world->scorer, slate);
}

static void let_go(struct world *world, struct slate *slate)
{
    for (size_t i = 0; i < slate->count; i++)
        history_unpin(world->history, slate->lists[i].user);
    slate_deinit(slate);
}

static uint32_t times_shown(const struct user_record *record, uint32_t item)
{
    for (uint32_t i = 0; i < record->shown_count; i++)
        if (user_shown(record)[i].item == item)
            return user_shown(record)[i].count;
    return 0;
}

/* Redis has the user's first `count` items of the list, backwards if wanted. */
static void acknowledge(struct world *world, const struct slate_list *list, uint32_t count,
                        bool backwards)
{
    uint32_t items[ITEMS];
    for (uint32_t i = 0; i < count; i++)
        items[i] = list->items[backwards ? count - 1 - i : i].item;
    history_acknowledge(world->history, list->user, &list->version, items, count, true);
}

static int compare_items(const void *a, const void *b) /* the order of lists */
{
    const struct slate_item *left = a, *right = b;
    if (left->score != right->score)
        return left->score < right->score ? 1 : -1;
    return slice_compare(left->id, right->id);
}

/* All eligible items discounted and sorted must begin with the list. Returns how many were
 * discounted. */
static uint32_t assert_n_best_of_all(const struct slate_list *all, const struct slate_list *list,
                                     double discount)
{
    struct slate_item items[ITEMS];
    uint32_t shown = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        uint32_t times = times_shown(all->record, all->items[i].item);
        double score = (double)all->items[i].score;
        items[i] = all->items[i];
        if (times > 0)
            items[i].score = (float)(score - fabs(score) * (1 - pow(1 - discount, times)));
        shown += times > 0;
    }
    qsort(items, all->count, sizeof *items, compare_items);
    assert_int_equal(list->count, all->count < 5 ? all->count : 5);
    for (uint32_t i = 0; i < list->count; i++) {
        assert_int_equal(list->items[i].item, items[i].item);
        assert_true(list->items[i].score == items[i].score);
    }
    return shown;
}

static void test_the_list_is_the_n_best_of_all_items_discounted(void **state)
{
    uint32_t discounted = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world *world = drawn_world(seed, seed % 2 ? UPDATE_ALS : UPDATE_SGD);
        double discount = seed % 5 == 0 ? 1 : 0.05 + 0.9 * draw_real(world);
        struct slate all = {0}, few = {0};
        score_all(world, &(struct finishing_settings){.n = ITEMS}, &all);
        score_all(world, &(struct finishing_settings){.n = 5, .discount = discount}, &few);
        for (size_t i = 0; i < USERS; i++)
            discounted += assert_n_best_of_all(&all.lists[i], &few.lists[i], discount);
        let_go(world, &all);
        let_go(world, &few);
        world_free(world);
    }
    assert_true(discounted > SEEDS * USERS); /* and it was about something */
}

static void test_a_discount_never_lifts_a_score(void **state)
{
    static const float scores[] = {-1e30f, -3, -1e-30f, 0, 1e-30f, 0.7f, 1e30f};
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++)
        for (uint32_t times = 0; times < 50; times++)
            for (double discount = 0; discount <= 1; discount += 0.125)
                assert_true(finishing_discounted(scores[i], discount, times) <= scores[i]);
    assert_true(finishing_discounted(0.8f, 0.5, 2) == 0.2f);
    assert_true(finishing_discounted(-0.8f, 0.5, 1) == -1.2f);
}

static bool list_has(const struct slate_list *list, uint32_t item)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->items[i].item == item)
            return true;
    return false;
}

/* Without the explored ones it is the beginning of the plain list; these are in none. */
static void assert_only_moved_down(const struct slate_list *plain, const struct slate_list *all,
                                   const struct slate_list *list)
{
    uint32_t slot = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        bool explored = slot < list->explored_count && list->explored[slot].at == i;
        if (!explored) {
            assert_int_equal(list->items[i].item, plain->items[i - slot].item);
            assert_true(list->items[i].score == plain->items[i - slot].score);
            continue;
        }
        assert_false(list_has(plain, list->items[i].item));
        uint32_t at = 0;
        while (at < all->count && all->items[at].item != list->items[i].item)
            at++;
        assert_true(at < all->count);                              /* he may get it, */
        assert_true(all->items[at].score == list->items[i].score); /* and it has its own score */
        slot++;
    }
    assert_int_equal(slot, list->explored_count);
}

static void test_explored_items_are_eligible_and_move_the_others_down(void **state)
{
    size_t explored = 0, short_ones = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world *world = drawn_world(seed, seed % 2 ? UPDATE_ALS : UPDATE_SGD);
        struct finishing_settings exploring = {
            .n = seed % 4 == 0 ? 45 : 10, /* 45: hardly any candidates are left */
            .explore = {.share = 1,
                        .slots = 1 + (uint32_t)seed % 4,
                        .depth = 4 + (uint32_t)seed % 9,
                        .newest = 5,
                        .from = (enum explore_from)(seed % 2),
                        .seed = seed}};
        struct slate all = {0}, plain = {0}, list = {0};
        score_all(world, &(struct finishing_settings){.n = ITEMS}, &all);
        score_all(world, &(struct finishing_settings){.n = exploring.n}, &plain);
        score_all(world, &exploring, &list);
        for (size_t i = 0; i < USERS; i++) {
            const struct slate_list *one = &list.lists[i];
            for (uint32_t j = 0; j < one->explored_count; j++) {
                assert_true(one->explored[j].at < exploring.explore.depth);
                assert_true(j == 0 || one->explored[j - 1].at < one->explored[j].at);
                assert_true(one->explored[j].propensity > 0 && one->explored[j].propensity <= 1);
            }
            assert_only_moved_down(&plain.lists[i], &all.lists[i], one);
            uint32_t left = all.lists[i].count - plain.lists[i].count;
            uint32_t slots = left < exploring.explore.slots ? left : exploring.explore.slots;
            assert_int_equal(one->explored_count, slots);
            explored += slots;
            short_ones += slots < exploring.explore.slots;
        }
        let_go(world, &all);
        let_go(world, &plain);
        let_go(world, &list);
        world_free(world);
    }
    assert_true(explored > SEEDS * USERS && short_ones > 0);
}

static void assert_same_items(const struct slate_list *a, const struct slate_list *b)
{
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        assert_int_equal(a->items[i].item, b->items[i].item);
        assert_true(a->items[i].score == b->items[i].score);
    }
}

static void test_the_same_list_explores_the_same_way_every_time(void **state)
{
    struct world *world = drawn_world(1, UPDATE_ALS);
    struct finishing_settings exploring = {
        .n = 10, .explore = {.share = 0.7, .slots = 3, .depth = 10, .from = EXPLORE_TAIL}};
    struct slate once = {0}, again = {0};
    size_t explored = 0;
    score_all(world, &exploring, &once);
    score_all(world, &exploring, &again);
    for (size_t i = 0; i < USERS; i++) {
        const struct slate_list *a = &once.lists[i], *b = &again.lists[i];
        assert_int_equal(a->explored_count, b->explored_count);
        assert_same_items(a, b);
        for (uint32_t j = 0; j < a->explored_count; j++)
            assert_true(a->explored[j].at == b->explored[j].at &&
                        a->explored[j].propensity == b->explored[j].propensity);
        explored += a->explored_count;
    }
    assert_true(explored > 0);
    let_go(world, &once);
    let_go(world, &again);
    world_free(world);
}

/* -- how far a list is from the last, in whole worlds ------------------------------------------ */

static bool has(const uint32_t *items, uint32_t count, uint32_t item)
{
    for (uint32_t i = 0; i < count; i++)
        if (items[i] == item)
            return true;
    return false;
}

/* 1 - Jaccard of the first k, and 1 - RBO, counted as their definitions say. */
static double plain_jaccard(const uint32_t *a, uint32_t m, const uint32_t *b, uint32_t n,
                            uint32_t k)
{
    uint32_t common = 0;
    m = m < k ? m : k, n = n < k ? n : k;
    for (uint32_t i = 0; i < m; i++)
        common += has(b, n, a[i]);
    return m + n == 0 ? 0 : 1 - (double)common / (m + n - common);
}

static double plain_rbo_distance(const uint32_t *a, uint32_t m, const uint32_t *b, uint32_t n)
{
    uint32_t depth = m < n ? m : n;
    double sum = 0, agreement = 0;
    if (depth == 0)
        return m == n ? 0 : 1;
    for (uint32_t d = 1; d <= depth; d++) {
        uint32_t common = 0;
        for (uint32_t i = 0; i < d; i++)
            common += has(b, d, a[i]);
        agreement = (double)common / d;
        sum += pow(0.9, d) * agreement;
    }
    return 1 - (pow(0.9, depth) * agreement + 0.1 / 0.9 * sum);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void assert_near(double found, double expected)
{
    if (!(fabs(found - expected) < 1e-6)) /* floats, of sums of at most 60 terms below 1 */
        fail_msg("%.9g, not %.9g", found, expected);
}

/* `all`: what the user may get now. */
static void assert_change(const struct slate_list *list, const struct slate_list *all)
{
    const struct user_record *record = list->record;
    const uint32_t *last = user_list(record);
    uint32_t now[ITEMS], allowed[ITEMS], left = 0;
    for (uint32_t i = 0; i < list->count; i++)
        now[i] = list->items[i].item;
    for (uint32_t i = 0; i < record->list_count; i++)
        if (list_has(all, last[i]))
            allowed[left++] = last[i];
    bool same = record->list_count == list->count && memcmp(last, now, list->count * 4) == 0;
    const struct list_change *change = &list->change;
    assert_int_equal(list->changed, !same);
    assert_int_equal(change->gone, record->list_count - left);
    assert_near((double)change->jaccard,
                plain_jaccard(last, record->list_count, now, list->count, 20));
    assert_near((double)change->rbo,
                same ? 0 : plain_rbo_distance(last, record->list_count, now, list->count));
    assert_near((double)change->net_jaccard, plain_jaccard(allowed, left, now, list->count,
                                                           least(20, least(left, list->count))));
    if (!same)
        assert_near((double)change->net_rbo, plain_rbo_distance(allowed, left, now, list->count));
}

static void test_change_is_what_its_definitions_say(void **state)
{
    uint32_t changed = 0, gone = 0, same = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world *world = drawn_world(seed, UPDATE_ALS);
        struct finishing_settings finishing = world->settings.finishing;
        struct slate first = {0}, all = {0}, next = {0};
        finishing.n = 4 + (uint32_t)seed % 30;
        score_all(world, &finishing, &first);
        for (size_t i = 0; i < USERS; i++)
            acknowledge(world, &first.lists[i], first.lists[i].count - (seed % 3 == 0),
                        seed % 4 == 0);
        let_go(world, &first);
        live(world, seed % 5 == 0 ? 0 : 60); /* some items are bought, and so gone */
        score_all(world, &(struct finishing_settings){.n = ITEMS}, &all);
        score_all(world, &finishing, &next);
        for (size_t i = 0; i < USERS; i++) {
            assert_change(&next.lists[i], &all.lists[i]);
            changed += next.lists[i].changed;
            same += !next.lists[i].changed;
            gone += next.lists[i].change.gone > 0;
        }
        let_go(world, &all);
        let_go(world, &next);
        world_free(world);
    }
    assert_true(changed > 100 && gone > 50 && same > 20);
}

static void test_a_first_list_has_no_distance(void **state)
{
    struct world *world = drawn_world(1, UPDATE_ALS);
    struct slate slate = {0};
    score_all(world, &(struct finishing_settings){.n = 10}, &slate);
    for (size_t i = 0; i < USERS; i++) {
        const struct list_change *change = &slate.lists[i].change;
        assert_true(change->first && slate.lists[i].changed);
        assert_true(change->jaccard == 0 && change->rbo == 0 && change->gone == 0);
    }
    let_go(world, &slate);
    world_free(world);
}

/* -- by itself --------------------------------------------------------------------------------- */

/* Columns 0 to count - 1, item numbers the other way round, so that neither stands in for the
 * other; the user may not get every seventh column, nobody gets every fifth. */
#define COLUMNS_MAX 4096

struct ground {
    struct columns columns;
    struct user_record record;
    uint32_t item_of[COLUMNS_MAX], column_of[COLUMNS_MAX];
    struct slice ids[COLUMNS_MAX];
    char texts[COLUMNS_MAX][8];
    uint64_t excluded[COLUMNS_MAX / 64];
    uint32_t hidden[COLUMNS_MAX];
    size_t hidden_count;
    struct topn_entry entries[COLUMNS_MAX];
    uint32_t entry_count;
};

static bool is_out(uint32_t column)
{
    return column % 5 == 0 || column % 7 == 0;
}

/* The user's best `n` are the first columns that he may get. */
static struct ground *ground_new(uint32_t count, uint32_t n)
{
    struct ground *ground = mem_zalloc(sizeof *ground);
    ground->record = (struct user_record){.bytes = sizeof ground->record, .acked_offset = -1};
    for (uint32_t column = 0; column < count; column++) {
        uint32_t item = count - 1 - column;
        ground->item_of[column] = item;
        ground->column_of[item] = column;
        snprintf(ground->texts[column], 8, "i%u", item % 100000);
        ground->ids[column] = slice_of(ground->texts[column]);
        if (column % 5 == 0)
            ground->excluded[column / 64] |= UINT64_C(1) << column % 64;
        if (column % 7 == 0) /* some of them are excluded, too */
            ground->hidden[ground->hidden_count++] = column;
        if (!is_out(column) && ground->entry_count < n)
            ground->entries[ground->entry_count++] =
                (struct topn_entry){column, 1 - (float)column * 1e-4f};
    }
    ground->columns = (struct columns){.rows = count / 2,
                                       .count = count,
                                       .items = count,
                                       .item_of = ground->item_of,
                                       .ids = ground->ids,
                                       .excluded = ground->excluded,
                                       .column_of = ground->column_of};
    return ground;
}

/* The list at this offset of a user, with items and explored, which are the caller's to free. */
static struct slate_list list_at(struct ground *ground, struct finishing *finishing, int64_t offset)
{
    struct slate_list list = {.user_id = SLICE("u1"),
                              .version = {.epoch = 1, .next_offset = offset},
                              .record = &ground->record,
                              .change.first = true};
    const struct topn_user user = {.hidden = ground->hidden, .hidden_count = ground->hidden_count};
    finishing_list(finishing, &user, ground->entries, ground->entry_count, &list);
    return list;
}

static void list_free(struct slate_list *list)
{
    free(list->items);
    free(list->explored);
}

/* Of the old list one stays at its place, one has moved, one is not there any more though it might
 * be, and three the user may not have: hidden, excluded, and no column at all. */
static void test_what_has_no_column_any_more_is_gone(void **state)
{
    struct ground *ground = ground_new(64, 2);
    struct finishing *finishing = finishing_new(&(struct finishing_settings){.n = 2});
    uint32_t first = ground->entries[0].column, second = ground->entries[1].column;
    const uint32_t last[] = {first, COLUMN_NONE, 7, 5, second, 63 - 1};
    const struct topn_user user = {.hidden = ground->hidden,
                                   .hidden_count = ground->hidden_count,
                                   .last = last,
                                   .last_count = 6};
    struct slate_list list = {.user_id = SLICE("u1"), .record = &ground->record};
    assert_false(is_out(62));
    finishing_begin(finishing, &ground->columns);
    finishing_list(finishing, &user, ground->entries, ground->entry_count, &list);
    assert_true(list.changed && !list.change.first);
    assert_int_equal(list.change.gone, 3);
    assert_near((double)list.change.jaccard, 1 - 2 / 6.0);
    assert_near((double)list.change.net_jaccard,
                0); /* the first two of those that stay are the same */
    list_free(&list);
    finishing_free(finishing);
    free(ground);
}

/* Candidates of the explored slots: [count] whether the column is one. Returns how many. */
static uint32_t find_candidates(const struct ground *ground, const struct explore_settings *explore,
                                bool *is_one)
{
    uint32_t found = 0;
    uint32_t last = ground->entries[ground->entry_count - 1].column;
    memset(is_one, 0, COLUMNS_MAX * sizeof *is_one);
    for (uint32_t item = ground->columns.items; item-- > 0;) {
        uint32_t column = ground->column_of[item];
        if (is_out(column) || column <= last ||
            (explore->from == EXPLORE_NEWEST && found == explore->newest))
            continue;
        is_one[column] = true;
        found++;
    }
    return found;
}

/* The 1 - 1e-6 quantile of chi-square, by Wilson and Hilferty. */
static double chi_square_limit(double degrees)
{
    double third = 2 / (9 * degrees);
    return degrees * pow(1 - third + 4.7534 * sqrt(third), 3);
}

#define LISTS 60000

struct drawn {
    uint32_t explored, of_column[COLUMNS_MAX], of_place[COLUMNS_MAX];
};

static void draw_lists(struct ground *ground, const struct finishing_settings *settings,
                       struct drawn *drawn)
{
    struct finishing *finishing = finishing_new(settings);
    *drawn = (struct drawn){0};
    finishing_begin(finishing, &ground->columns);
    for (int64_t offset = 0; offset < LISTS; offset++) {
        struct slate_list list = list_at(ground, finishing, offset);
        drawn->explored += list.explored_count > 0;
        for (uint32_t i = 0; i < list.explored_count; i++) {
            uint32_t item = list.items[list.explored[i].at].item;
            drawn->of_column[ground->column_of[item]]++;
            drawn->of_place[list.explored[i].at]++;
        }
        list_free(&list);
    }
    finishing_free(finishing);
}

/* Each of `cells` as often as the others. Draws without replacement vary less than chi-square's. */
static void assert_uniform(const uint32_t *counts, const bool *cells, uint32_t size,
                           double expected)
{
    double sum = 0;
    uint32_t used = 0;
    for (uint32_t i = 0; i < size; i++) {
        if (cells != NULL && !cells[i]) {
            assert_int_equal(counts[i], 0);
            continue;
        }
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
        used++;
    }
    if (!(sum < chi_square_limit(used - 1)))
        fail_msg("chi-square %g of %u cells", sum, used);
    assert_true(sum > 0 || used == 1);
}

static void assert_draws(uint32_t columns, uint32_t n, struct explore_settings explore)
{
    struct ground *ground = ground_new(columns, n);
    struct drawn *drawn = mem_alloc(sizeof *drawn);
    bool is_one[COLUMNS_MAX];
    uint32_t candidates = find_candidates(ground, &explore, is_one);
    draw_lists(ground, &(struct finishing_settings){.n = n, .explore = explore}, drawn);
    double expected = LISTS * explore.share, spread = sqrt(expected * (1 - explore.share));
    assert_true(fabs(drawn->explored - expected) <= 5 * spread);
    uint32_t slots = least(explore.slots, candidates);
    assert_uniform(drawn->of_column, is_one, columns, (double)drawn->explored * slots / candidates);
    assert_uniform(drawn->of_place, NULL, explore.depth,
                   (double)drawn->explored * slots / explore.depth);
    free(drawn);
    free(ground);
}

static void test_draws_are_uniform_over_the_newest(void **state)
{
    assert_draws(500, 20, (struct explore_settings){0.3, 2, 10, 25, EXPLORE_NEWEST, 1});
}

static void test_draws_are_uniform_over_the_tail(void **state)
{
    assert_draws(500, 20, (struct explore_settings){0.3, 3, 15, 1, EXPLORE_TAIL, 2});
}

/* So rare that they are mostly counted through: 7 of 4000. */
static void test_draws_are_uniform_over_a_tail_of_few(void **state)
{
    uint32_t n = 0, columns = 4000;
    for (uint32_t column = 0; column < columns; column++)
        n += !is_out(column);
    assert_draws(columns, n - 7, (struct explore_settings){0.2, 2, 10, 1, EXPLORE_TAIL, 3});
}

static void test_where_candidates_are_fewer_than_slots_all_are_explored(void **state)
{
    static const enum explore_from from[] = {EXPLORE_NEWEST, EXPLORE_TAIL};
    for (int i = 0; i < 2; i++) {
        struct ground *ground = ground_new(100, 66); /* 80 are not excluded, 68 not hidden either */
        struct finishing_settings settings = {.n = 66, .explore = {1, 5, 10, 9, from[i], 1}};
        struct finishing *finishing = finishing_new(&settings);
        finishing_begin(finishing, &ground->columns);
        struct slate_list list = list_at(ground, finishing, 7);
        assert_int_equal(list.explored_count, 2);
        assert_int_equal(list.count, 66);
        for (int j = 0; j < 2; j++)
            assert_true(list.explored[j].propensity == 1);
        list_free(&list);
        finishing_free(finishing);
        free(ground);
    }
}

static void test_where_there_is_no_candidate_nothing_is_explored(void **state)
{
    struct ground *ground = ground_new(100, 200);
    struct finishing_settings settings = {.n = 200, .explore = {1, 5, 10, 9, EXPLORE_TAIL, 1}};
    struct finishing *finishing = finishing_new(&settings);
    finishing_begin(finishing, &ground->columns);
    struct slate_list list = list_at(ground, finishing, 7);
    assert_int_equal(list.explored_count, 0);
    assert_int_equal(list.count, ground->entry_count); /* shorter than n */
    list_free(&list);
    finishing_free(finishing);
    free(ground);
}

/* A list shorter than n grows by what is explored, within its own length. */
static void test_a_short_list_has_its_slots_within_its_length(void **state)
{
    struct ground *ground = ground_new(100, 2);
    struct finishing_settings settings = {.n = 50, .explore = {1, 4, 20, 30, EXPLORE_NEWEST, 1}};
    struct finishing *finishing = finishing_new(&settings);
    finishing_begin(finishing, &ground->columns);
    for (int64_t offset = 0; offset < 200; offset++) {
        struct slate_list list = list_at(ground, finishing, offset);
        assert_int_equal(list.count, 6);
        assert_int_equal(list.explored_count, 4);
        assert_true(list.explored[3].at < 6);
        for (uint32_t i = 0; i < 6; i++)
            for (uint32_t j = 0; j < i; j++)
                assert_int_not_equal(list.items[i].item, list.items[j].item);
        list_free(&list);
    }
    finishing_free(finishing);
    free(ground);
}

/* Lists of one slate do not know of one another, nor of an earlier slate with fewer columns. */
static void test_a_list_is_the_same_after_others(void **state)
{
    struct ground *small = ground_new(100, 10), *large = ground_new(900, 10);
    struct finishing_settings settings = {.n = 10, .explore = {1, 3, 10, 20, EXPLORE_TAIL, 1}};
    struct finishing *busy = finishing_new(&settings);
    finishing_begin(busy, &small->columns);
    for (int64_t offset = 0; offset < 50; offset++) {
        struct slate_list list = list_at(small, busy, offset);
        list_free(&list);
    }
    for (int64_t offset = 0; offset < 50; offset++) {
        struct finishing *fresh = finishing_new(&settings);
        finishing_begin(busy, &large->columns);
        finishing_begin(fresh, &large->columns);
        struct slate_list a = list_at(large, busy, offset), b = list_at(large, fresh, offset);
        assert_same_items(&a, &b);
        list_free(&a);
        list_free(&b);
        finishing_free(fresh);
    }
    finishing_free(busy);
    free(small);
    free(large);
}

static void test_arms_users_and_versions_explore_apart(void **state)
{
    struct ground *ground = ground_new(500, 10);
    struct finishing_settings settings = {.n = 10, .explore = {0.5, 1, 10, 50, EXPLORE_TAIL, 1}};
    struct finishing *one = finishing_new(&settings);
    settings.explore.seed = 2;
    struct finishing *two = finishing_new(&settings);
    finishing_begin(one, &ground->columns);
    finishing_begin(two, &ground->columns);
    int both = 0, lists = 4000;
    for (int64_t offset = 0; offset < lists; offset++) {
        struct slate_list a = list_at(ground, one, offset), b = list_at(ground, two, offset);
        both += a.explored_count > 0 && b.explored_count > 0;
        list_free(&a);
        list_free(&b);
    }
    assert_true(abs(both - lists / 4) < 5 * sqrt(lists * 0.25 * 0.75)); /* independent */
    finishing_free(one);
    finishing_free(two);
    free(ground);
}

/* -- what propensities are for ----------------------------------------------------------------- */

static double appeal(uint32_t column)
{
    return (double)(column * 2654435761u % 1000) / 1000;
}

/* Sums of appeal / propensity over what was explored, a list: the sum of the appeal of all
 * candidates, in the mean. A list's estimate is Z = sum of appeal / pi over its slots, so its
 * variance is at most E Z^2 <= share (slots / pi)^2 = slots^2 share / pi^2 with appeals below 1. */
static void assert_unbiased(struct explore_settings explore, uint32_t columns, uint32_t n)
{
    struct ground *ground = ground_new(columns, n);
    struct finishing_settings settings = {.n = n, .explore = explore};
    struct finishing *finishing = finishing_new(&settings);
    bool is_one[COLUMNS_MAX];
    uint32_t candidates = find_candidates(ground, &explore, is_one);
    uint32_t slots = least(explore.slots, candidates);
    double truth = 0, sum = 0, pi = explore.share * slots / candidates;
    for (uint32_t column = 0; column < columns; column++)
        truth += is_one[column] ? appeal(column) : 0;
    finishing_begin(finishing, &ground->columns);
    for (int64_t offset = 0; offset < LISTS; offset++) {
        struct slate_list list = list_at(ground, finishing, offset);
        for (uint32_t i = 0; i < list.explored_count; i++)
            sum += appeal(ground->column_of[list.items[list.explored[i].at].item]) /
                   list.explored[i].propensity;
        list_free(&list);
    }
    double deviation = slots / pi * sqrt(explore.share / LISTS);
    if (!(fabs(sum / LISTS - truth) < 5 * deviation))
        fail_msg("%g, not %g -+ %g", sum / LISTS, truth, deviation);
    assert_true(5 * deviation < truth / 4); /* and that says something */
    finishing_free(finishing);
    free(ground);
}

static void test_what_propensities_weigh_is_unbiased(void **state)
{
    assert_unbiased((struct explore_settings){0.3, 2, 10, 25, EXPLORE_NEWEST, 11}, 500, 20);
    assert_unbiased((struct explore_settings){0.3, 3, 10, 1, EXPLORE_TAIL, 12}, 500, 20);
    assert_unbiased((struct explore_settings){0.3, 5, 10, 9, EXPLORE_TAIL, 13}, 100, 66);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_list_is_the_n_best_of_all_items_discounted),
        cmocka_unit_test(test_a_discount_never_lifts_a_score),
        cmocka_unit_test(test_explored_items_are_eligible_and_move_the_others_down),
        cmocka_unit_test(test_the_same_list_explores_the_same_way_every_time),
        cmocka_unit_test(test_change_is_what_its_definitions_say),
        cmocka_unit_test(test_what_has_no_column_any_more_is_gone),
        cmocka_unit_test(test_a_first_list_has_no_distance),
        cmocka_unit_test(test_draws_are_uniform_over_the_newest),
        cmocka_unit_test(test_draws_are_uniform_over_the_tail),
        cmocka_unit_test(test_draws_are_uniform_over_a_tail_of_few),
        cmocka_unit_test(test_where_candidates_are_fewer_than_slots_all_are_explored),
        cmocka_unit_test(test_where_there_is_no_candidate_nothing_is_explored),
        cmocka_unit_test(test_a_short_list_has_its_slots_within_its_length),
        cmocka_unit_test(test_a_list_is_the_same_after_others),
        cmocka_unit_test(test_arms_users_and_versions_explore_apart),
        cmocka_unit_test(test_what_propensities_weigh_is_unbiased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
