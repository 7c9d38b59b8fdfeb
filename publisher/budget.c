#include "publisher/budget.h"

const char *hold_name(enum hold hold)
{
    static const char *const names[HOLD_COUNT] = {"nothing", "min_change", "churn_limit"};
    return (unsigned)hold < HOLD_COUNT ? names[hold] : "unknown";
}

static bool is_rewrite(const struct slate_list *list)
{
    bool caused_by_change = list->cause == CAUSE_EVENT || list->cause == CAUSE_GENERATION;
    return caused_by_change && !list->insist && list->user != NULL && !list->forgotten &&
           !list->change.first;
}

enum hold budget_decide(struct budget *budget, const struct budget_settings *settings,
                        const struct slate_list *list)
{
    if (!is_rewrite(list))
        return HOLD_NOTHING;
    double distance = (double)list->change.rbo;
    double with = budget->mean + (distance - budget->mean) / BUDGET_REWRITES;
    bool too_small = distance < settings->min_change;
    bool too_much = settings->churn_limit > 0 && with > settings->churn_limit;
    if (list->change.gone > 0 || list->explored_count > 0 || (!too_small && !too_much)) {
        budget->mean = with;
        return HOLD_NOTHING;
    }
    budget->mean -= budget->mean / BUDGET_REWRITES;
    return too_small ? HOLD_MIN_CHANGE : HOLD_CHURN_LIMIT;
}
