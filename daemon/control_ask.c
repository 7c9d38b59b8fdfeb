/* The asking side of the control socket: plain blocking calls, for subcommands. */
#include "daemon/control.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (64 * 1024 * 1024)

static int open_socket(const char *state_dir, int timeout_ms, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length =
        snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", state_dir, CONTROL_SOCKET);
    if (length < 0 || (size_t)length >= sizeof address.sun_path)
        return error_set(err, ERR_SETTINGS, "state.dir: \"%s\" is too long for a unix socket",
                         state_dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(err, ERR_IO, "socket: %s", strerror(errno));
    struct timeval wait = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    error_set(err, ERR_DOWN, "no freshet is running on %s (%s)", state_dir, strerror(errno));
    close(fd);
    return err->code;
}

static int send_line(int fd, struct slice request, struct error *err)
{
    struct buffer line = {0};
    buffer_add(&line, request.data, request.length);
    buffer_byte(&line, '\n');
    size_t sent = 0;
    while (sent < line.length) {
        ssize_t count = send(fd, line.data + sent, line.length - sent, MSG_NOSIGNAL);
        if (count <= 0)
            break;
        sent += (size_t)count;
    }
    bool whole = sent == line.length;
    buffer_deinit(&line);
    return whole ? 0 : error_set(err, ERR_DOWN, "control socket: %s", strerror(errno));
}

static int read_line(int fd, struct buffer *line, struct error *err)
{
    while (line->length < ANSWER_MAX) {
        ssize_t count = recv(fd, buffer_reserve(line, 65536), 65536, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return error_set(err, ERR_DOWN, "the daemon did not answer in time");
        if (count <= 0)
            return error_set(err, ERR_DOWN, "the daemon closed the connection");
        line->length += (size_t)count;
        if (line->data[line->length - 1] == '\n')
            return 0;
    }
    return error_set(err, ERR_DATA, "the daemon's answer is too long");
}

int control_ask(const char *state_dir, struct slice request, int timeout_ms, struct json **answer,
                struct error *err)
{
    int fd = open_socket(state_dir, timeout_ms, err);
    if (fd < 0)
        return err->code;
    struct buffer line = {0};
    *answer = NULL;
    if (send_line(fd, request, err) == 0 && read_line(fd, &line, err) == 0)
        *answer = json_parse((struct slice){line.data, (uint32_t)line.length}, err);
    close(fd);
    buffer_deinit(&line);
    if (*answer == NULL)
        return err->code;
    if (json_get_bool(*answer, "ok", false))
        return 0;
    struct slice text = json_get_string(*answer, "error", SLICE("no reason given"));
    error_set(err, (int)json_get_int(*answer, "code", ERR_BUG), "%.*s", SLICE_ARG(text));
    json_free(*answer);
    *answer = NULL;
    return err->code;
}

int control_make_durable(const char *state_dir, int timeout_ms, struct error *err)
{
    struct json *answer;
    int status = control_ask(state_dir, SLICE("{\"cmd\":\"commit\"}"), timeout_ms, &answer, err);
    if (status == 0)
        json_free(answer);
    return status == ERR_DOWN ? 0 : status;
}
