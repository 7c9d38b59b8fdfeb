/* The methods that are compared: weight vectors over one history, a scorer each.
 *
 *   popular        trend alone, all-time counts
 *   recent         trend alone, at the half-life of the bank chosen before the judged part
 *   cooccurrence   together alone; its horizon, direction and rho chosen there, too
 *   als            taste alone: fold-in on every event, rho = 1
 *   freshet        the generation's fitted weights
 *
 * A list that its method cannot fill goes on in the order of the trend (model/scorer.h), at the
 * half-life of `recent`. One thread. */
#ifndef FRESHET_EVAL_PANEL_H
#define FRESHET_EVAL_PANEL_H

#include "eval/figures.h"
#include "eval/gap.h"
#include "eval/stage.h"

enum method {
    METHOD_POPULAR,
    METHOD_RECENT,
    METHOD_COOCCURRENCE,
    METHOD_ALS,
    METHOD_FRESHET,
    METHOD_COUNT
};
extern const char *const method_names[METHOD_COUNT];

struct panel_choice { /* made by choice_make */
    int half_life;    /* of recent */
    struct together_choice together;
    double half_life_ndcg, together_ndcg; /* NaN: nothing to choose by, defaults taken */
    size_t events;                        /* chosen by */
};

struct panel {
    struct stage *stage;
    const struct stream *stream;
    struct scorer_settings settings; /* of all scorers, but for the weights */
    unsigned methods;                /* bit by enum method */
    struct scorer *scorers[METHOD_COUNT];
    struct score_weights weights[METHOD_COUNT];
    struct gap *gaps[METHOD_COUNT]; /* of those with factors */
    struct generation *live;        /* as in its file, not rotated; NULL: none */
    uint32_t *row_of;               /* [stream items]: its rows */
    uint64_t *uses;                 /* [stream items]: events so far */
    uint64_t uses_total;
};

void panel_init(struct panel *panel, struct stage *stage, const struct stream *stream,
                const struct scorer_settings *settings, unsigned methods);
void panel_deinit(struct panel *panel);

/* Makes the scorers; before it, nothing but panel_learn and panel_take. */
int panel_begin(struct panel *panel, const struct panel_choice *choice, struct error *err);

int panel_learn(struct panel *panel, const struct stream_event *event, struct error *err);

/* The generation is live from now on (taken over). */
int panel_take(struct panel *panel, struct generation *generation, struct error *err);

/* The lists of all methods, in the order of their bits. lists: [methods, depth]; asked: [methods].
 */
int panel_lists(struct panel *panel, uint32_t user, uint32_t *lists, struct asked *asked,
                struct error *err);

/* x_u.y_i by the factors of a method (its index among those that are on); NaN: it has none, or the
 * item. */
int panel_taste(struct panel *panel, size_t index, uint32_t user, uint32_t item, double *score,
                struct error *err);

struct shelf panel_shelf(const struct panel *panel);

#endif
