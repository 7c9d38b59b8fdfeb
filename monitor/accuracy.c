#include "monitor/accuracy.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void accuracy_deinit(struct accuracy *accuracy)
{
    for (int method = 0; method < ACCURACY_METHODS; method++)
        free(accuracy->top[method]);
    free(accuracy->scratch);
    free(accuracy->seen);
    *accuracy = (struct accuracy){0};
}

/* The order of a baseline's list. */
static bool beats(const double *counts, uint32_t a, uint32_t b)
{
    return counts[a] != counts[b] ? counts[a] > counts[b] : a < b;
}

/* heap[at] sinks until it is worse than both its children: the root is the worst of all. */
static void sink(uint32_t *heap, uint32_t count, uint32_t at, const double *counts)
{
    uint32_t item = heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && beats(counts, heap[child], heap[child + 1]))
            child++;
        if (!beats(counts, item, heap[child]))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = item;
}

/* The best BASELINE_DEPTH of the items that have a count, best first. Returns how many. */
static uint32_t select_top(const double *counts, uint32_t items, uint32_t *top)
{
    uint32_t kept = 0;
    for (uint32_t item = 0; item < items; item++) {
        if (counts[item] <= 0)
            continue;
        if (kept < BASELINE_DEPTH) {
            top[kept++] = item;
            if (kept == BASELINE_DEPTH)
                for (uint32_t at = kept / 2; at-- > 0;)
                    sink(top, kept, at, counts);
        } else if (beats(counts, item, top[0])) {
            top[0] = item;
            sink(top, kept, 0, counts);
        }
    }
    if (kept < BASELINE_DEPTH)
        for (uint32_t at = kept / 2; at-- > 0;)
            sink(top, kept, at, counts);
    for (uint32_t left = kept; left > 1; left--) { /* heapsort: the worst goes to the end */
        uint32_t worst = top[0];
        top[0] = top[left - 1];
        top[left - 1] = worst;
        sink(top, left - 1, 0, counts);
    }
    return kept;
}

static double count_of(const struct item_sums *sums, int method, int64_t now_ms)
{
    if (method == ACCURACY_POPULAR)
        return (double)sums->count;
    return sums->count == 0 ? 0 : sums_at(sums, method - ACCURACY_RECENT, now_ms);
}

/* scratch[i] = the sum over partitions of what `method` counts of item i */
static void gather(struct accuracy *accuracy, const struct history *history, uint32_t items,
                   int method)
{
    int64_t now_ms = history_now_ms(history);
    memset(accuracy->scratch, 0, items * sizeof *accuracy->scratch);
    for (size_t i = 0; i < history_sums_count(history); i++) {
        uint32_t known;
        const struct item_sums *sums = history_sums(history, i, &known);
        for (uint32_t item = 0; item < known && item < items; item++)
            accuracy->scratch[item] += count_of(&sums[item], method, now_ms);
    }
}

void accuracy_renew(struct accuracy *accuracy, const struct history *history, uint32_t items)
{
    bool is_first = accuracy->top[ACCURACY_POPULAR] == NULL;
    if (!is_first && (accuracy->events_since_renewal == 0 ||
                      accuracy->events_since_renewal * ACCURACY_ITEMS_PER_EVENT < items))
        return;
    if (items > accuracy->scratch_capacity) {
        accuracy->scratch_capacity = items + items / 2;
        accuracy->scratch =
            mem_array(accuracy->scratch, accuracy->scratch_capacity, sizeof *accuracy->scratch);
    }
    for (int method = ACCURACY_POPULAR; method < ACCURACY_METHODS && items > 0; method++) {
        if (accuracy->top[method] == NULL)
            accuracy->top[method] = mem_array(NULL, BASELINE_DEPTH, sizeof(uint32_t));
        gather(accuracy, history, items, method);
        accuracy->top_count[method] = select_top(accuracy->scratch, items, accuracy->top[method]);
    }
    accuracy->events_since_renewal = 0;
}

void accuracy_set_popular(struct accuracy *accuracy, const uint32_t *items, uint32_t count)
{
    uint32_t **top = &accuracy->top[ACCURACY_FRESHET];
    *top = mem_array(*top, count, sizeof **top);
    if (count > 0)
        memcpy(*top, items, count * sizeof **top);
    accuracy->top_count[ACCURACY_FRESHET] = count;
}

static bool is_seen(const struct accuracy *accuracy, uint32_t item)
{
    return item / 64 < accuracy->seen_words && (accuracy->seen[item / 64] >> (item % 64) & 1) != 0;
}

static void mark(struct accuracy *accuracy, uint32_t item, bool seen)
{
    uint32_t word = item / 64;
    if (word >= accuracy->seen_words) {
        uint32_t words = word + word / 2 + 16;
        accuracy->seen = mem_array(accuracy->seen, words, sizeof *accuracy->seen);
        memset(accuracy->seen + accuracy->seen_words, 0,
               (words - accuracy->seen_words) * sizeof *accuracy->seen);
        accuracy->seen_words = words;
    }
    if (seen)
        accuracy->seen[word] |= UINT64_C(1) << (item % 64);
    else
        accuracy->seen[word] &= ~(UINT64_C(1) << (item % 64));
}

/* Marks are set for one event and then taken back, because eight lists ask of every item whether
 * the user has seen it, and looking through the record each time would cost a thousandfold. */
static void mark_all(struct accuracy *accuracy, const struct user_record *record, bool seen)
{
    if (record == NULL)
        return;
    for (uint32_t i = 0; i < record->seen_count; i++)
        mark(accuracy, user_seen(record)[i].item, seen);
    for (uint32_t i = 0; i < record->interaction_count; i++)
        mark(accuracy, user_interactions(record)[i].item, seen);
}

/* From 1; 0: not among the first ACCURACY_RANK_MAX. */
static uint32_t rank_in_list(const uint32_t *list, uint32_t count, uint32_t item)
{
    for (uint32_t i = 0; i < count && i < ACCURACY_RANK_MAX; i++)
        if (list[i] == item)
            return i + 1;
    return 0;
}

static uint32_t rank_in_baseline(const struct accuracy *accuracy, int method, uint32_t item)
{
    uint32_t rank = 0;
    for (uint32_t i = 0; i < accuracy->top_count[method] && rank < ACCURACY_RANK_MAX; i++) {
        uint32_t other = accuracy->top[method][i];
        if (is_seen(accuracy, other))
            continue;
        rank++;
        if (other == item)
            return rank;
    }
    return 0;
}

static uint32_t rank_of(const struct accuracy *accuracy, int method,
                        const struct user_record *before, uint32_t item)
{
    if (method != ACCURACY_FRESHET)
        return rank_in_baseline(accuracy, method, item);
    if (before == NULL || before->acked_offset < 0)
        return rank_in_list(accuracy->top[method], accuracy->top_count[method], item);
    return rank_in_list(user_list(before), before->list_count, item);
}

static void add(struct accuracy_count *count, uint32_t rank)
{
    count->events++;
    if (rank == 0)
        return;
    count->hits10 += rank <= 10;
    count->hits20 += rank <= 20;
    count->reciprocal_ranks += 1.0 / rank;
}

void accuracy_observe(struct accuracy *accuracy, const struct user_record *before, uint32_t item)
{
    mark_all(accuracy, before, true);
    bool is_new = !is_seen(accuracy, item);
    for (int method = 0; method < ACCURACY_METHODS; method++) {
        uint32_t rank = rank_of(accuracy, method, before, item);
        add(&accuracy->counts[ACCURACY_ALL][method], rank);
        if (is_new)
            add(&accuracy->counts[ACCURACY_NEW][method], rank);
    }
    mark_all(accuracy, before, false);
    accuracy->events_since_renewal++;
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
