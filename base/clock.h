/* Clocks. Wall time is for latencies, heartbeats and logs alone: nothing in the state or in a score
 * reads it (those run on stream time). Any thread. */
#ifndef FRESHET_BASE_CLOCK_H
#define FRESHET_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);       /* since 1970, UTC */
int64_t clock_monotonic_ns(void);  /* since some moment before the process began */
int64_t clock_cpu_ns(void);        /* CPU time of this process, all threads */
int64_t clock_thread_cpu_ns(void); /* of the calling thread */

#endif
