#include "consumer/dead_letters.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "consumer/kafka_config.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdlib.h>

#define PURGE_MS 1000 /* for the producer to report what it gives up */

struct letter {
    struct letter *next, *prev;
    dead_letter_cb delivered; /* NULL: nobody waits for it any more */
    void *arg;
    uint64_t token;
    bool ok;
};

struct dead_letters {
    rd_kafka_t *producer;
    rd_kafka_queue_t *queue;
    char *topic;
    void (*wake)(void *arg);
    void *wake_arg;
    pthread_mutex_t mutex; /* the lists, which the closing thread fills while the loop looks on */
    struct letter sent;    /* list heads: on their way, */
    struct letter done;    /* and with their fate known, oldest first */
};

/* ---- the two lists: circular, with a head that is no letter ---- */

static void list_init(struct letter *head)
{
    head->next = head->prev = head;
}

static void list_append(struct letter *head, struct letter *letter)
{
    letter->prev = head->prev;
    letter->next = head;
    head->prev->next = letter;
    head->prev = letter;
}

static void list_remove(struct letter *letter)
{
    letter->prev->next = letter->next;
    letter->next->prev = letter->prev;
}

static struct letter *list_pop(struct letter *head)
{
    struct letter *letter = head->next;
    if (letter == head)
        return NULL;
    list_remove(letter);
    return letter;
}

static void list_free(struct letter *head)
{
    for (struct letter *letter; (letter = list_pop(head)) != NULL;)
        free(letter);
}

/* ---- the producer ---- */

/* librdkafka's report; runs in whichever thread polls. */
static void on_report(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    struct dead_letters *letters = opaque;
    struct letter *letter = message->_private;
    FAILPOINT("dead.reported");
    pthread_mutex_lock(&letters->mutex);
    list_remove(letter);
    letter->ok = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    list_append(&letters->done, letter);
    pthread_mutex_unlock(&letters->mutex);
}

static void on_waiting(rd_kafka_t *producer, void *opaque)
{
    struct dead_letters *letters = opaque;
    letters->wake(letters->wake_arg);
}

int dead_letters_open(struct dead_letters **letters, const struct consumer_settings *settings,
                      struct error *err)
{
    struct rd_kafka_conf_s *conf = kafka_producer_config(settings, err);
    if (conf == NULL)
        return ERR_SETTINGS;
    struct dead_letters *opened = mem_zalloc(sizeof *opened);
    rd_kafka_conf_set_opaque(conf, opened);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    int failed = kafka_client(true, conf, &opened->producer, err);
    if (failed) {
        free(opened);
        return failed;
    }
    opened->topic = mem_strdup(settings->dead_topic);
    pthread_mutex_init(&opened->mutex, NULL);
    list_init(&opened->sent);
    list_init(&opened->done);
    opened->queue = rd_kafka_queue_get_main(opened->producer);
    *letters = opened;
    return 0;
}

void dead_letters_watch(struct dead_letters *letters, void (*wake)(void *arg), void *arg)
{
    letters->wake = wake;
    letters->wake_arg = arg;
    rd_kafka_queue_cb_event_enable(letters->queue, on_waiting, letters);
}

int dead_letters_send(struct dead_letters *letters, struct slice key, struct slice json,
                      uint64_t token, dead_letter_cb delivered, void *arg, struct error *err)
{
    struct letter *letter = mem_alloc(sizeof *letter);
    *letter = (struct letter){.delivered = delivered, .arg = arg, .token = token};
    FAILPOINT("dead.send");
    pthread_mutex_lock(&letters->mutex);
    list_append(&letters->sent, letter);
    pthread_mutex_unlock(&letters->mutex);

    rd_kafka_resp_err_t failed = rd_kafka_producev(
        letters->producer, RD_KAFKA_V_TOPIC(letters->topic), RD_KAFKA_V_KEY(key.data, key.length),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)json.data, json.length),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(letter), RD_KAFKA_V_END);
    if (!failed)
        return 0;
    pthread_mutex_lock(&letters->mutex);
    list_remove(letter);
    pthread_mutex_unlock(&letters->mutex);
    free(letter);
    return error_set(err, ERR_DOWN, "dead letter: %s", rd_kafka_err2str(failed));
}

static struct letter *pop_done(struct dead_letters *letters)
{
    pthread_mutex_lock(&letters->mutex);
    struct letter *letter = list_pop(&letters->done);
    pthread_mutex_unlock(&letters->mutex);
    return letter;
}

void dead_letters_report(struct dead_letters *letters)
{
    if (letters->producer != NULL)
        rd_kafka_poll(letters->producer, 0);
    for (struct letter *letter; (letter = pop_done(letters)) != NULL; free(letter))
        if (letter->delivered != NULL)
            letter->delivered(letter->ok, letter->token, letter->arg);
}

int dead_letters_check(const struct dead_letters *letters, struct error *err)
{
    char text[512];
    if (rd_kafka_fatal_error(letters->producer, text, sizeof text) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    return error_set(err, ERR_DOWN, "dead letters: %s: a restart sends them again", text);
}

/* ---- the end ---- */

void dead_letters_finish(struct dead_letters *letters, int timeout_ms)
{
    rd_kafka_queue_cb_event_enable(letters->queue, NULL, NULL);
    rd_kafka_queue_destroy(letters->queue);
    if (rd_kafka_flush(letters->producer, timeout_ms) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_purge(letters->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(letters->producer, PURGE_MS);
    }
    rd_kafka_destroy(letters->producer);
    letters->producer = NULL;
    pthread_mutex_lock(&letters->mutex);
    for (struct letter *letter; (letter = list_pop(&letters->sent)) != NULL;)
        list_append(&letters->done, letter);
    pthread_mutex_unlock(&letters->mutex);
}

/* The first letter of the list that somebody waits for, taken off their mind; its copy, so that the
 * callback runs without the lock. */
static bool take_waiting(struct dead_letters *letters, struct letter *head, struct letter *copy)
{
    bool found = false;
    pthread_mutex_lock(&letters->mutex);
    for (struct letter *letter = head->next; letter != head && !found; letter = letter->next) {
        if (letter->delivered == NULL)
            continue;
        *copy = *letter;
        letter->delivered = NULL;
        found = true;
    }
    pthread_mutex_unlock(&letters->mutex);
    return found;
}

void dead_letters_abandon(struct dead_letters *letters)
{
    struct letter letter;
    while (take_waiting(letters, &letters->done, &letter) ||
           take_waiting(letters, &letters->sent, &letter))
        letter.delivered(letter.ok, letter.token, letter.arg);
}

void dead_letters_free(struct dead_letters *letters)
{
    list_free(&letters->sent);
    list_free(&letters->done);
    pthread_mutex_destroy(&letters->mutex);
    free(letters->topic);
    free(letters);
}
