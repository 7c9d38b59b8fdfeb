#include "daemon/control.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct client {
    uv_pipe_t pipe;
    struct control *control;
    struct client *next, **self; /* in control->clients; NULL self: on its way out */
    struct buffer input;
    struct asked *asked; /* with the handler; NULL: none */
};

/* The request first, so that the one can be had from the other. */
struct asked {
    struct request request;
    struct client *client; /* NULL: it left */
};

struct control {
    uv_loop_t *loop;
    uv_pipe_t listener;
    control_handler handler;
    void *arg;
    struct client *clients;
    int client_count;
    bool listener_closed;
    void (*closed)(void *arg);
    void *closed_arg;
};

struct line {
    uv_write_t write;
    struct buffer text;
};

static void next_line(struct client *client);

static void maybe_gone(struct control *control)
{
    if (control->closed == NULL || !control->listener_closed || control->client_count > 0)
        return;
    void (*closed)(void *arg) = control->closed;
    void *arg = control->closed_arg;
    free(control);
    closed(arg);
}

static void client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    struct control *control = client->control;
    buffer_deinit(&client->input);
    free(client);
    control->client_count--;
    maybe_gone(control);
}

static void drop_client(struct client *client)
{
    if (client->self == NULL)
        return;
    *client->self = client->next;
    if (client->next != NULL)
        client->next->self = client->self;
    client->self = NULL;
    if (client->asked != NULL)
        client->asked->client = NULL; /* its owner still answers it, to nobody */
    uv_close((uv_handle_t *)&client->pipe, client_closed);
}

static void written(uv_write_t *write, int status)
{
    struct line *line = (struct line *)write;
    struct client *client = write->data;
    buffer_deinit(&line->text);
    free(line);
    if (status != 0)
        drop_client(client);
}

static void answer(struct request *request, struct slice json)
{
    struct asked *asked = (struct asked *)request;
    struct client *client = asked->client;
    free(asked);
    if (client == NULL)
        return;
    client->asked = NULL;
    struct line *line = mem_zalloc(sizeof *line);
    buffer_add(&line->text, json.data, json.length);
    buffer_byte(&line->text, '\n');
    line->write.data = client;
    uv_buf_t bytes = uv_buf_init(line->text.data, (unsigned)line->text.length);
    if (uv_write(&line->write, (uv_stream_t *)&client->pipe, &bytes, 1, written) != 0) {
        buffer_deinit(&line->text);
        free(line);
        drop_client(client);
        return;
    }
    next_line(client);
}

static void fail(struct request *request, const struct error *err)
{
    struct buffer text = {0};
    struct json_writer w = {&text, false};
    json_begin_object(&w, NULL);
    json_bool(&w, "ok", false);
    json_int(&w, "code", err->code);
    json_text(&w, "error", err->text);
    json_end_object(&w);
    answer(request, buffer_slice(&text));
    buffer_deinit(&text);
}

static struct request *new_request(struct client *client)
{
    client->asked = mem_alloc(sizeof *client->asked);
    *client->asked = (struct asked){{answer, fail}, client};
    return &client->asked->request;
}

/* Hands the next whole line to the handler, if none of this client is there already. */
static void next_line(struct client *client)
{
    char *end =
        client->input.length > 0 ? memchr(client->input.data, '\n', client->input.length) : NULL;
    if (client->asked != NULL || end == NULL || client->self == NULL)
        return;
    struct error err = {0};
    size_t length = (size_t)(end - client->input.data);
    struct json *body = json_parse((struct slice){client->input.data, (uint32_t)length}, &err);
    buffer_consume(&client->input, length + 1);
    struct request *request = new_request(client);
    if (body == NULL) {
        error_wrap(&err, "request");
        request_fail(request, &err);
        return;
    }
    client->control->handler(request, body, client->control->arg);
    json_free(body);
}

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *bytes)
{
    struct client *client = handle->data;
    (void)suggested;
    *bytes = uv_buf_init(buffer_reserve(&client->input, 4096), 4096);
}

static void got_bytes(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes)
{
    struct client *client = stream->data;
    (void)bytes;
    if (count < 0 || client->input.length + (size_t)count > CONTROL_LINE_MAX) {
        drop_client(client);
        return;
    }
    client->input.length += (size_t)count;
    next_line(client);
}

static void connected(uv_stream_t *listener, int status)
{
    struct control *control = listener->data;
    if (status != 0)
        return;
    struct client *client = mem_zalloc(sizeof *client);
    client->control = control;
    uv_pipe_init(control->loop, &client->pipe, 0);
    client->pipe.data = client;
    control->client_count++;
    client->next = control->clients;
    client->self = &control->clients;
    if (client->next != NULL)
        client->next->self = &client->next;
    control->clients = client;
    if (uv_accept(listener, (uv_stream_t *)&client->pipe) != 0 ||
        control->client_count > CONTROL_CLIENTS_MAX ||
        uv_read_start((uv_stream_t *)&client->pipe, give_room, got_bytes) != 0)
        drop_client(client);
}

static int socket_path(const char *state_dir, char *path, size_t size, struct error *err)
{
    int length = snprintf(path, size, "%s/%s", state_dir, CONTROL_SOCKET);
    if (length < 0 || (size_t)length >= size)
        return error_set(err, ERR_SETTINGS,
                         "state.dir: \"%s\" is too long for a unix socket's path (%zu bytes)",
                         state_dir, size - 1);
    return 0;
}

int control_open(struct control **control, uv_loop_t *loop, const char *state_dir,
                 control_handler handler, void *arg, struct error *err)
{
    char path[sizeof((struct sockaddr_un){0}).sun_path];
    if (socket_path(state_dir, path, sizeof path, err) != 0)
        return err->code;
    struct control *c = mem_zalloc(sizeof *c);
    c->loop = loop;
    c->handler = handler;
    c->arg = arg;
    *control = c;
    unlink(path); /* left by one that was killed; the state's lock says that nobody else is here */
    uv_pipe_init(loop, &c->listener, 0);
    c->listener.data = c;
    int status = uv_pipe_bind(&c->listener, path);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&c->listener, 16, connected);
    if (status == 0)
        return 0;
    return error_set(err, ERR_IO, "%s: %s", path, uv_strerror(status));
}

static void listener_closed(uv_handle_t *handle)
{
    struct control *control = handle->data;
    control->listener_closed = true;
    maybe_gone(control);
}

void control_close(struct control *control, void (*closed)(void *arg), void *arg)
{
    control->closed = closed;
    control->closed_arg = arg;
    uv_close((uv_handle_t *)&control->listener, listener_closed);
    while (control->clients != NULL)
        drop_client(control->clients);
}
