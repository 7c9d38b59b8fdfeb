#include "monitor/http_door.h"

#include <errno.h>
#include <unistd.h>

static void ready(uv_poll_t *poll, int status, int events);

static void rested(uv_timer_t *rest)
{
    struct http_door *door = rest->data;
    if (!door->shut)
        uv_poll_start(&door->poll, UV_READABLE, ready);
}

static void take_rest(struct http_door *door)
{
    uv_poll_stop(&door->poll);
    uv_timer_start(&door->rest, rested, HTTP_DOOR_REST_MS, 0);
}

static void ready(uv_poll_t *poll, int status, int events)
{
    struct http_door *door = poll->data;
    struct sockaddr_storage from;
    for (int i = 0; i < HTTP_DOOR_AT_ONCE && !door->shut; i++) {
        socklen_t length = sizeof from;
        int fd = accept4(door->fd, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            door->shut = !door->come_in(fd, (struct sockaddr *)&from, length, door->arg);
        else if (errno == EAGAIN)
            return;
        else if (errno != ECONNABORTED && errno != EINTR) {
            take_rest(door);
            return;
        }
    }
    if (door->shut)
        uv_poll_stop(&door->poll);
}

void http_door_init(struct http_door *door, uv_loop_t *loop, int fd,
                    bool (*come_in)(int fd, const struct sockaddr *from, socklen_t length,
                                    void *arg),
                    void *arg)
{
    *door = (struct http_door){.fd = fd, .come_in = come_in, .arg = arg, .handles = 2};
    uv_poll_init(loop, &door->poll, fd);
    uv_timer_init(loop, &door->rest);
    door->poll.data = door->rest.data = door;
    uv_poll_start(&door->poll, UV_READABLE, ready);
}

void http_door_open(struct http_door *door)
{
    if (!door->shut || uv_is_closing((uv_handle_t *)&door->poll))
        return;
    door->shut = false;
    if (!uv_is_active((uv_handle_t *)&door->rest))
        uv_poll_start(&door->poll, UV_READABLE, ready);
}

static void handle_closed(uv_handle_t *handle)
{
    struct http_door *door = handle->data;
    if (--door->handles > 0)
        return;
    close(door->fd);
    door->closed(door->arg);
}

void http_door_close(struct http_door *door, void (*closed)(void *arg))
{
    door->closed = closed;
    uv_close((uv_handle_t *)&door->poll, handle_closed);
    uv_close((uv_handle_t *)&door->rest, handle_closed);
}
