#include "model/trial.h"

struct trial_counts trial_count(const struct trial_counts *before, const struct outcome *outcome,
                                int64_t offset)
{
    struct trial_counts after = *before;
    if (before->trial != outcome->trial || before->events == 0)
        after = (struct trial_counts){.trial = outcome->trial, .begun = offset};
    after.events++;
    if (outcome->rank == 0 || outcome->rank > TRIAL_RANK_MAX)
        return after;
    after.hits20++;
    after.hits10 += outcome->rank <= 10;
    after.rr += 1.0 / outcome->rank;
    return after;
}

void trial_add(struct trial_sums *sums, const struct trial_counts *counts)
{
    double n = counts->events, h = counts->hits20, r = counts->rr;
    if (counts->events == 0)
        return;
    sums->users++;
    sums->events += counts->events;
    sums->hits10 += counts->hits10;
    sums->hits20 += counts->hits20;
    sums->rr += r;
    sums->nn += n * n;
    sums->nh += n * h;
    sums->hh += h * h;
    sums->nr += n * r;
    sums->r2 += r * r;
}

void trial_remove(struct trial_sums *sums, const struct trial_counts *counts)
{
    double n = counts->events, h = counts->hits20, r = counts->rr;
    if (counts->events == 0)
        return;
    sums->users--;
    sums->events -= counts->events;
    sums->hits10 -= counts->hits10;
    sums->hits20 -= counts->hits20;
    sums->rr -= r;
    sums->nn -= n * n;
    sums->nh -= n * h;
    sums->hh -= h * h;
    sums->nr -= n * r;
    sums->r2 -= r * r;
    if (sums->hits20 == 0) /* what is left of reciprocal ranks are roundings */
        sums->rr = sums->nr = sums->r2 = 0;
}

void trial_replace(struct trial_sums *sums, const struct trial_counts *before,
                   const struct trial_counts *after)
{
    trial_add(sums, after); /* first, so that it is never empty between */
    trial_remove(sums, before);
}

void trial_merge(struct trial_sums *sums, const struct trial_sums *other)
{
    sums->users += other->users;
    sums->events += other->events;
    sums->hits10 += other->hits10;
    sums->hits20 += other->hits20;
    sums->rr += other->rr;
    sums->nn += other->nn;
    sums->nh += other->nh;
    sums->hh += other->hh;
    sums->nr += other->nr;
    sums->r2 += other->r2;
}
