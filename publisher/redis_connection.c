#include "publisher/redis_connection.h"

#include "base/hash.h"
#include "base/mem.h"
#include "publisher/address.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void start_connecting(struct redis *redis);

bool redis_is_up(const struct redis *redis)
{
    return redis->state == STATE_UP;
}

const char *redis_script_sha(const struct redis *redis)
{
    return redis->sha;
}

/* ---- strings that outlive the settings ---- */

static const char *copy_text(const char *text)
{
    return mem_strdup(text != NULL ? text : "");
}

static const char *free_text(const char *text)
{
    free((char *)text);
    return NULL;
}

static void own(struct transport_settings *to, const char *(*take)(const char *text))
{
    to->address = take(to->address);
    to->tls.ca_file = take(to->tls.ca_file);
    to->tls.cert_file = take(to->tls.cert_file);
    to->tls.key_file = take(to->tls.key_file);
    to->tls.server_name = take(to->tls.server_name);
}

/* ---- the end ---- */

static void ended(struct redis *redis)
{
    redis->open--;
    if (redis->state != STATE_CLOSING || redis->open > 0)
        return;
    redis_cancel(redis);
    redis_reset(redis);
    void (*closed)(void *arg) = redis->closed;
    void *arg = redis->closed_arg;
    buffer_deinit(&redis->out);
    explicit_bzero(redis->password, strlen(redis->password));
    own(&redis->to, free_text);
    free(redis->username);
    free(redis->password);
    free(redis->pending);
    free(redis);
    closed(arg);
}

static void on_handle_closed(uv_handle_t *handle)
{
    ended(handle->data);
}

/* ---- the pause between two connections ---- */

static void on_pause_over(uv_timer_t *timer)
{
    start_connecting(timer->data);
}

/* Doubles with each try, and is drawn from the upper half, so that the clients of a server that
 * comes back do not come all at once: PAUSE_MIN * 2^tries, capped, times 0.5 to 1. */
static uint64_t next_pause_ms(struct redis *redis)
{
    uint64_t pause = REDIS_PAUSE_MIN_MS;
    for (unsigned i = 0; i < redis->tries && pause < REDIS_PAUSE_MAX_MS; i++)
        pause *= 2;
    if (pause > REDIS_PAUSE_MAX_MS)
        pause = REDIS_PAUSE_MAX_MS;
    redis->tries++;
    uint64_t now = uv_hrtime();
    return pause - hash_seeded(&now, sizeof now) % (pause / 2 + 1);
}

static void on_transport_closed(void *arg)
{
    struct redis *redis = arg;
    if (redis->state == STATE_WAITING)
        uv_timer_start(&redis->timer, on_pause_over, next_pause_ms(redis), 0);
    ended(redis);
}

static void close_transport(struct redis *redis)
{
    struct transport *transport = redis->transport;
    redis->transport = NULL;
    if (transport != NULL)
        transport_close(transport, on_transport_closed, redis);
}

void redis_drop(struct redis *redis, const struct error *why)
{
    if (redis->state == STATE_WAITING || redis->state == STATE_CLOSING)
        return;
    struct error reason = *why; /* what it lies in may go with a callback */
    if (redis->state == STATE_UP && redis_now_ms() - redis->up_since_ms >= REDIS_PAUSE_MAX_MS)
        redis->tries = 0;
    redis->state = STATE_WAITING;
    uv_timer_stop(&redis->timer);
    uv_idle_stop(&redis->flusher);
    close_transport(redis);
    redis_reset(redis);
    redis_cancel(redis);
    if (redis->state == STATE_WAITING)
        redis->hooks->down(&reason, redis->arg);
}

void redis_drop_because(struct redis *redis, const char *format, ...)
{
    char what[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    struct error why;
    error_set(&why, ERR_DOWN, "redis at %s: %s", redis->to.address, what);
    redis_drop(redis, &why);
}

/* ---- the greeting: AUTH, SELECT, SCRIPT LOAD, PING in one write ---- */

static void on_auth(const struct redis_reply *reply, void *arg)
{
    if (reply == NULL || reply->type != REDIS_FAILED)
        return;
    /* Only the kind of the error: a server that does not know AUTH quotes its arguments. */
    int length = (int)strcspn(reply->text.data, " ");
    redis_drop_because(arg, "AUTH was refused: %.*s", length, reply->text.data);
}

static void on_select(const struct redis_reply *reply, void *arg)
{
    if (reply != NULL && reply->type == REDIS_FAILED)
        redis_drop_because(arg, "SELECT: %.*s", SLICE_ARG(reply->text));
}

static void on_ping(const struct redis_reply *reply, void *arg)
{
    struct redis *redis = arg;
    if (reply == NULL)
        return;
    if (reply->type != REDIS_TEXT || !slice_equal(reply->text, SLICE("PONG"))) {
        redis_drop_because(redis, "PING: %.*s", SLICE_ARG(reply->text));
        return;
    }
    redis->state = STATE_UP;
    redis->up_since_ms = redis_now_ms();
    redis->hooks->up(redis->arg);
}

static void on_connected(void *arg)
{
    struct redis *redis = arg;
    redis->state = STATE_GREETING;
    if (redis->username[0] != '\0' || redis->password[0] != '\0') {
        struct slice words[] = {SLICE("AUTH"), slice_of(redis->username),
                                slice_of(redis->password)};
        bool named = redis->username[0] != '\0';
        if (!named)
            words[1] = words[2];
        redis_queue(redis, words, named ? 3 : 2, on_auth, redis);
    }
    if (redis->database != 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", redis->database);
        struct slice words[] = {SLICE("SELECT"), slice_of(number)};
        redis_queue(redis, words, 2, on_select, redis);
    }
    redis_load_script(redis);
    struct slice ping = SLICE("PING");
    redis_queue(redis, &ping, 1, on_ping, redis);
}

static void on_received(const char *data, size_t bytes, void *arg)
{
    redis_receive(arg, data, bytes);
}

static void on_failed(const struct error *why, void *arg)
{
    struct redis *redis = arg;
    /* What a port that wants TLS does when it is greeted without. */
    bool is_unheard = redis->state == STATE_GREETING && !redis->to.tls.enabled;
    redis_drop_because(redis, "%s%s", why->text,
                       is_unheard ? ", before it answered (does it want redis.tls?)" : "");
}

static const struct transport_hooks transport_hooks = {on_connected, on_received, on_failed};

static void start_connecting(struct redis *redis)
{
    redis->state = STATE_CONNECTING;
    /* The address was found good by redis_open, and there is no other way to fail. */
    int rc =
        transport_open(&redis->transport, redis->loop, &redis->to, &transport_hooks, redis, NULL);
    assert(rc == 0);
    (void)rc;
    redis->open++;
}

/* ---- the beginning ---- */

int redis_open(struct redis **redis, uv_loop_t *loop, const struct redis_settings *settings,
               const char *script, const struct redis_hooks *hooks, void *arg, struct error *err)
{
    struct address address;
    int rc = address_parse(&address, settings->address, err);
    if (rc != 0)
        return rc;
    assert(settings->in_flight_max >= 1);

    struct redis *r = mem_zalloc(sizeof *r);
    r->loop = loop;
    r->to = (struct transport_settings){settings->address, settings->tls, settings->timeout_ms};
    own(&r->to, copy_text);
    r->username = mem_strdup(settings->username);
    r->password = mem_strdup(settings->password);
    r->database = settings->database;
    r->in_flight_max = (size_t)settings->in_flight_max;
    r->script = script;
    r->hooks = hooks;
    r->arg = arg;
    r->capacity = r->in_flight_max + REDIS_OWN_COMMANDS;
    r->pending = mem_array(NULL, r->capacity, sizeof *r->pending);
    uv_timer_init(loop, &r->timer);
    uv_idle_init(loop, &r->flusher);
    r->timer.data = r->flusher.data = r;
    r->open = 2;
    start_connecting(r);
    *redis = r;
    return 0;
}

void redis_close(struct redis *redis, void (*closed)(void *arg), void *arg)
{
    redis->state = STATE_CLOSING;
    redis->closed = closed;
    redis->closed_arg = arg;
    close_transport(redis);
    uv_close((uv_handle_t *)&redis->timer, on_handle_closed);
    uv_close((uv_handle_t *)&redis->flusher, on_handle_closed);
}
