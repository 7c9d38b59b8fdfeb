/* Bytes on a connection to the HTTP server, from a client that then hangs up: the server answers
 * or closes, the connection is gone in the end, and so is its memory.
 *
 * Input: one byte of flags (1: the handler answers later, 2: the bytes come in two pieces), then
 * what the client sends. */
#include "monitor/http.h"
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { LATER = 1, TWO_PIECES = 2 };

#define TURNS_MAX 200

struct server {
    uv_loop_t loop;
    struct http *http;
    unsigned flags;
    struct http_request *waiting; /* to be answered later; NULL: none */
};

static void answer(struct http_request *request)
{
    const struct http_target *target = &request->target;
    MUST(target->segment_count <= HTTP_SEGMENTS_MAX);
    struct slice body = target->segment_count > 0 ? target->segments[0] : SLICE("");
    http_answer(request, &(struct http_answer){.status = request->has_token ? 200 : 401,
                                               .body = body,
                                               .etag = "\"1\""});
}

static void handle(struct http_request *request, void *arg)
{
    struct server *server = arg;
    if ((server->flags & LATER) && server->waiting == NULL)
        server->waiting = request;
    else
        answer(request);
}

static struct server *open_server(void)
{
    static struct server server;
    static bool is_open;
    struct http_settings settings = {.listen = "127.0.0.1:0", .token = "right"};
    struct error err = {0};
    if (is_open)
        return &server;
    uv_loop_init(&server.loop);
    MUST(http_open(&server.http, &server.loop, &settings, handle, &server, &err) == 0);
    is_open = true;
    return &server;
}

static void send_bytes(int fd, struct slice bytes)
{
    if (bytes.length > 0)
        send(fd, bytes.data, bytes.length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool has_closed(int fd)
{
    char bytes[4096];
    ssize_t count;
    while ((count = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        continue;
    return count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

static void turn(struct server *server)
{
    uv_run(&server->loop, UV_RUN_NOWAIT);
    if (server->waiting != NULL) {
        struct http_request *request = server->waiting;
        server->waiting = NULL;
        answer(request);
    }
}

/* The machine may be out of ports for a moment; a server that loses descriptors is so for good. */
static int connect_client(struct server *server)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_port(server->http)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger reset = {1, 0}; /* else a port waits a minute for each input */
    int tries = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    while (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        MUST(tries++ < TURNS_MAX);
        turn(server);
        usleep(10000);
    }
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, (uint32_t)size};
    struct server *server = open_server();
    server->flags = (unsigned)take_number(&input, 1);
    int fd = connect_client(server);
    if (server->flags & TWO_PIECES) {
        send_bytes(fd, take_bytes(&input, input.length / 2));
        turn(server);
    }
    send_bytes(fd, input);
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < TURNS_MAX && !has_closed(fd); i++)
        turn(server);
    close(fd);
    for (int i = 0; i < 3 || server->waiting != NULL; i++)
        turn(server);
    return 0;
}
