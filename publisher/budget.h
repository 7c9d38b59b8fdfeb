/* The churn budget: which rewrites of a list are worth their change.
 *
 * A list whose rank-biased distance to the one in Redis (1 - RBO, model/slate.h) is below
 * `min_change` is held back, and so is one that would lift its arm's mean distance of recent
 * rewrites above `churn_limit`; a list that is held back counts 0 in that mean, so the budget fills
 * up again. The mean is exponential, over the last BUDGET_REWRITES or so. The list in Redis stays,
 * and counts as acknowledged. Never held back: a first list, a tombstone, one that takes away an
 * item the user may no longer get, one that explores (it differs little, so that min_change would
 * hold nearly all of them back, and which depends on the item, which propensities do not know), and
 * what is not caused by an event or a generation (a sweep renews the expiry, too).
 *
 * What is decided is only right if the list in Redis is still the one that the list was compared
 * with: slate_list_is_stale. One thread. */
#ifndef FRESHET_PUBLISHER_BUDGET_H
#define FRESHET_PUBLISHER_BUDGET_H

#include "model/slate.h"

#define BUDGET_REWRITES 100

struct budget_settings {
    double min_change;  /* 0: nothing is too small */
    double churn_limit; /* 0: none */
};

enum hold { HOLD_NOTHING, HOLD_MIN_CHANGE, HOLD_CHURN_LIMIT, HOLD_COUNT };
const char *hold_name(enum hold hold); /* "min_change", "churn_limit" */

struct budget { /* of an arm; zero-initialise */
    double mean;
};

enum hold budget_decide(struct budget *budget, const struct budget_settings *settings,
                        const struct slate_list *list);

#endif
