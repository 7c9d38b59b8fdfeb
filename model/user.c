#include "base/mem.h"
#include "model/user_layout.h"

#include <assert.h>
#include <stdlib.h>

#define SEEN_AT_ONCE 16 /* looked through at once */
#define ROOM_LEAST 256  /* bytes; three events */

/* The count stands in front of the record, so that the loop thread may change it while the writer
 * thread reads the record's bytes. */
struct held {
    uint32_t references;
    uint32_t room; /* bytes for the record */
    struct user_record record;
};

static struct held *held_of(const struct user_record *record)
{
    return (struct held *)((char *)record - offsetof(struct held, record));
}

const struct user_record *user_record_ref(const struct user_record *record)
{
    if (record != NULL)
        held_of(record)->references++;
    return record;
}

void user_record_unref(const struct user_record *record)
{
    if (record == NULL)
        return;
    struct held *held = held_of(record);
    assert(held->references > 0);
    if (--held->references == 0)
        free(held);
}

/* -- layout ------------------------------------------------------------------------------------ */

uint64_t user_bytes_of(const struct user_record *counts)
{
    uint64_t bytes = sizeof(struct user_record);
    bytes += (uint64_t)counts->interaction_count * sizeof(struct interaction);
    bytes += (uint64_t)counts->seen_count * sizeof(struct seen_item);
    bytes += (uint64_t)counts->dedup_count * sizeof(uint64_t);
    bytes += (uint64_t)counts->shown_count * sizeof(struct shown_item);
    bytes += (uint64_t)counts->list_count * sizeof(uint32_t);
    return (bytes + 7) / 8 * 8;
}

const struct interaction *user_interactions(const struct user_record *record)
{
    return (const struct interaction *)(record + 1);
}

const struct seen_item *user_seen(const struct user_record *record)
{
    return (const struct seen_item *)(user_interactions(record) + record->interaction_count);
}

const uint64_t *user_dedup(const struct user_record *record)
{
    return (const uint64_t *)(user_seen(record) + record->seen_count);
}

const struct shown_item *user_shown(const struct user_record *record)
{
    return (const struct shown_item *)(user_dedup(record) + record->dedup_count);
}

const uint32_t *user_list(const struct user_record *record)
{
    return (const uint32_t *)(user_shown(record) + record->shown_count);
}

struct slice user_record_bytes(const struct user_record *record)
{
    return (struct slice){(const char *)record, record->bytes};
}

const struct user_record user_nobody = {
    .bytes = sizeof user_nobody, .format = USER_RECORD_FORMAT, .acked_offset = -1};

static struct user_record *begin(struct held *held, const struct user_record *head, uint64_t bytes)
{
    if (head->list_count % 2 != 0)
        memset((char *)&held->record + bytes - sizeof(uint32_t), 0, sizeof(uint32_t));
    held->record = *head;
    held->record.bytes = (uint32_t)bytes;
    return &held->record;
}

static struct user_record *new_record(const struct user_record *head, uint64_t room)
{
    struct held *held = mem_alloc(offsetof(struct held, record) + room);
    held->references = 1;
    held->room = (uint32_t)room;
    return begin(held, head, user_bytes_of(head));
}

struct user_record *user_record_new(const struct user_record *head)
{
    return new_record(head, user_bytes_of(head));
}

/* Who has events has more of them soon. */
struct user_record *user_record_new_roomy(const struct user_record *head)
{
    uint64_t bytes = user_bytes_of(head);
    return new_record(head, bytes + bytes / 8 + ROOM_LEAST);
}

uint32_t user_record_room(const struct user_record *record)
{
    return held_of(record)->room;
}

bool user_record_may_become(const struct user_record *record, const struct user_record *head)
{
    const struct held *held = held_of(record);
    return held->references == 1 && user_bytes_of(head) <= held->room;
}

struct user_record *user_record_become(const struct user_record *record,
                                       const struct user_record *head)
{
    return begin(held_of(record), head, user_bytes_of(head));
}

static struct user_record *record_copy(const struct user_record *old)
{
    struct user_record *record = user_record_new(old);
    user_copy_array(record + 1, old + 1, 1, record->bytes - sizeof *record);
    return record;
}

/* -- looking ----------------------------------------------------------------------------------- */

/* Without a way out in the middle, so that it is a loop of vectors. */
static bool is_among(const struct seen_item *seen, uint32_t item)
{
    uint32_t hits = 0;
    for (uint32_t i = 0; i < SEEN_AT_ONCE; i++)
        hits |= seen[i].item == item;
    return hits != 0;
}

/* Where the item is among the seen, or their count: most are new, and all have to be looked at. */
uint32_t user_find_seen(const struct user_record *record, uint32_t item)
{
    const struct seen_item *seen = user_seen(record);
    uint32_t i = record->seen_count; /* the latest first: they come again soonest */
    while (i >= SEEN_AT_ONCE && !is_among(seen + i - SEEN_AT_ONCE, item))
        i -= SEEN_AT_ONCE;
    while (i > 0 && seen[i - 1].item != item)
        i--;
    return i > 0 ? i - 1 : record->seen_count;
}

bool user_has_seen(const struct user_record *record, uint32_t item)
{
    if (record == NULL)
        return false;
    if (user_find_seen(record, item) < record->seen_count)
        return true;
    const struct interaction *interactions = user_interactions(record);
    for (uint32_t i = 0; i < record->interaction_count; i++)
        if (interactions[i].item == item)
            return true;
    return false;
}

bool user_knows_id(const struct user_record *record, uint64_t id_hash)
{
    if (record == NULL || id_hash == 0)
        return false;
    const uint64_t *dedup = user_dedup(record);
    for (uint32_t i = record->dedup_count; i > 0; i--)
        if (dedup[i - 1] == id_hash)
            return true;
    return false;
}

bool user_is_owed(const struct user_record *record, uint32_t swap)
{
    return record->wanted_offset > record->acked_offset || record->acked_swap < swap;
}

bool user_is_erased(const struct user_record *record, int64_t before_ms)
{
    return record->forgotten && record->wanted_offset <= record->acked_offset &&
           record->last_ts_ms <= before_ms;
}

/* -- versions ---------------------------------------------------------------------------------- */

const struct user_record *user_forget(int64_t at_ms)
{
    struct user_record head = user_nobody;
    head.forgotten = 1;
    head.last_ts_ms = at_ms;
    return user_record_new(&head);
}

const struct user_record *user_without_since(const struct user_record *record, int64_t offset)
{
    const struct interaction *interactions = user_interactions(record);
    struct user_record head = *record;
    head.seen_count = head.dedup_count = head.shown_count = head.list_count = 0;
    struct user_record *without = user_record_new(&head); /* with room for all */
    struct interaction *kept = (struct interaction *)(without + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < record->interaction_count; i++)
        if (interactions[i].offset < offset)
            kept[count++] = interactions[i];
    without->interaction_count = count;
    return without;
}

const struct user_record *user_want(const struct user_record *old, int64_t offset, uint32_t swap)
{
    struct user_record *record = (struct user_record *)old;
    if (held_of(old)->references > 1) {
        record = record_copy(old);
        user_record_unref(old);
    }
    record->wanted_offset = offset;
    record->wanted_swap = swap;
    return record;
}

const struct user_record *user_acknowledge(const struct user_record *old, int64_t offset,
                                           uint32_t swap, const uint32_t *items, uint32_t count,
                                           bool changed)
{
    struct user_record head = *old;
    if (changed)
        head.changed_events = head.events;
    head.acked_offset = offset;
    head.acked_swap = swap;
    head.list_count = count;
    struct user_record *record = user_record_new(&head);
    size_t before_list = (size_t)((const char *)user_list(old) - (const char *)(old + 1));
    user_copy_array(record + 1, old + 1, before_list, 1);
    user_copy_array(user_list(record), items, count, sizeof *items);
    return record;
}
