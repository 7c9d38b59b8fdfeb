#include "base/failpoint.h"

#ifdef FRESHET_FAILPOINTS

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ARMED_MAX 16
#define NAME_BYTES 64
#define FOREVER_MS 86400000

enum action { ACTION_KILL, ACTION_EXIT, ACTION_ERROR, ACTION_STALL, ACTION_COUNT };
static const char *const action_names[ACTION_COUNT] = {"kill", "exit", "error", "stall"};

#define NAME_OF(name, meaning) name,
static const char *const names[] = {FAILPOINTS(NAME_OF)};

struct armed {
    char name[NAME_BYTES];
    enum action action;
    long ms;
    long count; /* the passage at which it happens */
    bool on;    /* and at every later one */
    atomic_long passed;
};

static struct armed armed[ARMED_MAX];
static size_t armed_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length > 0 && write(STDERR_FILENO, line, strnlen(line, sizeof line)) < 0)
        return;
}

static void refuse(const char *text)
{
    say("FRESHET_FAILPOINTS: not understood: %s\n", text);
    _exit(64);
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static enum action action_of(const char *name)
{
    enum action action = ACTION_KILL;
    while (action < ACTION_COUNT && strcmp(action_names[action], name) != 0)
        action++;
    return action;
}

/* name=action[:ms][@count[+]] */
static void arm(const char *text)
{
    struct armed *point = &armed[armed_count];
    char action[16];
    int taken = 0;
    if (armed_count == ARMED_MAX ||
        sscanf(text, "%63[^=]=%15[a-z]%n", point->name, action, &taken) != 2)
        refuse(text);
    char *rest = (char *)text + taken;
    point->action = action_of(action);
    point->ms = *rest == ':' ? strtol(rest + 1, &rest, 10) : FOREVER_MS;
    point->count = *rest == '@' ? strtol(rest + 1, &rest, 10) : 1;
    point->on = *rest == '+';
    atomic_store(&point->passed, 0);
    if (point->action == ACTION_COUNT || !is_known(point->name) || rest[point->on] != '\0')
        refuse(text);
    armed_count++;
}

void failpoint_arm(const char *text)
{
    char copy[1024], *save = NULL;
    armed_count = 0;
    if (text == NULL)
        return;
    if (strlen(text) >= sizeof copy)
        refuse(text);
    strcpy(copy, text);
    for (char *one = strtok_r(copy, ",", &save); one != NULL; one = strtok_r(NULL, ",", &save))
        arm(one);
}

static void arm_by_environment(void)
{
    failpoint_arm(getenv("FRESHET_FAILPOINTS"));
}

static void stall(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        ; /* a signal wakes us early: sleep on */
}

static bool act(const struct armed *point)
{
    say("failpoint %s: %s\n", point->name, action_names[point->action]);
    switch (point->action) {
    case ACTION_KILL:
        kill(getpid(), SIGKILL);
        stall(FOREVER_MS); /* it may take a moment to arrive */
        break;
    case ACTION_EXIT:
        _exit(70);
    case ACTION_STALL:
        stall(point->ms);
        break;
    case ACTION_ERROR:
    case ACTION_COUNT:
        break;
    }
    return point->action == ACTION_ERROR;
}

bool failpoint_passed(const char *name)
{
    bool fails = false;
    pthread_once(&once, arm_by_environment);
    for (size_t i = 0; i < armed_count; i++) {
        struct armed *point = &armed[i];
        if (strcmp(point->name, name) != 0)
            continue;
        long passed = atomic_fetch_add(&point->passed, 1) + 1;
        if (passed == point->count || (point->on && passed > point->count))
            fails |= act(point);
    }
    return fails;
}

#endif
