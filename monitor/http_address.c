#include "monitor/http_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

static bool parse_port(const char *text, in_port_t *port)
{
    size_t digits = strspn(text, "0123456789");
    long number = digits >= 1 && digits <= 5 ? strtol(text, NULL, 10) : -1;
    *port = htons((uint16_t)number);
    return text[digits] == '\0' && number >= 0 && number <= 65535;
}

static bool parse_v4(struct http_address *address, const char *host, in_port_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&address->storage;
    in->sin_family = AF_INET;
    in->sin_port = port;
    address->length = sizeof *in;
    return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in->sin_addr) ==
           1;
}

static bool parse_v6(struct http_address *address, const char *host, in_port_t port)
{
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)&address->storage;
    in->sin6_family = AF_INET6;
    in->sin6_port = port;
    address->length = sizeof *in;
    return inet_pton(AF_INET6, host, &in->sin6_addr) == 1;
}

static bool parse(struct http_address *address, const char *text)
{
    char host[HTTP_ADDRESS_TEXT_MAX];
    in_port_t port;
    const char *colon = strrchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    if (length == 0 || length >= sizeof host || !parse_port(colon + 1, &port))
        return false;
    bool bracketed = text[0] == '[' && text[length - 1] == ']' && length > 2;
    snprintf(host, sizeof host, "%.*s", (int)length - (bracketed ? 2 : 0), text + bracketed);
    return bracketed ? parse_v6(address, host, port) : parse_v4(address, host, port);
}

int http_address_parse(struct http_address *address, const char *text, struct error *err)
{
    memset(address, 0, sizeof *address);
    if (parse(address, text))
        return 0;
    return error_set(err, ERR_SETTINGS,
                     "\"%s\": an address to listen on is IPV4:PORT, localhost:PORT or [IPV6]:PORT",
                     text);
}

bool http_address_is_loopback(const struct http_address *address)
{
    if (address->storage.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&address->storage)->sin6_addr);
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
    return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

void http_address_write(const struct http_address *address, char text[HTTP_ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN];
    bool v6 = address->storage.ss_family == AF_INET6;
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    inet_ntop(address->storage.ss_family, v6 ? (const void *)&in6->sin6_addr : &in->sin_addr, host,
              sizeof host);
    snprintf(text, HTTP_ADDRESS_TEXT_MAX, v6 ? "[%s]:%u" : "%s:%u", host,
             ntohs(v6 ? in6->sin6_port : in->sin_port));
}

static int open_socket(struct http_address *address, int backlog)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address->storage, address->length) == 0 &&
        listen(fd, backlog) == 0 &&
        getsockname(fd, (struct sockaddr *)&address->storage, &address->length) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

int http_address_listen(struct http_address *address, int backlog, struct error *err)
{
    char text[HTTP_ADDRESS_TEXT_MAX];
    int fd = open_socket(address, backlog);
    if (fd >= 0)
        return fd;
    int why = errno;
    http_address_write(address, text);
    return error_set(err, why == EADDRINUSE ? ERR_DOWN : ERR_SETTINGS, "%s: %s", text,
                     why == EADDRINUSE ? "somebody else listens there already" : strerror(why));
}

static bool is_port(struct slice text)
{
    if (text.length == 0)
        return true;
    for (uint32_t i = 1; i < text.length; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.data[0] == ':' && text.length > 1;
}

bool http_host_is_loopback(struct slice host)
{
    static const struct slice names[] = {SLICE("localhost"), SLICE("127.0.0.1"), SLICE("[::1]")};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint32_t length = names[i].length;
        if (host.length >= length && strncasecmp(host.data, names[i].data, length) == 0 &&
            is_port((struct slice){host.data + length, host.length - length}))
            return true;
    }
    return false;
}
