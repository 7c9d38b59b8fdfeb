/* TLS of one connection, as a codec: bytes of the wire in and out, bytes of the stream in and out.
 *
 * It knows nothing of sockets; publisher/transport.c carries what it makes. OpenSSL over memory:
 * what came from the server is given to tls_feed, what is to be sent is taken by tls_take_output
 * after any other call. TLS 1.2 or newer (RFC 5246, RFC 8446); the server's certificate and its
 * name are verified, always. The server cannot renegotiate; key updates (TLS 1.3) go by unseen.
 *
 *   tls_new, tls_handshake, tls_take_output            begin
 *   tls_feed, tls_handshake, tls_take_output           until tls_handshake says TLS_READY
 *   tls_feed, tls_read until there is no more, tls_take_output
 *   tls_write, tls_take_output
 *
 * Errors are ERR_DOWN, say what is wrong with whose certificate and name the setting that helps; a
 * connection that had one is only good for being freed. One thread. */
#ifndef FRESHET_PUBLISHER_TLS_H
#define FRESHET_PUBLISHER_TLS_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>

struct tls_settings { /* paths of PEM files; NULL is as good as "" */
    bool enabled;
    const char *ca_file;     /* whom to believe; "": whom the system believes */
    const char *cert_file;   /* ours, with the chain behind it; "": none */
    const char *key_file;    /* its private key, not encrypted */
    const char *server_name; /* whose certificate it must be; "": the host that was connected to */
};

/* Reads the files as a connection would: ERR_SETTINGS, with the file's name, if one is no good. */
int tls_check(const struct tls_settings *settings, struct error *err);

/* The files are read anew for each connection, so that renewed ones need no restart. `host`: a name
 * or an address as text, "" for none. */
struct tls;
int tls_new(struct tls **tls, const struct tls_settings *settings, const char *host,
            struct error *err);
void tls_free(struct tls *tls); /* NULL is fine */

/* Bytes as the server sent them; all are taken. */
void tls_feed(struct tls *tls, const char *data, size_t bytes);

enum { TLS_READY = 1 }; /* 0: more from the server is needed */
int tls_handshake(struct tls *tls, struct error *err);

/* The next bytes of the stream, lent until the next call: 1 and `data`, or 0: no more for now. The
 * server's goodbye is an error too. */
int tls_read(struct tls *tls, struct slice *data, struct error *err);

/* Encrypts all of `data`. After TLS_READY. */
int tls_write(struct tls *tls, const char *data, size_t bytes, struct error *err);

/* Says goodbye, as what is left to send. */
void tls_say_goodbye(struct tls *tls);

/* Appends what must go to the server. */
void tls_take_output(struct tls *tls, struct buffer *out);

#endif
