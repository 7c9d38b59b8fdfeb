#include "scorer_base.h"

#define SEED 99u
#define RANK 8
#define STRIDE 16
#define ROWS 120 /* items of the generation: i000 to i119; newer ones follow */
#define N 20
#define USERS 40 /* more than a block */
#define EVENTS 700

enum { VIEW, BUY, GLANCE, DISLIKE, TYPES };
static const char *const type_names[TYPES] = {"view", "buy", "glance", "dislike"};
static const struct type_weight types[TYPES] = {
    [VIEW] = {.weight = 1, .cap = 3},
    [BUY] = {.weight = 2.5, .cap = 10, .hides = true},
    [GLANCE] = {.weight = 0, .cap = 1},
    [DISLIKE] = {.weight = -1, .cap = 1},
};
static const bool type_counts[TYPES] = {true, true, true, false};

/* -- the world --------------------------------------------------------------------------------- */

static struct world *world_new(enum update update)
{
    static const struct world_rules rules = {
        .limits = {.history_max = 30, .seen_max = 100, .dedup_window = 10},
        .neighbours_max = 12, /* so few that some are dropped */
        .types = type_names,
        .type_counts = type_counts,
        .type_count = TYPES,
    };
    struct world *world = world_begin(SEED, &rules);
    world->settings = (struct scorer_settings){.finishing = {.n = N},
                                               .update = update,
                                               .sgd_rate = 0.1,
                                               .first = {.trend = 1, .trend_half_life = 3},
                                               .types = types,
                                               .type_count = TYPES,
                                               .arm_name = SLICE("default")};
    world->scorer = scorer_new(world->history, &world->settings);
    return world;
}

static int setup(void **state)
{
    *state = world_new(UPDATE_ALS);
    return 0;
}

static int setup_sgd(void **state)
{
    *state = world_new(UPDATE_SGD);
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

/* Puts an interaction into the batch. */
static struct event *add_event_at(struct world *world, uint32_t user, uint32_t item, int type,
                                  int64_t ts_ms)
{
    struct event *event = add_event(world, user, item, type, ts_ms, 1);
    event->id = text(world, "e", 1, (uint32_t)event->offset);
    return event;
}

static void add_next(struct world *world, uint32_t user, uint32_t item, int type)
{
    world->now_ms += 1000 + draw(world, 1000000);
    add_event_at(world, user, item, type, world->now_ms);
}

static void act(struct world *world, uint32_t user, uint32_t item, int type)
{
    add_next(world, user, item, type);
    learn(world);
}

/* They see and buy some of 150 items, 30 of which are newer than the generation. */
static void add_some_life(struct world *world)
{
    for (int i = 0; i < EVENTS; i++) {
        uint32_t likely = draw(world, 150);
        add_next(world, draw(world, USERS), draw(world, likely + 1), draw(world, 4) ? VIEW : BUY);
    }
}

static struct generation *make_generation(struct world *world, struct score_weights weights)
{
    const struct hyperparameters hyper = {OBJECTIVE_IALS, RANK,       .w0 = 0.2,
                                          .lambda = 0.5,  .alpha = 2, LAMBDA_NONE};
    return draw_generation(world, ROWS, STRIDE, hyper, weights);
}

static const struct score_weights both = {
    .taste = 0.7, .trend = 0.4, .trend_half_life = 3, .rho = 0.8};
static const struct score_weights all_three = {.taste = 0.7,
                                               .trend = 0.4,
                                               .trend_half_life = 3,
                                               .rho = 0.8,
                                               .together = 3,
                                               .together_of = {0.7, PAIRS_DAY, true}};
static const struct score_weights taste_only = {.taste = 1, .trend_half_life = 3, .rho = 1};

static const struct slate_list *score(struct world *world, uint32_t user)
{
    clear_slate(world);
    scorer_add(world->scorer, &world->slate, find_user(world, user));
    scorer_run(world->scorer, &world->slate);
    return &world->slate.lists[0];
}

static const struct slate_list *score_popular(struct world *world)
{
    clear_slate(world);
    scorer_add_popular(world->scorer, &world->slate);
    scorer_run(world->scorer, &world->slate);
    return &world->slate.lists[0];
}

static void score_all(struct world *world)
{
    clear_slate(world);
    for (uint32_t user = 0; user < USERS; user++)
        scorer_add(world->scorer, &world->slate, find_user(world, user));
    scorer_run(world->scorer, &world->slate);
}

static bool has_item(const struct slate_list *list, uint32_t item)
{
    char id[24];
    snprintf(id, sizeof id, "i%03u", item);
    for (uint32_t i = 0; i < list->count; i++)
        if (slice_equal(list->items[i].id, slice_of(id)))
            return true;
    return false;
}

static void assert_same_list(const struct slate_list *a, const struct slate_list *b)
{
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        assert_true(slice_equal(a->items[i].id, b->items[i].id));
        assert_memory_equal(&a->items[i].score, &b->items[i].score, sizeof(float));
    }
}

/* -- the twin: everything by its definition, in doubles ---------------------------------------- */

static uint32_t row_of_item(struct world *world, uint32_t item)
{
    struct slice id = ids_text(&history_items(world->history)->ids, item);
    uint32_t row = (uint32_t)atoi(id.data + 1);
    return row < ROWS ? row : ROW_NONE;
}

/* c of each row: alpha * sum over types of min(cap, sum of |weight| rho^position), signed. */
static void confidences(struct world *world, const struct user_record *record, double rho,
                        double c[ROWS])
{
    const struct interaction *at = user_interactions(record);
    memset(c, 0, ROWS * sizeof *c);
    for (int type = 0; type < TYPES; type++) {
        double sum[ROWS] = {0}, recency = 1;
        for (uint32_t i = record->interaction_count; i-- > 0;) {
            uint32_t row = row_of_item(world, at[i].item);
            if (history_type_index(world->history, at[i].type) == type && row != ROW_NONE)
                sum[row] += fabs(types[type].weight) * recency;
            recency *= rho; /* timestamps are distinct */
        }
        for (int row = 0; row < ROWS; row++)
            c[row] += 2 * copysign(fmin(sum[row], types[type].cap), types[type].weight);
    }
}

/* Solves the normal equations densely; returns |b|. */
static double factors(struct world *world, const struct user_record *record, double x[RANK])
{
    const struct generation *generation = scorer_generation(world->scorer);
    double A[RANK * RANK] = {0}, c[ROWS], norm = 0;
    confidences(world, record, generation->weights.rho, c);
    memset(x, 0, RANK * sizeof *x);
    for (int k = 0; k < RANK; k++)
        A[k * RANK + k] = 0.5; /* lambda */
    for (int row = 0; row < ROWS; row++) {
        const float *y = generation->Y + row * STRIDE;
        for (int k = 0; k < RANK; k++) {
            x[k] += (c[row] > 0 ? c[row] : 0) * y[k];
            for (int j = 0; j < RANK; j++)
                A[k * RANK + j] += (0.2 + fabs(c[row])) * y[k] * y[j]; /* w0 G among it */
        }
    }
    for (int k = 0; k < RANK; k++)
        norm += x[k] * x[k];
    assert_int_equal(blas_solve(A, x, RANK, NULL), 0);
    return sqrt(norm);
}

static double trend_of(struct world *world, uint32_t item, int half_life)
{
    double sum = 0;
    for (size_t i = 0; i < history_sums_count(world->history); i++) {
        uint32_t known;
        const struct item_sums *sums = history_sums(world->history, i, &known);
        if (item < known)
            sum += sums_at(&sums[item], half_life, history_now_ms(world->history));
    }
    return log1p(sum);
}

/* n_ji summed over partitions, and n_i, both now. */
static double pair_count(struct world *world, uint32_t j, uint32_t item,
                         const struct together_choice *choice)
{
    double sum = 0;
    for (size_t p = 0; p < history_sums_count(world->history); p++) {
        const struct pairs_table *table = pairs_table(history_pairs(world->history, p), j);
        for (uint32_t i = 0; table != NULL && i < table->count; i++) {
            const struct pairs_day *day = &table->day[i];
            const struct pairs_ever *ever = &table->ever[i];
            bool decays = choice->horizon == PAIRS_DAY;
            double age = (double)(history_now_ms(world->history) - day->ts_ms) / 86400000;
            double n = (double)(decays ? day->forward : ever->forward) +
                       (choice->both ? (double)(decays ? day->backward : ever->backward) : 0);
            if (table->items[i] == item)
                sum += decays && age > 0 ? n * exp2(-age) : n;
        }
    }
    return sum;
}

static double use_of(struct world *world, uint32_t item, enum pairs_horizon horizon)
{
    double trend = trend_of(world, item, horizon == PAIRS_DAY ? 3 : HALF_LIFE_EVER);
    return expm1(trend);
}

static double together_of(struct world *world, const struct user_record *record, uint32_t item)
{
    const struct together_choice *choice = &scorer_generation(world->scorer)->weights.together_of;
    const struct interaction *at = user_interactions(record);
    uint32_t met[TOGETHER_WINDOW], count = 0;
    double sum = 0;
    for (uint32_t i = record->interaction_count; i-- > 0 && count < TOGETHER_WINDOW;) {
        int type = history_type_index(world->history, at[i].type);
        bool is_new = type_counts[type];
        for (uint32_t k = 0; k < count; k++)
            is_new = is_new && met[k] != at[i].item;
        if (!is_new)
            continue;
        met[count] = at[i].item;
        sum += pow(choice->rho, count++) * pair_count(world, at[i].item, item, choice) /
               sqrt((use_of(world, item, choice->horizon) + TOGETHER_PRIOR) *
                    (use_of(world, at[i].item, choice->horizon) + TOGETHER_PRIOR));
    }
    return sum;
}

static double score_of(struct world *world, const struct user_record *record, uint32_t item,
                       const double x[RANK])
{
    const struct generation *generation = scorer_generation(world->scorer);
    uint32_t row = row_of_item(world, item);
    double taste = 0;
    for (int k = 0; k < RANK && row != ROW_NONE; k++)
        taste += x[k] * generation->Y[row * STRIDE + (uint32_t)k];
    double together = generation->weights.together > 0 ? together_of(world, record, item) : 0;
    return generation->weights.taste * taste +
           generation->weights.trend * trend_of(world, item, generation->weights.trend_half_life) +
           generation->weights.together * together;
}

static bool was_bought(struct world *world, const struct user_record *record, uint32_t item)
{
    uint16_t buy = history_type_number(world->history, BUY);
    for (uint32_t i = 0; i < record->seen_count; i++)
        if (user_seen(record)[i].item == item && (user_seen(record)[i].types >> buy & 1) != 0)
            return true;
    return false;
}

/* The solver stops at a residual of 1e-6 |b|, and A's eigenvalues are at least lambda = 0.5, so x
 * errs by 2e-6 |b|; |y| <= sqrt(8) and a = 0.7 make that 4e-6 |b| of the score. 1e-5 more covers
 * float's rounding of x, y and T, which are below 10: some ten operations of 10 * 2^-24 each. */
static void assert_list_by_definition(struct world *world, const struct slate_list *list)
{
    double x[RANK], tolerance = 4e-6 * factors(world, list->record, x) + 1e-5;
    double last = INFINITY;
    assert_int_equal(list->count, N);
    for (uint32_t i = 0; i < N; i++) {
        double expected = score_of(world, list->record, list->items[i].item, x);
        assert_true(fabs(list->items[i].score - expected) <= tolerance);
        assert_true(list->items[i].score <= last);
        last = list->items[i].score;
    }
    for (uint32_t item = 0; item < items_count(history_items(world->history)); item++) {
        bool is_listed = false;
        for (uint32_t i = 0; i < N; i++)
            is_listed |= list->items[i].item == item;
        if (!is_listed && !was_bought(world, list->record, item))
            assert_true(score_of(world, list->record, item, x) <= last + tolerance);
    }
}

/* -- the tests --------------------------------------------------------------------------------- */

static void test_scorer_lists_are_what_the_formula_says(void **state)
{
    struct world *world = *state;
    add_some_life(world);
    learn(world);
    scorer_install(world->scorer, make_generation(world, both));
    score_all(world);
    for (size_t i = 0; i < world->slate.count; i++)
        assert_list_by_definition(world, &world->slate.lists[i]);
}

static void test_scorer_adds_what_goes_together(void **state)
{
    struct world *world = *state;
    add_some_life(world);
    learn(world);
    scorer_install(world->scorer, make_generation(world, all_three));
    score_all(world);
    for (size_t i = 0; i < world->slate.count; i++)
        assert_list_by_definition(world, &world->slate.lists[i]);
    for (uint32_t i = 0; i < 40; i++) {
        act(world, draw(world, USERS), draw(world, 160), draw(world, 3) ? VIEW : BUY);
        assert_list_by_definition(world, score(world, 4));
    }
}

static void test_scorer_goes_by_its_own_weights_if_it_has_some(void **state)
{
    struct world *world = *state;
    add_some_life(world);
    learn(world);
    struct scorer_settings settings = world->settings;
    settings.weights = &taste_only;
    struct scorer *other = scorer_new(world->history, &settings);
    world->random = SEED; /* the same factors both times */
    scorer_install(other, make_generation(world, all_three));
    world->random = SEED;
    scorer_install(world->scorer, make_generation(world, taste_only));
    struct slate slate = {0};
    scorer_add(other, &slate, find_user(world, 4));
    scorer_run(other, &slate);
    assert_same_list(&slate.lists[0], score(world, 4));
    history_unpin(world->history, slate.lists[0].user);
    slate_deinit(&slate);
    scorer_free(other);
}

static void test_scorer_keeps_to_the_formula_as_events_come(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, both));
    add_some_life(world);
    learn(world);
    for (uint32_t i = 0; i < 40; i++) {
        act(world, 4, draw(world, 160), draw(world, 3) ? VIEW : DISLIKE);
        assert_list_by_definition(world, score(world, 4));
    }
}

static void test_scorer_list_does_not_depend_on_the_rest_of_the_slate(void **state)
{
    struct world *world = *state;
    add_some_life(world);
    learn(world);
    scorer_install(world->scorer, make_generation(world, both));
    score_all(world);
    struct slate all = world->slate;
    world->slate = (struct slate){0};
    for (uint32_t user = 0; user < USERS; user++)
        assert_same_list(score(world, user), &all.lists[user]);
    clear_slate(world);
    slate_deinit(&world->slate);
    world->slate = all;
}

/* The same log in one batch and event by event, with the generation early and late. */
static void test_scorer_lists_do_not_depend_on_the_batches(void **state)
{
    struct world *world = *state, *other = world_new(world->settings.update);
    struct generation *generation = make_generation(world, both);
    add_some_life(world);
    learn(world);
    scorer_install(world->scorer, generation);

    scorer_install(other->scorer, make_generation(other, both)); /* draws the same numbers */
    for (int i = 0; i < EVENTS; i++) {
        uint32_t likely = draw(other, 150);
        act(other, draw(other, USERS), draw(other, likely + 1), draw(other, 4) ? VIEW : BUY);
    }
    score_all(world);
    score_all(other);
    for (size_t i = 0; i < USERS; i++)
        assert_same_list(&world->slate.lists[i], &other->slate.lists[i]);
    world_free(other);
}

static void test_scorer_before_the_first_generation_goes_by_trend(void **state)
{
    struct world *world = *state;
    for (uint32_t item = 1; item <= 4; item++)
        for (uint32_t i = 0; i < item; i++)
            act(world, i, item, VIEW);
    const struct slate_list *list = score(world, 1);
    assert_int_equal(list->count, 4);
    assert_true(slice_equal(list->items[0].id, SLICE("i004")));
    assert_true(fabs(list->items[0].score - trend_of(world, list->items[0].item, 3)) < 1e-6);
    assert_int_equal(world->slate.lists[0].generation, 0);
}

static void test_scorer_popular_list_is_the_trend_and_hides_nothing(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, both));
    for (uint32_t i = 0; i < 5; i++)
        act(world, 1, 100, BUY);
    act(world, 1, 50, VIEW);
    const struct slate_list *list = score_popular(world);
    assert_null(list->user);
    assert_null(list->user_id.data);
    assert_true(slice_equal(list->items[0].id, SLICE("i100")));
    assert_true(fabs(list->items[0].score - 0.4 * trend_of(world, list->items[0].item, 3)) < 1e-6);
    assert_false(list->changed);
}

static void test_scorer_popular_list_has_the_version_of_partition_0(void **state)
{
    struct world *world = *state;
    act(world, 2, 1, VIEW); /* offset 0, partition 0 */
    act(world, 1, 1, VIEW); /* offset 1, partition 1 */
    const struct slate_list *list = score_popular(world);
    assert_int_equal(list->version.partition, 0);
    assert_int_equal(list->version.next_offset, 1);
}

static void test_scorer_popular_list_of_nothing_learned_is_older_than_any_other(void **state)
{
    const struct version version = score_popular(*state)->version;
    assert_int_equal(version.partition, 0);
    assert_int_equal(version.next_offset, 0);
}

static void test_scorer_gives_users_without_factors_the_trend(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, both));
    act(world, 3, 60, GLANCE); /* weighs nothing */
    act(world, 5, 61, VIEW);
    act(world, 5, 61, VIEW);
    const struct slate_list *list = score(world, 3);
    assert_true(slice_equal(list->items[0].id, SLICE("i061")));
    assert_true(slice_equal(list->items[1].id, SLICE("i060")));
}

static void test_scorer_falls_back_to_trend_where_it_weighs_nothing(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, taste_only));
    act(world, 3, 60, GLANCE);
    act(world, 5, 61, VIEW);
    act(world, 5, 61, VIEW);
    const struct slate_list *list = score(world, 3);
    assert_true(slice_equal(list->items[0].id, SLICE("i061")));
    assert_true(fabs(list->items[0].score - 1e-6 * trend_of(world, list->items[0].item, 3)) <
                1e-12);
}

static void test_scorer_leaves_trend_out_of_taste_where_it_weighs_nothing(void **state)
{
    struct world *world = *state;
    add_some_life(world);
    learn(world);
    struct score_weights weights = taste_only;
    weights.taste = 0.7; /* what the tolerance was argued for */
    scorer_install(world->scorer, make_generation(world, weights));
    assert_list_by_definition(world, score(world, 8));
}

static void test_scorer_without_taste_goes_by_trend(void **state)
{
    struct world *world = *state;
    add_some_life(world);
    learn(world);
    struct score_weights weights = both;
    weights.taste = 0;
    scorer_install(world->scorer, make_generation(world, weights));
    assert_list_by_definition(world, score(world, 8));
}

static void test_scorer_hides_what_was_bought_and_not_what_was_seen(void **state)
{
    struct world *world = *state;
    act(world, 1, 10, VIEW);
    act(world, 1, 11, BUY);
    act(world, 1, 12, BUY);
    act(world, 1, 12, VIEW);
    const struct slate_list *list = score(world, 1);
    assert_true(has_item(list, 10));
    assert_false(has_item(list, 11));
    assert_false(has_item(list, 12));
}

static void test_scorer_hides_what_left_the_kept_history(void **state)
{
    struct world *world = *state;
    act(world, 1, 10, BUY);
    for (uint32_t i = 0; i < 35; i++) /* history_max is 30 */
        act(world, 1, 11, VIEW);
    const struct slate_list *list = score(world, 1);
    assert_true(has_item(list, 11));
    assert_false(has_item(list, 10));
}

static void test_scorer_lists_an_item_newer_than_the_generation(void **state)
{
    struct world *world = *state;
    add_some_life(world);
    learn(world);
    scorer_install(world->scorer, make_generation(world, both));
    for (uint32_t i = 0; i < 300; i++)
        add_next(world, 2 + i % 20, 500, VIEW);
    learn(world);
    assert_true(has_item(score(world, 1), 500));
}

static void test_scorer_leaves_out_blocked_items_until_unblocked(void **state)
{
    struct world *world = *state;
    struct item_record record = {.present = true,
                                 .blocked = true,
                                 .available_from_ms = INT64_MIN,
                                 .available_until_ms = INT64_MAX};
    act(world, 1, 10, VIEW);
    act(world, 1, 11, VIEW);
    describe(world, 10, &record);
    assert_false(has_item(score(world, 1), 10));
    record.blocked = false;
    describe(world, 10, &record);
    assert_true(has_item(score(world, 1), 10));
}

static void test_scorer_leaves_out_items_not_available_at_stream_time(void **state)
{
    struct world *world = *state;
    act(world, 1, 10, VIEW);
    struct item_record record = {.present = true,
                                 .available_from_ms = world->now_ms + HOUR_MS,
                                 .available_until_ms = INT64_MAX};
    describe(world, 10, &record);
    assert_false(has_item(score(world, 1), 10));
    world->now_ms += 2 * HOUR_MS;
    act(world, 1, 11, VIEW);
    assert_true(has_item(score(world, 1), 10));
}

static void test_scorer_leaves_out_excluded_categories(void **state)
{
    struct world *world = *state;
    const struct slice excluded[] = {SLICE("tobacco"), SLICE("adult")};
    world->settings.exclude_categories = excluded;
    world->settings.exclude_category_count = 2;
    scorer_free(world->scorer);
    world->scorer = scorer_new(world->history, &world->settings);

    struct slice adult[] = {SLICE("toys"), SLICE("adult")}, toys[] = {SLICE("toys")};
    struct item_record record = {.present = true,
                                 .available_from_ms = INT64_MIN,
                                 .available_until_ms = INT64_MAX,
                                 .categories = adult,
                                 .category_count = 2};
    act(world, 1, 10, VIEW);
    act(world, 1, 11, VIEW);
    describe(world, 10, &record);
    record.categories = toys;
    record.category_count = 1;
    describe(world, 11, &record);
    assert_false(has_item(score(world, 1), 10));
    assert_true(has_item(score(world, 1), 11));
}

static void test_scorer_lists_no_id_that_only_the_generation_knows(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, both));
    act(world, 1, 10, VIEW);
    assert_int_equal(score(world, 1)->count, 1);
}

static void test_scorer_uses_the_factors_of_an_id_from_when_it_is_seen(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, taste_only));
    act(world, 1, 10, VIEW);
    act(world, 2, 11, GLANCE);
    const struct slate_list *list = score(world, 1);
    assert_int_equal(list->count, 2);
    double x[RANK];
    factors(world, list->record, x);
    assert_true(fabs(score_of(world, list->record, list->items[0].item, x)) > 1e-3);
    assert_true(fabs(list->items[0].score - score_of(world, list->record, list->items[0].item, x)) <
                1e-4);
    assert_true(fabs(list->items[1].score - score_of(world, list->record, list->items[1].item, x)) <
                1e-4);
}

static void test_scorer_notes_version_cause_and_age(void **state)
{
    struct world *world = *state;
    act(world, 2, 10, VIEW); /* offset 0 of partition 0 */
    act(world, 1, 10, VIEW); /* of partition 1 */
    act(world, 4, 10, VIEW); /* offset 1 of partition 0 */
    history_announce_swap(world->history, 0, 7, 7);
    history_take_swap(world->history);
    struct user *user = find_user(world, 2);
    user->cause = CAUSE_GENERATION;
    user->oldest_event_ms = 12345;
    const struct slate_list *list = score(world, 2);
    assert_int_equal(list->version.epoch, history_meta(world->history)->epoch);
    assert_int_equal(list->version.partition, 0);
    assert_int_equal(list->version.next_offset, 2);
    assert_int_equal(list->version.swap, 1);
    assert_int_equal(list->cause, CAUSE_GENERATION);
    assert_int_equal(list->oldest_event_ms, 12345);
    assert_int_equal(list->outcome, SLATE_UNSENT);
    assert_true(slice_equal(list->user_id, SLICE("u2")));
}

static void test_scorer_notes_generation_arm_and_stream_time(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, both));
    act(world, 2, 10, VIEW);
    score(world, 2);
    assert_int_equal(world->slate.lists[0].generation, 7);
    assert_true(slice_equal(world->slate.lists[0].arm_name, SLICE("default")));
    assert_int_equal(world->slate.stream_ts_ms, world->now_ms);
}

static void test_scorer_pins_the_user(void **state)
{
    struct world *world = *state;
    act(world, 2, 10, VIEW);
    struct user *user = find_user(world, 2);
    uint32_t pins = user->pins;
    score(world, 2);
    assert_int_equal(user->pins, pins + 1);
}

static void acknowledge(struct world *world, const struct slate_list *list)
{
    uint32_t items[N];
    for (uint32_t i = 0; i < list->count; i++)
        items[i] = list->items[i].item;
    history_acknowledge(world->history, list->user, &list->version, items, list->count, true);
}

static void test_scorer_says_whether_a_list_changed(void **state)
{
    struct world *world = *state;
    act(world, 2, 10, VIEW);
    assert_true(score(world, 2)->changed);
    acknowledge(world, &world->slate.lists[0]);
    assert_false(score(world, 2)->changed);
    act(world, 2, 11, VIEW);
    assert_true(score(world, 2)->changed);
}

static void test_scorer_calls_another_order_a_change(void **state)
{
    struct world *world = *state;
    act(world, 2, 10, VIEW);
    act(world, 2, 10, VIEW);
    act(world, 2, 11, VIEW);
    acknowledge(world, score(world, 2));
    for (int i = 0; i < 5; i++)
        act(world, 3, 11, VIEW);
    assert_true(score(world, 2)->changed);
}

static void test_scorer_makes_a_forgotten_user_a_tombstone(void **state)
{
    struct world *world = *state;
    act(world, 2, 10, VIEW);
    struct user *user = find_user(world, 2);
    history_pin(world->history, user);
    struct event *event = batch_add(&world->batch);
    event->kind = EVENT_FORGET_USER;
    event->offset = world->next_offset[0]++;
    event->user = SLICE("u2");
    learn(world);
    scorer_add(world->scorer, &world->slate, user);
    scorer_run(world->scorer, &world->slate);
    assert_true(world->slate.lists[0].forgotten);
    assert_int_equal(world->slate.lists[0].count, 0);
    history_unpin(world->history, user);
}

static void test_scorer_scores_the_record_as_it_was_added(void **state)
{
    struct world *world = *state;
    act(world, 2, 10, BUY);
    act(world, 3, 11, VIEW);
    scorer_add(world->scorer, &world->slate, find_user(world, 2));
    act(world, 2, 11, BUY);
    scorer_run(world->scorer, &world->slate);
    assert_true(has_item(&world->slate.lists[0], 11));
    assert_int_equal(world->slate.lists[0].version.next_offset, 1);
}

static void test_scorer_forgets_the_trend_of_a_partition_that_left(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 5; i++)
        act(world, 1, 10, VIEW); /* partition 1 */
    act(world, 2, 11, VIEW);
    int32_t gone = 1;
    history_revoke(world->history, &gone, 1);
    scorer_learned(world->scorer, NULL);
    assert_true(slice_equal(score_popular(world)->items[0].id, SLICE("i011")));
}

static void test_scorer_without_items_gives_an_empty_list(void **state)
{
    assert_int_equal(score_popular(*state)->count, 0);
}

static void test_scorer_going_back_to_no_generation_goes_by_trend(void **state)
{
    struct world *world = *state;
    add_some_life(world);
    learn(world);
    score_all(world);
    struct slate before = world->slate;
    world->slate = (struct slate){0};
    scorer_install(world->scorer, make_generation(world, both));
    score_all(world);
    scorer_install(world->scorer, NULL);
    score_all(world);
    for (size_t i = 0; i < USERS; i++)
        assert_same_list(&before.lists[i], &world->slate.lists[i]);
    clear_slate(world);
    slate_deinit(&world->slate);
    world->slate = before;
}

/* -- sgd --------------------------------------------------------------------------------------- */

/* The list with the cache the user has, and then the list without one. */
static void assert_cache_changes_nothing(struct world *world, uint32_t number)
{
    score(world, number);
    struct slate cached = world->slate;
    world->slate = (struct slate){0};
    struct user *user = find_user(world, number);
    scorer_release_cache(user->cache);
    user->cache = NULL;
    assert_same_list(score(world, number), &cached.lists[0]);
    clear_slate(world);
    slate_deinit(&world->slate);
    world->slate = cached;
}

static void test_sgd_with_its_cache_steps_to_the_same_list(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, both));
    for (uint32_t i = 0; i < 60; i++) { /* past history_max, from when the oldest one drops out */
        act(world, 1, draw(world, 150), draw(world, 3) ? VIEW : BUY);
        if (i % 3 == 0)
            assert_cache_changes_nothing(world, 1);
        else
            score(world, 1);
    }
}

/* Starting over makes another cache, before the old one goes. */
static void test_sgd_goes_on_from_its_cache_when_an_event_is_appended(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, both));
    act(world, 1, 5, VIEW);
    score(world, 1);
    const void *cache = find_user(world, 1)->cache;
    assert_non_null(cache);
    act(world, 1, 6, VIEW);
    score(world, 1);
    assert_ptr_equal(find_user(world, 1)->cache, cache);
}

static void test_sgd_starts_over_when_an_event_comes_late(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, both));
    for (uint32_t i = 0; i < 10; i++)
        act(world, 1, draw(world, ROWS), VIEW);
    score(world, 1);
    add_event_at(world, 1, 5, BUY, START_MS - HOUR_MS);
    learn(world);
    assert_cache_changes_nothing(world, 1);
}

static void test_sgd_starts_over_when_an_event_is_retracted(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, both));
    for (uint32_t i = 0; i < 10; i++)
        act(world, 1, draw(world, ROWS), VIEW);
    score(world, 1);
    struct event *event = batch_add(&world->batch);
    event->kind = EVENT_RETRACT;
    event->partition = 1;
    event->offset = world->next_offset[1]++;
    event->user = SLICE("u1");
    event->ref = SLICE("e4");
    learn(world);
    act(world, 1, draw(world, ROWS), VIEW);
    assert_cache_changes_nothing(world, 1);
}

static void test_sgd_starts_over_with_another_generation(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, both));
    for (uint32_t i = 0; i < 10; i++)
        act(world, 1, draw(world, ROWS), VIEW);
    score(world, 1);
    struct generation *next = make_generation(world, both);
    next->number = 8;
    scorer_install(world->scorer, next);
    assert_cache_changes_nothing(world, 1);
}

/* model/sgd.h's two lines, in doubles, for each view and purchase. */
static void step_through(struct world *world, const struct user_record *record, double x[RANK])
{
    const struct generation *generation = scorer_generation(world->scorer);
    memset(x, 0, RANK * sizeof *x);
    for (uint32_t i = 0; i < record->interaction_count; i++) {
        const struct interaction *at = &user_interactions(record)[i];
        const float *y = generation->Y + row_of_item(world, at->item) * STRIDE;
        double p = 2 * types[history_type_index(world->history, at->type)].weight;
        double t = i + 1, error = p, steepness = 1;
        for (int k = 0; k < RANK; k++) {
            x[k] /= 1 + 0.1 / t * (0.2 * generation->g[k] + 0.5);
            error -= p * x[k] * y[k];
            steepness += 0.1 * p * y[k] * y[k];
        }
        for (int k = 0; k < RANK; k++)
            x[k] += 0.1 * error / steepness * y[k];
    }
}

/* A step rounds a dozen times by 2^-24 of numbers below 3, and later steps only shrink what went
 * wrong before (they are proximal): twelve steps make less than 3e-5. */
static void test_sgd_lists_are_what_the_steps_say(void **state)
{
    struct world *world = *state;
    scorer_install(world->scorer, make_generation(world, taste_only));
    for (uint32_t i = 0; i < 12; i++)
        act(world, 1, draw(world, ROWS), draw(world, 3) ? VIEW : BUY);
    const struct slate_list *list = score(world, 1);
    double x[RANK];
    step_through(world, list->record, x);
    assert_true(list->count > 0);
    for (uint32_t i = 0; i < list->count; i++)
        assert_true(fabs(list->items[i].score -
                         score_of(world, list->record, list->items[i].item, x)) < 3e-5);
}

int main(void)
{
    printf("seed %u\n", SEED);
#define ALS(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define SGD(name) cmocka_unit_test_setup_teardown(name, setup_sgd, teardown)
    const struct CMUnitTest tests[] = {
        ALS(test_scorer_lists_are_what_the_formula_says),
        ALS(test_scorer_adds_what_goes_together),
        ALS(test_scorer_goes_by_its_own_weights_if_it_has_some),
        ALS(test_scorer_keeps_to_the_formula_as_events_come),
        ALS(test_scorer_list_does_not_depend_on_the_rest_of_the_slate),
        SGD(test_scorer_list_does_not_depend_on_the_rest_of_the_slate),
        ALS(test_scorer_lists_do_not_depend_on_the_batches),
        SGD(test_scorer_lists_do_not_depend_on_the_batches),
        ALS(test_scorer_before_the_first_generation_goes_by_trend),
        ALS(test_scorer_popular_list_is_the_trend_and_hides_nothing),
        ALS(test_scorer_popular_list_has_the_version_of_partition_0),
        ALS(test_scorer_popular_list_of_nothing_learned_is_older_than_any_other),
        ALS(test_scorer_gives_users_without_factors_the_trend),
        ALS(test_scorer_falls_back_to_trend_where_it_weighs_nothing),
        ALS(test_scorer_leaves_trend_out_of_taste_where_it_weighs_nothing),
        ALS(test_scorer_without_taste_goes_by_trend),
        ALS(test_scorer_hides_what_was_bought_and_not_what_was_seen),
        ALS(test_scorer_hides_what_left_the_kept_history),
        ALS(test_scorer_lists_an_item_newer_than_the_generation),
        ALS(test_scorer_leaves_out_blocked_items_until_unblocked),
        ALS(test_scorer_leaves_out_items_not_available_at_stream_time),
        ALS(test_scorer_leaves_out_excluded_categories),
        ALS(test_scorer_lists_no_id_that_only_the_generation_knows),
        ALS(test_scorer_uses_the_factors_of_an_id_from_when_it_is_seen),
        ALS(test_scorer_notes_version_cause_and_age),
        ALS(test_scorer_notes_generation_arm_and_stream_time),
        ALS(test_scorer_pins_the_user),
        ALS(test_scorer_says_whether_a_list_changed),
        ALS(test_scorer_calls_another_order_a_change),
        ALS(test_scorer_makes_a_forgotten_user_a_tombstone),
        ALS(test_scorer_scores_the_record_as_it_was_added),
        ALS(test_scorer_forgets_the_trend_of_a_partition_that_left),
        ALS(test_scorer_without_items_gives_an_empty_list),
        ALS(test_scorer_going_back_to_no_generation_goes_by_trend),
        SGD(test_sgd_with_its_cache_steps_to_the_same_list),
        SGD(test_sgd_goes_on_from_its_cache_when_an_event_is_appended),
        SGD(test_sgd_starts_over_when_an_event_comes_late),
        SGD(test_sgd_starts_over_when_an_event_is_retracted),
        SGD(test_sgd_starts_over_with_another_generation),
        SGD(test_sgd_lists_are_what_the_steps_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
