#include "publisher/transport.h"

#include "base/mem.h"
#include "publisher/address.h"

#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_BYTES 65536
#define KEEPALIVE_SECONDS 30

struct transport {
    uv_loop_t *loop;
    const struct transport_hooks *hooks;
    void *arg;
    struct address address;
    char *path;                                /* owned, what address.path points to; NULL: TCP */
    const struct transport_settings *settings; /* borrowed */
    struct tls *tls;                           /* owned; NULL: plain, or not yet connected */

    uv_timer_t deadline; /* of the whole connect; lives as long as the transport */
    union {
        uv_handle_t any;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } handle;
    uv_connect_t connecting;
    uv_getaddrinfo_t resolving;
    struct addrinfo *found; /* owned */
    struct addrinfo *next;  /* of `found`, to be tried */
    int last_status;        /* of the address tried last */
    int pending;            /* handles and requests whose last callback has not come */
    bool looking_up;        /* `resolving` is with libuv */
    bool connected;         /* the hook was told */
    bool failed;
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
    char bytes[READ_BYTES];
};

struct write {
    uv_write_t request;
    struct buffer bytes;
};

static void try_next(struct transport *t);

static bool is_over(const struct transport *t)
{
    return t->failed || t->closing;
}

static void fail_with(struct transport *t, const struct error *why)
{
    if (is_over(t))
        return;
    t->failed = true;
    uv_timer_stop(&t->deadline);
    t->hooks->failed(why, t->arg);
}

static void fail(struct transport *t, const char *what)
{
    struct error why;
    error_set(&why, ERR_DOWN, "%s", what);
    fail_with(t, &why);
}

/* One of the pending things has ended; the last one of a transport being closed frees it. */
static void ended(struct transport *t)
{
    t->pending--;
    if (!t->closing || t->pending > 0)
        return;
    void (*closed)(void *arg) = t->closed;
    void *arg = t->closed_arg;
    uv_freeaddrinfo(t->found);
    tls_free(t->tls);
    free(t->path);
    free(t);
    closed(arg);
}

static void on_read_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct transport *t = handle->data;
    *buf = uv_buf_init(t->bytes, sizeof t->bytes);
}

/* ---- bytes to the server ---- */

static void on_write(uv_write_t *request, int status)
{
    /* If nothing was sent, the reader of the stream says why, or the commands' deadlines do: what
     * the server said before it hung up may still be there to be read. */
    struct write *write = request->data;
    (void)status;
    buffer_deinit(&write->bytes);
    free(write);
}

static void write_out(struct transport *t, struct buffer *bytes)
{
    struct write *write = mem_zalloc(sizeof *write);
    write->request.data = write;
    write->bytes = *bytes;
    *bytes = (struct buffer){0};
    uv_buf_t buf = uv_buf_init(write->bytes.data, (unsigned)write->bytes.length);
    if (uv_write(&write->request, &t->handle.stream, &buf, 1, on_write) != 0)
        on_write(&write->request, 0);
}

static void write_tls_output(struct transport *t)
{
    struct buffer out = {0};
    tls_take_output(t->tls, &out);
    if (out.length > 0)
        write_out(t, &out);
}

void transport_write(struct transport *t, struct buffer *bytes)
{
    if (t->failed)
        return;
    if (t->tls == NULL) {
        write_out(t, bytes);
        return;
    }
    struct error why;
    int rc = tls_write(t->tls, bytes->data, bytes->length, &why);
    buffer_clear(bytes);
    write_tls_output(t);
    if (rc != 0)
        fail_with(t, &why);
}

/* ---- bytes from the server ---- */

static void become_connected(struct transport *t)
{
    uv_timer_stop(&t->deadline);
    t->connected = true;
    t->hooks->connected(t->arg);
}

static void shake_hands(struct transport *t)
{
    struct error why;
    int rc = tls_handshake(t->tls, &why);
    write_tls_output(t); /* also what tells the server why we do not believe it */
    if (rc == TLS_READY)
        become_connected(t);
    else if (rc < 0)
        fail_with(t, &why);
}

/* Any hook may have closed the transport; what it is made of lives on until later. */
static void receive_tls(struct transport *t, const char *data, size_t bytes)
{
    tls_feed(t->tls, data, bytes);
    if (!t->connected)
        shake_hands(t);
    struct slice inside;
    struct error why;
    int rc = 0;
    while (t->connected && !is_over(t) && (rc = tls_read(t->tls, &inside, &why)) == 1)
        t->hooks->received(inside.data, inside.length, t->arg);
    if (is_over(t))
        return;
    write_tls_output(t); /* an answer to a key update, or an alert */
    if (rc < 0)
        fail_with(t, &why);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct transport *t = stream->data;
    bool in_handshake = t->tls != NULL && !t->connected;
    if (count > 0 && t->tls != NULL)
        receive_tls(t, buf->base, (size_t)count);
    else if (count > 0)
        t->hooks->received(buf->base, (size_t)count, t->arg);
    else if (count < 0)
        fail(t, count != UV_EOF ? uv_strerror((int)count)
                : in_handshake  ? "the server closed the connection in the TLS handshake: has it "
                                  "TLS at this port, and room for another client?"
                                : "the server closed the connection");
}

/* ---- connecting ---- */

static void on_attempt_closed(uv_handle_t *handle)
{
    struct transport *t = handle->data;
    if (!t->closing)
        try_next(t);
    ended(t);
}

static void begin_tls(struct transport *t)
{
    struct error why;
    if (tls_new(&t->tls, &t->settings->tls, t->address.host, &why) != 0)
        fail_with(t, &why);
    else
        shake_hands(t);
}

static void on_connect(uv_connect_t *request, int status)
{
    struct transport *t = request->data;
    if (t->closing || t->failed)
        return;
    if (status == 0)
        status = uv_read_start(&t->handle.stream, on_read_buffer, on_read);
    if (status != 0) {
        t->last_status = status;
        uv_close(&t->handle.any, on_attempt_closed);
        return;
    }
    if (t->address.path == NULL) {
        uv_tcp_nodelay(&t->handle.tcp, 1);
        uv_tcp_keepalive(&t->handle.tcp, 1, KEEPALIVE_SECONDS);
    }
    if (t->settings->tls.enabled)
        begin_tls(t);
    else
        become_connected(t);
}

static void connect_pipe(struct transport *t)
{
    uv_pipe_init(t->loop, &t->handle.pipe, 0);
    t->handle.any.data = t;
    t->pending++;
    uv_pipe_connect(&t->connecting, &t->handle.pipe, t->address.path, on_connect);
}

static void try_next(struct transport *t)
{
    if (t->failed)
        return;
    struct addrinfo *address = t->next;
    if (address == NULL) {
        fail(t, uv_strerror(t->last_status));
        return;
    }
    t->next = address->ai_next;
    uv_tcp_init(t->loop, &t->handle.tcp);
    t->handle.any.data = t;
    t->pending++;
    t->last_status = uv_tcp_connect(&t->connecting, &t->handle.tcp, address->ai_addr, on_connect);
    if (t->last_status != 0)
        uv_close(&t->handle.any, on_attempt_closed);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct transport *t = request->data;
    t->looking_up = false;
    t->found = t->next = found;
    if (!t->closing && status == 0)
        try_next(t);
    else if (!t->closing)
        fail(t, uv_strerror(status));
    ended(t);
}

static void on_unresolvable(uv_timer_t *timer)
{
    struct transport *t = timer->data;
    fail(t, uv_strerror(t->last_status));
}

static void connect_host(struct transport *t)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    const char *host = t->address.host, *port = t->address.port;
    /* A numeric address is only read, not looked up, so that it can be done here and now. */
    if (getaddrinfo(host, port, &hints, &t->found) == 0) {
        t->next = t->found;
        try_next(t);
        return;
    }
    hints.ai_flags = AI_ADDRCONFIG;
    t->resolving.data = t;
    t->last_status = uv_getaddrinfo(t->loop, &t->resolving, on_resolved, host, port, &hints);
    if (t->last_status != 0) {
        /* A name that cannot even be asked for is told from the loop, as any other failure is. */
        uv_timer_start(&t->deadline, on_unresolvable, 0, 0);
        return;
    }
    t->looking_up = true;
    t->pending++;
}

static void on_deadline(uv_timer_t *timer)
{
    struct transport *t = timer->data;
    char what[128];
    snprintf(what, sizeof what,
             t->tls != NULL ? "no TLS handshake within %d ms (a server without TLS says nothing)"
                            : "no connection within %d ms",
             t->settings->timeout_ms);
    fail(t, what);
}

int transport_open(struct transport **transport, uv_loop_t *loop,
                   const struct transport_settings *settings, const struct transport_hooks *hooks,
                   void *arg, struct error *err)
{
    struct address parsed;
    int rc = address_parse(&parsed, settings->address, err);
    if (rc != 0)
        return rc;

    struct transport *t = mem_zalloc(sizeof *t);
    t->loop = loop;
    t->hooks = hooks;
    t->arg = arg;
    t->address = parsed;
    if (parsed.path != NULL)
        t->address.path = t->path = mem_strdup(parsed.path);
    t->settings = settings;
    t->connecting.data = t;
    uv_timer_init(loop, &t->deadline);
    t->deadline.data = t;
    t->pending = 1;
    uv_timer_start(&t->deadline, on_deadline, (uint64_t)settings->timeout_ms, 0);

    if (parsed.path != NULL)
        connect_pipe(t);
    else
        connect_host(t);
    *transport = t;
    return 0;
}

/* ---- the end ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    ended(handle->data);
}

/* What the socket does not take at once is not waited for. */
static void say_goodbye(struct transport *t)
{
    struct buffer out = {0};
    tls_say_goodbye(t->tls);
    tls_take_output(t->tls, &out);
    uv_buf_t buf = uv_buf_init(out.data, (unsigned)out.length);
    if (out.length > 0)
        uv_try_write(&t->handle.stream, &buf, 1);
    buffer_deinit(&out);
}

void transport_close(struct transport *t, void (*closed)(void *arg), void *arg)
{
    if (t->connected && t->tls != NULL && !t->failed)
        say_goodbye(t);
    t->closing = true;
    t->closed = closed;
    t->closed_arg = arg;
    if (t->looking_up) /* on_resolved comes even if it is too late to cancel */
        uv_cancel((uv_req_t *)&t->resolving);
    /* `data` is set once the stream is initialised; an attempt on its way out ends by itself. */
    if (t->handle.any.data != NULL && !uv_is_closing(&t->handle.any))
        uv_close(&t->handle.any, on_handle_closed);
    uv_close((uv_handle_t *)&t->deadline, on_handle_closed);
}
