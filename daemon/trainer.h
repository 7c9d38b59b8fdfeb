/* The trainer's keeper: spawns `freshet train` on the schedule and hears how it ended.
 *
 * The first full ALS begins as soon as `first_events` interactions were applied; later ones when
 * `every_ms` of wall time and `min_events` interactions have passed since the last began. One at a
 * time, a process of its own at idle priority, ended with the daemon. Loop thread. */
#ifndef FRESHET_DAEMON_TRAINER_H
#define FRESHET_DAEMON_TRAINER_H

#include "daemon/line.h"

#include <uv.h>

struct trainer_settings {
    const char *config; /* path of the settings file the daemon runs on */
    int64_t every_ms;
    uint64_t min_events, first_events;
};

struct trainer_figures {
    uint64_t runs, failures;
    bool running;
    double last_s; /* how long the last run took */
};

struct trainer;
/* `written`: a run ended well, there may be a new generation file. */
struct trainer *trainer_new(uv_loop_t *loop, const struct trainer_settings *settings,
                            struct line *line, struct history *history, void (*written)(void *arg),
                            void *arg);
const struct trainer_figures *trainer_figures(const struct trainer *trainer);

/* Ends a run under way (SIGTERM, then SIGKILL) and frees; `freed` from the loop. */
void trainer_free(struct trainer *trainer, void (*freed)(void *arg), void *arg);

#endif
