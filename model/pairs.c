#include "model/pairs.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/decay.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define DAY 3 /* in half_life_ms */
#define CAPACITY_MIN 4
#define NOWHERE UINT32_MAX
#define NEIGHBOUR_BYTES (sizeof(uint32_t) + sizeof(struct pairs_ever) + sizeof(struct pairs_day))

const char *const pairs_horizon_names[PAIRS_HORIZONS] = {"1d", "ever"};

uint32_t pairs_share(uint32_t neighbours, int32_t partition_count)
{
    if (partition_count <= 1)
        return neighbours;
    uint32_t share = (uint32_t)(2 * (int64_t)neighbours / (partition_count + 1));
    uint32_t least = neighbours < PAIRS_SHARE_MIN ? neighbours : PAIRS_SHARE_MIN;
    return share > least ? share : least;
}

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
        pairs->tables[item]->unsaved_since = PAIRS_SAVED;
    }
    return pairs->tables[item];
}

static void table_free(struct pairs_table *table)
{
    if (table == NULL)
        return;
    free(table->items);
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

/* The arrays in a new block, those of one horizon next to the items. */
static void move(struct pairs_table *table, uint32_t capacity)
{
    struct pairs_table old = *table;
    capacity += capacity % 2; /* `ever` and `day` begin at a multiple of 8 bytes */
    table->capacity = capacity;
    table->items = mem_array(NULL, capacity, NEIGHBOUR_BYTES);
    table->ever = (struct pairs_ever *)(table->items + capacity);
    table->day = (struct pairs_day *)(table->ever + capacity);
    if (old.count == 0)
        return;
    memcpy(table->items, old.items, old.count * sizeof *old.items);
    memcpy(table->ever, old.ever, old.count * sizeof *old.ever);
    memcpy(table->day, old.day, old.count * sizeof *old.day);
}

static void reserve(struct pairs_table *table, uint32_t capacity)
{
    uint32_t *old = table->items;
    move(table, capacity);
    free(old);
}

struct pairs_table *pairs_table_copy(const struct pairs_table *table)
{
    struct pairs_table *copy = mem_alloc(sizeof *copy);
    *copy = *table;
    move(copy, table->capacity);
    return copy;
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
        float strength = table->ever[contender].forward + table->ever[contender].backward;
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
    table->ever[place] = (struct pairs_ever){0};
    table->day[place] = (struct pairs_day){.ts_ms = INT64_MIN};
    return place;
}

static void pass_time(struct pairs_day *day, int64_t ts_ms)
{
    if (day->ts_ms != INT64_MIN) {
        float decay = (float)decay_exp2(-decay_half_lives(DAY, day->ts_ms, ts_ms));
        day->forward *= decay;
        day->backward *= decay;
    }
    day->ts_ms = ts_ms;
}

static void count_one(struct pairs_ever *ever, struct pairs_day *day, int64_t ts_ms, bool forward,
                      float weight)
{
    float share = weight;
    if (ts_ms > day->ts_ms)
        pass_time(day, ts_ms);
    else if (ts_ms < day->ts_ms)
        share *= (float)decay_exp2(-decay_half_lives(DAY, ts_ms, day->ts_ms));
    *(forward ? &day->forward : &day->backward) += share;
    *(forward ? &ever->forward : &ever->backward) += weight;
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
    count_one(&table->ever[place], &table->day[place], event->ts_ms, forward, weight);
}

static void note_applied(struct pairs_table *table, int64_t offset)
{
    table->applied = offset;
    if (table->unsaved_since == PAIRS_SAVED)
        table->unsaved_since = offset;
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
            note_applied(other, event->offset);
        }
        if (own_is_old)
            learn_side(pairs, own, event->before[d], event, false, d, weight);
    }
    if (own_is_old)
        note_applied(own, event->offset);
}

/* -- bytes ------------------------------------------------------------------------------------- */

struct table_head {
    int64_t applied;
    uint32_t count, reserved;
};

size_t pairs_table_bytes(const struct pairs_table *table)
{
    return sizeof(struct table_head) + table->count * NEIGHBOUR_BYTES;
}

void pairs_table_write(struct buffer *out, const struct pairs_table *table)
{
    struct table_head head = {table->applied, table->count, 0};
    buffer_add(out, &head, sizeof head);
    buffer_add(out, table->day, table->count * sizeof *table->day);
    buffer_add(out, table->ever, table->count * sizeof *table->ever);
    buffer_add(out, table->items, table->count * sizeof *table->items);
}

static bool is_count(float count)
{
    return count >= 0 && isfinite(count);
}

static bool counts_are_sound(const struct pairs_table *table)
{
    for (uint32_t i = 0; i < table->count; i++) {
        const struct pairs_day *day = &table->day[i];
        const struct pairs_ever *ever = &table->ever[i];
        if (day->ts_ms == INT64_MIN || !is_count(day->forward) || !is_count(day->backward) ||
            !is_count(ever->forward) || !is_count(ever->backward))
            return false;
    }
    return true;
}

/* Marks each, then takes the marks back: all of them were known and new. */
static bool items_are_sound(const struct pairs_table *table, uint32_t own, uint32_t item_count,
                            uint64_t *marks)
{
    uint32_t sound = 0;
    for (; sound < table->count; sound++) {
        uint32_t item = table->items[sound];
        if (item >= item_count || item == own || (marks[item / 64] >> (item % 64) & 1) != 0)
            break;
        marks[item / 64] |= UINT64_C(1) << (item % 64);
    }
    for (uint32_t i = 0; i < sound; i++)
        marks[table->items[i] / 64] = 0;
    return sound == table->count;
}

static void fill(struct pairs_table *table, const struct table_head *head, const char *arrays)
{
    if (head->count > table->capacity)
        reserve(table, head->count);
    table->applied = head->applied;
    table->count = head->count;
    memcpy(table->day, arrays, head->count * sizeof *table->day);
    arrays += head->count * sizeof *table->day;
    memcpy(table->ever, arrays, head->count * sizeof *table->ever);
    arrays += head->count * sizeof *table->ever;
    memcpy(table->items, arrays, head->count * sizeof *table->items);
}

int pairs_table_read(struct pairs *pairs, uint32_t item, struct slice bytes, uint32_t item_count,
                     uint64_t *marks, struct error *err)
{
    struct table_head head;
    if (item >= item_count)
        return error_set(err, ERR_DATA, "a table of pairs is of item %u, of %u", item, item_count);
    if (bytes.length < sizeof head)
        return error_set(err, ERR_DATA, "a table of pairs is cut short");
    memcpy(&head, bytes.data, sizeof head);
    if (head.count == 0 || head.count > PAIRS_NEIGHBOURS_MAX ||
        bytes.length != sizeof head + head.count * NEIGHBOUR_BYTES)
        return error_set(err, ERR_DATA, "a table of pairs has %u bytes for %u neighbours",
                         bytes.length, head.count);
    struct pairs_table *table = table_of(pairs, item);
    fill(table, &head, bytes.data + sizeof head);
    if (!counts_are_sound(table))
        return error_set(err, ERR_DATA, "a table of pairs has counts that are none");
    if (!items_are_sound(table, item, item_count, marks))
        return error_set(err, ERR_DATA, "a table of pairs has neighbours that cannot be");
    return 0;
}

#define EVENT_HEAD_BYTES offsetof(struct pairs_event, before)

void pairs_event_write(struct buffer *out, const struct pairs_event *event)
{
    buffer_add(out, event, EVENT_HEAD_BYTES + event->count * sizeof *event->before);
}

int pairs_event_read(struct slice *bytes, struct pairs_event *event, uint32_t item_count,
                     struct error *err)
{
    *event = (struct pairs_event){0};
    if (bytes->length >= EVENT_HEAD_BYTES)
        memcpy(event, bytes->data, EVENT_HEAD_BYTES);
    size_t length = EVENT_HEAD_BYTES + event->count * sizeof *event->before;
    if (event->count == 0 || event->count > PAIRS_WINDOW || bytes->length < length)
        return error_set(err, ERR_DATA, "an event of pairs is cut short");
    memcpy(event, bytes->data, length);
    bool known = event->item < item_count;
    for (uint32_t d = 0; d < event->count; d++)
        known = known && event->before[d] < item_count && event->before[d] != event->item;
    if (!known)
        return error_set(err, ERR_DATA, "an event of pairs has items that cannot be");
    bytes->data += length;
    bytes->length -= (uint32_t)length;
    return 0;
}

/* -- forks ------------------------------------------------------------------------------------- */

void pairs_fork(struct pairs *fork, const struct pairs *from)
{
    *fork = *from;
    fork->tables = mem_array(NULL, from->table_count, sizeof(struct pairs_table *));
    if (from->table_count > 0)
        memcpy(fork->tables, from->tables, from->table_count * sizeof(struct pairs_table *));
}

static bool is_shared(const struct pairs *fork, const struct pairs *from, uint32_t item)
{
    return item < from->table_count && fork->tables[item] != NULL &&
           fork->tables[item] == from->tables[item];
}

static void own_table(struct pairs *fork, const struct pairs *from, uint32_t item)
{
    if (is_shared(fork, from, item))
        fork->tables[item] = pairs_table_copy(from->tables[item]);
}

void pairs_fork_learn(struct pairs *fork, const struct pairs *from, const struct pairs_event *event)
{
    own_table(fork, from, event->item);
    for (uint32_t d = 0; d < event->count; d++)
        own_table(fork, from, event->before[d]);
    pairs_learn(fork, event);
}

void pairs_fork_free(struct pairs *fork, const struct pairs *from)
{
    for (uint32_t item = 0; item < fork->table_count; item++)
        if (!is_shared(fork, from, item))
            table_free(fork->tables[item]);
    free(fork->tables);
    *fork = (struct pairs){0};
}
