/* A few threads that do numbered pieces of work together, again and again. The pieces of one call
 * must not touch each other's data; which thread does which is left to chance. */
#ifndef FRESHET_EVAL_CREW_H
#define FRESHET_EVAL_CREW_H

#include <stddef.h>

#define CREW_MAX 64

struct crew;

/* `threads` in all, the caller's among them. */
struct crew *crew_new(size_t threads);
void crew_free(struct crew *crew); /* NULL is allowed */

/* Calls `work` for 0 to count - 1 and returns when all are done. Caller's thread: always the same.
 */
void crew_run(struct crew *crew, size_t count, void (*work)(size_t number, void *arg), void *arg);

#endif
