/* Redis and the connection to it, in place of publisher/redis*.c and transport.c. The server does
 * what publisher/fence.h says of its script; commands are done, and answered, in order, but
 * whenever the seed wants. When a connection is lost, what was on its way is done later or never,
 * even after the next connection's first commands. */
#include "publisher/redis.h"
#include "base/buffer.h"
#include "base/mem.h"
#include "publisher/fence.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMANDS_MAX 64 /* in flight, and as many of lost connections */
#define TEXT_MAX 512

struct text {
    uint32_t length; /* 0: absent */
    char bytes[TEXT_MAX];
};

#define FIELDS_MAX 16
#define FIELD_BYTES 32
#define VALUE_BYTES 64

struct field { /* of PREFIX meta, which is the one hash there is */
    char name[FIELD_BYTES], value[VALUE_BYTES];
};

struct hash {
    struct field fields[FIELDS_MAX]; /* [count] */
    size_t count;
};

enum verb { LOOK, WRITE, LIST, OTHER };

struct command {
    enum verb verb;
    int user;         /* of LIST; -1: the popular list */
    struct hash hash; /* to be written; or what was there, which `items` point to */
    struct text json;
    char version[VERSION_TEXT_BYTES];
    redis_reply_cb replied;
    void *arg;
    bool done;
    struct redis_reply reply, items[2 * FIELDS_MAX];
};

struct redis { /* the client's end: the process's memory */
    const struct redis_hooks *hooks;
    void *arg;
    bool up, dropping, closing;
    size_t cap;
    void (*closed)(void *arg);
    void *closed_arg;
};

static struct {
    bool away;
    struct hash meta;
    struct text lists[STREAM_USERS_MAX];
    char versions[STREAM_USERS_MAX][VERSION_TEXT_BYTES];

    struct redis *client;
    struct command *flight[COMMANDS_MAX]; /* [count], the oldest first; the first `done` are done */
    size_t count, done;
    struct command *late[COMMANDS_MAX];
    size_t late_count;
    struct command pool[2 * COMMANDS_MAX];
    struct command *spare[2 * COMMANDS_MAX];
    size_t spare_count;
} server;

static struct command *take_first(struct command **commands, size_t *count)
{
    struct command *first = commands[0];
    --*count;
    memmove(commands, commands + 1, *count * sizeof(struct command *));
    return first;
}

static void give_back(struct command *command)
{
    server.spare[server.spare_count++] = command;
}

void redis_begin(void)
{
    server.away = false;
    server.meta.count = 0;
    server.client = NULL;
    server.count = server.done = server.late_count = 0;
    server.spare_count = 0;
    for (size_t i = 0; i < 2 * COMMANDS_MAX; i++)
        give_back(&server.pool[i]);
    for (int u = 0; u < STREAM_USERS_MAX; u++)
        server.lists[u].length = 0;
}

bool redis_list(int user, struct slice *version, struct slice *json)
{
    *json = (struct slice){server.lists[user].bytes, server.lists[user].length};
    *version = slice_of(server.versions[user]);
    return json->length > 0;
}

/* -- the server -------------------------------------------------------------------------------- */

static void answer(struct command *command, const char *text)
{
    command->reply = (struct redis_reply){.type = REDIS_TEXT, .text = slice_of(text)};
}

/* The versions' order is that of their bytes, but for the partition. */
static const char *fence(const char *old, const char *new)
{
    int epoch = memcmp(old, new, 8);
    if (epoch != 0)
        return epoch > 0 ? FENCE_OLDER : FENCE_STORED;
    if (memcmp(old + 9, new + 9, 4) != 0)
        return FENCE_PARTITION;
    return memcmp(old + 14, new + 14, 25) > 0 ? FENCE_OLDER : FENCE_STORED;
}

static void do_list(struct command *command)
{
    if (command->user < 0) {
        answer(command, FENCE_STORED);
        return;
    }
    struct text *list = &server.lists[command->user];
    struct slice version = slice_of(command->version);
    struct slice json = {command->json.bytes, command->json.length};
    checks_list(command->user, version, json);
    const char *outcome =
        list->length > 0 ? fence(server.versions[command->user], command->version) : FENCE_STORED;
    sim_check(strcmp(outcome, FENCE_PARTITION) != 0, "u%d is in another partition", command->user);
    sim_trace("redis: u%d %s %s", command->user, command->version, outcome);
    if (strcmp(outcome, FENCE_OLDER) == 0) {
        snprintf(command->json.bytes, sizeof command->json.bytes, FENCE_OLDER " %s",
                 server.versions[command->user]);
        answer(command, command->json.bytes);
        return;
    }
    answer(command, outcome);
    if (strcmp(outcome, FENCE_STORED) != 0)
        return;
    list->length = command->json.length;
    memcpy(list->bytes, command->json.bytes, list->length);
    memcpy(server.versions[command->user], command->version, sizeof command->version);
    struct version parsed;
    version_parse(&parsed, version);
    checks_stored(command->user, &parsed);
}

static void do_look(struct command *command)
{
    command->hash = server.meta;
    for (size_t i = 0; i < server.meta.count; i++) {
        const struct field *field = &command->hash.fields[i];
        command->items[2 * i].text = slice_of(field->name);
        command->items[2 * i + 1].text = slice_of(field->value);
        command->items[2 * i].type = command->items[2 * i + 1].type = REDIS_TEXT;
    }
    command->reply = (struct redis_reply){
        .type = REDIS_ARRAY_OF, .count = 2 * server.meta.count, .items = command->items};
}

static void write_field(const struct field *field)
{
    size_t i = 0;
    while (i < server.meta.count && strcmp(server.meta.fields[i].name, field->name) != 0)
        i++;
    sim_check(i < FIELDS_MAX, "too many fields in meta");
    server.meta.fields[i] = *field;
    server.meta.count += i == server.meta.count;
}

static void do_write(struct command *command)
{
    for (size_t i = 0; i < command->hash.count; i++)
        write_field(&command->hash.fields[i]);
    command->reply = (struct redis_reply){.type = REDIS_NUMBER, .number = 0};
}

static void serve(struct command *command)
{
    command->done = true;
    if (command->verb == LIST)
        do_list(command);
    else if (command->verb == LOOK)
        do_look(command);
    else if (command->verb == WRITE)
        do_write(command);
    else
        answer(command, "1-1");
}

static void serve_next(int arg)
{
    (void)arg;
    struct command *command = server.flight[server.done++];
    if (command->verb == LIST && !sim.calm && sim.mood.redis_cut > 0 && sim_chance(1)) {
        const char *text = sim_chance(50) ? "NOSCRIPT No matching script." : "ERR out of sorts";
        command->done = true;
        command->reply = (struct redis_reply){.type = REDIS_FAILED, .text = slice_of(text)};
        return;
    }
    serve(command);
}

static void serve_late(int arg)
{
    (void)arg;
    struct command *command = take_first(server.late, &server.late_count);
    sim_trace("redis: what was late is done");
    serve(command);
    give_back(command);
}

static void flush(int arg)
{
    (void)arg;
    sim_trace("redis: all is gone");
    server.meta.count = 0;
    while (server.late_count > 0)
        give_back(server.late[--server.late_count]);
    for (int u = 0; u < STREAM_USERS_MAX; u++)
        server.lists[u].length = 0;
}

/* -- the connection ---------------------------------------------------------------------------- */

static void reply_next(int arg)
{
    (void)arg;
    struct command *command = take_first(server.flight, &server.count);
    server.done--;
    command->replied(&command->reply, command->arg);
    give_back(command);
}

/* What the server has not done yet it does later, some of it, in order. */
static void leave_behind(void)
{
    size_t left = server.count - server.done;
    size_t stays = left > 0 && !sim.calm ? sim_below((uint32_t)left + 1) : 0;
    for (size_t i = 0; i < stays && server.late_count < COMMANDS_MAX; i++) {
        struct command *late = server.spare[--server.spare_count];
        *late = *server.flight[server.done + i];
        server.late[server.late_count++] = late;
    }
}

static void fail_all(void)
{
    leave_behind();
    server.done = 0;
    for (size_t failing = server.count; failing > 0; failing--) {
        struct command *command = take_first(server.flight, &server.count);
        command->replied(NULL, command->arg);
        give_back(command);
    }
}

static void cut(int arg)
{
    (void)arg;
    struct redis *redis = server.client;
    struct error why = {.code = ERR_DOWN, .text = "the simulated connection is lost"};
    sim_trace("redis: connection lost with %zu commands in flight, %zu done", server.count,
              server.done);
    redis->up = redis->dropping = false;
    fail_all();
    redis->hooks->down(&why, redis->arg);
}

static void connect_now(int arg)
{
    (void)arg;
    struct redis *redis = server.client;
    struct error why = {.code = ERR_DOWN, .text = "the simulated Redis is away"};
    if (server.away) {
        redis->hooks->down(&why, redis->arg);
        return;
    }
    redis->up = true;
    redis->hooks->up(redis->arg);
}

static void go_away(int arg)
{
    (void)arg;
    server.away = !server.away;
    sim_trace("redis: %s", server.away ? "away" : "back");
    if (server.away && server.client != NULL && server.client->up && !server.client->closing)
        cut(0);
}

static void close_now(int arg)
{
    (void)arg;
    struct redis *redis = server.client;
    void (*closed)(void *arg) = redis->closed;
    void *closed_arg = redis->closed_arg;
    redis->up = false;
    fail_all();
    server.client = NULL;
    free(redis);
    closed(closed_arg);
}

void redis_choices(struct choices *choices)
{
    struct redis *redis = server.client;
    choices_add(choices, server.late_count > 0 ? sim.mood.redis : 0, "redis late", serve_late, 0);
    if (!sim.calm) {
        choices_add(choices, sim.mood.redis_flush, "redis flush", flush, 0);
        choices_add(choices, sim.mood.redis_away * (server.away ? 8 : 1), "redis away", go_away, 0);
    }
    if (redis == NULL)
        return;
    if (redis->closing) {
        choices_add(choices, sim.mood.loop, "redis close", close_now, 0);
        return;
    }
    if (redis->dropping || (redis->up && !sim.calm))
        choices_add(choices, redis->dropping ? sim.mood.redis : sim.mood.redis_cut, "redis cut",
                    cut, 0);
    choices_add(choices, !redis->up && !redis->dropping ? sim.mood.redis : 0, "redis connect",
                connect_now, 0);
    choices_add(choices, server.done < server.count ? sim.mood.redis : 0, "redis serve", serve_next,
                0);
    choices_add(choices, redis->up && server.done > 0 ? sim.mood.redis : 0, "redis reply",
                reply_next, 0);
}

void redis_crash(void)
{
    leave_behind();
    while (server.count > 0)
        give_back(server.flight[--server.count]);
    server.client = NULL;
    server.done = 0;
}

void redis_settle_down(void)
{
    server.away = false;
}

bool redis_is_quiet(void)
{
    return server.count == 0 && server.late_count == 0 && server.client != NULL &&
           server.client->up;
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
    server.client = *opened = redis;
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
    return redis->up ? redis->cap - server.count : 0;
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
    struct command *command = server.spare[--server.spare_count];
    server.flight[server.count++] = command;
    command->verb = OTHER;
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
    redis->dropping = redis->up;
}

void redis_close(struct redis *redis, void (*closed)(void *arg), void *arg)
{
    redis->closing = true;
    redis->closed = closed;
    redis->closed_arg = arg;
}
