#include "monitor/quality.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t least(uint64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

static void add(struct response_mean *mean, double value)
{
    if (isnan(value))
        return;
    mean->count++;
    mean->sum += value;
}

void quality_add(struct quality *quality, const struct slate_list *list, double novelty)
{
    uint32_t *row = quality->window[quality->lists % QUALITY_WINDOW];
    uint32_t depth = least(list->count, LIST_DEPTH);
    for (uint32_t i = 0; i < depth; i++)
        row[i] = list->items[i].item;
    for (uint32_t i = depth; i < LIST_DEPTH; i++)
        row[i] = QUALITY_NO_ITEM;
    quality->lists++;
    quality->places += depth;
    quality->new_items += list->new_items;
    quality->fallback += list->fallback;
    quality->explored += list->explored_count;
    if (list->probe.made)
        add(&quality->diversity, (double)list->probe.diversity);
    add(&quality->novelty, novelty);
}

/* -- the window -------------------------------------------------------------------------------- */

#define SLOTS (2 * 65536) /* more than twice the window's places */
_Static_assert(SLOTS > 2 * QUALITY_WINDOW * LIST_DEPTH, "at most half full");

struct tally {
    uint32_t item, lists;
};

/* By open addressing, where there are many items. */
static struct tally *slot_of(struct tally *slots, uint32_t item)
{
    uint32_t at = item * 2654435769u >> 15; /* Fibonacci hashing to 17 bits */
    while (slots[at].lists > 0 && slots[at].item != item)
        at = (at + 1) % SLOTS;
    return &slots[at];
}

static void add_item(struct quality_window *window, uint32_t item, uint32_t lists)
{
    if (lists == 0)
        return;
    window->items++;
    if (lists < window->top_lists || (lists == window->top_lists && item > window->top_item))
        return;
    window->top_item = item;
    window->top_lists = lists;
}

static void count_sparsely(const uint32_t *places, uint32_t count, struct quality_window *window)
{
    struct tally *slots = mem_zalloc(SLOTS * sizeof *slots);
    for (uint32_t i = 0; i < count; i++) {
        if (places[i] == QUALITY_NO_ITEM)
            continue;
        struct tally *tally = slot_of(slots, places[i]);
        tally->item = places[i];
        tally->lists++;
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        add_item(window, slots[slot].item, slots[slot].lists);
    free(slots);
}

/* A count for each item, and one before them for places without any: QUALITY_NO_ITEM + 1 is 0. */
static void count_densely(const uint32_t *places, uint32_t count, uint32_t end,
                          struct quality_window *window)
{
    uint32_t *lists = mem_zalloc((end + (size_t)1) * sizeof *lists);
    for (uint32_t i = 0; i < count; i++)
        lists[places[i] + 1]++;
    for (uint32_t item = 0; item < end; item++)
        add_item(window, item, lists[item + 1]);
    free(lists);
}

struct quality_window quality_window(const struct quality *quality)
{
    struct quality_window window = {.lists = least(quality->lists, QUALITY_WINDOW),
                                    .top_item = QUALITY_NO_ITEM};
    const uint32_t *places = quality->window[0];
    uint32_t count = window.lists * LIST_DEPTH, end = 0;
    for (uint32_t i = 0; i < count; i++)
        end = places[i] + 1 > end ? places[i] + 1 : end;
    if (end < SLOTS)
        count_densely(places, count, end, &window);
    else
        count_sparsely(places, count, &window);
    return window;
}
