/* A progress bar on a terminal, nothing elsewhere. stderr; redrawn at most ten times a second. */
#ifndef FRESHET_DAEMON_PROGRESS_H
#define FRESHET_DAEMON_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal;
    int64_t drawn_ns, began_ns;
};

void progress_begin(struct progress *progress);
void progress_draw(struct progress *progress, double share, const char *text);
void progress_end(struct progress *progress);

#endif
