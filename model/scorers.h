/* The scorers of all arms: which arm a user is in, and lists by that arm's scorer.
 *
 * An arm is a whole scorer over the one history (model/scorer.h); arms that are trained alike share
 * a series of generations, each in memory once. A slate may hold lists of every arm, and for a user
 * whom shadow arms look at, theirs beside the one that is published. Assignment is model/arms.h's.
 * Loop thread, but for scorers_run, as with a single scorer. */
#ifndef FRESHET_MODEL_SCORERS_H
#define FRESHET_MODEL_SCORERS_H

#include "model/arms.h"
#include "model/scorer.h"

struct scorers_arm {
    struct scorer_settings settings; /* arm: its index among the arms */
    uint64_t series;                 /* of generations; 0: that of the base settings */
    bool control;
};

struct scorers;

/* arms: [count], copied, 0 < count <= ARMS_MAX, one of them control. `assignment` is borrowed and
 * may change while nothing is scored. */
struct scorers *scorers_new(struct history *history, const struct arms *assignment,
                            const struct scorers_arm *arms, size_t count);
void scorers_free(struct scorers *scorers);

/* The generation of a series from now on (taken over; prepared), or NULL for none. */
void scorers_install(struct scorers *scorers, uint64_t series, struct generation *generation);
const struct generation *scorers_generation(const struct scorers *scorers, uint64_t series);
/* The same as one more owner's, or NULL: see generation_share. */
struct generation *scorers_share_generation(const struct scorers *scorers, uint64_t series);

/* As scorer_learned, for all. */
void scorers_learned(struct scorers *scorers, const struct learned *learned);

/* Which arm a user's published list is made by, and how. */
uint32_t scorers_arm_of(const struct scorers *scorers, struct slice user);
/* The first arm of a series: a name for it. */
struct slice scorers_name_of(const struct scorers *scorers, uint64_t series);
uint64_t scorers_series_of(const struct scorers *scorers, uint32_t arm);
struct scorer *scorers_at(struct scorers *scorers, uint32_t arm);
size_t scorers_count(const struct scorers *scorers);
uint32_t scorers_control(const struct scorers *scorers);

/* The swap that each user's list must not be older than, as of now: a copy that another thread may
 * ask while the scorers change (a history_swap_of). */
struct scorers_swaps {
    struct arms assignment;
    uint32_t count;
    uint32_t of_arm[ARMS_MAX];
};
void scorers_swaps_take(const struct scorers *scorers, const struct history *history,
                        struct scorers_swaps *swaps);
uint32_t scorers_swap_of(struct slice user, void *swaps);

/* Adds the user's list, and those of the shadow arms that look at him (for a cause that is an event
 * only; each pins him once more). The popular list is control's. */
void scorers_add(struct scorers *scorers, struct slate *slate, struct user *user);
void scorers_add_popular(struct scorers *scorers, struct slate *slate);
void scorers_run(struct scorers *scorers, struct slate *slate);

#endif
