#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "consumer/consumer_parts.h"
#include "consumer/topics.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

/* One assignment in the making. */
struct assigning {
    struct consumer *consumer;
    rd_kafka_topic_partition_list_t *list;
    int64_t deadline_ns; /* for all checks together */
    bool skipped;        /* one of them had no answer */
};

static int ms_left(const struct assigning *assigning)
{
    int64_t left_ms = (assigning->deadline_ns - clock_monotonic_ns()) / 1000000;
    return left_ms > 0 ? (int)left_ms : 0;
}

/* ---- positions ---- */

struct position *assignment_position(struct consumer *consumer, bool items, int32_t partition)
{
    struct positions *positions = items ? &consumer->items : &consumer->events;
    if (partition < 0 || partition >= positions->count || !positions->of[partition].assigned)
        return NULL;
    return &positions->of[partition];
}

static void reset_positions(struct positions *positions, int count)
{
    positions->of = mem_array(positions->of, (size_t)count, sizeof *positions->of);
    memset(positions->of, 0, (size_t)count * sizeof *positions->of);
    positions->count = count;
}

void assignment_deinit(struct consumer *consumer)
{
    free(consumer->events.of);
    free(consumer->items.of);
}

/* ---- the checks ---- */

/* Kafka does not answer now: the fetch itself will find out what the check would have (records out
 * of range are an error, not a reason to jump). */
static void check_skipped(struct assigning *assigning, const struct error *err)
{
    assigning->skipped = true;
    notices_trouble(assigning->consumer, err);
}

static int check_start(const char *topic, int32_t partition, int64_t start, int64_t low,
                       int64_t high, struct error *err)
{
    if (start < low)
        return error_set(err, ERR_SETTINGS,
                         "history: partition %d of %s: the log begins at offset %" PRId64
                         " now, the state goes on from %" PRId64
                         ": what lies between was deleted; put back a newer "
                         "backup (`freshet restore`) or begin anew with `freshet reset`",
                         (int)partition, topic, low, start);
    if (start > high)
        return error_set(err, ERR_SETTINGS,
                         "history: partition %d of %s: the log ends at offset %" PRId64
                         ", the state goes on from %" PRId64
                         ": the topic was cut or made anew; put back a backup "
                         "that fits (`freshet restore`) or begin anew with `freshet reset`",
                         (int)partition, topic, high, start);
    return 0;
}

/* Where to start in one partition, checked against the ends of its log. */
static int add_partition(struct assigning *assigning, bool items, int32_t partition,
                         struct error *err)
{
    struct consumer *consumer = assigning->consumer;
    const char *topic = items ? consumer->settings.items_topic : consumer->settings.topic;
    struct position *position = &(items ? &consumer->items : &consumer->events)->of[partition];
    int64_t start = consumer->hooks.start_offset(items, partition, consumer->arg);
    bool from_begin = start == CONSUMER_START_OF_LOG;
    int64_t low = 0, high = -1;
    struct error skipped;
    if (topic_ends(consumer->client, topic, partition, ms_left(assigning), &low, &high, &skipped) !=
        0) {
        check_skipped(assigning, &skipped);
        low = 0;
        high = -1;
    } else if (!from_begin) {
        int failed = check_start(topic, partition, start, low, high, err);
        if (failed)
            return failed;
    }
    int64_t next = from_begin ? low : start; /* the state lacks nothing below it */
    *position = (struct position){true, next, high, next};
    rd_kafka_topic_partition_list_add(assigning->list, topic, partition)->offset =
        from_begin ? RD_KAFKA_OFFSET_BEGINNING : start;
    return 0;
}

/* Users are spread over the partitions by number: with another count a user's events would land in
 * a partition whose state knows nothing of them. */
static int check_partition_count(struct assigning *assigning, struct error *err)
{
    struct consumer *consumer = assigning->consumer;
    struct error skipped;
    int count;
    if (topic_partitions(consumer->client, consumer->settings.topic, ms_left(assigning), &count,
                         &skipped) != 0) {
        check_skipped(assigning, &skipped);
        return 0;
    }
    if (count == consumer->partition_count)
        return 0;
    return error_set(err, ERR_SETTINGS,
                     "topic %s has %d partitions now, it had %d: users have moved between them; "
                     "put its records into a new topic by key (docs/OPERATING.md), and begin anew "
                     "with that, another consumer.group and `freshet reset`",
                     consumer->settings.topic, count, consumer->partition_count);
}

/* A member with a name that is back before its session has ended is given what it had, whatever it
 * asks for now; the partitions that it lacks would be nobody's. */
static int check_topic(const struct consumer *consumer,
                       const rd_kafka_topic_partition_list_t *partitions, struct error *err)
{
    const struct consumer_settings *settings = &consumer->settings;
    for (int i = 0; i < partitions->cnt; i++)
        if (strcmp(partitions->elems[i].topic, settings->topic) != 0)
            return error_set(err, ERR_SETTINGS,
                             "kafka: group %s still gives consumer.instance \"%s\" partitions of "
                             "topic %s, which reads %s now: take another consumer.group with "
                             "another topic",
                             settings->group, settings->instance, partitions->elems[i].topic,
                             settings->topic);
    return 0;
}

static int add_events(struct assigning *assigning,
                      const rd_kafka_topic_partition_list_t *partitions, struct error *err)
{
    struct consumer *consumer = assigning->consumer;
    int failed = check_topic(consumer, partitions, err);
    if (!failed)
        failed = check_partition_count(assigning, err);
    reset_positions(&consumer->events, consumer->partition_count);
    for (int i = 0; i < partitions->cnt && !failed; i++)
        if (partitions->elems[i].partition < consumer->partition_count)
            failed = add_partition(assigning, false, partitions->elems[i].partition, err);
    return failed;
}

static int add_items(struct assigning *assigning, struct error *err)
{
    struct consumer *consumer = assigning->consumer;
    if (!consumer->has_items)
        return 0;
    int count = consumer->items.count;
    struct error skipped;
    if (topic_partitions(consumer->client, consumer->settings.items_topic, ms_left(assigning),
                         &count, &skipped) != 0) {
        check_skipped(assigning, &skipped);
        count = consumer->items.count;
    }
    reset_positions(&consumer->items, count);
    int failed = 0;
    for (int i = 0; i < count && !failed; i++)
        failed = add_partition(assigning, true, i, err);
    return failed;
}

/* ---- what the group wants ---- */

static void drop_held(struct consumer *consumer)
{
    if (consumer->held != NULL)
        rd_kafka_message_destroy(consumer->held);
    consumer->held = NULL;
}

static void tell(struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions,
                 void (*hook)(const int32_t *partitions, size_t count, void *arg))
{
    size_t count = (size_t)partitions->cnt;
    int32_t *numbers = mem_array(NULL, count, sizeof *numbers);
    for (size_t i = 0; i < count; i++)
        numbers[i] = partitions->elems[i].partition;
    hook(numbers, count, consumer->arg);
    free(numbers);
}

static void begin_fetching(struct consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_assign(consumer->client, list);
    if (consumer->paused || consumer->holding)
        rd_kafka_pause_partitions(consumer->client, list);
    else
        rd_kafka_resume_partitions(consumer->client, list); /* a pause outlives its assignment */
}

static void assign(struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    struct error err;
    struct assigning assigning = {.consumer = consumer,
                                  .list = rd_kafka_topic_partition_list_new(partitions->cnt),
                                  .deadline_ns =
                                      clock_monotonic_ns() + CONSUMER_CHECK_MS * 1000000LL};
    if (add_events(&assigning, partitions, &err) == 0 && add_items(&assigning, &err) == 0) {
        FAILPOINT("assign.checked");
        if (!assigning.skipped)
            notices_recovered(consumer);
        begin_fetching(consumer, assigning.list);
        consumer->has_assignment = true;
        tell(consumer, partitions, consumer->hooks.assigned);
    } else {
        rd_kafka_assign(consumer->client, NULL);
        notices_fail(consumer, &err);
    }
    rd_kafka_topic_partition_list_destroy(assigning.list);
}

static void unassign(struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    drop_held(consumer);
    consumer->has_assignment = false;
    if (rd_kafka_assignment_lost(consumer->client))
        notices_lost(consumer);
    reset_positions(&consumer->events, consumer->events.count);
    reset_positions(&consumer->items, consumer->items.count);
    tell(consumer, partitions, consumer->hooks.revoked);
    rd_kafka_assign(consumer->client, NULL);
}

/* Eager: all partitions come at once and go at once. */
static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t what,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct consumer *consumer = opaque;
    bool assigns = what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (consumer->closing.begun || consumer->notices.failed || (assigns && consumer->paused))
        rd_kafka_assign(client, NULL); /* who is leaving takes nothing over */
    else if (assigns)
        assign(consumer, partitions);
    else
        unassign(consumer, partitions);
}

void assignment_configure(struct rd_kafka_conf_s *conf)
{
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
}

/* ---- holding back ---- */

static void with_assignment(struct consumer *consumer,
                            rd_kafka_resp_err_t (*act)(rd_kafka_t *client,
                                                       rd_kafka_topic_partition_list_t *list))
{
    rd_kafka_topic_partition_list_t *list;
    if (rd_kafka_assignment(consumer->client, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    if (list->cnt > 0)
        act(consumer->client, list);
    rd_kafka_topic_partition_list_destroy(
        list); /* it holds on to what rd_kafka_destroy waits for */
}

void assignment_pause(struct consumer *consumer)
{
    with_assignment(consumer, rd_kafka_pause_partitions);
}

void assignment_resume(struct consumer *consumer)
{
    with_assignment(consumer, rd_kafka_resume_partitions);
}
