#include "monitor/baselines.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Half-lives from a landmark to the newest event: counts stay below 2^512 events. */
#define LANDMARK_HALF_LIVES 512
#define SORTED_RUN 8     /* entries that insertion sorts faster */
#define CHUNK_ITEMS 4096 /* merged at once when all lists are made anew */

void baselines_deinit(struct baselines *baselines)
{
    free(baselines->counts);
    free(baselines->is_touched);
    free(baselines->touched);
    free(baselines->sorting);
    *baselines = (struct baselines){0};
}

void baselines_forget(struct baselines *baselines)
{
    baselines->known = false;
}

static void reserve_items(struct baselines *baselines, uint32_t items)
{
    uint32_t old = baselines->items_max;
    if (items <= old)
        return;
    uint32_t max = items + items / 2 + 64;
    baselines->counts = mem_array(baselines->counts, max, sizeof *baselines->counts);
    baselines->is_touched = mem_array(baselines->is_touched, max, sizeof(bool));
    memset(baselines->counts + old, 0, (max - old) * sizeof *baselines->counts);
    memset(baselines->is_touched + old, 0, (max - old) * sizeof(bool));
    baselines->items_max = max;
}

/* -- landmarks --------------------------------------------------------------------------------- */

/* By a power of two, which changes no count's digits and so no order. */
static void scale(struct baselines *baselines, int half_life, double factor)
{
    int method = BASELINE_RECENT + half_life;
    struct baseline_list *list = &baselines->lists[method];
    for (uint32_t item = 0; item < baselines->items_max; item++)
        baselines->counts[item][method] *= factor;
    for (uint32_t i = 0; i < list->count; i++)
        list->top[i].count *= factor;
    while (list->count > 0 && list->top[list->count - 1].count <= 0) /* underflow */
        list->count--;
}

static void set_landmarks(struct baselines *baselines, int64_t ts_ms)
{
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        baselines->landmarks_ms[h] = ts_ms;
    baselines->has_landmarks = true;
}

static void move_landmarks(struct baselines *baselines, int64_t ts_ms)
{
    for (int h = 0; h < HALF_LIFE_COUNT; h++) {
        double moved = decay_half_lives(h, baselines->landmarks_ms[h], ts_ms);
        if (moved < LANDMARK_HALF_LIVES)
            continue;
        int64_t whole = (ts_ms - baselines->landmarks_ms[h]) / half_life_ms[h];
        baselines->landmarks_ms[h] += whole * half_life_ms[h];
        scale(baselines, h, decay_exp2(-(double)whole));
    }
}

/* What an event of this time counts. Bursts share theirs. */
static const double *weights_at(struct baselines *baselines, int64_t ts_ms)
{
    if (baselines->has_landmarks && baselines->weights_ts_ms == ts_ms)
        return baselines->weights;
    if (!baselines->has_landmarks)
        set_landmarks(baselines, ts_ms);
    move_landmarks(baselines, ts_ms);
    decay_weights(baselines->landmarks_ms, ts_ms, baselines->weights);
    baselines->weights_ts_ms = ts_ms;
    return baselines->weights;
}

void baselines_add(struct baselines *baselines, uint32_t item, int64_t ts_ms)
{
    if (!baselines->known)
        return;
    reserve_items(baselines, item + 1);
    const double *weights = weights_at(baselines, ts_ms);
    double *counts = baselines->counts[item];
    counts[BASELINE_POPULAR]++;
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        counts[BASELINE_RECENT + h] += weights[h];
    if (baselines->is_touched[item])
        return;
    baselines->is_touched[item] = true;
    if (baselines->touched_count == baselines->touched_max) {
        baselines->touched_max = baselines->touched_max ? baselines->touched_max * 2 : 1024;
        baselines->touched =
            mem_array(baselines->touched, baselines->touched_max, sizeof *baselines->touched);
    }
    baselines->touched[baselines->touched_count++] = item;
}

/* -- one list's order -------------------------------------------------------------------------- */

static inline bool beats(const struct baseline_entry *a, const struct baseline_entry *b)
{
    return a->count > b->count || (a->count == b->count && a->item < b->item);
}

static void insertion_sort(struct baseline_entry *entries, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct baseline_entry entry = entries[i];
        uint32_t at = i;
        for (; at > 0 && beats(&entry, &entries[at - 1]); at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

static void merge_halves(const struct baseline_entry *from, uint32_t left, uint32_t count,
                         struct baseline_entry *to)
{
    uint32_t a = 0, b = left;
    for (uint32_t i = 0; i < count; i++)
        to[i] = b == count || (a < left && beats(&from[a], &from[b])) ? from[a++] : from[b++];
}

/* Best first; `spare`: [count]. */
static void merge_sort(struct baseline_entry *entries, uint32_t count, struct baseline_entry *spare)
{
    if (count <= SORTED_RUN) {
        insertion_sort(entries, count);
        return;
    }
    uint32_t left = count / 2;
    merge_sort(entries, left, spare);
    merge_sort(entries + left, count - left, spare + left);
    if (beats(&entries[left - 1], &entries[left]))
        return; /* in order already */
    memcpy(spare, entries, count * sizeof *entries);
    merge_halves(spare, left, count, entries);
}

/* Those of the items that may be in the list, sorted. Returns how many. What does not even equal
 * the last of a full list has as many before it as the list is deep. */
static uint32_t sort_candidates(struct baselines *baselines, int method, const uint32_t *items,
                                uint32_t count)
{
    const struct baseline_list *list = &baselines->lists[method];
    double least = list->count == BASELINE_DEPTH ? list->top[BASELINE_DEPTH - 1].count : 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct baseline_entry entry = {baselines->counts[items[i]][method], items[i]};
        baselines->sorting[kept] = entry;
        kept += entry.count >= least && entry.count > 0;
    }
    merge_sort(baselines->sorting, kept, baselines->sorting + baselines->sorting_max);
    return kept;
}

/* The best of both; what is touched is among `fresh`, if it is to be anywhere. */
static void merge_into(struct baseline_list *list, const bool *is_touched,
                       const struct baseline_entry *fresh, uint32_t fresh_count)
{
    struct baseline_entry old[BASELINE_DEPTH];
    uint32_t old_count = 0, a = 0, b = 0, count = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        old[old_count] = list->top[i];
        old_count += !is_touched[list->top[i].item];
    }
    for (; count < BASELINE_DEPTH && (a < old_count || b < fresh_count); count++) {
        bool takes_old = b == fresh_count || (a < old_count && beats(&old[a], &fresh[b]));
        list->top[count] = takes_old ? old[a++] : fresh[b++];
    }
    list->count = count;
}

/* Items that are in a list must be marked as touched, or not be there yet. */
static void merge_items(struct baselines *baselines, const uint32_t *items, uint32_t count)
{
    if (count == 0)
        return;
    if (count > baselines->sorting_max) {
        baselines->sorting_max = count + count / 2;
        baselines->sorting =
            mem_array(baselines->sorting, baselines->sorting_max, 2 * sizeof *baselines->sorting);
    }
    for (int method = 0; method < BASELINE_COUNT; method++) {
        uint32_t fresh = sort_candidates(baselines, method, items, count);
        merge_into(&baselines->lists[method], baselines->is_touched, baselines->sorting, fresh);
    }
}

/* -- all lists --------------------------------------------------------------------------------- */

static void clear_touched(struct baselines *baselines)
{
    for (uint32_t i = 0; i < baselines->touched_count; i++)
        baselines->is_touched[baselines->touched[i]] = false;
    baselines->touched_count = 0;
}

/*  G = sum over partitions of S(ts) 2^((ts - L) / h)  */
static void gather(struct baselines *baselines, const struct item_sums *sums, uint32_t count)
{
    for (uint32_t item = 0; item < count; item++) {
        if (sums[item].count == 0)
            continue;
        double weights[HALF_LIFE_COUNT];
        decay_weights(baselines->landmarks_ms, sums[item].ts_ms, weights);
        double *counts = baselines->counts[item];
        counts[BASELINE_POPULAR] += (double)sums[item].count;
        for (int h = 0; h < HALF_LIFE_COUNT; h++)
            counts[BASELINE_RECENT + h] += sums[item].decayed[h] * weights[h];
    }
}

static void count_all(struct baselines *baselines, const struct history *history, uint32_t items)
{
    int64_t now_ms = history_now_ms(history);
    reserve_items(baselines, items);
    if (baselines->items_max > 0)
        memset(baselines->counts, 0, baselines->items_max * sizeof *baselines->counts);
    baselines->has_landmarks = false; /* and so are no weights */
    if (now_ms == INT64_MIN)
        return;
    set_landmarks(baselines, now_ms);
    decay_weights(baselines->landmarks_ms, now_ms, baselines->weights);
    baselines->weights_ts_ms = now_ms;
    for (size_t i = 0; i < history_sums_count(history); i++) {
        uint32_t known;
        const struct item_sums *sums = history_sums(history, i, &known);
        gather(baselines, sums, known < items ? known : items);
    }
}

/* By chunks: after the first, few items get past the last of a list. */
static void list_all(struct baselines *baselines, uint32_t items)
{
    uint32_t chunk[CHUNK_ITEMS];
    for (int method = 0; method < BASELINE_COUNT; method++)
        baselines->lists[method].count = 0;
    for (uint32_t begin = 0; begin < items; begin += CHUNK_ITEMS) {
        uint32_t count = items - begin < CHUNK_ITEMS ? items - begin : CHUNK_ITEMS;
        for (uint32_t i = 0; i < count; i++)
            chunk[i] = begin + i;
        merge_items(baselines, chunk, count);
    }
}

void baselines_renew(struct baselines *baselines, const struct history *history, uint32_t items)
{
    if (baselines->known) {
        merge_items(baselines, baselines->touched, baselines->touched_count);
        clear_touched(baselines);
        return;
    }
    clear_touched(baselines);
    count_all(baselines, history, items);
    list_all(baselines, items);
    baselines->known = true;
}

bool baselines_may_have(const struct baselines *baselines, uint32_t item, uint32_t rank)
{
    if (item >= baselines->items_max)
        return false;
    const double *counts = baselines->counts[item]; /* not below those of the renewal */
    bool may = false;
    for (int method = 0; method < BASELINE_COUNT; method++) {
        const struct baseline_list *list = &baselines->lists[method];
        uint32_t at = rank < BASELINE_DEPTH ? rank : BASELINE_DEPTH - 1;
        may |= at < list->count ? counts[method] >= list->top[at].count : list->count > 0;
    }
    return may;
}
