/* A Redis connection on the libuv loop: hiredis as the codec, everything else ours.
 *
 * hiredis formats commands and parses replies (RESP2,
 * https://redis.io/docs/reference/protocol-spec/); the bytes travel over a uv stream to "HOST:PORT"
 * or a unix socket path. Connects and commands have deadlines, there is a cap on commands in
 * flight, a lost connection is tried again with jittered, capped backoff, and the connection is
 * `ready` only after AUTH, SELECT, SCRIPT LOAD and a PING-like check that the server accepts writes
 * (LOADING, READONLY and NOAUTH count as away). Loop thread. Replies come in the order of commands,
 * each exactly once, never before redis_command has returned; when the connection is lost each
 * outstanding one gets reply NULL. */
#ifndef FRESHET_PUBLISHER_REDIS_H
#define FRESHET_PUBLISHER_REDIS_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct redis_settings {
    const char *address;  /* "127.0.0.1:6379", "[::1]:6379", or "/path/to/socket" */
    const char *username; /* "" for none */
    const char *password; /* "" for none; never logged */
    int database;
    int timeout_ms;    /* for connecting and for each command */
    int in_flight_max; /* commands */
};

enum redis_reply_type { REDIS_NIL, REDIS_TEXT, REDIS_NUMBER, REDIS_ARRAY_OF, REDIS_FAILED };
struct redis_reply { /* lent for the callback */
    enum redis_reply_type type;
    struct slice text; /* REDIS_TEXT (status or bulk), REDIS_FAILED (the error) */
    int64_t number;
    size_t count; /* REDIS_ARRAY_OF */
    const struct redis_reply *items;
};
typedef void (*redis_reply_cb)(const struct redis_reply *reply, void *arg);

struct redis;
struct redis_hooks {
    void (*up)(void *arg);                            /* ready for commands */
    void (*down)(const struct error *why, void *arg); /* was up, or a try failed */
};

/* `script` is loaded at every connect; redis_script_sha names it. */
int redis_open(struct redis **redis, uv_loop_t *loop, const struct redis_settings *settings,
               const char *script, const struct redis_hooks *hooks, void *arg, struct error *err);
bool redis_is_up(const struct redis *redis);
const char *redis_script_sha(const struct redis *redis); /* "" before the first load */

/* How many more commands may be sent now. */
size_t redis_room(const struct redis *redis);

/* Queues a command for the next write (all that is queued in one loop turn goes out as one).
 * ERR_DOWN, and no callback, if not up or no room. */
int redis_command(struct redis *redis, const struct slice *words, size_t count,
                  redis_reply_cb replied, void *arg);

/* Ends the connection; `closed` from the loop when nothing is left. */
void redis_close(struct redis *redis, void (*closed)(void *arg), void *arg);

#endif
