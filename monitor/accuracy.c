#include "monitor/accuracy.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void accuracy_deinit(struct accuracy *accuracy)
{
    baselines_deinit(&accuracy->baselines);
    free(accuracy->popular);
    marks_deinit(&accuracy->known);
    *accuracy = (struct accuracy){0};
}

void accuracy_forget_baselines(struct accuracy *accuracy)
{
    baselines_forget(&accuracy->baselines);
    accuracy->run = (struct accuracy_run){0};
}

static bool renewal_is_due(const struct accuracy *accuracy, int64_t now_ms)
{
    return !accuracy->baselines.known ||
           (accuracy->events_since_renewal && now_ms - accuracy->renewed_ms >= ACCURACY_RENEWAL_MS);
}

void accuracy_renew(struct accuracy *accuracy, const struct history *history, uint32_t items,
                    int64_t now_ms)
{
    if (!renewal_is_due(accuracy, now_ms))
        return;
    baselines_renew(&accuracy->baselines, history, items);
    accuracy->run.listed = false;
    accuracy->events_since_renewal = false;
    accuracy->renewed_ms = now_ms;
}

void accuracy_set_popular(struct accuracy *accuracy, const uint32_t *items, uint32_t count)
{
    accuracy->popular_count = count < ACCURACY_RANK_MAX ? count : ACCURACY_RANK_MAX;
    accuracy->popular =
        mem_array(accuracy->popular, accuracy->popular_count, sizeof *accuracy->popular);
    if (count > 0)
        memcpy(accuracy->popular, items, accuracy->popular_count * sizeof *items);
}

/* -- what the user knows ----------------------------------------------------------------------- */

static bool is_known(const struct accuracy *accuracy, uint32_t item)
{
    return marks_has(&accuracy->known, item);
}

/* Returns whether it was news. */
static bool mark_known(struct accuracy *accuracy, uint32_t item)
{
    bool is_news = !is_known(accuracy, item);
    marks_put(&accuracy->known, item, 0);
    return is_news;
}

static void mark_record(struct accuracy *accuracy, const struct user_record *record)
{
    struct accuracy_run *run = &accuracy->run;
    uint32_t seen_alone = 0, all = 0;
    marks_clear(&accuracy->known, 1);
    for (uint32_t i = 0; record != NULL && i < record->seen_count; i++)
        seen_alone += mark_known(accuracy, user_seen(record)[i].item);
    for (uint32_t i = 0; record != NULL && i < record->interaction_count; i++)
        all += mark_known(accuracy, user_interactions(record)[i].item);
    run->known_count = seen_alone + all;
    run->follows = all == 0; /* else an interaction that leaves may take its item with it */
    run->marked = true;
    run->listed = false;
}

/* -- runs of one user's events ----------------------------------------------------------------- */

static bool is_of_run(const struct accuracy_run *run, const struct event *event)
{
    return event->partition == run->partition && event->user.length == run->user_length &&
           run->user_length > 0 && memcmp(event->user.data, run->user, run->user_length) == 0;
}

/* Whether the marks are still right. Between two interactions of a user there may be retractions,
 * and the older one may have pushed an item out of the seen set: either leaves fewer seen items
 * than expected. One who was forgotten begins to count anew. */
static bool run_goes_on(const struct accuracy_run *run, const struct user_record *before)
{
    return run->marked && run->follows && before != NULL && before->events == run->next_events &&
           before->seen_count == run->next_seen;
}

static void begin_run(struct accuracy_run *run, const struct event *event)
{
    run->partition = event->partition;
    run->user_length = event->user.length <= ID_BYTES_MAX ? event->user.length : 0;
    if (run->user_length > 0)
        memcpy(run->user, event->user.data, run->user_length);
    run->marked = false;
}

static void expect_next(struct accuracy_run *run, const struct user_record *before, bool is_new)
{
    run->next_events = (before != NULL ? before->events : 0) + 1;
    run->next_seen = (before != NULL ? before->seen_count : 0) + is_new;
    run->known_count += is_new;
}

/* -- ranks in the baselines -------------------------------------------------------------------- */

/* Goes on in the baseline until the run's list is full again. */
static void fill_list(struct accuracy *accuracy, int method)
{
    struct accuracy_run *run = &accuracy->run;
    const struct baseline_list *baseline = &accuracy->baselines.lists[method];
    uint32_t count = run->list_count[method], next = run->list_next[method];
    for (; count < ACCURACY_RANK_MAX && next < baseline->count; next++) {
        run->lists[method][count] = baseline->top[next].item;
        count += !is_known(accuracy, baseline->top[next].item);
    }
    run->list_count[method] = count;
    run->list_next[method] = next;
    for (; count < ACCURACY_RANK_MAX; count++)
        run->lists[method][count] = IDS_NONE;
}

static void fill_lists(struct accuracy *accuracy)
{
    struct accuracy_run *run = &accuracy->run;
    for (int method = 0; method < BASELINE_COUNT; method++) {
        run->list_count[method] = run->list_next[method] = 0;
        fill_list(accuracy, method);
    }
    run->listed = true;
}

static void leave_out(struct accuracy *accuracy, int method, uint32_t rank)
{
    uint32_t *list = accuracy->run.lists[method];
    uint32_t after = accuracy->run.list_count[method]-- - rank;
    memmove(list + rank - 1, list + rank, after * sizeof *list);
    fill_list(accuracy, method);
}

/* From 1; 0: it is not there. Without a way out in the middle, so that it is a loop of vectors:
 * most items are in none. */
static uint32_t rank_in_run(const uint32_t list[ACCURACY_RANK_MAX], uint32_t item)
{
    uint32_t rank = 0;
    for (uint32_t i = 0; i < ACCURACY_RANK_MAX; i++)
        rank |= list[i] == item ? i + 1 : 0;
    return rank;
}

/* From 1; 0: not among the first ACCURACY_RANK_MAX. */
static uint32_t rank_in(const uint32_t *list, uint32_t count, uint32_t item)
{
    for (uint32_t i = 0; i < count && i < ACCURACY_RANK_MAX; i++)
        if (list[i] == item)
            return i + 1;
    return 0;
}

/* ranks: [BASELINE_COUNT] of an item that is new to the user, who will know it from now on. */
static void rank_new_item(struct accuracy *accuracy, uint32_t item, uint32_t *ranks)
{
    struct accuracy_run *run = &accuracy->run;
    if (!run->listed)
        fill_lists(accuracy);
    mark_known(accuracy, item);
    for (int method = 0; method < BASELINE_COUNT; method++) {
        ranks[method] = rank_in_run(run->lists[method], item);
        if (ranks[method] > 0)
            leave_out(accuracy, method, ranks[method]);
    }
}

/* The most items that can be left out before this user's list has its last rank. */
static uint32_t known_at_most(const struct accuracy *accuracy, const struct user_record *before)
{
    if (accuracy->run.marked)
        return accuracy->run.known_count;
    return before != NULL ? before->seen_count + before->interaction_count : 0;
}

/* Its rank in each baseline, of an item that is new to the user; else 0. */
static void look_up(struct accuracy *accuracy, const struct use *use, uint32_t *ranks)
{
    struct accuracy_run *run = &accuracy->run;
    if (!is_of_run(run, use->event))
        begin_run(run, use->event);
    else if (!run_goes_on(run, use->before))
        run->marked = false;
    bool may_rank = use->is_new && baselines_may_have(&accuracy->baselines, use->item,
                                                      ACCURACY_RANK_MAX - 1 +
                                                          known_at_most(accuracy, use->before));
    if (may_rank && !run->marked)
        mark_record(accuracy, use->before);
    if (may_rank)
        rank_new_item(accuracy, use->item, ranks);
    else if (run->marked)
        mark_known(accuracy, use->item);
    expect_next(run, use->before, use->is_new);
}

/* -- observing --------------------------------------------------------------------------------- */

static uint32_t rank_in_ours(const struct accuracy *accuracy, const struct user_record *before,
                             uint32_t item)
{
    if (before == NULL || before->acked_offset < 0)
        return rank_in(accuracy->popular, accuracy->popular_count, item);
    return rank_in(user_list(before), before->list_count, item);
}

uint32_t accuracy_observe(struct accuracy *accuracy, const struct use *use, bool counts)
{
    uint32_t ranks[ACCURACY_METHODS] = {0};
    ranks[ACCURACY_FRESHET] = rank_in_ours(accuracy, use->before, use->item);
    look_up(accuracy, use, ranks + ACCURACY_POPULAR);
    for (int method = 0; method < ACCURACY_METHODS; method++) {
        accuracy_count(&accuracy->counts[ACCURACY_ALL][method], ranks[method]);
        if (use->is_new)
            accuracy_count(&accuracy->counts[ACCURACY_NEW][method], ranks[method]);
    }
    if (counts)
        baselines_add(&accuracy->baselines, use->item, use->event->ts_ms);
    accuracy->events_since_renewal = true;
    return ranks[ACCURACY_FRESHET];
}

int accuracy_best_half_life(const struct accuracy *accuracy)
{
    const struct accuracy_count *recent = &accuracy->counts[ACCURACY_NEW][ACCURACY_RECENT];
    int best = 0;
    for (int half_life = 1; half_life < HALF_LIFE_COUNT; half_life++)
        if (recent[half_life].hits20 > recent[best].hits20)
            best = half_life;
    return best;
}
