/* What the two halves of redis.h share: redis.c has the codec and the commands in flight,
 * redis_connection.c the life of the connection. For these two files alone. */
#ifndef FRESHET_PUBLISHER_REDIS_CONNECTION_H
#define FRESHET_PUBLISHER_REDIS_CONNECTION_H

#include "base/buffer.h"
#include "publisher/redis.h"
#include "publisher/transport.h"

#define REDIS_SHA_BYTES 41   /* with the closing NUL */
#define REDIS_OWN_COMMANDS 8 /* of the greeting, or a reload; on top of in_flight_max */

enum redis_state {
    STATE_WAITING,    /* no connection; for the old one to close, then for the pause to end */
    STATE_CONNECTING, /* the transport is */
    STATE_GREETING,   /* our own first commands are under way */
    STATE_UP,
    STATE_CLOSING
};

struct redis_pending {
    redis_reply_cb replied;
    void *arg;
    uint64_t deadline_ms; /* of uv_hrtime */
};

struct redis {
    uv_loop_t *loop;
    struct transport_settings to; /* its strings are owned */
    char *username, *password;    /* owned */
    int database;
    size_t in_flight_max;
    const char *script;
    char sha[REDIS_SHA_BYTES];
    const struct redis_hooks *hooks;
    void *arg;

    enum redis_state state;
    struct transport *transport; /* NULL while waiting */
    uv_timer_t timer;            /* waiting: the pause; else the deadline of the oldest command */
    uv_idle_t flusher;           /* runs once after a turn in which commands were queued */
    int open;                    /* of transport, timer and flusher, those not closed */
    unsigned tries;              /* since the connection last was good */
    uint64_t up_since_ms;
    void (*closed)(void *arg);
    void *closed_arg;

    struct redis_pending *pending; /* [capacity] ring */
    size_t head, count, capacity;
    bool overdue;      /* the oldest command was, when the timer last looked */
    bool reloading;    /* a SCRIPT LOAD is among the pending */
    struct buffer out; /* formatted, not yet written */

    struct redisReader *reader;
    size_t unanswered_bytes; /* received since the last whole reply */
    size_t reply_items;      /* of the reply being parsed */
    bool too_many_items;
};

uint64_t redis_now_ms(void);

/* As redis_command, but also while greeting and beyond in_flight_max. */
void redis_queue(struct redis *redis, const struct slice *words, size_t count,
                 redis_reply_cb replied, void *arg);

/* Takes in what the transport received and delivers the replies that are whole. */
void redis_receive(struct redis *redis, const char *data, size_t bytes);

/* Forgets all bytes of an earlier connection, either way. */
void redis_reset(struct redis *redis);

/* Gives each outstanding command its NULL, the oldest first. Only when neither up nor greeting. */
void redis_cancel(struct redis *redis);

/* SCRIPT LOAD, unless one is under way. */
void redis_load_script(struct redis *redis);

void redis_drop_because(struct redis *redis, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
