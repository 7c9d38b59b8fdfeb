/* The held-out tail: how good would the lists have been, and which weights make them best?
 *
 * A corpus's interactions, merged by (time, user id), are cut at TRAIN_TAIL. Item factors trained
 * before the cut are judged on a sample of the events after it: each is ranked in the list that
 * would have been live just before it, by
 *
 *   a x_u.y_i + b T_i(t) + c C_ui(t)
 *
 * with x_u folded in from the user's history so far, T the live trend (model/trend.h) and C what
 * goes together with his latest items (model/together.h), and then learned. Only first interactions
 * of a user with an item, of a positive weight, are sampled. Among the items seen by anybody so
 * far, less those seen by this user,
 *
 *   rank = 1 + items scored above + half the items scored the same,
 *   NDCG@20 = 1 / log2(1 + rank) if rank <= 20, else 0;
 *
 * an item that nobody has seen before is a miss. Means weigh events alike, their standard errors
 * treat a user's events as one (clustered by user), since they come in bursts.
 *
 * A running generation was trained on part of the tail. It is judged on events it does not cover or
 * not at all: if there are TAIL_FRESH_MIN of them, the sample is drawn from those alone.
 * Any one thread. */
#ifndef FRESHET_MODEL_TAIL_H
#define FRESHET_MODEL_TAIL_H

#include "base/pace.h"
#include "model/tail_state.h"

#define TAIL_EVENTS_MIN 50   /* fewer sampled events say nothing */
#define TAIL_FRESH_MIN 200   /* unknown to the running generation, so that it can be judged */
#define TAIL_WORK_MAX 1e8    /* sampled events times items of a fit: ten seconds or so */
#define TAIL_WEIGHTS_MAX 512 /* in one call of tail_rank */

struct tail_event {
    size_t at;   /* in corpus->log */
    size_t user; /* in corpus */
};

struct tail {
    const struct corpus *corpus; /* borrowed */
    size_t *cut;                 /* [users]: where each user's tail begins in the log */
    int64_t cut_ms;              /* time of the last event before the cut */
    bool *first;                 /* [log]: the user's first interaction with the item */
    struct tail_state head;      /* of what is before the cut */
    size_t *order;               /* [order_count]: the whole tail, in stream order */
    size_t order_begin;          /* the first one's place in the stream */
    size_t order_count;
    struct tail_event *events; /* [count]: the sample, in stream order */
    size_t count;
    size_t *by_user;  /* [count]: the sample's numbers, a user's together */
    bool fresh;       /* the sample is unknown to the running generation */
    struct pace pace; /* of ranking; tail_init lets it work all the time */
};

/* `live`: the running generation or NULL. At most `events_max` events are sampled. neighbours_max:
 * as in struct pairs. ERR_DOWN if memory lacks. */
int tail_init(struct tail *tail, const struct corpus *corpus, const struct generation *live,
              uint32_t neighbours_max, size_t events_max, uint64_t seed, struct error *err);
void tail_deinit(struct tail *tail);

/* ndcg: [weight_count, tail->count]; weight_count <= TAIL_WEIGHTS_MAX. basis: rows are the
 * corpus's. The same bits whichever weights are ranked together. ERR_DOWN if memory lacks. */
int tail_rank(const struct tail *tail, const struct basis *basis,
              const struct hyperparameters *hyper, const struct score_weights *weights,
              size_t weight_count, float *ndcg, struct error *err);

struct tail_mean {
    double mean, se; /* se: clustered by user */
};

/* Of ndcg: [tail->count], or of its difference to `base` if that is not NULL. */
struct tail_mean tail_mean(const struct tail *tail, const float *ndcg, const float *base);

struct tail_choice {        /* what is given and not to be fitted */
    bool taste;             /* false: a is 0 */
    double rho;             /* 0: fitted */
    double trend_weight;    /* negative: fitted */
    int trend_half_life;    /* negative: fitted */
    double together_weight; /* negative: fitted; what it is made of always is */
};

/* `weights` with what is not to be fitted put in place. */
struct score_weights tail_settle(const struct tail_choice *choice, struct score_weights weights);

/* How many events the work of one fit among `items` items allows. */
size_t tail_events_max(size_t items);

struct tail_fit {
    struct score_weights weights;
    struct tail_mean fitted; /* NDCG@20 of these */
    double recent;           /* of the best trend list alone */
    double taste, together;  /* of the best of each alone; NaN: it is not to be used */
    size_t tried;            /* how many weights were ranked */
    float *ndcg;             /* [tail->count], of the weights; owned, free() */
};

/* The best weights there are, by a coarse search with its corners (each term alone), refined around
 * what it found; never worse on the sample than trend or together alone, unless what is given makes
 * them so. `current` (may be NULL) stays unless it is worse than one of those, or
 * beaten by more than one standard error of the paired difference. */
int tail_fit(const struct tail *tail, const struct basis *basis,
             const struct hyperparameters *hyper, const struct tail_choice *choice,
             const struct score_weights *current, struct tail_fit *fit, struct error *err);

#endif
