#include "model/tail.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/train.h"

#include <stdlib.h>
#include <string.h>

void tail_deinit(struct tail *tail)
{
    free(tail->cut);
    free(tail->order);
    free(tail->events);
    free(tail->by_user);
    *tail = (struct tail){0};
}

struct moment {
    int64_t ts_ms;
    size_t at; /* in the log: grows with the user's id, then as shuffled */
};

static int compare_moments(const void *left, const void *right)
{
    const struct moment *a = left, *b = right;
    if (a->ts_ms != b->ts_ms)
        return a->ts_ms < b->ts_ms ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* Merges the histories and cuts them. */
static int cut(struct tail *tail, struct error *err)
{
    const struct corpus *corpus = tail->corpus;
    size_t count = corpus->user_begin[corpus->users];
    size_t before = (size_t)((double)count * TRAIN_TAIL);
    struct moment *moments = mem_try(count, sizeof *moments);
    tail->order_count = count - before;
    tail->order = mem_try(tail->order_count, sizeof *tail->order);
    tail->cut = mem_array(NULL, corpus->users, sizeof *tail->cut);
    if (moments == NULL || tail->order == NULL) {
        free(moments);
        return error_set(err, ERR_DOWN, "no memory to order %zu interactions", count);
    }
    for (size_t at = 0; at < count; at++)
        moments[at] = (struct moment){corpus->log[at].ts_ms, at};
    qsort(moments, count, sizeof *moments, compare_moments);
    for (size_t user = 0; user < corpus->users; user++)
        tail->cut[user] = corpus->user_begin[user + 1];
    for (size_t i = count; i-- > before;) { /* backwards: each user's earliest is written last */
        tail->order[i - before] = moments[i].at;
        tail->cut[corpus_user_at(corpus, moments[i].at)] = moments[i].at;
    }
    tail->cut_ms = before > 0 ? moments[before - 1].ts_ms : INT64_MIN;
    free(moments);
    return 0;
}

/* A first interaction of its user with its item, and one that says yes. (Items of corpus->older are
 * none of the log's.) */
static bool is_new_to_user(const struct corpus *corpus, size_t user, size_t at)
{
    uint32_t item = corpus->log[at].item;
    for (size_t i = corpus->user_begin[user]; i < at; i++)
        if (corpus->log[i].item == item)
            return false;
    return corpus->types[corpus->log[at].type].weight > 0;
}

/* Beyond what the generation was trained on; a partition it says nothing of is all news. */
static bool is_news_to(const struct generation *live, int32_t partition, int64_t offset)
{
    for (size_t i = 0; i < live->cutoff_count; i++)
        if (live->cutoffs[i].partition == partition)
            return offset >= live->cutoffs[i].next_offset;
    return true;
}

/* Every event that may be sampled, into tail->events. */
static void list_candidates(struct tail *tail, const struct generation *live)
{
    const struct corpus *corpus = tail->corpus;
    bool *news = mem_zalloc(tail->order_count);
    size_t fresh = 0;
    for (size_t i = 0; i < tail->order_count; i++) {
        size_t at = tail->order[i], user = corpus_user_at(corpus, at);
        if (!is_new_to_user(corpus, user, at))
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
    struct moment *moments = mem_array(NULL, tail->count, sizeof *moments);
    tail->by_user = mem_array(NULL, tail->count, sizeof *tail->by_user);
    for (size_t i = 0; i < tail->count; i++)
        moments[i] = (struct moment){(int64_t)tail->events[i].user, i};
    if (tail->count > 0)
        qsort(moments, tail->count, sizeof *moments, compare_moments);
    for (size_t i = 0; i < tail->count; i++)
        tail->by_user[i] = moments[i].at;
    free(moments);
}

int tail_init(struct tail *tail, const struct corpus *corpus, const struct generation *live,
              size_t events_max, uint64_t seed, struct error *err)
{
    *tail = (struct tail){.corpus = corpus};
    if (cut(tail, err) != 0) {
        tail_deinit(tail);
        return ERR_DOWN;
    }
    tail->events = mem_array(NULL, tail->order_count, sizeof *tail->events);
    list_candidates(tail, live);
    sample(tail, events_max < tail->count ? events_max : tail->count, seed);
    group_by_user(tail);
    return 0;
}
