/* A request to the daemon, whoever asked: a client of the control socket or of HTTP.
 *
 * The one who asks embeds it and says how an answer gets back; the commands (daemon/requests.c)
 * know nothing else. Answered exactly once, now or later, by one of the two; gone then. It stays
 * valid if the client leaves: it is then answered to nobody. Loop thread. */
#ifndef FRESHET_DAEMON_REQUEST_H
#define FRESHET_DAEMON_REQUEST_H

#include "base/error.h"
#include "base/slice.h"

#define REQUEST_OK "{\"ok\":true" /* what every answer begins with */

struct request {
    void (*answer)(struct request *request, struct slice json);
    void (*fail)(struct request *request, const struct error *err);
};

/* `json`: a whole object that begins with REQUEST_OK. */
static inline void request_answer(struct request *request, struct slice json)
{
    request->answer(request, json);
}

static inline void request_fail(struct request *request, const struct error *err)
{
    request->fail(request, err);
}

#endif
