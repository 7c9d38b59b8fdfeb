/* The state as JSON lines, in this order and these shapes (numbers of doubles with 17 digits):
 *
 *   {"user":"u1","partition":0,"events":12,"last_ts":1700000000000,"forgotten":false,
 *    "interactions":[{"item":"i9","type":"click","value":1,"ts":1700000000000,"offset":41}],
 *    "seen":[{"item":"i9","types":["click"]}],
 *    "shown":[{"item":"i7","count":2,"ts":1700000000000}],
 *    "wanted":{"offset":42,"swap":0},"acked":{"offset":-1,"swap":0},"changed_events":12,
 *    "list":["i9"],
 *    "trial":{"id":"00c0ffee00c0ffee","begun":7,"events":5,"hits10":1,"hits20":2,"rr":0.5}}
 *   {"sums":"i9","partition":0,"ts":1700000000000,"count":3,"decayed":{"10m":1.5,"1h":2,...}}
 *   {"pairs":"i9","partition":0,"applied":41,"neighbours":[{"item":"i7","ts":1700000000000,
 *    "forward":{"1d":0.5,"ever":1.8},"backward":{"1d":0,"ever":0}}]}
 *   {"trial":"00c0ffee00c0ffee","partition":0,"begun":7,"touched":41,"users":1,"events":5,
 *    "hits10":1,"hits20":2,"rr":0.5,"nn":25,"nh":10,"hh":4,"nr":2.5,"r2":0.25}
 *   {"item":"i9","blocked":false,"from":null,"until":null,"title":"","categories":["c"]}
 *   {"topic":"events","partition":0,"next_offset":42,"stream_ts":1700000000000,
 *    "counters":{"applied":12,...}}
 *   {"state":{"format":3,"epoch":1,"swap":0,"arms_swap":0,"generation":0,"newest_generation":0,
 *    "series":[{"key":"0000000000000000","generation":0,"newest_generation":0,"swap":0,
 *    "gate_refusals":0}],"cluster":"...","partitions":4}}
 *
 * Interactions are oldest first, seen items least recently touched first, shown items least
 * recently shown first, the list best first; a user in no trial has "trial":null. Names of trials
 * and of series are in hex; "generation" is the first series', the base's. Neighbours come in the
 * order of their places (model/pairs.h). Lines of a kind come in the order of the state's keys. */
#include "base/json.h"
#include "model/history_internal.h"

#include <inttypes.h>

struct dump {
    struct state_view *view;
    struct slice user; /* of this one alone, unless data is NULL */
    FILE *out;
    struct items items;
    struct ids types;
    struct buffer line;
    struct json_writer json;
    struct error *err;
};

static struct json_writer *begin_line(struct dump *dump)
{
    buffer_clear(&dump->line);
    dump->json = (struct json_writer){.out = &dump->line};
    json_begin_object(&dump->json, NULL);
    return &dump->json;
}

static int end_line(struct dump *dump)
{
    json_end_object(&dump->json);
    buffer_byte(&dump->line, '\n');
    if (fwrite(dump->line.data, 1, dump->line.length, dump->out) != dump->line.length)
        return error_set(dump->err, ERR_IO, "the dump cannot be written");
    return 0;
}

static int refuse(const struct dump *dump, const char *table)
{
    return error_set(dump->err, ERR_DATA, "the state's table of %s is damaged", table);
}

/* -- users ------------------------------------------------------------------------------------- */

static int write_user(struct dump *dump, const struct state_key *key,
                      const struct user_record *record)
{
    struct json_writer *json = begin_line(dump);
    json_string(json, "user", key->rest);
    json_int(json, "partition", key->partition);
    dump_user_record(json, record, &dump->items.ids, &dump->types);
    return end_line(dump);
}

static int visit_user(struct slice key, struct slice value, void *arg)
{
    struct dump *dump = arg;
    struct state_key parts;
    const struct user_record *record;
    if (!state_key_parse(key, &parts))
        return refuse(dump, "users");
    if (dump->user.data != NULL && !slice_equal(dump->user, parts.rest))
        return 0;
    if (user_record_parse(&record, value, dump->err) != 0)
        return error_wrap(dump->err, "user %.*s", SLICE_ARG(parts.rest));
    int status = write_user(dump, &parts, record);
    user_record_unref(record);
    return status;
}

/* -- the rest ---------------------------------------------------------------------------------- */

static int visit_sums(struct slice key, struct slice value, void *arg)
{
    struct dump *dump = arg;
    struct state_key parts;
    uint32_t item;
    struct item_sums sums;
    if (!state_key_parse(key, &parts) || !state_key_number(parts.rest, &item) ||
        value.length != sizeof sums)
        return refuse(dump, "sums");
    memcpy(&sums, value.data, sizeof sums);
    struct json_writer *json = begin_line(dump);
    json_string(json, "sums", dump_name(&dump->items.ids, item));
    json_int(json, "partition", parts.partition);
    json_int(json, "ts", sums.ts_ms);
    json_int(json, "count", (int64_t)sums.count);
    json_begin_object(json, "decayed");
    for (int h = 0; h < HALF_LIFE_COUNT; h++)
        json_real(json, half_life_names[h], sums.decayed[h]);
    json_end_object(json);
    return end_line(dump);
}

static void write_counts(struct json_writer *json, const char *key, float day, float ever)
{
    json_begin_object(json, key);
    json_real(json, pairs_horizon_names[PAIRS_DAY], day);
    json_real(json, pairs_horizon_names[PAIRS_EVER], ever);
    json_end_object(json);
}

static int write_table(struct dump *dump, int32_t partition, uint32_t item,
                       const struct pairs_table *table)
{
    struct json_writer *json = begin_line(dump);
    json_string(json, "pairs", dump_name(&dump->items.ids, item));
    json_int(json, "partition", partition);
    json_int(json, "applied", table->applied);
    json_begin_array(json, "neighbours");
    for (uint32_t i = 0; i < table->count; i++) {
        json_begin_object(json, NULL);
        json_string(json, "item", dump_name(&dump->items.ids, table->items[i]));
        json_int(json, "ts", table->day[i].ts_ms);
        write_counts(json, "forward", table->day[i].forward, table->ever[i].forward);
        write_counts(json, "backward", table->day[i].backward, table->ever[i].backward);
        json_end_object(json);
    }
    json_end_array(json);
    return end_line(dump);
}

/* What a restart would hold: the state's tables with the journal applied. */
static int visit_pairs(struct slice key, struct slice value, void *arg)
{
    struct dump *dump = arg;
    struct state_key parts;
    struct partition partition = {0};
    if (!state_key_parse(key, &parts) || !partition_record_parse(&partition.record, value))
        return refuse(dump, "partitions");
    partition.number = parts.partition;
    int status =
        load_pairs(dump->view, parts.topic, &partition, items_count(&dump->items), dump->err);
    for (uint32_t item = 0; item < partition.pairs.table_count && status == 0; item++) {
        const struct pairs_table *table = pairs_table(&partition.pairs, item);
        if (table != NULL)
            status = write_table(dump, partition.number, item, table);
    }
    partition_unload(&partition);
    return status;
}

static int visit_trial(struct slice key, struct slice value, void *arg)
{
    struct dump *dump = arg;
    struct state_key parts;
    uint64_t trial;
    struct trial_record record;
    if (!state_key_parse(key, &parts) || !state_key_trial_number(parts.rest, &trial) ||
        !trial_record_parse(&record, value))
        return refuse(dump, "trials");
    const struct trial_sums *sums = &record.sums;
    struct json_writer *json = begin_line(dump);
    dump_hex(json, "trial", trial);
    json_int(json, "partition", parts.partition);
    json_int(json, "begun", record.begun);
    json_int(json, "touched", record.touched);
    json_int(json, "users", (int64_t)sums->users);
    json_int(json, "events", (int64_t)sums->events);
    json_int(json, "hits10", (int64_t)sums->hits10);
    json_int(json, "hits20", (int64_t)sums->hits20);
    json_real(json, "rr", sums->rr);
    json_real(json, "nn", sums->nn);
    json_real(json, "nh", sums->nh);
    json_real(json, "hh", sums->hh);
    json_real(json, "nr", sums->nr);
    json_real(json, "r2", sums->r2);
    return end_line(dump);
}

static void write_time(struct json_writer *json, const char *key, int64_t ts_ms)
{
    if (ts_ms == INT64_MIN || ts_ms == INT64_MAX)
        json_text(json, key, NULL);
    else
        json_int(json, key, ts_ms);
}

static int write_item(struct dump *dump, uint32_t item, const struct item_info *info)
{
    struct json_writer *json = begin_line(dump);
    json_string(json, "item", ids_text(&dump->items.ids, item));
    json_bool(json, "blocked", info->blocked);
    write_time(json, "from", info->from_ms);
    write_time(json, "until", info->until_ms);
    json_string(json, "title", info->title);
    json_begin_array(json, "categories");
    for (uint32_t i = 0; i < info->category_count; i++)
        json_string(json, NULL, ids_text(&dump->items.categories, info->categories[i]));
    json_end_array(json);
    return end_line(dump);
}

static int write_items(struct dump *dump)
{
    int status = 0;
    for (uint32_t item = 0; item < items_count(&dump->items) && status == 0; item++) {
        const struct item_info *info = items_info(&dump->items, item);
        if (info != NULL)
            status = write_item(dump, item, info);
    }
    return status;
}

static int visit_partition(struct slice key, struct slice value, void *arg)
{
    struct dump *dump = arg;
    struct state_key parts;
    struct partition_record record;
    if (!state_key_parse(key, &parts) || !partition_record_parse(&record, value))
        return refuse(dump, "partitions");
    struct json_writer *json = begin_line(dump);
    json_string(json, "topic", parts.topic);
    json_int(json, "partition", parts.partition);
    json_int(json, "next_offset", record.next_offset);
    write_time(json, "stream_ts", record.stream_ts_ms);
    json_begin_object(json, "counters");
    for (int counter = 0; counter < COUNTER_COUNT; counter++)
        json_int(json, counter_names[counter], (int64_t)record.counters[counter]);
    json_end_object(json);
    return end_line(dump);
}

static void write_series(struct json_writer *json, const struct state_meta *meta)
{
    json_begin_array(json, "series");
    for (uint32_t i = 0; i < meta->series_count; i++) {
        const struct state_series *series = &meta->series[i];
        json_begin_object(json, NULL);
        dump_hex(json, "key", series->key);
        json_int(json, "generation", (int64_t)series->generation);
        json_int(json, "newest_generation", (int64_t)series->newest_generation);
        json_int(json, "swap", series->swap);
        json_int(json, "gate_refusals", series->gate_refusals);
        json_end_object(json);
    }
    json_end_array(json);
}

static int write_state(struct dump *dump)
{
    struct state_meta meta = {0};
    int status = load_meta(dump->view, &meta, dump->err);
    if (status != 0)
        return status;
    struct json_writer *json = begin_line(dump);
    json_begin_object(json, "state");
    json_int(json, "format", STATE_FORMAT); /* the only one that opens */
    json_int(json, "epoch", meta.epoch);
    json_int(json, "swap", meta.swap);
    json_int(json, "arms_swap", meta.arms_swap);
    json_int(json, "generation", (int64_t)meta.series[0].generation);
    json_int(json, "newest_generation", (int64_t)meta.series[0].newest_generation);
    write_series(json, &meta);
    json_text(json, "cluster", meta.cluster_id);
    json_int(json, "partitions", meta.partition_count);
    json_end_object(json);
    return end_line(dump);
}

static int scan(struct dump *dump, enum state_db db, state_visit visit)
{
    return state_view_scan(dump->view, db, SLICE(""), visit, dump, dump->err);
}

static int write_all(struct dump *dump)
{
    int status = load_items(dump->view, &dump->items, dump->err);
    if (status == 0)
        status = load_types(dump->view, &dump->types, dump->err);
    if (status == 0)
        status = scan(dump, STATE_USERS, visit_user);
    if (dump->user.data != NULL)
        return status;
    if (status == 0)
        status = scan(dump, STATE_SUMS, visit_sums);
    if (status == 0)
        status = scan(dump, STATE_PARTITIONS, visit_pairs);
    if (status == 0)
        status = scan(dump, STATE_TRIALS, visit_trial);
    if (status == 0)
        status = write_items(dump);
    if (status == 0)
        status = scan(dump, STATE_PARTITIONS, visit_partition);
    return status == 0 ? write_state(dump) : status;
}

int history_dump(const struct state_settings *settings, struct slice user, FILE *out,
                 struct error *err)
{
    struct state *state;
    int status = state_open_reader(&state, settings, err);
    if (status != 0)
        return status;
    struct dump dump = {.user = user, .out = out, .err = err};
    status = state_view_open(&dump.view, state, err);
    if (status == 0)
        status = write_all(&dump);
    if (status == 0 && fflush(out) != 0)
        status = error_set(err, ERR_IO, "the dump cannot be written");
    state_view_close(dump.view);
    state_close(state);
    items_deinit(&dump.items);
    ids_deinit(&dump.types);
    buffer_deinit(&dump.line);
    return status;
}
