#include "base/clock.h"
#include "base/mem.h"
#include "consumer/consumer_parts.h"
#include "consumer/dead_letters.h"
#include "consumer/kafka_config.h"
#include "consumer/topics.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#define REASON_POLLS_MAX 10 /* for the reason why nobody answers, */
#define REASON_POLL_MS 100  /* each */

/* ---- the loop is told ---- */

static void wake_for_queue(rd_kafka_t *client, void *opaque)
{
    struct consumer *consumer = opaque;
    uv_async_send(&consumer->wake);
}

static void wake_for_letters(void *arg)
{
    struct consumer *consumer = arg;
    uv_async_send(&consumer->wake);
}

/* ---- brokers and topics ---- */

static int make_client(struct consumer *consumer, struct error *err)
{
    struct rd_kafka_conf_s *conf = kafka_consumer_config(&consumer->settings, err);
    if (conf == NULL)
        return ERR_SETTINGS;
    rd_kafka_conf_set_opaque(conf, consumer);
    assignment_configure(conf);
    notices_configure(conf);
    int failed = kafka_client(false, conf, &consumer->client, err);
    if (!failed)
        rd_kafka_poll_set_consumer(consumer->client);
    return failed;
}

/* Says why nobody answers, if librdkafka tells soon. */
static int nobody_answers(struct consumer *consumer, int timeout_ms, struct error *err)
{
    for (int i = 0; i < REASON_POLLS_MAX && !consumer->notices.down; i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->client, REASON_POLL_MS);
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
    if (consumer->notices.down)
        return error_set(err, ERR_DOWN, "no broker answers within %d ms: %s", timeout_ms,
                         consumer->notices.trouble.text);
    return error_set(err, ERR_DOWN, "kafka: no broker answers within %d ms", timeout_ms);
}

static int check_names(const struct consumer_settings *settings, struct error *err)
{
    if (settings->topic[0] == '\0' || settings->dead_topic[0] == '\0')
        return error_set(err, ERR_SETTINGS, "consumer.topic and consumer.dead_topic need names");
    if (strcmp(settings->topic, settings->items_topic) == 0 ||
        strcmp(settings->topic, settings->dead_topic) == 0 ||
        strcmp(settings->items_topic, settings->dead_topic) == 0)
        return error_set(err, ERR_SETTINGS, "events, items and dead letters need a topic each");
    return 0;
}

static int look_around(struct consumer *consumer, int timeout_ms, struct error *err)
{
    const struct consumer_settings *settings = &consumer->settings;
    int64_t begun_ns = clock_monotonic_ns();
    char *cluster_id = rd_kafka_clusterid(consumer->client, timeout_ms);
    if (cluster_id == NULL)
        return nobody_answers(consumer, timeout_ms, err);
    consumer->cluster_id = mem_strdup(cluster_id);
    rd_kafka_mem_free(consumer->client, cluster_id);
    timeout_ms -= (int)((clock_monotonic_ns() - begun_ns) / 1000000);

    int create = settings->create_partitions, ignored;
    int failed = topic_ensure(consumer->client, settings->topic, create, false, timeout_ms,
                              &consumer->partition_count, err);
    if (!failed && consumer->has_items)
        failed = topic_ensure(consumer->client, settings->items_topic, create, true, timeout_ms,
                              &consumer->items.count, err);
    if (!failed)
        failed = topic_ensure(consumer->client, settings->dead_topic, create, false, timeout_ms,
                              &ignored, err);
    return failed;
}

static int prepare(struct consumer *consumer, int timeout_ms, struct error *err)
{
    int failed = check_names(&consumer->settings, err);
    if (!failed)
        failed = make_client(consumer, err);
    if (!failed)
        failed = look_around(consumer, timeout_ms, err);
    if (!failed)
        failed = dead_letters_open(&consumer->letters, &consumer->settings, err);
    return failed;
}

static void join_loop(struct consumer *consumer, uv_loop_t *loop)
{
    uv_timer_init(loop, &consumer->tick);
    consumer->wake.data = consumer->tick.data = consumer;
    pthread_mutex_init(&consumer->closing.mutex, NULL);
    consumer->queue = rd_kafka_queue_get_consumer(consumer->client);
    rd_kafka_queue_cb_event_enable(consumer->queue, wake_for_queue, consumer);
    dead_letters_watch(consumer->letters, wake_for_letters, consumer);
}

static void give_up(struct consumer *consumer)
{
    if (consumer->letters != NULL) {
        dead_letters_finish(consumer->letters, 0);
        dead_letters_free(consumer->letters);
    }
    if (consumer->client != NULL)
        rd_kafka_destroy_flags(consumer->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(consumer->cluster_id);
    free(consumer);
}

int consumer_open(struct consumer **consumer, uv_loop_t *loop,
                  const struct consumer_settings *settings, const struct consumer_hooks *hooks,
                  void *arg, int timeout_ms, struct error *err)
{
    struct consumer *opened = mem_zalloc(sizeof *opened);
    opened->settings = *settings;
    opened->hooks = *hooks;
    opened->arg = arg;
    opened->has_items = settings->items_topic[0] != '\0';
    int failed = prepare(opened, timeout_ms, err);
    if (!failed && uv_async_init(loop, &opened->wake, consumer_on_wake) != 0)
        failed = error_set(err, ERR_IO, "consumer: the loop takes no more handles");
    if (failed) {
        give_up(opened);
        return failed;
    }
    opened->notices = (struct notices){0}; /* what went wrong on the way is past */
    join_loop(opened, loop);
    *consumer = opened;
    return 0;
}
