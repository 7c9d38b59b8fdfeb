/* Hits: where the items that users turn to stood in their lists, by arm.
 *
 * An event counts before it is learned, with the rank of its item in the list then live
 * (monitor/accuracy.h): for all items and for those new to the user, by event type, and, on new
 * items, by the event's value: cHR is of the events whose value is at least chr_min, rHR of each
 * slice of values. An event that names the list its user acted on (`list`, `pos`) is attributed to
 * it if that is a version of the user's list, not newer than the acknowledged one, and the item
 * stands at that place of the acknowledged list. (A version may be an older one and the list still
 * the same: lists are held back, or written again as they were.) Loop thread. */
#ifndef FRESHET_MONITOR_HITS_H
#define FRESHET_MONITOR_HITS_H

#include "model/slate.h"
#include "monitor/accuracy.h"

#define HITS_VALUES 16
extern const double hits_value_from[HITS_VALUES]; /* a slice's least value; it ends at the next's */

enum attribution {
    ATTRIBUTION_NONE,       /* the event names no list */
    ATTRIBUTION_HIT,        /* as above */
    ATTRIBUTION_STALE,      /* an older version than the acknowledged; the item is elsewhere now */
    ATTRIBUTION_MISMATCHED, /* the acknowledged version, which has another item there */
    ATTRIBUTION_FOREIGN,    /* no version of the user's list that we know of */
    ATTRIBUTION_COUNT
};
extern const char *const attribution_names[ATTRIBUTION_COUNT]; /* "none", "hit", ... */

struct hits { /* zero-initialise */
    struct accuracy_count counts[ACCURACY_SCOPES];
    struct accuracy_count types[EVENT_TYPES_MAX][ACCURACY_SCOPES]; /* by the settings' index */
    struct accuracy_count chosen;                                  /* cHR; new items */
    struct accuracy_count values[HITS_VALUES];                     /* rHR; new items */
    uint64_t attribution[ATTRIBUTION_COUNT];
    struct accuracy_count beside; /* of a shadow arm: the live list's, for the same events with new
                                     items */
};

struct hits_event {
    const struct event *event;
    uint32_t rank; /* of its item, from 1; 0: not among ACCURACY_RANK_MAX */
    bool is_new, is_chosen;
    enum attribution attribution;
};

void hits_add(struct hits *hits, const struct hits_event *event);

enum attribution attribution_of(const struct event *event, const struct user_record *before,
                                uint32_t item, uint32_t epoch);

#endif
