/* Where a server listens, taken apart: "HOST:PORT", "[V6]:PORT" or "/path/to/socket". Plain memory,
 * any thread. */
#ifndef FRESHET_PUBLISHER_ADDRESS_H
#define FRESHET_PUBLISHER_ADDRESS_H

#include "base/error.h"

#include <stdbool.h>

#define ADDRESS_HOST_MAX 256 /* bytes, with the closing NUL; a DNS name has at most 253 */

struct address {
    const char *path; /* of the unix socket, borrowed from the text; NULL: TCP */
    char host[ADDRESS_HOST_MAX];
    char port[6];
};

/* ERR_SETTINGS, with what is wrong and what would be right, if `text` is none of the three. */
int address_parse(struct address *address, const char *text, struct error *err);

/* The same of an address to listen on: no socket, and port 0, any that is free, is one. */
int address_parse_listen(struct address *address, const char *text, struct error *err);

/* Whether only this machine can reach what listens there: 127.0.0.0/8, ::1 or "localhost". Other
 * names are not looked up. */
bool address_is_loopback(const struct address *address);

#endif
