#include "model/scorers.h"
#include "scorer_world.h"

enum { CONTROL, WIDE, STEPS, SHADOW, ARMS }; /* in this order in the settings */
#define OTHER_SERIES 9

struct stand {
    struct world *world;
    struct arms assignment;
    struct scorers_arm arms[ARMS];
    struct scorers *scorers;
};

static const struct arm_share shares[ARMS] = {
    {.name = "control", .control = true},
    {.name = "wide", .share = 0.3},
    {.name = "steps", .share = 0.4},
    {.name = "shadow", .share = 0.6, .shadow = true},
};

static struct generation *make_generation(struct world *world, uint64_t number)
{
    struct generation *old = (struct generation *)(uintptr_t)scorer_generation(world->scorer);
    if (old != NULL)
        generation_share(old);
    install_generation(world);
    struct generation *made = (struct generation *)(uintptr_t)scorer_generation(world->scorer);
    made->number = number;
    generation_share(made);
    scorer_install(world->scorer, old);
    return made;
}

/* Four arms that make four lists of any user; two series. */
static struct stand *stand_new(uint64_t seed)
{
    struct stand *stand = mem_zalloc(sizeof *stand);
    stand->world = drawn_world(seed, UPDATE_ALS);
    arms_init(&stand->assignment, SLICE("salt"), shares, ARMS);
    for (uint32_t i = 0; i < ARMS; i++) {
        stand->arms[i] = (struct scorers_arm){.settings = stand->world->settings};
        stand->arms[i].settings.arm = i;
        stand->arms[i].settings.arm_name = slice_of(shares[i].name);
        stand->arms[i].settings.finishing = (struct finishing_settings){.n = N - i};
    }
    stand->arms[CONTROL].control = true;
    stand->arms[STEPS].series = stand->arms[SHADOW].series = OTHER_SERIES;
    stand->arms[STEPS].settings.update = stand->arms[SHADOW].settings.update = UPDATE_SGD;
    stand->arms[SHADOW].settings.sgd_rate = 0.5 * stand->world->settings.sgd_rate;
    stand->arms[SHADOW].settings.shadow = true;
    stand->scorers = scorers_new(stand->world->history, &stand->assignment, stand->arms, ARMS);
    scorers_install(stand->scorers, 0, make_generation(stand->world, 3));
    scorers_install(stand->scorers, OTHER_SERIES, make_generation(stand->world, 4));
    return stand;
}

static void stand_free(struct stand *stand)
{
    scorers_free(stand->scorers);
    world_free(stand->world);
    free(stand);
}

static void add_all(struct stand *stand, struct slate *slate, enum slate_cause cause)
{
    for (uint32_t number = 0; number < USERS; number++) {
        struct user *user = find_user(stand->world, number);
        user->cause = cause;
        scorers_add(stand->scorers, slate, user);
    }
}

static void let_go(struct stand *stand, struct slate *slate)
{
    for (size_t i = 0; i < slate->count; i++)
        if (slate->lists[i].user != NULL)
            history_unpin(stand->world->history, slate->lists[i].user);
    slate_deinit(slate);
}

static void drop_cache(struct user *user)
{
    free(user->cache);
    user->cache = NULL;
}

/* The list that the arm alone makes, with nothing in memory but the history. */
static void score_alone(struct stand *stand, uint32_t arm, struct user *user, struct slate *slate)
{
    struct scorer *scorer = scorer_new(stand->world->history, &stand->arms[arm].settings);
    const struct generation *generation =
        scorers_generation(stand->scorers, stand->arms[arm].series);
    scorer_install(scorer, generation_share((struct generation *)(uintptr_t)generation));
    void *cache = user->cache;
    user->cache = NULL;
    scorer_add(scorer, slate, user);
    scorer_run(scorer, slate);
    drop_cache(user);
    user->cache = cache;
    scorer_free(scorer);
}

static void assert_list_of_its_arm(struct stand *stand, const struct slate_list *list)
{
    struct slate slate = {0};
    score_alone(stand, list->arm, list->user, &slate);
    assert_int_equal(list->count, N - list->arm);
    assert_int_equal(list->count, slate.lists[0].count);
    for (uint32_t i = 0; i < list->count; i++) {
        assert_int_equal(list->items[i].item, slate.lists[0].items[i].item);
        assert_true(list->items[i].score == slate.lists[0].items[i].score);
    }
    assert_true(slice_equal(list->arm_name, slice_of(shares[list->arm].name)));
    assert_int_equal(list->generation, stand->arms[list->arm].series == 0 ? 3 : 4);
    assert_int_equal(list->shadow, list->arm == SHADOW);
    let_go(stand, &slate);
}

static void test_each_list_is_made_by_its_arms_scorer(void **state)
{
    uint32_t of_arm[ARMS] = {0};
    for (uint64_t seed = 1; seed < 8; seed++) {
        struct stand *stand = stand_new(seed);
        struct slate slate = {0};
        add_all(stand, &slate, CAUSE_EVENT);
        scorers_run(stand->scorers, &slate);
        assert_int_equal(slate.stream_ts_ms, history_now_ms(stand->world->history));
        for (size_t i = 0; i < slate.count; i++) {
            assert_list_of_its_arm(stand, &slate.lists[i]);
            of_arm[slate.lists[i].arm]++;
        }
        let_go(stand, &slate);
        stand_free(stand);
    }
    for (int i = 0; i < ARMS; i++)
        assert_true(of_arm[i] > 0);
}

static void test_a_user_gets_the_list_of_the_arm_he_is_in(void **state)
{
    struct stand *stand = stand_new(1);
    struct slate slate = {0};
    add_all(stand, &slate, CAUSE_GENERATION);
    assert_int_equal(slate.count, USERS); /* and no shadow's: nothing happened that it answers */
    for (size_t i = 0; i < slate.count; i++) {
        uint32_t arm = arms_of(&stand->assignment, slate.lists[i].user_id);
        assert_int_equal(slate.lists[i].arm, arm);
        assert_int_equal(scorers_arm_of(stand->scorers, slate.lists[i].user_id), arm);
        assert_false(slate.lists[i].shadow);
    }
    let_go(stand, &slate);
    stand_free(stand);
}

static void test_shadow_lists_come_beside_the_published_for_an_event(void **state)
{
    struct stand *stand = stand_new(1);
    struct slate slate = {0};
    size_t shadows = 0;
    for (uint32_t number = 0; number < USERS; number++) {
        struct user *user = find_user(stand->world, number);
        bool is_shadowed = arms_shadows(&stand->assignment, SHADOW, user->id);
        uint32_t pins = user->pins;
        size_t before = slate.count;
        user->cause = CAUSE_EVENT;
        scorers_add(stand->scorers, &slate, user);
        assert_int_equal(slate.count, before + 1 + is_shadowed);
        assert_int_equal(user->pins, pins + 1 + is_shadowed);
        assert_false(slate.lists[before].shadow);
        shadows += is_shadowed;
    }
    assert_true(shadows > 0 && shadows < USERS);
    let_go(stand, &slate); /* once for each list */
    for (uint32_t number = 0; number < USERS; number++)
        assert_int_equal(find_user(stand->world, number)->pins, 0);
    stand_free(stand);
}

/* Steps go on from where they were; published and shadow step by turns, in one cache. */
static void test_steps_of_arms_do_not_mix(void **state)
{
    for (uint64_t seed = 1; seed < 5; seed++) {
        struct stand *stand = stand_new(seed);
        for (int round = 0; round < 4; round++) {
            struct slate slate = {0};
            add_all(stand, &slate, CAUSE_EVENT);
            scorers_run(stand->scorers, &slate);
            for (size_t i = 0; i < slate.count; i++)
                assert_list_of_its_arm(stand, &slate.lists[i]);
            let_go(stand, &slate);
            live(stand->world, 20);
            scorers_learned(stand->scorers, NULL);
        }
        stand_free(stand);
    }
}

/* -- generations ------------------------------------------------------------------------------- */

static void test_arms_of_a_series_share_one_generation(void **state)
{
    struct stand *stand = stand_new(1);
    const struct generation *generation = scorers_generation(stand->scorers, 0);
    assert_ptr_equal(scorer_generation(scorers_at(stand->scorers, CONTROL)), generation);
    assert_ptr_equal(scorer_generation(scorers_at(stand->scorers, WIDE)), generation);
    assert_int_equal(generation->sharers, 1); /* two owners */
    const struct generation *other = scorers_generation(stand->scorers, OTHER_SERIES);
    assert_ptr_not_equal(other, generation);
    assert_ptr_equal(scorer_generation(scorers_at(stand->scorers, SHADOW)), other);
    assert_int_equal(other->number, 4);
    stand_free(stand); /* frees each once, says AddressSanitizer */
}

static void test_a_new_generation_is_its_series_alone(void **state)
{
    struct stand *stand = stand_new(1);
    const struct generation *other = scorers_generation(stand->scorers, OTHER_SERIES);
    scorers_install(stand->scorers, 0, make_generation(stand->world, 8));
    assert_int_equal(scorers_generation(stand->scorers, 0)->number, 8);
    assert_ptr_equal(scorers_generation(stand->scorers, OTHER_SERIES), other);
    scorers_install(stand->scorers, OTHER_SERIES, NULL);
    assert_null(scorers_generation(stand->scorers, OTHER_SERIES));
    assert_non_null(scorers_generation(stand->scorers, 0));
    stand_free(stand);
}

static void test_a_generation_of_a_series_that_no_arm_has_goes(void **state)
{
    struct stand *stand = stand_new(1);
    scorers_install(stand->scorers, 77, make_generation(stand->world, 8)); /* leaks if it stays */
    assert_null(scorers_generation(stand->scorers, 77));
    assert_int_equal(scorers_generation(stand->scorers, 0)->number, 3);
    stand_free(stand);
}

/* As when arms change: the new scorers have what the old had, and the old go. */
static void test_a_generation_outlives_the_scorers_it_came_from(void **state)
{
    struct stand *stand = stand_new(1);
    struct scorers *old = stand->scorers;
    stand->scorers = scorers_new(stand->world->history, &stand->assignment, stand->arms, ARMS);
    const struct generation *known = scorers_generation(old, 0);
    scorers_install(stand->scorers, 0, generation_share((struct generation *)(uintptr_t)known));
    scorers_free(old);
    assert_int_equal(scorers_generation(stand->scorers, 0)->number, 3);
    assert_int_equal(scorers_generation(stand->scorers, 0)->sharers, 1);
    stand_free(stand);
}

/* -- the rest ---------------------------------------------------------------------------------- */

static void test_the_popular_list_is_controls(void **state)
{
    struct stand *stand = stand_new(1);
    struct slate slate = {0};
    scorers_add_popular(stand->scorers, &slate);
    scorers_run(stand->scorers, &slate);
    assert_int_equal(slate.count, 1);
    assert_int_equal(slate.lists[0].arm, scorers_control(stand->scorers));
    assert_int_equal(slate.lists[0].count, N);
    assert_null(slate.lists[0].user);
    let_go(stand, &slate);
    stand_free(stand);
}

static void test_a_single_arm_has_all_users(void **state)
{
    struct stand *stand = stand_new(1);
    struct scorers *one = scorers_new(stand->world->history, &stand->assignment, stand->arms, 1);
    assert_int_equal(scorers_count(one), 1);
    for (uint32_t number = 0; number < USERS; number++)
        assert_int_equal(scorers_arm_of(one, find_user(stand->world, number)->id), 0);
    scorers_free(one);
    stand_free(stand);
}

static void on_commit(const struct error *err, const int32_t *partitions,
                      const int64_t *next_offsets, size_t count, void *arg)
{
    assert_null(err);
    ++*(int *)arg;
}

static void swap(struct stand *stand, uint64_t series)
{
    struct history *history = stand->world->history;
    int commits = 0;
    assert_true(history_announce_swap(history, series, 1, 1));
    assert_true(history_commit(history, on_commit, &commits));
    while (commits == 0)
        uv_run(&stand->world->loop, UV_RUN_ONCE);
    history_take_swap(history);
}

static void test_swaps_are_those_of_each_users_series_and_stay_as_they_were(void **state)
{
    struct stand *stand = stand_new(1);
    struct scorers_swaps swaps;
    swap(stand, 0);
    swap(stand, 0);
    swap(stand, OTHER_SERIES);
    scorers_swaps_take(stand->scorers, stand->world->history, &swaps);
    struct arms before = stand->assignment;
    swap(stand, 0);
    arms_init(&stand->assignment, SLICE("another salt"), shares, ARMS);
    uint32_t of_series[2] = {0};
    for (uint32_t number = 0; number < USERS; number++) {
        struct slice user = find_user(stand->world, number)->id;
        bool other = arms_of(&before, user) == STEPS;
        assert_int_equal(scorers_swap_of(user, &swaps), other ? 3 : 2);
        of_series[other]++;
    }
    assert_true(of_series[0] > 0 && of_series[1] > 0);
    stand_free(stand);
}

/* -- on a worker ------------------------------------------------------------------------------- */

struct job {
    struct scorers *scorers;
    struct slate *slate;
    int done;
};

static void run_job(uv_work_t *work)
{
    struct job *job = work->data;
    scorers_run(job->scorers, job->slate);
}

static void job_done(uv_work_t *work, int status)
{
    ((struct job *)work->data)->done++;
}

/* The next slate is filled, and users are let go, while a worker scores; as in the line. */
static void test_a_slate_is_scored_while_the_next_is_filled(void **state)
{
    struct stand *stand = stand_new(2);
    struct slate slates[2] = {{0}, {0}};
    struct scorers_swaps swaps;
    add_all(stand, &slates[0], CAUSE_EVENT);
    for (int i = 0; i < 10; i++) {
        struct job job = {stand->scorers, &slates[i % 2], 0};
        uv_work_t work = {.data = &job};
        assert_int_equal(uv_queue_work(&stand->world->loop, &work, run_job, job_done), 0);
        add_all(stand, &slates[(i + 1) % 2], CAUSE_EVENT);
        scorers_swaps_take(stand->scorers, stand->world->history, &swaps);
        while (job.done == 0)
            uv_run(&stand->world->loop, UV_RUN_ONCE);
        for (size_t j = 0; j < slates[i % 2].count; j++) {
            assert_true(slates[i % 2].lists[j].count > 0);
            history_unpin(stand->world->history, slates[i % 2].lists[j].user);
        }
        slate_clear(&slates[i % 2]);
    }
    let_go(stand, &slates[0]);
    let_go(stand, &slates[1]);
    stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_list_is_made_by_its_arms_scorer),
        cmocka_unit_test(test_a_user_gets_the_list_of_the_arm_he_is_in),
        cmocka_unit_test(test_shadow_lists_come_beside_the_published_for_an_event),
        cmocka_unit_test(test_steps_of_arms_do_not_mix),
        cmocka_unit_test(test_arms_of_a_series_share_one_generation),
        cmocka_unit_test(test_a_new_generation_is_its_series_alone),
        cmocka_unit_test(test_a_generation_of_a_series_that_no_arm_has_goes),
        cmocka_unit_test(test_a_generation_outlives_the_scorers_it_came_from),
        cmocka_unit_test(test_the_popular_list_is_controls),
        cmocka_unit_test(test_a_single_arm_has_all_users),
        cmocka_unit_test(test_swaps_are_those_of_each_users_series_and_stay_as_they_were),
        cmocka_unit_test(test_a_slate_is_scored_while_the_next_is_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
