#include "base/clock.h"
#include "base/mem.h"
#include "consumer/consumer_parts.h"
#include "consumer/dead_letters.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#define POLL_MS 50

/* librdkafka's way out blocks, so a thread of our own walks it, while the loop waits for the thread
 * or the deadline. Whoever of the two comes last frees the struct. */

static int ms_left(const struct consumer *consumer)
{
    int64_t left_ms = (consumer->closing.deadline_ns - clock_monotonic_ns()) / 1000000;
    return left_ms > 0 ? (int)left_ms : 0;
}

static void free_consumer(struct consumer *consumer)
{
    dead_letters_free(consumer->letters);
    assignment_deinit(consumer);
    pthread_mutex_destroy(&consumer->closing.mutex);
    free(consumer->cluster_id);
    free(consumer);
}

/* ---- the thread ---- */

/* rd_kafka_consume_queue, since rd_kafka_queue_poll_callback aborts the process where records that
 * nobody took are in the queue. */
static void serve_or_drop(rd_kafka_queue_t *queue)
{
    rd_kafka_message_t *message = rd_kafka_consume_queue(queue, POLL_MS);
    if (message != NULL)
        rd_kafka_message_destroy(message);
}

/* Leaves the group as long as the time allows; a static member stays in it, for its return. */
static void leave_group(struct consumer *consumer)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->client);
    rd_kafka_error_t *refused = rd_kafka_consumer_close_queue(consumer->client, queue);
    if (refused != NULL)
        rd_kafka_error_destroy(refused);
    else
        while (!rd_kafka_consumer_closed(consumer->client) && ms_left(consumer) > 0)
            serve_or_drop(queue);
    rd_kafka_queue_destroy(queue);
}

static void *close_client(void *arg)
{
    struct consumer *consumer = arg;
    struct closing *closing = &consumer->closing;
    dead_letters_finish(consumer->letters, ms_left(consumer) / 2);
    if (consumer->started)
        leave_group(consumer);
    rd_kafka_destroy_flags(consumer->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);

    pthread_mutex_lock(&closing->mutex);
    bool abandoned = closing->abandoned;
    closing->finished = true;
    if (!abandoned)
        uv_async_send(&consumer->wake);
    pthread_mutex_unlock(&closing->mutex);
    if (abandoned)
        free_consumer(consumer);
    return NULL;
}

/* ---- the loop ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct consumer *consumer = handle->data;
    struct closing *closing = &consumer->closing;
    if (--closing->handles_open > 0)
        return;
    void (*closed)(void *arg) = closing->closed;
    void *closed_arg = closing->arg;

    pthread_mutex_lock(&closing->mutex);
    bool finished = closing->finished;
    closing->abandoned = !finished;
    pthread_mutex_unlock(&closing->mutex);
    if (finished) {
        pthread_join(closing->thread, NULL);
        free_consumer(consumer);
    } else {
        pthread_detach(closing->thread);
    }
    closed(closed_arg);
}

static void close_handles(struct consumer *consumer)
{
    if (consumer->closing.handles_open > 0)
        return;
    consumer->closing.handles_open = 2;
    uv_close((uv_handle_t *)&consumer->wake, on_handle_closed);
    uv_close((uv_handle_t *)&consumer->tick, on_handle_closed);
}

static void on_deadline(uv_timer_t *timer)
{
    struct consumer *consumer = timer->data;
    dead_letters_abandon(consumer->letters);
    close_handles(consumer);
}

void closing_on_wake(struct consumer *consumer)
{
    struct closing *closing = &consumer->closing;
    pthread_mutex_lock(&closing->mutex);
    bool finished = closing->finished;
    pthread_mutex_unlock(&closing->mutex);
    if (!finished || closing->handles_open > 0)
        return;
    dead_letters_report(consumer->letters);
    close_handles(consumer);
}

/* What holds references that would keep rd_kafka_destroy waiting. */
static void let_go(struct consumer *consumer)
{
    if (consumer->held != NULL)
        rd_kafka_message_destroy(consumer->held);
    consumer->held = NULL;
    rd_kafka_queue_cb_event_enable(consumer->queue, NULL, NULL);
    rd_kafka_queue_destroy(consumer->queue);
}

void consumer_close(struct consumer *consumer, int deadline_ms, void (*closed)(void *arg),
                    void *arg)
{
    struct closing *closing = &consumer->closing;
    closing->begun = true;
    closing->deadline_ns = clock_monotonic_ns() + (int64_t)deadline_ms * 9 / 10 * 1000000;
    closing->closed = closed;
    closing->arg = arg;
    let_go(consumer);
    uv_update_time(consumer->tick.loop);
    uv_timer_start(&consumer->tick, on_deadline, (uint64_t)deadline_ms, 0);
    if (pthread_create(&closing->thread, NULL, close_client, consumer) != 0)
        abort(); /* a process that cannot have a thread is past leaving politely */
}
