#include "monitor/churn.h"

#include <math.h>

void churn_add(struct churn *churn, enum slate_cause cause, bool changed,
               const struct list_change *change)
{
    struct churn_sums *sums = &churn->causes[cause];
    if (change->first) {
        churn->first++;
        return;
    }
    sums->rewrites++;
    sums->changed += changed;
    sums->gone += change->gone;
    sums->jaccard += (double)change->jaccard;
    sums->rbo += (double)change->rbo;
    if (!isnan(change->net_rbo)) {
        sums->net_rewrites++;
        sums->net_jaccard += (double)change->net_jaccard;
        sums->net_rbo += (double)change->net_rbo;
    }
    if (cause == CAUSE_EVENT)
        churn->recent[churn->recent_count++ % CHURN_RECENT] = change->rbo;
}

void churn_add_held(struct churn *churn, int hold)
{
    if (hold >= 0 && hold < CHURN_HOLDS)
        churn->held[hold]++;
}

struct churn_sums churn_total(const struct churn *churn)
{
    struct churn_sums total = {0};
    for (int cause = 0; cause < CAUSE_COUNT; cause++) {
        const struct churn_sums *sums = &churn->causes[cause];
        total.rewrites += sums->rewrites;
        total.changed += sums->changed;
        total.gone += sums->gone;
        total.jaccard += sums->jaccard;
        total.rbo += sums->rbo;
        total.net_rewrites += sums->net_rewrites;
        total.net_jaccard += sums->net_jaccard;
        total.net_rbo += sums->net_rbo;
    }
    return total;
}

double churn_recent(const struct churn *churn)
{
    double sum = 0;
    if (churn->recent_count < CHURN_RECENT)
        return 0;
    for (int i = 0; i < CHURN_RECENT; i++)
        sum += (double)churn->recent[i];
    return sum / CHURN_RECENT;
}
