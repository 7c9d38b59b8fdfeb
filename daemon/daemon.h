/* The daemon: all stations and keepers, put together, run and taken apart again.
 *
 * daemon_run opens the state first (it says where to start), then Kafka and Redis, and turns the
 * loop until SIGTERM or SIGINT, or until a station says that going on makes no sense. Draining:
 * learn no more, send what waits (if Redis is there), commit, settle, leave the group; all by the
 * deadline, after which what is left is abandoned - the log and the state know it. A second signal
 * skips the sending. SIGHUP reads the settings again: all of it is taken, or nothing. */
#ifndef FRESHET_DAEMON_DAEMON_H
#define FRESHET_DAEMON_DAEMON_H

#include "base/ids.h"
#include "daemon/control.h"
#include "daemon/experiment.h"
#include "daemon/follower.h"
#include "daemon/line.h"
#include "daemon/recorder.h"
#include "daemon/pulse.h"
#include "daemon/refill.h"
#include "daemon/renewal.h"
#include "daemon/settings.h"
#include "daemon/swapper.h"
#include "daemon/trainer.h"
#include "monitor/http.h"

struct daemon {
    uv_loop_t loop;
    const char *config;
    const struct settings *settings; /* in force: those it began with, or */
    struct settings *reloaded;       /* these; owned */
    struct settings *next;           /* loaded, not yet in force; owned */
    struct ids arm_names;            /* of all arms there ever were: lists point to them */
    struct history *history;
    struct watch *watch;
    struct experiment *experiment;
    struct scorers *scorers;
    struct consumer *consumer;
    struct publisher *publisher;
    struct line *line;
    struct refill refill;
    struct renewal *renewal; /* owed and forced lists */
    struct renewal *sweep;   /* the slow one that renews expiries */
    struct swapper *swapper;
    struct trainer *trainer;
    struct follower *follower; /* NULL: it trains by itself */
    struct recorder *recorder;
    struct control *control;
    struct http *http; /* NULL: none is wanted */
    uv_signal_t sigterm, sigint, sighup;
    uv_timer_t deadline, sweep_timer;
    struct pulse pulse;
    int64_t began_ns, began_ms; /* monotonic; since 1970 */
    bool kafka_up, redis_up, draining, leaving;
    char kafka_why[ERROR_TEXT_MAX], redis_why[ERROR_TEXT_MAX];
    int64_t kafka_told_ms, redis_told_ms;
    uint32_t questions;   /* about lists, waiting */
    int closing;          /* things whose closing has not been heard yet */
    struct error failure; /* code 0: none */
};

/* Runs until the end; the exit status is 0 or -code of err. */
int daemon_run(const struct settings *settings, const char *config, struct error *err);

/* What the versions of lists scored now begin and end with. */
struct meta_place daemon_place(const struct daemon *daemon);

/* daemon/arms.c: makes what the arms need, for the line and the trainer too. */
void daemon_build_arms(struct daemon *daemon);
void daemon_line_arms(const struct settings *settings, struct line_arm *arms);
void daemon_tell_trainer(struct daemon *daemon);

/* Control's series of generations, and what is live of it (NULL: nothing in memory). */
struct state_series daemon_live_series(const struct daemon *daemon,
                                       const struct generation **generation);

/* When its file was written, in seconds since 1970; NaN if it is not there. */
double daemon_generation_written_s(const struct daemon *daemon);

/* Reads the settings again; they are in force a little later. ERR_SETTINGS, a complaint a line, and
 * all as it was, if they are wrong or would need a restart. */
int daemon_reload(struct daemon *daemon, struct buffer *complaints, struct error *err);

/* Questions about one list (daemon/requests_explain.c): answered when the line has been held for
 * them, and a worker is done. At most DAEMON_QUESTIONS_MAX wait at a time. */
#define DAEMON_QUESTIONS_MAX 16
void daemon_explain(struct daemon *daemon, struct request *request, const struct json *body);
void daemon_whatif(struct daemon *daemon, struct request *request, const struct json *body);
void daemon_receipt(struct daemon *daemon, struct request *request, const struct json *body);
void daemon_similar(struct daemon *daemon, struct request *request, const struct json *body);

/* What the control socket and HTTP are asked (daemon/requests.c), and the members of the answers to
 * "status" (daemon/status.c), "overview" and "arms". */
void daemon_request(struct request *request, const struct json *body, void *arg);
void daemon_status(struct daemon *daemon, struct json_writer *w);
void daemon_overview(struct daemon *daemon, struct json_writer *w);
void daemon_arms(struct daemon *daemon, struct json_writer *w);

/* Of that, what the lists do (daemon/status_figures.c). */
void daemon_status_figures(struct daemon *daemon, struct json_writer *w);

/* The answer to "/metrics" (daemon/metrics.c), appended; its type is EXPOSITION_CONTENT_TYPE. */
void daemon_metrics(struct daemon *daemon, struct buffer *out);

/* Users whose list is still to be sent. */
size_t daemon_owed(const struct daemon *daemon);

#endif
