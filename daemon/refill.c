#include "daemon/refill.h"

#include <string.h>

void refill_begin(struct refill *refill)
{
    memset(refill->lacks, true, sizeof refill->lacks);
    renewal_start(refill->renewal, CAUSE_FORCED, true);
}

void refill_assigned(struct refill *refill)
{
    bool lacks = false;
    for (int32_t p = 0; p < PARTITIONS_MAX; p++)
        lacks |= refill->lacks[p] && history_is_assigned(refill->history, p);
    renewal_start(refill->renewal, lacks ? CAUSE_FORCED : CAUSE_EVENT, lacks);
}

/* Lists for events need not be waited for: the state knows that they are owed. */
static bool is_through(const struct refill *refill)
{
    return !renewal_running(refill->renewal) && line_queued_renewals(refill->line) == 0;
}

bool refill_is_done(struct refill *refill)
{
    bool through = is_through(refill), lacks = false;
    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        if (through && history_is_assigned(refill->history, p))
            refill->lacks[p] = false;
        lacks |= refill->lacks[p] && history_partition(refill->history, false, p) != NULL;
    }
    return through && !lacks;
}
