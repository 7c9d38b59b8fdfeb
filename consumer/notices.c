#include "base/clock.h"
#include "consumer/consumer_parts.h"

#include <librdkafka/rdkafka.h>

#define PROBE_EVERY_MS 1000
#define PROBE_TIMEOUT_MS 5000

static void wake(struct consumer *consumer)
{
    if (consumer->started)
        uv_async_send(&consumer->wake);
}

void notices_fail(struct consumer *consumer, const struct error *err)
{
    struct notices *notices = &consumer->notices;
    if (notices->failed)
        return;
    notices->failed = true;
    notices->failure = *err;
    wake(consumer);
}

void notices_trouble(struct consumer *consumer, const struct error *err)
{
    struct notices *notices = &consumer->notices;
    notices->down = notices->health_changed = true;
    notices->trouble = *err;
    wake(consumer);
}

void notices_recovered(struct consumer *consumer)
{
    struct notices *notices = &consumer->notices;
    if (!notices->down)
        return;
    notices->down = false;
    notices->health_changed = true;
    wake(consumer);
}

static void tell_health(struct consumer *consumer)
{
    struct notices *notices = &consumer->notices;
    notices->health_changed = false;
    if (notices->down)
        consumer->hooks.health(&notices->trouble, consumer->arg);
    else if (notices->down_told) /* away and back between two looks is no news */
        consumer->hooks.health(NULL, consumer->arg);
    notices->down_told = notices->down;
}

void notices_tell(struct consumer *consumer)
{
    struct notices *notices = &consumer->notices;
    if (notices->health_changed && !consumer->closing.begun)
        tell_health(consumer);
    if (notices->failed && !notices->failed_told && !consumer->closing.begun) {
        notices->failed_told = true;
        consumer->hooks.failed(&notices->failure, consumer->arg);
    }
}

/* ---- what librdkafka says ---- */

static void fail_fatally(struct consumer *consumer)
{
    char text[ERROR_TEXT_MAX / 2];
    struct error err;
    rd_kafka_resp_err_t what = rd_kafka_fatal_error(consumer->client, text, sizeof text);
    if (what == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
        error_set(&err, ERR_SETTINGS,
                  "kafka: another process runs as consumer.instance \"%s\": each needs its own",
                  consumer->settings.instance);
    else
        error_set(&err, ERR_DOWN, "kafka: %s", text);
    notices_fail(consumer, &err);
}

/* One broker of several that is away, or closes an idle connection, is nobody's trouble. While
 * consumer_open looks for the first, though, that is the reason to name. */
static bool is_trouble(const struct consumer *consumer, int what)
{
    switch (what) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
        return true;
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        return consumer->started;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
        return !consumer->started;
    default:
        return false;
    }
}

static void on_error(rd_kafka_t *client, int what, const char *reason, void *opaque)
{
    struct consumer *consumer = opaque;
    struct error err;
    if (consumer->closing.begun)
        return;
    if (what == RD_KAFKA_RESP_ERR__FATAL) {
        fail_fatally(consumer);
    } else if (is_trouble(consumer, what)) {
        error_set(&err, ERR_DOWN, "kafka: %s", reason);
        notices_trouble(consumer, &err);
    }
}

/* Whether a commit came too late to matter: the partitions have moved, or will. */
static bool is_stale_commit(rd_kafka_resp_err_t what)
{
    return what == RD_KAFKA_RESP_ERR__NO_OFFSET || what == RD_KAFKA_RESP_ERR__DESTROY ||
           what == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
           what == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
           what == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS ||
           what == RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST;
}

static void on_commit(rd_kafka_t *client, rd_kafka_resp_err_t what,
                      rd_kafka_topic_partition_list_t *offsets, void *opaque)
{
    struct consumer *consumer = opaque;
    struct error err;
    if (consumer->closing.begun || is_stale_commit(what))
        return;
    if (what == RD_KAFKA_RESP_ERR_NO_ERROR) {
        notices_recovered(consumer);
        return;
    }
    error_set(&err, ERR_DOWN, "kafka: committing offsets: %s", rd_kafka_err2str(what));
    notices_trouble(consumer, &err);
}

void notices_configure(struct rd_kafka_conf_s *conf)
{
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
}

/* ---- is anybody there? ---- */

/* librdkafka says when all brokers are gone, but not when one is back. An idle topic would tell
 * nothing either, so we ask for the group's offsets, which needs no other right than we have. */
static void ask(struct consumer *consumer)
{
    struct notices *notices = &consumer->notices;
    char text[256];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(consumer->client, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_AdminOptions_set_request_timeout(options, PROBE_TIMEOUT_MS, text, sizeof text);
    rd_kafka_ListConsumerGroupOffsets_t *question =
        rd_kafka_ListConsumerGroupOffsets_new(consumer->settings.group, NULL);
    rd_kafka_ListConsumerGroupOffsets(consumer->client, &question, 1, options, notices->probe);
    rd_kafka_ListConsumerGroupOffsets_destroy(question);
    rd_kafka_AdminOptions_destroy(options);
    notices->probing = true;
}

/* An error from a broker is an answer, too; an error of librdkafka's own is none. */
static void look_at(struct consumer *consumer, rd_kafka_event_t *answer)
{
    rd_kafka_resp_err_t what = rd_kafka_event_error(answer);
    if (what >= RD_KAFKA_RESP_ERR_NO_ERROR)
        notices_recovered(consumer);
}

void notices_probe(struct consumer *consumer)
{
    struct notices *notices = &consumer->notices;
    int64_t now_ns = clock_monotonic_ns();
    if (notices->probing) {
        rd_kafka_event_t *answer = rd_kafka_queue_poll(notices->probe, 0);
        if (answer == NULL)
            return;
        notices->probing = false;
        look_at(consumer, answer);
        rd_kafka_event_destroy(answer);
    } else if (notices->down && now_ns - notices->probed_at_ns > PROBE_EVERY_MS * 1000000LL) {
        notices->probed_at_ns = now_ns;
        ask(consumer);
    }
}
