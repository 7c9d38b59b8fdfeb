#include "monitor/watch.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/overlap.h"
#include "model/variety.h"
#include "monitor/shadow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct watch {
    struct history *history;
    struct watch_arm arms[ARMS_MAX];         /* [arm_count], as the next two */
    struct watch_figures *figures[ARMS_MAX]; /* owned */
    struct shadow *shadows[ARMS_MAX];        /* owned; NULL: the arm is published */
    size_t arm_count, shadow_count;
    uint64_t trials[TRIALS_MAX]; /* [trial_count] of the experiment's arms, gone ones included */
    size_t trial_count;
    struct watch_figures *all; /* owned */
    struct accuracy accuracy;
    struct overlapping overlapping; /* of shadow arms' lists */
    double chr_min;
    int64_t start_ms, end_ms; /* of what counts in trials */
};

/* -- arms -------------------------------------------------------------------------------------- */

static void give_arm(struct watch *watch, size_t at, const struct watch_arm *arm)
{
    watch->arms[at] = *arm;
    watch->shadow_count += arm->shadow;
    if (watch->figures[at] == NULL)
        watch->figures[at] = mem_zalloc(sizeof *watch->figures[at]);
    if (arm->shadow && watch->shadows[at] == NULL)
        watch->shadows[at] = shadow_new();
    watch->figures[at]->name = arm->name;
    watch->figures[at]->shadow = arm->shadow;
}

/* The figures of the arm of that name and kind, if there are any: taken out of `old`. */
static void take_figures(struct watch *watch, size_t at, struct watch *old,
                         const struct watch_arm *arm)
{
    for (size_t i = 0; i < old->arm_count; i++) {
        bool same = slice_equal(old->arms[i].name, arm->name) && old->arms[i].shadow == arm->shadow;
        if (!same || old->figures[i] == NULL)
            continue;
        watch->figures[at] = old->figures[i];
        watch->shadows[at] = old->shadows[i];
        old->figures[i] = NULL;
        old->shadows[i] = NULL;
        return;
    }
}

static void free_figures(struct watch *watch)
{
    for (size_t i = 0; i < watch->arm_count; i++) {
        free(watch->figures[i]);
        shadow_free(watch->shadows[i]);
        watch->figures[i] = NULL;
        watch->shadows[i] = NULL;
    }
}

void watch_set_arms(struct watch *watch, const struct watch_arm *arms, size_t count)
{
    struct watch old = *watch;
    for (size_t i = 0; i < ARMS_MAX; i++) {
        watch->figures[i] = NULL;
        watch->shadows[i] = NULL;
    }
    watch->arm_count = count;
    watch->shadow_count = 0;
    for (size_t i = 0; i < count; i++) {
        take_figures(watch, i, &old, &arms[i]);
        give_arm(watch, i, &arms[i]);
    }
    free_figures(&old);
}

/* A list may be of an arm whose index is another by now, or that is gone: arm_count. */
static size_t arm_of(const struct watch *watch, const struct slate_list *list)
{
    if (list->arm < watch->arm_count && slice_equal(watch->arms[list->arm].name, list->arm_name))
        return list->arm;
    size_t arm = 0;
    while (arm < watch->arm_count && !slice_equal(watch->arms[arm].name, list->arm_name))
        arm++;
    return arm;
}

/* -- life -------------------------------------------------------------------------------------- */

struct watch *watch_new(struct history *history, const struct watch_arm *arms, size_t count)
{
    struct watch *watch = mem_zalloc(sizeof *watch);
    watch->history = history;
    watch->chr_min = 1;
    watch_set_span(watch, INT64_MIN, INT64_MAX);
    watch->all = mem_zalloc(sizeof *watch->all);
    watch_set_arms(watch, arms, count);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    free_figures(watch);
    free(watch->all);
    accuracy_deinit(&watch->accuracy);
    overlapping_deinit(&watch->overlapping);
    free(watch);
}

void watch_set_span(struct watch *watch, int64_t start_ms, int64_t end_ms)
{
    watch->start_ms = start_ms;
    watch->end_ms = end_ms;
}

void watch_set_chr_min(struct watch *watch, double chr_min)
{
    watch->chr_min = chr_min;
}

/* -- events ------------------------------------------------------------------------------------ */

void watch_set_trials(struct watch *watch, const uint64_t *trials, size_t count)
{
    watch->trial_count = count;
    memcpy(watch->trials, trials, count * sizeof *trials);
}

void watch_forget_churn(struct watch *watch, uint32_t arm)
{
    if (arm < watch->arm_count)
        watch->figures[arm]->churn.recent_count = 0;
}

void watch_batch(struct watch *watch)
{
    accuracy_renew(&watch->accuracy, watch->history, items_count(history_items(watch->history)),
                   clock_monotonic_ns() / 1000000);
}

/* What shadow arms would have shown him, beside what he was shown. */
static void observe_shadows(struct watch *watch, const struct hits_event *live, uint32_t item)
{
    uint64_t user = shadow_hash(live->event->user);
    for (size_t i = 0; i < watch->arm_count; i++) {
        const struct shadow_list *list = watch->shadows[i] != NULL && !watch->arms[i].paused
                                             ? shadow_find(watch->shadows[i], user)
                                             : NULL;
        if (list == NULL)
            continue;
        struct hits_event event = *live;
        event.rank = shadow_rank(list, item);
        event.attribution = ATTRIBUTION_NONE;
        hits_add(&watch->figures[i]->hits, &event);
        if (event.is_new)
            accuracy_count(&watch->figures[i]->hits.beside, live->rank);
    }
}

/* A user who was counted in one arm of the experiment and is now in another is counted in neither
 * any more: what he does says nothing of either alone. */
static uint64_t trial_for(const struct watch *watch, const struct user_record *before, uint32_t arm)
{
    uint64_t trial = watch->arms[arm].trial, last = before != NULL ? before->trial.trial : 0;
    for (size_t i = 0; i < watch->arm_count && last != trial; i++)
        if (last != 0 && watch->arms[i].trial == last)
            return 0;
    for (size_t i = 0; i < watch->trial_count && last != trial; i++)
        if (last != 0 && watch->trials[i] == last)
            return 0;
    return trial;
}

struct outcome watch_event(struct watch *watch, const struct use *use, uint32_t arm)
{
    const struct event *event = use->event;
    uint32_t rank =
        accuracy_observe(&watch->accuracy, use, history_type_counts(watch->history, event->type));
    uint32_t epoch = history_meta(watch->history)->epoch;
    struct hits_event hit = {.event = event,
                             .rank = rank,
                             .is_new = use->is_new,
                             .is_chosen = event->value >= watch->chr_min,
                             .attribution = attribution_of(event, use->before, use->item, epoch)};
    hits_add(&watch->all->hits, &hit);
    if (watch->shadow_count > 0)
        observe_shadows(watch, &hit, use->item);
    if (arm >= watch->arm_count)
        return (struct outcome){0};
    hits_add(&watch->figures[arm]->hits, &hit);
    bool counts = use->is_new && event->ts_ms >= watch->start_ms && event->ts_ms < watch->end_ms;
    uint64_t trial = counts ? trial_for(watch, use->before, arm) : 0;
    return (struct outcome){.trial = trial, .rank = trial != 0 ? rank : 0};
}

/* -- lists ------------------------------------------------------------------------------------- */

/* Mean bits of what the list has, for a list that was probed. */
static double novelty_of(struct watch *watch, const struct slate_list *list)
{
    struct baselines *baselines = &watch->accuracy.baselines;
    uint32_t count = list->count < LIST_DEPTH ? list->count : LIST_DEPTH;
    double uses[LIST_DEPTH];
    if (!list->probe.made || !baselines->known)
        return NAN;
    for (uint32_t i = 0; i < count; i++)
        uses[i] = baselines_uses(baselines, list->items[i].item);
    return variety_novelty(uses, count, (double)baselines->uses_total);
}

static void add_stored(struct watch_figures *figures, const struct slate_list *list,
                       int64_t wall_ms, double novelty)
{
    response_add(&figures->response, list, wall_ms);
    if (list->forgotten)
        return;
    churn_add(&figures->churn, list->cause, list->changed, &list->change);
    response_add_probe(&figures->response, list);
    quality_add(&figures->quality, list, novelty);
}

static void add_published(struct watch *watch, const struct slate_list *list)
{
    size_t arm = arm_of(watch, list);
    if (list->outcome == SLATE_HELD) {
        churn_add_held(&watch->all->churn, list->hold);
        if (arm < watch->arm_count)
            churn_add_held(&watch->figures[arm]->churn, list->hold);
    }
    if (list->outcome != SLATE_STORED)
        return;
    int64_t wall_ms = clock_wall_ms();
    double novelty = novelty_of(watch, list);
    add_stored(watch->all, list, wall_ms, novelty);
    if (arm < watch->arm_count)
        add_stored(watch->figures[arm], list, wall_ms, novelty);
}

/* How far it is from the arm's last list of that user; nothing is known of items that had to go. */
static struct list_change shadow_change(struct overlapping *overlapping,
                                        const struct shadow_list *last,
                                        const struct slate_list *list, bool *changed)
{
    uint32_t items[LIST_DEPTH], count = list->count < LIST_DEPTH ? list->count : LIST_DEPTH;
    if (last == NULL)
        return (struct list_change){.first = true};
    for (uint32_t i = 0; i < count; i++)
        items[i] = list->items[i].item;
    struct overlap overlap =
        overlap_of(overlapping, last->items, last->count, items, count, OVERLAP_K);
    struct list_change change = {
        .jaccard = (float)overlap.jaccard_distance,
        .rbo = (float)(1 - overlap.rbo),
        .net_jaccard = NAN,
        .net_rbo = NAN,
    };
    *changed = count != last->count || memcmp(items, last->items, count * sizeof *items) != 0;
    return change;
}

static void add_shadow(struct watch *watch, const struct slate_list *list)
{
    size_t arm = arm_of(watch, list);
    if (arm == watch->arm_count || watch->shadows[arm] == NULL)
        return;
    struct watch_figures *figures = watch->figures[arm];
    uint64_t user = shadow_hash(list->user_id);
    if (list->forgotten) {
        shadow_forget(watch->shadows[arm], user);
        return;
    }
    bool changed = false;
    struct list_change change =
        shadow_change(&watch->overlapping, shadow_find(watch->shadows[arm], user), list, &changed);
    churn_add(&figures->churn, list->cause, changed, &change);
    response_add_probe(&figures->response, list);
    quality_add(&figures->quality, list, novelty_of(watch, list));
    shadow_put(watch->shadows[arm], user, list);
}

void watch_list(struct watch *watch, const struct slate_list *list)
{
    if (list->user == NULL)
        return;
    if (list->shadow)
        add_shadow(watch, list);
    else
        add_published(watch, list);
}

void watch_popular(struct watch *watch, const uint32_t *items, uint32_t count)
{
    accuracy_set_popular(&watch->accuracy, items, count);
}

void watch_shift(struct watch *watch, uint32_t arm, const struct shift_figures *figures)
{
    if (arm < watch->arm_count)
        watch->figures[arm]->shift = *figures;
}

void watch_forget_baselines(struct watch *watch)
{
    accuracy_forget_baselines(&watch->accuracy);
}

/* -- the figures ------------------------------------------------------------------------------- */

const struct watch_figures *watch_figures(const struct watch *watch, uint32_t arm)
{
    if (arm == WATCH_ALL)
        return watch->all;
    return arm < watch->arm_count ? watch->figures[arm] : NULL;
}

size_t watch_arm_count(const struct watch *watch)
{
    return watch->arm_count;
}

double watch_recent_churn(const struct watch *watch, uint32_t arm)
{
    return arm < watch->arm_count ? churn_recent(&watch->figures[arm]->churn) : 0;
}

const struct accuracy *watch_accuracy(const struct watch *watch)
{
    return &watch->accuracy;
}

const struct histogram *watch_event_to_list(const struct watch *watch)
{
    return &watch->all->response.record_ms;
}
