/* What is known of a server that is away now and then: why, and whether the log was told.
 *
 * The log gets one line a minute at most for being away, and one for being back after it. A server
 * that comes up and goes again at once (a right that is missing, memory that is all but full) does
 * not count as up: it must have stayed OUTAGE_STEADY_MS. Beside being away there is trouble: some
 * of what was asked is refused, and the rest goes on. Times are of a monotonic clock, from 1. Plain
 * memory; zero-initialise. */
#ifndef FRESHET_DAEMON_OUTAGE_H
#define FRESHET_DAEMON_OUTAGE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define OUTAGE_STEADY_MS 5000
#define OUTAGE_TOLD_MS 60000 /* between two lines of the log; and trouble is shown that long */

struct outage {
    char why[ERROR_TEXT_MAX], trouble[ERROR_TEXT_MAX];
    int64_t up_ms;   /* since when it is up; 0: it is not */
    int64_t told_ms; /* when the log was told why; 0: of this outage it was not */
    int64_t trouble_ms, trouble_told_ms; /* when there was some last; 0: never */
    bool flapping;                       /* it went at once the last time that it was up */
    bool owes_up;                        /* the log was told that it is away, and not yet: back */
};

/* Each says whether the log is to be told. */
bool outage_down(struct outage *outage, const char *why, int64_t now_ms);
bool outage_up(struct outage *outage, int64_t now_ms);
bool outage_trouble(struct outage *outage, const char *what, int64_t now_ms);

bool outage_is_up(const struct outage *outage, int64_t now_ms);

/* Why it does not count as up, or what the trouble is; "" for neither. */
const char *outage_why(const struct outage *outage, int64_t now_ms);

#endif
