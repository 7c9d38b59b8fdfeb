/* What must hold, looked at after every step, every commit, every list written, and at rest. */
#include "base/hash.h"
#include "model/history_internal.h"
#include "model/state.h"
#include "tests/sim/lists.h"
#include "tests/sim/sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_MAX 2048
#define VARIANTS_MAX 4 /* of the generations of a swap */
#define NAMES_MAX (STREAM_ITEMS_MAX + 8)

struct swap { /* what lists may be made of under it */
    bool durable;
    uint64_t generations[VARIANTS_MAX][SERIES_KEYS]; /* [variant_count] */
    uint32_t variant_count;
    uint32_t configs; /* bits: were live while it was the count */
};

static struct {
    struct swap swaps[SWAPS_MAX];
    uint32_t epoch, swap, joined; /* durable; durable; the last that took effect at once */
    int64_t durable[STREAM_PARTITIONS_MAX], items_durable;
    int64_t applied[STREAM_PARTITIONS_MAX]; /* by any process */
    struct {
        int64_t next_offset;
        uint32_t swap;
    } stored[STREAM_USERS_MAX];
    bool holds; /* a configuration was live that holds lists back */
    int names[NAMES_MAX];
    uint32_t name_count;
    uint64_t waiting[2][STREAM_PARTITIONS_MAX][(STREAM_RECORDS_MAX + 63) / 64]; /* dead letters */
} checks;

void checks_begin(void)
{
    memset(&checks, 0, sizeof checks);
    for (int u = 0; u < STREAM_USERS_MAX; u++)
        checks.stored[u].next_offset = -1;
    checks.swaps[0].durable = true;
    checks.swaps[0].variant_count = 1;
}

int64_t checks_durable(int32_t partition)
{
    return checks.durable[partition];
}

bool checks_has_epoch(void)
{
    return checks.epoch != 0;
}

static void read_generations(uint64_t generations[SERIES_KEYS], const struct state_series *series,
                             size_t count)
{
    memset(generations, 0, SERIES_KEYS * sizeof *generations);
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < SERIES_KEYS; k++)
            if (series[i].key == lists_series[k])
                generations[k] = series[i].generation;
}

static void note_generations(uint32_t number, const struct state_series *series, size_t count)
{
    uint64_t generations[SERIES_KEYS];
    sim_check(number < SWAPS_MAX, "more swaps than the simulator has room for");
    struct swap *swap = &checks.swaps[number];
    read_generations(generations, series, count);
    for (uint32_t v = 0; v < swap->variant_count; v++)
        if (memcmp(swap->generations[v], generations, sizeof generations) == 0)
            return;
    sim_check(swap->variant_count < VARIANTS_MAX, "swap %u: too many generations", number);
    memcpy(swap->generations[swap->variant_count++], generations, sizeof generations);
}

/* A series that no arm has any more is forgotten without a swap: its arm has none when it is back.
 */
static bool has_forgotten(const struct swap *swap, const struct state_meta *meta)
{
    uint64_t now[SERIES_KEYS];
    bool forgotten = false;
    read_generations(now, meta->series, meta->series_count);
    for (int k = 0; k < SERIES_KEYS; k++) {
        bool gone = now[k] == 0 && swap->generations[0][k] != 0;
        if (!gone && now[k] != swap->generations[0][k])
            return false;
        forgotten |= gone;
    }
    return forgotten;
}

void checks_live(const struct state_meta *meta, uint32_t config)
{
    sim_check(meta->swap < SWAPS_MAX, "more swaps than the simulator has room for");
    struct swap *swap = &checks.swaps[meta->swap];
    swap->configs |= 1u << config;
    checks.holds |= lists_holds_back(config);
    if (swap->variant_count > 0 && has_forgotten(swap, meta))
        note_generations(meta->swap, meta->series, meta->series_count);
}

/* A swap that others in Redis made necessary: there it lies before any list of it. What is
 * announced goes up with it. */
static void note_joined(const struct state_meta *meta)
{
    note_generations(meta->swap, meta->series, meta->series_count);
    checks.joined = meta->swap > checks.joined ? meta->swap : checks.joined;
}

void checks_joined(void)
{
    const struct history *history = process_history();
    note_joined(&history->meta);
    if (history->swap_announced)
        note_joined(&history->announced);
}

/* -- a record against the fold ----------------------------------------------------------------- */

static uint64_t id_hash(int id)
{
    char text[16];
    return hash_stable(text, (size_t)snprintf(text, sizeof text, "e%d", id));
}

static bool ids_agree(const struct user_record *record, const struct folded *user)
{
    for (int i = 0; i < user->id_count; i++)
        if (user_dedup(record)[i] != id_hash(user->ids[i]))
            return false;
    for (int i = 0; i < user->count; i++)
        if (user_interactions(record)[i].id_hash !=
            (user->kept[i].id >= 0 ? id_hash(user->kept[i].id) : 0))
            return false;
    return true;
}

static bool kept_agree(const struct folded *a, const struct folded *b)
{
    for (int i = 0; i < a->count; i++) {
        const struct kept *x = &a->kept[i], *y = &b->kept[i];
        if (x->ts_ms != y->ts_ms || x->offset != y->offset || x->item != y->item ||
            x->type != y->type || x->value != y->value)
            return false;
    }
    return true;
}

static bool items_agree(const struct kept_item *a, const struct kept_item *b, int count)
{
    for (int i = 0; i < count; i++)
        if (a[i].item != b[i].item || a[i].types != b[i].types || a[i].ts_ms != b[i].ts_ms ||
            a[i].count != b[i].count)
            return false;
    return true;
}

static bool trials_agree(const struct trial_counts *a, const struct trial_counts *b)
{
    return a->trial == b->trial && a->begun == b->begun && a->events == b->events &&
           a->hits10 == b->hits10 && a->hits20 == b->hits20 && fabs(a->rr - b->rr) < 1e-9;
}

/* NULL: they agree; else in what not. */
static const char *difference(const struct user_record *record, const struct folded *user,
                              const int *names)
{
    struct folded kept;
    if (record->forgotten != user->forgotten)
        return "whether he is forgotten";
    if (record->interaction_count != (uint32_t)user->count)
        return "how many interactions";
    if (record->seen_count != (uint32_t)user->seen_count)
        return "how many items seen";
    if (record->dedup_count != (uint32_t)user->id_count)
        return "how many ids";
    if (record->shown_count != (uint32_t)user->shown_count)
        return "how many items shown";
    lists_fold(&kept, record, names);
    if (!kept_agree(&kept, user))
        return "the interactions";
    if (!ids_agree(record, user))
        return "the ids";
    if (!items_agree(kept.seen, user->seen, user->seen_count))
        return "the items seen";
    if (!items_agree(kept.shown, user->shown, user->shown_count))
        return "the items shown";
    if (kept.events != user->events ||
        (!user->forgotten && kept.last_ts_ms != user->last_ts_ms)) /* the forgotten: since when */
        return "how many events, and when";
    if (!trials_agree(&kept.trial, &user->trial))
        return "the outcomes";
    return kept.wanted_offset != user->wanted_offset ? "which list is wanted" : NULL;
}

static void check_acknowledged(int user, const struct user_record *record)
{
    if (record->acked_offset < 0 || checks.holds)
        return;
    int64_t offset = checks.stored[user].next_offset;
    bool was = record->acked_offset < offset ||
               (record->acked_offset == offset && record->acked_swap <= checks.stored[user].swap);
    sim_check(was, "u%d: list %lld/%u is acknowledged, Redis never had more than %lld/%u", user,
              (long long)record->acked_offset, record->acked_swap, (long long)offset,
              checks.stored[user].swap);
}

static void check_record(const char *where, int user, const struct user_record *record,
                         int64_t next_offset, const int *names)
{
    const struct folded *folded = stream_user(user, next_offset);
    sim_check(folded->exists, "%s: u%d is kept, but did nothing below %lld", where, user,
              (long long)next_offset);
    const char *what = difference(record, folded, names);
    sim_check(what == NULL, "%s: u%d as of %lld of partition %d differs from the log in %s", where,
              user, (long long)next_offset, stream_partition_of(user), what);
    check_acknowledged(user, record);
}

/* -- what is durable --------------------------------------------------------------------------- */

static int read_item(struct slice key, struct slice value, void *arg)
{
    uint32_t number;
    (void)arg;
    sim_check(state_key_number(key, &number) && number == checks.name_count && number < NAMES_MAX,
              "durable: item %u is not the next", checks.name_count);
    checks.names[checks.name_count++] = stream_number('i', value);
    return 0;
}

static void check_swap(struct state_view *view)
{
    struct error err;
    struct slice value;
    struct state_series series[SERIES_MAX];
    uint32_t swap;
    if (state_view_get(view, STATE_META, SLICE("epoch"), &value, &err) == 1)
        memcpy(&checks.epoch, value.data, sizeof checks.epoch);
    if (state_view_get(view, STATE_META, SLICE("swap"), &value, &err) != 1)
        return;
    memcpy(&swap, value.data, sizeof swap);
    sim_check(swap < SWAPS_MAX && swap >= checks.swap, "durable: the count of swaps goes back");
    if (checks.swaps[swap].durable)
        return;
    state_view_get(view, STATE_META, SLICE("series"), &value, &err);
    memcpy(series, value.data, value.length);
    note_generations(swap, series, value.length / sizeof series[0]);
    checks.swaps[swap].durable = true;
    checks.swap = swap;
}

static void check_counters(const struct partition_record *record, int32_t partition)
{
    const struct prefix *prefix = &stream.at[partition].prefixes[record->next_offset];
    for (int c = 0; c < COUNTER_COUNT; c++)
        sim_check(record->counters[c] == prefix->counters[c],
                  "durable: partition %d as of %lld counts %llu %s, the log has %llu", partition,
                  (long long)record->next_offset, (unsigned long long)record->counters[c],
                  counter_names[c], (unsigned long long)prefix->counters[c]);
    sim_check(record->stream_ts_ms == prefix->stream_ts_ms,
              "durable: the stream time of partition %d as of %lld", partition,
              (long long)record->next_offset);
}

static int read_partition(struct slice key, struct slice value, void *arg)
{
    struct state_key parts;
    struct partition_record record;
    (void)arg;
    sim_check(state_key_parse(key, &parts) && value.length == sizeof record, "durable: partition");
    memcpy(&record, value.data, sizeof record);
    bool items = slice_equal(parts.topic, SLICE("items"));
    int64_t *durable = items ? &checks.items_durable : &checks.durable[parts.partition];
    sim_check(record.next_offset >= *durable, "durable: partition %d goes back from %lld to %lld",
              parts.partition, (long long)*durable, (long long)record.next_offset);
    *durable = record.next_offset;
    if (!items)
        check_counters(&record, parts.partition);
    return 0;
}

static int read_user(struct slice key, struct slice value, void *arg)
{
    static _Alignas(8) char bytes[RECORD_MAX];
    struct state_key parts;
    bool *known = arg;
    sim_check(state_key_parse(key, &parts) && value.length <= RECORD_MAX, "durable: users");
    memcpy(bytes, value.data, value.length);
    const struct user_record *record = (const struct user_record *)bytes;
    int user = stream_number('u', parts.rest);
    sim_check(user >= 0 && user < stream.users && stream_partition_of(user) == parts.partition &&
                  record->bytes == value.length,
              "durable: a user who is none");
    check_record("durable", user, record, checks.durable[parts.partition], checks.names);
    known[user] = true;
    return 0;
}

/* Whom the log says there is must be there, unless he is forgotten and Redis knows it. */
static void check_nobody_lacks(const bool *known)
{
    for (int u = 0; u < stream.users; u++) {
        int64_t next_offset = checks.durable[stream_partition_of(u)];
        const struct folded *folded = stream_user(u, next_offset);
        if (known[u] || !folded->exists)
            continue;
        sim_check(folded->forgotten && stream.tombstone_ms == 0,
                  "durable: u%d as of %lld is not there", u, (long long)next_offset);
        sim_check(checks.holds || checks.stored[u].next_offset >= folded->wanted_offset,
                  "durable: u%d is erased, and Redis has no tombstone", u);
    }
}

static int read_dead(struct slice key, struct slice value, void *arg)
{
    struct state_key parts;
    int64_t offset;
    uint32_t key_length;
    (void)arg;
    sim_check(state_key_parse(key, &parts) && state_key_offset_number(parts.rest, &offset) &&
                  value.length >= sizeof key_length,
              "durable: dead letters");
    memcpy(&key_length, value.data, sizeof key_length);
    if (value.length == sizeof key_length + key_length)
        return 0; /* a forgotten user's tombstone */
    bool items = slice_equal(parts.topic, SLICE("items"));
    sim_check(stream_is_dead(items, parts.partition, offset) &&
                  offset < (items ? checks.items_durable : checks.durable[parts.partition]),
              "durable: offset %lld of partition %d is no dead letter", (long long)offset,
              parts.partition);
    checks.waiting[items][parts.partition][offset / 64] |= UINT64_C(1) << (offset % 64);
    return 0;
}

static void check_letters_of(bool items, int32_t partition, int64_t next_offset)
{
    for (int64_t o = 0; o < next_offset; o++) {
        bool waits = checks.waiting[items][partition][o / 64] >> (o % 64) & 1;
        sim_check(!stream_is_dead(items, partition, o) || waits ||
                      kafka_was_delivered(items, partition, o),
                  "durable: the dead letter of offset %lld of partition %d is lost", (long long)o,
                  partition);
    }
}

static int read_trial(struct slice key, struct slice value, void *arg)
{
    struct state_key parts;
    struct trial_record record;
    struct trial_sums sums = {0};
    uint64_t trial;
    (void)arg;
    sim_check(state_key_parse(key, &parts) && state_key_trial_number(parts.rest, &trial) &&
                  trial_record_parse(&record, value),
              "durable: trials");
    for (int u = parts.partition; u < stream.users; u += stream.partitions) {
        const struct trial_counts *counts = &stream_user(u, checks.durable[parts.partition])->trial;
        if (counts->trial != trial)
            continue;
        sums.users++;
        sums.events += counts->events;
        sums.hits10 += counts->hits10;
        sums.hits20 += counts->hits20;
        sums.nn += (double)counts->events * counts->events;
    }
    const struct trial_sums *has = &record.sums;
    sim_check(has->users == sums.users && has->events == sums.events &&
                  has->hits10 == sums.hits10 && has->hits20 == sums.hits20 && has->nn == sums.nn,
              "durable: trial %d of partition %d has %d users and %d events, the log %d and %d",
              (int)trial, parts.partition, (int)has->users, (int)has->events, (int)sums.users,
              (int)sums.events);
    return 0;
}

void checks_committed(struct state *state)
{
    struct state_view *view;
    struct error err;
    bool known[STREAM_USERS_MAX] = {false};
    char bytes[STATE_KEY_MAX];
    struct slice events = {bytes, (uint32_t)state_key_topic(bytes, SLICE("events"))};
    checks.name_count = 0;
    memset(checks.waiting, 0, sizeof checks.waiting);
    state_view_open(&view, state, &err);
    check_swap(view);
    state_view_scan(view, STATE_ITEMS, SLICE(""), read_item, NULL, &err);
    state_view_scan(view, STATE_PARTITIONS, SLICE(""), read_partition, NULL, &err);
    state_view_scan(view, STATE_USERS, events, read_user, known, &err);
    state_view_scan(view, STATE_DEAD, SLICE(""), read_dead, NULL, &err);
    state_view_scan(view, STATE_TRIALS, events, read_trial, NULL, &err);
    state_view_close(view);
    check_nobody_lacks(known);
    for (int p = 0; p < stream.partitions; p++)
        check_letters_of(false, p, checks.durable[p]);
    check_letters_of(true, 0, checks.items_durable);
}

/* -- in memory --------------------------------------------------------------------------------- */

static void name_items(void)
{
    struct items *items = history_items(process_history());
    checks.name_count = items_count(items);
    sim_check(checks.name_count <= NAMES_MAX, "too many items");
    for (uint32_t i = 0; i < checks.name_count; i++)
        checks.names[i] = stream_number('i', ids_text(&items->ids, i));
}

void checks_learned(const struct learned *learned)
{
    name_items();
    for (size_t i = 0; i < learned->user_count; i++) {
        const struct user *user = learned->users[i];
        check_record("learned", stream_number('u', user->id), user->record,
                     history_next_offset(process_history(), false, user->partition), checks.names);
    }
}

void checks_step(void)
{
    struct history *history = process_history();
    if (history == NULL)
        return;
    for (int p = 0; p < stream.partitions; p++) {
        int64_t next_offset = history_next_offset(history, false, p);
        if (next_offset > checks.applied[p])
            checks.applied[p] = next_offset;
        sim_check(checks.durable[p] == 0 || next_offset >= checks.durable[p],
                  "partition %d: %lld is durable, %lld applied", p, (long long)checks.durable[p],
                  (long long)next_offset);
        sim_check(next_offset <= kafka_end(p), "partition %d: applied beyond the log", p);
    }
}

void checks_all_durable(void)
{
    for (int p = 0; p < stream.partitions; p++) {
        int64_t next_offset = history_next_offset(process_history(), false, p);
        sim_check(next_offset == INT64_MIN || next_offset == checks.durable[p],
                  "partition %d: %lld was learned, %lld is durable after the last commit", p,
                  (long long)next_offset, (long long)checks.durable[p]);
    }
}

/* -- lists ------------------------------------------------------------------------------------- */

/* The newest ever: a list that was late may come after Redis lost a newer one. */
void checks_stored(int user, const struct version *version)
{
    bool is_newer = version->next_offset > checks.stored[user].next_offset ||
                    (version->next_offset == checks.stored[user].next_offset &&
                     version->swap > checks.stored[user].swap);
    if (!is_newer)
        return;
    checks.stored[user].next_offset = version->next_offset;
    checks.stored[user].swap = version->swap;
}

static uint64_t generation_of(uint64_t series, const uint64_t generations[SERIES_KEYS])
{
    for (int k = 0; k < SERIES_KEYS; k++)
        if (lists_series[k] == series)
            return generations[k];
    return 0;
}

/* From the arm on, but for stream time and cause. */
static bool says(struct slice json, const struct folded *user, int number, uint32_t config,
                 const uint64_t *generations)
{
    char name[8], head[64], tail[256], text[1024];
    struct listed list;
    const struct lists_config *arms = lists_config(config);
    struct slice id = {name, (uint32_t)snprintf(name, sizeof name, "u%d", number)};
    uint32_t arm = arms->count > 1 ? arms_of(&arms->assignment, id) : 0;
    uint64_t generation = generation_of(arms->arms[arm].series, generations);
    lists_make(&list, user, config, arm, generation);
    snprintf(head, sizeof head, "\"arm\":\"%.*s\",\"gen\":%llu,",
             SLICE_ARG(arms->arms[arm].settings.arm_name), (unsigned long long)generation);
    int length = snprintf(tail, sizeof tail, "\"items\":[");
    for (int i = 0; i < list.count; i++)
        length += snprintf(tail + length, sizeof tail - (size_t)length, "%s[\"i%d\",%u]",
                           i > 0 ? "," : "", list.items[i], list.score);
    length += snprintf(tail + length, sizeof tail - (size_t)length, "]}");
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(json));
    return strstr(text, head) != NULL && (int)json.length >= length &&
           memcmp(json.data + json.length - length, tail, (size_t)length) == 0;
}

static bool is_tombstone(struct slice json)
{
    return memmem(json.data, json.length, "\"forgotten\":true", 16) != NULL;
}

static bool says_any(struct slice json, const struct folded *user, int number, uint32_t swap)
{
    const struct swap *of = &checks.swaps[swap];
    for (uint32_t config = 0; config < CONFIGS; config++)
        for (uint32_t v = 0; v < of->variant_count; v++)
            if ((of->configs >> config & 1) != 0 &&
                says(json, user, number, config, of->generations[v]))
                return true;
    return false;
}

/* A list comes to Redis: of a prefix that was learned, of a swap that cannot be taken back, and
 * what both make of the user. */
void checks_list(int user, struct slice text, struct slice json)
{
    struct version version;
    sim_check(version_parse(&version, text), "u%d: not a version", user);
    int32_t partition = stream_partition_of(user);
    sim_check(version.partition == partition, "u%d: a list of partition %d", user,
              version.partition);
    sim_check(version.next_offset <= checks.applied[partition],
              "u%d: a list of %lld, and no more than %lld was ever learned", user,
              (long long)version.next_offset, (long long)checks.applied[partition]);
    sim_check(version.swap <= checks.swap || version.swap <= checks.joined,
              "u%d: a list of swap %u, which is not durable", user, version.swap);
    const struct folded *folded = stream_user(user, version.next_offset);
    sim_check(folded->exists, "u%d: a list of somebody of whom nothing is known", user);
    if (folded->forgotten || is_tombstone(json)) {
        sim_check(folded->forgotten && is_tombstone(json), "u%d is forgotten, and not in Redis",
                  user);
        return;
    }
    sim_check(says_any(json, folded, user, version.swap), "u%d: %.*s is not what the log says",
              user, SLICE_ARG(json));
}

/* -- at rest ----------------------------------------------------------------------------------- */

static void check_held(int user, struct slice json)
{
    char name[8], tail[256];
    struct error err;
    struct slice id = {name, (uint32_t)snprintf(name, sizeof name, "u%d", user)};
    const struct user *kept = history_user(process_history(), stream_partition_of(user), id, &err);
    sim_check(kept != NULL, "u%d is not kept", user);
    sim_check(!user_is_owed(kept->record, 0), "u%d is owed a list", user);
    const char *at = memmem(json.data, json.length, "\"items\":[", 9);
    if (sim.faults > 0) /* what was sent and not known as acknowledged is not held against */
        return;
    for (uint32_t i = 0; i < kept->record->list_count; i++) {
        int length =
            snprintf(tail, sizeof tail, "[\"i%d\",", checks.names[user_list(kept->record)[i]]);
        at = memmem(at, (size_t)(json.data + json.length - at), tail, (size_t)length);
        sim_check(at != NULL, "u%d: Redis has %.*s, his record another list", user,
                  SLICE_ARG(json));
    }
}

static void check_final_list(int user)
{
    struct slice text, json;
    struct version version;
    int32_t partition = stream_partition_of(user);
    const struct folded *folded = stream_user(user, stream.at[partition].count);
    const struct state_meta *meta = history_meta(process_history());
    uint64_t generations[SERIES_KEYS];
    bool is_there = redis_list(user, &text, &json);
    if (folded->forgotten || !folded->exists) {
        sim_check(!is_there || is_tombstone(json) ||
                      (stream.tombstone_ms == 0 && redis_list_is_of_copy(user)),
                  "u%d is forgotten, and Redis has a list", user);
        return;
    }
    sim_check(is_there && version_parse(&version, text), "u%d: Redis has no list", user);
    if (checks.holds) {
        check_held(user, json);
        return;
    }
    sim_check(version.next_offset >= folded->wanted_offset,
              "u%d: the list in Redis is of %lld, his last event of %lld", user,
              (long long)version.next_offset, (long long)folded->wanted_offset - 1);
    read_generations(generations, meta->series, meta->series_count);
    sim_check(says(json, folded, user, process_config(), generations), "u%d: %.*s is stale at rest",
              user, SLICE_ARG(json));
}

/* -- sums and pairs, in memory, at rest -------------------------------------------------------- */

static void check_sums(int32_t partition, const struct item_sums *sums, uint32_t count)
{
    const struct stream_partition *at = &stream.at[partition];
    for (uint32_t i = 0; i < count; i++) {
        uint64_t events = 0;
        double decayed = 0;
        for (int o = 0; o < at->count; o++) {
            const struct record *record = &at->records[o];
            if (!at->counts[o] || !stream_type_counts[record->type] ||
                record->item != checks.names[i])
                continue;
            events++;
            decayed += exp2(-(double)(sums[i].ts_ms - record->ts_ms) / (double)half_life_ms[0]);
        }
        sim_check(sums[i].count == events && fabs(sums[i].decayed[0] - decayed) < 1e-6,
                  "item i%d of partition %d: %llu events and %g, the log has %llu and %g",
                  checks.names[i], partition, (unsigned long long)sums[i].count, sums[i].decayed[0],
                  (unsigned long long)events, decayed);
    }
}

static uint32_t number_of(int item)
{
    uint32_t i = 0;
    while (i < checks.name_count && checks.names[i] != item)
        i++;
    return i;
}

static void learn_pairs(struct pairs *pairs, const struct record *record, int64_t offset)
{
    const struct folded *before = stream_user(record->user, offset);
    struct interaction history[KEPT_MAX];
    struct pairs_event event;
    uint64_t types = 0;
    if (!before->exists || before->forgotten || !stream_type_counts[record->type])
        return;
    for (int i = 0; i < before->count; i++) {
        history[i] = (struct interaction){.item = number_of(before->kept[i].item),
                                          .type = before->kept[i].type};
        if (before->kept[i].item == record->item)
            return;
    }
    for (int i = 0; i < before->seen_count; i++)
        if (before->seen[i].item == record->item)
            return;
    for (uint32_t t = 0; t < STREAM_TYPES; t++)
        types |= (uint64_t)stream_type_counts[t] << t;
    if (pairs_event_make(&event, history, (size_t)before->count, types, number_of(record->item),
                         record->ts_ms, offset))
        pairs_learn(pairs, &event);
}

static bool tables_agree(const struct pairs_table *a, const struct pairs_table *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->count == b->count && a->applied == b->applied &&
           memcmp(a->items, b->items, a->count * sizeof *a->items) == 0 &&
           memcmp(a->ever, b->ever, a->count * sizeof *a->ever) == 0;
}

static void check_pairs(int32_t partition, const struct pairs *has)
{
    const struct stream_partition *at = &stream.at[partition];
    struct pairs pairs = {.neighbours_max = has->neighbours_max};
    for (int o = 0; o < at->count && pairs.neighbours_max > 0; o++)
        if (at->counts[o])
            learn_pairs(&pairs, &at->records[o], o);
    for (uint32_t i = 0; i < checks.name_count; i++)
        sim_check(tables_agree(pairs_table(&pairs, i), pairs_table(has, i)),
                  "what goes together with i%d in partition %d", checks.names[i], partition);
    pairs_clear(&pairs);
}

void checks_at_rest(void)
{
    struct history *history = process_history();
    int32_t partitions[STREAM_PARTITIONS_MAX];
    size_t count = history_partitions(history, partitions, STREAM_PARTITIONS_MAX);
    name_items();
    sim_check(count == (size_t)stream.partitions, "%zu partitions are assigned", count);
    for (size_t i = 0; i < count; i++) {
        uint32_t items;
        const struct item_sums *sums = history_sums(history, i, &items);
        check_sums(partitions[i], sums, items);
        check_pairs(partitions[i], history_pairs(history, i));
        sim_check(checks.durable[partitions[i]] == stream.at[partitions[i]].count,
                  "partition %d: durable is %lld of %d", partitions[i],
                  (long long)checks.durable[partitions[i]], stream.at[partitions[i]].count);
    }
    for (int u = 0; u < stream.users; u++)
        check_final_list(u);
    for (int p = 0; p < stream.partitions; p++)
        for (int o = 0; o < stream.at[p].count; o++)
            sim_check(!stream_is_dead(false, p, o) || kafka_was_delivered(false, p, o),
                      "the dead letter of offset %d of partition %d is not delivered", o, p);
    for (int o = 0; o < stream.item_record_count; o++)
        sim_check(!stream_is_dead(true, 0, o) || kafka_was_delivered(true, 0, o),
                  "the dead letter of item record %d is not delivered", o);
    process_check_rest();
}
