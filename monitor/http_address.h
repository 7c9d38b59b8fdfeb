/* Where the HTTP server listens, and which names of itself it believes.
 *
 * "HOST:PORT" or "[V6]:PORT"; HOST is an IPv4 address or `localhost` (127.0.0.1). Names are not
 * resolved: what is listened on must not depend on what a resolver says at start. Port 0: any free
 * one. Plain memory, any thread. */
#ifndef FRESHET_MONITOR_HTTP_ADDRESS_H
#define FRESHET_MONITOR_HTTP_ADDRESS_H

#include "base/error.h"
#include "base/slice.h"

#include <sys/socket.h>

#define HTTP_ADDRESS_TEXT_MAX 64 /* bytes, with the closing NUL: an IPv6 address and a port */

struct http_address {
    struct sockaddr_storage storage;
    socklen_t length;
};

/* ERR_SETTINGS, with what would be right, if `text` is no such address. */
int http_address_parse(struct http_address *address, const char *text, struct error *err);

/* Whether only this machine reaches it: 127.0.0.0/8 or ::1. */
bool http_address_is_loopback(const struct http_address *address);

/* "127.0.0.1:9464" */
void http_address_write(const struct http_address *address, char text[HTTP_ADDRESS_TEXT_MAX]);

/* Opens a listening socket, never blocking, and puts the port it got into `address`. Returns the
 * descriptor; ERR_DOWN if somebody else listens there, ERR_SETTINGS if nobody could. */
int http_address_listen(struct http_address *address, int backlog, struct error *err);

/* Whether a Host header names this machine by a loopback name: localhost, 127.0.0.1 or [::1], with
 * any port or none. A page of another site that has its own name resolve to 127.0.0.1 (DNS
 * rebinding) sends that name here. */
bool http_host_is_loopback(struct slice host);

#endif
