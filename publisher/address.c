#include "publisher/address.h"

#include <arpa/inet.h>
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

static int parse_port(struct address *address, const char *text, const char *port, long least,
                      struct error *err)
{
    size_t digits = strspn(port, "0123456789");
    long number = digits > 0 && digits < sizeof address->port ? strtol(port, NULL, 10) : -1;
    if (port[digits] != '\0' || number < least || number > 65535)
        return error_set(err, ERR_SETTINGS, "\"%s\": the port must be a number from %ld to 65535",
                         text, least);
    memcpy(address->port, port, digits + 1);
    return 0;
}

static int parse_host(struct address *address, const char *text, long least_port, const char *forms,
                      struct error *err)
{
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
        return error_set(err, ERR_SETTINGS, "\"%s\": an address is %s", text, forms);
    memcpy(address->host, host, length);
    return parse_port(address, text, colon + 1, least_port, err);
}

int address_parse(struct address *address, const char *text, struct error *err)
{
    memset(address, 0, sizeof *address);
    if (text[0] == '/')
        return parse_path(address, text, err);
    return parse_host(address, text, 1, "HOST:PORT, [IPV6]:PORT or /path/to/socket", err);
}

int address_parse_listen(struct address *address, const char *text, struct error *err)
{
    memset(address, 0, sizeof *address);
    return parse_host(address, text, 0, "HOST:PORT or [IPV6]:PORT", err);
}

bool address_is_loopback(const struct address *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address->host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, address->host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(address->host, "localhost") == 0;
}
