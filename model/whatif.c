#include "model/whatif.h"
#include "base/mem.h"
#include "model/overlap.h"

#include <stdlib.h>
#include <string.h>

void whatif_deinit(struct whatif *whatif)
{
    free(whatif->places);
    *whatif = (struct whatif){0};
}

/* -- supposing --------------------------------------------------------------------------------- */

/* What was changed, so that it can be changed back. */
struct supposition {
    struct scorer_parts parts;
    struct user user; /* the one supposed */
    bool owned;       /* his record is: there was an event */
    int64_t now_ms, next_offset;
    size_t partition;         /* its index among those of parts.together */
    const struct pairs *from; /* NULL: there is no co-occurrence to suppose */
    struct pairs fork;
    uint32_t count; /* of the two below: changed so far */
    double trend_before[WHATIF_ITEMS_MAX], use_before[WHATIF_ITEMS_MAX];
};

static size_t index_of_partition(const struct history *history, int32_t partition)
{
    int32_t *numbers = mem_array(NULL, PARTITIONS_MAX, sizeof *numbers);
    size_t count = history_partitions(history, numbers, PARTITIONS_MAX), index = 0;
    for (size_t i = 0; i < count; i++)
        if (numbers[i] == partition)
            index = i;
    free(numbers);
    return index;
}

static void fork_pairs(struct supposition *s)
{
    struct together *together = s->parts.together;
    s->partition = index_of_partition(s->parts.history, s->user.partition);
    if (!(s->parts.weights->together > 0) || s->partition >= together->pairs_count)
        return;
    s->from = together->pairs[s->partition];
    pairs_fork(&s->fork, s->from);
    together->pairs[s->partition] = &s->fork;
}

static void begin(struct supposition *s, struct scorer *scorer, const struct user *user)
{
    scorer_parts(scorer, &s->parts);
    const struct partition_record *partition =
        history_partition(s->parts.history, false, user->partition);
    bool kept = user->record != NULL && user->record->forgotten == 0;
    s->user = (struct user){
        .id = user->id, .partition = user->partition, .record = kept ? user->record : NULL};
    s->now_ms = history_now_ms(s->parts.history);
    s->next_offset = partition != NULL ? partition->next_offset : 0;
    fork_pairs(s);
}

/* The first use of an item goes with what was used before it. */
static void suppose_pairs(struct supposition *s, uint32_t item)
{
    const struct user_record *before = s->user.record;
    struct pairs_event event;
    if (s->from == NULL || before == NULL || user_has_seen(before, item))
        return;
    if (pairs_event_make(&event, user_interactions(before), before->interaction_count,
                         s->parts.counting, item, s->now_ms, s->next_offset))
        pairs_fork_learn(&s->fork, s->from, &event);
}

/* One more event of the item, now. */
static void suppose_use(struct supposition *s, uint32_t item)
{
    struct trend *trend = s->parts.trend, *use = &s->parts.together->use;
    s->trend_before[s->count] = trend->gathered[item];
    trend->gathered[item] += trend_share(trend, s->now_ms);
    if (s->parts.weights->together > 0) {
        s->use_before[s->count] = use->gathered[item];
        together_set_use(s->parts.together, item,
                         use->gathered[item] + trend_share(use, s->now_ms));
    }
    s->count++;
}

static void suppose_event(struct supposition *s, uint32_t item, uint16_t type)
{
    const struct interaction interaction = {
        .ts_ms = s->now_ms, .offset = s->next_offset, .value = 1, .item = item, .type = type};
    bool counts = (s->parts.counting >> type & 1) != 0;
    if (counts)
        suppose_pairs(s, item);
    const struct user_record *after =
        user_apply(s->user.record, &interaction, history_limits(s->parts.history), NULL);
    if (s->owned)
        user_record_unref(s->user.record);
    s->user.record = after;
    s->owned = true;
    if (counts)
        suppose_use(s, item);
    s->next_offset++;
}

/* In reverse, as an item may be there twice. */
static void take_back(struct supposition *s, const uint32_t *items)
{
    while (s->count-- > 0) {
        s->parts.trend->gathered[items[s->count]] = s->trend_before[s->count];
        if (s->parts.weights->together > 0)
            together_set_use(s->parts.together, items[s->count], s->use_before[s->count]);
    }
    if (s->from != NULL) {
        s->parts.together->pairs[s->partition] = s->from;
        pairs_fork_free(&s->fork, s->from);
    }
    if (s->owned)
        user_record_unref(s->user.record);
}

/* -- comparing --------------------------------------------------------------------------------- */

static uint32_t rank_in(const struct slate_list *list, uint32_t item)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->items[i].item == item)
            return i + 1;
    return 0;
}

static void add_place(struct whatif *out, const struct slate_list *before, uint32_t rank_before,
                      const struct slate_list *after, uint32_t rank_after)
{
    const struct slate_item *old = rank_before > 0 ? &before->items[rank_before - 1] : NULL;
    const struct slate_item *new = rank_after > 0 ? &after->items[rank_after - 1] : NULL;
    out->places[out->count++] = (struct whatif_place){
        .item = new != NULL ? new->item : old->item,
        .before = rank_before,
        .after = rank_after,
        .score_before = old != NULL ? old->score : 0,
        .score_after = new != NULL ? new->score : 0,
    };
    out->entered += old == NULL;
    out->left += new == NULL;
    out->moved += old != NULL && new != NULL &&rank_before != rank_after;
}

static void compare(struct whatif *out, const struct slate_list *before,
                    const struct slate_list *after)
{
    out->before_count = before->count;
    out->after_count = after->count;
    out->places = mem_array(NULL, before->count + after->count + 1, sizeof *out->places);
    for (uint32_t i = 0; i < after->count; i++)
        add_place(out, before, rank_in(before, after->items[i].item), after, i + 1);
    uint32_t *places = mem_array(NULL, before->count + 1, sizeof *places); /* in the new list */
    for (uint32_t i = 0; i < before->count; i++) {
        uint32_t rank = rank_in(after, before->items[i].item);
        places[i] = rank > 0 ? rank - 1 : OVERLAP_NOWHERE;
        if (rank == 0)
            add_place(out, before, i + 1, after, 0);
    }
    struct overlapping overlapping = {0};
    struct overlap overlap =
        overlap_at(&overlapping, places, before->count, after->count, OVERLAP_K);
    out->jaccard = overlap.jaccard_distance;
    out->rbo = 1 - overlap.rbo;
    free(places);
}

int whatif(struct scorer *scorer, const struct user *user, const uint32_t *items, uint32_t count,
           uint16_t type, struct whatif *out, struct error *err)
{
    struct supposition s = {0};
    struct slate_list before, after;
    *out = (struct whatif){0};
    begin(&s, scorer, user);
    if (s.now_ms == INT64_MIN) {
        take_back(&s, items);
        return error_set(err, ERR_DATA,
                         "no event has come yet: there is no time to suppose one at");
    }
    explain_list(scorer, user, -1, &before);
    for (uint32_t i = 0; i < count; i++)
        suppose_event(&s, items[i], type);
    explain_list(scorer, &s.user, s.next_offset, &after);
    take_back(&s, items);
    out->arm = s.parts.settings->arm_name;
    out->now_ms = s.now_ms;
    out->generation = s.parts.generation != NULL ? s.parts.generation->number : 0;
    compare(out, &before, &after);
    explain_list_free(&before);
    explain_list_free(&after);
    return 0;
}
