#include "base/failpoint.h"
#include "base/mem.h"
#include "daemon/line_internal.h"

#include <stdlib.h>

static void put_back(struct line *line, const struct slate_list *list)
{
    struct user *user = list->user;
    if (list->oldest_event_ms != 0 &&
        (user->oldest_event_ms == 0 || list->oldest_event_ms < user->oldest_event_ms)) {
        user->oldest_event_ms = list->oldest_event_ms;
        user->oldest_ts_ms = list->oldest_ts_ms;
    }
    user->insist |= list->insist;
    line_queue(line, user, list->cause);
}

/* The list that Redis has from now on, as the user's record is told. */
static void acknowledge(struct line *line, const struct slate_list *list, uint32_t *items)
{
    for (uint32_t i = 0; i < list->count; i++)
        items[i] = list->items[i].item;
    if (list->user == NULL)
        watch_popular(line->watch, items, list->count);
    else if (list->outcome == SLATE_HELD)
        history_acknowledge(line->history, list->user, &list->version, user_list(list->record),
                            list->record->list_count, false);
    else
        history_acknowledge(line->history, list->user, &list->version, items, list->count,
                            list->changed);
}

/* After a crash Redis may have a list of a longer prefix than the state, and a swap since makes
 * ours the newer one for all that: what is there stays until the prefix is as long again, and must
 * not stay longer. So the user remains owed, and is looked for then. */
static bool must_replay_first(struct line *line, const struct slate_list *list)
{
    const struct version *ours = &list->version, *theirs = &list->newer;
    if (list->outcome != SLATE_OLDER || list->user == NULL || theirs->epoch != ours->epoch ||
        theirs->swap >= ours->swap)
        return false;
    if (theirs->next_offset > line->replay_to[ours->partition])
        line->replay_to[ours->partition] = theirs->next_offset;
    return line->replays = true;
}

void line_look_at_replay(struct line *line)
{
    bool replays = false;
    for (int32_t p = 0; line->replays && p < PARTITIONS_MAX; p++) {
        bool reached = line->replay_to[p] > 0 &&
                       history_next_offset(line->history, false, p) >= line->replay_to[p];
        line->spill |= reached;
        line->replay_to[p] = reached ? 0 : line->replay_to[p];
        replays |= line->replay_to[p] > 0;
    }
    line->replays = replays;
}

/* A published list's fate: Redis has it, it is held back, or its user waits again. */
static void settle_list(struct line *line, const struct slate_list *list, enum hold hold,
                        uint32_t *items)
{
    bool resolved = list->outcome != SLATE_UNSENT;
    if (resolved && !must_replay_first(line, list))
        acknowledge(line, list, items);
    if (list->user == NULL) {
        line->popular_stale |= !resolved;
        return;
    }
    waiting_resolve(line->waiting, list->cause);
    if (!resolved)
        put_back(line, list);
    line->figures.lists[list->cause] += resolved && hold == HOLD_NOTHING;
    line->figures.held[hold] += hold != HOLD_NOTHING;
}

static uint32_t longest_list(const struct slate *slate)
{
    uint32_t longest = 1;
    for (size_t i = 0; i < slate->count; i++)
        if (slate->lists[i].count > longest)
            longest = slate->lists[i].count;
    return longest;
}

static void sent(struct slate *slate, void *arg)
{
    struct line *line = arg;
    uint32_t *items = mem_array(NULL, longest_list(slate), sizeof *items);
    bool all = true, was_sent = line->at_send == slate;
    FAILPOINT("publish.sent");
    for (size_t i = 0; i < slate->count; i++) {
        struct slate_list *list = &slate->lists[i];
        if (list->outcome != SLATE_UNSENT)
            watch_list(line->watch, list);
        list->insist |= was_sent; /* who knows what Redis has now */
        if (!list->shadow)
            settle_list(line, list, (enum hold)list->hold, items);
        if (list->user != NULL)
            history_unpin(line->history, list->user);
        all &= list->outcome != SLATE_UNSENT;
    }
    free(items);
    FAILPOINT("publish.acknowledged");
    slate_clear(slate);
    line->figures.slates++;
    if (line->at_send == slate) /* one that was given up never got there */
        line->at_send = NULL;
    waiting_tell(line->waiting, all);
    line_wake(line);
}

/* The list in Redis is from before the arms changed, maybe another arm's: it must not stay. */
static bool is_of_other_arms(const struct line *line, const struct slate_list *list)
{
    return list->record != NULL &&
           list->record->acked_swap < history_meta(line->history)->arms_swap;
}

/* What is not for Redis goes to the end: shadows, what the budget holds back, and the popular list
 * that another instance publishes. */
static void sort_out(struct line *line, struct slate *slate)
{
    slate->to_send = 0;
    for (size_t i = 0; i < slate->count; i++) {
        struct slate_list list = slate->lists[i];
        bool is_stale = slate_list_is_stale(&list); /* one is sent while the next is scored */
        list.changed |= is_stale;
        if (!list.shadow && !is_stale && !is_of_other_arms(line, &list))
            list.hold =
                budget_decide(&line->budgets[list.arm], &line->arms[list.arm].budget, &list);
        bool elsewhere = list.user == NULL && !line->popular_ours;
        if (list.shadow || elsewhere || list.hold != HOLD_NOTHING)
            list.outcome = SLATE_HELD;
        slate->lists[i] = list;
        if (list.outcome == SLATE_HELD)
            continue;
        slate->lists[i] = slate->lists[slate->to_send];
        slate->lists[slate->to_send++] = list;
    }
}

void line_give_up_slate(struct line *line)
{
    struct slate *slate = line->at_score;
    for (size_t i = 0; i < slate->count; i++)
        slate->lists[i].outcome = slate->lists[i].shadow ? SLATE_HELD : SLATE_UNSENT;
    line->at_score = NULL;
    line->scored = false;
    sent(slate, line);
}

void line_send_slate(struct line *line)
{
    struct slate *slate = line->at_score;
    line->at_score = NULL;
    line->scored = false;
    line->at_send = slate;
    sort_out(line, slate);
    FAILPOINT("publish.send");
    publisher_send(line->publisher, slate, sent, line);
}
