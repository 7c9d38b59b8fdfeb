/* Inside tail_fit: weights that were ranked, each once, and the best of them. */
#ifndef FRESHET_MODEL_TAIL_SEARCH_H
#define FRESHET_MODEL_TAIL_SEARCH_H

#include "model/tail.h"

struct trial {
    struct score_weights weights;
    double mean;  /* NDCG@20 on the sample */
    bool allowed; /* by what is given; else it is only a figure to compare with */
};

struct tail_search {
    const struct tail *tail;
    const struct basis *basis;
    const struct hyperparameters *hyper;
    struct tail_choice choice;
    struct trial *trials; /* [count]; those from `waiting` on are not ranked yet */
    size_t count, capacity, waiting;
    size_t best;      /* of those allowed; of equals the first */
    float *best_ndcg; /* [tail->count] */
    float *ndcg;      /* [TAIL_WEIGHTS_MAX, tail->count]: scratch */
};

#define TAIL_NO_TRIAL SIZE_MAX

int tail_search_init(struct tail_search *search, struct error *err);
void tail_search_deinit(struct tail_search *search);

/* Asks for weights to be ranked, with what is given put in place; or as they are. What cannot
 * change a rank is brought to one form, and what was asked for before is not again. */
void tail_search_add(struct tail_search *search, struct score_weights weights);
void tail_search_add_plain(struct tail_search *search, struct score_weights weights);

/* Ranks what was asked for. */
int tail_search_run(struct tail_search *search, struct error *err);

/* The best trial that `is` likes, or TAIL_NO_TRIAL. */
size_t tail_search_best(const struct tail_search *search,
                        bool (*is)(const struct trial *trial, const void *arg), const void *arg);

#endif
