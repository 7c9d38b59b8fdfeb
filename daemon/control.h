/* The control socket: how the other subcommands ask the running daemon.
 *
 * STATE/control.sock, a unix socket in the state directory (mode 0700). One JSON object a line each
 * way:
 * {"cmd":"status"} -> {"ok":true,...} or {"ok":false,"code":-75,"error":"..."}. Requests of a
 * connection are answered one after another. At most CONTROL_CLIENTS_MAX connections, lines of
 * CONTROL_LINE_MAX bytes. Loop thread. */
#ifndef FRESHET_DAEMON_CONTROL_H
#define FRESHET_DAEMON_CONTROL_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "daemon/request.h"

#include <uv.h>

#define CONTROL_CLIENTS_MAX 64
#define CONTROL_LINE_MAX 65536
#define CONTROL_SOCKET "control.sock"

struct control;

typedef void (*control_handler)(struct request *request, const struct json *body, void *arg);

int control_open(struct control **control, uv_loop_t *loop, const char *state_dir,
                 control_handler handler, void *arg, struct error *err);
void control_close(struct control *control, void (*closed)(void *arg), void *arg);

/* The other side, for the subcommands: sends one request, waits for its answer up to `timeout_ms`
 * (0: for ever). ERR_DOWN if no daemon runs on this state; the daemon's own error if it says one.
 */
int control_ask(const char *state_dir, struct slice request, int timeout_ms, struct json **answer,
                struct error *err);

/* For those who read the state itself: a running daemon first writes what it has in memory. Without
 * one the state is all there is. */
int control_make_durable(const char *state_dir, int timeout_ms, struct error *err);

#endif
