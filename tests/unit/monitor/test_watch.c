/* The watch's own rules; that every figure is what its formula says is
 * tests/reference/test_figures.py's. */
#include "monitor/watch.h"
#include "tests/unit/model/history_fixture.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-6)

struct scene {
    struct place *place;
    struct watch *watch;
};

static const struct watch_arm three[] = {{SLICE("control"), 11, false, false},
                                         {SLICE("fast"), 12, false, false},
                                         {SLICE("ghost"), 0, true, false}};

static int begin(void **at)
{
    struct scene *scene = calloc(1, sizeof *scene);
    void *place;
    if (set_up(&place) != 0)
        return -1;
    scene->place = place;
    open_history(scene->place);
    assign(scene->place, 1);
    scene->watch = watch_new(scene->place->history, three, 3);
    *at = scene;
    return 0;
}

static int finish(void **at)
{
    struct scene *scene = *at;
    void *place = scene->place;
    watch_free(scene->watch);
    free(scene);
    return tear_down(&place);
}

/* -- lists ------------------------------------------------------------------------------------- */

/* A user who had one event, then a list of items 1 to 3, then two more events. */
static const struct user_record *a_record(void)
{
    static const struct user_limits limits = {.history_max = 9, .seen_max = 9, .dedup_window = 2};
    static const uint32_t items[] = {1, 2, 3};
    const struct user_record *record = NULL;
    for (int i = 0; i < 3; i++) {
        struct interaction one = {.ts_ms = 1000 + i, .offset = i, .value = 1, .item = 40};
        const struct user_record *next = user_apply(record, &one, &limits, NULL);
        user_record_unref(record);
        record = next;
        if (i != 0)
            continue;
        next = user_acknowledge(record, 1, 0, items, 3, true);
        user_record_unref(record);
        record = next;
    }
    return record;
}

static struct user nobody; /* lists only ask whether there is one */

/* Items 2, 1, 4 in the place of 1, 2, 3. */
static struct slate_list a_list(uint32_t arm, struct slate_item *items)
{
    for (uint32_t i = 0; i < 3; i++)
        items[i].item = i == 0 ? 2 : i == 1 ? 1 : 4;
    return (struct slate_list){
        .user = &nobody,
        .user_id = SLICE("ann"),
        .cause = CAUSE_EVENT,
        .changed = true,
        .oldest_event_ms = 1,
        .oldest_ts_ms = 1,
        .arm = arm,
        .arm_name = three[arm].name,
        .shadow = three[arm].shadow,
        .items = items,
        .count = 3,
        .change = {.jaccard = 0.5f, .rbo = 0.25f, .net_jaccard = 0.125f, .net_rbo = 0.0625f},
        .outcome = three[arm].shadow ? SLATE_HELD : SLATE_STORED,
        .record = a_record(),
    };
}

static void give(struct scene *scene, struct slate_list *list)
{
    watch_list(scene->watch, list);
}

static void end_list(struct slate_list *list)
{
    user_record_unref(list->record);
}

static const struct watch_figures *figures_of(const struct scene *scene, uint32_t arm)
{
    return watch_figures(scene->watch, arm);
}

static void test_a_stored_list_counts_in_its_arm_and_in_all(void **at)
{
    struct scene *scene = *at;
    struct slate_item items[3] = {0};
    struct slate_list list = a_list(1, items);
    give(scene, &list);
    const uint32_t arms[] = {1, WATCH_ALL};
    for (int i = 0; i < 2; i++) {
        const struct watch_figures *figures = figures_of(scene, arms[i]);
        struct churn_sums churn = churn_total(&figures->churn);
        assert_int_equal(churn.rewrites, 1);
        NEAR(churn.rbo, 0.25);
        NEAR(churn.net_jaccard, 0.125);
        assert_int_equal(figures->response.record_ms.count, 1);
        assert_int_equal(figures->response.changes[2], 1); /* two events since the list changed */
        assert_int_equal(figures->quality.lists, 1);
    }
    assert_int_equal(figures_of(scene, 0)->quality.lists, 0);
    end_list(&list);
}

static void test_only_what_redis_has_taken_counts(void **at)
{
    struct scene *scene = *at;
    struct slate_item items[3] = {0};
    struct slate_list list = a_list(0, items);
    static const enum slate_outcome others[] = {SLATE_OLDER, SLATE_REFUSED, SLATE_HELD};
    for (int i = 0; i < 3; i++) {
        list.outcome = others[i];
        list.hold = others[i] == SLATE_HELD ? 2 : 0;
        give(scene, &list);
    }
    const struct watch_figures *figures = figures_of(scene, 0);
    assert_int_equal(figures->quality.lists, 0);
    assert_int_equal(churn_total(&figures->churn).rewrites, 0);
    assert_int_equal(figures->response.record_ms.count, 0);
    assert_int_equal(figures->churn.held[2], 1);
    end_list(&list);
}

static void test_a_tombstone_counts_in_latencies_alone(void **at)
{
    struct scene *scene = *at;
    struct slate_item items[3] = {0};
    struct slate_list list = a_list(0, items);
    list.forgotten = true;
    list.count = 0;
    give(scene, &list);
    assert_int_equal(figures_of(scene, 0)->response.record_ms.count, 1);
    assert_int_equal(figures_of(scene, 0)->quality.lists, 0);
    end_list(&list);
}

static void test_recent_churn_waits_for_enough_lists_and_follows_the_last_of_them(void **at)
{
    struct scene *scene = *at;
    struct slate_item items[3] = {0};
    struct slate_list list = a_list(0, items);
    for (int i = 0; i < WATCH_CHURN_LISTS - 1; i++)
        give(scene, &list);
    NEAR(watch_recent_churn(scene->watch, 0), 0);
    give(scene, &list);
    NEAR(watch_recent_churn(scene->watch, 0), 0.25);
    list.change.rbo = 0.75f;
    for (int i = 0; i < WATCH_CHURN_LISTS / 2; i++)
        give(scene, &list);
    NEAR(watch_recent_churn(scene->watch, 0), 0.5);
    list.cause = CAUSE_GENERATION; /* a swap is no fault of the arm */
    for (int i = 0; i < WATCH_CHURN_LISTS; i++)
        give(scene, &list);
    NEAR(watch_recent_churn(scene->watch, 0), 0.5);
    end_list(&list);
}

static void test_arms_of_the_same_name_keep_their_figures_wherever_they_stand(void **at)
{
    static const struct watch_arm other[] = {{SLICE("slow"), 9, false, false},
                                             {SLICE("ghost"), 0, true, false},
                                             {SLICE("fast"), 8, false, false}};
    struct scene *scene = *at;
    struct slate_item items[3] = {0};
    struct slate_list list = a_list(1, items);
    give(scene, &list);
    watch_set_arms(scene->watch, other, 3);
    assert_int_equal(figures_of(scene, 0)->quality.lists, 0);
    assert_int_equal(figures_of(scene, 2)->quality.lists, 1);
    give(scene, &list); /* made when its arm had another index */
    assert_int_equal(figures_of(scene, 2)->quality.lists, 2);
    list.arm_name = SLICE("control"); /* and one whose arm is gone */
    give(scene, &list);
    assert_int_equal(figures_of(scene, 2)->quality.lists, 2);
    assert_int_equal(figures_of(scene, WATCH_ALL)->quality.lists, 3);
    assert_null(watch_figures(scene->watch, 3));
    end_list(&list);
}

/* -- shadows ----------------------------------------------------------------------------------- */

static void test_a_shadows_lists_are_compared_with_each_other(void **at)
{
    struct scene *scene = *at;
    struct slate_item items[3] = {0};
    struct slate_list list = a_list(2, items);
    give(scene, &list);
    assert_int_equal(figures_of(scene, 2)->churn.first, 1);
    give(scene, &list);
    items[2].item = 9;
    give(scene, &list);
    struct churn_sums churn = churn_total(&figures_of(scene, 2)->churn);
    assert_int_equal(churn.rewrites, 2);
    assert_int_equal(churn.changed, 1);
    assert_int_equal(churn.net_rewrites, 0);
    NEAR(churn.jaccard, 0.5); /* two of four in common */
    assert_int_equal(figures_of(scene, WATCH_ALL)->quality.lists, 0);
    end_list(&list);
}

static void test_a_forgotten_user_leaves_the_shadow_too(void **at)
{
    struct scene *scene = *at;
    struct slate_item items[3] = {0};
    struct slate_list list = a_list(2, items);
    give(scene, &list);
    list.forgotten = true;
    give(scene, &list);
    list.forgotten = false;
    give(scene, &list);
    assert_int_equal(figures_of(scene, 2)->churn.first, 2);
    end_list(&list);
}

/* -- events ------------------------------------------------------------------------------------ */

static struct outcome meet(struct scene *scene, uint32_t arm, uint32_t item, double value)
{
    struct event event = {
        .kind = EVENT_INTERACTION, .value = value, .pos = -1, .user = SLICE("ann")};
    const struct user_record *record = a_record();
    const struct use use = {&event, record, item, !user_has_seen(record, item)};
    struct outcome outcome = watch_event(scene->watch, &use, arm);
    user_record_unref(record);
    return outcome;
}

static void test_an_outcome_is_the_rank_of_an_item_that_is_new(void **at)
{
    struct scene *scene = *at;
    watch_batch(scene->watch);
    struct outcome hit = meet(scene, 1, 3, 1), miss = meet(scene, 0, 7, 1);
    struct outcome known = meet(scene, 0, 40, 1);
    assert_int_equal(hit.trial, 12);
    assert_int_equal(hit.rank, 3);
    assert_int_equal(miss.trial, 11);
    assert_int_equal(miss.rank, 0);
    assert_int_equal(known.trial, 0); /* nothing is counted for what the user knows */
    assert_int_equal(known.rank, 0);
}

static void test_no_trial_counts_while_there_is_none(void **at)
{
    static const struct watch_arm idle[] = {{SLICE("control"), 0, false, false}};
    struct scene *scene = *at;
    watch_batch(scene->watch);
    watch_set_arms(scene->watch, idle, 1);
    struct outcome outcome = meet(scene, 0, 3, 1);
    assert_int_equal(outcome.trial, 0);
    assert_int_equal(outcome.rank, 0);
    assert_int_equal(figures_of(scene, 0)->hits.counts[ACCURACY_NEW].hits20, 1);
}

static void test_a_hit_counts_in_chr_from_the_least_value_on(void **at)
{
    struct scene *scene = *at;
    watch_batch(scene->watch);
    watch_set_chr_min(scene->watch, 4);
    meet(scene, 0, 3, 3.9);
    meet(scene, 0, 2, 4);
    const struct hits *hits = &figures_of(scene, 0)->hits;
    assert_int_equal(hits->chosen.events, 1);
    assert_int_equal(hits->values[3].events, 1); /* from 3 to 4 */
    assert_int_equal(hits->values[4].hits10, 1);
}

static void test_a_shadow_hits_with_its_own_list(void **at)
{
    struct scene *scene = *at;
    struct slate_item items[3] = {0};
    struct slate_list list = a_list(2, items); /* 2, 1, 4 */
    watch_batch(scene->watch);
    meet(scene, 0, 4, 1); /* before the shadow has a list of him */
    give(scene, &list);
    meet(scene, 0, 4, 1);
    meet(scene, 0, 3, 1);
    const struct hits *hits = &figures_of(scene, 2)->hits;
    assert_int_equal(hits->counts[ACCURACY_NEW].events, 2);
    assert_int_equal(hits->counts[ACCURACY_NEW].hits20, 1);
    NEAR(hits->counts[ACCURACY_NEW].reciprocal_ranks, 1.0 / 3);
    assert_int_equal(hits->beside.events, 2);
    assert_int_equal(hits->beside.hits20, 1);
    end_list(&list);
}

/* -- attribution ------------------------------------------------------------------------------- */

static enum attribution attribute(const struct user_record *record, const char *list, int32_t pos)
{
    struct event event = {.list = slice_of(list), .pos = pos, .partition = 0};
    return attribution_of(&event, record, 2, 5);
}

static void test_attribution_is_by_version_and_place(void **at)
{
    const struct user_record *record = a_record(); /* acknowledged: offset 1, swap 0; 2 is second */
    static const char acked[] = "00000005.0000.0000000000000001.00000000";
    static const char older[] = "00000005.0000.0000000000000000.00000007";
    (void)at;
    assert_int_equal(attribute(record, "", 2), ATTRIBUTION_NONE);
    assert_int_equal(attribute(record, acked, 2), ATTRIBUTION_HIT);
    assert_int_equal(attribute(record, older, 2), ATTRIBUTION_HIT);
    assert_int_equal(attribute(record, acked, 1), ATTRIBUTION_MISMATCHED);
    assert_int_equal(attribute(record, acked, 0), ATTRIBUTION_MISMATCHED);
    assert_int_equal(attribute(record, acked, -1), ATTRIBUTION_MISMATCHED);
    assert_int_equal(attribute(record, acked, 4), ATTRIBUTION_MISMATCHED);
    assert_int_equal(attribute(record, older, 3), ATTRIBUTION_STALE);
    assert_int_equal(attribute(record, "00000005.0000.0000000000000002.00000000", 2),
                     ATTRIBUTION_FOREIGN);
    assert_int_equal(attribute(record, "00000004.0000.0000000000000001.00000000", 2),
                     ATTRIBUTION_FOREIGN);
    assert_int_equal(attribute(record, "00000005.0001.0000000000000001.00000000", 2),
                     ATTRIBUTION_FOREIGN);
    assert_int_equal(attribute(record, "nonsense", 2), ATTRIBUTION_FOREIGN);
    assert_int_equal(attribute(NULL, acked, 2), ATTRIBUTION_FOREIGN);
    user_record_unref(record);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stored_list_counts_in_its_arm_and_in_all),
        TEST(test_only_what_redis_has_taken_counts),
        TEST(test_a_tombstone_counts_in_latencies_alone),
        TEST(test_recent_churn_waits_for_enough_lists_and_follows_the_last_of_them),
        TEST(test_arms_of_the_same_name_keep_their_figures_wherever_they_stand),
        TEST(test_a_shadows_lists_are_compared_with_each_other),
        TEST(test_a_forgotten_user_leaves_the_shadow_too),
        TEST(test_an_outcome_is_the_rank_of_an_item_that_is_new),
        TEST(test_no_trial_counts_while_there_is_none),
        TEST(test_a_hit_counts_in_chr_from_the_least_value_on),
        TEST(test_a_shadow_hits_with_its_own_list),
        cmocka_unit_test(test_attribution_is_by_version_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
