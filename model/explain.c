#include "model/explain.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

const char *const explain_kind_names[EXPLAIN_KINDS] = {"taste", "trend", "together", "impressions"};

void explain_deinit(struct explain *explain)
{
    free(explain->terms);
    *explain = (struct explain){0};
}

/* Nothing is kept of the forgotten. */
static const struct user_record *record_of(const struct user *user)
{
    const struct user_record *record = user != NULL ? user->record : NULL;
    return record != NULL && record->forgotten == 0 ? record : NULL;
}

void explain_list(struct scorer *scorer, const struct user *user, int64_t next_offset,
                  struct slate_list *list)
{
    struct user supposed = {.record = record_of(user)};
    struct slate slate = {0};
    if (user != NULL) {
        supposed.id = user->id;
        supposed.partition = user->partition;
    }
    scorer_add_supposed(scorer, &slate, &supposed);
    if (next_offset != -1)
        slate.lists[0].version.next_offset = next_offset;
    scorer_run(scorer, &slate);
    *list = slate.lists[0];
    list->user = NULL;
    list->record = NULL;
    slate.count = 0; /* the list is the caller's now */
    slate_deinit(&slate);
    scorer_release_cache(supposed.cache);
}

void explain_list_free(struct slate_list *list)
{
    free(list->items);
    free(list->explored);
    *list = (struct slate_list){0};
}

static struct explain_term *add_term(struct explain *out, enum explain_kind kind, double score,
                                     uint32_t item)
{
    struct explain_term *term = &out->terms[out->count++];
    *term = (struct explain_term){.kind = kind, .score = score, .item = item};
    out->sums[kind] += score;
    out->total += score;
    return term;
}

/* -- the terms --------------------------------------------------------------------------------- */

static int64_t latest_event_ms(const struct history *history, uint32_t item)
{
    int64_t latest_ms = INT64_MIN;
    for (size_t i = 0; i < history_sums_count(history); i++) {
        uint32_t known;
        const struct item_sums *sums = history_sums(history, i, &known);
        if (item < known && sums[item].count > 0 && sums[item].ts_ms > latest_ms)
            latest_ms = sums[item].ts_ms;
    }
    return latest_ms;
}

/* b T_i; where the user has no factors and b is 0, a little of it all the same. */
static void add_trend(const struct scorer_parts *parts, struct explain *out)
{
    const struct trend *trend = parts->trend;
    double count =
        out->item < trend->count ? trend_decay(trend, out->now_ms) * trend->gathered[out->item] : 0;
    double weight = parts->weights->trend;
    if (weight == 0 && !out->user_has_factors)
        weight = (double)TREND_FALLBACK;
    struct explain_term *term = add_term(out, EXPLAIN_TREND, weight * log1p(count), out->item);
    term->trend.weight = weight;
    term->trend.trend = log1p(count);
    term->trend.count = count;
    term->trend.latest_ms = latest_event_ms(parts->history, out->item);
    term->trend.half_life = trend->half_life;
}

static void add_together(const struct scorer_parts *parts, const struct user_record *record,
                         struct explain *out)
{
    double weight = parts->weights->together;
    uint32_t latest[TOGETHER_WINDOW];
    struct together_share shares[TOGETHER_WINDOW];
    if (record == NULL || !(weight > 0))
        return;
    size_t count = pairs_latest_items(user_interactions(record), record->interaction_count,
                                      parts->counting, ITEM_NONE, latest, TOGETHER_WINDOW);
    together_split(parts->together, latest, count, out->item, out->now_ms, shares);
    for (uint32_t d = 0; d < count; d++) {
        const struct together_share *share = &shares[d];
        struct explain_term *term = add_term(
            out, EXPLAIN_TOGETHER, weight * share->fade * share->n * share->norm, latest[d]);
        term->together.weight = weight;
        term->together.distance = d;
        term->together.share = *share;
    }
}

/* Whether there is an x_u that is not all zeros, as the list's maker asks. */
static bool has_factors(const struct scorer_parts *parts, const struct user_record *record,
                        int64_t now_ms)
{
    void *cache = NULL;
    if (parts->generation == NULL || record == NULL || (float)parts->weights->taste == 0)
        return false;
    float *x = mem_zalloc(parts->generation->stride * sizeof *x);
    bool has = taste_factors(parts->taste, record, now_ms, parts->columns->row_of,
                             parts->columns->items, x, &cache);
    scorer_release_cache(cache);
    free(x);
    return has;
}

/* a times what each event adds to x_u.y_i, newest first. */
static void add_events(const struct scorer_parts *parts, const struct user_record *record,
                       struct explain *out)
{
    if (record == NULL)
        return;
    uint32_t count = record->interaction_count;
    double *added = mem_zalloc(2 * (size_t)count * sizeof *added), *confidence = added + count;
    const struct interaction *at = user_interactions(record);
    if (out->user_has_factors)
        taste_added(parts->taste, record, out->now_ms, parts->columns->row_of,
                    parts->columns->items, parts->columns->row_of[out->item], added, confidence);
    for (uint32_t i = count; i-- > 0;) {
        struct explain_term *term =
            add_term(out, EXPLAIN_TASTE, out->taste_weight * added[i], at[i].item);
        term->event.ts_ms = at[i].ts_ms;
        term->event.offset = at[i].offset;
        term->event.value = at[i].value;
        term->event.type = at[i].type;
        term->event.confidence = confidence[i];
    }
    free(added);
}

/* s' - s for what was shown and passed over. */
static void add_impressions(const struct scorer_parts *parts, const struct user_record *record,
                            struct explain *out)
{
    double discount = parts->settings->finishing.discount;
    if (record == NULL || discount == 0 || out->propensity > 0)
        return;
    const struct shown_item *shown = user_shown(record);
    for (uint32_t i = 0; i < record->shown_count; i++) {
        if (shown[i].item != out->item)
            continue;
        double share = 1 - pow(1 - discount, shown[i].count);
        struct explain_term *term =
            add_term(out, EXPLAIN_IMPRESSIONS, -fabs(out->total) * share, out->item);
        term->impressions.discount = discount;
        term->impressions.times = shown[i].count;
        term->impressions.ts_ms = shown[i].ts_ms;
        return;
    }
}

/* -- whether he may have it -------------------------------------------------------------------- */

static uint64_t types_met(const struct user_record *record, uint32_t item)
{
    uint64_t types = 0;
    if (record == NULL)
        return 0;
    for (uint32_t i = 0; i < record->seen_count; i++)
        if (user_seen(record)[i].item == item)
            types |= user_seen(record)[i].types;
    for (uint32_t i = 0; i < record->interaction_count; i++)
        if (user_interactions(record)[i].item == item)
            types |= UINT64_C(1) << user_interactions(record)[i].type;
    return types;
}

static bool is_in_excluded_category(const struct scorer_parts *parts, const struct item_info *info)
{
    const struct items *items = history_items(parts->history);
    for (size_t c = 0; c < parts->settings->exclude_category_count; c++) {
        uint32_t number = ids_find(&items->categories, parts->settings->exclude_categories[c]);
        for (uint32_t i = 0; i < info->category_count; i++)
            if (info->categories[i] == number)
                return true;
    }
    return false;
}

static void find_out(const struct scorer_parts *parts, const struct user_record *record,
                     struct explain *out)
{
    const struct item_info *info = items_info(history_items(parts->history), out->item);
    out->hidden_by = types_met(record, out->item) & parts->hiding;
    out->out |= out->hidden_by != 0 ? EXPLAIN_SEEN : 0;
    if (info == NULL)
        return;
    out->out |= info->blocked ? EXPLAIN_BLOCKED : 0;
    out->out |= out->now_ms < info->from_ms ? EXPLAIN_NOT_YET : 0;
    out->out |= out->now_ms >= info->until_ms ? EXPLAIN_NO_LONGER : 0;
    out->out |= is_in_excluded_category(parts, info) ? EXPLAIN_CATEGORY : 0;
}

static double propensity_at(const struct slate_list *list, uint32_t at)
{
    for (uint32_t i = 0; i < list->explored_count; i++)
        if (list->explored[i].at == at)
            return list->explored[i].propensity;
    return 0;
}

static void find_rank(struct scorer *scorer, const struct user *user, struct explain *out)
{
    struct slate_list list;
    explain_list(scorer, user, -1, &list);
    out->list_count = list.count;
    for (uint32_t i = 0; i < list.count; i++) {
        double propensity = propensity_at(&list, i);
        if (propensity == 0)
            out->last_score = list.items[i].score;
        if (list.items[i].item != out->item)
            continue;
        out->rank = i + 1;
        out->list_score = list.items[i].score;
        out->propensity = propensity;
    }
    explain_list_free(&list);
}

void explain(struct scorer *scorer, const struct user *user, uint32_t item, struct explain *out)
{
    struct scorer_parts parts;
    const struct user_record *record = record_of(user);
    scorer_parts(scorer, &parts);
    bool known = item < parts.columns->items;
    *out = (struct explain){
        .item = known ? item : ITEM_NONE,
        .arm = parts.settings->arm_name,
        .now_ms = history_now_ms(parts.history),
        .generation = parts.generation != NULL ? parts.generation->number : 0,
        .taste_weight = parts.weights->taste,
        .update = parts.settings->update,
        .item_has_factors = known && parts.columns->row_of[item] != ROW_NONE,
        .out = known ? 0 : EXPLAIN_UNKNOWN,
    };
    out->user_has_factors = has_factors(&parts, record, out->now_ms);
    find_rank(scorer, user, out);
    if (!known)
        return;
    size_t events = record != NULL ? record->interaction_count : 0;
    out->terms = mem_array(NULL, 2 + TOGETHER_WINDOW + events, sizeof *out->terms);
    add_trend(&parts, out);
    add_together(&parts, record, out);
    add_events(&parts, record, out);
    add_impressions(&parts, record, out);
    find_out(&parts, record, out);
}
