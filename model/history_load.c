#include "base/mem.h"
#include "model/history_internal.h"

#include <endian.h>
#include <stddef.h>

/* -- items and types --------------------------------------------------------------------------- */

struct loading {
    struct items *items;
    struct ids *names;
    struct partition_set *set;
    struct partition *partition;
    uint32_t item_count;
    struct error *err;
};

/* Numbers are given in the order of first sight, so key order gives each its own again. */
static int visit_item(struct slice key, struct slice value, void *arg)
{
    struct loading *loading = arg;
    uint32_t number;
    struct ids *ids = &loading->items->ids;
    if (!state_key_number(key, &number) || number != ids->count || ids_add(ids, value) != number)
        return error_set(loading->err, ERR_DATA, "the state's table of items is damaged at %u",
                         ids->count);
    return 0;
}

static int visit_description(struct slice key, struct slice value, void *arg)
{
    struct loading *loading = arg;
    uint32_t number;
    if (!state_key_number(key, &number) || number >= items_count(loading->items))
        return error_set(loading->err, ERR_DATA, "the state describes an item it does not have");
    return items_info_read(loading->items, number, value, loading->err);
}

int load_items(struct state_view *view, struct items *items, struct error *err)
{
    struct loading loading = {.items = items, .err = err};
    int status = state_view_scan(view, STATE_ITEMS, SLICE(""), visit_item, &loading, err);
    if (status != 0)
        return status;
    return state_view_scan(view, STATE_CATALOG, SLICE(""), visit_description, &loading, err);
}

static int visit_type(struct slice key, struct slice value, void *arg)
{
    struct loading *loading = arg;
    uint16_t number = UINT16_MAX;
    if (key.length == sizeof number)
        memcpy(&number, key.data, sizeof number);
    struct ids *names = loading->names;
    if (be16toh(number) != names->count || names->count >= EVENT_TYPES_MAX ||
        ids_add(names, value) != names->count - 1)
        return error_set(loading->err, ERR_DATA, "the state's table of event types is damaged");
    return 0;
}

int load_types(struct state_view *view, struct ids *names, struct error *err)
{
    struct loading loading = {.names = names, .err = err};
    return state_view_scan(view, STATE_TYPES, SLICE(""), visit_type, &loading, err);
}

/* -- partitions -------------------------------------------------------------------------------- */

/* As written by a state of format 2: without the counters that came later. */
#define PARTITION_BYTES_2 offsetof(struct partition_record, counters[COUNTER_IMPRESSION])

bool partition_record_parse(struct partition_record *record, struct slice value)
{
    if (value.length != sizeof *record && value.length != PARTITION_BYTES_2)
        return false;
    *record = (struct partition_record){0};
    memcpy(record, value.data, value.length);
    return true;
}

static int visit_partition(struct slice key, struct slice value, void *arg)
{
    struct loading *loading = arg;
    struct state_key parts;
    struct partition_record record;
    if (!state_key_parse(key, &parts) || parts.rest.length != 0 ||
        !partition_record_parse(&record, value))
        return error_set(loading->err, ERR_DATA, "the state's table of partitions is damaged");
    partition_ensure(loading->set, parts.partition)->record = record;
    return 0;
}

int load_partitions(struct state_view *view, struct slice topic, struct partition_set *set,
                    struct error *err)
{
    char key[STATE_KEY_MAX];
    struct slice prefix = {key, (uint32_t)state_key_topic(key, topic)};
    struct loading loading = {.set = set, .err = err};
    return state_view_scan(view, STATE_PARTITIONS, prefix, visit_partition, &loading, err);
}

static int visit_sums(struct slice key, struct slice value, void *arg)
{
    struct loading *loading = arg;
    struct state_key parts;
    uint32_t item;
    if (!state_key_parse(key, &parts) || !state_key_number(parts.rest, &item) ||
        item >= loading->item_count || value.length != sizeof(struct item_sums))
        return error_set(loading->err, ERR_DATA, "the item sums of partition %d are damaged",
                         loading->partition->number);
    memcpy(partition_sums(loading->partition, item), value.data, value.length);
    return 0;
}

int load_sums(struct state_view *view, struct slice topic, struct partition *partition,
              uint32_t items, struct error *err)
{
    char key[STATE_KEY_MAX];
    struct slice prefix = {key, (uint32_t)state_key_partition(key, topic, partition->number)};
    struct loading loading = {.partition = partition, .item_count = items, .err = err};
    return state_view_scan(view, STATE_SUMS, prefix, visit_sums, &loading, err);
}
