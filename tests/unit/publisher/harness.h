/* What the publisher's tests share: a redis-server of their own, a plain blocking client to look
 * into it, and waiting for an event of the loop with a deadline. */
#ifndef FRESHET_TESTS_PUBLISHER_HARNESS_H
#define FRESHET_TESTS_PUBLISHER_HARNESS_H

#include "base/slice.h"

#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>
#include <cmocka.h>

#define DEADLINE_MS 30000

/* ---- a server ---- */

struct server {
    char dir[64]; /* owned: its socket and its data */
    char socket[96];
    int port; /* 0: the unix socket alone */
    pid_t pid;
    FILE *log;
    redisContext *client;
};

static inline int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static inline void server_exec(const struct server *server, int log_fd)
{
    char port[16];
    snprintf(port, sizeof port, "%d", server->port);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves no server behind */
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--unixsocket",
           server->socket, "--dir", server->dir, "--save", "", "--appendonly", "no", (char *)NULL);
    _exit(127);
}

/* Starts the server in its directory and waits until it says that it is ready. */
static inline void server_run(struct server *server)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0)
        server_exec(server, ends[1]);
    close(ends[1]);
    server->log = fdopen(ends[0], "r");
    char line[512];
    bool ready = false;
    alarm(DEADLINE_MS / 1000);
    while (!ready && fgets(line, sizeof line, server->log) != NULL)
        ready = strstr(line, "now ready to accept connections at") != NULL;
    alarm(0);
    assert_true(ready);
    server->client = redisConnectUnix(server->socket);
    assert_non_null(server->client);
    assert_int_equal(server->client->err, 0);
}

static inline void server_start(struct server *server, bool tcp)
{
    *server = (struct server){.dir = "/tmp/freshet-redis-XXXXXX"};
    assert_non_null(mkdtemp(server->dir));
    snprintf(server->socket, sizeof server->socket, "%s/redis.sock", server->dir);
    server->port = tcp ? free_port() : 0;
    server_run(server);
}

/* Stops it in its tracks; it does nothing more once this has returned. */
static inline void server_freeze(struct server *server)
{
    int status = 0;
    assert_int_equal(kill(server->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(server->pid, &status, WUNTRACED), server->pid);
    assert_true(WIFSTOPPED(status));
}

static inline void server_thaw(struct server *server)
{
    assert_int_equal(kill(server->pid, SIGCONT), 0);
}

static inline void server_kill(struct server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
    fclose(server->log);
    redisFree(server->client);
    server->client = NULL;
}

static inline void server_remove(struct server *server, const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", server->dir, name);
    unlink(path);
}

static inline void server_stop(struct server *server)
{
    server_kill(server);
    server_remove(server, "redis.sock");
    server_remove(server, "dump.rdb");
    rmdir(server->dir);
}

/* A command of the blocking client; "%s" and "%b" as hiredis takes them. The reply is the caller's.
 */
static inline redisReply *ask(struct server *server, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(server->client, format, args);
    va_end(args);
    assert_non_null(reply);
    return reply;
}

static inline void tell(struct server *server, const char *command)
{
    redisReply *reply = ask(server, command);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", command, reply->str);
    freeReplyObject(reply);
}

static inline long long ask_number(struct server *server, const char *command)
{
    redisReply *reply = ask(server, command);
    long long number = reply->integer;
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    freeReplyObject(reply);
    return number;
}

/* The text a command answers, in memory of its own; NULL for nil. */
static inline char *ask_text(struct server *server, const char *command)
{
    redisReply *reply = ask(server, command);
    char *text = reply->str != NULL ? strdup(reply->str) : NULL;
    freeReplyObject(reply);
    return text;
}

#define assert_answer(server, command, expected)   \
    do {                                           \
        char *answer_ = ask_text(server, command); \
        assert_non_null(answer_);                  \
        assert_string_equal(answer_, expected);    \
        free(answer_);                             \
    } while (0)

/* ---- waiting ---- */

static inline void on_wait_over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static inline void ignore_close(uv_handle_t *handle)
{
}

/* Runs the loop until `*count` has reached `wanted`; false if that takes longer than `ms`. */
static inline bool reaches_within(uv_loop_t *loop, const int *count, int wanted, int ms)
{
    bool over = false;
    uv_timer_t timer;
    uv_timer_init(loop, &timer);
    timer.data = &over;
    uv_update_time(loop);
    uv_timer_start(&timer, on_wait_over, (uint64_t)ms, 0);
    while (*count < wanted && !over)
        uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, ignore_close);
    uv_run(loop, UV_RUN_NOWAIT); /* the timer's memory ends with this call */
    return *count >= wanted;
}

#define wait_for(loop, count, wanted)                                            \
    do {                                                                         \
        if (!reaches_within(loop, count, wanted, DEADLINE_MS))                   \
            fail_msg("%s is still %d, not %d", #count, *(count), (int)(wanted)); \
    } while (0)

/* The loop has nothing left, which only a module that closed all it opened can achieve. */
static inline void assert_loop_empties(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

#endif
