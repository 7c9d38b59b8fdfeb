#include "base/clock.h"
#include "base/failpoint.h"
#include "consumer/consumer_parts.h"

#include <librdkafka/rdkafka.h>

#define PROBE_EVERY_MS 1000

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
    notices->suspected = false;
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

/* librdkafka says that all brokers are down when they are so at the same instant. Those that go and
 * are tried again in turns never are, so that the last of them need not be told of. */
void notices_lost(struct consumer *consumer)
{
    if (consumer->notices.suspected && !consumer->notices.down)
        notices_trouble(consumer, &consumer->notices.suspicion);
}

static bool is_away(int what)
{
    return what == RD_KAFKA_RESP_ERR__TRANSPORT || what == RD_KAFKA_RESP_ERR__RESOLVE;
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
        return consumer->started && !FAILPOINT_FAILS("kafka.down");
    default:
        return is_away(what) && !consumer->started;
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
        return;
    }
    error_set(&err, ERR_DOWN, "kafka: %s", reason);
    if (is_trouble(consumer, what)) {
        notices_trouble(consumer, &err);
    } else if (is_away(what) || what == RD_KAFKA_RESP_ERR__TIMED_OUT) {
        consumer->notices.suspected = true;
        consumer->notices.suspicion = err;
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

/* Of a broker; librdkafka's own errors are below 0. */
static bool is_answer(rd_kafka_resp_err_t what)
{
    return what > RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void on_commit(rd_kafka_t *client, rd_kafka_resp_err_t what,
                      rd_kafka_topic_partition_list_t *offsets, void *opaque)
{
    struct consumer *consumer = opaque;
    struct error err;
    consumer->notices.probing = false;
    if (consumer->closing.begun)
        return;
    if (what == RD_KAFKA_RESP_ERR_NO_ERROR || (is_stale_commit(what) && is_answer(what)))
        notices_recovered(consumer);
    if (what == RD_KAFKA_RESP_ERR_NO_ERROR || is_stale_commit(what))
        return;
    error_set(&err, ERR_DOWN, "kafka: committing offsets: %s", rd_kafka_err2str(what));
    notices_trouble(consumer, &err);
}

void notices_configure(struct rd_kafka_conf_s *conf)
{
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
}

/* ---- is anybody there? ---- */

/* librdkafka says when all brokers are gone, but not when one is back, and an idle topic would tell
 * nothing either. So what is settled is committed once more: the answer is on_commit's to hear. (Of
 * the requests that do not hold up the loop, those of the admin interface can end the process:
 * librdkafka 2.0.2 counts its references wrongly when the coordinator goes while it is asked.) */
static void ask(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (int i = 0; i < consumer->events.count; i++)
        if (consumer->events.of[i].assigned)
            rd_kafka_topic_partition_list_add(list, consumer->settings.topic, i)->offset =
                consumer->events.of[i].settled;
    consumer->notices.probing =
        list->cnt > 0 && rd_kafka_commit(consumer->client, list, 1) == RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_destroy(list);
}

void notices_probe(struct consumer *consumer)
{
    struct notices *notices = &consumer->notices;
    int64_t now_ns = clock_monotonic_ns();
    if (!notices->down || notices->probing || !consumer->has_assignment ||
        now_ns - notices->probed_at_ns <= PROBE_EVERY_MS * 1000000LL)
        return;
    notices->probed_at_ns = now_ns;
    ask(consumer);
}
