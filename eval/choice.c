#include "eval/choice.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

static const double rho_grid[] = {1, 0.9, 0.8, 0.6, 0.4};

#define RHO_COUNT (sizeof rho_grid / sizeof *rho_grid)
#define CANDIDATES_MAX (HALF_LIFE_COUNT + PAIRS_HORIZONS * 2 * RHO_COUNT)

struct candidate {
    struct score_weights weights;
    struct scorer *scorer;
    uint32_t list[CHOICE_DEPTH];
    double sum; /* of NDCG@20 */
};

struct choice {
    struct stage *stage;
    struct scorer_settings settings;
    struct candidate candidates[CANDIDATES_MAX];
    size_t count, events;
};

struct panel_choice choice_default(void)
{
    return (struct panel_choice){.half_life = train_default_weights.trend_half_life,
                                 .together = {.rho = 0.8, .horizon = PAIRS_EVER, .both = true},
                                 .half_life_ndcg = NAN,
                                 .together_ndcg = NAN};
}

static void add(struct choice *choice, struct score_weights weights)
{
    struct candidate *candidate = &choice->candidates[choice->count++];
    candidate->weights = weights;
    choice->settings.weights = &candidate->weights;
    candidate->scorer = stage_scorer_new(choice->stage, &choice->settings);
}

struct choice *choice_new(struct stage *stage, const struct scorer_settings *settings,
                          unsigned methods)
{
    struct choice *choice = mem_zalloc(sizeof *choice);
    choice->stage = stage;
    choice->settings = *settings;
    choice->settings.finishing.n = CHOICE_DEPTH;
    for (int h = 0; h < HALF_LIFE_COUNT; h++) /* the fill of other methods' lists needs it, too */
        add(choice, (struct score_weights){.trend = 1, .trend_half_life = h, .rho = 1});
    struct score_weights together = {
        .together = 1, .rho = 1, .trend_half_life = choice_default().half_life};
    if ((methods >> METHOD_COOCCURRENCE & 1) == 0)
        return choice;
    for (int horizon = 0; horizon < PAIRS_HORIZONS; horizon++)
        for (int both = 0; both < 2; both++)
            for (size_t r = 0; r < RHO_COUNT; r++) {
                together.together_of = (struct together_choice){
                    .rho = rho_grid[r], .horizon = (enum pairs_horizon)horizon, .both = both != 0};
                add(choice, together);
            }
    return choice;
}

void choice_free(struct choice *choice)
{
    if (choice == NULL)
        return;
    for (size_t i = 0; i < choice->count; i++)
        stage_scorer_free(choice->stage, choice->candidates[i].scorer);
    free(choice);
}

size_t choice_candidates(const struct choice *choice)
{
    return choice->count;
}

int choice_judge(struct choice *choice, const struct stream_event *event, struct error *err)
{
    struct asked asked[CANDIDATES_MAX];
    for (size_t i = 0; i < choice->count; i++)
        asked[i] = (struct asked){choice->candidates[i].scorer, choice->candidates[i].list, 0};
    if (stage_lists(choice->stage, event->user, asked, choice->count, err) != 0)
        return err->code;
    choice->events++;
    for (size_t i = 0; i < choice->count; i++)
        for (uint32_t r = 0; r < asked[i].count; r++)
            if (asked[i].list[r] == event->item)
                choice->candidates[i].sum += 1 / log2(2.0 + r);
    return 0;
}

static size_t best_of(const struct choice *choice, size_t begin, size_t end)
{
    size_t best = begin;
    for (size_t i = begin + 1; i < end; i++)
        if (choice->candidates[i].sum > choice->candidates[best].sum)
            best = i;
    return best;
}

struct panel_choice choice_make(const struct choice *choice)
{
    struct panel_choice made = choice_default();
    made.events = choice->events;
    if (choice->events == 0)
        return made;
    const struct candidate *recent = &choice->candidates[best_of(choice, 0, HALF_LIFE_COUNT)];
    made.half_life = recent->weights.trend_half_life;
    made.half_life_ndcg = recent->sum / (double)choice->events;
    if (choice->count == HALF_LIFE_COUNT)
        return made;
    const struct candidate *together =
        &choice->candidates[best_of(choice, HALF_LIFE_COUNT, choice->count)];
    made.together = together->weights.together_of;
    made.together_ndcg = together->sum / (double)choice->events;
    return made;
}
