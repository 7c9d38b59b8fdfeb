/* The connection to Redis, in place of publisher/redis*.c and transport.c. Commands are done, and
 * answered, in order, but whenever the seed wants. When a connection is lost, what was on its way
 * is done later or never, even after the next connection's first commands; never if it was the
 * server that died. */
#include "base/mem.h"
#include "tests/sim/redis_server.h"

#include <stdlib.h>
#include <string.h>

#define COMMANDS_MAX 64 /* in flight, and as many of lost connections */

struct redis { /* the client's end: the process's memory */
    const struct redis_hooks *hooks;
    void *arg;
    bool up, closing;
    bool orphaned; /* the server that it talked to has died: nothing of it is done later */
    size_t cap;
    void (*closed)(void *arg);
    void *closed_arg;
};

static struct {
    bool away;
    struct redis *client;
    struct command *flight[COMMANDS_MAX]; /* [count], the oldest first; the first `done` are done */
    size_t count, done;
    struct command *late[COMMANDS_MAX];
    size_t late_count;
    struct command pool[2 * COMMANDS_MAX];
    struct command *spare[2 * COMMANDS_MAX];
    size_t spare_count;
} wire;

static struct command *take_first(struct command **commands, size_t *count)
{
    struct command *first = commands[0];
    --*count;
    memmove(commands, commands + 1, *count * sizeof(struct command *));
    return first;
}

static void give_back(struct command *command)
{
    wire.spare[wire.spare_count++] = command;
}

void redis_begin(void)
{
    wire.away = false;
    server_begin();
    wire.client = NULL;
    wire.count = wire.done = wire.late_count = 0;
    wire.spare_count = 0;
    for (size_t i = 0; i < 2 * COMMANDS_MAX; i++)
        give_back(&wire.pool[i]);
}

/* -- the server -------------------------------------------------------------------------------- */

static void serve_next(int arg)
{
    (void)arg;
    server_do(wire.flight[wire.done++]);
}

static void serve_late(int arg)
{
    (void)arg;
    struct command *command = take_first(wire.late, &wire.late_count);
    sim_trace("redis: what was late is done");
    server_do(command);
    give_back(command);
}

static void drop_late(void)
{
    while (wire.late_count > 0)
        give_back(wire.late[--wire.late_count]);
}

static void flush(int arg)
{
    (void)arg;
    if (checks_has_epoch())
        server_flush();
}

static void copy(int arg)
{
    (void)arg;
    server_copy();
}

static void take_key(int arg)
{
    (void)arg;
    server_take_key();
}

static void make_room(int arg)
{
    (void)arg;
    server_make_room();
}

/* -- the connection ---------------------------------------------------------------------------- */

/* What the server has not done yet it does later, some of it, in order. */
static void leave_behind(void)
{
    size_t left = wire.count - wire.done;
    bool dies = sim.calm || (wire.client != NULL && wire.client->orphaned);
    size_t stays = left > 0 && !dies ? sim_below((uint32_t)left + 1) : 0;
    for (size_t i = 0; i < stays && wire.late_count < COMMANDS_MAX; i++) {
        struct command *late = wire.spare[--wire.spare_count];
        *late = *wire.flight[wire.done + i];
        wire.late[wire.late_count++] = late;
    }
}

static void fail_all(void)
{
    leave_behind();
    wire.done = 0;
    for (size_t failing = wire.count; failing > 0; failing--) {
        struct command *command = take_first(wire.flight, &wire.count);
        command->replied(NULL, command->arg);
        give_back(command);
    }
}

static void cut(int arg)
{
    (void)arg;
    struct redis *redis = wire.client;
    struct error why = {.code = ERR_DOWN, .text = "the simulated connection is lost"};
    sim_trace("redis: connection lost with %zu commands in flight, %zu done", wire.count,
              wire.done);
    redis->up = false;
    fail_all();
    redis->orphaned = false;
    redis->hooks->down(&why, redis->arg);
}

static void reply_next(int arg)
{
    (void)arg;
    if (wire.flight[0]->away) {
        cut(0);
        return;
    }
    struct command *command = take_first(wire.flight, &wire.count);
    wire.done--;
    command->replied(&command->reply, command->arg);
    give_back(command);
}

static void connect_now(int arg)
{
    (void)arg;
    struct redis *redis = wire.client;
    struct error why = {.code = ERR_DOWN, .text = "the simulated Redis is away"};
    if (wire.away) {
        redis->hooks->down(&why, redis->arg);
        return;
    }
    redis->up = true;
    redis->hooks->up(redis->arg);
}

static void go_away(int arg)
{
    (void)arg;
    wire.away = !wire.away;
    sim_trace("redis: %s", wire.away ? "away" : "back");
    if (wire.away && wire.client != NULL && wire.client->up && !wire.client->closing)
        cut(0);
}

void redis_restart(void)
{
    struct redis *redis = wire.client;
    if (!checks_has_epoch() || !server_restore())
        return;
    drop_late();
    if (redis == NULL)
        return;
    redis->orphaned = true;
    if (redis->up && !redis->closing)
        cut(0);
}

static void restart(int arg)
{
    (void)arg;
    redis_restart();
}

static void close_now(int arg)
{
    (void)arg;
    struct redis *redis = wire.client;
    void (*closed)(void *arg) = redis->closed;
    void *closed_arg = redis->closed_arg;
    redis->up = false;
    fail_all();
    wire.client = NULL;
    free(redis);
    closed(closed_arg);
}

void redis_choices(struct choices *choices)
{
    struct redis *redis = wire.client;
    choices_add(choices, wire.late_count > 0 ? sim.mood.redis : 0, "redis late", serve_late, 0);
    if (!sim.calm) {
        choices_add(choices, sim.mood.redis_flush, "redis flush", flush, 0);
        choices_add(choices, sim.mood.redis_away * (wire.away ? 8 : 1), "redis away", go_away, 0);
        choices_add(choices, sim.mood.redis_copy * 2, "redis copy", copy, 0);
        choices_add(choices, sim.mood.redis_copy, "redis restart", restart, 0);
        choices_add(choices, sim.mood.redis_taken, "redis key taken", take_key, 0);
        choices_add(choices, server_is_taken() ? sim.mood.redis_taken : 0, "redis keys free",
                    make_room, 0);
    }
    if (redis == NULL)
        return;
    if (redis->closing) {
        choices_add(choices, sim.mood.loop, "redis close", close_now, 0);
        return;
    }
    choices_add(choices, redis->up && !sim.calm ? sim.mood.redis_cut : 0, "redis cut", cut, 0);
    choices_add(choices, !redis->up ? sim.mood.redis : 0, "redis connect", connect_now, 0);
    choices_add(choices, wire.done < wire.count ? sim.mood.redis : 0, "redis serve", serve_next, 0);
    choices_add(choices, redis->up && wire.done > 0 ? sim.mood.redis : 0, "redis reply", reply_next,
                0);
}

void redis_crash(void)
{
    leave_behind();
    while (wire.count > 0)
        give_back(wire.flight[--wire.count]);
    wire.client = NULL;
    wire.done = 0;
}

void redis_settle_down(void)
{
    wire.away = false;
    server_make_room();
}

bool redis_is_quiet(void)
{
    return wire.count == 0 && wire.late_count == 0 && wire.client != NULL && wire.client->up;
}

/* -- publisher/redis.h ------------------------------------------------------------------------- */

int redis_open(struct redis **opened, uv_loop_t *loop, const struct redis_settings *settings,
               const char *script, const struct redis_hooks *hooks, void *arg, struct error *err)
{
    static const size_t caps[] = {1, 2, 8, COMMANDS_MAX};
    (void)loop;
    (void)settings;
    (void)script;
    (void)err;
    struct redis *redis = mem_zalloc(sizeof *redis);
    *redis = (struct redis){.hooks = hooks, .arg = arg, .cap = caps[sim_below(4)]};
    wire.client = *opened = redis;
    return 0;
}

bool redis_is_up(const struct redis *redis)
{
    return redis->up;
}

const char *redis_script_sha(const struct redis *redis)
{
    (void)redis;
    return "0123456789012345678901234567890123456789";
}

size_t redis_room(const struct redis *redis)
{
    return redis->up ? redis->cap - wire.count : 0;
}

static void keep_text(struct text *text, struct slice from)
{
    sim_check(from.length < sizeof text->bytes, "a word of %u bytes", from.length);
    text->length = from.length;
    memcpy(text->bytes, from.data, from.length);
}

static void read_list(struct command *command, const struct slice *words)
{
    struct slice user = {words[3].data + 4, words[3].length - 4}; /* after "rec:" */
    command->verb = LIST;
    command->user = stream_number('u', user);
    keep_text(&command->json, words[4]);
    sim_check(words[6].length < VERSION_TEXT_BYTES, "a version of %u bytes", words[6].length);
    memcpy(command->version, words[6].data, words[6].length);
    command->version[words[6].length] = '\0';
}

static void read_word(char *text, size_t size, struct slice word)
{
    sim_check(word.length < size, "a word of %u bytes", word.length);
    memcpy(text, word.data, word.length);
    text[word.length] = '\0';
}

/* HSET key field value ... */
static void read_write(struct command *command, const struct slice *words, size_t count)
{
    command->verb = WRITE;
    command->hash.count = 0;
    for (size_t i = 2; i + 1 < count; i += 2) {
        struct field *field = &command->hash.fields[command->hash.count++];
        read_word(field->name, sizeof field->name, words[i]);
        read_word(field->value, sizeof field->value, words[i + 1]);
    }
}

int redis_command(struct redis *redis, const struct slice *words, size_t count,
                  redis_reply_cb replied, void *arg)
{
    if (redis_room(redis) == 0)
        return ERR_DOWN;
    struct command *command = wire.spare[--wire.spare_count];
    wire.flight[wire.count++] = command;
    command->verb = CHANGE;
    command->done = false;
    command->replied = replied;
    command->arg = arg;
    if (slice_equal(words[0], SLICE("EVALSHA")))
        read_list(command, words);
    else if (slice_equal(words[0], SLICE("HGETALL")))
        command->verb = LOOK;
    else if (slice_equal(words[0], SLICE("HSET")))
        read_write(command, words, count);
    return 0;
}

void redis_drop(struct redis *redis, const struct error *why)
{
    (void)why;
    if (redis->up && !redis->closing)
        cut(0);
}

void redis_close(struct redis *redis, void (*closed)(void *arg), void *arg)
{
    redis->closing = true;
    redis->closed = closed;
    redis->closed_arg = arg;
}
