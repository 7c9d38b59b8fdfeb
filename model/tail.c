#include "model/tail.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/train.h"

#include <stdlib.h>
#include <string.h>

void tail_deinit(struct tail *tail)
{
    tail_state_deinit(&tail->head);
    free(tail->cut);
    free(tail->first);
    free(tail->order);
    free(tail->events);
    free(tail->by_user);
    *tail = (struct tail){0};
}

struct placed {
    int64_t ts_ms;
    size_t at; /* in the log: grows with the user's id, then as shuffled */
};

static int compare_placed(const void *left, const void *right)
{
    const struct placed *a = left, *b = right;
    if (a->ts_ms != b->ts_ms)
        return a->ts_ms < b->ts_ms ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* Which interactions are their user's first with their item. (Items of corpus->older are none of
 * the log's.) */
static void mark_first(struct tail *tail)
{
    const struct corpus *corpus = tail->corpus;
    size_t *met_by = mem_zalloc(corpus->items * sizeof *met_by); /* the last user + 1 */
    for (size_t user = 0; user < corpus->users; user++)
        for (size_t at = corpus->user_begin[user]; at < corpus->user_begin[user + 1]; at++) {
            size_t *met = &met_by[corpus->log[at].item];
            tail->first[at] = *met != user + 1;
            *met = user + 1;
        }
    free(met_by);
}

/* Learns what is before the cut; where each user's tail begins, and the tail in its order. */
static void split(struct tail *tail, const struct placed *placed, size_t count)
{
    const struct corpus *corpus = tail->corpus;
    for (size_t user = 0; user < corpus->users; user++)
        tail->cut[user] = corpus->user_begin[user];
    for (size_t i = 0; i < tail->order_begin; i++) {
        size_t at = placed[i].at, user = corpus_user_at(corpus, at);
        tail_state_learn(&tail->head, at, user, i);
        tail->cut[user] = at + 1;
    }
    for (size_t i = tail->order_begin; i < count; i++)
        tail->order[i - tail->order_begin] = placed[i].at;
}

/* Merges the histories and cuts them. */
static int cut(struct tail *tail, uint32_t neighbours_max, struct error *err)
{
    const struct corpus *corpus = tail->corpus;
    size_t count = corpus->user_begin[corpus->users];
    struct placed *placed = mem_try(count, sizeof *placed);
    tail->order_begin = (size_t)((double)count * TRAIN_TAIL);
    tail->order_count = count - tail->order_begin;
    tail->order = mem_try(tail->order_count, sizeof *tail->order);
    tail->first = mem_try(count, sizeof *tail->first);
    tail->cut = mem_array(NULL, corpus->users, sizeof *tail->cut);
    if (placed == NULL || tail->order == NULL || tail->first == NULL) {
        free(placed);
        return error_set(err, ERR_DOWN, "no memory to order %zu interactions", count);
    }
    for (size_t at = 0; at < count; at++)
        placed[at] = (struct placed){corpus->log[at].ts_ms, at};
    qsort(placed, count, sizeof *placed, compare_placed);
    tail->cut_ms = tail->order_begin > 0 ? placed[tail->order_begin - 1].ts_ms : INT64_MIN;
    mark_first(tail);
    int failed = tail_state_init(&tail->head, corpus, tail->first, neighbours_max, err);
    if (!failed)
        split(tail, placed, count);
    free(placed);
    return failed;
}

/* Beyond what the generation was trained on; a partition it says nothing of is all news. */
static bool is_news_to(const struct generation *live, int32_t partition, int64_t offset)
{
    for (size_t i = 0; i < live->cutoff_count; i++)
        if (live->cutoffs[i].partition == partition)
            return offset >= live->cutoffs[i].next_offset;
    return true;
}

/* Every event that may be sampled, a first one that says yes, into tail->events. */
static void list_candidates(struct tail *tail, const struct generation *live)
{
    const struct corpus *corpus = tail->corpus;
    bool *news = mem_zalloc(tail->order_count);
    size_t fresh = 0;
    for (size_t i = 0; i < tail->order_count; i++) {
        size_t at = tail->order[i], user = corpus_user_at(corpus, at);
        if (!tail->first[at] || corpus->types[corpus->log[at].type].weight <= 0)
            continue;
        news[tail->count] =
            live != NULL && is_news_to(live, corpus->partition[user], corpus->log[at].offset);
        fresh += news[tail->count];
        tail->events[tail->count++] = (struct tail_event){at, user};
    }
    tail->fresh = fresh >= TAIL_FRESH_MIN;
    if (tail->fresh) {
        size_t kept = 0;
        for (size_t i = 0; i < tail->count; i++)
            if (news[i])
                tail->events[kept++] = tail->events[i];
        tail->count = kept;
    }
    free(news);
}

/* Keeps `wanted` of the candidates, each set of them as likely as any (Knuth's algorithm S). */
static void sample(struct tail *tail, size_t wanted, uint64_t seed)
{
    size_t kept = 0;
    for (size_t i = 0; i < tail->count && kept < wanted; i++) {
        double uniform = (double)(hash_stable_with(&i, sizeof i, seed) >> 11) * 0x1p-53;
        if (uniform * (double)(tail->count - i) < (double)(wanted - kept))
            tail->events[kept++] = tail->events[i];
    }
    tail->count = kept;
}

/* Users in the order of their numbers, which is what `at` grows with, too. */
static void group_by_user(struct tail *tail)
{
    struct placed *placed = mem_array(NULL, tail->count, sizeof *placed);
    tail->by_user = mem_array(NULL, tail->count, sizeof *tail->by_user);
    for (size_t i = 0; i < tail->count; i++)
        placed[i] = (struct placed){(int64_t)tail->events[i].user, i};
    if (tail->count > 0)
        qsort(placed, tail->count, sizeof *placed, compare_placed);
    for (size_t i = 0; i < tail->count; i++)
        tail->by_user[i] = placed[i].at;
    free(placed);
}

int tail_init(struct tail *tail, const struct corpus *corpus, const struct generation *live,
              uint32_t neighbours_max, size_t events_max, uint64_t seed, struct error *err)
{
    *tail = (struct tail){.corpus = corpus, .pace = {.duty = 1}};
    if (cut(tail, neighbours_max, err) != 0) {
        tail_deinit(tail);
        return ERR_DOWN;
    }
    tail->events = mem_array(NULL, tail->order_count, sizeof *tail->events);
    list_candidates(tail, live);
    sample(tail, events_max < tail->count ? events_max : tail->count, seed);
    group_by_user(tail);
    return 0;
}
