/* The HTTP server: figures for programs and people, in the daemon's own loop.
 *
 * libmicrohttpd without threads: its epoll descriptor is one descriptor of the loop. A request goes
 * to the handler when all of it is there, and is answered exactly once, from the handler or later;
 * until then its connection sleeps. It stays valid if the client leaves or the server closes: it is
 * then answered to nobody. Loop thread.
 *
 * What holds for every request before the handler sees it:
 * - GET, HEAD (answered like GET, without the body) and POST; else 405.
 * - On a loopback address the Host header must be a loopback name (see http_address.h); else 421.
 * - POST parameters may be in the body, as application/x-www-form-urlencoded; another body is
 *   refused with 415, a longer one than HTTP_BODY_MAX with 413.
 * Every answer has headers that let a page load nothing from elsewhere, and be neither framed,
 * sniffed, nor cached unless it says otherwise. What libmicrohttpd itself refuses (not HTTP, too
 * large a head) it answers itself, with a fixed page and without those headers.
 *
 * An address that others reach (or one that is `exposed`) needs a token: without one http_open
 * refuses. Which paths want it is the handler's business; it is told whether the address is local
 * and whether "Authorization: Bearer TOKEN" came with the right one (compared in constant time), or
 * "Basic" with it as the password, which is how a browser can send it. */
#ifndef FRESHET_MONITOR_HTTP_H
#define FRESHET_MONITOR_HTTP_H

#include "base/error.h"
#include "base/slice.h"
#include "monitor/http_address.h"
#include "monitor/http_target.h"

#include <uv.h>

#define HTTP_CLIENTS_MAX 64         /* connections; more wait in the backlog */
#define HTTP_CLIENTS_ADDRESS_MAX 32 /* of one address; more are closed at once */
#define HTTP_BACKLOG 512
#define HTTP_MEMORY_MAX 32768 /* bytes of a connection: the head of its request, and buffers */
#define HTTP_BODY_MAX 65536
#define HTTP_IDLE_S 10        /* without a byte */
#define HTTP_REQUEST_MS 30000 /* for sending a whole request and taking the whole answer */

enum http_method { HTTP_GET, HTTP_POST };

/* What the handler is given; borrowed until it is answered. */
struct http_request {
    enum http_method method; /* HEAD is HTTP_GET */
    struct http_target target;
    bool local;     /* only this machine reaches the server */
    bool has_token; /* the right one came */
};

struct http_answer {
    int status;
    const char *content_type; /* NULL: JSON */
    struct slice body;        /* copied, unless it stays */
    bool body_stays;          /* the body outlives the server */
    const char *etag;         /* with its quotes; answers 304 if the client has it; NULL: none */
    const char *cache;        /* Cache-Control; NULL: no-store */
    const char *allow;        /* of a 405; NULL: none */
};

struct http_settings {
    const char *listen; /* see http_address.h */
    const char *token;  /* empty: there is none; both are borrowed until http_open has returned */
    bool exposed;       /* others reach it although its address is a loopback one */
    int idle_s, request_ms; /* 0: HTTP_IDLE_S, HTTP_REQUEST_MS */
};

struct http;
typedef void (*http_handler)(struct http_request *request, void *arg);

/* ERR_SETTINGS or ERR_DOWN, with the address; nothing is open then. */
int http_open(struct http **http, uv_loop_t *loop, const struct http_settings *settings,
              http_handler handler, void *arg, struct error *err);
/* Closes all connections; `closed` from the loop. Not from within the handler. */
void http_close(struct http *http, void (*closed)(void *arg), void *arg);

/* Where it listens, with the port it got: "127.0.0.1:9464". */
const char *http_listens(const struct http *http);
int http_port(const struct http *http);

void http_answer(struct http_request *request, const struct http_answer *answer);
/* {"error":"..."}, with WWW-Authenticate if it is a 401. */
void http_fail(struct http_request *request, int status, const struct error *err);

#endif
