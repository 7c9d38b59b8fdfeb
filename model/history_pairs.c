/* How co-occurrence becomes durable.
 *
 * Tables are large and an event changes up to eleven of them: to write all that changed at each
 * commit would be a hundred times the bytes of the events themselves. So a commit writes the events
 * since the last one, as records of the *journal*, each under the offset of its first; and, of the
 * tables that the state lacks something of, those that have waited longest. A record leaves in the
 * transaction with which the state has every table that the record's events changed; one that would
 * leave at once is not written. To load is to read the tables and to apply the journal in order: a
 * table knows the last event in it and skips what it has. So the tables are the same function of
 * the partition's events whatever was committed when.
 *
 * A commit writes 1/PAIRS_JOURNAL_SHARE of the journal's bytes in tables, at least one table, and
 * over all partitions about PAIRS_COMMIT_BYTES at most. With r bytes of events a commit and D bytes
 * of tables a table waits D/B commits for its turn, the journal is J = r D/B, and B = J/s makes it
 * J = sqrt(s r D): what is written and what must be applied at a start grow alike, both slowly. */
#include "base/mem.h"
#include "model/history_internal.h"

#include <stddef.h>
#include <stdlib.h>

struct record_head {         /* the events follow */
    uint32_t neighbours_max; /* with which they were learned, and must be again */
    uint32_t bytes;          /* of the record; 0 in states from before a commit could have many */
};

#define RECORD_BYTES_MIN (sizeof(struct record_head) + offsetof(struct pairs_event, before))

static struct record_head head_of(const char *record)
{
    struct record_head head;
    memcpy(&head, record, sizeof head);
    return head;
}

/* Of a record's first event, and so of its key. */
static int64_t first_offset(const char *record)
{
    int64_t offset;
    size_t at = sizeof(struct record_head) + offsetof(struct pairs_event, offset);
    memcpy(&offset, record + at, sizeof offset);
    return offset;
}

void journal_clear(struct pairs_journal *journal)
{
    buffer_deinit(&journal->gathered);
    buffer_deinit(&journal->committing);
    free(journal->records);
    free(journal->unsaved);
    *journal = (struct pairs_journal){0};
}

/* -- learning ---------------------------------------------------------------------------------- */

static void add_unsaved(struct pairs_journal *journal, int64_t since, uint32_t item)
{
    if (journal->unsaved_count == journal->unsaved_capacity) {
        journal->unsaved_capacity = journal->unsaved_capacity ? journal->unsaved_capacity * 2 : 64;
        journal->unsaved =
            mem_array(journal->unsaved, journal->unsaved_capacity, sizeof *journal->unsaved);
    }
    journal->unsaved[journal->unsaved_count++] = (struct unsaved_table){since, item};
}

static void queue_table(struct partition *partition, uint32_t item, int64_t offset)
{
    if (partition->pairs.tables[item]->unsaved_since == offset)
        add_unsaved(&partition->journal, offset, item);
}

static void learn(struct partition *partition, const struct pairs_event *event)
{
    pairs_learn(&partition->pairs, event);
    queue_table(partition, event->item, event->offset);
    for (uint32_t d = 0; d < event->count; d++)
        queue_table(partition, event->before[d], event->offset);
}

/* Whether the record being filled, if there is one, takes one more event. */
static bool goes_on(const struct pairs_journal *journal, uint32_t neighbours_max)
{
    size_t bytes = journal->gathered.length - journal->open_at;
    return bytes > 0 && bytes + sizeof(struct pairs_event) <= JOURNAL_RECORD_BYTES_MAX &&
           head_of(journal->gathered.data + journal->open_at).neighbours_max == neighbours_max;
}

static void gather(struct pairs_journal *journal, const struct pairs_event *event,
                   uint32_t neighbours_max)
{
    struct record_head head = {neighbours_max, 0};
    if (!goes_on(journal, neighbours_max)) {
        journal->open_at = journal->gathered.length;
        buffer_add(&journal->gathered, &head, sizeof head);
    }
    pairs_event_write(&journal->gathered, event);
    head.bytes = (uint32_t)(journal->gathered.length - journal->open_at);
    memcpy(journal->gathered.data + journal->open_at, &head, sizeof head);
}

void partition_count_pairs(struct partition *partition, const struct pairs_event *event)
{
    if (partition->pairs.neighbours_max == 0)
        return;
    learn(partition, event);
    gather(&partition->journal, event, partition->pairs.neighbours_max);
    partition->journal.last = event->offset;
}

/* -- committing -------------------------------------------------------------------------------- */

static size_t allowance(const struct pairs_journal *journal, size_t bytes_max)
{
    size_t bytes = journal->gathered.length;
    for (size_t i = 0; i < journal->record_count; i++)
        bytes += journal->records[i].bytes;
    bytes /= PAIRS_JOURNAL_SHARE;
    return bytes < bytes_max ? bytes : bytes_max;
}

static size_t take_table(struct partition *partition, struct slice topic,
                         const struct unsaved_table *unsaved, struct state_commit *commit,
                         struct buffer *scratch)
{
    char bytes[STATE_KEY_MAX];
    struct pairs_table *table = partition->pairs.tables[unsaved->item];
    if (table->unsaved_since != unsaved->since)
        return 0; /* taken with an earlier entry */
    size_t length = state_key_partition_item(bytes, topic, partition->number, unsaved->item);
    buffer_clear(scratch);
    pairs_table_write(scratch, table);
    state_commit_put(commit, STATE_PAIRS, (struct slice){bytes, (uint32_t)length},
                     buffer_slice(scratch));
    table->unsaved_since = PAIRS_SAVED;
    return scratch->length;
}

static void take_tables(struct partition *partition, struct slice topic,
                        struct state_commit *commit, size_t bytes_max, struct buffer *scratch)
{
    struct pairs_journal *journal = &partition->journal;
    size_t bytes = 0;
    while (journal->unsaved_taken < journal->unsaved_count && bytes < bytes_max)
        bytes += take_table(partition, topic, &journal->unsaved[journal->unsaved_taken++], commit,
                            scratch);
}

/* The first event that a table waits for, after those taken; older records are of no more use. */
static int64_t oldest_wanted(const struct pairs_journal *journal)
{
    return journal->unsaved_taken < journal->unsaved_count
               ? journal->unsaved[journal->unsaved_taken].since
               : INT64_MAX;
}

static void leave_records(struct partition *partition, struct slice topic,
                          struct state_commit *commit)
{
    char bytes[STATE_KEY_MAX];
    struct pairs_journal *journal = &partition->journal;
    int64_t wanted = oldest_wanted(journal);
    size_t leaving = 0;
    for (; leaving < journal->record_count && journal->records[leaving].last < wanted; leaving++) {
        int64_t first = journal->records[leaving].first;
        size_t length = state_key_offset(bytes, topic, partition->number, first);
        state_commit_delete(commit, STATE_JOURNAL, (struct slice){bytes, (uint32_t)length});
    }
    journal->records_leaving = leaving;
}

static void add_record(struct pairs_journal *journal, int64_t first, int64_t last, size_t bytes)
{
    if (journal->record_count == journal->record_capacity) {
        journal->record_capacity = journal->record_capacity ? journal->record_capacity * 2 : 64;
        journal->records =
            mem_array(journal->records, journal->record_capacity, sizeof *journal->records);
    }
    journal->records[journal->record_count++] = (struct journal_record){first, last, bytes};
}

static void take_record(struct partition *partition, struct slice topic,
                        struct state_commit *commit, const char *record, int64_t last)
{
    char bytes[STATE_KEY_MAX];
    struct pairs_journal *journal = &partition->journal;
    struct slice value = {record, head_of(record).bytes};
    if (last < oldest_wanted(journal))
        return;
    int64_t first = first_offset(record);
    size_t length = state_key_offset(bytes, topic, partition->number, first);
    state_commit_put_lent(commit, STATE_JOURNAL, (struct slice){bytes, (uint32_t)length}, value);
    add_record(journal, first, last, value.length);
    journal->records_added++;
}

/* Between a record's last event and the next one's first there are none. */
static void take_gathered(struct partition *partition, struct slice topic,
                          struct state_commit *commit)
{
    struct pairs_journal *journal = &partition->journal;
    struct buffer taken = journal->gathered;
    journal->gathered = journal->committing;
    journal->committing = taken;
    journal->open_at = journal->gathered.length;
    for (size_t at = 0, next; at < taken.length; at = next) {
        next = at + head_of(taken.data + at).bytes;
        int64_t last = next < taken.length ? first_offset(taken.data + next) - 1 : journal->last;
        take_record(partition, topic, commit, taken.data + at, last);
    }
}

void take_pairs(struct partition *partition, struct slice topic, struct state_commit *commit,
                size_t bytes_max, struct buffer *scratch)
{
    size_t bytes = bytes_max == PAIRS_ALL ? PAIRS_ALL : allowance(&partition->journal, bytes_max);
    take_tables(partition, topic, commit, bytes, scratch);
    leave_records(partition, topic, commit);
    take_gathered(partition, topic, commit);
}

/* -- done: saved, or unsaved again ------------------------------------------------------------- */

static void forget_records(struct pairs_journal *journal)
{
    if (journal->records_leaving == 0)
        return;
    journal->record_count -= journal->records_leaving;
    memmove(journal->records, journal->records + journal->records_leaving,
            journal->record_count * sizeof *journal->records);
}

static void forget_taken(struct pairs_journal *journal)
{
    if (journal->unsaved_taken == 0)
        return;
    journal->unsaved_count -= journal->unsaved_taken;
    memmove(journal->unsaved, journal->unsaved + journal->unsaved_taken,
            journal->unsaved_count * sizeof *journal->unsaved);
}

/* The records of the commit and those since. */
static void gather_again(struct pairs_journal *journal)
{
    struct buffer all = journal->committing, since = journal->gathered;
    buffer_add(&all, since.data, since.length);
    journal->gathered = all;
    journal->committing = since;
    journal->open_at = all.length;
}

/* Backwards, so that a table that is there twice gets the earlier time; its later entry then counts
 * for nothing. */
static void put_back(struct partition *partition)
{
    struct pairs_journal *journal = &partition->journal;
    for (size_t i = journal->unsaved_taken; i-- > 0;) {
        const struct unsaved_table *unsaved = &journal->unsaved[i];
        partition->pairs.tables[unsaved->item]->unsaved_since = unsaved->since;
    }
    journal->record_count -= journal->records_added;
    if (journal->committing.length > 0)
        gather_again(journal);
}

void pairs_committed(struct partition *partition, bool ok)
{
    struct pairs_journal *journal = &partition->journal;
    if (ok) {
        forget_records(journal);
        forget_taken(journal);
    } else {
        put_back(partition);
    }
    buffer_clear(&journal->committing);
    journal->unsaved_taken = journal->records_leaving = 0;
    journal->records_added = 0;
}

/* -- loading ----------------------------------------------------------------------------------- */

struct loading {
    struct partition *partition;
    uint32_t items;
    uint64_t *marks; /* [items] bits, see pairs_table_read */
    struct error *err;
};

static int damaged(struct loading *loading, const char *what)
{
    return error_set(loading->err, ERR_DATA, "the state's %s of partition %d is damaged", what,
                     loading->partition->number);
}

static int visit_table(struct slice key, struct slice value, void *arg)
{
    struct loading *loading = arg;
    struct partition *partition = loading->partition;
    struct state_key parts;
    uint32_t item;
    if (!state_key_parse(key, &parts) || !state_key_number(parts.rest, &item))
        return damaged(loading, "table of co-occurrence");
    int status = pairs_table_read(&partition->pairs, item, value, loading->items, loading->marks,
                                  loading->err);
    if (status != 0)
        return error_wrap(loading->err, "item %u of partition %d", item, partition->number);
    if (pairs_table(&partition->pairs, item)->applied >= partition->record.next_offset)
        return damaged(loading, "table of co-occurrence");
    return 0;
}

static int apply_event(struct loading *loading, struct slice *bytes)
{
    struct partition *partition = loading->partition;
    struct pairs_journal *journal = &partition->journal;
    struct pairs_event event;
    if (pairs_event_read(bytes, &event, loading->items, loading->err) != 0)
        return error_wrap(loading->err, "journal of partition %d", partition->number);
    if (event.offset <= journal->last || event.offset >= partition->record.next_offset)
        return damaged(loading, "journal");
    learn(partition, &event);
    journal->last = event.offset;
    return 0;
}

/* With the bound that was in force when they were learned, whatever it is now. */
static int apply_events(struct loading *loading, struct slice bytes)
{
    struct pairs *pairs = &loading->partition->pairs;
    uint32_t neighbours_max = pairs->neighbours_max;
    uint32_t head_bytes = sizeof(struct record_head);
    int status = 0;
    pairs->neighbours_max = head_of(bytes.data).neighbours_max;
    bytes = (struct slice){bytes.data + head_bytes, bytes.length - head_bytes};
    while (bytes.length > 0 && status == 0)
        status = apply_event(loading, &bytes);
    pairs->neighbours_max = neighbours_max;
    return status;
}

static int visit_record(struct slice key, struct slice value, void *arg)
{
    struct loading *loading = arg;
    struct pairs_journal *journal = &loading->partition->journal;
    struct state_key parts;
    int64_t first;
    if (!state_key_parse(key, &parts) || !state_key_offset_number(parts.rest, &first) ||
        value.length < RECORD_BYTES_MIN || first != first_offset(value.data))
        return damaged(loading, "journal");
    struct record_head head = head_of(value.data);
    if (head.neighbours_max == 0 || head.neighbours_max > PAIRS_NEIGHBOURS_MAX ||
        (head.bytes != 0 && head.bytes != value.length))
        return damaged(loading, "journal");
    int status = apply_events(loading, value);
    if (status == 0)
        add_record(journal, first, journal->last, value.length);
    return status;
}

int load_pairs(struct state_view *view, struct slice topic, struct partition *partition,
               uint32_t items, struct error *err)
{
    char key[STATE_KEY_MAX];
    struct slice prefix = {key, (uint32_t)state_key_partition(key, topic, partition->number)};
    struct loading loading = {.partition = partition, .items = items, .err = err};
    loading.marks = mem_zalloc((items / 64 + 1) * sizeof *loading.marks);
    partition->journal.last = INT64_MIN;
    int status = state_view_scan(view, STATE_PAIRS, prefix, visit_table, &loading, err);
    if (status == 0)
        status = state_view_scan(view, STATE_JOURNAL, prefix, visit_record, &loading, err);
    free(loading.marks);
    return status;
}
