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

static void sort_scores(struct topn_entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct topn_entry entry = entries[i];
        size_t at = i;
        for (; at > 0 && entries[at - 1].score < entry.score; at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

static void sort_by_score(struct topn_entry *entries, size_t count)
{
    while (count > SMALL) {
        size_t at = split_scores(entries, count);
        sort_by_score(entries, at);
        entries += at + 1;
        count -= at + 1;
    }
    sort_scores(entries, count);
}

/* By numbers first: ids are looked at where scores are equal, which is seldom. */
void topn_sort(struct topn_entry *entries, size_t count, const struct slice *ids)
{
    sort_by_score(entries, count);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && entries[end].score == entries[begin].score;)
            end++;
        if (end - begin > 1)
            sort_by_id(entries + begin, end - begin, ids);
    }
}

/* From a float's bits to whole numbers in the order of the floats, and back. */
static int32_t turn(int32_t bits)
{
    return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

static int32_t key_of(float score)
{
    int32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return turn(bits);
}

static float score_of(int32_t key)
{
    float score;
    key = turn(key);
    memcpy(&score, &key, sizeof score);
    return score;
}

static size_t count_from(const struct topn_entry *entries, size_t count, int32_t key)
{
    uint32_t reach = 0;
    for (size_t i = 0; i < count; i++)
        reach += key_of(entries[i].score) >= key;
    return reach;
}

/* The least key that is not below `floor`. */
static int32_t least_from(const struct topn_entry *entries, size_t count, int32_t floor)
{
    int32_t least = INT32_MAX;
    for (size_t i = 0; i < count; i++) {
        int32_t key = key_of(entries[i].score);
        key = key >= floor ? key : INT32_MAX;
        least = key < least ? key : least;
    }
    return least;
}

static int32_t largest_key(const struct topn_entry *entries, size_t count)
{
    int32_t largest = INT32_MIN;
    for (size_t i = 0; i < count; i++) {
        int32_t key = key_of(entries[i].score);
        largest = key > largest ? key : largest;
    }
    return largest;
}

/* By halving the range of keys: passes without a branch, some nine of them for a few hundred
 * entries and 33 at most. At least n keys reach `low`, fewer reach `high`. */
float topn_nth(const struct topn_entry *entries, size_t count, size_t n, size_t more)
{
    int64_t low = least_from(entries, count, INT32_MIN);
    int64_t high = (int64_t)largest_key(entries, count) + 1;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        size_t reach = count_from(entries, count, (int32_t)middle);
        if (reach >= n && reach <= n + more)
            return score_of(least_from(entries, count, (int32_t)middle));
        if (reach > n)
            low = middle;
        else
            high = middle;
    }
    return score_of((int32_t)low);
}

/* Moves those of the score to the front, and of them the `wanted` best by id. */
static void settle_ties(struct topn_entry *entries, size_t count, float score, size_t wanted,
                        const struct slice *ids)
{
    size_t ties = 0;
    for (size_t i = 0; i < count; i++)
        if (entries[i].score == score) {
            struct topn_entry entry = entries[i];
            entries[i] = entries[ties];
            entries[ties++] = entry;
        }
    if (ties > wanted)
        topn_sort(entries, ties, ids);
}

/* The n-th score first, by numbers alone; ids matter among its equals only. */
void topn_select_best(struct topn_entry *entries, size_t count, size_t wanted,
                      const struct slice *ids)
{
    if (wanted == 0 || wanted >= count)
        return;
    float nth = topn_nth(entries, count, wanted, 0);
    size_t above = 0;
    for (size_t i = 0; i < count; i++)
        if (entries[i].score > nth) {
            struct topn_entry entry = entries[i];
            entries[i] = entries[above];
            entries[above++] = entry;
        }
    settle_ties(entries + above, count - above, nth, wanted - above, ids);
}
