/* The HTTP server, with clients on a thread of their own that write bytes to its port. */
#include "base/buffer.h"
#include "base/json.h"
#include "base/mem.h"
#include "monitor/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKEN "correct horse"
#define REPLY_MS 20000 /* a deadline, not a wait */
#define BIG_BYTES (8 << 20)
#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
#define GET_WITH(path, header) \
    "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" header "\r\n\r\n"

struct server {
    uv_loop_t loop;
    struct http *http;
    uv_async_t done;
    uv_prepare_t turning;
    int turns;                 /* of the loop */
    struct http_request *kept; /* answered when the next one comes, or after the server */
    char *big;
    int port;
};

/* -- the server's side ------------------------------------------------------------------------- */

static void answer_text(struct http_request *request, struct slice text)
{
    http_answer(request, &(struct http_answer){.status = 200, .body = text});
}

static void write_target(struct json_writer *w, const struct http_request *request)
{
    json_text(w, "method", request->method == HTTP_POST ? "POST" : "GET");
    json_bool(w, "token", request->has_token);
    json_bool(w, "local", request->local);
    json_begin_array(w, "segments");
    for (size_t i = 0; i < request->target.segment_count; i++)
        json_string(w, NULL, request->target.segments[i]);
    json_end_array(w);
    json_begin_array(w, "parameters");
    for (size_t i = 0; i < request->target.parameter_count; i++) {
        json_string(w, NULL, request->target.parameters[i].name);
        json_string(w, NULL, request->target.parameters[i].value);
    }
    json_end_array(w);
}

static void echo(struct http_request *request)
{
    struct buffer text = {0};
    struct json_writer w = {&text, false};
    json_begin_object(&w, NULL);
    write_target(&w, request);
    json_end_object(&w);
    answer_text(request, buffer_slice(&text));
    buffer_deinit(&text);
}

static void answer_kept(struct server *server)
{
    answer_text(server->kept, SLICE("kept"));
    server->kept = NULL;
}

static void handle(struct http_request *request, void *arg)
{
    struct server *server = arg;
    struct slice first =
        request->target.segment_count > 0 ? request->target.segments[0] : SLICE("");
    struct error err = {0};
    if (slice_equal(first, SLICE("echo"))) {
        echo(request);
    } else if (slice_equal(first, SLICE("later"))) {
        server->kept = request;
    } else if (slice_equal(first, SLICE("now"))) {
        answer_kept(server);
        answer_text(request, SLICE("now"));
    } else if (slice_equal(first, SLICE("big"))) {
        http_answer(request, &(struct http_answer){.status = 200,
                                                   .body = {server->big, BIG_BYTES},
                                                   .body_stays = true});
    } else if (slice_equal(first, SLICE("tagged"))) {
        http_answer(request, &(struct http_answer){.status = 200,
                                                   .content_type = "text/plain",
                                                   .body = SLICE("tagged"),
                                                   .etag = "\"7\"",
                                                   .cache = "no-cache"});
    } else {
        error_set(&err, ERR_DATA, "no such thing");
        http_fail(request, slice_equal(first, SLICE("secret")) ? 401 : 404, &err);
    }
}

static void closed(void *arg)
{
    struct server *server = arg;
    uv_close((uv_handle_t *)&server->turning, NULL);
    uv_close((uv_handle_t *)&server->done, NULL);
}

static void count_turn(uv_prepare_t *turning)
{
    struct server *server = turning->data;
    __atomic_add_fetch(&server->turns, 1, __ATOMIC_RELAXED);
}

static void end(uv_async_t *async)
{
    struct server *server = async->data;
    http_close(server->http, closed, server);
}

static void start_with(struct server *server, struct http_settings settings, http_handler handler)
{
    struct error err = {0};
    *server = (struct server){.big = mem_zalloc(BIG_BYTES)};
    uv_loop_init(&server->loop);
    server->done.data = server->turning.data = server;
    uv_prepare_init(&server->loop, &server->turning);
    uv_prepare_start(&server->turning, count_turn);
    uv_async_init(&server->loop, &server->done, end);
    if (http_open(&server->http, &server->loop, &settings, handler, server, &err) != 0)
        fail_msg("%s", err.text);
    server->port = http_port(server->http);
}

static void start(struct server *server)
{
    start_with(server, (struct http_settings){.listen = "127.0.0.1:0", .token = TOKEN}, handle);
}

static void stop(struct server *server)
{
    assert_int_equal(uv_loop_close(&server->loop), 0);
    free(server->big);
}

/* -- the client's side ------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct sockaddr_in loopback(int host, int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (uint32_t)host)};
}

/* From 127.0.0.host. */
static int connect_from(int host, int port)
{
    struct sockaddr_in from = loopback(host, 0), address = loopback(1, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    struct timeval deadline = {REPLY_MS / 1000, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static int connect_to(int port)
{
    return connect_from(1, port);
}

static void send_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* refused half-way: the reply says why */
        bytes += sent;
        length -= (size_t)sent;
    }
}

/* All that comes until the server closes. */
static char *read_all(int fd)
{
    struct buffer reply = {0};
    for (;;) {
        ssize_t count = recv(fd, buffer_reserve(&reply, 65536), 65536, 0);
        if (count <= 0)
            break;
        reply.length += (size_t)count;
    }
    buffer_byte(&reply, '\0');
    close(fd);
    return reply.data;
}

static char *ask(int port, const char *request, size_t length)
{
    int fd = connect_to(port);
    if (fd < 0)
        return mem_strdup("");
    send_all(fd, request, length);
    return read_all(fd);
}

struct asking {
    const char *request;
    char *reply; /* with its head */
};

struct script {
    struct server *server;
    struct asking *askings;
    size_t count;
    void (*act)(struct server *server); /* instead */
};

static void *play(void *arg)
{
    struct script *script = arg;
    for (size_t i = 0; i < script->count; i++)
        script->askings[i].reply = ask(script->server->port, script->askings[i].request,
                                       strlen(script->askings[i].request));
    if (script->act != NULL)
        script->act(script->server);
    uv_async_send(&script->server->done);
    return NULL;
}

static void run_script(struct script *script)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, play, script), 0);
    uv_run(&script->server->loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
}

static void run(struct server *server, struct asking *askings, size_t count)
{
    run_script(&(struct script){server, askings, count, NULL});
}

/* Lets `act` talk to a server with these settings, on a thread of its own. */
static void with_server(struct http_settings settings, void (*act)(struct server *server))
{
    struct server server;
    start_with(&server, settings, handle);
    run_script(&(struct script){.server = &server, .act = act});
    stop(&server);
}

static void expect_status(const char *reply, int status)
{
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    if (strncmp(reply, line, strlen(line)) != 0)
        fail_msg("wanted %d, got: %.200s", status, reply);
}

static const char *body_of(const char *reply)
{
    const char *end = strstr(reply, "\r\n\r\n");
    return end != NULL ? end + 4 : "";
}

/* One request to a server of its own: its status and a text in what came. */
static void expect(const char *request, int status, const char *text)
{
    struct server server;
    struct asking asking = {.request = request};
    start(&server);
    run(&server, &asking, 1);
    expect_status(asking.reply, status);
    if (strstr(asking.reply, text) == NULL)
        fail_msg("no %s in: %.2000s", text, asking.reply);
    free(asking.reply);
    stop(&server);
}

/* -- tests ------------------------------------------------------------------------------------- */

static void test_a_path_and_its_parameters_arrive_decoded(void **state)
{
    expect(GET("/echo/a%2Fb%20c//%C3%A9?item=x%26y&item=1+2&empty="), 200,
           "\"segments\":[\"echo\",\"a/b c\",\"\",\"\xc3\xa9\"],"
           "\"parameters\":[\"item\",\"x&y\",\"item\",\"1 2\",\"empty\",\"\"]");
    expect(GET("/echo?flag"), 200, "[\"flag\",\"\"]");
}

static void test_a_broken_escape_is_refused(void **state)
{
    expect(GET("/echo/%zz"), 400, "hexadecimal");
    expect(GET("/echo/%4"), 400, "hexadecimal");
    expect(GET("/echo/a%00b"), 400, "not 00");
    expect(GET("/echo?a=%"), 400, "hexadecimal");
    expect(GET("/a/b/c/d/e/f/g/h/i"), 400, "segments");
}

static void test_more_parameters_than_the_bound_are_refused(void **state)
{
    struct buffer request = {0};
    buffer_text(&request, "GET /echo?");
    for (int i = 0; i <= HTTP_PARAMETERS_MAX; i++)
        buffer_text(&request, "a=1&");
    buffer_text(&request, "b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    buffer_byte(&request, '\0');
    expect(request.data, 400, "parameters");
    buffer_deinit(&request);
}

static void test_a_form_in_the_body_is_parameters_too(void **state)
{
    expect("POST /echo?a=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
           "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\n"
           "b=2+3&b=%2B&&c",
           200, "[\"a\",\"1\",\"b\",\"2 3\",\"b\",\"+\",\"c\",\"\"]");
    expect("POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n"
           "Content-Type: application/json\r\n\r\n{}",
           415, "urlencoded");
    expect("POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
           "Transfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"
           "3\r\nx=1\r\n4\r\n&y=2\r\n0\r\n\r\n",
           200, "[\"x\",\"1\",\"y\",\"2\"]");
}

static void test_a_body_beyond_the_bound_is_refused(void **state)
{
    struct buffer request = {0};
    buffer_printf(&request,
                  "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                  "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n",
                  10 * HTTP_BODY_MAX);
    for (int i = 0; i < 10 * HTTP_BODY_MAX; i++)
        buffer_byte(&request, 'a');
    buffer_byte(&request, '\0');
    expect(request.data, 413, "too long");
    buffer_deinit(&request);
}

static void test_a_head_beyond_the_bound_is_refused(void **state)
{
    struct buffer request = {0};
    buffer_text(&request, "GET /echo HTTP/1.1\r\nHost: localhost\r\nX: ");
    for (int i = 0; i < 2 * HTTP_MEMORY_MAX; i++)
        buffer_byte(&request, 'a');
    buffer_text(&request, "\r\n\r\n");
    buffer_byte(&request, '\0');
    expect(request.data, 431, "");
    buffer_deinit(&request);
}

static void test_head_is_answered_without_a_body(void **state)
{
    struct server server;
    struct asking asking = {.request = "HEAD /tagged HTTP/1.1\r\nHost: localhost\r\n"
                                       "Connection: close\r\n\r\n"};
    start(&server);
    run(&server, &asking, 1);
    expect_status(asking.reply, 200);
    assert_non_null(strstr(asking.reply, "Content-Length: 6\r\n"));
    assert_string_equal(body_of(asking.reply), "");
    free(asking.reply);
    stop(&server);
}

static void test_other_methods_are_refused_with_what_is_allowed(void **state)
{
    static const char *const methods[] = {"PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        char request[200];
        snprintf(request, sizeof request, "%s /echo HTTP/1.1\r\nHost: localhost\r\n%s%s",
                 methods[i], "Connection: close\r\n", "\r\n");
        expect(request, 405, "Allow: GET, HEAD, POST\r\n");
    }
}

static void test_a_name_that_is_not_loopback_is_refused(void **state)
{
    static const char *const good[] = {"localhost",      "LocalHost:80", "127.0.0.1",
                                       "127.0.0.1:9464", "[::1]",        "[::1]:1"};
    static const char *const bad[] = {"evil.example",
                                      "evil.example:9464",
                                      "localhost.evil.example",
                                      "127.0.0.1.evil.example",
                                      "127.0.0.2",
                                      "localhost:",
                                      "",
                                      "localhost:80a",
                                      "::1",
                                      "[::1]x",
                                      "0.0.0.0"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(http_host_is_loopback(slice_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (http_host_is_loopback(slice_of(bad[i])))
            fail_msg("\"%s\" was taken", bad[i]);
    expect("GET /echo HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421, "Host");
    expect(
        "GET /echo HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        421, "Host");
    expect(
        "GET /echo HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        421, "Host");
    expect("GET /echo HTTP/1.0\r\n\r\n", 421, "Host");
}

static void test_a_token_is_the_right_one_or_none(void **state)
{
    static const char *const wrong[] = {
        GET("/echo"),
        GET_WITH("/echo", "Authorization: Bearer correct hors"),
        GET_WITH("/echo", "Authorization: Bearer correct horsey"),
        GET_WITH("/echo", "Authorization: Bearer Correct horse"),
        GET_WITH("/echo", "Authorization: Bearer "),
        GET_WITH("/echo", "Authorization: Basic " TOKEN),
        GET_WITH("/echo", "Authorization: " TOKEN),
        GET_WITH("/echo", "Authorization: Bearer " TOKEN "\r\nAuthorization: Bearer x"),
        GET_WITH("/echo", "Authorization: Bearer x\r\nAuthorization: Bearer " TOKEN)};
    expect(GET_WITH("/echo", "Authorization: Bearer " TOKEN), 200, "\"token\":true");
    /* As a browser sends it: "anybody:TOKEN" in base64; and the other way round. */
    expect(GET_WITH("/echo", "Authorization: Basic YW55Ym9keTpjb3JyZWN0IGhvcnNl"), 200,
           "\"token\":true");
    expect(GET_WITH("/echo", "Authorization: Basic Y29ycmVjdCBob3JzZTphbnlib2R5"), 200,
           "\"token\":false");
    expect(GET_WITH("/echo", "Authorization: Basic !"), 200, "\"token\":false");
    expect(GET_WITH("/echo", "authorization: bearer " TOKEN), 200, "\"token\":true");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect(wrong[i], 200, "\"token\":false");
}

static void ask_with_an_empty_token(struct server *server)
{
    const char request[] = GET_WITH("/echo", "Authorization: Bearer ");
    char *reply = ask(server->port, request, sizeof request - 1);
    assert_non_null(strstr(reply, "\"token\":false"));
    free(reply);
}

static void test_where_there_is_no_token_none_is_right(void **state)
{
    with_server((struct http_settings){.listen = "127.0.0.1:0", .token = ""},
                ask_with_an_empty_token);
}

static void test_every_answer_is_strict_and_names_no_server(void **state)
{
    static const char *const wanted[] = {
        "Content-Security-Policy: default-src 'none'; ", "frame-ancestors 'none'\r\n",
        "X-Content-Type-Options: nosniff\r\n",           "Referrer-Policy: no-referrer\r\n",
        "Cross-Origin-Resource-Policy: same-origin\r\n", "Cache-Control: no"};
    struct server server;
    struct asking askings[] = {
        {GET("/echo"), NULL},
        {GET("/what"), NULL},
        {GET_WITH("/tagged", "If-None-Match: \"7\""), NULL},
        {GET("/echo/%"), NULL},
        {"PUT / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", NULL}};
    start(&server);
    run(&server, askings, 5);
    for (int i = 0; i < 5; i++) {
        for (size_t h = 0; h < sizeof wanted / sizeof *wanted; h++)
            if (strstr(askings[i].reply, wanted[h]) == NULL)
                fail_msg("no %s in: %s", wanted[h], askings[i].reply);
        assert_null(strcasestr(askings[i].reply, "server:"));
        free(askings[i].reply);
    }
    stop(&server);
}

static void test_what_the_client_has_is_not_sent_again(void **state)
{
    expect(GET("/tagged"), 200, "ETag: \"7\"\r\n");
    expect(GET_WITH("/tagged", "If-None-Match: \"6\", \"7\""), 304, "ETag: \"7\"\r\n");
    expect(GET_WITH("/tagged", "If-None-Match: \"6\""), 200, "\r\n\r\ntagged");
}

static void test_an_error_is_json_and_a_401_says_what_it_wants(void **state)
{
    expect(GET("/what"), 404, "{\"error\":\"no such thing\"}");
    expect(GET("/secret"), 401, "WWW-Authenticate: Bearer\r\n");
}

static void test_a_connection_serves_one_request_after_another(void **state)
{
    struct server server;
    struct asking asking = {.request =
                                "GET /tagged HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n" GET("/what")};
    start(&server);
    run(&server, &asking, 1);
    const char *second = strstr(asking.reply, "tagged");
    assert_non_null(second);
    assert_non_null(strstr(second, "\"segments\":[\"echo\"]"));
    assert_non_null(strstr(second, "no such thing"));
    free(asking.reply);
    stop(&server);
}

static void ask_and_half_close(struct server *server)
{
    const char requests[] = "GET /tagged HTTP/1.1\r\nHost: localhost\r\n\r\n"
                            "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n"
                            "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int fd = connect_to(server->port);
    send_all(fd, requests, sizeof requests - 1);
    shutdown(fd, SHUT_WR);
    char *reply = read_all(fd);
    const char *second = strstr(reply, "\"segments\":[\"echo\"]");
    assert_non_null(second);
    assert_non_null(strstr(second, "HTTP/1.1 200 OK"));
    assert_non_null(strstr(reply, "tagged"));
    free(reply);
}

static void test_a_client_may_end_its_stream_after_asking(void **state)
{
    with_server((struct http_settings){.listen = "127.0.0.1:0", .token = ""}, ask_and_half_close);
}

static void ask_for_half(struct server *server)
{
    int fd = connect_to(server->port);
    send_all(fd, "GET /ec", 7);
    shutdown(fd, SHUT_WR);
    free(read_all(fd)); /* returns when the server has closed */
}

static void test_a_client_that_ends_its_stream_too_early_is_dropped_at_once(void **state)
{
    int64_t begin_ms = now_ms();
    for (int i = 0; i < 50; i++) /* whether bytes and end come together is a matter of luck */
        with_server((struct http_settings){.listen = "127.0.0.1:0", .token = ""}, ask_for_half);
    assert_true(now_ms() - begin_ms < HTTP_IDLE_S * 1000);
}

static void *ask_later(void *arg)
{
    struct server *server = arg;
    return ask(server->port, GET("/later"), sizeof GET("/later") - 1);
}

static void test_an_answer_may_come_later(void **state)
{
    struct server server;
    struct asking asking = {.request = GET("/now")};
    pthread_t thread;
    void *later;
    start(&server);
    assert_int_equal(pthread_create(&thread, NULL, ask_later, &server), 0);
    while (server.kept == NULL)
        uv_run(&server.loop, UV_RUN_ONCE);
    run(&server, &asking, 1);
    pthread_join(thread, &later);
    assert_string_equal(body_of(later), "kept");
    assert_string_equal(body_of(asking.reply), "now");
    free(later);
    free(asking.reply);
    stop(&server);
}

static void keep_one(struct server *server, int *fd)
{
    *fd = connect_to(server->port);
    assert_true(*fd >= 0);
    send_all(*fd, GET("/later"), sizeof GET("/later") - 1);
    while (server->kept == NULL)
        uv_run(&server->loop, UV_RUN_ONCE);
}

static void test_a_client_may_leave_before_its_answer(void **state)
{
    struct server server;
    struct asking askings[] = {{GET("/echo"), NULL}, {GET("/now"), NULL}, {GET("/echo"), NULL}};
    int fd;
    start(&server);
    keep_one(&server, &fd);
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    run(&server, askings, 3);
    for (int i = 0; i < 3; i++) {
        expect_status(askings[i].reply, 200);
        free(askings[i].reply);
    }
    stop(&server);
}

static void test_a_request_may_outlive_the_server(void **state)
{
    struct server server;
    struct asking asking = {.request = GET("/echo")};
    int fd;
    start(&server);
    keep_one(&server, &fd);
    run(&server, &asking, 1);
    answer_kept(&server);
    close(fd);
    free(asking.reply);
    stop(&server);
}

static void say_nothing(struct server *server)
{
    int fd = connect_to(server->port);
    free(read_all(fd)); /* returns when the server has closed */
}

static void test_a_silent_client_is_dropped(void **state)
{
    int64_t begin_ms = now_ms();
    with_server((struct http_settings){.listen = "127.0.0.1:0", .token = "", .idle_s = 1},
                say_nothing);
    assert_in_range(now_ms() - begin_ms, 900, REPLY_MS - 1000);
}

/* A byte whenever the server has had time for the last one, so that it is never idle. */
static void dribble(struct server *server)
{
    int fd = connect_to(server->port);
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    send_all(fd, "GET /", 5);
    while (poll(&ended, 1, 50) == 0)
        send_all(fd, "a", 1);
    char byte;
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

static void test_a_client_that_takes_too_long_is_dropped(void **state)
{
    int64_t begin_ms = now_ms();
    with_server((struct http_settings){.listen = "127.0.0.1:0", .token = "", .request_ms = 500},
                dribble);
    assert_in_range(now_ms() - begin_ms, 400, REPLY_MS - 1000);
}

static void leave_a_big_answer_unread(struct server *server)
{
    int fd = connect_to(server->port);
    send_all(fd, GET("/big"), sizeof GET("/big") - 1);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_PEEK), 1); /* it has begun, and can not end */
    for (int i = 0; i < 100; i++) {
        char *reply = ask(server->port, GET("/echo"), sizeof GET("/echo") - 1);
        expect_status(reply, 200);
        free(reply);
    }
    close(fd);
}

static void test_a_client_that_does_not_read_holds_nobody_up(void **state)
{
    with_server((struct http_settings){.listen = "127.0.0.1:0", .token = ""},
                leave_a_big_answer_unread);
}

static bool is_open(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* Waits until the server has turned away those beyond the bound. */
static int count_open(const int *fds, int count)
{
    int64_t deadline_ms = now_ms() + REPLY_MS;
    int open = count;
    while (open > HTTP_CLIENTS_ADDRESS_MAX && now_ms() < deadline_ms) {
        open = 0;
        for (int i = 0; i < count; i++)
            open += is_open(fds[i]);
        poll(NULL, 0, 1);
    }
    return open;
}

/* Until the server has seen that others have left. */
static void expect_an_answer_soon(struct server *server)
{
    int64_t deadline_ms = now_ms() + REPLY_MS;
    char *reply;
    while ((reply = ask(server->port, GET("/echo"), sizeof GET("/echo") - 1))[0] == '\0' &&
           now_ms() < deadline_ms)
        free(reply);
    expect_status(reply, 200);
    free(reply);
}

static void crowd(struct server *server)
{
    int fds[HTTP_CLIENTS_ADDRESS_MAX + 20];
    int count = (int)(sizeof fds / sizeof *fds);
    for (int i = 0; i < count; i++)
        assert_true((fds[i] = connect_to(server->port)) >= 0);
    assert_int_equal(count_open(fds, count), HTTP_CLIENTS_ADDRESS_MAX);
    for (int i = 0; i < count; i++)
        close(fds[i]);
    expect_an_answer_soon(server);
}

static void test_a_crowd_is_turned_away_and_the_next_one_served(void **state)
{
    with_server((struct http_settings){.listen = "127.0.0.1:0", .token = ""}, crowd);
}

/* As many as may come in, and one more, who waits until one has left. */
static void fill_the_house(struct server *server)
{
    int fds[HTTP_CLIENTS_MAX];
    for (int i = 0; i < HTTP_CLIENTS_MAX; i++) {
        fds[i] = connect_from(2 + i % 2, server->port);
        send_all(fds[i], "G", 1);
    }
    struct pollfd late = {.fd = connect_to(server->port), .events = POLLIN};
    send_all(late.fd, GET("/echo"), sizeof GET("/echo") - 1);
    assert_int_equal(poll(&late, 1, 300), 0);
    close(fds[HTTP_CLIENTS_MAX / 2]);
    char *reply = read_all(late.fd);
    expect_status(reply, 200);
    free(reply);
    for (int i = 0; i < HTTP_CLIENTS_MAX; i++)
        if (i != HTTP_CLIENTS_MAX / 2)
            close(fds[i]);
}

static void test_with_a_full_house_the_next_one_waits_until_somebody_leaves(void **state)
{
    with_server((struct http_settings){.listen = "127.0.0.1:0", .token = ""}, fill_the_house);
}

static rlim_t limit_descriptors(rlim_t count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void come_when_no_descriptor_is_left(struct server *server)
{
    struct sockaddr_in address = loopback(1, server->port);
    struct pollfd client = {.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN};
    rlim_t before = limit_descriptors(3);
    int turns = __atomic_load_n(&server->turns, __ATOMIC_RELAXED);
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    send_all(client.fd, GET("/echo"), sizeof GET("/echo") - 1);
    assert_int_equal(poll(&client, 1, 500), 0); /* nobody answers */
    assert_in_range(__atomic_load_n(&server->turns, __ATOMIC_RELAXED) - turns, 1, 10);
    limit_descriptors(before);
    char *reply = read_all(client.fd);
    expect_status(reply, 200);
    free(reply);
}

static void test_without_descriptors_the_loop_rests_and_clients_wait(void **state)
{
    with_server((struct http_settings){.listen = "127.0.0.1:0", .token = ""},
                come_when_no_descriptor_is_left);
}

/* -- random bytes ------------------------------------------------------------------------------ */

static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(random_state >> 1) * limit >> 31);
}

/* Pieces of HTTP in any order, with bytes changed, doubled and left out. */
static void write_nonsense(struct buffer *out)
{
    static const char *const pieces[] = {"GET ",
                                         "POST ",
                                         "HEAD ",
                                         "PUT ",
                                         "/",
                                         "/echo",
                                         "/later",
                                         "/tagged",
                                         "?",
                                         "a=%41",
                                         "&",
                                         "%",
                                         "%0",
                                         "%00",
                                         "+",
                                         " HTTP/1.1\r\n",
                                         " HTTP/1.0\r\n",
                                         " HTTP/9.9\r\n",
                                         "\r\n",
                                         "\n",
                                         "\r\n\r\n",
                                         "Host: localhost\r\n",
                                         "Host: evil\r\n",
                                         "Content-Length: 5\r\n",
                                         "Content-Length: -1\r\n",
                                         "Content-Length: 99999999999999999999\r\n",
                                         "Transfer-Encoding: chunked\r\n",
                                         "5\r\nhello\r\n",
                                         "0\r\n\r\n",
                                         "ffffffffffffffff\r\n",
                                         "Authorization: Bearer ",
                                         "If-None-Match: ",
                                         ": ",
                                         " ",
                                         "\t",
                                         "Expect: 100-continue\r\n",
                                         "Connection: close\r\n",
                                         "Connection: upgrade\r\n",
                                         "Cookie: a=b; c\r\n",
                                         "Content-Type: application/x-www-form-urlencoded\r\n",
                                         "hello",
                                         "\"7\"\r\n"};
    if (random_below(2) == 0)
        buffer_text(out, "GET /echo HTTP/1.1\r\nHost: localhost\r\n");
    for (uint32_t left = random_below(12); left > 0; left--) {
        const char *piece = pieces[random_below(sizeof pieces / sizeof *pieces)];
        for (; *piece != '\0'; piece++)
            if (random_below(60) != 0)
                buffer_byte(out, random_below(60) == 0 ? (char)random_below(256) : *piece);
    }
    for (uint32_t left = random_below(8) == 0 ? random_below(40000) : 0; left > 0; left--)
        buffer_byte(out, (char)random_below(256));
}

static void talk_nonsense(struct server *server)
{
    struct buffer nonsense = {0};
    for (int i = 0; i < 4000; i++) {
        buffer_clear(&nonsense);
        write_nonsense(&nonsense);
        int fd = connect_to(server->port);
        assert_true(fd >= 0);
        send_all(fd, nonsense.data, nonsense.length);
        if (random_below(4) != 0)
            shutdown(fd, SHUT_WR);
        if (random_below(4) == 0) { /* an answer may never come: read what is there */
            char bytes[4096];
            (void)!recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        }
        close(fd);
    }
    buffer_deinit(&nonsense);
    expect_an_answer_soon(server);
}

/* Answers at once what nonsense may ask to be kept. */
static void handle_at_once(struct http_request *request, void *arg)
{
    if (request->target.segment_count > 0 &&
        slice_equal(request->target.segments[0], SLICE("later")))
        answer_text(request, SLICE("at once"));
    else
        handle(request, arg);
}

static void test_random_bytes_crash_nothing(void **state)
{
    struct server server;
    const char *given = getenv("FRESHET_SEED");
    random_state = given != NULL ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)now_ms();
    print_message("FRESHET_SEED=%u\n", random_state);
    start_with(&server, (struct http_settings){.listen = "127.0.0.1:0", .token = TOKEN},
               handle_at_once);
    run_script(&(struct script){.server = &server, .act = talk_nonsense});
    stop(&server);
}

/* -- addresses --------------------------------------------------------------------------------- */

static void test_addresses_are_taken_apart(void **state)
{
    static const char *const good[][2] = {{"127.0.0.1:9464", "127.0.0.1:9464"},
                                          {"localhost:1", "127.0.0.1:1"},
                                          {"0.0.0.0:0", "0.0.0.0:0"},
                                          {"[::1]:65535", "[::1]:65535"},
                                          {"[0:0::1]:80", "[::1]:80"}};
    static const char *const bad[] = {"",
                                      ":80",
                                      "9464",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:8x",
                                      "::1:80",
                                      "[]:80",
                                      "[::1]",
                                      "[127.0.0.1]:80",
                                      "example.org:80",
                                      "127.0.0.1:-1",
                                      "256.0.0.1:80"};
    struct http_address address;
    struct error err;
    char text[HTTP_ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(http_address_parse(&address, good[i][0], &err), 0);
        http_address_write(&address, text);
        assert_string_equal(text, good[i][1]);
        assert_int_equal(http_address_is_loopback(&address), good[i][0][0] != '0');
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (http_address_parse(&address, bad[i], &err) != ERR_SETTINGS)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(strstr(err.text, bad[i]));
    }
}

static int open_at(const char *listen, const char *token, struct error *err)
{
    uv_loop_t loop;
    struct http *http;
    struct http_settings settings = {.listen = listen, .token = token};
    uv_loop_init(&loop);
    int status = http_open(&http, &loop, &settings, handle, NULL, err);
    assert_int_not_equal(status, 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    return status;
}

static void test_an_address_in_use_is_refused_by_its_name(void **state)
{
    struct server server;
    struct asking asking = {.request = GET("/echo")};
    struct error err;
    start(&server);
    assert_int_equal(open_at(http_listens(server.http), "", &err), ERR_DOWN);
    assert_non_null(strstr(err.text, http_listens(server.http)));
    run(&server, &asking, 1);
    free(asking.reply);
    stop(&server);
}

static void test_an_address_that_is_not_ours_is_refused(void **state)
{
    struct error err;
    assert_int_equal(open_at("192.0.2.1:80", "t", &err), ERR_SETTINGS); /* RFC 5737: nobody's */
    assert_non_null(strstr(err.text, "192.0.2.1:80"));
}

static void test_an_address_that_others_reach_needs_a_token(void **state)
{
    struct error err;
    assert_int_equal(open_at("0.0.0.0:0", "", &err), ERR_SETTINGS);
    assert_int_equal(open_at("[::]:0", "", &err), ERR_SETTINGS);
    assert_non_null(strstr(err.text, "http.token"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_path_and_its_parameters_arrive_decoded),
        cmocka_unit_test(test_a_broken_escape_is_refused),
        cmocka_unit_test(test_more_parameters_than_the_bound_are_refused),
        cmocka_unit_test(test_a_form_in_the_body_is_parameters_too),
        cmocka_unit_test(test_a_body_beyond_the_bound_is_refused),
        cmocka_unit_test(test_a_head_beyond_the_bound_is_refused),
        cmocka_unit_test(test_head_is_answered_without_a_body),
        cmocka_unit_test(test_other_methods_are_refused_with_what_is_allowed),
        cmocka_unit_test(test_a_name_that_is_not_loopback_is_refused),
        cmocka_unit_test(test_a_token_is_the_right_one_or_none),
        cmocka_unit_test(test_where_there_is_no_token_none_is_right),
        cmocka_unit_test(test_every_answer_is_strict_and_names_no_server),
        cmocka_unit_test(test_what_the_client_has_is_not_sent_again),
        cmocka_unit_test(test_an_error_is_json_and_a_401_says_what_it_wants),
        cmocka_unit_test(test_a_connection_serves_one_request_after_another),
        cmocka_unit_test(test_a_client_may_end_its_stream_after_asking),
        cmocka_unit_test(test_a_client_that_ends_its_stream_too_early_is_dropped_at_once),
        cmocka_unit_test(test_an_answer_may_come_later),
        cmocka_unit_test(test_a_client_may_leave_before_its_answer),
        cmocka_unit_test(test_a_request_may_outlive_the_server),
        cmocka_unit_test(test_a_silent_client_is_dropped),
        cmocka_unit_test(test_a_client_that_takes_too_long_is_dropped),
        cmocka_unit_test(test_a_client_that_does_not_read_holds_nobody_up),
        cmocka_unit_test(test_a_crowd_is_turned_away_and_the_next_one_served),
        cmocka_unit_test(test_with_a_full_house_the_next_one_waits_until_somebody_leaves),
        cmocka_unit_test(test_without_descriptors_the_loop_rests_and_clients_wait),
        cmocka_unit_test(test_random_bytes_crash_nothing),
        cmocka_unit_test(test_addresses_are_taken_apart),
        cmocka_unit_test(test_an_address_in_use_is_refused_by_its_name),
        cmocka_unit_test(test_an_address_that_is_not_ours_is_refused),
        cmocka_unit_test(test_an_address_that_others_reach_needs_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
