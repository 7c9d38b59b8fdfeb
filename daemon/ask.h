/* Asking the running daemon, for the subcommands: blocking.
 *
 *     struct asking asking;
 *     ask_begin(&asking, "recommend");
 *     json_text(&asking.w, "user", user);
 *     if (ask_daemon(&asking, config, ASK_MS, &answer, &err) != 0)
 *         return command_fail(&err); */
#ifndef FRESHET_DAEMON_ASK_H
#define FRESHET_DAEMON_ASK_H

#include "daemon/control.h"

#define ASK_MS 10000

struct asking {
    struct buffer request;
    struct json_writer w; /* for the members of the request */
};

void ask_begin(struct asking *asking, const char *command);

/* Sends what was asked to the daemon on the state of these settings, and waits for the answer up to
 * `timeout_ms` (0: for ever). Errors of the settings, of control_ask, or the daemon's own. */
int ask_daemon(struct asking *asking, const char *config, int timeout_ms, struct json **answer,
               struct error *err);

/* The answer as one line, without its "ok". */
void ask_print_json(const struct json *answer);

/* Text that others wrote (a title, what a server said), and the line's end. What could steer a
 * terminal, control characters of ASCII and of Latin-1, is shown as '?'. */
void ask_print_text(struct slice text);

#endif
