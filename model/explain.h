/* Why an item has the score it has for a user: the score, term by term.
 *
 *   score(u, i) = a x_u.y_i + b T_i + c C_ui
 *
 * Taste is split over the past events (model/taste.h), together over the user's latest items
 * (model/together.h), trend is one term, and what is taken off for impressions (model/finishing.h)
 * another. All in float64 from what the list is made of, so the terms' sum is the score that the
 * list holds, to float32's rounding and the fold-in's residual of 1e-6. Whatever else comes to be
 * added to a score is one more kind of term; an item in a slot to explore is there whatever its
 * score.
 *
 * May run wherever scorer_run may (a worker, while the loop neither learns nor installs), not at
 * the same time as it. Bounded by history.max events and 10 latest items; costs one list and, with
 * `als`, one rank^3 / 3. */
#ifndef FRESHET_MODEL_EXPLAIN_H
#define FRESHET_MODEL_EXPLAIN_H

#include "model/scorer.h"
#include "model/together.h"

enum explain_kind {
    EXPLAIN_TASTE,       /* one past event's share of it */
    EXPLAIN_TREND,       /* the item's own events, everybody's */
    EXPLAIN_TOGETHER,    /* one of the user's latest items */
    EXPLAIN_IMPRESSIONS, /* the item was shown and passed over */
    EXPLAIN_KINDS
};
extern const char *const explain_kind_names[EXPLAIN_KINDS]; /* "taste", "trend", ... */

struct explain_term {
    enum explain_kind kind;
    double score;  /* what it adds to the total */
    uint32_t item; /* the event's, the latest one; else the item itself */
    union {
        struct {
            int64_t ts_ms, offset;
            double value;
            double confidence; /* its share of c; negative: a dislike; 0: it does not count */
            uint16_t type;     /* the state's number */
        } event;
        struct {
            double weight;     /* b */
            double trend;      /* T = log(1 + count) */
            double count;      /* S(now) */
            int64_t latest_ms; /* of its events; INT64_MIN: none */
            int half_life;     /* index into half_life_ms */
        } trend;
        struct {
            double weight;               /* c */
            uint32_t distance;           /* d: 0 the latest */
            struct together_share share; /* score = c fade n norm */
        } together;
        struct {
            double discount; /* score = -|sum of the other terms| (1 - (1 - discount)^times) */
            uint32_t times;
            int64_t ts_ms; /* of the latest */
        } impressions;
    };
};

/* Why the user may not have it, bit by bit. */
enum {
    EXPLAIN_SEEN = 1,      /* by a type that hides: `hidden_by` */
    EXPLAIN_BLOCKED = 2,   /* the items topic said so */
    EXPLAIN_NOT_YET = 4,   /* available later: item_info's from_ms */
    EXPLAIN_NO_LONGER = 8, /* no longer available: until_ms */
    EXPLAIN_CATEGORY = 16, /* of a category that lists leave out */
    EXPLAIN_UNKNOWN = 32   /* no event and no record named it so far */
};

struct explain {
    uint32_t item;    /* ITEM_NONE: unknown; then there are no terms */
    struct slice arm; /* the scorer's */
    int64_t now_ms;
    uint64_t generation; /* 0: before the first */
    double taste_weight; /* a */
    enum update update;
    bool user_has_factors, item_has_factors;
    struct explain_term *terms; /* [count]: trend, together by distance, events newest first,
                                   impressions */
    size_t count;
    double sums[EXPLAIN_KINDS], total;
    unsigned out;       /* why he may not have it; 0: he may */
    uint64_t hidden_by; /* the types of EXPLAIN_SEEN, bit by the state's number */
    uint32_t rank;      /* from 1, in the list the user would get now; 0: not in it */
    float list_score;   /* there */
    double propensity;  /* > 0: it is there to be explored, drawn with this probability */
    uint32_t list_count;
    float last_score; /* of the last item that is in the list for its score */
};

/* user: NULL, or one without a record: of whom nothing is kept, so he has the trend alone. */
void explain(struct scorer *scorer, const struct user *user, uint32_t item, struct explain *out);
void explain_deinit(struct explain *explain);

/* The list this user would get now, or, with an offset that is not -1, once his partition has been
 * learned up to it (exploration goes by that). `user` and `record` of it are NULL;
 * explain_list_free frees what it points to. */
void explain_list(struct scorer *scorer, const struct user *user, int64_t next_offset,
                  struct slate_list *list);
void explain_list_free(struct slate_list *list);

#endif
