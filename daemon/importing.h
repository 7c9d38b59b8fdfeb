/* History from before Kafka: a recording becomes the state's beginning.
 *
 * Its events count as if they had stood in the log before the first record that is there: each in
 * the partition that producers send its user to, at the offsets that end where the log begins (of a
 * log that begins at 0 they are negative). They are learned as the daemon learns, so that the state
 * is the fold of the recording and then the log. The whole file is checked before anything is
 * learned, and the state is made aside: it is there whole, or not at all. Memory: the users changed
 * between two commits, item sums and co-occurrence. Blocking; its own loop. */
#ifndef FRESHET_DAEMON_IMPORTING_H
#define FRESHET_DAEMON_IMPORTING_H

#include "consumer/log_look.h"
#include "daemon/settings.h"
#include "model/history.h"

struct import_figures {
    uint64_t events;                  /* of the file */
    uint64_t counters[COUNTER_COUNT]; /* what became of them */
    int partitions;                   /* that have some */
    int64_t first_ms, last_ms;        /* the earliest and the latest of their times */
};

/* share: 0 to 1 */
typedef void (*import_progress_cb)(const char *stage, double share, void *arg);

/* Makes a state of the recording in `dir`, which is empty. `look` says what partitions there are.
 * ERR_DATA with file and line for a line that the daemon would refuse, or that is of the future. */
int import_recording(const struct settings *settings, const struct log_look *look, const char *path,
                     const char *dir, struct import_figures *figures, import_progress_cb progress,
                     void *arg, struct error *err);

#endif
