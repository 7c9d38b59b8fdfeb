#include "model/scorers.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

struct arm {
    struct slice name;
    struct scorer *scorer;
    uint64_t series;
    bool shadow;
};

struct scorers {
    const struct arms *assignment;
    struct arm arms[ARMS_MAX]; /* [count] */
    uint32_t count, control;
};

struct scorers *scorers_new(struct history *history, const struct arms *assignment,
                            const struct scorers_arm *arms, size_t count)
{
    assert(count > 0 && count <= ARMS_MAX);
    struct scorers *scorers = mem_zalloc(sizeof *scorers);
    scorers->assignment = assignment;
    scorers->count = (uint32_t)count;
    for (uint32_t i = 0; i < count; i++) {
        assert(arms[i].settings.arm == i);
        scorers->arms[i] = (struct arm){.name = arms[i].settings.arm_name,
                                        .scorer = scorer_new(history, &arms[i].settings),
                                        .series = arms[i].series,
                                        .shadow = arms[i].settings.shadow};
        if (arms[i].control)
            scorers->control = i;
    }
    return scorers;
}

void scorers_free(struct scorers *scorers)
{
    if (scorers == NULL)
        return;
    for (uint32_t i = 0; i < scorers->count; i++)
        scorer_free(scorers->arms[i].scorer);
    free(scorers);
}

void scorers_install(struct scorers *scorers, uint64_t series, struct generation *generation)
{
    for (uint32_t i = 0; i < scorers->count; i++)
        if (scorers->arms[i].series == series)
            scorer_install(scorers->arms[i].scorer,
                           generation != NULL ? generation_share(generation) : NULL);
    generation_free(generation); /* each scorer has its share */
}

static struct scorer *scorer_of(const struct scorers *scorers, uint64_t series)
{
    for (uint32_t i = 0; i < scorers->count; i++)
        if (scorers->arms[i].series == series)
            return scorers->arms[i].scorer;
    return NULL;
}

const struct generation *scorers_generation(const struct scorers *scorers, uint64_t series)
{
    const struct scorer *scorer = scorer_of(scorers, series);
    return scorer != NULL ? scorer_generation(scorer) : NULL;
}

struct generation *scorers_share_generation(const struct scorers *scorers, uint64_t series)
{
    struct scorer *scorer = scorer_of(scorers, series);
    return scorer != NULL ? scorer_share_generation(scorer) : NULL;
}

void scorers_learned(struct scorers *scorers, const struct learned *learned)
{
    for (uint32_t i = 0; i < scorers->count; i++)
        scorer_learned(scorers->arms[i].scorer, learned);
}

uint32_t scorers_arm_of(const struct scorers *scorers, struct slice user)
{
    return scorers->count > 1 ? arms_of(scorers->assignment, user) : 0;
}

uint64_t scorers_series_of(const struct scorers *scorers, uint32_t arm)
{
    return scorers->arms[arm].series;
}

void scorers_swaps_take(const struct scorers *scorers, const struct history *history,
                        struct scorers_swaps *swaps)
{
    swaps->assignment = *scorers->assignment;
    swaps->count = scorers->count;
    for (uint32_t i = 0; i < scorers->count; i++)
        swaps->of_arm[i] = history_owed_swap(history, scorers->arms[i].series);
}

uint32_t scorers_swap_of(struct slice user, void *arg)
{
    const struct scorers_swaps *swaps = arg;
    return swaps->of_arm[swaps->count > 1 ? arms_of(&swaps->assignment, user) : 0];
}

struct slice scorers_name_of(const struct scorers *scorers, uint64_t series)
{
    uint32_t i = 0;
    while (i + 1 < scorers->count && scorers->arms[i].series != series)
        i++;
    return scorers->arms[i].name;
}

struct scorer *scorers_at(struct scorers *scorers, uint32_t arm)
{
    return scorers->arms[arm].scorer;
}

size_t scorers_count(const struct scorers *scorers)
{
    return scorers->count;
}

uint32_t scorers_control(const struct scorers *scorers)
{
    return scorers->control;
}

void scorers_add(struct scorers *scorers, struct slate *slate, struct user *user)
{
    uint32_t arm = scorers_arm_of(scorers, user->id);
    scorer_add(scorers->arms[arm].scorer, slate, user);
    if (user->cause != CAUSE_EVENT)
        return;
    for (uint32_t i = 0; i < scorers->count; i++)
        if (scorers->arms[i].shadow && arms_shadows(scorers->assignment, i, user->id))
            scorer_add(scorers->arms[i].scorer, slate, user);
}

void scorers_add_popular(struct scorers *scorers, struct slate *slate)
{
    scorer_add_popular(scorers->arms[scorers->control].scorer, slate);
}

/* An arm without a list in the slate has nothing to prepare for. */
void scorers_run(struct scorers *scorers, struct slate *slate)
{
    bool has_lists[ARMS_MAX] = {false};
    for (size_t i = 0; i < slate->count; i++)
        has_lists[slate->lists[i].arm] = true;
    for (uint32_t i = 0; i < scorers->count; i++)
        if (has_lists[i])
            scorer_run(scorers->arms[i].scorer, slate);
}
