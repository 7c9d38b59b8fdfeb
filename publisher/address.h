/* Where a server listens, taken apart: "HOST:PORT", "[V6]:PORT" or "/path/to/socket". Plain memory,
 * any thread. */
#ifndef FRESHET_PUBLISHER_ADDRESS_H
#define FRESHET_PUBLISHER_ADDRESS_H

#include "base/error.h"

#define ADDRESS_HOST_MAX 256 /* bytes, with the closing NUL; a DNS name has at most 253 */

struct address {
    const char *path; /* of the unix socket, borrowed from the text; NULL: TCP */
    char host[ADDRESS_HOST_MAX];
    char port[6];
};

/* ERR_SETTINGS, with what is wrong and what would be right, if `text` is none of the three. */
int address_parse(struct address *address, const char *text, struct error *err);

#endif
