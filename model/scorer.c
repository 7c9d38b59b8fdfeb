#include "model/scorer.h"
#include "base/mem.h"
#include "model/columns.h"
#include "model/probe.h"
#include "model/together.h"
#include "model/topn.h"
#include "model/trend.h"

#include <assert.h>
#include <stdlib.h>

/* Lists to be scored against the same bias, a block at a time. */
struct group {
    const float *bias; /* [columns] */
    struct topn_user users[TOPN_USERS_MAX];
    struct slate_list *lists[TOPN_USERS_MAX];
    uint32_t *hidden[TOPN_USERS_MAX]; /* what users[i].hidden points to; kept for the next block */
    size_t hidden_capacity[TOPN_USERS_MAX];
    struct topn_extra *extras[TOPN_USERS_MAX]; /* and what users[i].extras points to */
    size_t extras_capacity[TOPN_USERS_MAX];
    uint32_t *last[TOPN_USERS_MAX]; /* and what users[i].last points to */
    size_t last_capacity[TOPN_USERS_MAX];
    size_t count;
};

struct scorer {
    struct history *history;
    struct scorer_settings settings;
    struct type_weight types[EVENT_TYPES_MAX]; /* by the state's type number */
    uint64_t hiding;                           /* bit t: the state's type t hides */
    struct generation *generation;
    struct columns columns;
    struct trend trend;
    struct together together;
    struct trend_source *sources; /* scratch, of the partitions in number order */
    const struct pairs **pairs;   /* the same */
    uint64_t counting;            /* bit t: the state's type t counts in trend and together */
    struct taste *taste;

    /* What scorer_run works on. */
    float *item_trend; /* [items]: T by item number */
    float *bias;       /* [columns]: b T */
    float *fallback;   /* [columns]: b T, or T where b is 0 */
    uint64_t *marks;   /* [columns / 64, rounded up]: bit per column; zeros between users */
    uint32_t columns_capacity;
    float *X; /* [TOPN_USERS_MAX, stride] */
    struct topn_scratch *topn;
    struct topn_entry *entries; /* [TOPN_USERS_MAX, entries_depth] */
    uint32_t entries_depth;
    struct finishing *finishing;
    struct group tasted, plain; /* with factors, and without */
};

/* -- what is live ------------------------------------------------------------------------------ */

static const struct score_weights *weights_of(const struct scorer *scorer)
{
    if (scorer->settings.weights != NULL)
        return scorer->settings.weights;
    return scorer->generation != NULL ? &scorer->generation->weights : &scorer->settings.first;
}

static size_t gather_sources(struct scorer *scorer)
{
    size_t count = history_sums_count(scorer->history);
    scorer->sources = mem_array(scorer->sources, count, sizeof *scorer->sources);
    scorer->pairs = mem_array(scorer->pairs, count, sizeof(struct pairs *));
    for (size_t i = 0; i < count; i++) {
        scorer->sources[i].sums = history_sums(scorer->history, i, &scorer->sources[i].count);
        scorer->pairs[i] = history_pairs(scorer->history, i);
    }
    return count;
}

static bool goes_together(const struct scorer *scorer)
{
    return weights_of(scorer)->together > 0;
}

static void rebuild(struct scorer *scorer)
{
    const struct score_weights *weights = weights_of(scorer);
    size_t sources = gather_sources(scorer);
    int64_t now_ms = history_now_ms(scorer->history);
    trend_rebuild(&scorer->trend, weights->trend_half_life, scorer->sources, sources,
                  scorer->columns.items, now_ms);
    if (goes_together(scorer))
        together_rebuild(&scorer->together, &weights->together_of, scorer->pairs, scorer->sources,
                         sources, scorer->columns.items, now_ms);
}

void scorer_learned(struct scorer *scorer, const struct learned *learned)
{
    columns_extend(&scorer->columns, scorer->generation, history_items(scorer->history));
    if (learned == NULL) {
        rebuild(scorer);
        return;
    }
    size_t sources = gather_sources(scorer);
    int64_t now_ms = history_now_ms(scorer->history);
    trend_touch(&scorer->trend, scorer->sources, sources, scorer->columns.items, learned->items,
                learned->item_count, now_ms);
    if (goes_together(scorer))
        together_touch(&scorer->together, scorer->sources, sources, scorer->columns.items,
                       learned->items, learned->item_count, now_ms);
}

void scorer_install(struct scorer *scorer, struct generation *generation)
{
    struct generation *old = scorer->generation;
    scorer->generation = generation;
    columns_build(&scorer->columns, generation, history_items(scorer->history));
    taste_set_generation(scorer->taste, generation, weights_of(scorer)->rho);
    if (generation != NULL) {
        size_t stride = generation->stride;
        scorer->X = mem_array(scorer->X, TOPN_USERS_MAX * stride, sizeof *scorer->X);
    }
    rebuild(scorer);
    generation_free(old);
}

const struct generation *scorer_generation(const struct scorer *scorer)
{
    return scorer->generation;
}

struct generation *scorer_share_generation(struct scorer *scorer)
{
    return scorer->generation != NULL ? generation_share(scorer->generation) : NULL;
}

/* Interactions carry the state's type numbers, which outlive the settings' order. */
static void place_types(struct scorer *scorer)
{
    for (uint32_t i = 0; i < scorer->settings.type_count; i++) {
        uint16_t number = history_type_number(scorer->history, (uint16_t)i);
        assert(number < EVENT_TYPES_MAX);
        scorer->types[number] = scorer->settings.types[i];
        if (scorer->types[number].hides)
            scorer->hiding |= UINT64_C(1) << number;
    }
}

struct scorer *scorer_new(struct history *history, const struct scorer_settings *settings)
{
    struct scorer *scorer = mem_zalloc(sizeof *scorer);
    scorer->history = history;
    scorer->settings = *settings;
    place_types(scorer);
    scorer->counting = history_types_counting(history);
    scorer->taste = taste_new(&(struct taste_settings){
        .update = settings->update, .sgd_rate = settings->sgd_rate, .types = scorer->types});
    scorer->topn = topn_scratch_new();
    scorer->finishing = finishing_new(&settings->finishing);
    scorer_install(scorer, NULL);
    return scorer;
}

static void group_deinit(struct group *group)
{
    for (size_t i = 0; i < TOPN_USERS_MAX; i++) {
        free(group->hidden[i]);
        free(group->extras[i]);
        free(group->last[i]);
    }
}

void scorer_free(struct scorer *scorer)
{
    if (scorer == NULL)
        return;
    generation_free(scorer->generation);
    columns_deinit(&scorer->columns);
    trend_deinit(&scorer->trend);
    taste_free(scorer->taste);
    topn_scratch_free(scorer->topn);
    group_deinit(&scorer->tasted);
    group_deinit(&scorer->plain);
    together_deinit(&scorer->together);
    free(scorer->sources);
    free(scorer->pairs);
    free(scorer->item_trend);
    free(scorer->bias);
    free(scorer->fallback);
    free(scorer->marks);
    free(scorer->X);
    free(scorer->entries);
    finishing_free(scorer->finishing);
    free(scorer);
}

void scorer_parts(struct scorer *scorer, struct scorer_parts *parts)
{
    *parts = (struct scorer_parts){.history = scorer->history,
                                   .settings = &scorer->settings,
                                   .types = scorer->types,
                                   .hiding = scorer->hiding,
                                   .counting = scorer->counting,
                                   .generation = scorer->generation,
                                   .weights = weights_of(scorer),
                                   .columns = &scorer->columns,
                                   .trend = &scorer->trend,
                                   .together = &scorer->together,
                                   .taste = scorer->taste};
}

void scorer_release_cache(void *cache)
{
    free(cache);
}

/* -- filling a slate --------------------------------------------------------------------------- */

static struct slate_list *add_list(const struct scorer *scorer, struct slate *slate)
{
    if (slate->count == slate->capacity) {
        slate->capacity = slate->capacity ? slate->capacity * 2 : 16;
        slate->lists = mem_array(slate->lists, slate->capacity, sizeof *slate->lists);
    }
    struct slate_list *list = &slate->lists[slate->count++];
    *list = (struct slate_list){
        .arm = scorer->settings.arm,
        .arm_name = scorer->settings.arm_name,
        .shadow = scorer->settings.shadow,
        .generation = scorer->generation != NULL ? scorer->generation->number : 0,
        .outcome = SLATE_UNSENT,
    };
    return list;
}

/* Of a partition nothing may have been read (INT64_MIN), or it is not assigned: 0 is older than
 * all. */
static struct version version_now(const struct scorer *scorer, int32_t partition)
{
    const struct state_meta *meta = history_meta(scorer->history);
    const struct partition_record *record = history_partition(scorer->history, false, partition);
    return (struct version){.epoch = meta->epoch,
                            .partition = partition,
                            .next_offset =
                                record != NULL && record->next_offset > 0 ? record->next_offset : 0,
                            .swap = meta->swap};
}

void scorer_add(struct scorer *scorer, struct slate *slate, struct user *user)
{
    struct slate_list *list = add_list(scorer, slate);
    history_pin(scorer->history, user);
    list->user = user;
    list->user_id = user->id;
    list->version = version_now(scorer, user->partition);
    list->cause = user->cause;
    list->oldest_event_ms = user->oldest_event_ms;
    list->oldest_ts_ms = user->oldest_ts_ms;
    list->record = user_record_ref(user->record);
    list->forgotten = user->record->forgotten != 0;
}

void scorer_add_popular(struct scorer *scorer, struct slate *slate)
{
    struct slate_list *list = add_list(scorer, slate);
    list->version = version_now(scorer, 0);
    list->cause = CAUSE_SWEEP;
}

void scorer_add_supposed(struct scorer *scorer, struct slate *slate, struct user *user)
{
    struct slate_list *list = add_list(scorer, slate);
    list->user = user;
    list->user_id = user->id;
    list->version = version_now(scorer, user->partition);
    list->cause = CAUSE_FORCED;
    list->record = user->record;
}

/* -- scoring ----------------------------------------------------------------------------------- */

static void reserve_columns(struct scorer *scorer)
{
    uint32_t count = scorer->columns.count;
    if (count < scorer->columns_capacity)
        return;
    scorer->columns_capacity = count + count / 2 + 64;
    size_t words = scorer->columns_capacity / 64 + 1;
    free(scorer->marks);
    scorer->marks = mem_zalloc(words * sizeof *scorer->marks);
    scorer->bias = mem_array(scorer->bias, scorer->columns_capacity, sizeof(float));
    scorer->fallback = mem_array(scorer->fallback, scorer->columns_capacity, sizeof(float));
    scorer->item_trend = mem_array(scorer->item_trend, scorer->columns_capacity, sizeof(float));
}

/* What all lists of a slate share: stream time, trend, who is out. */
static void prepare(struct scorer *scorer, struct slate *slate)
{
    const struct columns *columns = &scorer->columns;
    slate->stream_ts_ms = history_now_ms(scorer->history);

    reserve_columns(scorer);
    columns_exclude(&scorer->columns, history_items(scorer->history), slate->stream_ts_ms,
                    scorer->settings.exclude_categories, scorer->settings.exclude_category_count);
    trend_values(&scorer->trend, slate->stream_ts_ms, scorer->item_trend, columns->items);
    float b = (float)weights_of(scorer)->trend;
    for (uint32_t column = 0; column < columns->count; column++) {
        uint32_t item = columns->item_of[column];
        float T = item != ITEM_NONE ? scorer->item_trend[item] : 0;
        scorer->bias[column] = b * T;
        scorer->fallback[column] = (b != 0 ? b : TREND_FALLBACK) * T;
    }
    if (goes_together(scorer))
        together_prepare(&scorer->together, slate->stream_ts_ms);
    scorer->tasted.bias = scorer->bias;
    scorer->plain.bias = scorer->fallback;
}

static void mark(struct scorer *scorer, uint32_t item)
{
    if (item >= scorer->columns.items) /* not in the item table, so in no list either */
        return;
    uint32_t column = scorer->columns.column_of[item];
    scorer->marks[column / 64] |= UINT64_C(1) << (column % 64);
}

/* The kept history is looked at, too: it may be longer than the set of items seen. */
static void mark_hidden(struct scorer *scorer, const struct user_record *record)
{
    const struct seen_item *seen = user_seen(record);
    for (uint32_t i = 0; i < record->seen_count; i++)
        if ((seen[i].types & scorer->hiding) != 0)
            mark(scorer, seen[i].item);
    const struct interaction *interactions = user_interactions(record);
    for (uint32_t i = 0; i < record->interaction_count; i++)
        if ((scorer->hiding >> interactions[i].type & 1) != 0)
            mark(scorer, interactions[i].item);
}

/* Writes the marked columns in ascending order and takes the marks back. Returns how many. */
static size_t collect_marks(struct scorer *scorer, uint32_t *columns)
{
    size_t count = 0;
    for (uint32_t word = 0; word <= scorer->columns.count / 64; word++) {
        for (uint64_t bits = scorer->marks[word]; bits != 0; bits &= bits - 1)
            columns[count++] = word * 64 + (uint32_t)__builtin_ctzll(bits);
        scorer->marks[word] = 0;
    }
    return count;
}

static void hide(struct scorer *scorer, struct group *group, size_t at,
                 const struct user_record *record)
{
    size_t most = (size_t)record->seen_count + record->interaction_count;
    if (most == 0)
        return;
    if (most > group->hidden_capacity[at]) {
        group->hidden_capacity[at] = most;
        group->hidden[at] = mem_array(group->hidden[at], most, sizeof(uint32_t));
    }
    mark_hidden(scorer, record);
    group->users[at].hidden = group->hidden[at];
    group->users[at].hidden_count = collect_marks(scorer, group->hidden[at]);
}

/* What goes together with the user's latest items. */
static void gather_extras(struct scorer *scorer, struct group *group, size_t at,
                          const struct user_record *record)
{
    uint32_t latest[TOGETHER_WINDOW];
    struct together *together = &scorer->together;
    if (!goes_together(scorer))
        return;
    size_t count = pairs_latest_items(user_interactions(record), record->interaction_count,
                                      scorer->counting, ITEM_NONE, latest, TOGETHER_WINDOW);
    size_t most = together_extras_max(together, latest, count);
    if (most > group->extras_capacity[at]) {
        group->extras_capacity[at] = most + most / 2;
        group->extras[at] =
            mem_array(group->extras[at], group->extras_capacity[at], sizeof(struct topn_extra));
    }
    group->users[at].extras = group->extras[at];
    group->users[at].extra_count =
        together_extras(together, latest, count, weights_of(scorer)->together,
                        scorer->columns.column_of, scorer->columns.items, group->extras[at]);
}

/* The list that Redis has: mostly the next one, too, and so a good first guess; and what that will
 * be compared with. */
static void recall(struct scorer *scorer, struct group *group, size_t at, struct slate_list *list)
{
    const struct user_record *record = list->record;
    const uint32_t *items = user_list(record);
    if (record->list_count > group->last_capacity[at]) {
        group->last_capacity[at] = record->list_count;
        group->last[at] = mem_array(group->last[at], record->list_count, sizeof(uint32_t));
    }
    struct topn_user *user = &group->users[at];
    user->last = group->last[at];
    user->last_count = record->list_count;
    for (uint32_t i = 0; i < record->list_count; i++)
        group->last[at][i] =
            items[i] < scorer->columns.items ? scorer->columns.column_of[items[i]] : COLUMN_NONE;
    list->change.first = record->acked_offset < 0;
}

/* What together adds to the item's score. */
static float extra_of(const struct topn_user *user, uint32_t column)
{
    for (size_t i = 0; i < user->extra_count; i++)
        if (user->extras[i].column == column)
            return user->extras[i].value;
    return 0;
}

static void finish(struct scorer *scorer, const struct topn_items *items,
                   const struct topn_user *user, struct topn_entry *entries, uint32_t count,
                   struct slate_list *list)
{
    finishing_list(scorer->finishing, user, entries, count, list);
    list->fallback = user->x == NULL;
    for (uint32_t i = 0; i < list->explored_count; i++) {
        struct slate_item *item = &list->items[list->explored[i].at];
        uint32_t column = scorer->columns.column_of[item->item];
        item->score = topn_score(items, user->x, column, extra_of(user, column));
    }
}

/* As many entries as the one of the group wants who wants most. */
static uint32_t reserve_entries(struct scorer *scorer, const struct group *group)
{
    uint32_t depth = finishing_wants(scorer->finishing, NULL);
    for (size_t i = 0; i < group->count; i++) {
        uint32_t wants = finishing_wants(scorer->finishing, group->lists[i]->record);
        depth = wants > depth ? wants : depth;
    }
    if (depth > scorer->entries_depth) {
        scorer->entries_depth = depth;
        scorer->entries =
            mem_array(scorer->entries, (size_t)TOPN_USERS_MAX * depth, sizeof *scorer->entries);
    }
    return depth;
}

static void score_group(struct scorer *scorer, struct group *group)
{
    const struct generation *generation = scorer->generation;
    const struct columns *columns = &scorer->columns;
    struct topn_items items = {.index = generation != NULL ? generation->index : NULL,
                               .bias = group->bias,
                               .count = columns->count,
                               .ids = columns->ids,
                               .excluded = columns->excluded};
    uint32_t counts[TOPN_USERS_MAX], depth = reserve_entries(scorer, group);
    topn(&items, group->users, group->count, depth, scorer->entries, counts, scorer->topn);
    for (size_t i = 0; i < group->count; i++)
        finish(scorer, &items, &group->users[i], scorer->entries + i * depth, counts[i],
               group->lists[i]);
    group->count = 0;
}

/* a x_u, or NULL for a user without factors. Its room in X is the one that would be next. */
static const float *weighted_taste(struct scorer *scorer, struct slate_list *list, int64_t now_ms)
{
    float a = (float)weights_of(scorer)->taste;
    if (scorer->generation == NULL || list->record == NULL || a == 0)
        return NULL;
    size_t stride = scorer->generation->stride;
    float *x = scorer->X + scorer->tasted.count * stride;
    if (!taste_factors(scorer->taste, list->record, now_ms, scorer->columns.row_of,
                       scorer->columns.items, x, &list->user->cache))
        return NULL;
    for (size_t k = 0; k < stride; k++)
        x[k] *= a;
    return x;
}

static void probe(struct scorer *scorer, struct slate *slate)
{
    struct scorer_parts parts;
    scorer_parts(scorer, &parts);
    for (size_t i = 0; i < slate->count; i++) {
        struct slate_list *list = &slate->lists[i];
        if (list->arm == scorer->settings.arm && probe_wants(list))
            probe_list(&parts, slate->stream_ts_ms, list);
    }
}

void scorer_run(struct scorer *scorer, struct slate *slate)
{
    prepare(scorer, slate);
    finishing_begin(scorer->finishing, &scorer->columns);
    for (size_t i = 0; i < slate->count; i++) {
        struct slate_list *list = &slate->lists[i];
        if (list->arm != scorer->settings.arm)
            continue;
        if (list->forgotten) {
            list->changed = list->record->list_count > 0;
            continue;
        }
        const float *x = weighted_taste(scorer, list, slate->stream_ts_ms);
        struct group *group = x != NULL ? &scorer->tasted : &scorer->plain;
        size_t at = group->count++;
        group->lists[at] = list;
        group->users[at] = (struct topn_user){.x = x};
        if (list->record != NULL) {
            hide(scorer, group, at, list->record);
            gather_extras(scorer, group, at, list->record);
            recall(scorer, group, at, list);
        }
        if (group->count == TOPN_USERS_MAX)
            score_group(scorer, group);
    }
    score_group(scorer, &scorer->tasted);
    score_group(scorer, &scorer->plain);
    probe(scorer, slate);
}
