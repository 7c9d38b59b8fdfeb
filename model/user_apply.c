#include "base/buffer.h"
#include "model/user_layout.h"

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
        user_copy_array(to, from + dropped - 1, record->interaction_count, sizeof *to);
        return;
    }
    user_copy_array(to, from + dropped, place - dropped, sizeof *to);
    to[place - dropped] = *interaction;
    user_copy_array(to + place - dropped + 1, from + place, old->interaction_count - place,
                    sizeof *to);
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
    user_copy_array(to, from + begin, end - begin, sizeof *to);
    user_copy_array(to + (end - begin), from + rest, old->seen_count - rest, sizeof *to);
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
    user_copy_array(to, user_dedup(old) + dropped, kept, sizeof *to);
    if (added > 0)
        to[kept] = id_hash;
}

/* Where the item is among the shown, or their count. */
static uint32_t find_shown(const struct user_record *record, uint32_t item)
{
    const struct shown_item *shown = user_shown(record);
    uint32_t i = 0;
    while (i < record->shown_count && shown[i].item != item)
        i++;
    return i;
}

/* Copies the latest `kept` of the shown but for the one at `without` (their count: none). */
static void copy_shown(struct shown_item *to, const struct user_record *old, uint32_t without,
                       uint32_t kept)
{
    const struct shown_item *from = user_shown(old);
    uint32_t i = old->shown_count;
    while (kept > 0)
        if (--i != without)
            to[--kept] = from[i];
}

static uint32_t at_most(uint32_t count, uint32_t max)
{
    return count < max ? count : max;
}

/* The fixed part after the interaction. */
static struct user_record head_after(const struct user_record *old,
                                     const struct interaction *interaction,
                                     const struct user_limits *limits, uint32_t known_seen,
                                     uint32_t known_shown)
{
    uint32_t seen_count = old->seen_count + (known_seen < old->seen_count ? 0 : 1);
    uint32_t dedup_count = old->dedup_count + (interaction->id_hash != 0 ? 1 : 0);
    uint32_t shown_count = old->shown_count - (known_shown < old->shown_count ? 1 : 0);
    struct user_record head = *old;
    head.forgotten = 0;
    head.interaction_count = at_most(old->interaction_count + 1, limits->history_max);
    head.seen_count = at_most(seen_count, limits->seen_max);
    head.dedup_count = at_most(dedup_count, limits->dedup_window);
    head.shown_count = at_most(shown_count, limits->impressions_max);
    if (head.events == 0 || interaction->ts_ms > head.last_ts_ms)
        head.last_ts_ms = interaction->ts_ms;
    head.events++;
    return head;
}

/* How an interaction changes a record: where it goes, and the fixed part after it. */
struct step {
    uint32_t place, seen, shown; /* seen, shown: the item's, or the count */
    struct user_record head;
};

static struct step step_of(const struct user_record *old, const struct interaction *interaction,
                           const struct user_limits *limits, const struct trial_counts *counts)
{
    struct step step = {.place = place_of(old, interaction->ts_ms),
                        .seen = user_find_seen(old, interaction->item),
                        .shown = find_shown(old, interaction->item)};
    step.head = head_after(old, interaction, limits, step.seen, step.shown);
    if (counts != NULL)
        step.head.trial = *counts;
    return step;
}

/* The arrays behind the interactions. */
static void fill_behind(struct user_record *record, const struct user_record *old,
                        const struct interaction *interaction, const struct step *step)
{
    touch_seen(record, old, interaction, step->seen);
    remember_id(record, old, interaction->id_hash);
    copy_shown((struct shown_item *)user_shown(record), old, step->shown, record->shown_count);
    user_copy_array(user_list(record), user_list(old), old->list_count, sizeof(uint32_t));
}

static void fill(struct user_record *record, const struct user_record *old,
                 const struct interaction *interaction, const struct step *step)
{
    insert_interaction(record, old, interaction, step->place);
    fill_behind(record, old, interaction, step);
}

const struct user_record *user_apply(const struct user_record *old,
                                     const struct interaction *interaction,
                                     const struct user_limits *limits,
                                     const struct trial_counts *counts)
{
    if (old == NULL)
        old = &user_nobody;
    struct step step = step_of(old, interaction, limits, counts);
    struct user_record *record = user_record_new(&step.head);
    fill(record, old, interaction, &step);
    return record;
}

/* -- the same, onto the record itself ---------------------------------------------------------- */

/* A record of what stands behind the interactions or, without the seen, behind those: what has to
 * be out of the way before the arrays move. */
static const struct user_record *put_aside(const struct user_record *old, bool with_seen,
                                           struct buffer *aside)
{
    struct user_record head = *old;
    const char *from = with_seen ? (const char *)user_seen(old) : (const char *)user_dedup(old);
    head.interaction_count = 0;
    if (!with_seen)
        head.seen_count = 0;
    buffer_clear(aside);
    buffer_add(aside, &head, sizeof head);
    buffer_add(aside, from, (size_t)((const char *)old + old->bytes - from));
    return (const struct user_record *)aside->data;
}

/* At most one is dropped. What stands behind may be written over. */
static void insert_in_place(struct user_record *record, const struct interaction *interaction,
                            uint32_t place, bool drops)
{
    struct interaction *at = (struct interaction *)user_interactions(record);
    if (!drops) {
        memmove(at + place + 1, at + place, (record->interaction_count - place) * sizeof *at);
        at[place] = *interaction;
    } else if (place > 0) { /* else it is the oldest itself */
        memmove(at, at + 1, (place - 1) * sizeof *at);
        at[place - 1] = *interaction;
    }
}

const struct user_record *user_apply_onto(const struct user_record *old,
                                          const struct interaction *interaction,
                                          const struct user_limits *limits,
                                          const struct trial_counts *counts, struct buffer *aside)
{
    struct step step = step_of(old, interaction, limits, counts);
    uint32_t dropped = old->interaction_count + 1 - step.head.interaction_count;
    if (dropped > 1 || !user_record_may_become(old, &step.head)) {
        struct user_record *record = user_record_new_roomy(&step.head);
        fill(record, old, interaction, &step);
        user_record_unref(old);
        return record;
    }
    const struct user_record *behind = put_aside(old, true, aside);
    insert_in_place((struct user_record *)old, interaction, step.place, dropped > 0);
    struct user_record *record = user_record_become(old, &step.head);
    fill_behind(record, behind, interaction, &step);
    return record;
}

/* -- an impression ----------------------------------------------------------------------------- */

/* The item goes last, with one impression more. */
static void touch_shown(struct user_record *record, const struct user_record *old, uint32_t item,
                        int64_t ts_ms, uint32_t known)
{
    struct shown_item *to = (struct shown_item *)user_shown(record);
    struct shown_item touched = {.ts_ms = ts_ms, .item = item};
    if (known < old->shown_count) {
        touched = user_shown(old)[known];
        touched.ts_ms = ts_ms > touched.ts_ms ? ts_ms : touched.ts_ms;
    }
    touched.count += touched.count < UINT32_MAX;
    if (record->shown_count == 0)
        return;
    copy_shown(to, old, known, record->shown_count - 1);
    to[record->shown_count - 1] = touched;
}

static struct user_record head_after_impression(const struct user_record *old, uint32_t known,
                                                uint64_t id_hash, const struct user_limits *limits)
{
    uint32_t shown_count = old->shown_count + (known < old->shown_count ? 0 : 1);
    struct user_record head = *old;
    head.dedup_count = at_most(old->dedup_count + (id_hash != 0 ? 1 : 0), limits->dedup_window);
    head.shown_count = at_most(shown_count, limits->impressions_max);
    return head;
}

const struct user_record *user_impress_onto(const struct user_record *old, uint32_t item,
                                            int64_t ts_ms, uint64_t id_hash,
                                            const struct user_limits *limits, struct buffer *aside)
{
    uint32_t known = find_shown(old, item);
    struct user_record head = head_after_impression(old, known, id_hash, limits), *record;
    const struct user_record *behind = old;
    bool may = user_record_may_become(old, &head);
    if (may) {
        behind = put_aside(old, false, aside);
        record = user_record_become(old, &head);
    } else {
        record = user_record_new_roomy(&head);
        size_t before_dedup = (size_t)((const char *)user_dedup(old) - (const char *)(old + 1));
        user_copy_array(record + 1, old + 1, before_dedup, 1);
    }
    remember_id(record, behind, id_hash);
    touch_shown(record, behind, item, ts_ms, known);
    user_copy_array(user_list(record), user_list(behind), behind->list_count, sizeof(uint32_t));
    if (!may)
        user_record_unref(old);
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
    uint32_t known = user_find_seen(old, taken.item);
    bool unseen = known < old->seen_count && (user_seen(old)[known].types & ~taken.types) == 0;

    struct user_record head = *old;
    head.interaction_count--;
    head.seen_count -= unseen ? 1 : 0;
    struct user_record *record = user_record_new(&head);
    const struct interaction *from = user_interactions(old);
    struct interaction *to = (struct interaction *)user_interactions(record);
    user_copy_array(to, from, at, sizeof *to);
    user_copy_array(to + at, from + at + 1, head.interaction_count - at, sizeof *to);
    copy_seen_without(record, old, known, taken.types);
    user_copy_array(user_dedup(record), user_dedup(old), old->dedup_count, sizeof(uint64_t));
    user_copy_array(user_shown(record), user_shown(old), old->shown_count,
                    sizeof(struct shown_item));
    user_copy_array(user_list(record), user_list(old), old->list_count, sizeof(uint32_t));
    return record;
}
