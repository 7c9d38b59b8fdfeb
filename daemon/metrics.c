#include "daemon/daemon.h"

/* Nothing yet. */
void daemon_metrics(struct daemon *daemon, struct buffer *out)
{
    (void)daemon;
    (void)out;
}
