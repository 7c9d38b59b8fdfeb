#include "base/mem.h"
#include "monitor/accuracy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define SEED 31u
#define PARTITIONS 2
#define ITEMS_MOST 8000
#define START_MS 1700000000000

/* A history in a directory of its own, and beside it what the twin counts. */
struct world {
    uint64_t random;
    char dir[64];
    uv_loop_t loop;
    struct history *history;
    struct batch batch;
    int64_t next_offset, now_ms;
    struct accuracy accuracy;
    int64_t clock_ms;
    struct item_sums sums[PARTITIONS][ITEMS_MOST];
    uint32_t *sorted[ACCURACY_METHODS]; /* every item that has a count, as of the last renewal */
    uint32_t sorted_count;
    uint32_t popular[30];
    struct accuracy_count recount[ACCURACY_SCOPES][ACCURACY_METHODS];
};

static uint32_t draw(struct world *world, uint32_t below)
{
    world->random = world->random * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return (uint32_t)(world->random >> 33) % below;
}

static int open_history(void **state, uint32_t seen_max)
{
    static const char *const types[] = {"view"};
    static const bool counts[] = {true};
    struct world *world = mem_zalloc(sizeof *world);
    *state = world;
    world->random = SEED;
    world->now_ms = START_MS;
    snprintf(world->dir, sizeof world->dir, "/tmp/freshet-accuracy-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    uv_loop_init(&world->loop);
    batch_init(&world->batch);
    struct history_settings settings = {
        .state = {.dir = world->dir, .map_bytes = 64 << 20},
        .topic = SLICE("events"),
        .items_topic = SLICE("items"),
        .limits = {.history_max = 5, .seen_max = seen_max, .dedup_window = 10},
        .hot_bytes = 64 << 20,
        .dead_pending_max = 10,
        .type_count = 1,
        .types = types,
        .type_counts = counts,
    };
    struct error err = {0};
    int32_t partitions[] = {0, 1};
    if (history_open(&world->history, &world->loop, &settings, free, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(history_assign(world->history, partitions, PARTITIONS, &err), 0);
    return 0;
}

static int setup(void **state)
{
    return open_history(state, 1000);
}

/* Users of whom fewer items are remembered than interactions are kept. */
static int setup_forgetful(void **state)
{
    return open_history(state, 3);
}

static int teardown(void **state)
{
    struct world *world = *state;
    accuracy_deinit(&world->accuracy);
    history_close(world->history);
    batch_deinit(&world->batch);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    for (int method = 0; method < ACCURACY_METHODS; method++)
        free(world->sorted[method]);
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", world->dir);
    assert_int_equal(system(command), 0);
    free(world);
    return 0;
}

static struct slice text(struct world *world, const char *prefix, uint32_t number)
{
    char *bytes = batch_alloc(&world->batch, 24);
    return (struct slice){bytes, (uint32_t)snprintf(bytes, 24, "%s%u", prefix, number)};
}

/* Users with even numbers are in partition 0. */
static void add_event(struct world *world, uint32_t user, uint32_t item)
{
    struct event *event = batch_add(&world->batch);
    world->now_ms += draw(world, 600000);
    event->kind = EVENT_INTERACTION;
    event->partition = (int32_t)(user % 2);
    event->offset = world->next_offset++;
    event->ts_ms = event->record_ts_ms = world->now_ms;
    event->value = 1;
    event->user = text(world, "u", user);
    event->item = text(world, "i", item);
    event->id = text(world, "e", (uint32_t)event->offset);
}

static struct event *add_control(struct world *world, uint32_t user, enum event_kind kind)
{
    struct event *event = batch_add(&world->batch);
    event->kind = kind;
    event->partition = (int32_t)(user % 2);
    event->offset = world->next_offset++;
    event->ts_ms = event->record_ts_ms = world->now_ms;
    event->user = text(world, "u", user);
    return event;
}

/* Up to five events of one user, of whom one may then be taken back, or all. */
static void add_burst(struct world *world, uint32_t user, uint32_t items)
{
    uint32_t events = 1 + draw(world, 5);
    for (uint32_t i = 0; i < events; i++)
        add_event(world, user, draw(world, draw(world, items) + 1));
    uint32_t last = (uint32_t)world->next_offset - 1;
    if (draw(world, 4) == 0)
        add_control(world, user, EVENT_RETRACT)->ref = text(world, "e", last - draw(world, events));
    else if (draw(world, 20) == 0)
        add_control(world, user, EVENT_FORGET_USER);
    if (draw(world, 2) == 0)
        add_event(world, user, draw(world, items));
}

static uint32_t item_count(const struct world *world)
{
    return items_count(history_items(world->history));
}

/* -- the twin: sorts everything, looks everything up in the record ----------------------------- */

static double twin_count(const struct world *world, int method, uint32_t item)
{
    double count = 0;
    for (int i = 0; i < PARTITIONS; i++) {
        const struct item_sums *sums = &world->sums[i][item];
        count += method == ACCURACY_POPULAR
                     ? (double)sums->count
                     : sums_at(sums, method - ACCURACY_RECENT, world->now_ms);
    }
    return count;
}

static const double *sorting_counts;

static int compare_items(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    if (sorting_counts[left] != sorting_counts[right])
        return sorting_counts[left] > sorting_counts[right] ? -1 : 1;
    return left < right ? -1 : 1;
}

static void twin_renew(struct world *world)
{
    uint32_t items = item_count(world);
    double *counts = mem_array(NULL, items, sizeof *counts);
    for (int method = ACCURACY_POPULAR; method < ACCURACY_METHODS; method++) {
        world->sorted[method] = mem_array(world->sorted[method], items, sizeof(uint32_t));
        world->sorted_count = 0;
        for (uint32_t item = 0; item < items; item++) {
            counts[item] = twin_count(world, method, item);
            if (counts[item] > 0)
                world->sorted[method][world->sorted_count++] = item;
        }
        sorting_counts = counts;
        qsort(world->sorted[method], world->sorted_count, sizeof(uint32_t), compare_items);
    }
    free(counts);
}

static bool twin_knows(const struct user_record *record, uint32_t item)
{
    for (uint32_t i = 0; record != NULL && i < record->interaction_count; i++)
        if (user_interactions(record)[i].item == item)
            return true;
    return user_has_seen(record, item);
}

/* From 1; 0 where it is not in the list. */
static uint32_t twin_rank(const struct world *world, int method, const struct user_record *before,
                          uint32_t item)
{
    bool is_ours = method == ACCURACY_FRESHET;
    const uint32_t *list = is_ours ? world->popular : world->sorted[method];
    uint32_t count = is_ours ? 30 : world->sorted_count, rank = 0;
    if (is_ours && before != NULL && before->acked_offset >= 0) {
        list = user_list(before);
        count = before->list_count;
    }
    for (uint32_t i = 0; i < count && (is_ours || i < BASELINE_DEPTH); i++) {
        if (!is_ours && twin_knows(before, list[i]))
            continue;
        rank++;
        if (list[i] == item)
            return rank;
    }
    return 0;
}

static void twin_observe(struct world *world, const struct user_record *before, uint32_t item)
{
    for (int scope = 0; scope < ACCURACY_SCOPES; scope++) {
        if (scope == ACCURACY_NEW && twin_knows(before, item))
            continue;
        for (int method = 0; method < ACCURACY_METHODS; method++) {
            uint32_t rank = twin_rank(world, method, before, item);
            struct accuracy_count *count = &world->recount[scope][method];
            count->events++;
            count->hits10 += rank >= 1 && rank <= 10;
            count->hits20 += rank >= 1 && rank <= 20;
            count->reciprocal_ranks += rank >= 1 && rank <= 20 ? 1.0 / rank : 0;
        }
    }
}

static struct outcome observe(const struct use *use, void *arg)
{
    struct world *world = arg;
    if (world->sorted[ACCURACY_POPULAR] != NULL)
        twin_observe(world, use->before, use->item);
    accuracy_observe(&world->accuracy, use, true);
    sums_add(&world->sums[use->event->partition][use->item], use->event->ts_ms);
    return (struct outcome){0};
}

/* Renews if it is time, learns and observes, as the pipeline does. */
static void learn_after(struct world *world, int64_t wait_ms)
{
    struct learned learned;
    world->clock_ms += wait_ms;
    accuracy_renew(&world->accuracy, world->history, item_count(world), world->clock_ms);
    history_learn(world->history, &world->batch, observe, world, &learned);
    batch_clear(&world->batch);
}

static void learn(struct world *world)
{
    learn_after(world, ACCURACY_RENEWAL_MS);
}

/* -- the tests --------------------------------------------------------------------------------- */

/* Gives one user a list of 25 items, right or wrong. */
static void acknowledge_some(struct world *world, uint32_t number)
{
    char id[24];
    snprintf(id, sizeof id, "u%u", number);
    struct user *user = history_user(world->history, (int32_t)(number % 2), slice_of(id), NULL);
    if (user == NULL)
        return;
    struct version version = {.partition = user->partition, .next_offset = world->next_offset};
    uint32_t list[25];
    for (uint32_t i = 0; i < 25; i++)
        list[i] = draw(world, item_count(world));
    history_acknowledge(world->history, user, &version, list, 25, true);
}

static void play(struct world *world, uint32_t items, uint32_t users)
{
    for (uint32_t i = 0; i < items; i++) /* so that all have their numbers */
        add_event(world, i % users, i);
    learn(world);
    memset(&world->accuracy.counts, 0, sizeof world->accuracy.counts);
    for (int batch = 0; batch < 60; batch++) {
        for (uint32_t i = 0; i < items / 16 + 1 + draw(world, 30); i++)
            add_burst(world, draw(world, users), items);
        int64_t now_ms = world->now_ms; /* the twin sees the world as it was before the batch */
        world->now_ms = history_now_ms(world->history);
        twin_renew(world);
        world->now_ms = now_ms;
        for (uint32_t i = 0; i < 30; i++)
            world->popular[i] = draw(world, items);
        accuracy_set_popular(&world->accuracy, world->popular, 30);
        learn(world);
        acknowledge_some(world, draw(world, users));
    }
}

static void assert_counts_equal_recount(const struct world *world)
{
    for (int scope = 0; scope < ACCURACY_SCOPES; scope++)
        for (int method = 0; method < ACCURACY_METHODS; method++) {
            const struct accuracy_count *found = &world->accuracy.counts[scope][method];
            const struct accuracy_count *expected = &world->recount[scope][method];
            assert_int_equal(found->events, expected->events);
            assert_int_equal(found->hits10, expected->hits10);
            assert_int_equal(found->hits20, expected->hits20);
            /* the same terms added in the same order */
            assert_true(found->reciprocal_ranks == expected->reciprocal_ranks);
        }
}

static void test_accuracy_equals_a_naive_recount(void **state)
{
    struct world *world = *state;
    play(world, 150, 40);
    assert_true(world->recount[ACCURACY_NEW][ACCURACY_RECENT].hits20 > 50); /* not vacuous */
    assert_counts_equal_recount(world);
}

static void test_accuracy_equals_a_naive_recount_where_little_is_remembered(void **state)
{
    struct world *world = *state;
    play(world, 60, 20);
    assert_true(world->recount[ACCURACY_NEW][ACCURACY_RECENT].hits20 > 50);
    assert_counts_equal_recount(world);
}

static void test_accuracy_equals_a_naive_recount_beyond_the_depth(void **state)
{
    struct world *world = *state;
    play(world, 1500, 2); /* both users have seen most of the first 512 */
    assert_true(world->recount[ACCURACY_NEW][ACCURACY_POPULAR].events > 50);
    assert_counts_equal_recount(world);
}

static void assert_baselines_are_the_full_sort(struct world *world)
{
    twin_renew(world);
    for (int method = ACCURACY_POPULAR; method < ACCURACY_METHODS; method++) {
        const struct baseline_list *list =
            &world->accuracy.baselines.lists[method - ACCURACY_POPULAR];
        assert_int_equal(list->count, BASELINE_DEPTH);
        for (uint32_t i = 0; i < BASELINE_DEPTH; i++)
            assert_int_equal(list->top[i].item, world->sorted[method][i]);
    }
}

static void test_accuracy_baseline_is_the_full_sort_cut_at_its_depth(void **state)
{
    struct world *world = *state;
    for (uint32_t i = 0; i < 4000; i++)
        add_event(world, i % 10, draw(world, 1200));
    learn(world);
    learn(world); /* of nothing: renews */
    assert_baselines_are_the_full_sort(world);
}

static void test_accuracy_baseline_taken_from_the_history_is_the_full_sort(void **state)
{
    struct world *world = *state;
    for (uint32_t i = 0; i < 9000; i++)
        add_event(world, i % 10, draw(world, 6000)); /* more items than are merged at once */
    learn(world);
    accuracy_forget_baselines(&world->accuracy);
    learn(world);
    assert_baselines_are_the_full_sort(world);
    add_event(world, 0, 1); /* and nothing is counted twice by the next renewal */
    learn(world);
    learn(world);
    assert_baselines_are_the_full_sort(world);
}

/* At ten minutes the landmark moves every 85 hours. What is older than 1022 half-lives may be in
 * the twin's list or not, so that the last of these must be younger. */
static void test_accuracy_baseline_is_the_full_sort_when_landmarks_have_moved(void **state)
{
    struct world *world = *state;
    for (uint32_t i = 0; i < 100; i++) {
        for (uint32_t j = 0; j < 65; j++)
            add_event(world, i % 10, draw(world, 1200));
        learn(world);
    }
    learn(world);
    assert_true(world->now_ms - START_MS > 3 * 512 * half_life_ms[0]);
    assert_baselines_are_the_full_sort(world);
}

static const struct user_record *with_list(uint32_t first, uint32_t count)
{
    uint32_t list[30];
    for (uint32_t i = 0; i < count; i++)
        list[i] = first + i;
    struct interaction interaction = {.ts_ms = START_MS, .item = 9999};
    struct user_limits limits = {.history_max = 10, .seen_max = 10, .dedup_window = 10};
    const struct user_record *one = user_apply(NULL, &interaction, &limits, NULL);
    const struct user_record *record = user_acknowledge(one, 1, 0, list, count, true);
    user_record_unref(one);
    return record;
}

static void see(struct world *world, const struct user_record *before, uint32_t item)
{
    const struct event event = {.user = SLICE("u"), .ts_ms = START_MS};
    const struct use use = {&event, before, item, !user_has_seen(before, item)};
    accuracy_observe(&world->accuracy, &use, true);
}

static void test_accuracy_counts_hits_by_rank_in_the_users_list(void **state)
{
    struct world *world = *state;
    const struct user_record *record = with_list(100, 30);
    const uint32_t ranks[] = {1, 10, 11, 20, 21};
    for (size_t i = 0; i < 5; i++)
        see(world, record, 100 + ranks[i] - 1);
    const struct accuracy_count *count = &world->accuracy.counts[ACCURACY_NEW][ACCURACY_FRESHET];
    assert_int_equal(count->events, 5);
    assert_int_equal(count->hits10, 2);
    assert_int_equal(count->hits20, 4);
    assert_true(fabs(count->reciprocal_ranks - (1 + 1.0 / 10 + 1.0 / 11 + 1.0 / 20)) < 1e-12);
    user_record_unref(record);
}

static void test_accuracy_takes_the_popular_list_for_users_without_one(void **state)
{
    struct world *world = *state;
    const uint32_t popular[] = {7, 8};
    struct interaction interaction = {.ts_ms = START_MS, .item = 9999};
    struct user_limits limits = {.history_max = 10, .seen_max = 10, .dedup_window = 10};
    const struct user_record *listless = user_apply(NULL, &interaction, &limits, NULL);
    accuracy_set_popular(&world->accuracy, popular, 2);
    see(world, NULL, 7);
    see(world, listless, 8);
    assert_int_equal(world->accuracy.counts[ACCURACY_ALL][ACCURACY_FRESHET].hits10, 2);
    user_record_unref(listless);
}

static void test_accuracy_does_not_take_it_for_users_with_an_empty_list(void **state)
{
    struct world *world = *state;
    const uint32_t popular[] = {7, 8};
    const struct user_record *record = with_list(0, 0);
    accuracy_set_popular(&world->accuracy, popular, 2);
    see(world, record, 7);
    assert_int_equal(world->accuracy.counts[ACCURACY_ALL][ACCURACY_FRESHET].hits20, 0);
    user_record_unref(record);
}

static void test_accuracy_counts_what_the_user_knows_under_all_alone(void **state)
{
    struct world *world = *state;
    const struct user_record *record = with_list(100, 5);
    see(world, record, 9999);
    see(world, record, 100);
    assert_int_equal(world->accuracy.counts[ACCURACY_ALL][ACCURACY_FRESHET].events, 2);
    assert_int_equal(world->accuracy.counts[ACCURACY_NEW][ACCURACY_FRESHET].events, 1);
    user_record_unref(record);
}

static void test_accuracy_forgets_one_users_items_before_the_next(void **state)
{
    struct world *world = *state;
    const struct user_record *record = with_list(100, 5);
    see(world, record, 100);
    see(world, NULL, 9999);
    assert_int_equal(world->accuracy.counts[ACCURACY_NEW][ACCURACY_FRESHET].events, 2);
    user_record_unref(record);
}

static void test_accuracy_of_the_first_batch_has_no_baselines(void **state)
{
    struct world *world = *state;
    add_event(world, 1, 1);
    learn(world);
    assert_int_equal(world->accuracy.counts[ACCURACY_ALL][ACCURACY_POPULAR].events, 1);
    assert_int_equal(world->accuracy.counts[ACCURACY_ALL][ACCURACY_POPULAR].hits20, 0);
}

static void test_accuracy_knows_the_batch_before_when_batches_come_slowly(void **state)
{
    struct world *world = *state;
    add_event(world, 1, 1);
    learn(world);
    add_event(world, 2, 1);
    learn(world); /* the first time there is something to renew from */
    add_event(world, 3, 2);
    learn(world);
    add_event(world, 4, 2);
    learn(world); /* knows item 2 from the batch before */
    assert_int_equal(world->accuracy.counts[ACCURACY_NEW][ACCURACY_POPULAR].hits10, 2);
}

static void test_accuracy_renews_fast_batches_no_more_often_than_said(void **state)
{
    struct world *world = *state;
    add_event(world, 1, 1);
    learn(world);
    add_event(world, 2, 1);
    learn(world);
    add_event(world, 3, 2);
    learn_after(world, ACCURACY_RENEWAL_MS - 1); /* by this renewal nobody had item 2 */
    add_event(world, 4, 2);
    learn_after(world, 0);
    assert_int_equal(world->accuracy.counts[ACCURACY_NEW][ACCURACY_POPULAR].hits10, 1);
    add_event(world, 5, 2);
    learn_after(world, 1);
    assert_int_equal(world->accuracy.counts[ACCURACY_NEW][ACCURACY_POPULAR].hits10, 2);
}

static void test_accuracy_best_half_life_has_most_hits_on_new_items(void **state)
{
    struct world *world = *state;
    world->accuracy.counts[ACCURACY_ALL][ACCURACY_RECENT + 1].hits20 = 9;
    world->accuracy.counts[ACCURACY_NEW][ACCURACY_RECENT + 4].hits20 = 5;
    world->accuracy.counts[ACCURACY_NEW][ACCURACY_RECENT + 5].hits20 = 5;
    world->accuracy.counts[ACCURACY_NEW][ACCURACY_FRESHET].hits20 = 9;
    assert_int_equal(accuracy_best_half_life(&world->accuracy), 4);
}

int main(void)
{
    printf("seed %u\n", SEED);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_accuracy_equals_a_naive_recount),
        TEST(test_accuracy_equals_a_naive_recount_beyond_the_depth),
        cmocka_unit_test_setup_teardown(
            test_accuracy_equals_a_naive_recount_where_little_is_remembered, setup_forgetful,
            teardown),
        TEST(test_accuracy_baseline_taken_from_the_history_is_the_full_sort),
        TEST(test_accuracy_baseline_is_the_full_sort_when_landmarks_have_moved),
        TEST(test_accuracy_baseline_is_the_full_sort_cut_at_its_depth),
        TEST(test_accuracy_counts_hits_by_rank_in_the_users_list),
        TEST(test_accuracy_takes_the_popular_list_for_users_without_one),
        TEST(test_accuracy_does_not_take_it_for_users_with_an_empty_list),
        TEST(test_accuracy_counts_what_the_user_knows_under_all_alone),
        TEST(test_accuracy_forgets_one_users_items_before_the_next),
        TEST(test_accuracy_of_the_first_batch_has_no_baselines),
        TEST(test_accuracy_knows_the_batch_before_when_batches_come_slowly),
        TEST(test_accuracy_renews_fast_batches_no_more_often_than_said),
        TEST(test_accuracy_best_half_life_has_most_hits_on_new_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
