/* Full ALS: both sides in turn, each row a fold-in against the other side, on threads of our own.
 *
 * Alternating least squares for the objective in model/confidence.h (Hu, Koren, Volinsky 2008;
 * Rendle et al. 2021). Each half-iteration rotates the fixed side into the eigenbasis of its Gram
 * matrix (and the solved side with it, so its rows stay good starting points) and solves every row
 * of the other. The same data, settings and seed give the same bytes whatever the number of
 * threads. */
#ifndef FRESHET_MODEL_ALS_H
#define FRESHET_MODEL_ALS_H

#include "base/pace.h"
#include "model/foldin.h"

struct ratings { /* the same pairs by user and by item; owned by the caller */
    size_t users, items;
    size_t *user_begin;      /* [users + 1] */
    struct pair *user_pairs; /* [user_begin[users]]: row = item */
    size_t *item_begin;      /* [items + 1] */
    struct pair *item_pairs; /* row = user */
};

/* Fills the by-item half of `ratings` from the by-user half. ERR_DOWN if memory lacks. */
int ratings_transpose(struct ratings *ratings, struct error *err);
void ratings_deinit(struct ratings *ratings);

/* Rows are solved again an iteration later, so they need not be exact: the loss after as many
 * iterations is then about 1e-4 of itself above that of exact rows, and below that of `implicit`
 * with three steps of conjugate gradient, in less than two thirds of the time of exact rows. */
#define ALS_RESIDUAL 1e-3

struct als_settings {
    struct hyperparameters hyper;
    int iterations;
    int threads;      /* >= 1 */
    struct pace pace; /* of each thread */
    double residual;  /* of each row, as a share of |b|; 0: ALS_RESIDUAL */
};

struct als_progress {
    int iteration, iterations; /* 1-based */
    double loss;               /* the objective in full, after the iteration */
    double seconds;            /* of this iteration */
};

size_t als_stride(int rank); /* rank rounded up to 16 floats: 64 bytes */

/* Small random values, each row from (seed, hash of its id): the same id starts at the same point,
 * whatever the other rows. */
void als_init_row(float *row, int rank, size_t stride, uint64_t seed, struct slice id);

/* X: [users, stride], Y: [items, stride], 64-byte aligned, zero beyond rank; on entry the starting
 * point (X may be zero), on return the solution in some common basis: scores X Y' are what counts.
 * `progress` may be NULL; it costs a reading of all pairs an iteration. ERR_DOWN if memory lacks,
 * ERR_DATA if the numbers run out of range. */
int als_run(const struct ratings *ratings, const struct als_settings *settings, float *X, float *Y,
            void (*progress)(const struct als_progress *progress, void *arg), void *arg,
            struct error *err);

/* The objective's value, computed in double precision: for progress, tests and bench. */
double als_loss(const struct ratings *ratings, const struct hyperparameters *hyper, const float *X,
                const float *Y, size_t stride);

#endif
