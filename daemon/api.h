/* The daemon over HTTP: which path is what.
 *
 * /healthz, /readyz      anybody who reaches the address
 * /metrics, /, /assets,  on a loopback address anybody; on another one with the token
 * and /api but
 * /api/users/...         with the token, wherever: nothing else names a user
 *
 * What is under /api becomes the same request that the control socket takes (daemon/requests.c),
 * and its answer without the "ok", which the status says. docs/openapi.json describes them all, and
 * tests/e2e/test_http.py holds them against it. Loop thread. */
#ifndef FRESHET_DAEMON_API_H
#define FRESHET_DAEMON_API_H

#include "monitor/http.h"

/* An http_handler; `arg` is the daemon. */
void api_handle(struct http_request *request, void *arg);

#endif
