#include "daemon/outage.h"

#include <stdio.h>

static bool tell(int64_t *told_ms, int64_t now_ms)
{
    if (*told_ms != 0 && now_ms - *told_ms < OUTAGE_TOLD_MS)
        return false;
    *told_ms = now_ms;
    return true;
}

bool outage_down(struct outage *outage, const char *why, int64_t now_ms)
{
    if (outage->up_ms != 0) {
        outage->flapping = now_ms - outage->up_ms < OUTAGE_STEADY_MS;
        if (!outage->flapping)
            outage->told_ms = 0;
    }
    outage->up_ms = 0;
    snprintf(outage->why, sizeof outage->why, "%s", why);
    bool told = tell(&outage->told_ms, now_ms);
    outage->owes_up |= told;
    return told;
}

bool outage_up(struct outage *outage, int64_t now_ms)
{
    bool first = outage->up_ms == 0 && outage->why[0] == '\0';
    bool told = first || outage->owes_up;
    if (outage->up_ms == 0)
        outage->up_ms = now_ms;
    outage->owes_up = false;
    return told;
}

bool outage_trouble(struct outage *outage, const char *what, int64_t now_ms)
{
    snprintf(outage->trouble, sizeof outage->trouble, "%s", what);
    outage->trouble_ms = now_ms;
    return tell(&outage->trouble_told_ms, now_ms);
}

bool outage_is_up(const struct outage *outage, int64_t now_ms)
{
    bool steady = !outage->flapping || now_ms - outage->up_ms >= OUTAGE_STEADY_MS;
    return outage->up_ms != 0 && steady;
}

const char *outage_why(const struct outage *outage, int64_t now_ms)
{
    if (!outage_is_up(outage, now_ms))
        return outage->why;
    bool recent = outage->trouble_ms != 0 && now_ms - outage->trouble_ms < OUTAGE_TOLD_MS;
    return recent ? outage->trouble : "";
}
