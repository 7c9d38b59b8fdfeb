/* The server: its data, what it does of each command, and what befalls it. It does what
 * publisher/fence.h says of its script. One thread; one server. */
#ifndef FRESHET_TESTS_SIM_REDIS_SERVER_H
#define FRESHET_TESTS_SIM_REDIS_SERVER_H

#include "publisher/redis.h"
#include "tests/sim/sim.h"

#define TEXT_MAX 512
#define FIELDS_MAX 16
#define FIELD_BYTES 32
#define VALUE_BYTES 64

struct text {
    uint32_t length; /* 0: absent */
    char bytes[TEXT_MAX];
};

struct field { /* of PREFIX meta, which is the one hash there is */
    char name[FIELD_BYTES], value[VALUE_BYTES];
};

struct hash {
    struct field fields[FIELDS_MAX]; /* [count] */
    size_t count;
};

enum verb { LOOK, WRITE, LIST, CHANGE };

struct command {
    enum verb verb;
    int user;         /* of LIST; -1: the popular list */
    struct hash hash; /* to be written; or what was there, which `items` point to */
    struct text json;
    char version[VERSION_TEXT_BYTES];
    redis_reply_cb replied;
    void *arg;
    bool done;
    bool away; /* the reply says that the server cannot serve us now */
    struct redis_reply reply, items[2 * FIELDS_MAX];
};

void server_begin(void);

/* Does the command, or refuses it, and sets its reply. */
void server_do(struct command *command);

void server_flush(void);

/* Keeps a copy of all that there is now. False: there is nothing. */
void server_copy(void);

/* Starts over from a copy that was kept, or without the last few commands: what came since was
 * never there. False: there is none. */
bool server_restore(void);

/* Somebody else writes where we would. What is there stays for ever, but for server_make_room: then
 * it is deleted. */
void server_take_key(void);
void server_make_room(void);
bool server_is_taken(void); /* any key */

#endif
