#include "model/shift.h"
#include "base/mem.h"
#include "model/overlap.h"

#include <math.h>
#include <stdlib.h>

struct item_score {
    uint32_t item;
    double score; /* NaN: it has no factors */
};

struct user_scores {
    const struct user *user;
    uint32_t count;
    struct item_score items[LIST_DEPTH]; /* [count] of his list */
};

struct shift {
    uint64_t generation;
    struct overlapping overlapping;
    uint32_t count;
    struct user_scores users[SHIFT_USERS];
};

/* -- scores ------------------------------------------------------------------------------------ */

static double score_of(const struct scorer_parts *parts, const float *x, uint32_t item)
{
    const struct generation *generation = parts->generation;
    uint32_t row = item < parts->columns->items ? parts->columns->row_of[item] : ROW_NONE;
    if (row == ROW_NONE)
        return NAN;
    const float *y = generation->Y + row * generation->stride;
    double sum = 0;
    for (int k = 0; k < generation->hyper.rank; k++)
        sum += (double)x[k] * y[k];
    return sum;
}

/* x: [stride]. False if the user has no factors, or no list. */
static bool score_list(const struct scorer_parts *parts, const struct user *user, float *x,
                       struct user_scores *scores)
{
    const struct user_record *record = user->record;
    void *cache = NULL;
    bool made = record->list_count > 0 &&
                taste_factors(parts->taste, record, history_now_ms(parts->history),
                              parts->columns->row_of, parts->columns->items, x, &cache);
    free(cache);
    if (!made)
        return false;
    scores->user = user;
    scores->count = record->list_count < LIST_DEPTH ? record->list_count : LIST_DEPTH;
    for (uint32_t i = 0; i < scores->count; i++) {
        uint32_t item = user_list(record)[i];
        scores->items[i] = (struct item_score){item, score_of(parts, x, item)};
    }
    return true;
}

struct shift *shift_begin(struct scorer *scorer)
{
    struct shift *shift = mem_zalloc(sizeof *shift);
    struct user *users[SHIFT_LOOKED_AT];
    struct scorer_parts parts;
    scorer_parts(scorer, &parts);
    if (parts.generation == NULL)
        return shift;
    shift->generation = parts.generation->number;
    float *x = mem_array(NULL, parts.generation->stride, sizeof *x);
    size_t count = history_hot_users(parts.history, users, SHIFT_LOOKED_AT);
    for (size_t i = 0; i < count && shift->count < SHIFT_USERS; i++)
        shift->count += score_list(&parts, users[i], x, &shift->users[shift->count]);
    free(x);
    return shift;
}

/* -- distances --------------------------------------------------------------------------------- */

static int compare_scores(const void *left, const void *right)
{
    const struct item_score *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->item < b->item ? -1 : a->item > b->item;
}

static void rank(struct item_score *scores, uint32_t count, uint32_t *items)
{
    qsort(scores, count, sizeof *scores, compare_scores);
    for (uint32_t i = 0; i < count; i++)
        items[i] = scores[i].item;
}

/* Adds the user's distances, if there is an item with factors in both. */
static void add_user(struct overlapping *overlapping, const struct user_scores *old,
                     const struct user_scores *new, struct shift_figures *figures)
{
    struct item_score before[LIST_DEPTH], after[LIST_DEPTH];
    uint32_t order_before[LIST_DEPTH], order_after[LIST_DEPTH], count = 0;
    double distance = 0;
    for (uint32_t i = 0; i < old->count; i++) {
        if (isnan(old->items[i].score) || isnan(new->items[i].score))
            continue;
        before[count] = old->items[i];
        after[count++] = new->items[i];
        distance += fabs(old->items[i].score - new->items[i].score);
    }
    if (count == 0)
        return;
    rank(before, count, order_before);
    rank(after, count, order_after);
    figures->users++;
    figures->score_distance += distance / count;
    figures->rank_distance +=
        1 - overlap_of(overlapping, order_before, count, order_after, count, OVERLAP_K).rbo;
}

void shift_end(struct shift *shift, struct scorer *scorer, struct shift_figures *figures)
{
    struct scorer_parts parts;
    scorer_parts(scorer, &parts);
    *figures = (struct shift_figures){.from = shift->generation};
    if (parts.generation != NULL) {
        figures->to = parts.generation->number;
        float *x = mem_array(NULL, parts.generation->stride, sizeof *x);
        for (uint32_t i = 0; i < shift->count; i++) {
            struct user_scores now;
            if (score_list(&parts, shift->users[i].user, x, &now))
                add_user(&shift->overlapping, &shift->users[i], &now, figures);
        }
        free(x);
    }
    figures->score_distance = figures->users ? figures->score_distance / figures->users : NAN;
    figures->rank_distance = figures->users ? figures->rank_distance / figures->users : NAN;
    overlapping_deinit(&shift->overlapping);
    free(shift);
}
