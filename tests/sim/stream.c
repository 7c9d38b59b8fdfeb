#include "tests/sim/stream.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN_MS INT64_C(1700000000000)
#define UNKNOWN_ITEM 900 /* nobody ever uses or describes it */

struct stream stream;

const char *const stream_types[STREAM_TYPES] = {"click", "view", "buy"};
const bool stream_type_counts[STREAM_TYPES] = {true, false, true};

static struct fold_step pool[STREAM_PARTITIONS_MAX * STREAM_RECORDS_MAX];
static int pooled;
static struct folded users_now[STREAM_USERS_MAX];

/* -- the fold ---------------------------------------------------------------------------------- */

static int find_id(const struct folded *user, int id)
{
    for (int i = 0; i < user->id_count; i++)
        if (id >= 0 && user->ids[i] == id)
            return i;
    return -1;
}

static void remember_id(struct folded *user, int id)
{
    if (id < 0 || stream.limits.dedup_window == 0)
        return;
    if (user->id_count == (int)stream.limits.dedup_window)
        memmove(user->ids, user->ids + 1, (size_t)--user->id_count * sizeof user->ids[0]);
    user->ids[user->id_count++] = id;
}

static struct kept_item take_item(struct kept_item *items, int *count, int item)
{
    struct kept_item taken = {.item = item};
    for (int i = 0; i < *count; i++) {
        if (items[i].item != item)
            continue;
        taken = items[i];
        memmove(items + i, items + i + 1, (size_t)(--*count - i) * sizeof *items);
        break;
    }
    return taken;
}

static void put_last(struct kept_item *items, int *count, uint32_t max, struct kept_item item)
{
    if (max == 0)
        return;
    if (*count == (int)max)
        memmove(items, items + 1, (size_t)-- * count * sizeof *items);
    items[(*count)++] = item;
}

/* Ordered by (ts, offset); of too many the oldest goes, which may be the new one. */
static void keep(struct folded *user, const struct kept *kept)
{
    struct kept all[KEPT_MAX + 1];
    int count = 0, i = 0;
    for (; i < user->count && user->kept[i].ts_ms <= kept->ts_ms; i++)
        all[count++] = user->kept[i];
    all[count++] = *kept;
    for (; i < user->count; i++)
        all[count++] = user->kept[i];
    int dropped = count > (int)stream.limits.history_max ? 1 : 0;
    user->count = count - dropped;
    memcpy(user->kept, all + dropped, (size_t)user->count * sizeof *all);
}

static void count_outcome(struct folded *user, int number, uint32_t rank, int64_t offset)
{
    if (rank == UINT32_MAX)
        return;
    struct trial_counts *trial = &user->trial;
    if (trial->events == 0)
        *trial =
            (struct trial_counts){.trial = (uint64_t)(TRIAL_OF_USER + number % 2), .begun = offset};
    trial->events++;
    trial->hits10 += rank >= 1 && rank <= 10;
    trial->hits20 += rank >= 1 && rank <= 20;
    trial->rr += rank >= 1 && rank <= 20 ? 1.0 / rank : 0;
}

static void use(struct folded *user, const struct record *record, int64_t offset)
{
    struct kept kept = {record->ts_ms, offset,       record->value,
                        record->id,    record->item, record->type};
    if (!user->exists || user->forgotten)
        *user = (struct folded){.exists = true};
    count_outcome(user, record->user, record->rank, offset);
    keep(user, &kept);
    struct kept_item seen = take_item(user->seen, &user->seen_count, record->item);
    seen.types |= UINT64_C(1) << record->type;
    put_last(user->seen, &user->seen_count, stream.limits.seen_max, seen);
    take_item(user->shown, &user->shown_count, record->item);
    remember_id(user, record->id);
    if (user->events == 0 || record->ts_ms > user->last_ts_ms)
        user->last_ts_ms = record->ts_ms;
    user->events++;
}

/* The latest kept interaction of that id goes, and with it what no other kept one says. */
static bool take_back(struct folded *user, int ref)
{
    int at = user->count - 1;
    while (at >= 0 && (ref < 0 || user->kept[at].id != ref))
        at--;
    if (at < 0)
        return false;
    struct kept gone = user->kept[at];
    memmove(user->kept + at, user->kept + at + 1,
            (size_t)(--user->count - at) * sizeof user->kept[0]);
    uint64_t left = 0;
    for (int i = 0; i < user->count; i++)
        if (user->kept[i].item == gone.item)
            left |= UINT64_C(1) << user->kept[i].type;
    for (int i = 0; i < user->seen_count; i++) {
        if (user->seen[i].item != gone.item)
            continue;
        user->seen[i].types &= ~(UINT64_C(1) << gone.type) | left;
        if (user->seen[i].types == 0)
            take_item(user->seen, &user->seen_count, gone.item);
    }
    return true;
}

static bool is_late(const struct prefix *now, const struct record *record)
{
    return stream.max_age_ms > 0 && now->stream_ts_ms != INT64_MIN &&
           record->ts_ms < now->stream_ts_ms - stream.max_age_ms;
}

static bool was_used(const struct stream_partition *partition, int item, int before)
{
    for (int i = 0; i < before; i++)
        if (partition->counts[i] != 0 && partition->records[i].item == item)
            return true;
    return false;
}

static enum counter fold_interaction(struct prefix *now, struct folded *user,
                                     const struct record *record, int64_t offset, bool *touched)
{
    if (is_late(now, record))
        return COUNTER_LATE;
    if (user->exists && find_id(user, record->id) >= 0)
        return COUNTER_DUPLICATE;
    use(user, record, offset);
    if (record->ts_ms > now->stream_ts_ms)
        now->stream_ts_ms = record->ts_ms;
    *touched = true;
    return COUNTER_APPLIED;
}

static enum counter fold_impression(struct prefix *now, struct folded *user,
                                    const struct record *record, bool *changed)
{
    if (is_late(now, record))
        return COUNTER_LATE;
    if (stream.limits.impressions_max == 0 || !user->exists || user->forgotten)
        return COUNTER_IMPRESSION;
    if (find_id(user, record->id) >= 0)
        return COUNTER_DUPLICATE;
    if (record->item == UNKNOWN_ITEM)
        return COUNTER_IMPRESSION;
    struct kept_item shown = take_item(user->shown, &user->shown_count, record->item);
    if (shown.count == 0 || record->ts_ms > shown.ts_ms)
        shown.ts_ms = record->ts_ms;
    shown.count++;
    put_last(user->shown, &user->shown_count, stream.limits.impressions_max, shown);
    remember_id(user, record->id);
    *changed = true;
    return COUNTER_IMPRESSION;
}

static void fold(struct stream_partition *partition, int offset)
{
    const struct record *record = &partition->records[offset];
    struct prefix *now = &partition->prefixes[offset + 1];
    struct folded *user = record->user >= 0 ? &users_now[record->user] : NULL;
    enum counter counter = COUNTER_DEAD;
    bool touched = false, changed = false; /* wants a list; or only its record is another */
    *now = partition->prefixes[offset];
    if (record->kind == EVENT_INTERACTION) {
        counter = fold_interaction(now, user, record, offset, &touched);
    } else if (record->kind == EVENT_RETRACT) {
        touched = take_back(user, record->ref);
        counter = touched ? COUNTER_RETRACTED : COUNTER_RETRACT_MISS;
    } else if (record->kind == EVENT_FORGET_USER) {
        *user = (struct folded){.exists = true, .forgotten = true};
        touched = true;
        counter = COUNTER_FORGOTTEN;
    } else if (record->kind == EVENT_IMPRESSION) {
        counter = fold_impression(now, user, record, &changed);
        touched = changed && stream.impressions_want_lists;
    }
    now->counters[counter]++;
    partition->counts[offset] = counter == COUNTER_APPLIED;
    if (touched)
        user->wanted_offset = offset + 1;
    if (!touched && !changed)
        return;
    struct fold_step *step = &pool[pooled++];
    *step = (struct fold_step){offset, *user};
    partition->steps[record->user][partition->step_counts[record->user]++] = step;
}

/* -- the log ----------------------------------------------------------------------------------- */

static int a_user_of(int partition)
{
    int mine = (stream.users - partition + stream.partitions - 1) / stream.partitions;
    return partition + (int)sim_below((uint32_t)mine) * stream.partitions;
}

/* An id that some earlier record of the partition had, or none's. */
static int an_earlier_id(const struct stream_partition *partition)
{
    if (partition->count == 0 || sim_chance(20))
        return 100000;
    return partition->records[sim_below((uint32_t)partition->count)].id;
}

static void draw_kind(struct stream_partition *partition, struct record *record, int next_id)
{
    uint32_t dice = sim_below(100);
    record->id = sim_chance(85) ? next_id : -1;
    record->kind = EVENT_INTERACTION;
    if (dice < 8) { /* again what was there before, mostly of the same user */
        if (partition->count > 0)
            *record = partition->records[sim_below((uint32_t)partition->count)];
    } else if (dice < 14) {
        record->kind = EVENT_RETRACT;
        record->ref = an_earlier_id(partition);
        if (record->ref >= 0 && record->ref < 100000)
            for (int i = 0; i < partition->count; i++)
                if (partition->records[i].id == record->ref)
                    record->user = partition->records[i].user;
    } else if (dice < 18) {
        record->kind = EVENT_FORGET_USER;
    } else if (dice < 28) {
        record->kind = EVENT_IMPRESSION;
        if (sim_chance(20) || !was_used(partition, record->item, partition->count))
            record->item = UNKNOWN_ITEM;
    } else if (dice < 36) {
        record->kind = EVENT_DEAD;
    }
    if (record->user < 0 && record->kind != EVENT_DEAD)
        record->kind = EVENT_DEAD;
}

static void draw_record(int partition, int64_t *clock_ms, int *next_id)
{
    struct stream_partition *at = &stream.at[partition];
    *clock_ms += (int64_t)sim_below(3000);
    struct record record = {.user = a_user_of(partition),
                            .item = (int)sim_below((uint32_t)stream.items),
                            .ref = -1,
                            .type = (uint16_t)sim_below(STREAM_TYPES),
                            .ts_ms = *clock_ms - (sim_chance(30) ? sim_below(20000) : 0),
                            .value = 1 + sim_below(4),
                            .rank = sim_chance(20) ? UINT32_MAX : sim_below(25)};
    draw_kind(at, &record, (*next_id)++);
    record.record_ts_ms = *clock_ms;
    if (record.kind == EVENT_DEAD)
        record.user = -1;
    at->records[at->count] = record;
    fold(at, at->count++);
}

static void draw_items(void)
{
    for (int i = 0; i < stream.item_record_count; i++)
        stream.item_records[i] = (struct record){.kind = sim_chance(15) ? EVENT_DEAD : EVENT_ITEM,
                                                 .user = -1,
                                                 .id = -1,
                                                 .item = (int)sim_below((uint32_t)stream.items + 2),
                                                 .present = sim_chance(80),
                                                 .blocked = sim_chance(50),
                                                 .record_ts_ms = BEGIN_MS + i};
}

static void draw_limits(void)
{
    stream.limits = (struct user_limits){.history_max = sim_between(1, KEPT_MAX),
                                         .seen_max = sim_between(1, KEPT_MAX),
                                         .dedup_window = sim_between(1, KEPT_MAX),
                                         .impressions_max = sim_below(KEPT_MAX)};
    stream.dead_pending_max = sim_between(1, 8);
    stream.neighbours = sim_chance(70) ? sim_between(1, 8) : 0;
    stream.impressions_want_lists = sim_chance(50);
    stream.max_age_ms = sim_chance(50) ? sim_between(1, 20000) : 0;
    stream.tombstone_ms = stream.max_age_ms > 0 ? INT64_MAX / 4 : 0; /* for ever, or no time */
}

void stream_begin(void)
{
    memset(users_now, 0, sizeof users_now);
    pooled = 0;
    stream.partitions = (int)sim_between(1, STREAM_PARTITIONS_MAX);
    stream.users = (int)sim_between((uint32_t)stream.partitions, STREAM_USERS_MAX);
    stream.items = (int)sim_between(2, STREAM_ITEMS_MAX - 2);
    stream.item_record_count = (int)sim_below(8);
    draw_limits();
    draw_items();
    int next_id = 0, records = (int)sim_between(5, 120) / stream.partitions + 1;
    for (int p = 0; p < stream.partitions; p++) {
        int64_t clock_ms = BEGIN_MS;
        struct stream_partition *at = &stream.at[p];
        at->count = 0;
        memset(at->step_counts, 0, sizeof at->step_counts);
        at->prefixes[0] = (struct prefix){.stream_ts_ms = INT64_MIN};
        for (int i = 0; i < records; i++)
            draw_record(p, &clock_ms, &next_id);
    }
}

/* -- looking ----------------------------------------------------------------------------------- */

int stream_partition_of(int user)
{
    return user % stream.partitions;
}

const struct folded *stream_user(int user, int64_t next_offset)
{
    static const struct folded nobody;
    const struct stream_partition *at = &stream.at[stream_partition_of(user)];
    int i = at->step_counts[user];
    while (i > 0 && at->steps[user][i - 1]->offset >= next_offset)
        i--;
    return i > 0 ? &at->steps[user][i - 1]->user : &nobody;
}

static struct slice name(struct batch *batch, char letter, int number)
{
    if (number < 0)
        return (struct slice){NULL, 0};
    char *text = batch_alloc(batch, 8);
    return (struct slice){text, (uint32_t)snprintf(text, 8, "%c%d", letter, number)};
}

static const struct item_record *item_record(struct batch *batch, const struct record *record)
{
    struct item_record *said = batch_alloc(batch, sizeof *said);
    *said = (struct item_record){.present = record->present,
                                 .blocked = record->blocked,
                                 .available_from_ms = INT64_MIN,
                                 .available_until_ms = INT64_MAX,
                                 .title = SLICE("")};
    return said;
}

void stream_event(struct batch *batch, bool items, int32_t partition, int64_t offset)
{
    const struct record *record =
        items ? &stream.item_records[offset] : &stream.at[partition].records[offset];
    struct event *event = batch_add(batch);
    *event = (struct event){.kind = record->kind,
                            .type = record->type,
                            .reason = DEAD_BAD_JSON,
                            .partition = partition,
                            .from_items = items,
                            .offset = offset,
                            .record_ts_ms = record->record_ts_ms,
                            .ts_ms = record->ts_ms,
                            .value = record->value,
                            .user = name(batch, 'u', record->user),
                            .item = name(batch, 'i', record->item),
                            .id = name(batch, 'e', record->id),
                            .ref = name(batch, 'e', record->ref),
                            .pos = -1,
                            .bytes = SLICE("{")};
    event->key = items ? event->item : event->user;
    if (record->kind == EVENT_ITEM)
        event->record = item_record(batch, record);
}

bool stream_is_dead(bool items, int32_t partition, int64_t offset)
{
    int count = items ? stream.item_record_count : stream.at[partition].count;
    if (offset < 0 || offset >= count)
        return false;
    return (items ? stream.item_records : stream.at[partition].records)[offset].kind == EVENT_DEAD;
}

int stream_number(char letter, struct slice text)
{
    int number = 0;
    if (text.length < 2 || text.data[0] != letter)
        return -1;
    for (uint32_t i = 1; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        number = 10 * number + text.data[i] - '0';
    }
    return number;
}
