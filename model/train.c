#include "model/train.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "model/blas.h"
#include "model/tail.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct score_weights train_default_weights = {
    .taste = 1,
    .trend = 0.3,
    .trend_half_life = 4,
    .rho = 0.8,
    .together = 10,
    .together_of = {.rho = 0.8, .horizon = PAIRS_EVER, .both = true}};

#define GATE_STANDARD_ERRORS 2

/* One run of train_run. */
struct training {
    const struct train_settings *settings;
    train_progress_cb progress;
    void *arg;
    int64_t began_ns;

    struct corpus corpus;
    struct generation *live; /* rotated; NULL: none */
    size_t stride;
    float *X;  /* [users, stride] */
    float *Y;  /* [items, stride] */
    bool warm; /* Y is no longer where chance put it */
    double loss;
    int iterations; /* in all */
    const char *stage;

    struct score_weights weights;
    struct generation_figures figures;
    enum gate gate;
};

static void training_deinit(struct training *t)
{
    corpus_deinit(&t->corpus);
    generation_free(t->live);
    free(t->X);
    free(t->Y);
}

static void enter(struct training *t, const char *stage)
{
    t->stage = stage;
    if (t->progress != NULL)
        t->progress(&(struct train_report){.stage = stage}, t->arg);
}

static void iterated(const struct als_progress *als, void *arg)
{
    struct training *t = arg;
    t->loss = als->loss;
    t->iterations++;
    if (t->progress != NULL)
        t->progress(&(struct train_report){.stage = t->stage, .als = als}, t->arg);
}

/* A generation that cannot be read must not keep the next one from being trained: then this one is
 * a first one. */
static void read_live(struct training *t)
{
    char path[4096];
    struct error err = {0};
    if (t->corpus.live_generation == 0)
        return;
    generation_path(path, sizeof path, t->settings->state.dir, t->settings->series,
                    t->corpus.live_generation);
    if (generation_read(&t->live, path, &err) == 0 && generation_rotate(t->live, &err) == 0)
        return;
    generation_free(t->live);
    t->live = NULL;
    enter(t, "reading (the live generation cannot be read: starting cold)");
}

static int read_all(struct training *t, struct error *err)
{
    const struct train_settings *s = t->settings;
    enter(t, "reading");
    FAILPOINT("train.read");
    if (corpus_read(&t->corpus, &s->state, s->topic, s->types, s->type_names, s->type_count,
                    s->series, s->seed, err) != 0)
        return -1;
    size_t count = t->corpus.user_begin[t->corpus.users];
    if (count == 0 || count < s->interactions_min)
        return error_set(err, ERR_DATA, "%zu interactions are too few to train on, %llu are wanted",
                         count,
                         (unsigned long long)(s->interactions_min ? s->interactions_min : 1));
    t->figures = (struct generation_figures){.users = t->corpus.users,
                                             .items = t->corpus.items,
                                             .interactions = count,
                                             .ndcg20 = NAN,
                                             .ndcg20_se = NAN,
                                             .ndcg20_live = NAN,
                                             .ndcg20_recent = NAN,
                                             .ndcg20_taste = NAN,
                                             .ndcg20_together = NAN};
    t->stride = als_stride(s->als.hyper.rank);
    t->X = mem_try(t->corpus.users * t->stride, sizeof *t->X);
    t->Y = mem_try(t->corpus.items * t->stride, sizeof *t->Y);
    if (t->X == NULL || t->Y == NULL)
        return error_set(err, ERR_DOWN, "no memory for the factors of %zu users and %zu items",
                         t->corpus.users, t->corpus.items);
    read_live(t);
    return 0;
}

/* The running generation's factors in the corpus's rows; zero where it has none. Both lists of ids
 * are in byte order. */
static void live_rows(const struct generation *live, const struct corpus *corpus, float *Y)
{
    size_t from = 0;
    memset(Y, 0, corpus->items * live->stride * sizeof *Y);
    for (size_t row = 0; row < corpus->items; row++) {
        while (from < live->items && slice_compare(live->ids[from], corpus->ids[row]) < 0)
            from++;
        if (from < live->items && slice_equal(live->ids[from], corpus->ids[row]))
            memcpy(Y + row * live->stride, live->Y + from * live->stride, live->stride * sizeof *Y);
    }
}

/* Rows that are zero would stay out of the first half-iteration: they start by chance. */
static void fill_empty_rows(struct training *t)
{
    for (size_t row = 0; row < t->corpus.items; row++) {
        float *y = t->Y + row * t->stride;
        bool empty = true;
        for (size_t k = 0; k < t->stride && empty; k++)
            empty = y[k] == 0;
        if (empty)
            als_init_row(y, t->settings->als.hyper.rank, t->stride, t->settings->seed,
                         t->corpus.ids[row]);
    }
}

/* Full ALS on the logs up to `end` (NULL: all of them), from where X and Y are. */
static int solve(struct training *t, const size_t *end, int64_t now_ms, struct error *err)
{
    struct ratings ratings;
    struct als_settings als = t->settings->als;
    if (t->warm)
        als.iterations = t->settings->warm_iterations;
    fill_empty_rows(t);
    if (corpus_ratings(&t->corpus, &als.hyper, end, now_ms, &ratings, err) != 0)
        return -1;
    int failed = als_run(&ratings, &als, t->X, t->Y, iterated, t, err);
    ratings_deinit(&ratings);
    t->warm = true;
    return failed;
}

static bool starts_from_live(const struct training *t)
{
    return t->live != NULL && t->live->hyper.rank == t->settings->als.hyper.rank &&
           t->live->stride == t->stride;
}

static void start_from_live(struct training *t)
{
    live_rows(t->live, &t->corpus, t->Y);
    t->warm = true;
}

/* Y and X into the eigenbasis of Y, as fold-in wants it. g: [rank]. */
static int rotate(struct training *t, double *g, struct error *err)
{
    int rank = t->settings->als.hyper.rank;
    size_t f = (size_t)rank;
    double *G = mem_array(NULL, 2 * f * f, sizeof *G), *V = G + f * f;
    blas_gram(t->Y, t->corpus.items, t->stride, rank, G);
    int failed = blas_eigen(G, rank, V, g, err);
    if (!failed) {
        blas_rotate(t->Y, t->corpus.items, t->stride, rank, V);
        blas_rotate(t->X, t->corpus.users, t->stride, rank, V);
    }
    free(G);
    return failed;
}

/* The running generation, with its own weights, against the candidate with its. */
static int judge_live(struct training *t, const struct tail *tail, const struct tail_fit *fit,
                      struct error *err)
{
    const struct generation *live = t->live;
    float *Y = mem_try(t->corpus.items * live->stride, sizeof *Y);
    if (Y == NULL)
        return error_set(err, ERR_DOWN, "no memory to judge the running generation");
    live_rows(live, &t->corpus, Y);
    struct basis basis = {Y, live->g, t->corpus.items, live->stride, live->hyper.rank};
    float *ndcg = mem_array(NULL, tail->count, sizeof *ndcg);
    int failed = tail_rank(tail, &basis, &live->hyper, &live->weights, 1, ndcg, err);
    if (!failed) {
        double live_mean = tail_mean(tail, ndcg, NULL).mean;
        struct tail_mean gain = tail_mean(tail, fit->ndcg, ndcg);
        bool worse = gain.mean < -t->settings->gate * live_mean &&
                     gain.mean < -GATE_STANDARD_ERRORS * gain.se;
        t->figures.ndcg20_live = live_mean;
        t->gate = worse ? GATE_REFUSED : GATE_PASSED;
    }
    free(ndcg);
    free(Y);
    return failed;
}

/* Without neighbours nothing goes together. */
static struct tail_choice choice_of(const struct train_settings *settings)
{
    struct tail_choice choice = settings->choice;
    if (settings->neighbours_max == 0)
        choice.together_weight = 0;
    return choice;
}

static int fit_and_judge(struct training *t, const struct tail *tail, struct error *err)
{
    const struct hyperparameters *hyper = &t->settings->als.hyper;
    struct tail_choice choice = choice_of(t->settings);
    struct tail_fit fit = {0};
    double *g = mem_array(NULL, (size_t)hyper->rank, sizeof *g);
    enter(t, "fitting");
    int failed = rotate(t, g, err);
    if (!failed) {
        struct basis basis = {t->Y, g, t->corpus.items, t->stride, hyper->rank};
        failed = tail_fit(tail, &basis, hyper, &choice, &t->weights, &fit, err);
    }
    if (!failed) {
        t->weights = fit.weights;
        t->figures.tail_events = tail->count;
        t->figures.ndcg20 = fit.fitted.mean;
        t->figures.ndcg20_se = fit.fitted.se;
        t->figures.ndcg20_recent = fit.recent;
        t->figures.ndcg20_taste = fit.taste;
        t->figures.ndcg20_together = fit.together;
        if (t->live != NULL && tail->fresh)
            failed = judge_live(t, tail, &fit, err);
    }
    free(fit.ndcg);
    free(g);
    return failed;
}

static int hold_out(struct training *t, struct error *err)
{
    struct tail_choice choice = choice_of(t->settings);
    struct tail tail;
    t->gate = t->live != NULL ? GATE_PASSED : GATE_FIRST;
    t->weights = tail_settle(&choice, t->live != NULL ? t->live->weights : train_default_weights);
    if (tail_init(&tail, &t->corpus, t->live, t->settings->neighbours_max,
                  tail_events_max(t->corpus.items), t->settings->seed, err) != 0)
        return -1;
    int failed = 0;
    tail.pace = t->settings->als.pace;
    if (tail.count >= TAIL_EVENTS_MIN) {
        enter(t, "tail");
        FAILPOINT("train.tail");
        if (tail.fresh && starts_from_live(t))
            start_from_live(t);
        failed = solve(t, tail.cut, tail.cut_ms, err);
        if (!failed)
            failed = fit_and_judge(t, &tail, err);
    }
    tail_deinit(&tail);
    return failed;
}

static int finish(struct training *t, struct error *err)
{
    enter(t, "finishing");
    FAILPOINT("train.finish");
    if (!t->warm && starts_from_live(t))
        start_from_live(t);
    return solve(t, NULL, t->corpus.now_ms, err);
}

/* Moves what belongs to a generation out of the training. */
static struct generation *generation_of(struct training *t)
{
    struct generation *generation = mem_zalloc(sizeof *generation);
    t->figures.loss = t->loss;
    t->figures.seconds = (double)(clock_monotonic_ns() - t->began_ns) * 1e-9;
    *generation = (struct generation){.hyper = t->settings->als.hyper,
                                      .weights = t->weights,
                                      .figures = t->figures,
                                      .gate = t->gate,
                                      .seed = t->settings->seed,
                                      .iterations = t->iterations,
                                      .cutoff_count = t->corpus.cutoff_count,
                                      .cutoffs = t->corpus.cutoffs,
                                      .items = t->corpus.items,
                                      .stride = t->stride,
                                      .ids = t->corpus.ids,
                                      .Y = t->Y,
                                      .bytes = t->corpus.id_bytes};
    t->corpus.cutoffs = NULL;
    t->corpus.ids = NULL;
    t->corpus.id_bytes = NULL;
    t->Y = NULL;
    return generation;
}

static int write_next(struct training *t, struct generation *generation, struct error *err)
{
    const char *dir = t->settings->state.dir;
    char path[4096];
    uint64_t *numbers;
    size_t count;
    enter(t, "writing");
    if (generation_make_dir(dir, t->settings->series, err) != 0)
        return ERR_IO;
    if (generation_list(dir, t->settings->series, &numbers, &count, err) != 0)
        return ERR_IO;
    generation->number = count > 0 ? numbers[count - 1] + 1 : 1;
    free(numbers);
    generation_path(path, sizeof path, dir, t->settings->series, generation->number);
    return generation_write(generation, path, err);
}

int train_run(const struct train_settings *settings, train_progress_cb progress, void *arg,
              struct generation **written, struct error *err)
{
    struct training t = {.settings = settings,
                         .progress = progress,
                         .arg = arg,
                         .began_ns = clock_monotonic_ns(),
                         .loss = NAN};
    struct error why = {0};
    *written = NULL;
    if (read_all(&t, &why) == 0 && hold_out(&t, &why) == 0 && finish(&t, &why) == 0) {
        *written = generation_of(&t);
        if (write_next(&t, *written, &why) != 0) {
            generation_free(*written);
            *written = NULL;
        }
    }
    training_deinit(&t);
    return *written != NULL ? 0 : error_set(err, why.code, "%s", why.text);
}
