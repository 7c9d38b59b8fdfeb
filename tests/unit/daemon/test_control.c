/* The control socket: both sides of it, in one process with the asking side on threads of its own.
 */
#include "base/mem.h"
#include "daemon/control.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct asking {
    const char *dir, *request;
    struct json *answer;
    struct error err;
    int status;
};

struct server {
    uv_loop_t loop;
    struct control *control;
    uv_async_t done;
    struct request *kept; /* answered when the next one comes */
    char dir[64];
};

static void handle(struct request *request, const struct json *body, void *arg)
{
    struct server *server = arg;
    struct slice command = json_get_string(body, "cmd", SLICE(""));
    if (slice_equal(command, SLICE("echo"))) {
        request_answer(request, SLICE("{\"ok\":true,\"echo\":1}"));
    } else if (slice_equal(command, SLICE("later"))) {
        server->kept = request;
    } else if (slice_equal(command, SLICE("now"))) {
        request_answer(server->kept, SLICE("{\"ok\":true,\"late\":1}"));
        request_answer(request, SLICE("{\"ok\":true}"));
    } else {
        struct error err = {0};
        error_set(&err, ERR_DATA, "no such thing");
        request_fail(request, &err);
    }
}

static void closed(void *arg)
{
    struct server *server = arg;
    uv_close((uv_handle_t *)&server->done, NULL);
}

static void end(uv_async_t *async)
{
    struct server *server = async->data;
    control_close(server->control, closed, server);
}

static void start(struct server *server)
{
    struct error err = {0};
    *server = (struct server){.dir = "/tmp/freshet-control.XXXXXX"};
    assert_non_null(mkdtemp(server->dir));
    uv_loop_init(&server->loop);
    server->done.data = server;
    uv_async_init(&server->loop, &server->done, end);
    assert_int_equal(
        control_open(&server->control, &server->loop, server->dir, handle, server, &err), 0);
}

static void stop(struct server *server)
{
    char path[128];
    assert_int_equal(uv_loop_close(&server->loop), 0);
    snprintf(path, sizeof path, "%s/%s", server->dir, CONTROL_SOCKET);
    unlink(path);
    rmdir(server->dir);
}

static void *ask(void *arg)
{
    struct asking *asking = arg;
    asking->status =
        control_ask(asking->dir, slice_of(asking->request), 10000, &asking->answer, &asking->err);
    return NULL;
}

struct script {
    struct server *server;
    struct asking *askings;
    size_t count;
};

/* Asks one after another, then ends the server. */
static void *ask_in_turn(void *arg)
{
    struct script *script = arg;
    for (size_t i = 0; i < script->count; i++)
        ask(&script->askings[i]);
    uv_async_send(&script->server->done);
    return NULL;
}

static void run(struct server *server, struct asking *askings, size_t count)
{
    struct script script = {server, askings, count};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_in_turn, &script), 0);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
}

static void test_a_request_gets_its_answer(void **state)
{
    (void)state;
    struct server server;
    start(&server);
    struct asking asking = {.dir = server.dir, .request = "{\"cmd\":\"echo\"}"};
    run(&server, &asking, 1);
    assert_int_equal(asking.status, 0);
    assert_int_equal(json_get_int(asking.answer, "echo", 0), 1);
    json_free(asking.answer);
    stop(&server);
}

static void test_an_error_arrives_with_its_code_and_text(void **state)
{
    (void)state;
    struct server server;
    start(&server);
    struct asking askings[] = {{.dir = server.dir, .request = "{\"cmd\":\"what\"}"},
                               {.dir = server.dir, .request = "this is no JSON"}};
    run(&server, askings, 2);
    assert_int_equal(askings[0].status, ERR_DATA);
    assert_string_equal(askings[0].err.text, "no such thing");
    assert_int_not_equal(askings[1].status, 0);
    stop(&server);
}

static void test_an_answer_may_come_later(void **state)
{
    (void)state;
    struct server server;
    start(&server);
    struct asking later = {.dir = server.dir, .request = "{\"cmd\":\"later\"}"};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask, &later), 0);
    while (server.kept == NULL)
        uv_run(&server.loop, UV_RUN_ONCE);
    struct asking now = {.dir = server.dir, .request = "{\"cmd\":\"now\"}"};
    run(&server, &now, 1);
    pthread_join(thread, NULL);
    assert_int_equal(later.status, 0);
    assert_int_equal(json_get_int(later.answer, "late", 0), 1);
    json_free(later.answer);
    json_free(now.answer);
    stop(&server);
}

/* Found by a client that gave up on a long request: its request outlived it, and the next to leave
 * met it. */
static void test_a_client_may_leave_before_its_answer(void **state)
{
    (void)state;
    struct server server;
    start(&server);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", server.dir, CONTROL_SOCKET);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    const char request[] = "{\"cmd\":\"later\"}\n";
    assert_int_equal(write(fd, request, sizeof request - 1), sizeof request - 1);
    while (server.kept == NULL)
        uv_run(&server.loop, UV_RUN_ONCE);
    close(fd);
    struct asking askings[] = {{.dir = server.dir, .request = "{\"cmd\":\"echo\"}"},
                               {.dir = server.dir, .request = "{\"cmd\":\"now\"}"},
                               {.dir = server.dir, .request = "{\"cmd\":\"echo\"}"}};
    run(&server, askings, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(askings[i].status, 0);
        json_free(askings[i].answer);
    }
    stop(&server);
}

static void test_without_a_daemon_the_world_is_down(void **state)
{
    (void)state;
    struct asking asking = {.dir = "/nonexistent", .request = "{}"};
    ask(&asking);
    assert_int_equal(asking.status, ERR_DOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_gets_its_answer),
        cmocka_unit_test(test_an_error_arrives_with_its_code_and_text),
        cmocka_unit_test(test_an_answer_may_come_later),
        cmocka_unit_test(test_a_client_may_leave_before_its_answer),
        cmocka_unit_test(test_without_a_daemon_the_world_is_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
