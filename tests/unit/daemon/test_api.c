/* Who may ask for what: the routes of a daemon of which nothing else is there. */
#include "base/mem.h"
#include "daemon/api.h"
#include "daemon/daemon.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define REPLY_BYTES 65536
#define BEARER "Authorization: Bearer right\r\n"

struct asking {
    int port, status;
    const char *method, *path, *headers;
    char reply[REPLY_BYTES];
};

static void closed(void *arg)
{
    (void)arg;
}

/* A blocking client, beside the loop. */
static void *ask(void *arg)
{
    struct asking *asking = arg;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)asking->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t length = 0;
    ssize_t count = 0;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
        dprintf(fd, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n",
                asking->method, asking->path, asking->headers);
        while ((count = recv(fd, asking->reply + length, REPLY_BYTES - 1 - length, 0)) > 0)
            length += (size_t)count;
    }
    close(fd);
    sscanf(asking->reply, "HTTP/1.1 %d", &asking->status);
    return NULL;
}

struct door {
    uv_loop_t loop;
    struct daemon daemon;
    struct settings settings;
};

static void open_door(struct door *door, const char *token, bool exposed)
{
    struct http_settings http = {.listen = "127.0.0.1:0", .token = token, .exposed = exposed};
    struct error err;
    *door = (struct door){.settings = {.http = {.token = (char *)token}}};
    door->daemon.settings = &door->settings;
    uv_loop_init(&door->loop);
    if (http_open(&door->daemon.http, &door->loop, &http, api_handle, &door->daemon, &err) != 0)
        fail_msg("%s", err.text);
}

static void stop_asking(uv_async_t *async)
{
    uv_close((uv_handle_t *)async, NULL);
    http_close(async->data, closed, NULL);
}

struct thread {
    struct asking *asking;
    uv_async_t done;
};

static void *ask_and_tell(void *arg)
{
    struct thread *thread = arg;
    ask(thread->asking);
    uv_async_send(&thread->done);
    return NULL;
}

/* One request to one server: its status. */
static int status_of(const char *token, bool exposed, const char *method, const char *path,
                     const char *headers)
{
    struct door *door = mem_alloc(sizeof *door);
    struct asking *asking = mem_zalloc(sizeof *asking);
    struct thread thread = {.asking = asking};
    pthread_t id;
    open_door(door, token, exposed);
    *asking = (struct asking){http_port(door->daemon.http), 0, method, path, headers, ""};
    thread.done.data = door->daemon.http;
    uv_async_init(&door->loop, &thread.done, stop_asking);
    assert_int_equal(pthread_create(&id, NULL, ask_and_tell, &thread), 0);
    uv_run(&door->loop, UV_RUN_DEFAULT);
    pthread_join(id, NULL);
    assert_int_equal(uv_loop_close(&door->loop), 0);
    int status = asking->status;
    free(asking);
    free(door);
    return status;
}

static void expect(int status, const char *token, bool exposed, const char *path,
                   const char *headers)
{
    int got = status_of(token, exposed, "GET", path, headers);
    if (got != status)
        fail_msg("%s with \"%s\": %d instead of %d", path, headers, got, status);
}

static const char *const everybodys[] = {"/healthz"};
static const char *const local[] = {"/",
                                    "/metrics",
                                    "/api/openapi.json",
                                    "/assets/nothing.js",
                                    "/no/such/path",
                                    "/api/overview",
                                    "/api/arms",
                                    "/api/items/i/similar"};
static const char *const users[] = {"/api/users/u/list", "/api/users/u/explain/i",
                                    "/api/users/u/whatif", "/api/users/u/whatif?item=i"};

#define EACH(name, list) \
    for (const char *const *name = list; name < (list) + sizeof(list) / sizeof *(list); name++)

static void test_what_names_a_user_needs_the_token_wherever(void **state)
{
    EACH(path, users)
    {
        for (int exposed = 0; exposed < 2; exposed++) {
            expect(401, "right", exposed, *path, "");
            expect(401, "right", exposed, *path, "Authorization: Bearer wrong\r\n");
        }
        expect(403, "", false, *path, "");
        expect(403, "", false, *path, BEARER);
    }
}

static void test_where_others_reach_everything_but_health_needs_the_token(void **state)
{
    EACH(path, local)
    {
        expect(401, "right", true, *path, "");
        expect(401, "right", true, *path, "Authorization: Bearer wrong\r\n");
    }
    EACH(path, everybodys)
    {
        expect(200, "right", true, *path, "");
    }
    expect(200, "right", true, "/api/openapi.json", BEARER);
    expect(404, "right", true, "/no/such/path", BEARER);
}

static void test_on_loopback_figures_are_anybodys(void **state)
{
    expect(200, "", false, "/healthz", "");
    expect(200, "", false, "/api/openapi.json", "");
    expect(200, "right", false, "/", "");
}

static void test_paths_that_are_none_are_not_found(void **state)
{
    static const char *const none[] = {
        "/no/such/path",      "/api",         "/api/",        "/healthz/",
        "//healthz",          "/api/users",   "/api/users/u", "/api/items//similar",
        "/assets/",           "/assets/../x", "/Healthz",     "/api/overview/x",
        "/api/users/u/list/x"};
    EACH(path, none)
    {
        expect(404, "right", false, *path, BEARER);
    }
}

static void test_a_post_is_for_what_names_a_user_alone(void **state)
{
    EACH(path, everybodys)
    {
        assert_int_equal(status_of("right", false, "POST", *path, BEARER), 405);
    }
    assert_int_equal(status_of("right", false, "POST", "/api/overview", BEARER), 405);
    assert_int_equal(status_of("right", false, "POST", "/api/users/u/list", ""), 401);
}

static void test_what_a_command_does_not_take_is_refused(void **state)
{
    expect(400, "right", false, "/api/overview?x=1", "");
    expect(400, "right", false, "/api/users/u/list?item=i", BEARER);
    expect(400, "right", false, "/api/users/u/whatif?items=i", BEARER);
    expect(400, "right", false, "/api/users/%ff/list", BEARER);
    expect(400, "right", false, "/api/users/u/whatif?item=%ff", BEARER);
    expect(400, "right", false, "/api/users/u/whatif?item=i&arm=a&arm=b", BEARER);
    expect(400, "right", false, "/api/users/u/explain/i?type=click", BEARER);
    expect(400, "right", false, "/api/items/i/similar?n=ten", "");
    expect(400, "right", false, "/api/items/i/similar?n=", "");
    expect(400, "right", false, "/api/items/i/similar?n=1&n=2", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_names_a_user_needs_the_token_wherever),
        cmocka_unit_test(test_where_others_reach_everything_but_health_needs_the_token),
        cmocka_unit_test(test_on_loopback_figures_are_anybodys),
        cmocka_unit_test(test_paths_that_are_none_are_not_found),
        cmocka_unit_test(test_a_post_is_for_what_names_a_user_alone),
        cmocka_unit_test(test_what_a_command_does_not_take_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
