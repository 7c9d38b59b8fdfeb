#include "base/mem.h"
#include "eval/choice.h"
#include "eval/stage.h"
#include "eval/tune.h"
#include "model/blas.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define SEED 5u
#define USERS 30
#define ITEMS 40
#define EVENTS 900
#define N 10
#define START_MS INT64_C(1700000000000)
#define HOUR_MS INT64_C(3600000)

static const char *const type_names[] = {"use"};
static const bool type_counts[] = {true};
static const struct type_weight types[] = {{.weight = 1, .cap = 1, .hides = true}};

struct world {
    char dir[64]; /* TMPDIR of the stage */
    struct stream stream;
    struct stage_settings settings;
    struct scorer_settings scorer;
    volatile sig_atomic_t stop;
    struct stage *stage;
};

/* Users of one of two groups use items of theirs. */
static void fill(struct stream *stream)
{
    uint64_t random = SEED;
    char user[16], item[16];
    for (int i = 0; i < EVENTS; i++) {
        size_t who = eval_random_below(&random, USERS);
        size_t what = eval_random_below(&random, ITEMS / 2) * 2 + who % 2;
        snprintf(user, sizeof user, "u%zu", who);
        snprintf(item, sizeof item, "i%zu", what);
        stream_add(stream, START_MS + i * HOUR_MS, slice_of(user), slice_of(item), 0, 1);
    }
    stream_arrange(stream, SEED);
}

static int set_up(void **at)
{
    struct world *world = mem_zalloc(sizeof *world);
    snprintf(world->dir, sizeof world->dir, "%s/freshet-stage-XXXXXX", P_tmpdir);
    if (mkdtemp(world->dir) == NULL || setenv("TMPDIR", world->dir, 1) != 0)
        return -1;
    fill(&world->stream);
    world->settings = (struct stage_settings){
        .history = {.state = {.map_bytes = 64 << 20},
                    .topic = SLICE("events"),
                    .items_topic = SLICE("items"),
                    .limits = {.history_max = 50, .seen_max = 100, .dedup_window = 1},
                    .neighbours_max = 20,
                    .hot_bytes = 1 << 24,
                    .dead_pending_max = 1,
                    .type_count = 1,
                    .types = type_names,
                    .type_counts = type_counts},
        .train = {.als = {.hyper = {.objective = OBJECTIVE_IALS,
                                    .rank = 4,
                                    .w0 = 0.1,
                                    .lambda = 0.01,
                                    .lambda_scaling = LAMBDA_COUNT,
                                    .alpha = 1},
                          .iterations = 3,
                          .threads = 1,
                          .pace = {.duty = 1}},
                  .warm_iterations = 1,
                  .gate = 0.05,
                  .seed = SEED,
                  .choice = {.taste = true,
                             .trend_weight = -1,
                             .trend_half_life = -1,
                             .together_weight = -1},
                  .neighbours_max = 20,
                  .types = types,
                  .type_names = type_names,
                  .type_count = 1,
                  .interactions_min = 50},
        .generations_keep = 2,
        .threads = 2,
        .stop = &world->stop};
    world->scorer = (struct scorer_settings){.finishing = {.n = N},
                                             .update = UPDATE_ALS,
                                             .first = {.trend = 1, .trend_half_life = 3},
                                             .types = types,
                                             .type_count = 1,
                                             .arm_name = SLICE("default")};
    *at = world;
    return 0;
}

static size_t files_in(const char *dir)
{
    size_t count = 0;
    DIR *opened = opendir(dir);
    for (struct dirent *entry; opened != NULL && (entry = readdir(opened)) != NULL;)
        count += entry->d_name[0] != '.';
    if (opened != NULL)
        closedir(opened);
    return count;
}

static int tear_down(void **at)
{
    struct world *world = *at;
    stage_close(world->stage);
    stream_deinit(&world->stream);
    size_t left = files_in(world->dir);
    rmdir(world->dir);
    free(world);
    return left == 0 ? 0 : -1; /* a stage takes its directory with it */
}

static void open_stage(struct world *world)
{
    struct error err = {0};
    if (stage_open(&world->stage, &world->stream, &world->settings, &err) != 0)
        fail_msg("%s", err.text);
}

static void learn(struct world *world, size_t begin, size_t end)
{
    struct error err = {0};
    for (size_t i = begin; i < end; i++)
        assert_int_equal(stage_learn(world->stage, &world->stream.events[i], &err), 0);
}

static struct asked ask(struct world *world, struct scorer *scorer, uint32_t user, uint32_t *list)
{
    struct asked asked = {scorer, list, 0};
    struct error err = {0};
    assert_int_equal(stage_lists(world->stage, user, &asked, 1, &err), 0);
    return asked;
}

/* -- lists ------------------------------------------------------------------------------------- */

/* By count, then by id; what the user had is left out. */
static void assert_is_popular(struct world *world, size_t learned, uint32_t user,
                              const struct asked *asked)
{
    uint32_t uses[ITEMS] = {0};
    bool had[ITEMS] = {false};
    for (size_t i = 0; i < learned; i++) {
        uses[world->stream.events[i].item]++;
        had[world->stream.events[i].item] |= world->stream.events[i].user == user;
    }
    for (uint32_t i = 0; i < asked->count; i++) {
        assert_false(had[asked->list[i]]);
        for (uint32_t item = 0; item < world->stream.items.count; item++) {
            bool above = uses[item] > uses[asked->list[i]];
            bool listed = false;
            for (uint32_t j = 0; j < i; j++)
                listed |= asked->list[j] == item;
            if (above && !had[item] && !listed)
                fail_msg("item %u, used more often, is not above", item);
        }
    }
}

static void test_lists_are_those_of_the_moment(void **at)
{
    struct world *world = *at;
    struct score_weights popular = {.trend = 1, .trend_half_life = HALF_LIFE_EVER, .rho = 1};
    uint32_t list[N];
    open_stage(world);
    world->scorer.weights = &popular;
    struct scorer *scorer = stage_scorer_new(world->stage, &world->scorer);
    for (size_t learned = 0; learned < 200; learned += 10) {
        uint32_t user = world->stream.events[learned].user;
        struct asked asked = ask(world, scorer, user, list);
        assert_true(learned == 0 || asked.count > 0);
        assert_is_popular(world, learned, user, &asked);
        learn(world, learned, learned + 10);
    }
}

static void test_lists_made_side_by_side_are_those_made_alone(void **at)
{
    struct world *world = *at;
    struct score_weights weights[8];
    struct scorer *scorers[8];
    struct asked asked[8];
    uint32_t lists[8][N], alone[N];
    struct error err = {0};
    open_stage(world);
    for (int i = 0; i < 8; i++) {
        weights[i] = (struct score_weights){.trend = 1, .trend_half_life = i, .rho = 1};
        if (i == 7)
            weights[i] = (struct score_weights){
                .together = 1, .rho = 1, .together_of = {.rho = 0.8, .horizon = PAIRS_EVER}};
        world->scorer.weights = &weights[i];
        scorers[i] = stage_scorer_new(world->stage, &world->scorer);
        asked[i] = (struct asked){scorers[i], lists[i], 0};
    }
    learn(world, 0, 300);
    for (uint32_t user = 0; user < world->stream.users.count; user++) {
        assert_int_equal(stage_lists(world->stage, user, asked, 8, &err), 0);
        for (int i = 0; i < 8; i++) {
            struct asked one = ask(world, scorers[i], user, alone);
            assert_int_equal(one.count, asked[i].count);
            assert_memory_equal(alone, lists[i], one.count * sizeof *alone);
        }
    }
}

static void test_items_keep_their_numbers_where_events_are_left_out(void **at)
{
    struct world *world = *at;
    struct error err = {0};
    uint32_t list[N];
    bool learned[ITEMS] = {false};
    open_stage(world);
    struct scorer *scorer = stage_scorer_new(world->stage, &world->scorer);
    for (size_t i = 30; i < 75; i += 3) { /* not the first items, and not all */
        assert_int_equal(stage_learn(world->stage, &world->stream.events[i], &err), 0);
        learned[world->stream.events[i].item] = true;
    }
    struct asked asked = ask(world, scorer, world->stream.events[1].user, list);
    assert_true(asked.count > 0);
    for (uint32_t i = 0; i < asked.count; i++)
        assert_true(learned[list[i]]);
    assert_int_equal(stage_commit(world->stage, &err), 0);
}

/* -- training ---------------------------------------------------------------------------------- */

static void test_a_generation_is_that_of_train_run(void **at)
{
    struct world *world = *at;
    struct generation *generation;
    struct error err = {0};
    bool live;
    open_stage(world);
    learn(world, 0, 600);
    if (stage_train(world->stage, NULL, &generation, &err) != 0)
        fail_msg("%s", err.text);
    assert_non_null(generation);
    assert_int_equal(generation->number, 1);
    assert_int_equal(generation->figures.interactions, 600);
    assert_int_equal(stage_make_live(world->stage, generation, &live, &err), 0);
    assert_true(live);
    assert_int_equal(history_series(stage_history(world->stage), 0)->generation, 1);

    uint32_t list[N];
    struct scorer *scorer = stage_scorer_new(world->stage, &world->scorer);
    assert_int_equal(stage_install(world->stage, scorer, generation, &err), 0);
    assert_true(ask(world, scorer, 0, list).count > 0);
    generation_free(generation);
}

static void test_too_few_events_are_not_trained_on(void **at)
{
    struct world *world = *at;
    struct generation *generation;
    struct error err = {0};
    open_stage(world);
    learn(world, 0, 49);
    assert_int_equal(stage_train(world->stage, NULL, &generation, &err), 0);
    assert_null(generation);
}

static void test_a_signal_ends_what_takes_long(void **at)
{
    struct world *world = *at;
    struct generation *generation;
    struct error err = {0};
    open_stage(world);
    learn(world, 0, 600);
    world->stop = SIGTERM;
    assert_int_equal(stage_train(world->stage, NULL, &generation, &err), ERR_DOWN);
    assert_null(generation);
    assert_int_equal(stage_go_on(world->stage, &err), ERR_DOWN);
}

static void test_a_directory_to_be_kept_stays(void **at)
{
    struct world *world = *at;
    char kept[128], path[256];
    snprintf(kept, sizeof kept, "%s/kept", world->dir);
    world->settings.keep_dir = kept;
    open_stage(world);
    learn(world, 0, 10);
    stage_close(world->stage);
    world->stage = NULL;
    assert_int_equal(files_in(kept), 3);
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", kept, files[i]);
        unlink(path);
    }
    rmdir(kept);
}

/* -- choosing and tuning ----------------------------------------------------------------------- */

/* NDCG@20 sums of the half-lives, made beside the choice. */
struct rivals {
    struct score_weights weights[HALF_LIFE_COUNT];
    struct scorer *scorers[HALF_LIFE_COUNT];
    double sums[HALF_LIFE_COUNT];
};

static void judge_rivals(struct world *world, struct rivals *rivals,
                         const struct stream_event *event)
{
    uint32_t list[CHOICE_DEPTH];
    for (int h = 0; h < HALF_LIFE_COUNT; h++) {
        struct asked asked = ask(world, rivals->scorers[h], event->user, list);
        for (uint32_t r = 0; r < asked.count; r++)
            if (list[r] == event->item)
                rivals->sums[h] += 1 / log2(2.0 + r);
    }
}

/* Users stay in their group: what goes together tells it, and what is popular does not. */
static void test_the_best_of_the_candidates_is_chosen(void **at)
{
    struct world *world = *at;
    struct error err = {0};
    struct rivals rivals = {0};
    open_stage(world);
    struct choice *choice =
        choice_new(world->stage, &world->scorer, 1u << METHOD_COOCCURRENCE | 1u << METHOD_RECENT);
    world->scorer.finishing.n = CHOICE_DEPTH;
    for (int h = 0; h < HALF_LIFE_COUNT; h++) {
        rivals.weights[h] = (struct score_weights){.trend = 1, .trend_half_life = h, .rho = 1};
        world->scorer.weights = &rivals.weights[h];
        rivals.scorers[h] = stage_scorer_new(world->stage, &world->scorer);
    }
    assert_true(isnan(choice_make(choice).half_life_ndcg)); /* nothing to choose by yet */
    for (size_t i = 0; i < 300; i++) {
        if (i >= 100 && world->stream.events[i].is_new) {
            judge_rivals(world, &rivals, &world->stream.events[i]);
            assert_int_equal(choice_judge(choice, &world->stream.events[i], &err), 0);
        }
        learn(world, i, i + 1);
    }
    struct panel_choice made = choice_make(choice);
    assert_true(made.events > 50);
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        assert_true(rivals.sums[h] <= rivals.sums[made.half_life]);
    assert_true(fabs(made.half_life_ndcg - rivals.sums[made.half_life] / (double)made.events) <
                1e-12);
    assert_true(made.together_ndcg > made.half_life_ndcg);
    choice_free(choice);
}

struct trials {
    size_t count;
    struct tune_trial at[16];
};

static void note_trial(const struct tune_trial *trial, void *arg)
{
    struct trials *trials = arg;
    assert_int_equal(trial->number, trials->count);
    trials->at[trials->count++] = *trial;
}

static void test_tuning_tries_what_was_given_first_and_the_same_for_the_same_seed(void **at)
{
    struct world *world = *at;
    struct trials first = {0}, again = {0};
    struct tune_trial best;
    struct error err = {0};
    struct tune_settings tune = {.stage = world->settings,
                                 .scorer = world->scorer,
                                 .from = 500,
                                 .to = 700,
                                 .seed = SEED,
                                 .trials = 5,
                                 .judged = note_trial,
                                 .arg = &first};
    if (tune_run(&world->stream, &tune, &best, &err) != 0)
        fail_msg("%s", err.text);
    tune.arg = &again;
    assert_int_equal(tune_run(&world->stream, &tune, &best, &err), 0);
    assert_int_equal(first.count, 5);
    assert_int_equal(first.at[0].hyper.rank, 4);
    assert_true(first.at[0].gain == 0);
    assert_true(first.at[0].ndcg > 0);
    for (size_t i = 0; i < 5; i++) {
        assert_true(first.at[i].ndcg == again.at[i].ndcg);
        assert_true(fabs(first.at[i].ndcg - first.at[0].ndcg - first.at[i].gain) < 1e-12);
        assert_true(best.ndcg >= first.at[0].ndcg);
        assert_true(first.at[i].ndcg <= best.ndcg || first.at[i].gain <= first.at[i].gain_se);
    }
}

int main(void)
{
    printf("seed %u\n", SEED);
    blas_init();
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_lists_are_those_of_the_moment),
        TEST(test_lists_made_side_by_side_are_those_made_alone),
        TEST(test_items_keep_their_numbers_where_events_are_left_out),
        TEST(test_a_generation_is_that_of_train_run),
        TEST(test_too_few_events_are_not_trained_on),
        TEST(test_a_signal_ends_what_takes_long),
        TEST(test_a_directory_to_be_kept_stays),
        TEST(test_the_best_of_the_candidates_is_chosen),
        TEST(test_tuning_tries_what_was_given_first_and_the_same_for_the_same_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
