/* The daemon: all stations and keepers, put together, run and taken apart again.
 *
 * daemon_run opens the state first (it says where to start), then Kafka and Redis, and turns the
 * loop until SIGTERM or SIGINT, or until a station says that going on makes no sense. Draining:
 * learn no more, send what waits (if Redis is there), commit, settle, leave the group; all by the
 * deadline, after which what is left is abandoned - the log and the state know it. A second signal
 * skips the sending. */
#ifndef FRESHET_DAEMON_DAEMON_H
#define FRESHET_DAEMON_DAEMON_H

#include "daemon/control.h"
#include "daemon/line.h"
#include "daemon/renewal.h"
#include "daemon/settings.h"
#include "daemon/swapper.h"
#include "daemon/trainer.h"
#include "monitor/http.h"

struct daemon {
    uv_loop_t loop;
    const struct settings *settings;
    struct history *history;
    struct scorer *scorer;
    struct consumer *consumer;
    struct publisher *publisher;
    struct line *line;
    struct renewal *renewal; /* owed and forced lists */
    struct renewal *sweep;   /* the slow one that renews expiries */
    struct swapper *swapper;
    struct trainer *trainer;
    struct control *control;
    struct http *http; /* NULL: none is wanted */
    uv_signal_t sigterm, sigint;
    uv_timer_t deadline, sweep_timer;
    int64_t began_ns;
    bool kafka_up, draining, leaving;
    char kafka_why[ERROR_TEXT_MAX], redis_why[ERROR_TEXT_MAX];
    int64_t kafka_told_ms, redis_told_ms;
    int closing;          /* things whose closing has not been heard yet */
    struct error failure; /* code 0: none */
};

/* Runs until the end; the exit status is 0 or -code of err. */
int daemon_run(const struct settings *settings, const char *config, struct error *err);

/* What the control socket and HTTP are asked (daemon/requests.c), and the members of the answers to
 * "status" (daemon/status.c), "overview" and "arms". */
void daemon_request(struct request *request, const struct json *body, void *arg);
void daemon_status(struct daemon *daemon, struct json_writer *w);
void daemon_overview(struct daemon *daemon, struct json_writer *w);
void daemon_arms(struct daemon *daemon, struct json_writer *w);

/* Appends all figures in Prometheus's text format. */
void daemon_metrics(struct daemon *daemon, struct buffer *out);

#endif
