#include "consumer/consumer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "consumer/consumer_parts.h"
#include "consumer/dead_letters.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#define TICK_MS 100
#define CONTROL_POLLS_MAX 64 /* callbacks served in one tick while nothing is taken */
#define IDLE_POLLS_MAX 1024  /* polls of one take that bring no record, beyond its events_max */

/* ---- taking ---- */

static void copy_record(struct batch *batch, struct event *event, const rd_kafka_message_t *message)
{
    char *copy = batch_alloc(batch, message->key_len + message->len);
    if (message->key != NULL) {
        memcpy(copy, message->key, message->key_len);
        event->key = (struct slice){copy, (uint32_t)message->key_len};
    }
    if (message->payload != NULL) {
        memcpy(copy + message->key_len, message->payload, message->len);
        event->bytes = (struct slice){copy + message->key_len, (uint32_t)message->len};
    }
}

static void add_event(struct consumer *consumer, struct batch *batch, bool items,
                      const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t kind;
    int64_t ts_ms = rd_kafka_message_timestamp(message, &kind);
    struct event *event = batch_add(batch);
    event->partition = message->partition;
    event->offset = message->offset;
    event->record_ts_ms =
        kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || ts_ms < 0 ? clock_wall_ms() : ts_ms;
    copy_record(batch, event, message);
    if (items)
        decode_item(&consumer->settings.decode, batch, event);
    else
        decode_event(&consumer->settings.decode, batch, event);
}

static bool is_of_items(const struct consumer *consumer, const rd_kafka_message_t *message)
{
    return message->rkt != NULL &&
           strcmp(rd_kafka_topic_name(message->rkt), consumer->settings.topic) != 0;
}

/* auto.offset.reset=error: the next offset is not in the log any more, or not yet. */
static void fail_out_of_range(struct consumer *consumer, const rd_kafka_message_t *message)
{
    struct error err;
    error_set(&err, ERR_SETTINGS,
              "history: partition %d of %s: %s: the state and the log do not fit; begin anew "
              "with `freshet reset`",
              (int)message->partition,
              message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : consumer->settings.topic,
              rd_kafka_message_errstr(message));
    notices_fail(consumer, &err);
}

static void take_error(struct consumer *consumer, const rd_kafka_message_t *message)
{
    struct error err;
    struct position *position =
        assignment_position(consumer, is_of_items(consumer, message), message->partition);
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: /* passes over what is no record: markers, holes */
        if (position != NULL && message->offset > position->next)
            position->next = message->offset;
        return;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        if (position != NULL)
            fail_out_of_range(consumer, message);
        return;
    default:
        error_set(&err, ERR_DOWN, "kafka: %s", rd_kafka_message_errstr(message));
        notices_trouble(consumer, &err);
    }
}

/* Returns whether the message became an event. */
static bool take_message(struct consumer *consumer, struct batch *batch,
                         const rd_kafka_message_t *message)
{
    if (message->err) {
        take_error(consumer, message);
        return false;
    }
    bool items = is_of_items(consumer, message);
    struct position *position = assignment_position(consumer, items, message->partition);
    notices_recovered(consumer);
    if (position == NULL || message->offset < position->next)
        return false;
    position->next = message->offset + 1;
    add_event(consumer, batch, items, message);
    return true;
}

static rd_kafka_message_t *next_message(struct consumer *consumer)
{
    rd_kafka_message_t *message = consumer->held;
    consumer->held = NULL;
    return message != NULL ? message : rd_kafka_consumer_poll(consumer->client, 0);
}

static void stop_holding(struct consumer *consumer)
{
    consumer->taken_at_ns = clock_monotonic_ns();
    if (!consumer->holding)
        return;
    consumer->holding = false;
    assignment_resume(consumer);
}

size_t consumer_take(struct consumer *consumer, struct batch *batch, size_t events_max)
{
    size_t taken = 0, idle = 0;
    if (!consumer_takes(consumer))
        return 0;
    stop_holding(consumer);
    while (taken < events_max && idle < IDLE_POLLS_MAX && !consumer->notices.failed) {
        rd_kafka_message_t *message = next_message(consumer);
        if (message == NULL)
            return taken;
        if (take_message(consumer, batch, message))
            taken++;
        else
            idle++;
        rd_kafka_message_destroy(message);
    }
    if (idle == IDLE_POLLS_MAX) /* librdkafka wakes us only when its queue was empty */
        uv_async_send(&consumer->wake);
    return taken;
}

/* ---- the loop's side ---- */

/* Serves rebalances and errors while nothing is taken. Fetching is paused then, so no record should
 * come; one that does is kept. */
static void poll_control(struct consumer *consumer)
{
    for (int i = 0; i < CONTROL_POLLS_MAX && consumer->held == NULL; i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->client, 0);
        if (message == NULL)
            return;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            consumer->held = message;
            return;
        }
        take_error(consumer, message);
        rd_kafka_message_destroy(message);
    }
}

static void hold_if_idle(struct consumer *consumer)
{
    int64_t idle_ns = clock_monotonic_ns() - consumer->taken_at_ns;
    if (consumer->holding || !consumer_takes(consumer) || idle_ns < CONSUMER_HOLD_MS * 1000000LL)
        return;
    consumer->holding = true;
    assignment_pause(consumer);
}

static void serve(struct consumer *consumer)
{
    struct error err;
    dead_letters_report(consumer->letters);
    if (consumer->closing.begun || !consumer->started)
        return;
    if (dead_letters_check(consumer->letters, &err) != 0)
        notices_fail(consumer, &err);
    if (consumer->holding || !consumer_takes(consumer))
        poll_control(consumer);
    notices_tell(consumer);
    if (consumer_takes(consumer))
        consumer->hooks.ready(consumer->arg);
}

void consumer_on_wake(uv_async_t *handle)
{
    struct consumer *consumer = handle->data;
    if (consumer->closing.begun)
        closing_on_wake(consumer);
    else
        serve(consumer);
}

static void on_tick(uv_timer_t *timer)
{
    struct consumer *consumer = timer->data;
    hold_if_idle(consumer);
    notices_probe(consumer);
    serve(consumer);
}

const char *consumer_cluster_id(const struct consumer *consumer)
{
    return consumer->cluster_id;
}

int consumer_partition_count(const struct consumer *consumer)
{
    return consumer->partition_count;
}

int consumer_start(struct consumer *consumer, struct error *err)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, consumer->settings.topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t failed = rd_kafka_subscribe(consumer->client, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (failed)
        return error_set(err, ERR_DOWN, "kafka: joining group %s: %s", consumer->settings.group,
                         rd_kafka_err2str(failed));
    consumer->started = true;
    consumer->taken_at_ns = clock_monotonic_ns();
    uv_timer_start(&consumer->tick, on_tick, TICK_MS, TICK_MS);
    return 0;
}

/* ---- the rest ---- */

void consumer_pause(struct consumer *consumer)
{
    consumer->paused = true;
    if (consumer->started && !consumer->holding)
        assignment_pause(consumer);
}

/* Offsets of partitions that are ours no longer are another's to commit. */
void consumer_settle(struct consumer *consumer, const struct settled_offset *offsets, size_t count)
{
    if (consumer->closing.begun || rd_kafka_assignment_lost(consumer->client))
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        struct position *position = assignment_position(consumer, false, offsets[i].partition);
        if (position == NULL)
            continue;
        position->settled = offsets[i].next_offset;
        rd_kafka_topic_partition_list_add(list, consumer->settings.topic, offsets[i].partition)
            ->offset = offsets[i].next_offset;
    }
    if (list->cnt > 0)
        rd_kafka_commit(consumer->client, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}

int consumer_send_dead_letter(struct consumer *consumer, struct slice key, struct slice json,
                              uint64_t token, dead_letter_cb delivered, void *arg,
                              struct error *err)
{
    if (consumer->closing.begun)
        return error_set(err, ERR_DOWN, "dead letter: the consumer is closing");
    return dead_letters_send(consumer->letters, key, json, token, delivered, arg, err);
}

/* The end of the log by what the fetches brought, or by the check at assignment before the first of
 * them. */
static int64_t known_end(const struct consumer *consumer, int partition)
{
    int64_t low, high, end = consumer->events.of[partition].end;
    if (rd_kafka_get_watermark_offsets(consumer->client, consumer->settings.topic, partition, &low,
                                       &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        high > end)
        end = high;
    return end;
}

int64_t consumer_lag(const struct consumer *consumer)
{
    int64_t lag = 0;
    if (!consumer->has_assignment || consumer->closing.begun)
        return -1;
    for (int i = 0; i < consumer->events.count; i++) {
        const struct position *position = &consumer->events.of[i];
        if (!position->assigned)
            continue;
        int64_t end = known_end(consumer, i);
        if (end < 0)
            return -1;
        lag += end > position->next ? end - position->next : 0;
    }
    return lag;
}

/* When it was assigned; if nobody could say so then, what the fetches brought since. */
static int64_t end_at_assignment(const struct consumer *consumer, const char *topic, int partition,
                                 const struct position *position)
{
    int64_t low, high = -1;
    if (position->end < 0)
        rd_kafka_get_watermark_offsets(consumer->client, topic, partition, &low, &high);
    return position->end < 0 ? high : position->end;
}

static bool has_caught_up(const struct consumer *consumer, const char *topic,
                          const struct positions *positions)
{
    for (int i = 0; i < positions->count; i++) {
        const struct position *position = &positions->of[i];
        int64_t end =
            position->assigned ? end_at_assignment(consumer, topic, i, position) : position->next;
        if (end < 0 || position->next < end)
            return false;
    }
    return true;
}

bool consumer_has_caught_up(const struct consumer *consumer)
{
    const struct consumer_settings *settings = &consumer->settings;
    return consumer->has_assignment && !consumer->closing.begun &&
           has_caught_up(consumer, settings->topic, &consumer->events) &&
           has_caught_up(consumer, settings->items_topic, &consumer->items);
}
