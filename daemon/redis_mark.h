/* The publisher's last mark (publisher/meta.h), kept in the state: in the same transaction as the
 * acknowledgements of the lists before it, so that after a crash Redis is asked for a mark that
 * speaks for all that the state says of it. Loop thread. */
#ifndef FRESHET_DAEMON_REDIS_MARK_H
#define FRESHET_DAEMON_REDIS_MARK_H

#include "model/history.h"

void redis_mark_keep(struct history *history, int64_t mark_ms);
int64_t redis_mark_kept(const struct history *history); /* 0: none */

#endif
