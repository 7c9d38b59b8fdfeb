#include "model/items.h"

#include "base/buffer.h"
#include "base/mem.h"
#include "consumer/event.h"

#include <stdlib.h>

void items_deinit(struct items *items)
{
    for (uint32_t item = 0; item < items->info_capacity; item++)
        free(items->info[item]);
    free(items->info);
    ids_deinit(&items->ids);
    ids_deinit(&items->categories);
    *items = (struct items){0};
}

const struct item_info *items_info(const struct items *items, uint32_t item)
{
    return item < items->info_capacity ? items->info[item] : NULL;
}

bool items_eligible(const struct items *items, uint32_t item, int64_t now_ms)
{
    const struct item_info *info = items_info(items, item);
    return info == NULL || (!info->blocked && info->from_ms <= now_ms && now_ms < info->until_ms);
}

static void reserve(struct items *items, uint32_t item)
{
    if (item < items->info_capacity)
        return;
    uint32_t capacity = items->info_capacity ? items->info_capacity : 64;
    while (capacity <= item)
        capacity *= 2;
    items->info = mem_array(items->info, capacity, sizeof(struct item_info *));
    for (uint32_t i = items->info_capacity; i < capacity; i++)
        items->info[i] = NULL;
    items->info_capacity = capacity;
}

/* The categories and then the title's bytes follow the struct. */
static struct item_info *info_new(struct slice title, uint32_t category_count)
{
    size_t categories = category_count * sizeof(uint32_t);
    struct item_info *info = mem_zalloc(sizeof *info + categories + title.length);
    char *text = (char *)(info->categories + category_count);
    if (title.length > 0)
        memcpy(text, title.data, title.length);
    info->title = (struct slice){text, title.length};
    info->category_count = category_count;
    return info;
}

static void replace(struct items *items, uint32_t item, struct item_info *info)
{
    reserve(items, item);
    free(items->info[item]);
    items->info[item] = info;
}

void items_describe(struct items *items, uint32_t item, const struct item_record *record)
{
    if (!record->present) {
        replace(items, item, NULL);
        return;
    }
    struct item_info *info = info_new(record->title, record->category_count);
    info->blocked = record->blocked;
    info->from_ms = record->available_from_ms;
    info->until_ms = record->available_until_ms;
    for (uint32_t i = 0; i < record->category_count; i++)
        info->categories[i] = ids_add(&items->categories, record->categories[i]);
    replace(items, item, info);
}

/* -- as a value of the state ------------------------------------------------------------------- */

/* What a value begins with; the title's bytes follow, then each category as length and bytes. */
struct stored_info {
    int64_t from_ms, until_ms;
    uint32_t blocked;
    uint32_t title_length;
    uint32_t category_count;
    uint32_t reserved;
};

void items_info_write(struct buffer *out, const struct items *items, uint32_t item)
{
    const struct item_info *info = items_info(items, item);
    if (info == NULL)
        return;
    struct stored_info head = {.from_ms = info->from_ms,
                               .until_ms = info->until_ms,
                               .blocked = info->blocked,
                               .title_length = info->title.length,
                               .category_count = info->category_count};
    buffer_add(out, &head, sizeof head);
    buffer_add(out, info->title.data, info->title.length);
    for (uint32_t i = 0; i < info->category_count; i++) {
        struct slice category = ids_text(&items->categories, info->categories[i]);
        buffer_add(out, &category.length, sizeof category.length);
        buffer_add(out, category.data, category.length);
    }
}

/* Takes `length` bytes from the front. */
static bool take(struct slice *bytes, uint32_t length, struct slice *taken)
{
    if (bytes->length < length)
        return false;
    *taken = (struct slice){bytes->data, length};
    *bytes = (struct slice){bytes->data + length, bytes->length - length};
    return true;
}

static bool take_copy(struct slice *bytes, void *to, uint32_t length)
{
    struct slice taken;
    if (!take(bytes, length, &taken))
        return false;
    memcpy(to, taken.data, length);
    return true;
}

static bool read_category(struct items *items, struct slice *bytes, uint32_t *number)
{
    uint32_t length;
    struct slice text;
    if (!take_copy(bytes, &length, sizeof length) || !take(bytes, length, &text))
        return false;
    *number = ids_add(&items->categories, text);
    return true;
}

int items_info_read(struct items *items, uint32_t item, struct slice bytes, struct error *err)
{
    struct stored_info head;
    struct slice title;
    bool sound = take_copy(&bytes, &head, sizeof head) && head.blocked <= 1 &&
                 take(&bytes, head.title_length, &title) &&
                 head.category_count <= bytes.length / sizeof(uint32_t);
    if (!sound)
        return error_set(err, ERR_DATA, "the description of item %u is damaged", item);

    struct item_info *info = info_new(title, head.category_count);
    info->blocked = head.blocked != 0;
    info->from_ms = head.from_ms;
    info->until_ms = head.until_ms;
    for (uint32_t i = 0; i < head.category_count && sound; i++)
        sound = read_category(items, &bytes, &info->categories[i]);
    if (!sound || bytes.length > 0) {
        free(info);
        return error_set(err, ERR_DATA, "the description of item %u is damaged", item);
    }
    replace(items, item, info);
    return 0;
}
