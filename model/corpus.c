#include "model/corpus.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct draft_user {
    char *id; /* owned; [id_length] */
    uint32_t id_length;
    int32_t partition;
    size_t begin, count;             /* in the draft's log */
    size_t older_begin, older_count; /* in the draft's older */
};

/* What has been added so far; items are still the caller's numbers. */
struct corpus_draft {
    struct draft_user *users;
    struct interaction *log;
    uint32_t *older;
    size_t user_count, user_capacity, log_count, log_capacity, older_count, older_capacity;
};

static void draft_free(struct corpus_draft *draft)
{
    if (draft == NULL)
        return;
    for (size_t i = 0; i < draft->user_count; i++)
        free(draft->users[i].id);
    free(draft->users);
    free(draft->log);
    free(draft->older);
    free(draft);
}

void corpus_deinit(struct corpus *corpus)
{
    draft_free(corpus->draft);
    free(corpus->user_begin);
    free(corpus->log);
    free(corpus->partition);
    free(corpus->older_begin);
    free(corpus->older);
    free(corpus->ids);
    free(corpus->row_of);
    free(corpus->cutoffs);
    free(corpus->id_bytes);
    *corpus = (struct corpus){0};
}

/* Room for `more` elements; returns the array, moved if it had to grow. */
static void *reserve(void *array, size_t count, size_t more, size_t *capacity, size_t bytes)
{
    if (count + more <= *capacity)
        return array;
    *capacity = *capacity ? *capacity : 64;
    while (*capacity < count + more)
        *capacity *= 2;
    return mem_array(array, *capacity, bytes);
}

/* A type that neither weighs nor hides leaves no trace in lists, so not here either. */
static uint64_t types_that_matter(const struct corpus *corpus)
{
    uint64_t set = 0;
    for (unsigned type = 0; type < EVENT_TYPES_MAX; type++)
        if (corpus->types[type].weight != 0 || corpus->types[type].hides)
            set |= (uint64_t)1 << type;
    return set;
}

void corpus_add_user(struct corpus *corpus, struct slice id, int32_t partition,
                     const struct interaction *interactions, size_t count,
                     const struct seen_item *seen, size_t seen_count)
{
    if (corpus->draft == NULL)
        corpus->draft = mem_zalloc(sizeof *corpus->draft);
    struct corpus_draft *draft = corpus->draft;
    draft->users =
        reserve(draft->users, draft->user_count, 1, &draft->user_capacity, sizeof *draft->users);
    draft->log =
        reserve(draft->log, draft->log_count, count, &draft->log_capacity, sizeof *draft->log);
    draft->older = reserve(draft->older, draft->older_count, seen_count, &draft->older_capacity,
                           sizeof *draft->older);
    struct draft_user *user = &draft->users[draft->user_count++];
    *user = (struct draft_user){mem_strndup(id.data, id.length),
                                id.length,
                                partition,
                                draft->log_count,
                                0,
                                draft->older_count,
                                0};
    for (size_t i = 0; i < count; i++)
        if (corpus->types[interactions[i].type].weight != 0)
            draft->log[draft->log_count++] = interactions[i];
    uint64_t matters = types_that_matter(corpus);
    for (size_t i = 0; i < seen_count; i++)
        if ((seen[i].types & matters) != 0)
            draft->older[draft->older_count++] = seen[i].item;
    user->count = draft->log_count - user->begin;
    user->older_count = draft->older_count - user->older_begin;
}

struct item_place { /* of an item in the order of ids */
    struct slice id;
    uint32_t item;
};

static int compare_places(const void *left, const void *right)
{
    const struct item_place *a = left, *b = right;
    return slice_compare(a->id, b->id);
}

static int compare_users(const void *left, const void *right)
{
    const struct draft_user *a = left, *b = right;
    int order =
        slice_compare((struct slice){a->id, a->id_length}, (struct slice){b->id, b->id_length});
    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

static int compare_shuffled(const void *left, const void *right)
{
    const struct interaction *a = left, *b = right;
    if (a->ts_ms != b->ts_ms)
        return a->ts_ms < b->ts_ms ? -1 : 1;
    return (a->id_hash > b->id_hash) - (a->id_hash < b->id_hash);
}

/* Rows for the items of the log, in byte order; fills row_of_item: [item_count] or ROW_NONE. */
static void number_rows(struct corpus *corpus, const struct slice *item_ids, size_t item_count,
                        uint32_t *row_of_item)
{
    const struct corpus_draft *draft = corpus->draft;
    struct item_place *places = mem_array(NULL, item_count, sizeof *places);
    size_t bytes = 0;
    memset(row_of_item, 0xff, item_count * sizeof *row_of_item);
    for (size_t i = 0; i < draft->log_count; i++) {
        uint32_t item = draft->log[i].item;
        if (row_of_item[item] != ROW_NONE)
            continue;
        row_of_item[item] = 0;
        places[corpus->items++] = (struct item_place){item_ids[item], item};
        bytes += item_ids[item].length;
    }
    if (corpus->items > 0)
        qsort(places, corpus->items, sizeof *places, compare_places);

    corpus->ids = mem_array(NULL, corpus->items, sizeof *corpus->ids);
    corpus->row_of = mem_array(NULL, corpus->items, sizeof *corpus->row_of);
    corpus->id_bytes = mem_alloc(bytes);
    char *to = corpus->id_bytes;
    for (size_t row = 0; row < corpus->items; row++) {
        struct slice id = places[row].id;
        corpus->ids[row] = (struct slice){memcpy(to, id.data, id.length), id.length};
        to += id.length;
        corpus->row_of[row] = (uint32_t)row;
        row_of_item[places[row].item] = (uint32_t)row;
    }
    free(places);
}

/* kept_by: [items], the last user + 1 whose log has the item. */
static void finish_user(struct corpus *corpus, const struct draft_user *user, size_t at,
                        const uint32_t *row_of_item, size_t *kept_by, uint64_t seed)
{
    const struct corpus_draft *draft = corpus->draft;
    struct interaction *log = corpus->log + corpus->user_begin[at];
    for (size_t i = 0; i < user->count; i++) {
        log[i] = draft->log[user->begin + i];
        /* By its row: the number is of the order in which partitions were consumed. */
        log[i].item = row_of_item[log[i].item];
        uint64_t what[2] = {(uint64_t)log[i].offset, (uint64_t)log[i].item << 16 | log[i].type};
        log[i].id_hash = hash_stable_with(what, sizeof what, seed);
        kept_by[log[i].item] = at + 1;
        if (log[i].ts_ms > corpus->now_ms)
            corpus->now_ms = log[i].ts_ms;
    }
    if (user->count > 0)
        qsort(log, user->count, sizeof *log, compare_shuffled);
    corpus->user_begin[at + 1] = corpus->user_begin[at] + user->count;

    size_t older = corpus->older_begin[at];
    for (size_t i = 0; i < user->older_count; i++) {
        uint32_t row = row_of_item[draft->older[user->older_begin + i]];
        if (row != ROW_NONE && kept_by[row] != at + 1)
            corpus->older[older++] = row;
    }
    corpus->older_begin[at + 1] = older;
    corpus->partition[at] = user->partition;
}

int corpus_finish(struct corpus *corpus, const struct slice *item_ids, size_t item_count,
                  uint64_t seed, struct error *err)
{
    if (corpus->draft == NULL)
        corpus->draft = mem_zalloc(sizeof *corpus->draft);
    struct corpus_draft *draft = corpus->draft;
    for (size_t i = 0; i < draft->log_count; i++)
        if (draft->log[i].item >= item_count)
            return error_set(err, ERR_DATA, "a history has item %u, of %zu", draft->log[i].item,
                             item_count);
    for (size_t i = 0; i < draft->older_count; i++)
        if (draft->older[i] >= item_count)
            return error_set(err, ERR_DATA, "a user has seen item %u, of %zu", draft->older[i],
                             item_count);

    uint32_t *row_of_item = mem_array(NULL, item_count, sizeof *row_of_item);
    corpus->log = mem_try(draft->log_count, sizeof *corpus->log);
    if (corpus->log == NULL) {
        free(row_of_item);
        return error_set(err, ERR_DOWN, "no memory for %zu interactions", draft->log_count);
    }
    number_rows(corpus, item_ids, item_count, row_of_item);
    corpus->users = draft->user_count;
    corpus->now_ms = INT64_MIN;
    corpus->user_begin = mem_zalloc((corpus->users + 1) * sizeof *corpus->user_begin);
    corpus->older_begin = mem_zalloc((corpus->users + 1) * sizeof *corpus->older_begin);
    corpus->older = mem_array(NULL, draft->older_count, sizeof *corpus->older);
    corpus->partition = mem_array(NULL, corpus->users, sizeof *corpus->partition);
    size_t *kept_by = mem_zalloc(corpus->items * sizeof *kept_by);
    if (corpus->users > 0)
        qsort(draft->users, corpus->users, sizeof *draft->users, compare_users);
    for (size_t at = 0; at < corpus->users; at++)
        finish_user(corpus, &draft->users[at], at, row_of_item, kept_by, seed);
    free(kept_by);
    free(row_of_item);
    draft_free(draft);
    corpus->draft = NULL;
    return 0;
}

int corpus_ratings(const struct corpus *corpus, const struct hyperparameters *hyper,
                   const size_t *end, int64_t now_ms, struct ratings *ratings, struct error *err)
{
    *ratings = (struct ratings){.users = corpus->users, .items = corpus->items};
    ratings->user_begin = mem_zalloc((corpus->users + 1) * sizeof *ratings->user_begin);
    ratings->user_pairs = mem_try(corpus->user_begin[corpus->users], sizeof(struct pair));
    if (ratings->user_pairs == NULL) {
        ratings_deinit(ratings);
        return error_set(err, ERR_DOWN, "no memory for the pairs");
    }
    for (size_t user = 0; user < corpus->users; user++) {
        size_t from = corpus->user_begin[user];
        size_t to = end != NULL ? end[user] : corpus->user_begin[user + 1];
        size_t at = ratings->user_begin[user];
        ratings->user_begin[user + 1] =
            at + confidence_pairs(corpus->log + from, to - from, corpus->types, hyper, 1, now_ms,
                                  corpus->row_of, corpus->items, ratings->user_pairs + at);
    }
    int failed = ratings_transpose(ratings, err);
    if (failed)
        ratings_deinit(ratings);
    return failed;
}

size_t corpus_user_at(const struct corpus *corpus, size_t at)
{
    size_t low = 0, high = corpus->users; /* user_begin[low] <= at < user_begin[high] */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (corpus->user_begin[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}
