#include "model/user.h"

#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define SEEN_AT_ONCE 16 /* looked through at once */

/* The count stands in front of the record, so that the loop thread may change it while the writer
 * thread reads the record's bytes. */
struct held {
    uint64_t references;
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

static uint64_t bytes_of(const struct user_record *counts)
{
    uint64_t bytes = sizeof(struct user_record);
    bytes += (uint64_t)counts->interaction_count * sizeof(struct interaction);
    bytes += (uint64_t)counts->seen_count * sizeof(struct seen_item);
    bytes += (uint64_t)counts->dedup_count * sizeof(uint64_t);
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

const uint32_t *user_list(const struct user_record *record)
{
    return (const uint32_t *)(user_dedup(record) + record->dedup_count);
}

struct slice user_record_bytes(const struct user_record *record)
{
    return (struct slice){(const char *)record, record->bytes};
}

static const struct user_record nobody = {
    .bytes = sizeof nobody, .format = USER_RECORD_FORMAT, .acked_offset = -1};

/* A record with the fixed part of `head`, whose counts say how long it is, and arrays to be filled.
 * The last eight bytes are zeroed, for the list may end in the middle of them. */
static struct user_record *record_new(const struct user_record *head)
{
    uint64_t bytes = bytes_of(head);
    struct held *held = mem_alloc(offsetof(struct held, record) + bytes);
    held->references = 1;
    memset((char *)&held->record + bytes - 8, 0, 8);
    held->record = *head;
    held->record.bytes = (uint32_t)bytes;
    return &held->record;
}

static void copy_array(const void *to, const void *from, size_t count, size_t bytes)
{
    if (count > 0)
        memcpy((void *)to, from, count * bytes);
}

/* A copy of `old` with the fixed part of `head`, which has the same counts. */
static struct user_record *record_copy(const struct user_record *head,
                                       const struct user_record *old)
{
    struct user_record *record = record_new(head);
    copy_array(record + 1, old + 1, 1, record->bytes - sizeof *record);
    return record;
}

/* -- parsing ----------------------------------------------------------------------------------- */

static bool interactions_are_sound(const struct user_record *record)
{
    const struct interaction *at = user_interactions(record);
    for (uint32_t i = 0; i < record->interaction_count; i++) {
        if (at[i].type >= 64 || !isfinite(at[i].value))
            return false;
        if (i > 0 && (at[i - 1].ts_ms > at[i].ts_ms ||
                      (at[i - 1].ts_ms == at[i].ts_ms && at[i - 1].offset >= at[i].offset)))
            return false;
    }
    return true;
}

static bool head_is_sound(const struct user_record *head, uint32_t length)
{
    return head->format == USER_RECORD_FORMAT && head->bytes == length &&
           bytes_of(head) == length && head->forgotten <= 1;
}

int user_record_parse(const struct user_record **record, struct slice bytes, struct error *err)
{
    struct user_record head;
    if (bytes.length < sizeof head)
        return error_set(err, ERR_DATA, "a user's record is cut short: %u bytes", bytes.length);
    memcpy(&head, bytes.data, sizeof head);
    if (!head_is_sound(&head, bytes.length))
        return error_set(err, ERR_DATA,
                         "a user's record is damaged: format %u, %u bytes where %u were written",
                         head.format, bytes.length, head.bytes);
    struct user_record *parsed = record_new(&head);
    memcpy(parsed, bytes.data, bytes.length);
    if (!interactions_are_sound(parsed)) {
        user_record_unref(parsed);
        return error_set(err, ERR_DATA, "a user's record is damaged: interactions out of order");
    }
    *record = parsed;
    return 0;
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
static uint32_t find_seen(const struct user_record *record, uint32_t item)
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
    if (find_seen(record, item) < record->seen_count)
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

bool user_is_erased(const struct user_record *record)
{
    return record->forgotten && record->wanted_offset <= record->acked_offset;
}

/* -- applying an interaction ------------------------------------------------------------------- */

/* Where the interaction goes in the order of (ts, offset); its offset is the largest so far. */
static uint32_t place_of(const struct user_record *old, int64_t ts_ms)
{
    const struct interaction *at = user_interactions(old);
    uint32_t place = old->interaction_count;
    while (place > 0 && at[place - 1].ts_ms > ts_ms)
        place--;
    return place;
}

/* Copies the interactions with the new one at `place`, without the oldest if they are too many. */
static void insert_interaction(struct user_record *record, const struct user_record *old,
                               const struct interaction *interaction, uint32_t place)
{
    struct interaction *to = (struct interaction *)user_interactions(record);
    const struct interaction *from = user_interactions(old);
    uint32_t dropped = old->interaction_count + 1 - record->interaction_count;
    if (place < dropped) { /* it is the oldest itself, and they are too many */
        copy_array(to, from + dropped - 1, record->interaction_count, sizeof *to);
        return;
    }
    copy_array(to, from + dropped, place - dropped, sizeof *to);
    to[place - dropped] = *interaction;
    copy_array(to + place - dropped + 1, from + place, old->interaction_count - place, sizeof *to);
}

/* The item goes last, with the type added; without the first if they are too many. */
static void touch_seen(struct user_record *record, const struct user_record *old,
                       const struct interaction *interaction, uint32_t known)
{
    struct seen_item *to = (struct seen_item *)user_seen(record);
    const struct seen_item *from = user_seen(old);
    bool is_known = known < old->seen_count;
    struct seen_item touched = {.types = is_known ? from[known].types : 0,
                                .item = interaction->item};
    touched.types |= UINT64_C(1) << interaction->type;
    if (record->seen_count == 0)
        return;
    uint32_t kept = old->seen_count - (is_known ? 1 : 0);
    uint32_t dropped = kept + 1 - record->seen_count;
    /* from[begin..end) are those before the item that stay, from[rest..] those after it. */
    uint32_t begin = known < dropped ? dropped + 1 : dropped;
    uint32_t end = known < begin ? begin : known;
    uint32_t rest = known < begin ? begin : known + is_known;
    copy_array(to, from + begin, end - begin, sizeof *to);
    copy_array(to + (end - begin), from + rest, old->seen_count - rest, sizeof *to);
    to[record->seen_count - 1] = touched;
}

static void remember_id(struct user_record *record, const struct user_record *old, uint64_t id_hash)
{
    uint64_t *to = (uint64_t *)user_dedup(record);
    uint32_t added = id_hash != 0 ? 1 : 0;
    uint32_t total = old->dedup_count + added;
    uint32_t dropped = total - record->dedup_count;
    if (record->dedup_count == 0)
        return;
    uint32_t kept = record->dedup_count - added;
    copy_array(to, user_dedup(old) + dropped, kept, sizeof *to);
    if (added > 0)
        to[kept] = id_hash;
}

static uint32_t at_most(uint32_t count, uint32_t max)
{
    return count < max ? count : max;
}

const struct user_record *user_apply(const struct user_record *old,
                                     const struct interaction *interaction,
                                     const struct user_limits *limits)
{
    if (old == NULL)
        old = &nobody;
    uint32_t known = find_seen(old, interaction->item);
    uint32_t seen_count = old->seen_count + (known < old->seen_count ? 0 : 1);
    uint32_t dedup_count = old->dedup_count + (interaction->id_hash != 0 ? 1 : 0);

    struct user_record head = *old;
    head.forgotten = 0;
    head.interaction_count = at_most(old->interaction_count + 1, limits->history_max);
    head.seen_count = at_most(seen_count, limits->seen_max);
    head.dedup_count = at_most(dedup_count, limits->dedup_window);
    if (head.events == 0 || interaction->ts_ms > head.last_ts_ms)
        head.last_ts_ms = interaction->ts_ms;
    head.events++;

    struct user_record *record = record_new(&head);
    insert_interaction(record, old, interaction, place_of(old, interaction->ts_ms));
    touch_seen(record, old, interaction, known);
    remember_id(record, old, interaction->id_hash);
    copy_array(user_list(record), user_list(old), old->list_count, sizeof(uint32_t));
    return record;
}

/* -- taking one back --------------------------------------------------------------------------- */

struct taken_back {
    uint32_t item;
    uint64_t types; /* those which no kept interaction of the item has any more */
};

static bool find_id(const struct user_record *record, uint64_t id_hash, uint32_t *at)
{
    const struct interaction *interactions = user_interactions(record);
    for (uint32_t i = record->interaction_count; id_hash != 0 && i > 0; i--) {
        if (interactions[i - 1].id_hash != id_hash)
            continue;
        *at = i - 1;
        return true;
    }
    return false;
}

static struct taken_back take_back(const struct user_record *old, uint32_t at)
{
    const struct interaction *interactions = user_interactions(old);
    struct taken_back taken = {interactions[at].item, UINT64_C(1) << interactions[at].type};
    for (uint32_t i = 0; i < old->interaction_count; i++)
        if (i != at && interactions[i].item == taken.item)
            taken.types &= ~(UINT64_C(1) << interactions[i].type);
    return taken;
}

static void copy_seen_without(struct user_record *record, const struct user_record *old,
                              uint32_t known, uint64_t types)
{
    struct seen_item *to = (struct seen_item *)user_seen(record);
    const struct seen_item *from = user_seen(old);
    for (uint32_t i = 0; i < old->seen_count; i++) {
        struct seen_item seen = from[i];
        if (i == known)
            seen.types &= ~types;
        if (seen.types != 0)
            *to++ = seen;
    }
}

const struct user_record *user_retract(const struct user_record *old, uint64_t ref_hash)
{
    uint32_t at;
    if (old == NULL || !find_id(old, ref_hash, &at))
        return NULL;
    struct taken_back taken = take_back(old, at);
    uint32_t known = find_seen(old, taken.item);
    bool unseen = known < old->seen_count && (user_seen(old)[known].types & ~taken.types) == 0;

    struct user_record head = *old;
    head.interaction_count--;
    head.seen_count -= unseen ? 1 : 0;
    struct user_record *record = record_new(&head);
    const struct interaction *from = user_interactions(old);
    struct interaction *to = (struct interaction *)user_interactions(record);
    copy_array(to, from, at, sizeof *to);
    copy_array(to + at, from + at + 1, head.interaction_count - at, sizeof *to);
    copy_seen_without(record, old, known, taken.types);
    copy_array(user_dedup(record), user_dedup(old), old->dedup_count, sizeof(uint64_t));
    copy_array(user_list(record), user_list(old), old->list_count, sizeof(uint32_t));
    return record;
}

/* -- versions ---------------------------------------------------------------------------------- */

const struct user_record *user_forget(void)
{
    struct user_record head = nobody;
    head.forgotten = 1;
    return record_new(&head);
}

const struct user_record *user_want(const struct user_record *old, int64_t offset, uint32_t swap)
{
    struct user_record head = *old;
    head.wanted_offset = offset;
    head.wanted_swap = swap;
    return record_copy(&head, old);
}

const struct user_record *user_acknowledge(const struct user_record *old, int64_t offset,
                                           uint32_t swap, const uint32_t *items, uint32_t count)
{
    struct user_record head = *old;
    head.acked_offset = offset;
    head.acked_swap = swap;
    head.list_count = count;
    struct user_record *record = record_new(&head);
    size_t before_list = (size_t)((const char *)user_list(old) - (const char *)(old + 1));
    copy_array(record + 1, old + 1, before_list, 1);
    copy_array(user_list(record), items, count, sizeof *items);
    return record;
}
