#include "model/pairs.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/decay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)
#define CAPACITY_MIN 4
#define NOWHERE UINT32_MAX

const char *const pairs_horizon_names[PAIRS_HORIZONS] = {"1d", "ever"};

/* -- events ------------------------------------------------------------------------------------ */

size_t pairs_latest_items(const struct interaction *history, size_t count, uint64_t types,
                          uint32_t but, uint32_t *items, size_t max)
{
    size_t found = 0;
    for (size_t i = count; i-- > 0 && found < max;) {
        uint32_t item = history[i].item;
        if (item == but || (types >> history[i].type & 1) == 0)
            continue;
        size_t known = 0;
        while (known < found && items[known] != item)
            known++;
        if (known == found)
            items[found++] = item;
    }
    return found;
}

bool pairs_event_make(struct pairs_event *event, const struct interaction *history, size_t count,
                      uint64_t types, uint32_t item, int64_t ts_ms, int64_t offset)
{
    *event = (struct pairs_event){.ts_ms = ts_ms, .offset = offset, .item = item};
    event->count =
        (uint32_t)pairs_latest_items(history, count, types, item, event->before, PAIRS_WINDOW);
    return event->count > 0;
}

/* -- tables ------------------------------------------------------------------------------------ */

const struct pairs_table *pairs_table(const struct pairs *pairs, uint32_t item)
{
    return item < pairs->table_count ? pairs->tables[item] : NULL;
}

static struct pairs_table *table_of(struct pairs *pairs, uint32_t item)
{
    if (item >= pairs->table_count) {
        uint32_t old = pairs->table_count, count = old ? old : 64;
        while (count <= item)
            count *= 2;
        pairs->tables = mem_array(pairs->tables, count, sizeof(struct pairs_table *));
        memset(pairs->tables + old, 0, (count - old) * sizeof(struct pairs_table *));
        pairs->table_count = count;
    }
    if (pairs->tables[item] == NULL) {
        pairs->tables[item] = mem_zalloc(sizeof(struct pairs_table));
        pairs->tables[item]->applied = INT64_MIN;
    }
    return pairs->tables[item];
}

static void table_free(struct pairs_table *table)
{
    if (table == NULL)
        return;
    free(table->items);
    free(table->counts);
    free(table);
}

void pairs_clear(struct pairs *pairs)
{
    for (uint32_t item = 0; item < pairs->table_count; item++)
        table_free(pairs->tables[item]);
    free(pairs->tables);
    pairs->tables = NULL;
    pairs->table_count = 0;
}

static void reserve(struct pairs_table *table, uint32_t capacity)
{
    table->items = mem_array(table->items, capacity, sizeof *table->items);
    table->counts = mem_array(table->counts, capacity, sizeof *table->counts);
    table->capacity = capacity;
}

#define STEP 16 /* items looked at in one go, which the compiler makes a few vector compares */

static uint32_t find(const struct pairs_table *table, uint32_t item)
{
    const uint32_t *items = table->items;
    uint32_t i = 0;
    for (; i + STEP <= table->count; i += STEP) {
        uint32_t hits = 0;
        for (uint32_t k = 0; k < STEP; k++)
            hits |= items[i + k] == item;
        if (hits != 0)
            break;
    }
    for (; i < table->count; i++)
        if (items[i] == item)
            return i;
    return NOWHERE;
}

/* The weakest of a few: which few, the event's offset says and nothing else. */
static uint32_t weakest(const struct pairs_table *table, const int64_t draw[2])
{
    uint64_t bits = hash_stable(draw, 2 * sizeof *draw);
    uint32_t place = 0;
    float least = INFINITY;
    for (int i = 0; i < PAIRS_CONTENDERS; i++, bits = bits << 11 | bits >> 53) {
        uint32_t contender = (uint32_t)((bits >> 32) * table->count >> 32);
        const struct pairs_count *count = &table->counts[contender];
        float strength = count->forward[PAIRS_EVER] + count->backward[PAIRS_EVER];
        if (strength < least) {
            least = strength;
            place = contender;
        }
    }
    return place;
}

/* A place for a neighbour that the table does not have. */
static uint32_t admit(struct pairs_table *table, uint32_t neighbours_max, uint32_t item,
                      const int64_t draw[2])
{
    uint32_t place = table->count;
    if (table->count >= neighbours_max) {
        place = weakest(table, draw);
    } else {
        if (table->count == table->capacity)
            reserve(table, table->capacity ? table->capacity * 2 : CAPACITY_MIN);
        table->count++;
    }
    table->items[place] = item;
    table->counts[place] = (struct pairs_count){.ts_ms = INT64_MIN};
    return place;
}

static void count_later(struct pairs_count *count, int64_t ts_ms)
{
    if (count->ts_ms != INT64_MIN) {
        float decay = (float)decay_exp2(-(double)(ts_ms - count->ts_ms) / DAY_MS);
        count->forward[PAIRS_DAY] *= decay;
        count->backward[PAIRS_DAY] *= decay;
    }
    count->ts_ms = ts_ms;
}

static void count_one(struct pairs_count *count, int64_t ts_ms, bool forward, float weight)
{
    float *counts = forward ? count->forward : count->backward;
    float share = weight;
    if (ts_ms > count->ts_ms)
        count_later(count, ts_ms);
    else if (ts_ms < count->ts_ms)
        share *= (float)decay_exp2(-(double)(count->ts_ms - ts_ms) / DAY_MS);
    counts[PAIRS_DAY] += share;
    counts[PAIRS_EVER] += weight;
}

static void learn_side(struct pairs *pairs, struct pairs_table *table, uint32_t neighbour,
                       const struct pairs_event *event, bool forward, uint32_t distance,
                       float weight)
{
    uint32_t place = find(table, neighbour);
    if (place == NOWHERE) {
        int64_t draw[2] = {event->offset, distance};
        place = admit(table, pairs->neighbours_max, neighbour, draw);
    }
    count_one(&table->counts[place], event->ts_ms, forward, weight);
}

void pairs_learn(struct pairs *pairs, const struct pairs_event *event)
{
    if (pairs->neighbours_max == 0)
        return;
    struct pairs_table *own = table_of(pairs, event->item);
    bool own_is_old = own->applied < event->offset;
    float weight = 1;
    for (uint32_t d = 0; d < event->count; d++, weight *= PAIRS_FADE) {
        struct pairs_table *other = table_of(pairs, event->before[d]);
        if (other->applied < event->offset) {
            learn_side(pairs, other, event->item, event, true, d, weight);
            other->applied = event->offset;
        }
        if (own_is_old)
            learn_side(pairs, own, event->before[d], event, false, d, weight);
    }
    if (own_is_old)
        own->applied = event->offset;
}

/* -- bytes ------------------------------------------------------------------------------------- */

struct table_head {
    int64_t applied;
    uint32_t count, reserved;
};

void pairs_table_write(struct buffer *out, const struct pairs_table *table)
{
    if (table == NULL)
        return;
    struct table_head head = {table->applied, table->count, 0};
    buffer_add(out, &head, sizeof head);
    buffer_add(out, table->counts, table->count * sizeof *table->counts);
    buffer_add(out, table->items, table->count * sizeof *table->items);
}

static bool counts_are_sound(const struct pairs_table *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        for (int h = 0; h < PAIRS_HORIZONS; h++)
            if (!(table->counts[i].forward[h] >= 0 && table->counts[i].backward[h] >= 0))
                return false;
    return true;
}

int pairs_table_read(struct pairs *pairs, uint32_t item, struct slice bytes, struct error *err)
{
    struct table_head head;
    size_t each = sizeof(struct pairs_count) + sizeof(uint32_t);
    if (bytes.length < sizeof head)
        return error_set(err, ERR_DATA, "a table of pairs is cut short");
    memcpy(&head, bytes.data, sizeof head);
    if (head.count > PAIRS_NEIGHBOURS_MAX || bytes.length != sizeof head + head.count * each)
        return error_set(err, ERR_DATA, "a table of pairs has %u bytes for %u neighbours",
                         (unsigned)bytes.length, head.count);
    struct pairs_table *table = table_of(pairs, item);
    if (head.count > table->capacity)
        reserve(table, head.count);
    const char *at = bytes.data + sizeof head;
    table->applied = head.applied;
    table->count = head.count;
    memcpy(table->counts, at, head.count * sizeof *table->counts);
    memcpy(table->items, at + head.count * sizeof *table->counts,
           head.count * sizeof *table->items);
    return counts_are_sound(table) ? 0 : error_set(err, ERR_DATA, "a table of pairs is damaged");
}
