/* A state that takes the place of another: restored from a backup, imported, or begun anew.
 *
 * Redis may hold lists of its predecessor, of any epoch, offset and swap. So it gets an epoch of
 * its own, above all that are known and the time (struct version), and every list is owed: whatever
 * is in Redis is replaced. It also has to catch up with the log first. Until then its lists would
 * be older than those in Redis, so the daemon publishes nothing before (history_is_catching_up):
 * Redis never goes back. Blocking, any thread; of a state that nobody has open. */
#ifndef FRESHET_MODEL_ANEW_H
#define FRESHET_MODEL_ANEW_H

#include "model/state.h"

struct anew_offset { /* where reading goes on, if not where the state says */
    struct slice topic;
    int32_t partition;
    int64_t next_offset;
};

struct anew {
    bool lists_owed;                   /* there are users */
    const struct anew_offset *offsets; /* [offset_count] */
    size_t offset_count;
};

/* Makes the state in settings->dir such a one; an empty directory gets a new, empty state. Upgrades
 * a state of an older format. */
int anew_begin(const struct state_settings *settings, const struct anew *anew, struct error *err);

/* 0 if the state has learned nothing of the topic, or there is none; ERR_SETTINGS if it has. */
int anew_check_unread(const struct state_settings *settings, struct slice topic, struct error *err);

#endif
