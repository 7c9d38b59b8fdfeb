/* The items: id <-> number, and what the items topic says of each.
 *
 * Numbers are given in the order of first sight and are durable; they never change meaning. Loop
 * thread writes; a scoring worker reads while the loop does not learn. */
#ifndef FRESHET_MODEL_ITEMS_H
#define FRESHET_MODEL_ITEMS_H

#include "base/error.h"
#include "base/ids.h"

#include <stdbool.h>
#include <stdint.h>

struct item_info { /* NULL where the items topic says nothing */
    bool blocked;
    int64_t from_ms, until_ms; /* available while from <= stream time < until */
    struct slice title;        /* owned, with the struct */
    uint32_t category_count;
    uint32_t categories[]; /* numbers in items->categories */
};

struct items {
    struct ids ids;
    struct ids categories;   /* in memory only */
    struct item_info **info; /* [info_capacity], by item number */
    uint32_t info_capacity;
};

void items_deinit(struct items *items);

static inline uint32_t items_count(const struct items *items)
{
    return items->ids.count;
}

const struct item_info *items_info(const struct items *items, uint32_t item); /* or NULL */

/* Not blocked, and available at `now_ms`. */
bool items_eligible(const struct items *items, uint32_t item, int64_t now_ms);

/* Replaces what is said of an item; `record` with present = false forgets it. */
struct item_record;
void items_describe(struct items *items, uint32_t item, const struct item_record *record);

/* What is said of an item as a value of the state's catalog, and back. */
struct buffer;
void items_info_write(struct buffer *out, const struct items *items, uint32_t item);
int items_info_read(struct items *items, uint32_t item, struct slice bytes, struct error *err);

#endif
