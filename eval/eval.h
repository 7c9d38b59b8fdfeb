/* Judges settings on a recorded stream: `freshet eval`.
 *
 *   prequential     each judged event is ranked in the list live just before it, then learned;
 *                   retraining on a schedule
 *   split           trained on everything before `from`, lists frozen; a user's judged items that
 *                   are new to him are the relevant ones
 *   leave-last-out  of each user the last item new to him is held out, with all his events with it;
 *                   trained on the rest, lists frozen
 *
 * Everything is drawn from the seed; the same stream, settings and seed give the same figures,
 * whatever the number of threads. One thread, and the processes that train. */
#ifndef FRESHET_EVAL_EVAL_H
#define FRESHET_EVAL_EVAL_H

#include "eval/panel.h"

#include <stdio.h>

enum protocol { PROTOCOL_PREQUENTIAL, PROTOCOL_SPLIT, PROTOCOL_LEAVE_LAST_OUT, PROTOCOL_COUNT };
extern const char *const protocol_names[PROTOCOL_COUNT];

struct eval_progress {
    double share;      /* of the work, an estimate */
    const char *stage; /* "learning", "choosing", "judging", "training" */
    size_t events;     /* learned */
    size_t judged;
    double ndcg; /* the main method's so far (freshet, if it is among them); NaN at first */
};

struct eval_settings {
    struct stage_settings stage;
    struct scorer_settings scorer; /* n, weights: not used */
    enum protocol protocol;
    size_t from, to; /* the judged part: events [from, to) */
    uint64_t seed;
    size_t retrains;  /* cut the whole stream in so many parts and train between them */
    int64_t every_ms; /* instead: train after so much stream time; 0: by retrains */
    size_t sample;    /* judge at most so many events (users, where lists are frozen); 0: all */
    uint32_t ks[FIGURES_KS_MAX];
    uint32_t k_count;
    double chr_min;   /* NaN: the median */
    unsigned methods; /* bit by enum method */
    FILE *dump;       /* NULL, or where each judged list goes as a JSON line */
    void (*progress)(const struct eval_progress *progress, void *arg);
    void *arg;
};

struct eval_result {
    struct figures figures; /* methods in the order of their bits */
    enum method methods[METHOD_COUNT];
    uint32_t method_count;
    struct panel_choice choice;
    size_t learned, trainings, refused, skipped; /* skipped: too little to train on */
    struct score_weights weights;                /* the last generation's; all zeros: none */
    size_t items;                                /* known at the end */
    double seconds;
};

int eval_run(const struct stream *stream, const struct eval_settings *settings,
             struct eval_result *result, struct error *err);
void eval_result_deinit(struct eval_result *result);

/* The result as one JSON object, or as a table for people. */
struct buffer;
void eval_write_json(struct buffer *out, const struct stream *stream,
                     const struct eval_settings *settings, const struct eval_result *result);
void eval_write_table(struct buffer *out, const struct stream *stream,
                      const struct eval_settings *settings, const struct eval_result *result);

#endif
