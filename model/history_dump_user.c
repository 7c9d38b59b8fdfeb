/* A user's part of the dump. */
#include "base/json.h"
#include "model/history_internal.h"

#include <inttypes.h>

/* A dump is for finding damage, too, so that a number without a name is shown as what it is. */
struct slice dump_name(const struct ids *ids, uint32_t number)
{
    return number < ids->count ? ids_text(ids, number) : SLICE("?");
}

void dump_hex(struct json_writer *json, const char *key, uint64_t number)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, number);
    json_text(json, key, text);
}

static void write_interactions(struct json_writer *json, const struct user_record *record,
                               const struct ids *items, const struct ids *types)
{
    const struct interaction *at = user_interactions(record);
    json_begin_array(json, "interactions");
    for (uint32_t i = 0; i < record->interaction_count; i++) {
        json_begin_object(json, NULL);
        json_string(json, "item", dump_name(items, at[i].item));
        json_string(json, "type", dump_name(types, at[i].type));
        json_real(json, "value", at[i].value);
        json_int(json, "ts", at[i].ts_ms);
        json_int(json, "offset", at[i].offset);
        json_end_object(json);
    }
    json_end_array(json);
}

static void write_seen(struct json_writer *json, const struct user_record *record,
                       const struct ids *items, const struct ids *types)
{
    const struct seen_item *seen = user_seen(record);
    json_begin_array(json, "seen");
    for (uint32_t i = 0; i < record->seen_count; i++) {
        json_begin_object(json, NULL);
        json_string(json, "item", dump_name(items, seen[i].item));
        json_begin_array(json, "types");
        for (uint32_t type = 0; type < 64; type++)
            if (seen[i].types >> type & 1)
                json_string(json, NULL, dump_name(types, type));
        json_end_array(json);
        json_end_object(json);
    }
    json_end_array(json);
}

static void write_shown(struct json_writer *json, const struct user_record *record,
                        const struct ids *items)
{
    const struct shown_item *shown = user_shown(record);
    json_begin_array(json, "shown");
    for (uint32_t i = 0; i < record->shown_count; i++) {
        json_begin_object(json, NULL);
        json_string(json, "item", dump_name(items, shown[i].item));
        json_int(json, "count", shown[i].count);
        json_int(json, "ts", shown[i].ts_ms);
        json_end_object(json);
    }
    json_end_array(json);
}

static void write_trial(struct json_writer *json, const struct trial_counts *counts)
{
    if (counts->trial == 0) {
        json_text(json, "trial", NULL);
        return;
    }
    json_begin_object(json, "trial");
    dump_hex(json, "id", counts->trial);
    json_int(json, "begun", counts->begun);
    json_int(json, "events", counts->events);
    json_int(json, "hits10", counts->hits10);
    json_int(json, "hits20", counts->hits20);
    json_real(json, "rr", counts->rr);
    json_end_object(json);
}

static void write_version(struct json_writer *json, const char *key, int64_t offset, uint32_t swap)
{
    json_begin_object(json, key);
    json_int(json, "offset", offset);
    json_int(json, "swap", swap);
    json_end_object(json);
}

static void write_list(struct json_writer *json, const struct user_record *record,
                       const struct ids *items)
{
    json_begin_array(json, "list");
    for (uint32_t i = 0; i < record->list_count; i++)
        json_string(json, NULL, dump_name(items, user_list(record)[i]));
    json_end_array(json);
}

void dump_user_record(struct json_writer *json, const struct user_record *record,
                      const struct ids *items, const struct ids *types)
{
    json_int(json, "events", (int64_t)record->events);
    json_int(json, "last_ts", record->last_ts_ms);
    json_bool(json, "forgotten", record->forgotten != 0);
    write_interactions(json, record, items, types);
    write_seen(json, record, items, types);
    write_shown(json, record, items);
    write_version(json, "wanted", record->wanted_offset, record->wanted_swap);
    write_version(json, "acked", record->acked_offset, record->acked_swap);
    json_int(json, "changed_events", (int64_t)record->changed_events);
    write_list(json, record, items);
    write_trial(json, &record->trial);
}
