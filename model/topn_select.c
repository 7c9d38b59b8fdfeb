#include "model/topn_select.h"

#define SMALL 12 /* entries that insertion sort orders faster than another split */

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

/* Quickselect: Hoare 1961. */
void topn_select_best(struct topn_entry *entries, size_t count, size_t wanted,
                      const struct slice *ids)
{
    while (count > SMALL && wanted > 0) {
        size_t at = split(entries, count, ids);
        if (wanted <= at) {
            count = at;
        } else {
            entries += at + 1;
            count -= at + 1;
            wanted -= at + 1;
        }
    }
    insertion_sort(entries, count, ids);
}

void topn_sort(struct topn_entry *entries, size_t count, const struct slice *ids)
{
    while (count > SMALL) {
        size_t at = split(entries, count, ids);
        topn_sort(entries, at, ids);
        entries += at + 1;
        count -= at + 1;
    }
    insertion_sort(entries, count, ids);
}

/* Splits by score as above; ties may fall on either side. */
static size_t split_scores(struct topn_entry *entries, size_t count)
{
    float first = entries[0].score, middle = entries[count / 2].score,
          last = entries[count - 1].score;
    size_t median = (first < middle) == (middle < last)  ? count / 2
                    : (middle < first) == (first < last) ? 0
                                                         : count - 1;
    struct topn_entry pivot = entries[median];
    entries[median] = entries[count - 1];
    size_t better = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        struct topn_entry entry = entries[i];
        /* every other tie: equal scores would else take quadratic time */
        bool is_better = (entry.score > pivot.score) | ((entry.score == pivot.score) & (i & 1));
        entries[i] = entries[better];
        entries[better] = entry;
        better += is_better;
    }
    entries[count - 1] = entries[better];
    entries[better] = pivot;
    return better;
}

float topn_select_highest(struct topn_entry *entries, size_t count, size_t wanted)
{
    struct topn_entry *from = entries;
    size_t missing = wanted;
    while (missing > 0 && missing < count) {
        size_t at = split_scores(from, count);
        if (missing <= at) {
            count = at;
        } else {
            from += at + 1;
            count -= at + 1;
            missing -= at + 1;
        }
    }
    float least = entries[0].score;
    for (size_t i = 1; i < wanted; i++)
        least = entries[i].score < least ? entries[i].score : least;
    return least;
}
