#include "daemon/redis_mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE "redis.mark"

void redis_mark_keep(struct history *history, int64_t mark_ms)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, mark_ms);
    history_set_note(history, NOTE, slice_of(text));
}

int64_t redis_mark_kept(const struct history *history)
{
    struct slice note = history_note(history, NOTE);
    char text[24] = "";
    if (note.length < sizeof text)
        memcpy(text, note.data, note.length);
    return strtoll(text, NULL, 10);
}
