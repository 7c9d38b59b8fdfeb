/* Columns: the order in which the scorer holds items, and how it gets from one to the other.
 *
 * Column c < rows is row c of the generation's factors; the items it does not know follow in the
 * order of their numbers. An item keeps its column until the next columns_build. An id of the
 * generation that the item table does not have (a file from elsewhere) has a column but no item,
 * and is excluded until the item is seen. columns_build and columns_extend on the loop thread;
 * the rest may run on the scoring worker while the loop does not learn. */
#ifndef FRESHET_MODEL_COLUMNS_H
#define FRESHET_MODEL_COLUMNS_H

#include "model/generation.h"
#include "model/items.h"

#include <stddef.h>
#include <stdint.h>

#define ITEM_NONE UINT32_MAX
#define COLUMN_NONE UINT32_MAX

struct columns {
    uint32_t rows;       /* columns that have factors */
    uint32_t count;      /* columns in all */
    uint32_t items;      /* items that have a column: all numbers below */
    uint32_t *item_of;   /* [count]: item number, or ITEM_NONE */
    struct slice *ids;   /* [count], into the item table or the generation */
    uint64_t *excluded;  /* [count / 64, rounded up]: see columns_exclude */
    uint32_t *column_of; /* [items] */
    uint32_t *row_of;    /* [items]: the column if it has factors, else ROW_NONE */
    uint32_t capacity, items_capacity;
};

void columns_deinit(struct columns *columns);

/* From scratch. generation NULL: no rows. */
void columns_build(struct columns *columns, const struct generation *generation,
                   const struct items *items);

/* After a learn: gives the items that came since a column. */
void columns_extend(struct columns *columns, const struct generation *generation,
                    const struct items *items);

/* Sets `excluded`: columns without an item, items not eligible at `now_ms`, and items of one of the
 * categories. */
void columns_exclude(struct columns *columns, const struct items *items, int64_t now_ms,
                     const struct slice *categories, size_t category_count);

static inline bool columns_is_excluded(const struct columns *columns, uint32_t column)
{
    return (columns->excluded[column / 64] >> (column % 64) & 1) != 0;
}

#endif
