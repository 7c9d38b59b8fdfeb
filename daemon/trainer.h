/* The trainer's keeper: spawns `freshet train` on the schedule and hears how it ended.
 *
 * Each series of generations (model/history.h) has its own schedule: the first full ALS begins as
 * soon as `first_events` interactions were applied; later ones when `every_ms` of wall time and
 * `min_events` interactions have passed since the last began. One at a time, a process of its own
 * at idle priority, ended with the daemon. One that failed, whatever of (it crashed, it was refused
 * memory, it took longer than `timeout_ms`), leaves everything as it was and is tried again after a
 * while. Loop thread. */
#ifndef FRESHET_DAEMON_TRAINER_H
#define FRESHET_DAEMON_TRAINER_H

#include "daemon/line.h"

#include <uv.h>

struct trainer_settings {
    const char *config; /* path of the settings file the daemon runs on */
    int64_t every_ms, timeout_ms;
    uint64_t min_events, first_events;
};

struct trainer_series {
    uint64_t key;
    struct slice arm; /* one that is trained so; borrowed for good */
};

struct trainer_figures {
    uint64_t runs, failures;
    bool running;
    bool failing;  /* the last run of some series failed */
    char why[128]; /* why the last one that failed did; "": none has */
    double last_s; /* how long the last run took */
};

struct trainer;
/* Nothing is trained before trainer_set_series. `written`: a run ended well, there may be a new
 * generation file. */
struct trainer *trainer_new(uv_loop_t *loop, const struct trainer_settings *settings,
                            struct line *line, struct history *history, void (*written)(void *arg),
                            void *arg);
/* Which series there are from now on, each once; one that was there goes on. count <= ARMS_MAX. */
void trainer_set_series(struct trainer *trainer, const struct trainer_series *series, size_t count);
const struct trainer_figures *trainer_figures(const struct trainer *trainer);

/* Ends a run under way (SIGTERM, then SIGKILL) and frees; `freed` from the loop. */
void trainer_free(struct trainer *trainer, void (*freed)(void *arg), void *arg);

#endif
