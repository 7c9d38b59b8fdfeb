/* What `freshet eval` and `freshet tune` share: the recording in memory, the settings for it, a
 * signal that asks to stop, progress on stderr. */
#ifndef FRESHET_DAEMON_JUDGING_H
#define FRESHET_DAEMON_JUDGING_H

#include "daemon/command.h"
#include "daemon/progress.h"
#include "eval/eval.h"

struct judging {
    struct settings *settings;
    struct stream stream;
    struct stage_settings stage;
    struct scorer_settings scorer;
    struct progress progress;
    int64_t deadline_ns; /* of tune --minutes; 0: none */
    int64_t told_ns;     /* where stderr is no terminal: when a line was last written */
};

/* Loads the settings (NULL: the defaults) and reads the recording. A type that the settings do not
 * name is taken all the same, as `default` or with weight 1. `threads` train and make lists. From
 * here on SIGINT and SIGTERM only ask to stop; a second one ends the process. */
int judging_open(struct judging *judging, const char *config, const char *recording, uint64_t seed,
                 int64_t threads, struct error *err);
/* One for each processor. */
int64_t judging_threads(void);

void judging_close(struct judging *judging);

/* Says how far it is; a bar on a terminal, else a line every ten seconds. */
void judging_show(struct judging *judging, double share, const char *text);

/* The exit status for an error: that of the signal if one asked to stop. */
int judging_fail(const struct error *err);

/* ERR_IO if what was printed did not all go out. */
int judging_printed(struct error *err);

#endif
