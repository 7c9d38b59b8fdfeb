#include "tests/sim/redis_server.h"
#include "publisher/fence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPIES_MAX 3
#define RECENT_MAX 8

/* Whose place somebody else took: users', then these. */
enum { META_KEY = STREAM_USERS_MAX, CHANGES_KEY, KEYS };

struct data {
    struct hash meta;
    struct text lists[STREAM_USERS_MAX];
    char versions[STREAM_USERS_MAX][VERSION_TEXT_BYTES];
    bool taken[KEYS];
};

static struct {
    struct data now;
    struct data copies[COPIES_MAX]; /* [copy_count] */
    size_t copy_count;
    struct data recent[RECENT_MAX]; /* before each of the last writes, in turn */
    uint64_t served;
    bool again[STREAM_USERS_MAX]; /* the list lies there because a copy had it */
} server;

static struct data *const now = &server.now;

static void answer(struct command *command, const char *text)
{
    command->reply = (struct redis_reply){.type = REDIS_TEXT, .text = slice_of(text)};
}

static void fail(struct command *command, const char *text)
{
    command->reply = (struct redis_reply){.type = REDIS_FAILED, .text = slice_of(text)};
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

/* Two ways to say it: the script's, and that of a command that wants another type. */
static void answer_taken(struct command *command)
{
    if (command->verb == LIST && sim_chance(50))
        answer(command, FENCE_FOREIGN);
    else
        fail(command, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

static void store(const struct command *command)
{
    struct version version;
    struct text *list = &now->lists[command->user];
    list->length = command->json.length;
    memcpy(list->bytes, command->json.bytes, list->length);
    memcpy(now->versions[command->user], command->version, sizeof command->version);
    version_parse(&version, slice_of(command->version));
    server.again[command->user] = false;
    checks_stored(command->user, &version);
}

static void answer_older(struct command *command)
{
    snprintf(command->json.bytes, sizeof command->json.bytes, FENCE_OLDER " %s",
             now->versions[command->user]);
    answer(command, command->json.bytes);
}

static void do_user(struct command *command)
{
    int user = command->user;
    checks_list(user, slice_of(command->version),
                (struct slice){command->json.bytes, command->json.length});
    if (now->taken[user]) {
        answer_taken(command);
        return;
    }
    const char *outcome =
        now->lists[user].length > 0 ? fence(now->versions[user], command->version) : FENCE_STORED;
    sim_check(strcmp(outcome, FENCE_PARTITION) != 0, "u%d is in another partition", user);
    sim_trace("redis: u%d %s %s", user, command->version, outcome);
    if (strcmp(outcome, FENCE_OLDER) == 0) {
        answer_older(command);
        return;
    }
    answer(command, outcome);
    store(command);
}

static void do_list(struct command *command)
{
    if (command->user >= 0)
        do_user(command);
    else
        answer(command, FENCE_STORED);
}

static void do_change(struct command *command)
{
    if (now->taken[CHANGES_KEY])
        answer_taken(command);
    else
        answer(command, "1-1");
}

static void do_look(struct command *command)
{
    if (now->taken[META_KEY]) {
        answer_taken(command);
        return;
    }
    command->hash = now->meta;
    for (size_t i = 0; i < now->meta.count; i++) {
        const struct field *field = &command->hash.fields[i];
        command->items[2 * i].text = slice_of(field->name);
        command->items[2 * i + 1].text = slice_of(field->value);
        command->items[2 * i].type = command->items[2 * i + 1].type = REDIS_TEXT;
    }
    command->reply = (struct redis_reply){
        .type = REDIS_ARRAY_OF, .count = 2 * now->meta.count, .items = command->items};
}

static void write_field(const struct field *field)
{
    size_t i = 0;
    while (i < now->meta.count && strcmp(now->meta.fields[i].name, field->name) != 0)
        i++;
    sim_check(i < FIELDS_MAX, "too many fields in meta");
    now->meta.fields[i] = *field;
    now->meta.count += i == now->meta.count;
}

static void do_write(struct command *command)
{
    if (now->taken[META_KEY]) {
        answer_taken(command);
        return;
    }
    for (size_t i = 0; i < command->hash.count; i++)
        write_field(&command->hash.fields[i]);
    command->reply = (struct redis_reply){.type = REDIS_NUMBER, .number = 0};
}

/* One command alone, for a reason of its own or of the whole server's. */
static void refuse(struct command *command)
{
    static const char *const reasons[] = {"OOM command not allowed when used memory > 'maxmemory'.",
                                          "READONLY You can't write against a read only replica.",
                                          "ERR out of sorts", "NOSCRIPT No matching script."};
    uint32_t reason = sim_below(command->verb == LIST ? 4 : 3);
    sim_trace("redis: refuses: %s", reasons[reason]);
    command->away = reason < 2;
    fail(command, reasons[reason]);
}

void server_do(struct command *command)
{
    if (sim.mood.redis_copy > 0 && (command->verb == LIST || command->verb == WRITE))
        server.recent[server.served++ % RECENT_MAX] = *now;
    command->done = true;
    command->away = false;
    if (!sim.calm && sim_chance(sim.mood.redis_refuses))
        refuse(command);
    else if (command->verb == LIST)
        do_list(command);
    else if (command->verb == LOOK)
        do_look(command);
    else if (command->verb == WRITE)
        do_write(command);
    else
        do_change(command);
}

/* -- what befalls it --------------------------------------------------------------------------- */

void server_begin(void)
{
    memset(&server, 0, sizeof server);
}

void server_flush(void)
{
    sim_trace("redis: all is gone");
    memset(now, 0, sizeof *now);
    server.served = 0;
}

void server_copy(void)
{
    size_t at = server.copy_count < COPIES_MAX ? server.copy_count++ : sim_below(COPIES_MAX);
    sim_trace("redis: copy %zu", at);
    server.copies[at] = *now;
}

static void lose_the_last_writes(void)
{
    uint32_t lost =
        sim_between(1, server.served < RECENT_MAX ? (uint32_t)server.served : RECENT_MAX);
    sim_trace("redis: restarts without the last %u writes", lost);
    *now = server.recent[(server.served - lost) % RECENT_MAX];
    server.served = 0;
}

static void take_copy(void)
{
    uint32_t at = sim_below((uint32_t)server.copy_count);
    sim_trace("redis: restarts with copy %u", at);
    *now = server.copies[at];
    server.served = 0;
}

bool server_restore(void)
{
    if (server.copy_count == 0 && server.served == 0)
        return false;
    if (server.copy_count == 0 || (server.served > 0 && sim_chance(60)))
        lose_the_last_writes();
    else
        take_copy();
    for (int u = 0; u < STREAM_USERS_MAX; u++)
        server.again[u] = now->lists[u].length > 0;
    return true;
}

/* A key that has nothing: whoever replaces what is ours has taken it away unseen. But meta, which
 * is looked at. */
void server_take_key(void)
{
    uint32_t key = sim_below(KEYS);
    if (key < STREAM_USERS_MAX && now->lists[key].length > 0)
        return;
    if (key == META_KEY && !checks_has_epoch())
        return;
    sim_trace("redis: somebody takes key %u", key);
    now->taken[key] = true;
    if (key == META_KEY)
        now->meta.count = 0;
}

void server_make_room(void)
{
    memset(now->taken, 0, sizeof now->taken);
}

bool server_is_taken(void)
{
    for (int key = 0; key < KEYS; key++)
        if (now->taken[key])
            return true;
    return false;
}

bool redis_list(int user, struct slice *version, struct slice *json)
{
    *json = (struct slice){now->lists[user].bytes, now->lists[user].length};
    *version = slice_of(now->versions[user]);
    return json->length > 0;
}

bool redis_list_is_of_copy(int user)
{
    return server.again[user];
}
