#include "publisher/redis.h"

#include "base/mem.h"
#include "publisher/redis_connection.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>

/* hiredis builds each reply through these functions, directly as our struct redis_reply, so that an
 * array's announced length is checked before anything is allocated for it. */

#if HIREDIS_MAJOR >= 1
#define ARRAY_LENGTH size_t
#else
#define ARRAY_LENGTH int
#endif

static void release(struct redis_reply *reply)
{
    for (size_t i = 0; i < reply->count; i++)
        release((struct redis_reply *)&reply->items[i]);
    free((void *)reply->items);
    free((void *)reply->text.data);
}

static void free_reply(void *reply)
{
    if (reply == NULL)
        return;
    release(reply);
    free(reply);
}

/* Where the reply of `task` goes: memory of its own at the top, its place in the array below it. */
static struct redis_reply *place(const redisReadTask *task, enum redis_reply_type type)
{
    struct redis_reply *reply;
    if (task->parent == NULL) {
        reply = calloc(1, sizeof *reply);
    } else {
        const struct redis_reply *array = task->parent->obj;
        reply = (struct redis_reply *)&array->items[task->idx];
    }
    if (reply != NULL)
        reply->type = type;
    return reply;
}

static void *create_string(const redisReadTask *task, char *text, size_t length)
{
    bool failed = task->type == REDIS_REPLY_ERROR;
    char *copy = malloc(length + 1);
    struct redis_reply *reply =
        copy != NULL ? place(task, failed ? REDIS_FAILED : REDIS_TEXT) : NULL;
    if (reply == NULL) {
        free(copy);
        return NULL;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    reply->text = (struct slice){copy, (uint32_t)length};
    return reply;
}

static void *create_array(const redisReadTask *task, ARRAY_LENGTH length)
{
    struct redis *redis = task->privdata;
    size_t count = (size_t)length;
    if (count > REDIS_REPLY_ITEMS_MAX - redis->reply_items) {
        redis->too_many_items = true;
        return NULL;
    }
    redis->reply_items += count;
    struct redis_reply *items = calloc(count + 1, sizeof *items);
    struct redis_reply *reply = items != NULL ? place(task, REDIS_ARRAY_OF) : NULL;
    if (reply == NULL) {
        free(items);
        return NULL;
    }
    reply->items = items;
    reply->count = count;
    return reply;
}

static void *create_integer(const redisReadTask *task, long long number)
{
    struct redis_reply *reply = place(task, REDIS_NUMBER);
    if (reply != NULL)
        reply->number = number;
    return reply;
}

static void *create_nil(const redisReadTask *task)
{
    return place(task, REDIS_NIL);
}

static redisReplyObjectFunctions reply_functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
    .freeObject = free_reply,
};

void redis_reset(struct redis *redis)
{
    if (redis->reader != NULL)
        redisReaderFree(redis->reader);
    redis->reader = NULL;
    redis->unanswered_bytes = 0;
    redis->reply_items = 0;
    redis->too_many_items = false;
    buffer_clear(&redis->out);
}

uint64_t redis_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* ---- commands ---- */

static void on_deadline(uv_timer_t *timer)
{
    struct redis *redis = timer->data;
    if (redis->count == 0)
        return;
    uint64_t now = redis_now_ms();
    uint64_t deadline = redis->pending[redis->head].deadline_ms;
    if (deadline > now) {
        uv_timer_start(timer, on_deadline, deadline - now, 0);
    } else if (!redis->overdue) {
        /* If it was this process that was busy, the reply may be waiting in the socket: timers run
         * before sockets, so it gets one more turn. */
        redis->overdue = true;
        uv_timer_start(timer, on_deadline, 1, 0);
    } else {
        redis_drop_because(redis, "no answer within %d ms", redis->to.timeout_ms);
    }
}

static void on_flush(uv_idle_t *idle)
{
    struct redis *redis = idle->data;
    uv_idle_stop(idle);
    transport_write(redis->transport, &redis->out);
}

/* An array of bulk strings. Not by hiredis, whose sprintf for each word was a good part of what a
 * list cost to send. */
static void write_command(struct buffer *out, const struct slice *words, size_t count)
{
    buffer_byte(out, '*');
    buffer_number(out, count);
    buffer_text(out, "\r\n");
    for (size_t i = 0; i < count; i++) {
        buffer_byte(out, '$');
        buffer_number(out, words[i].length);
        buffer_text(out, "\r\n");
        buffer_add(out, words[i].data, words[i].length);
        buffer_text(out, "\r\n");
    }
}

void redis_queue(struct redis *redis, const struct slice *words, size_t count,
                 redis_reply_cb replied, void *arg)
{
    assert(redis->count < redis->capacity);
    write_command(&redis->out, words, count);
    size_t tail = (redis->head + redis->count) % redis->capacity;
    uint64_t timeout = (uint64_t)redis->to.timeout_ms;
    redis->pending[tail] = (struct redis_pending){replied, arg, redis_now_ms() + timeout};
    if (redis->count++ == 0)
        uv_timer_start(&redis->timer, on_deadline, timeout, 0);
    if (!uv_is_active((uv_handle_t *)&redis->flusher))
        uv_idle_start(&redis->flusher, on_flush);
}

size_t redis_room(const struct redis *redis)
{
    if (redis->state != STATE_UP)
        return 0;
    size_t own = redis->reloading; /* the one command of ours that is sent while up */
    return redis->in_flight_max + own - redis->count;
}

int redis_command(struct redis *redis, const struct slice *words, size_t count,
                  redis_reply_cb replied, void *arg)
{
    if (redis_room(redis) == 0)
        return ERR_DOWN;
    redis_queue(redis, words, count, replied, arg);
    return 0;
}

static struct redis_pending take_oldest(struct redis *redis)
{
    struct redis_pending oldest = redis->pending[redis->head];
    redis->head = (redis->head + 1) % redis->capacity;
    redis->count--;
    redis->overdue = false;
    return oldest;
}

void redis_cancel(struct redis *redis)
{
    while (redis->count > 0) {
        struct redis_pending oldest = take_oldest(redis);
        oldest.replied(NULL, oldest.arg);
    }
    redis->reloading = false;
}

static void on_script(const struct redis_reply *reply, void *arg)
{
    struct redis *redis = arg;
    redis->reloading = false;
    if (reply == NULL)
        return;
    if (reply->type != REDIS_TEXT || reply->text.length != REDIS_SHA_BYTES - 1)
        redis_drop_because(redis, "SCRIPT LOAD: %.*s", SLICE_ARG(reply->text));
    else
        memcpy(redis->sha, reply->text.data, REDIS_SHA_BYTES - 1);
}

void redis_load_script(struct redis *redis)
{
    if (redis->reloading)
        return;
    redis->reloading = true;
    struct slice words[] = {SLICE("SCRIPT"), SLICE("LOAD"), slice_of(redis->script)};
    redis_queue(redis, words, 3, on_script, redis);
}

/* ---- replies ---- */

/* The first word of an error, which names its kind. */
static bool is_kind(struct slice text, const char *kind)
{
    size_t length = strlen(kind);
    return text.length >= length && memcmp(text.data, kind, length) == 0 &&
           (text.length == length || text.data[length] == ' ');
}

/* Errors that say the server cannot serve us now, whatever we ask. */
static bool is_away(struct slice text)
{
    static const char *const kinds[] = {
        "LOADING",    "READONLY",    "OOM",   "BUSY", "UNKILLABLE", "MASTERDOWN", "NOAUTH",
        "NOREPLICAS", "CLUSTERDOWN", "MOVED", "ASK",  "TRYAGAIN",   "MISCONF"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (is_kind(text, kinds[i]))
            return true;
    }
    return false;
}

/* The answer to connecting, before anything is asked: it has no kind of its own. */
static bool is_full(struct slice text)
{
    return is_kind(text, "ERR max number of clients reached");
}

static void deliver(struct redis *redis, const struct redis_reply *reply)
{
    if (redis->count == 0) {
        redis_drop_because(redis, "an answer to no command");
        return;
    }
    if (reply->type == REDIS_FAILED && (is_away(reply->text) || is_full(reply->text))) {
        redis_drop_because(redis, "%.*s", SLICE_ARG(reply->text));
        return;
    }
    if (reply->type == REDIS_FAILED && is_kind(reply->text, "NOSCRIPT"))
        redis_load_script(redis);
    struct redis_pending oldest = take_oldest(redis);
    oldest.replied(reply, oldest.arg);
}

static bool is_open(const struct redis *redis)
{
    return redis->state == STATE_GREETING || redis->state == STATE_UP;
}

void redis_receive(struct redis *redis, const char *data, size_t bytes)
{
    if (redis->reader == NULL) {
        redis->reader = redisReaderCreateWithFunctions(&reply_functions);
        if (redis->reader == NULL)
            abort();
        redis->reader->privdata = redis;
    }
    redis->unanswered_bytes += bytes;
    if (redis->unanswered_bytes > REDIS_REPLY_BYTES_MAX) {
        redis_drop_because(redis, "an answer of more than %d MiB", REDIS_REPLY_BYTES_MAX >> 20);
        return;
    }
    redisReaderFeed(redis->reader, data, bytes);

    /* Any callback may have dropped or closed the connection, and its reader with it. */
    while (is_open(redis)) {
        void *reply = NULL;
        if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK) {
            redis_drop_because(redis, "%s",
                               redis->too_many_items ? "an answer of too many values"
                                                     : redis->reader->errstr);
            return;
        }
        if (reply == NULL)
            return;
        redis->unanswered_bytes = 0;
        redis->reply_items = 0;
        deliver(redis, reply);
        free_reply(reply);
    }
}
