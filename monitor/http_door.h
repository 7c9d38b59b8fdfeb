/* The door of the HTTP server: accepts on a listening socket, as long as there is room.
 *
 * When the system refuses one more (no descriptor, no memory), those who wait stay in the backlog
 * and the door rests for HTTP_DOOR_REST_MS: the socket stays readable, and a loop that only went on
 * would turn in circles. Loop thread. */
#ifndef FRESHET_MONITOR_HTTP_DOOR_H
#define FRESHET_MONITOR_HTTP_DOOR_H

#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

#define HTTP_DOOR_REST_MS 1000
#define HTTP_DOOR_AT_ONCE 64 /* accepted before others of the loop have their turn */

struct http_door {
    /* private */
    uv_poll_t poll;
    uv_timer_t rest;
    int fd; /* owned */
    bool shut;
    int handles; /* not yet closed */
    bool (*come_in)(int fd, const struct sockaddr *from, socklen_t length, void *arg);
    void (*closed)(void *arg);
    void *arg;
};

/* Begins to accept. come_in: takes over the descriptor, which does not block; false: there is no
 * room for another, until the door is opened again. */
void http_door_init(struct http_door *door, uv_loop_t *loop, int fd,
                    bool (*come_in)(int fd, const struct sockaddr *from, socklen_t length,
                                    void *arg),
                    void *arg);

/* There is room again. */
void http_door_open(struct http_door *door);

/* Closes the socket, too. The door must stay until closed(arg) is called. */
void http_door_close(struct http_door *door, void (*closed)(void *arg));

#endif
