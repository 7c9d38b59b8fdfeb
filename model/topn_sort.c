#include "model/topn_select.h"

#include <string.h>

#define SMALL 12        /* entries that insertion sort orders faster than another split */
#define RANKED_MOST 128 /* entries that are sorted by comparing each with each */

bool topn_beats(const struct topn_entry *a, const struct topn_entry *b, const struct slice *ids)
{
    if (a->score != b->score)
        return a->score > b->score;
    int order = slice_compare(ids[a->column], ids[b->column]);
    return order != 0 ? order < 0 : a->column < b->column;
}

static void insertion_sort(struct topn_entry *entries, size_t count, const struct slice *ids)
{
    for (size_t i = 1; i < count; i++) {
        struct topn_entry entry = entries[i];
        size_t at = i;
        for (; at > 0 && topn_beats(&entry, &entries[at - 1], ids); at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

static size_t median_of_three(const struct topn_entry *entries, size_t count,
                              const struct slice *ids)
{
    size_t first = 0, middle = count / 2, last = count - 1;
    if (topn_beats(&entries[middle], &entries[first], ids)) {
        first = count / 2;
        middle = 0;
    }
    if (topn_beats(&entries[last], &entries[first], ids))
        return first;
    return topn_beats(&entries[last], &entries[middle], ids) ? last : middle;
}

/* Splits at the median of three: afterwards the entries before the returned index beat the one
 * there, and those behind it do not. Which side an entry falls on is a coin toss that no processor
 * predicts, so it moves an index and not a branch. */
static size_t split(struct topn_entry *entries, size_t count, const struct slice *ids)
{
    size_t median = median_of_three(entries, count, ids);
    struct topn_entry pivot = entries[median];
    entries[median] = entries[count - 1];
    size_t better = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        struct topn_entry entry = entries[i];
        unsigned is_better = entry.score > pivot.score;
        if (entry.score == pivot.score)
            is_better = topn_beats(&entry, &pivot, ids);
        entries[i] = entries[better];
        entries[better] = entry;
        better += is_better;
    }
    entries[count - 1] = entries[better];
    entries[better] = pivot;
    return better;
}

static void sort_by_id(struct topn_entry *entries, size_t count, const struct slice *ids)
{
    while (count > SMALL) {
        size_t at = split(entries, count, ids);
        sort_by_id(entries, at, ids);
        entries += at + 1;
        count -= at + 1;
    }
    insertion_sort(entries, count, ids);
}

/* Each entry's place is the number of those above it, and of equals before it. */
static void rank_few(struct topn_entry *entries, size_t count)
{
    float scores[RANKED_MOST + TOPN_SPARE];
    uint32_t ranks[RANKED_MOST + TOPN_SPARE];
    uint8_t equals[RANKED_MOST] = {0};
    struct topn_entry sorted[RANKED_MOST];
    for (size_t i = 0; i < count; i++)
        scores[i] = entries[i].score;
    topn_select_for(kernel_chosen())->rank(scores, count, ranks);
    for (size_t i = 0; i < count; i++)
        sorted[ranks[i] + equals[ranks[i]]++] = entries[i];
    memcpy(entries, sorted, count * sizeof *entries);
}

/* By numbers first: ids are looked at where scores are equal, which is seldom. */
static void sort_few(struct topn_entry *entries, size_t count, const struct slice *ids)
{
    rank_few(entries, count);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && entries[end].score == entries[begin].score;)
            end++;
        if (end - begin > 1)
            sort_by_id(entries + begin, end - begin, ids);
    }
}

void topn_sort(struct topn_entry *entries, size_t count, const struct slice *ids)
{
    while (count > RANKED_MOST) {
        size_t at = split(entries, count, ids);
        topn_sort(entries, at, ids);
        entries += at + 1;
        count -= at + 1;
    }
    sort_few(entries, count, ids);
}
