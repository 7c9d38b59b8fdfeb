#include "eval/tune.h"
#include "base/clock.h"
#include "base/mem.h"
#include "eval/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SAMPLE_SALT 0x74756e65u
#define TRIALS_SALT 0x747269616cu
#define DAY_MS INT64_C(86400000)

static const int ranks[] = {16, 32, 48, 64, 96, 128};
static const int64_t half_lives_ms[] = {0, 7 * DAY_MS, 30 * DAY_MS, 90 * DAY_MS, 365 * DAY_MS};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

struct tuning {
    const struct stream *stream;
    const struct tune_settings *settings;
    struct scorer_settings scorer;
    bool *judged; /* [events] */
    size_t judged_count;
    uint64_t random; /* of the trials */
    double *first;   /* [judged_count]: trial 0's NDCG@20 of each judged event */
    struct tune_trial best;
    size_t trials; /* done */
};

/* Trials that are judged side by side. */
struct round {
    struct tuning *tuning;
    struct stage *stage;
    size_t count;
    struct tune_trial trials[TUNE_ROUND];
    struct scorer *scorers[TUNE_ROUND];
    double *ndcg[TUNE_ROUND]; /* [judged_count] */
    uint32_t lists[TUNE_ROUND][TUNE_DEPTH];
    uint32_t *users; /* [judged_count]: whose event it was */
};

/* -- drawing a trial --------------------------------------------------------------------------- */

static double draw_share(struct tuning *tuning)
{
    return (double)(eval_random(&tuning->random) >> 11) * 0x1p-53;
}

/* Log-uniform, to two digits: what is tried is what can be written into a settings file. */
static double draw_scale(struct tuning *tuning, double from, double to)
{
    char text[32];
    snprintf(text, sizeof text, "%.2g", from * pow(to / from, draw_share(tuning)));
    return strtod(text, NULL);
}

/* Half-lives longer than the stream say nothing. */
static int64_t draw_half_life(struct tuning *tuning)
{
    const struct stream_event *events = tuning->stream->events;
    int64_t span_ms = events[tuning->settings->to - 1].ts_ms - events[0].ts_ms;
    size_t count = 1;
    while (count < COUNT_OF(half_lives_ms) && half_lives_ms[count] < span_ms)
        count++;
    return half_lives_ms[eval_random_below(&tuning->random, count)];
}

static struct tune_trial draw_trial(struct tuning *tuning, size_t number)
{
    const struct tune_settings *settings = tuning->settings;
    struct tune_trial trial = {
        .number = number, .hyper = settings->stage.train.als.hyper, .half_life_ms = -1};
    for (uint32_t i = 0; i < settings->scorer.type_count; i++)
        trial.types[i] = settings->scorer.types[i];
    if (number == 0)
        return trial;
    trial.hyper.rank = ranks[eval_random_below(&tuning->random, COUNT_OF(ranks))];
    if (trial.hyper.objective == OBJECTIVE_IALS)
        trial.hyper.w0 = draw_scale(tuning, 0.01, 1);
    if (trial.hyper.lambda_scaling == LAMBDA_COUNT)
        trial.hyper.lambda = draw_scale(tuning, 0.001, 0.3);
    else
        trial.hyper.lambda = draw_scale(tuning, 0.01, 30);
    trial.hyper.alpha = draw_scale(tuning, 0.5, 20);
    if (trial.hyper.objective == OBJECTIVE_IMPLICIT && trial.hyper.alpha < 1)
        trial.hyper.alpha = 1; /* p = c - 1 is not to be negative */
    trial.half_life_ms = draw_half_life(tuning);
    for (uint32_t i = 0; i < settings->scorer.type_count; i++)
        trial.types[i].half_life_ms = trial.half_life_ms;
    return trial;
}

/* -- a round ----------------------------------------------------------------------------------- */

static void tell(const struct tuning *tuning, double share, const char *stage)
{
    const struct tune_settings *settings = tuning->settings;
    if (settings->progress != NULL)
        settings->progress(share, stage, tuning->trials, settings->arg);
}

static double share_done(const struct tuning *tuning, double more)
{
    return ((double)tuning->trials + more) / (double)tuning->settings->trials;
}

/* The next trial: trained, and ready to be judged. */
static int train_trial(struct round *round, struct error *err)
{
    struct tuning *tuning = round->tuning;
    struct tune_trial *trial = &round->trials[round->count];
    struct train_settings train = tuning->settings->stage.train;
    struct generation *generation;
    *trial = draw_trial(tuning, tuning->trials + round->count);
    train.als.hyper = trial->hyper;
    train.types = trial->types;
    tell(tuning, share_done(tuning, (double)round->count * 0.8), "training");
    int64_t began_ns = clock_monotonic_ns();
    if (stage_train(round->stage, &train, &generation, err) != 0)
        return err->code;
    trial->train_seconds = (double)(clock_monotonic_ns() - began_ns) * 1e-9;
    if (generation == NULL)
        return error_set(err, ERR_DATA, "too few events before the judged ones to train on");
    struct scorer_settings scorer = tuning->scorer;
    scorer.types = trial->types;
    round->scorers[round->count] = stage_scorer_new(round->stage, &scorer);
    round->ndcg[round->count] = mem_zalloc(tuning->judged_count * sizeof(double) + 1);
    int failed = stage_install(round->stage, round->scorers[round->count], generation, err);
    generation_free(generation);
    round->count++;
    return failed;
}

static bool may_begin(const struct tuning *tuning, size_t number)
{
    const struct tune_settings *settings = tuning->settings;
    if (number >= settings->trials)
        return false;
    return number < 2 || settings->deadline_ns == 0 || clock_monotonic_ns() < settings->deadline_ns;
}

static int judge_event(struct round *round, const struct stream_event *event, size_t at,
                       struct error *err)
{
    struct asked asked[TUNE_ROUND];
    for (size_t i = 0; i < round->count; i++)
        asked[i] = (struct asked){round->scorers[i], round->lists[i], 0};
    if (stage_lists(round->stage, event->user, asked, round->count, err) != 0)
        return err->code;
    round->users[at] = event->user;
    for (size_t i = 0; i < round->count; i++)
        for (uint32_t r = 0; r < asked[i].count; r++)
            if (asked[i].list[r] == event->item)
                round->ndcg[i][at] = 1 / log2(2.0 + r);
    return 0;
}

static int learn_to(struct round *round, size_t begin, size_t end, struct error *err)
{
    const struct tuning *tuning = round->tuning;
    size_t judged = 0;
    for (size_t at = begin; at < end; at++) {
        const struct stream_event *event = &tuning->stream->events[at];
        if (stage_go_on(round->stage, err) != 0 ||
            (tuning->judged[at] && judge_event(round, event, judged++, err) != 0) ||
            stage_learn(round->stage, event, err) != 0)
            return err->code;
        double share = 0.8 + 0.2 * (double)(at - begin) / (double)(end - begin);
        if (round->count > 0)
            tell(tuning, share_done(tuning, (double)round->count * share), "judging");
    }
    return 0;
}

/* -- what came out ----------------------------------------------------------------------------- */

/* Mean and standard error, clustered by user, of a less b (may be NULL). */
static struct mean mean_of(const struct tuning *tuning, const uint32_t *users, const double *a,
                           const double *b)
{
    struct figures_settings one = {.ks = {1},
                                   .k_count = 1,
                                   .depth = 1,
                                   .methods = 1,
                                   .users = tuning->stream->users.count,
                                   .items = 0};
    struct figures figures;
    figures_init(&figures, &one);
    for (size_t i = 0; i < tuning->judged_count; i++)
        figures_number(&figures, 0, users[i], a[i] - (b != NULL ? b[i] : 0));
    struct mean mean = figures_mean(&figures, 0, UINT32_MAX, 0);
    figures_deinit(&figures);
    return mean;
}

static void conclude(struct round *round)
{
    struct tuning *tuning = round->tuning;
    for (size_t i = 0; i < round->count; i++) {
        struct tune_trial *trial = &round->trials[i];
        struct mean mean = mean_of(tuning, round->users, round->ndcg[i], NULL);
        if (trial->number == 0) {
            tuning->first = round->ndcg[i];
            round->ndcg[i] = NULL;
        } else {
            struct mean gain = mean_of(tuning, round->users, round->ndcg[i], tuning->first);
            trial->gain = gain.mean;
            trial->gain_se = gain.se;
        }
        trial->ndcg = mean.mean;
        trial->se = mean.se;
        bool better = trial->ndcg > tuning->best.ndcg && trial->gain > trial->gain_se;
        if (trial->number == 0 || better)
            tuning->best = *trial;
        tuning->trials++;
        if (tuning->settings->judged != NULL)
            tuning->settings->judged(trial, tuning->settings->arg);
    }
}

static int go_round(struct round *round, struct error *err)
{
    struct tuning *tuning = round->tuning;
    const struct tune_settings *settings = tuning->settings;
    tell(tuning, share_done(tuning, 0), "learning");
    if (learn_to(round, 0, settings->from, err) != 0)
        return err->code;
    while (round->count < TUNE_ROUND && may_begin(tuning, tuning->trials + round->count))
        if (train_trial(round, err) != 0)
            return err->code;
    if (learn_to(round, settings->from, settings->to, err) != 0)
        return err->code;
    conclude(round);
    return 0;
}

static int run_round(struct tuning *tuning, struct error *err)
{
    struct round round = {.tuning = tuning};
    round.users = mem_array(NULL, tuning->judged_count, sizeof *round.users);
    int failed = stage_open(&round.stage, tuning->stream, &tuning->settings->stage, err);
    if (!failed) {
        failed = go_round(&round, err);
        stage_close(round.stage);
    }
    for (size_t i = 0; i < TUNE_ROUND; i++)
        free(round.ndcg[i]);
    free(round.users);
    return failed;
}

/* -- all of it --------------------------------------------------------------------------------- */

static void draw_judged(struct tuning *tuning)
{
    const struct tune_settings *settings = tuning->settings;
    size_t *places = mem_array(NULL, settings->to - settings->from, sizeof *places), count = 0;
    for (size_t at = settings->from; at < settings->to; at++)
        if (tuning->stream->events[at].is_new)
            places[count++] = at;
    tuning->judged_count = count < TUNE_EVENTS_MAX ? count : TUNE_EVENTS_MAX;
    run_draw(tuning->judged, places, count, TUNE_EVENTS_MAX, settings->seed ^ SAMPLE_SALT);
    free(places);
}

int tune_run(const struct stream *stream, const struct tune_settings *settings,
             struct tune_trial *best, struct error *err)
{
    struct tuning tuning = {.stream = stream,
                            .settings = settings,
                            .scorer = settings->scorer,
                            .random = settings->seed ^ TRIALS_SALT};
    int failed = 0;
    tuning.scorer.finishing.n = TUNE_DEPTH;
    tuning.scorer.weights = NULL;
    tuning.judged = mem_zalloc(stream->count * sizeof *tuning.judged + 1);
    draw_judged(&tuning);
    if (tuning.judged_count == 0)
        failed = error_set(err, ERR_DATA, "no event of the judged part is new to its user");
    while (!failed && may_begin(&tuning, tuning.trials))
        failed = run_round(&tuning, err);
    *best = tuning.best;
    free(tuning.judged);
    free(tuning.first);
    return failed;
}
