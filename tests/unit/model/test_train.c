/* `freshet train` from a state on the disk to a generation file. */
#include "model/train.h"
#include "base/mem.h"
#include "model/blas.h"
#include "model/history.h"
#include "model/tail.h"

#include <dirent.h>
#include <endian.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define SEED 20240605
#define TOPIC SLICE("events")
#define HOUR_MS INT64_C(3600000)

enum { USERS = 200, ITEMS = 240, KINDS = 4 };

struct fixture {
    char dir[64];
    uint64_t random;
    int64_t next_offset;
    const struct user_record *users[USERS];
    struct train_settings settings;
};

static const struct type_weight types[] = {{1, 0, 1, VALUE_NONE, true}};
static const char *const type_names[] = {"buy"};

static uint32_t draw(struct fixture *f, uint32_t below)
{
    f->random = f->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((f->random >> 33) % below);
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/freshet-train-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    f->random = SEED;
    f->settings = (struct train_settings){
        .state = {f->dir, 64 << 20},
        .topic = TOPIC,
        .als = {.hyper = {OBJECTIVE_IALS, 12, 0.1, 0.01, 1, LAMBDA_COUNT},
                .iterations = 10,
                .threads = 1,
                .pace = {.duty = 1}},
        .warm_iterations = 4,
        .gate = 0.05,
        .seed = 1,
        .choice = {.taste = true, .trend_weight = -1, .trend_half_life = -1, .together_weight = -1},
        .neighbours_max = 64,
        .types = types,
        .type_names = type_names,
        .type_count = 1};
    *state = f;
    return 0;
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        unlink(path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char inner[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        remove_tree(inner);
    }
    closedir(dir);
    rmdir(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t user = 0; user < USERS; user++)
        user_record_unref(f->users[user]);
    remove_tree(f->dir);
    free(f);
    return 0;
}

/* One event of a world in which a user mostly meets items of his own kind. */
static void meet(struct fixture *f, uint16_t type)
{
    static const struct user_limits limits = {.history_max = 64, .seen_max = 64};
    uint32_t user = draw(f, USERS), item = draw(f, ITEMS);
    if (draw(f, 10) != 0)
        item = item / KINDS * KINDS + user % KINDS;
    struct interaction interaction = {.ts_ms = f->next_offset * HOUR_MS / 20,
                                      .offset = f->next_offset,
                                      .value = 1,
                                      .item = item,
                                      .type = type};
    f->next_offset++;
    const struct user_record *old = f->users[user];
    f->users[user] = user_apply(old, &interaction, &limits, NULL);
    user_record_unref(old);
}

static void put(struct state_commit *commit, enum state_db db, const char *key, size_t length,
                struct slice value)
{
    state_commit_put(commit, db, (struct slice){key, (uint32_t)length}, value);
}

#define SERIES 0xfeedu /* another than the base's */

/* Writes what is known so far as the daemon would; `live` is the running generation of the
 * series trained, or of both. */
static void save(struct fixture *f, uint64_t live)
{
    struct state *state;
    struct error err = {0};
    char key[STATE_KEY_MAX], id[16];
    assert_int_equal(state_open_writer(&state, NULL, &f->settings.state, &err), 0);
    struct state_commit *commit = state_commit_new(state);
    uint16_t type = htobe16(0);
    put(commit, STATE_TYPES, (char *)&type, sizeof type, SLICE("buy"));
    type = htobe16(1);
    put(commit, STATE_TYPES, (char *)&type, sizeof type, SLICE("look"));
    for (uint32_t item = 0; item < ITEMS; item++) {
        int length = snprintf(id, sizeof id, "i%u", item); /* byte order is not number order */
        put(commit, STATE_ITEMS, key, state_key_item(key, item),
            (struct slice){id, (uint32_t)length});
    }
    for (uint32_t user = 0; user < USERS; user++) {
        if (f->users[user] == NULL)
            continue;
        int length = snprintf(id, sizeof id, "u%u", user);
        size_t bytes = state_key_user(key, TOPIC, 5, (struct slice){id, (uint32_t)length});
        put(commit, STATE_USERS, key, bytes, user_record_bytes(f->users[user]));
    }
    struct partition_record partition = {.next_offset = f->next_offset};
    put(commit, STATE_PARTITIONS, key, state_key_partition(key, TOPIC, 5),
        (struct slice){(char *)&partition, sizeof partition});
    uint64_t base = f->settings.series == 0 ? live : 0;
    struct state_series series[] = {{.generation = base}, {.key = SERIES, .generation = live}};
    put(commit, STATE_META, "series", 6, (struct slice){(char *)series, sizeof series});
    assert_int_equal(state_commit_now(commit, &err), 0);
    state_close(state);
}

static struct generation *train(struct fixture *f)
{
    struct generation *generation;
    struct error err = {0};
    if (train_run(&f->settings, NULL, NULL, &generation, &err) != 0) {
        print_error("%s\n", err.text);
        fail();
    }
    return generation;
}

static void refuse(struct fixture *f, int code, const char *text)
{
    struct generation *generation;
    struct error err = {0};
    assert_int_equal(train_run(&f->settings, NULL, NULL, &generation, &err), code);
    assert_null(generation);
    if (strstr(err.text, text) == NULL)
        print_error("%s\n", err.text);
    assert_non_null(strstr(err.text, text));
}

static void meet_many(struct fixture *f, int events)
{
    for (int i = 0; i < events; i++)
        meet(f, 0);
}

static void test_the_file_written_is_what_was_returned(void **state)
{
    struct fixture *f = *state;
    struct generation *g, *back;
    char path[128];
    printf("seed %d\n", SEED);
    meet_many(f, 4000);
    save(f, 0);
    g = train(f);
    assert_int_equal(g->number, 1);
    generation_path(path, sizeof path, f->dir, 0, 1);
    assert_int_equal(generation_read(&back, path, NULL), 0);
    assert_int_equal(back->items, ITEMS);
    assert_memory_equal(back->Y, g->Y, ITEMS * g->stride * sizeof(float));
    assert_memory_equal(&back->weights, &g->weights, sizeof g->weights);
    assert_int_equal(back->gate, GATE_FIRST);
    assert_int_equal(back->cutoff_count, 1);
    assert_int_equal(back->cutoffs[0].partition, 5);
    assert_int_equal(back->cutoffs[0].next_offset, 4000);
    generation_free(g);
    generation_free(back);
}

static void test_taste_is_found_where_there_is_some(void **state)
{
    struct fixture *f = *state;
    meet_many(f, 4000);
    save(f, 0);
    struct generation *g = train(f);
    assert_int_equal(g->figures.interactions, 4000);
    assert_true(g->figures.tail_events >= TAIL_EVENTS_MIN);
    assert_true(g->weights.taste > 0);
    /* Of 240 items a user's own kind are 60: knowing the kind is worth several standard errors. */
    assert_true(g->figures.ndcg20 > g->figures.ndcg20_recent + 3 * g->figures.ndcg20_se);
    assert_true(isnan(g->figures.ndcg20_live));
    generation_free(g);
}

static void test_any_number_of_threads_writes_the_same_factors(void **state)
{
    struct fixture *f = *state;
    meet_many(f, 3000);
    save(f, 0);
    struct generation *one = train(f);
    f->settings.als.threads = 3;
    struct generation *three = train(f);
    assert_memory_equal(one->Y, three->Y, one->items * one->stride * sizeof(float));
    assert_memory_equal(&one->weights, &three->weights, sizeof one->weights);
    assert_true(one->figures.ndcg20 == three->figures.ndcg20);
    generation_free(one);
    generation_free(three);
}

static void test_numbers_go_on_after_the_highest(void **state)
{
    struct fixture *f = *state;
    char path[128];
    meet_many(f, 500);
    save(f, 0);
    snprintf(path, sizeof path, "%s/generations", f->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    generation_path(path, sizeof path, f->dir, 0, 41);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    struct generation *g = train(f);
    assert_int_equal(g->number, 42);
    generation_free(g);
}

static void test_another_series_has_files_and_numbers_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct generation *back;
    char path[128];
    meet_many(f, 3500);
    save(f, 0);
    generation_free(train(f));
    generation_free(train(f));
    f->settings.series = SERIES;
    struct generation *g = train(f);
    assert_int_equal(g->number, 1);
    assert_int_equal(g->gate, GATE_FIRST);
    generation_free(g);
    snprintf(path, sizeof path, "%s/generations/000000000000feed/00000001.gen", f->dir);
    assert_int_equal(generation_read(&back, path, NULL), 0);
    generation_free(back);
    meet_many(f, 1500);
    save(f, 1);
    g = train(f); /* against the live one of its own series */
    assert_int_equal(g->number, 2);
    assert_int_equal(g->gate, GATE_PASSED);
    assert_false(isnan(g->figures.ndcg20_live));
    generation_free(g);
}

static void test_too_few_interactions_are_refused(void **state)
{
    struct fixture *f = *state;
    meet_many(f, 99);
    save(f, 0);
    f->settings.interactions_min = 100;
    refuse(f, ERR_DATA, "99 interactions are too few");
}

static void test_an_empty_state_is_refused(void **state)
{
    struct fixture *f = *state;
    save(f, 0);
    refuse(f, ERR_DATA, "too few");
}

static void test_no_state_is_bad_settings(void **state)
{
    struct fixture *f = *state;
    f->settings.state.dir = "/nonexistent/freshet";
    refuse(f, ERR_SETTINGS, "/nonexistent/freshet");
}

static void test_a_short_tail_leaves_the_default_weights(void **state)
{
    struct fixture *f = *state;
    meet_many(f, 300);
    save(f, 0);
    struct generation *g = train(f);
    assert_memory_equal(&g->weights, &train_default_weights, sizeof g->weights);
    assert_true(isnan(g->figures.ndcg20));
    assert_int_equal(g->figures.tail_events, 0);
    generation_free(g);
}

static void test_what_is_set_is_kept(void **state)
{
    struct fixture *f = *state;
    meet_many(f, 4000);
    save(f, 0);
    f->settings.choice.rho = 0.7;
    f->settings.choice.trend_weight = 0.03;
    f->settings.choice.trend_half_life = 2;
    f->settings.choice.together_weight = 4;
    struct generation *g = train(f);
    assert_true(g->weights.rho == 0.7);
    assert_true(g->weights.taste == 1);
    assert_true(g->weights.trend == 0.03);
    assert_int_equal(g->weights.trend_half_life, 2);
    assert_true(g->weights.together == 4);
    generation_free(g);
}

static void test_types_without_weight_are_not_trained_on(void **state)
{
    struct fixture *f = *state;
    meet_many(f, 500);
    for (int i = 0; i < 300; i++)
        meet(f, 1); /* "look", of which the settings say nothing */
    save(f, 0);
    struct generation *g = train(f);
    assert_int_equal(g->figures.interactions, 500);
    generation_free(g);
}

static void test_the_forgotten_are_left_out(void **state)
{
    struct fixture *f = *state;
    meet_many(f, 1000);
    uint64_t erased = f->users[3]->interaction_count;
    user_record_unref(f->users[3]);
    f->users[3] = user_forget(0);
    save(f, 0);
    struct generation *g = train(f);
    assert_int_equal(g->figures.interactions, 1000 - erased);
    size_t users = 0;
    for (size_t user = 0; user < USERS; user++)
        users += f->users[user] != NULL && !f->users[user]->forgotten;
    assert_int_equal(g->figures.users, users);
    generation_free(g);
}

static void test_an_equal_successor_passes_the_gate(void **state)
{
    struct fixture *f = *state;
    meet_many(f, 3500);
    save(f, 0);
    generation_free(train(f));
    meet_many(f, 800);
    save(f, 1);
    struct generation *g = train(f);
    assert_int_equal(g->number, 2);
    assert_int_equal(g->gate, GATE_PASSED);
    assert_true(g->figures.ndcg20_live > 0);
    generation_free(g);
}

static void test_a_much_worse_successor_is_refused_and_written(void **state)
{
    struct fixture *f = *state;
    struct generation *g, *back;
    char path[128];
    meet_many(f, 3500);
    save(f, 0);
    generation_free(train(f));
    meet_many(f, 1500);
    save(f, 1);
    f->settings.als.hyper.lambda = 1e9; /* factors of nothing */
    f->settings.choice.trend_weight = 0;
    f->settings.choice.together_weight = 0;
    g = train(f);
    assert_int_equal(g->gate, GATE_REFUSED);
    assert_true(g->figures.ndcg20 < g->figures.ndcg20_live);
    generation_free(g);
    generation_path(path, sizeof path, f->dir, 0, 2);
    assert_int_equal(generation_read(&back, path, NULL), 0);
    assert_int_equal(back->gate, GATE_REFUSED);
    generation_free(back);
}

static void test_a_generation_that_knows_the_tail_is_not_judged_on_it(void **state)
{
    struct fixture *f = *state;
    meet_many(f, 4000);
    save(f, 0);
    generation_free(train(f));
    save(f, 1); /* not one new event */
    struct generation *g = train(f);
    assert_int_equal(g->gate, GATE_PASSED);
    assert_true(isnan(g->figures.ndcg20_live));
    assert_true(g->figures.ndcg20 > 0);
    generation_free(g);
}

static void test_another_rank_may_follow(void **state)
{
    struct fixture *f = *state;
    meet_many(f, 3500);
    save(f, 0);
    generation_free(train(f));
    meet_many(f, 800);
    save(f, 1);
    f->settings.als.hyper.rank = 20;
    struct generation *g = train(f);
    assert_int_equal(g->hyper.rank, 20);
    assert_true(g->figures.ndcg20_live > 0);
    generation_free(g);
}

struct stages {
    char text[256];
    int iterations;
};

static void note_stage(const struct train_report *report, void *arg)
{
    struct stages *stages = arg;
    size_t length = strlen(stages->text);
    if (report->als != NULL)
        stages->iterations++;
    else
        snprintf(stages->text + length, sizeof stages->text - length, "%s ", report->stage);
}

static void test_progress_names_the_stages_in_order(void **state)
{
    struct fixture *f = *state;
    struct stages stages = {"", 0};
    struct generation *g;
    meet_many(f, 4000);
    save(f, 0);
    assert_int_equal(train_run(&f->settings, note_stage, &stages, &g, NULL), 0);
    assert_string_equal(stages.text, "reading tail fitting finishing writing ");
    assert_int_equal(stages.iterations, 10 + 4);
    assert_int_equal(g->iterations, 14);
    generation_free(g);
}

static void test_a_live_generation_that_is_gone_is_told_and_replaced(void **state)
{
    struct fixture *f = *state;
    struct stages stages = {"", 0};
    struct generation *g;
    meet_many(f, 500);
    save(f, 9);
    assert_int_equal(train_run(&f->settings, note_stage, &stages, &g, NULL), 0);
    assert_non_null(strstr(stages.text, "cannot be read"));
    assert_int_equal(g->gate, GATE_FIRST);
    generation_free(g);
}

static int init_blas(void **state)
{
    blas_init();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_file_written_is_what_was_returned),
        TEST(test_taste_is_found_where_there_is_some),
        TEST(test_any_number_of_threads_writes_the_same_factors),
        TEST(test_numbers_go_on_after_the_highest),
        TEST(test_another_series_has_files_and_numbers_of_its_own),
        TEST(test_too_few_interactions_are_refused),
        TEST(test_an_empty_state_is_refused),
        TEST(test_no_state_is_bad_settings),
        TEST(test_a_short_tail_leaves_the_default_weights),
        TEST(test_what_is_set_is_kept),
        TEST(test_types_without_weight_are_not_trained_on),
        TEST(test_the_forgotten_are_left_out),
        TEST(test_an_equal_successor_passes_the_gate),
        TEST(test_a_much_worse_successor_is_refused_and_written),
        TEST(test_a_generation_that_knows_the_tail_is_not_judged_on_it),
        TEST(test_another_rank_may_follow),
        TEST(test_a_live_generation_that_is_gone_is_told_and_replaced),
        TEST(test_progress_names_the_stages_in_order),
    };
    return cmocka_run_group_tests(tests, init_blas, NULL);
}
