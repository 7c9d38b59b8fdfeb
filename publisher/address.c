#include "publisher/address.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static int parse_path(struct address *address, const char *text, struct error *err)
{
    /* The kernel's own limit; libuv would silently connect to the shortened path. */
    struct sockaddr_un kernel;
    if (strlen(text) >= sizeof kernel.sun_path)
        return error_set(err, ERR_SETTINGS, "\"%s\": a socket's path has at most %zu bytes", text,
                         sizeof kernel.sun_path - 1);
    address->path = text;
    return 0;
}

static int parse_port(struct address *address, const char *text, const char *port,
                      struct error *err)
{
    size_t digits = strspn(port, "0123456789");
    long number = digits > 0 && digits < sizeof address->port ? strtol(port, NULL, 10) : 0;
    if (port[digits] != '\0' || number < 1 || number > 65535)
        return error_set(err, ERR_SETTINGS, "\"%s\": the port must be a number from 1 to 65535",
                         text);
    memcpy(address->port, port, digits + 1);
    return 0;
}

int address_parse(struct address *address, const char *text, struct error *err)
{
    memset(address, 0, sizeof *address);
    if (text[0] == '/')
        return parse_path(address, text, err);

    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    if (text[0] == '[' && length >= 2 && text[length - 1] == ']') {
        host++;
        length -= 2;
    } else if (memchr(text, ':', length) != NULL) {
        return error_set(err, ERR_SETTINGS, "\"%s\": write an IPv6 address as [ADDRESS]:PORT",
                         text);
    }
    if (length == 0 || length >= sizeof address->host)
        return error_set(err, ERR_SETTINGS,
                         "\"%s\": an address is HOST:PORT, [IPV6]:PORT or /path/to/socket", text);
    memcpy(address->host, host, length);
    return parse_port(address, text, colon + 1, err);
}
