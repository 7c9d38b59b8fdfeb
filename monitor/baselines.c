#include "monitor/baselines.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Half-lives from a landmark to the newest event: counts stay below 2^512 events. */
#define LANDMARK_HALF_LIVES 512
#define CHUNK_ITEMS 4096 /* merged at once; a power of two */
#define AHEAD 8          /* events whose counts are on their way */
#define FEW 64           /* places beyond the last that may as well be sorted */

void baselines_deinit(struct baselines *baselines)
{
    free(baselines->counts);
    free(baselines->is_touched);
    free(baselines->touched);
    free(baselines->least_place);
    free(baselines->waiting);
    free(baselines->sorting);
    *baselines = (struct baselines){0};
}

/* What is left to be counted or merged, the history has. */
void baselines_forget(struct baselines *baselines)
{
    for (uint32_t i = 0; i < baselines->touched_count; i++)
        baselines->is_touched[baselines->touched[i]] = false;
    baselines->touched_count = 0;
    baselines->waiting_count = 0;
    baselines->waiting_items = 0;
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
    baselines->least_place = mem_array(baselines->least_place, max, sizeof *baselines->least_place);
    memset(baselines->counts + old, 0, (max - old) * sizeof *baselines->counts);
    memset(baselines->is_touched + old, 0, (max - old) * sizeof(bool));
    for (uint32_t item = old; item < max; item++)
        baselines->least_place[item] = BASELINE_DEPTH;
    baselines->items_max = max;
}

/* -- places ----------------------------------------------------------------------------------- */

static void leave_places(struct baselines *baselines)
{
    for (int method = 0; method < BASELINE_COUNT; method++) {
        const struct baseline_list *list = &baselines->lists[method];
        for (uint32_t place = 0; place < list->count; place++)
            baselines->least_place[list->top[place].item] = BASELINE_DEPTH;
    }
}

static void take_places(struct baselines *baselines)
{
    for (int method = 0; method < BASELINE_COUNT; method++) {
        const struct baseline_list *list = &baselines->lists[method];
        for (uint32_t place = 0; place < list->count; place++) {
            uint16_t *least = &baselines->least_place[list->top[place].item];
            *least = place < *least ? (uint16_t)place : *least;
        }
    }
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
        leave_places(baselines);
        int64_t whole = (ts_ms - baselines->landmarks_ms[h]) / half_life_ms[h];
        baselines->landmarks_ms[h] += whole * half_life_ms[h];
        scale(baselines, h, decay_exp2(-(double)whole));
        take_places(baselines);
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

/* -- what came since the last renewal ---------------------------------------------------------- */

void baselines_add(struct baselines *baselines, uint32_t item, int64_t ts_ms)
{
    if (!baselines->known)
        return;
    baselines->waiting_items =
        item < baselines->waiting_items ? baselines->waiting_items : item + 1;
    if (baselines->waiting_count == baselines->waiting_max) {
        baselines->waiting_max = baselines->waiting_max ? baselines->waiting_max * 2 : 1024;
        baselines->waiting =
            mem_array(baselines->waiting, baselines->waiting_max, sizeof *baselines->waiting);
    }
    baselines->waiting[baselines->waiting_count++] = (struct baseline_event){ts_ms, item};
}

static void touch(struct baselines *baselines, uint32_t item)
{
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

static void count(struct baselines *baselines, const struct baseline_event *event)
{
    const double *weights = weights_at(baselines, event->ts_ms);
    double *counts = baselines->counts[event->item];
    counts[BASELINE_POPULAR]++;
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        counts[BASELINE_RECENT + h] += weights[h];
    touch(baselines, event->item);
}

/* Items come in no order, and their counts are in no cache: they are asked for ahead. */
static void count_waiting(struct baselines *baselines)
{
    const struct baseline_event *waiting = baselines->waiting;
    size_t events = baselines->waiting_count;
    reserve_items(baselines, baselines->waiting_items);
    for (size_t i = 0; i < events; i++) {
        if (i + AHEAD < events)
            __builtin_prefetch(baselines->counts[waiting[i + AHEAD].item], 1);
        count(baselines, &waiting[i]);
    }
    baselines->uses_total += events;
    baselines->waiting_count = 0;
    baselines->waiting_items = 0;
}

/* -- sorting ----------------------------------------------------------------------------------- */

/* What a chunk of items is sorted in. */
struct sorting {
    uint64_t keys[CHUNK_ITEMS], spare[CHUNK_ITEMS];
    struct baseline_entry entries[CHUNK_ITEMS], sorted[CHUNK_ITEMS];
};

static inline bool beats(const struct baseline_entry *a, const struct baseline_entry *b)
{
    return a->count > b->count || (a->count == b->count && a->item < b->item);
}

/* The branch that could not be foreseen is none: both sides' places move by a comparison's value.
 */
static void merge_halves(const uint64_t *from, uint32_t left, uint32_t count, uint64_t *to)
{
    uint32_t a = 0, b = left;
    while (a < left && b < count) {
        bool takes_a = from[a] > from[b];
        *to++ = from[takes_a ? a : b];
        a += takes_a;
        b += !takes_a;
    }
    memcpy(to, from + a, (left - a) * sizeof *to);
    memcpy(to + (left - a), from + b, (count - b) * sizeof *to);
}

/* The largest first. */
static void sort_keys(uint64_t *keys, uint32_t count, uint64_t *spare)
{
    if (count < 2)
        return;
    uint32_t left = count / 2;
    sort_keys(keys, left, spare);
    sort_keys(keys + left, count - left, spare);
    if (keys[left - 1] > keys[left])
        return; /* in order already */
    memcpy(spare, keys, count * sizeof *keys);
    merge_halves(spare, left, count, keys);
}

static uint64_t middle_of(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

/* Brings the `most` largest to the front, with at most FEW of the next. Returns how many stand
 * there. No two are equal. */
static uint32_t keep_largest(uint64_t *keys, uint32_t count, uint32_t most)
{
    uint32_t begin = 0, end = count; /* the last to be kept is in here */
    while (end > most + FEW) {
        uint64_t border = middle_of(keys[begin], keys[(begin + end) / 2], keys[end - 1]);
        uint32_t above = begin;
        for (uint32_t i = begin; i < end; i++) {
            uint64_t key = keys[i];
            keys[i] = keys[above];
            keys[above] = key;
            above += key > border;
        }
        if (above >= most)
            end = above;
        else
            begin = above;
    }
    return end;
}

/* Counts are not negative, so their bits are in their order. The lowest of these make room for the
 * entry's place, the earlier being the larger; what they would have told is put right below. */
static inline uint64_t key_of(double count, uint32_t place)
{
    uint64_t bits;
    memcpy(&bits, &count, sizeof bits);
    return (bits & ~(uint64_t)(CHUNK_ITEMS - 1)) | (CHUNK_ITEMS - 1 - place);
}

static inline uint32_t place_of(uint64_t key)
{
    return CHUNK_ITEMS - 1 - (uint32_t)(key % CHUNK_ITEMS);
}

/* Of entries that are in order but for neighbours whose counts are nearly equal. */
static void settle_neighbours(struct baseline_entry *entries, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct baseline_entry entry = entries[i];
        uint32_t at = i;
        for (; at > 0 && beats(&entry, &entries[at - 1]); at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

/* The first BASELINE_DEPTH, and FEW more, so that none of them is left out for the bits that its
 * key lacks, in which as many would have to differ alone. Returns how many. */
static uint32_t sort_entries(struct sorting *sorting, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sorting->keys[i] = key_of(sorting->entries[i].count, i);
    uint32_t kept = keep_largest(sorting->keys, count, BASELINE_DEPTH + FEW);
    sort_keys(sorting->keys, kept, sorting->spare);
    for (uint32_t i = 0; i < kept; i++)
        sorting->sorted[i] = sorting->entries[place_of(sorting->keys[i])];
    settle_neighbours(sorting->sorted, kept);
    return kept;
}

/* By number, so that equal counts are in order as they come. */
static void sort_items(struct sorting *sorting, uint32_t *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sorting->keys[i] = UINT32_MAX - items[i];
    sort_keys(sorting->keys, count, sorting->spare);
    for (uint32_t i = 0; i < count; i++)
        items[i] = UINT32_MAX - (uint32_t)sorting->keys[i];
}

/* -- one list's order -------------------------------------------------------------------------- */

/* Those of the items that may get into the list, sorted. Returns how many. What does not even equal
 * the last of a full list has as many before it as the list is deep. */
static uint32_t sort_candidates(struct baselines *baselines, int method, const uint32_t *items,
                                uint32_t count)
{
    const struct baseline_list *list = &baselines->lists[method];
    struct sorting *sorting = baselines->sorting;
    double least = list->count == BASELINE_DEPTH ? list->top[BASELINE_DEPTH - 1].count : 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct baseline_entry entry = {baselines->counts[items[i]][method], items[i]};
        sorting->entries[kept] = entry;
        kept += entry.count >= least && entry.count > 0;
    }
    return sort_entries(sorting, kept);
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

/* Items that are in a list must be marked as touched, or not be there yet. Afterwards none is
 * marked. count: at most CHUNK_ITEMS; sorts `items`, too. */
static void merge_items(struct baselines *baselines, uint32_t *items, uint32_t count)
{
    if (baselines->sorting == NULL)
        baselines->sorting = mem_alloc(sizeof *baselines->sorting);
    sort_items(baselines->sorting, items, count);
    for (int method = 0; method < BASELINE_COUNT; method++) {
        uint32_t fresh = sort_candidates(baselines, method, items, count);
        merge_into(&baselines->lists[method], baselines->is_touched, baselines->sorting->sorted,
                   fresh);
    }
    for (uint32_t i = 0; i < count; i++)
        baselines->is_touched[items[i]] = false;
}

/* In pieces: what is touched leaves the lists with the first, and comes back with its own. */
static void merge_touched(struct baselines *baselines)
{
    uint32_t left = baselines->touched_count;
    for (uint32_t *at = baselines->touched; left > 0;) {
        uint32_t count = left < CHUNK_ITEMS ? left : CHUNK_ITEMS;
        merge_items(baselines, at, count);
        at += count;
        left -= count;
    }
    baselines->touched_count = 0;
}

/* -- all lists --------------------------------------------------------------------------------- */

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
        baselines->uses_total += sums[item].count;
        for (int h = 0; h < HALF_LIFE_COUNT; h++)
            counts[BASELINE_RECENT + h] += sums[item].decayed[h] * weights[h];
    }
}

static void count_all(struct baselines *baselines, const struct history *history, uint32_t items)
{
    int64_t now_ms = history_now_ms(history);
    if (baselines->items_max > 0)
        memset(baselines->counts, 0, baselines->items_max * sizeof *baselines->counts);
    baselines->uses_total = 0;
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
    reserve_items(baselines, items);
    if (baselines->known) {
        count_waiting(baselines);
        leave_places(baselines);
        merge_touched(baselines);
    } else {
        leave_places(baselines);
        count_all(baselines, history, items);
        list_all(baselines, items);
        baselines->known = true;
    }
    take_places(baselines);
}

double baselines_uses(struct baselines *baselines, uint32_t item)
{
    count_waiting(baselines);
    return item < baselines->items_max ? baselines->counts[item][BASELINE_POPULAR] : 0;
}

bool baselines_may_have(const struct baselines *baselines, uint32_t item, uint32_t rank)
{
    return item < baselines->items_max && baselines->least_place[item] < BASELINE_DEPTH &&
           baselines->least_place[item] <= rank;
}
