/* A Redis connection on the libuv loop: hiredis parses replies, everything else is ours.
 *
 * Commands and replies are RESP2 (https://redis.io/docs/reference/protocol-spec/); the bytes travel
 * over a transport to "HOST:PORT" or a unix socket path. Connects and commands have deadlines,
 * there is a cap on commands in flight, a lost connection is tried again with jittered, capped
 * backoff, and the connection is up only after AUTH, SELECT, SCRIPT LOAD and PING have been
 * answered well. Whether the server takes writes is for the first write to find out: an answer that
 * says the server as a whole cannot serve us now (LOADING, READONLY, OOM, NOAUTH and their like)
 * counts as the connection's loss. So does an answer that is not RESP2, is larger than
 * REDIS_REPLY_BYTES_MAX, or answers nothing.
 *
 * Replies come in the order of commands, each exactly once, from the loop and never before
 * redis_command has returned; when the connection is lost each outstanding one gets reply NULL, and
 * then `down` is called. An error that concerns one command alone is a reply, REDIS_FAILED;
 * NOSCRIPT is one of these, and has the script loaded again ahead of any later command. Loop
 * thread. */
#ifndef FRESHET_PUBLISHER_REDIS_H
#define FRESHET_PUBLISHER_REDIS_H

#include "base/error.h"
#include "base/slice.h"
#include "publisher/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define REDIS_REPLY_BYTES_MAX (64 << 20)
#define REDIS_REPLY_ITEMS_MAX 65536 /* values in one reply, those of nested arrays counted */
#define REDIS_PAUSE_MIN_MS 50   /* before the first new try; doubles with each, halved by chance */
#define REDIS_PAUSE_MAX_MS 5000 /* a connection that was up this long starts over at the first */

struct redis_settings {
    struct tls_settings tls;
    const char *address;  /* "127.0.0.1:6379", "[::1]:6379", or "/path/to/socket" */
    const char *username; /* "" for none */
    const char *password; /* "" for none; never logged */
    int database;
    int timeout_ms;    /* for connecting and for each command */
    int in_flight_max; /* commands; at least 1 */
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

/* `script` is loaded at every connect; redis_script_sha names it. `settings` are copied, `hooks`
 * and `script` borrowed. Fails, with ERR_SETTINGS, only if the address is none. */
int redis_open(struct redis **redis, uv_loop_t *loop, const struct redis_settings *settings,
               const char *script, const struct redis_hooks *hooks, void *arg, struct error *err);
bool redis_is_up(const struct redis *redis);
const char *redis_script_sha(const struct redis *redis); /* "" before the first load */

/* How many more commands may be sent now; in a reply's callback, at least one while up. */
size_t redis_room(const struct redis *redis);

/* Queues a command for the next write (all that is queued in one loop turn goes out as one).
 * ERR_DOWN, and no callback, if not up or no room. */
int redis_command(struct redis *redis, const struct slice *words, size_t count,
                  redis_reply_cb replied, void *arg);

/* Gives the connection up for a reason that only the caller can see in a reply, and tries again as
 * after any loss. From a callback of this module; nothing if there is no connection. */
void redis_drop(struct redis *redis, const struct error *why);

/* Ends the connection; `closed` from the loop when nothing is left. Outstanding commands get reply
 * NULL before it; the hooks are not called any more. */
void redis_close(struct redis *redis, void (*closed)(void *arg), void *arg);

#endif
