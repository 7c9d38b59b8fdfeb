/* Kafka: a log that grows, a group that rebalances, offsets committed late or never, dead letters
 * that arrive, do not, or arrive although we are told that they did not. In place of consumer/
 * but for its events and the text of dead letters. */
#include "consumer/consumer.h"
#include "daemon/line.h"
#include "tests/sim/process.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS_MAX 64
#define TOPICS 2 /* events, items */

struct letter {
    bool used;
    uint64_t token;
    dead_letter_cb delivered;
    void *arg;
    bool items;
    int32_t partition;
    int64_t offset;
};

static struct {
    int64_t end[STREAM_PARTITIONS_MAX], items_end; /* of the log, so far */
    int64_t group[STREAM_PARTITIONS_MAX];
    int64_t group_sent[STREAM_PARTITIONS_MAX]; /* on its way; -1 none */
    bool delivered[TOPICS][STREAM_PARTITIONS_MAX][STREAM_RECORDS_MAX];

    bool assigned[STREAM_PARTITIONS_MAX], member; /* has an assignment, maybe of none */
    int64_t next[STREAM_PARTITIONS_MAX], items_next;
    bool paused, ready_due;
    struct letter letters[LETTERS_MAX];
} kafka;

void kafka_begin(void)
{
    memset(&kafka, 0, sizeof kafka);
    for (int p = 0; p < STREAM_PARTITIONS_MAX; p++)
        kafka.group_sent[p] = -1;
}

int64_t kafka_end(int32_t partition)
{
    return kafka.end[partition];
}

bool kafka_was_delivered(bool items, int32_t partition, int64_t offset)
{
    return kafka.delivered[items][partition][offset];
}

/* -- the log ----------------------------------------------------------------------------------- */

static void produce(int partition)
{
    int64_t left = partition < stream.partitions ? stream.at[partition].count - kafka.end[partition]
                                                 : stream.item_record_count - kafka.items_end;
    int64_t more = 1 + (int64_t)sim_below(sim_chance(20) ? 40 : 3);
    more = more < left ? more : left;
    if (partition < stream.partitions)
        kafka.end[partition] += more;
    else
        kafka.items_end += more;
    kafka.ready_due = true;
}

static bool is_left(int partition)
{
    return partition < stream.partitions ? kafka.end[partition] < stream.at[partition].count
                                         : kafka.items_end < stream.item_record_count;
}

/* -- the group --------------------------------------------------------------------------------- */

static int64_t start_of(bool items, int32_t partition)
{
    int64_t start = process_start_offset(items, partition);
    int64_t end = items ? kafka.items_end : kafka.end[partition];
    sim_check(start == CONSUMER_START_OF_LOG || (start >= 0 && start <= end),
              "the state goes on from offset %lld of %lld", (long long)start, (long long)end);
    return start == CONSUMER_START_OF_LOG ? 0 : start;
}

static void revoke_all(void)
{
    int32_t gone[STREAM_PARTITIONS_MAX];
    size_t count = 0;
    for (int p = 0; p < stream.partitions; p++)
        if (kafka.assigned[p])
            gone[count++] = p;
    memset(kafka.assigned, 0, sizeof kafka.assigned);
    if (sim_chance(50)) /* the session was lost: what is on its way is not ours to commit */
        for (int p = 0; p < stream.partitions; p++)
            kafka.group_sent[p] = -1;
    kafka.member = false;
    sim_trace("kafka: %zu partitions revoked", count);
    process_revoked(gone, count);
}

static void assign_some(void)
{
    int32_t ours[STREAM_PARTITIONS_MAX];
    size_t count = 0;
    bool all = sim.calm || sim_chance(60);
    for (int p = 0; p < stream.partitions; p++)
        if (all || sim_chance(60))
            ours[count++] = p;
    for (size_t i = 0; i < count; i++) {
        kafka.next[ours[i]] = start_of(false, ours[i]);
        kafka.assigned[ours[i]] = true;
    }
    kafka.items_next = start_of(true, 0);
    kafka.member = kafka.ready_due = true;
    sim_trace("kafka: %zu partitions assigned", count);
    process_assigned(ours, count);
}

static void rebalance(int arg)
{
    (void)arg;
    if (kafka.member)
        revoke_all();
    else
        assign_some();
}

static bool has_all(void)
{
    for (int p = 0; p < stream.partitions; p++)
        if (!kafka.assigned[p])
            return false;
    return kafka.member;
}

/* -- taking ------------------------------------------------------------------------------------ */

static bool take_one(struct batch *batch)
{
    int first = (int)sim_below((uint32_t)stream.partitions + 1);
    for (int i = 0; i <= stream.partitions; i++) {
        int p = (first + i) % (stream.partitions + 1);
        if (p == stream.partitions && kafka.items_next < kafka.items_end) {
            stream_event(batch, true, 0, kafka.items_next++);
            return true;
        }
        if (p < stream.partitions && kafka.assigned[p] && kafka.next[p] < kafka.end[p]) {
            stream_event(batch, false, p, kafka.next[p]++);
            return true;
        }
    }
    return false;
}

size_t consumer_take(struct consumer *consumer, struct batch *batch, size_t events_max)
{
    (void)consumer;
    size_t taken = 0;
    if (kafka.paused || process_is_leaving())
        return 0;
    while (taken < events_max) {
        if (!sim.calm && sim_chance(sim.mood.rebalance > 0 ? 2 : 0)) {
            rebalance(0);      /* librdkafka serves the group inside a poll */
            if (!kafka.member) /* what is in the batch comes again */
                rebalance(0);
        }
        if (!kafka.member || !take_one(batch))
            break;
        taken++;
    }
    if (taken > 0)
        sim_trace("kafka: %zu records taken", taken);
    return taken;
}

void consumer_settle(struct consumer *consumer, const struct settled_offset *offsets, size_t count)
{
    (void)consumer;
    for (size_t i = 0; i < count; i++) {
        int32_t p = offsets[i].partition;
        sim_check(offsets[i].next_offset <= checks_durable(p),
                  "offset %lld of partition %d is settled, durable is %lld",
                  (long long)offsets[i].next_offset, p, (long long)checks_durable(p));
        if (kafka.assigned[p])
            kafka.group_sent[p] = offsets[i].next_offset;
    }
}

static void group_commit(int p)
{
    int64_t offset = kafka.group_sent[p];
    kafka.group_sent[p] = -1;
    if (!sim.calm && sim_chance(sim.mood.group_fails))
        return;
    kafka.group[p] = offset;
    sim_check(offset <= checks_durable(p), "the group's offset is ahead of the state's");
}

bool consumer_has_caught_up(const struct consumer *consumer)
{
    return true; /* no state here takes another's place */
}

void consumer_pause(struct consumer *consumer)
{
    (void)consumer;
    kafka.paused = true;
}

static void ready(int arg)
{
    (void)arg;
    kafka.ready_due = false;
    process_records_ready();
}

/* -- dead letters ------------------------------------------------------------------------------ */

static int64_t number_after(struct slice json, const char *name)
{
    const char *at = memmem(json.data, json.length, name, strlen(name));
    sim_check(at != NULL, "a dead letter says no %s", name);
    return strtoll(at + strlen(name), NULL, 10);
}

int consumer_send_dead_letter(struct consumer *consumer, struct slice key, struct slice json,
                              uint64_t token, dead_letter_cb delivered, void *arg,
                              struct error *err)
{
    (void)consumer;
    (void)key;
    int place = 0;
    while (place < LETTERS_MAX && kafka.letters[place].used)
        place++;
    if (place == LETTERS_MAX || process_is_leaving() ||
        (!sim.calm && sim_chance(sim.mood.letter_fails)))
        return error_set(err, ERR_DOWN, "the producer's queue is full");
    if (json.data == NULL) { /* a forgotten user's tombstone */
        kafka.letters[place] = (struct letter){true, token, delivered, arg, false, -1, -1};
        return 0;
    }
    bool items = memmem(json.data, json.length, "\"items\"", 7) != NULL;
    kafka.letters[place] = (struct letter){true,
                                           token,
                                           delivered,
                                           arg,
                                           items,
                                           (int32_t)number_after(json, "\"partition\":"),
                                           number_after(json, "\"offset\":")};
    const struct letter *letter = &kafka.letters[place];
    sim_check(stream_is_dead(items, letter->partition, letter->offset),
              "a good event is a dead letter: offset %lld of partition %d",
              (long long)letter->offset, letter->partition);
    return 0;
}

static void arrive(const struct letter *letter)
{
    if (letter->offset >= 0)
        kafka.delivered[letter->items][letter->partition][letter->offset] = true;
}

/* It arrives and we hear of it, or one of both, or neither. */
static void answer_letter(int place)
{
    struct letter letter = kafka.letters[place];
    bool fails = !sim.calm && sim_chance(sim.mood.letter_fails);
    kafka.letters[place].used = false;
    if (!fails || sim_chance(30))
        arrive(&letter);
    letter.delivered(!fails, letter.token, letter.arg);
}

/* -- together ---------------------------------------------------------------------------------- */

void kafka_choices(struct choices *choices)
{
    for (int p = 0; p <= stream.partitions; p++)
        choices_add(choices, is_left(p) ? sim.mood.kafka : 0, "produce", produce, p);
    if (!process_is_running())
        return;
    bool wants = !has_all() && (sim.calm || !kafka.member);
    if (!process_is_leaving())
        choices_add(choices,
                    wants      ? sim.mood.kafka
                    : sim.calm ? 0
                               : sim.mood.rebalance,
                    "rebalance", rebalance, 0);
    for (int p = 0; p < stream.partitions; p++)
        choices_add(choices, kafka.group_sent[p] >= 0 ? sim.mood.kafka : 0, "group commit",
                    group_commit, p);
    choices_add(choices, kafka.ready_due && kafka.member ? sim.mood.kafka : 0, "ready", ready, 0);
    for (int i = 0; i < LETTERS_MAX; i++)
        choices_add(choices, kafka.letters[i].used ? sim.mood.kafka : 0, "dead letter",
                    answer_letter, i);
}

/* The process is gone: what it sent arrives or not. */
void kafka_crash(void)
{
    for (int i = 0; i < LETTERS_MAX; i++)
        if (kafka.letters[i].used && sim_chance(50))
            arrive(&kafka.letters[i]);
    for (int p = 0; p < STREAM_PARTITIONS_MAX; p++) {
        if (kafka.group_sent[p] >= 0 && sim_chance(50))
            group_commit(p);
        kafka.group_sent[p] = -1;
    }
    memset(kafka.letters, 0, sizeof kafka.letters);
    memset(kafka.assigned, 0, sizeof kafka.assigned);
    kafka.member = kafka.paused = kafka.ready_due = false;
}

/* Every letter gets its callback before the consumer is closed. */
void kafka_close(void)
{
    for (int i = 0; i < LETTERS_MAX; i++)
        if (kafka.letters[i].used)
            answer_letter(i);
    kafka_crash();
}

bool kafka_is_drained(void)
{
    for (int p = 0; p < stream.partitions; p++)
        if (!kafka.assigned[p] || kafka.next[p] < stream.at[p].count || kafka.group_sent[p] >= 0)
            return false;
    for (int i = 0; i < LETTERS_MAX; i++)
        if (kafka.letters[i].used)
            return false;
    return kafka.items_next == stream.item_record_count && !kafka.ready_due;
}

void kafka_settle_down(void)
{
    for (int p = 0; p < stream.partitions; p++)
        kafka.end[p] = stream.at[p].count;
    kafka.items_end = stream.item_record_count;
    kafka.ready_due = true;
}
