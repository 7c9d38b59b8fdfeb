/* What topn works on: a lane for each user, crews of lanes that share a tile, and the job of one
 * call. Internal to topn; one thread. */
#ifndef FRESHET_MODEL_TOPN_WORK_H
#define FRESHET_MODEL_TOPN_WORK_H

#include "model/topn_index.h"
#include "model/topn_select.h"

#define TOPN_SIEVE_BITS 8192
#define TOPN_SIEVE_PANELS 128
#define TOPN_CREWS_MAX (TOPN_USERS_MAX / TOPN_GROUP)

#define TOPN_OFFERS_MAX 64 /* columns scored together */

struct topn_lane { /* one user's selection under way */
    const struct topn_user *user;
    float *scores;     /* [capacity + TOPN_SPARE], borrowed of the scratch */
    uint32_t *columns; /* the same */
    uint32_t count, pending;
    float threshold;         /* no score below it enters */
    float doubt;             /* the largest of a pending entry's */
    bool full;               /* n exact entries were seen; the last of them: */
    struct topn_entry worst; /* what a newcomer has to beat */
    double norm;             /* |x| */
    double slack;            /* F above; infinite: no filter */
    uint32_t *out; /* [out_mask + 1]: hash table of column + 1: hidden or pushed already */
    uint32_t out_mask;
    uint64_t sieve[TOPN_SIEVE_BITS / 64];   /* bits of the columns in `out`: most are not in it */
    bool sieve_says;                        /* it has a bit for each column */
    uint64_t panels_out[TOPN_SIEVE_PANELS]; /* the same of rows, by place: a bit for each item */
    bool panels_say;
};

struct topn_crew { /* the users of a tile */
    struct topn_group bounds;
    void *packed; /* [steps, TOPN_GROUP] */
    struct topn_lane *lanes[TOPN_GROUP];
    uint32_t count;
    int trust; /* that tiles end early */
};

struct topn_scratch {
    struct topn_lane lanes[TOPN_USERS_MAX];
    struct topn_crew crews[TOPN_CREWS_MAX];
    struct topn_tile tile;
    _Alignas(64) float panel_bias[TOPN_PANEL];
    struct topn_extra *inside, *rest; /* [offers_capacity] of one lane: of its last list, or not */
    size_t offers_capacity;
    float *scores; /* [users, capacity + TOPN_SPARE]: of all lanes */
    uint32_t *columns;
    size_t scores_capacity;
    struct topn_entry *entries; /* [capacity]: of one lane */
    size_t entries_capacity;
    float *bias; /* [count], NaN where excluded */
    size_t bias_capacity;
    uint32_t *out; /* of all lanes */
    size_t out_capacity;
    unsigned char *packed; /* [crews, steps, TOPN_GROUP] */
    size_t packed_capacity;
};

/* A call's arguments and what is found out once for all its users. */
struct topn_job {
    const struct topn_items *items;
    const struct topn_index *index; /* NULL: there is none */
    size_t rows;
    const struct topn_select *select;
    uint32_t n, capacity;
    float bias_max;      /* of what is not excluded */
    double bias_largest; /* in size; a NaN is larger than nothing, and enters no list */
    struct topn_scratch *scratch;
};

bool topn_is_excluded(const struct topn_items *items, uint32_t column);

/* Slots of the table `out` that the lane of this user needs; a power of two. */
uint32_t topn_lane_out_size(const struct topn_user *user);

/* Offers the user's extras and last list; the n-th of the latter, with their extras, is the first
 * threshold, if there are as many. The lane is zeros but for the room that it was given. */
void topn_lane_open(const struct topn_job *job, struct topn_lane *lane,
                    const struct topn_user *user);

static inline uint32_t topn_lane_out_slot(const struct topn_lane *lane, uint32_t column)
{
    return column * 2654435769u >> 7 & lane->out_mask; /* Knuth's multiplicative hash */
}

/* Hidden, or pushed by topn_lane_open: not to be pushed again. */
static inline bool topn_lane_is_out(const struct topn_lane *lane, uint32_t column)
{
    bool may = lane->sieve[column % TOPN_SIEVE_BITS / 64] >> (column % 64) & 1;
    if (lane->sieve_says || !may) /* in this order: the first is foreseen */
        return may;
    uint32_t slot = topn_lane_out_slot(lane, column);
    while (lane->out[slot] != 0 && lane->out[slot] != column + 1)
        slot = (slot + 1) & lane->out_mask;
    return lane->out[slot] != 0;
}

/* A score of topn_score; a NaN is left out. */
void topn_lane_push(const struct topn_job *job, struct topn_lane *lane, uint32_t column,
                    float score);

/* What a filter lets through of a panel; clears the bits of what is out. */
void topn_lane_push_panel(const struct topn_job *job, struct topn_lane *lane, size_t panel,
                          struct topn_passing *passing);

/* The best n of what was pushed, in order, into out. Returns how many. */
uint32_t topn_lane_finish(const struct topn_job *job, struct topn_lane *lane,
                          struct topn_entry *out);

/* Pushes what may come into the lists of these lanes of all rows. Each has an x and a finite slack.
 * Reorders `lanes`. */
void topn_scan_panels(const struct topn_job *job, struct topn_lane **lanes, size_t count);

#endif
