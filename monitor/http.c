#include "monitor/http.h"
#include "base/buffer.h"
#include "base/json.h"
#include "base/mem.h"
#include "monitor/http_door.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define TICK_MS 1000 /* how often deadlines are looked at while somebody is connected */

struct client {
    struct client *next, **self; /* in http->clients */
    struct MHD_Connection *connection;
    int64_t since_ms; /* connected, or its last request done */
    bool busy;        /* its request is with the handler, or its answer under way */
    bool asleep;      /* and libmicrohttpd does not look at it */
};

/* The request first, so that the one can be had from the other. */
struct exchange {
    struct http_request request;
    struct client *client;         /* NULL: it left, or the server closed */
    struct http *http;             /* not to be looked at without a client */
    struct MHD_Response *response; /* answered, and not yet given to libmicrohttpd */
    unsigned status;
    struct buffer body;
    bool handed_over; /* the handler has had it */
    bool answered;
};

struct http {
    uv_loop_t *loop;
    struct http_door door;
    uv_poll_t poll;   /* on libmicrohttpd's epoll descriptor */
    uv_timer_t timer; /* its timeouts, and our tick */
    struct MHD_Daemon *daemon;
    http_handler handler;
    void *arg;
    char *token; /* owned */
    char address[HTTP_ADDRESS_TEXT_MAX];
    bool local;
    int request_ms;
    struct client *clients;
    int count;   /* of them */
    int handles; /* not yet closed; the door is one */
    bool woken;  /* somebody, since libmicrohttpd's last round */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

static const char *const headers[][2] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
     "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
};

static void due(uv_timer_t *timer);

/* -- requests ---------------------------------------------------------------------------------- */

static struct exchange *exchange_new(struct http *http, struct client *client)
{
    struct exchange *exchange = mem_zalloc(sizeof *exchange);
    exchange->http = http;
    exchange->client = client;
    exchange->request.local = http->local;
    return exchange;
}

static void exchange_free(struct exchange *exchange)
{
    if (exchange->response != NULL)
        MHD_destroy_response(exchange->response);
    http_target_deinit(&exchange->request.target);
    buffer_deinit(&exchange->body);
    free(exchange);
}

struct lookup {
    const char *name;
    struct slice value;
    int count;
};

static enum MHD_Result look_at(void *arg, enum MHD_ValueKind kind, const char *name,
                               size_t name_length, const char *value, size_t value_length)
{
    struct lookup *lookup = arg;
    if (strcasecmp(name, lookup->name) == 0) {
        lookup->value = (struct slice){value != NULL ? value : "", (uint32_t)value_length};
        lookup->count++;
    }
    return MHD_YES;
}

/* The one value of a header; false if there is none, or more than one. */
static bool find_header(struct MHD_Connection *connection, const char *name, struct slice *value)
{
    struct lookup lookup = {.name = name};
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, look_at, &lookup);
    *value = lookup.value;
    return lookup.count == 1;
}

/* Takes as long for a wrong token as for the right one: every byte of ours is compared. */
static bool same_token(const char *token, struct slice given)
{
    size_t length = strlen(token);
    size_t different = length ^ given.length;
    for (size_t i = 0; i < length; i++)
        different |= (unsigned char)(token[i] ^ (i < given.length ? given.data[i] : 0));
    return different == 0 && length > 0;
}

/* Browsers ask for a name and a password: any name, and the token. */
static bool has_token_as_password(const struct http *http, struct MHD_Connection *connection)
{
    char *password = NULL;
    char *name = MHD_basic_auth_get_username_password(connection, &password);
    bool same = password != NULL && same_token(http->token, slice_of(password));
    MHD_free(name);
    MHD_free(password);
    return same;
}

static bool has_token(const struct http *http, struct MHD_Connection *connection)
{
    struct slice value;
    const struct slice scheme = SLICE("Bearer ");
    if (!find_header(connection, "Authorization", &value))
        return false;
    if (value.length < scheme.length || strncasecmp(value.data, scheme.data, scheme.length) != 0)
        return has_token_as_password(http, connection);
    return same_token(http->token,
                      (struct slice){value.data + scheme.length, value.length - scheme.length});
}

struct adding {
    struct http_target *target;
    struct error *err;
};

static enum MHD_Result add_parameter(void *arg, enum MHD_ValueKind kind, const char *name,
                                     size_t name_length, const char *value, size_t value_length)
{
    struct adding *adding = arg;
    struct slice given = {value != NULL ? value : "", (uint32_t)value_length};
    int status = http_target_add(adding->target, (struct slice){name, (uint32_t)name_length}, given,
                                 adding->err);
    return status == 0 ? MHD_YES : MHD_NO;
}

/* -- answers ----------------------------------------------------------------------------------- */

static void header(struct MHD_Response *response, const char *name, const char *value)
{
    if (value != NULL)
        MHD_add_response_header(response, name, value);
}

static bool client_has(const struct exchange *exchange, const char *etag)
{
    struct slice known;
    if (etag == NULL || exchange->client == NULL ||
        !find_header(exchange->client->connection, "If-None-Match", &known))
        return false;
    return memmem(known.data, known.length, etag, strlen(etag)) != NULL;
}

static void set_response(struct exchange *exchange, const struct http_answer *answer)
{
    bool known = client_has(exchange, answer->etag);
    struct slice body = known ? SLICE("") : answer->body;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.length, (void *)body.data,
        answer->body_stays || known ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY);
    exchange->status = (unsigned)(known ? 304 : answer->status);
    exchange->response = response;
    if (response == NULL)
        return; /* no memory: the connection is closed */
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        header(response, headers[i][0], headers[i][1]);
    header(response, "Content-Type",
           answer->content_type != NULL ? answer->content_type : "application/json");
    header(response, "Cache-Control", answer->cache != NULL ? answer->cache : "no-store");
    header(response, "ETag", answer->etag);
    header(response, "Allow", answer->allow);
    header(response, "WWW-Authenticate", answer->status == 401 ? "Bearer" : NULL);
    header(response, "WWW-Authenticate",
           answer->status == 401 ? "Basic realm=\"freshet: any name, and the token\"" : NULL);
}

static void wake(struct exchange *exchange)
{
    struct http *http = exchange->http;
    exchange->client->asleep = false;
    exchange->client->since_ms = (int64_t)uv_now(http->loop);
    MHD_resume_connection(exchange->client->connection);
    http->woken = true;
    if (!http->closing)
        uv_timer_start(&http->timer, due, 0, 0);
}

void http_answer(struct http_request *request, const struct http_answer *answer)
{
    struct exchange *exchange = (struct exchange *)request;
    exchange->answered = true;
    if (exchange->client == NULL) {
        exchange_free(exchange);
        return;
    }
    set_response(exchange, answer);
    if (exchange->client->asleep)
        wake(exchange);
}

static void answer_error(struct http_request *request, int status, const char *allow,
                         const char *text)
{
    struct buffer body = {0};
    struct json_writer w = {&body, false};
    json_begin_object(&w, NULL);
    json_text(&w, "error", text);
    json_end_object(&w);
    struct http_answer answer = {.status = status, .body = buffer_slice(&body), .allow = allow};
    http_answer(request, &answer);
    buffer_deinit(&body);
}

void http_fail(struct http_request *request, int status, const struct error *err)
{
    answer_error(request, status, NULL, err->text);
}

/* -- libmicrohttpd's callbacks ----------------------------------------------------------------- */

/* Names and values stay as they came: http_target decodes them, strictly. */
static size_t leave_escaped(void *arg, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

static bool is_form(struct MHD_Connection *connection)
{
    struct slice type, form = SLICE("application/x-www-form-urlencoded");
    return find_header(connection, "Content-Type", &type) && type.length >= form.length &&
           strncasecmp(type.data, form.data, form.length) == 0;
}

/* What is wrong with a request whose head has come; 0: nothing. */
static int check_head(struct http *http, struct MHD_Connection *connection, const char *method,
                      const char **why)
{
    struct slice host;
    *why = "only GET, HEAD and POST are answered";
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "POST") != 0)
        return 405;
    *why = "the Host header must be localhost, 127.0.0.1 or [::1], with any port";
    if (http->local && (!find_header(connection, "Host", &host) || !http_host_is_loopback(host)))
        return 421;
    return 0;
}

/* Hands libmicrohttpd the answer, or puts the connection to sleep until there is one. */
static enum MHD_Result go_on(struct exchange *exchange)
{
    struct MHD_Connection *connection = exchange->client->connection;
    exchange->client->busy = true;
    if (!exchange->answered) {
        exchange->client->asleep = true;
        MHD_suspend_connection(connection);
        return MHD_YES;
    }
    return exchange->response != NULL
               ? MHD_queue_response(connection, exchange->status, exchange->response)
               : MHD_NO;
}

static enum MHD_Result refuse(struct exchange *exchange, int status, const char *why)
{
    answer_error(&exchange->request, status, status == 405 ? "GET, HEAD, POST" : NULL, why);
    return go_on(exchange);
}

static enum MHD_Result begin(struct http *http, struct client *client, const char *method,
                             void **context)
{
    const char *why;
    struct exchange *exchange = exchange_new(http, client);
    *context = exchange;
    int status = check_head(http, client->connection, method, &why);
    return status == 0 ? MHD_YES : refuse(exchange, status, why);
}

/* Keeps the body of a POST up to the bound, and counts what is beyond it by one byte. */
static enum MHD_Result take_body(struct exchange *exchange, const char *data, size_t *length)
{
    size_t room = HTTP_BODY_MAX + 1 - exchange->body.length;
    buffer_add(&exchange->body, data, *length < room ? *length : room);
    *length = 0;
    return MHD_YES;
}

/* All of the request is here. */
static enum MHD_Result hand_over(struct exchange *exchange, const char *method, const char *url)
{
    struct http_request *request = &exchange->request;
    struct MHD_Connection *connection = exchange->client->connection;
    struct error err = {0};
    struct adding adding = {&request->target, &err};
    exchange->handed_over = true;
    if (exchange->body.length > HTTP_BODY_MAX)
        return refuse(exchange, 413, "the body is too long");
    if (exchange->body.length > 0 && !is_form(connection))
        return refuse(exchange, 415, "a body must be application/x-www-form-urlencoded");
    if (http_target_set_path(&request->target, slice_of(url), &err) == 0)
        MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, add_parameter, &adding);
    if (err.code == 0)
        http_target_add_form(&request->target, buffer_slice(&exchange->body), &err);
    if (err.code != 0)
        return refuse(exchange, 400, err.text);
    request->method = strcmp(method, "POST") == 0 ? HTTP_POST : HTTP_GET;
    request->has_token = has_token(exchange->http, connection);
    exchange->http->handler(request, exchange->http->arg);
    return go_on(exchange);
}

static struct client *client_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* Called when the head has come, for each part of the body, when all has come, and after a sleep.
 */
static enum MHD_Result accessed(void *arg, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *length, void **context)
{
    struct http *http = arg;
    struct exchange *exchange = *context;
    if (exchange == NULL)
        return begin(http, client_of(connection), method, context);
    if (*length > 0)
        return take_body(exchange, data, length);
    return exchange->handed_over ? go_on(exchange) : hand_over(exchange, method, url);
}

static void completed(void *arg, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode why)
{
    struct http *http = arg;
    struct exchange *exchange = *context;
    if (exchange == NULL)
        return;
    exchange->client->since_ms = (int64_t)uv_now(http->loop);
    exchange->client->busy = false;
    exchange->client = NULL;
    *context = NULL;
    if (exchange->answered || !exchange->handed_over)
        exchange_free(exchange);
}

static void add_client(struct http *http, struct MHD_Connection *connection, void **context)
{
    struct client *client = mem_zalloc(sizeof *client);
    *client = (struct client){
        http->clients, &http->clients, connection, (int64_t)uv_now(http->loop), false, false};
    if (client->next != NULL)
        client->next->self = &client->next;
    http->clients = client;
    http->count++;
    *context = client;
}

static void remove_client(struct http *http, struct client *client)
{
    *client->self = client->next;
    if (client->next != NULL)
        client->next->self = client->self;
    free(client);
    http->count--;
}

static void noticed(void *arg, struct MHD_Connection *connection, void **context,
                    enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        add_client(arg, connection, context);
    else
        remove_client(arg, *context);
}

/* -- the loop ---------------------------------------------------------------------------------- */

static int descriptor(const struct client *client)
{
    return MHD_get_connection_info(client->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
        ->connect_fd;
}

/* libmicrohttpd takes a short read for the last there is to read and waits for epoll's next edge,
 * which an end of the stream that came together with the bytes does not make. */
static bool has_left(const struct client *client)
{
    char byte;
    return !client->busy && recv(descriptor(client), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* libmicrohttpd's own timeout knows silence alone. */
static bool is_late(const struct http *http, const struct client *client)
{
    return !client->asleep && client->since_ms < (int64_t)uv_now(http->loop) - http->request_ms;
}

/* libmicrohttpd sees the end of the stream, and closes. */
static void hang_up(const struct http *http)
{
    for (struct client *c = http->clients; c != NULL; c = c->next)
        if (is_late(http, c) || has_left(c))
            shutdown(descriptor(c), SHUT_RDWR);
}

/* One round for all that is ready. */
static void turn(struct http *http)
{
    int before = http->count;
    MHD_UNSIGNED_LONG_LONG ms;
    http->woken = false;
    MHD_run(http->daemon);
    hang_up(http);
    if (http->count < before)
        http_door_open(&http->door);
    if (http->woken)
        ms = 0;
    else if (MHD_get_timeout(http->daemon, &ms) != MHD_YES || ms > TICK_MS)
        ms = TICK_MS;
    if (http->clients != NULL || ms == 0)
        uv_timer_start(&http->timer, due, ms, 0);
    else
        uv_timer_stop(&http->timer);
}

static void due(uv_timer_t *timer)
{
    turn(timer->data);
}

/* libmicrohttpd closes those it does not want, and tells its epoll descriptor of the others. */
static bool come_in(int fd, const struct sockaddr *from, socklen_t length, void *arg)
{
    struct http *http = arg;
    MHD_add_connection(http->daemon, fd, from, length);
    return http->count < HTTP_CLIENTS_MAX;
}

static void ready(uv_poll_t *poll, int status, int events)
{
    turn(poll->data);
}

/* -- opening and closing ----------------------------------------------------------------------- */

static struct MHD_Daemon *start_daemon(struct http *http, int idle_s)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;
    return MHD_start_daemon(flags, 0, NULL, NULL, accessed, http, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)HTTP_CLIENTS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                            (unsigned)HTTP_CLIENTS_ADDRESS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)HTTP_MEMORY_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)idle_s, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                            MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
                            MHD_OPTION_NOTIFY_COMPLETED, completed, http,
                            MHD_OPTION_NOTIFY_CONNECTION, noticed, http, MHD_OPTION_END);
}

static void start_handles(struct http *http, int listens)
{
    int fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_poll_init(http->loop, &http->poll, fd);
    uv_timer_init(http->loop, &http->timer);
    http->poll.data = http->timer.data = http;
    http->handles = 3;
    uv_poll_start(&http->poll, UV_READABLE, ready);
    http_door_init(&http->door, http->loop, listens, come_in, http);
}

int http_open(struct http **http, uv_loop_t *loop, const struct http_settings *settings,
              http_handler handler, void *arg, struct error *err)
{
    struct http_address address;
    if (http_address_parse(&address, settings->listen, err) != 0)
        return err->code;
    bool local = http_address_is_loopback(&address) && !settings->exposed;
    if (!local && settings->token[0] == '\0')
        return error_set(err, ERR_SETTINGS,
                         "%s: an address that others reach needs a token (http.token)",
                         settings->listen);
    int fd = http_address_listen(&address, HTTP_BACKLOG, err);
    if (fd < 0)
        return err->code;
    struct http *h = mem_zalloc(sizeof *h);
    *h = (struct http){.loop = loop, .handler = handler, .arg = arg, .local = local};
    h->request_ms = settings->request_ms > 0 ? settings->request_ms : HTTP_REQUEST_MS;
    http_address_write(&address, h->address);
    h->daemon = start_daemon(h, settings->idle_s > 0 ? settings->idle_s : HTTP_IDLE_S);
    if (h->daemon == NULL) {
        close(fd);
        free(h);
        return error_set(err, ERR_IO, "%s: the HTTP server does not start", settings->listen);
    }
    h->token = mem_strdup(settings->token);
    start_handles(h, fd);
    *http = h;
    return 0;
}

/* libmicrohttpd may not be stopped while connections sleep. */
static void wake_all(struct http *http)
{
    for (struct client *c = http->clients; c != NULL; c = c->next) {
        if (c->asleep)
            MHD_resume_connection(c->connection);
        c->asleep = false;
    }
}

static void part_closed(void *arg)
{
    struct http *http = arg;
    if (--http->handles > 0)
        return;
    wake_all(http);
    MHD_stop_daemon(http->daemon);
    void (*closed)(void *arg) = http->closed;
    void *closed_arg = http->closed_arg;
    free(http->token);
    free(http);
    closed(closed_arg);
}

static void handle_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

void http_close(struct http *http, void (*closed)(void *arg), void *arg)
{
    http->closing = true;
    http->closed = closed;
    http->closed_arg = arg;
    http_door_close(&http->door, part_closed);
    uv_close((uv_handle_t *)&http->poll, handle_closed);
    uv_close((uv_handle_t *)&http->timer, handle_closed);
}

const char *http_listens(const struct http *http)
{
    return http->address;
}

int http_port(const struct http *http)
{
    return atoi(strrchr(http->address, ':') + 1);
}
