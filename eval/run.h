/* What the protocols share: one run of eval_run. Private to eval/. */
#ifndef FRESHET_EVAL_RUN_H
#define FRESHET_EVAL_RUN_H

#include "eval/choice.h"
#include "eval/eval.h"

struct run {
    const struct stream *stream;
    const struct eval_settings *settings;
    struct eval_result *result;
    struct stage *stage;
    struct panel panel;
    struct choice *choice;
    bool *to_choose;               /* [stream->count]: events that baselines are chosen by */
    uint32_t *lists, *lists_after; /* [methods, depth] of an event, just before it and after it */
    struct asked asked[METHOD_COUNT], asked_after[METHOD_COUNT];
    double scores[METHOD_COUNT]; /* x_u.y_i before the event; NaN: none */
    size_t at;                   /* events of the stream gone by */
    const char *stage_name;
    double work, work_total; /* as in run_report */
};

/* About what things take, in events learned. */
#define WORK_LIST 10
#define WORK_TRAINING 2000
#define WORK_TRAINING_EVENT 1

/* Draws the events to choose by among the last before `end`; skip (may be NULL): not those. */
void run_draw_choice(struct run *run, size_t end, const bool *skip);

/* The event is ranked by the baselines' candidates, if it was drawn for that, and learned. */
int run_learn(struct run *run, struct error *err);

/* The baselines are chosen and the methods begin. */
int run_begin_methods(struct run *run, struct error *err);

int run_train(struct run *run, struct error *err);
void run_report(struct run *run, double work);

/* Judges run->asked: as a unit; over everything. */
void run_judge(struct run *run, const struct unit *unit);
void run_judge_all(struct run *run, const struct unit *unit);

/* A JSON line of the dump, if there is one: {"event","user","method",KEY:[items]}; `event` counts
 * from 0 in the order of the stream. */
void run_dump(const struct run *run, uint32_t method, const struct unit *unit,
              const struct asked *asked, const char *key);

/* Draws `count` of `of` places, true where drawn. */
void run_draw(bool *drawn, const size_t *of, size_t of_count, size_t count, uint64_t seed);

int prequential_run(struct run *run, struct error *err);
int frozen_run(struct run *run, struct error *err);

#endif
