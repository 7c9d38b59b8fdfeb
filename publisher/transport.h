/* A stream of bytes to a server: "HOST:PORT", "[V6]:PORT" or "/path/to/socket", plain or in TLS.
 *
 * The one place that knows how bytes travel. With TLS the handshake is part of connecting: until it
 * is done nothing is said of `connected`, and the bytes of the hooks are those inside. Names are
 * resolved on libuv's threads, never on the loop, and the addresses found are tried in turn. One
 * transport is one connection: after `failed`, which comes at most once, all that is left is to
 * close it and open the next. Hooks are called from the loop, never before transport_open has
 * returned and never after transport_close has been called. Loop thread. */
#ifndef FRESHET_PUBLISHER_TRANSPORT_H
#define FRESHET_PUBLISHER_TRANSPORT_H

#include "base/buffer.h"
#include "base/error.h"
#include "publisher/tls.h"

#include <uv.h>

struct transport;
struct transport_hooks {
    void (*connected)(void *arg);
    void (*received)(const char *data, size_t bytes, void *arg); /* lent for the call */
    void (*failed)(const struct error *why, void *arg);          /* or the stream's end */
};

struct transport_settings { /* borrowed for as long as the transport lives */
    const char *address;
    struct tls_settings tls;
    int timeout_ms; /* for connecting, with everything */
};

/* Begins to connect. ERR_SETTINGS if the address is not one; whether anybody listens there is told
 * by the hooks (borrowed, as is `arg`). */
int transport_open(struct transport **transport, uv_loop_t *loop,
                   const struct transport_settings *settings, const struct transport_hooks *hooks,
                   void *arg, struct error *err);

/* Takes the bytes out of `bytes` (left empty) and sends them. Only after `connected`. */
void transport_write(struct transport *transport, struct buffer *bytes);

/* Drops what is not yet sent (TLS says goodbye if that can be done at once); `closed` from the loop
 * when the memory is back. A name still being resolved is waited for, because nothing can interrupt
 * it. */
void transport_close(struct transport *transport, void (*closed)(void *arg), void *arg);

#endif
