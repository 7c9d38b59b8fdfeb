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

/* A slot for each item where there are few items, else by open addressing. */
struct tallies {
    struct tally *slots;
    bool direct;
};

static void tallies_init(struct tallies *tallies, const uint32_t *places, uint32_t count)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < count; i++)
        if (places[i] != QUALITY_NO_ITEM && places[i] > most)
            most = places[i];
    tallies->direct = most < SLOTS;
    tallies->slots =
        mem_zalloc((tallies->direct ? (size_t)most + 1 : SLOTS) * sizeof *tallies->slots);
}

static struct tally *slot_of(struct tallies *tallies, uint32_t item)
{
    struct tally *slots = tallies->slots;
    uint32_t at = item * 2654435769u >> 15; /* Fibonacci hashing to 17 bits */
    if (tallies->direct)
        return &slots[item];
    while (slots[at].lists > 0 && slots[at].item != item)
        at = (at + 1) % SLOTS;
    return &slots[at];
}

struct quality_window quality_window(const struct quality *quality)
{
    struct quality_window window = {.lists = least(quality->lists, QUALITY_WINDOW),
                                    .top_item = QUALITY_NO_ITEM};
    struct tallies tallies;
    const uint32_t *places = quality->window[0];
    tallies_init(&tallies, places, window.lists * LIST_DEPTH);
    for (uint32_t i = 0; i < window.lists * LIST_DEPTH; i++) {
        if (places[i] == QUALITY_NO_ITEM)
            continue;
        struct tally *tally = slot_of(&tallies, places[i]);
        tally->item = places[i];
        window.items += tally->lists == 0;
        tally->lists++;
        bool is_top = tally->lists > window.top_lists ||
                      (tally->lists == window.top_lists && tally->item < window.top_item);
        window.top_item = is_top ? tally->item : window.top_item;
        window.top_lists = is_top ? tally->lists : window.top_lists;
    }
    free(tallies.slots);
    return window;
}
