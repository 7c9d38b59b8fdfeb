/* A random search for better settings on the first part of a stream: `freshet tune`.
 *
 * A trial is one draw of rank, w0, lambda, alpha and the event types' half-life; the first is what
 * was given. Trained on the events before `from`, each ranks the same sample of the events after it
 * (new to their user, in the list just before them, which are then learned), up to `to`. Trials go
 * side by side in rounds over the same events. Training is what takes time, so there is nothing to
 * gain by giving up a trial halfway. One thread, and the processes that train. */
#ifndef FRESHET_EVAL_TUNE_H
#define FRESHET_EVAL_TUNE_H

#include "eval/stage.h"

#define TUNE_ROUND 4
#define TUNE_EVENTS_MAX 3000
#define TUNE_DEPTH 20
#define TUNE_TRIALS_MAX 10000

struct tune_trial {
    size_t number; /* 0: as given */
    struct hyperparameters hyper;
    int64_t half_life_ms;                      /* of all event types; -1: each as given */
    struct type_weight types[EVENT_TYPES_MAX]; /* so they are as settings */
    double ndcg, se;                           /* NDCG@20, clustered by user */
    double gain, gain_se;                      /* less that of trial 0 */
    double train_seconds;
};

struct tune_settings {
    struct stage_settings stage;
    struct scorer_settings scorer; /* n, weights: not used */
    size_t from, to;               /* trained on what is before, judged between */
    uint64_t seed;
    size_t trials;       /* at most */
    int64_t deadline_ns; /* monotonic: no trial begins after it, but for two; 0: none */
    /* A trial was judged; in the order of their numbers. */
    void (*judged)(const struct tune_trial *trial, void *arg);
    void (*progress)(double share, const char *stage, size_t trials, void *arg);
    void *arg;
};

/* *best: the trial with the largest mean, if that is above trial 0's by more than a standard error
 * of the difference; else trial 0. ERR_DATA if there is too little to train on or to judge. */
int tune_run(const struct stream *stream, const struct tune_settings *settings,
             struct tune_trial *best, struct error *err);

#endif
