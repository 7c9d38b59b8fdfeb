/* Figures of an experiment that may be looked at as often as one likes.
 *
 * A rate is a sum over events divided by their number: hits or reciprocal ranks per event. Events
 * of one user resemble each other, so users, not events, are what is counted as independent. With
 * n_u the events and s_u the sum of user u, N and S their totals, U users and p = S / N, all that
 * is needed are sums that can be kept up to date event by event (Liang and Zeger 1986; of ratio
 * metrics: Deng, Knoblich and Lu 2018, "Applying the Delta Method in Metric Analytics"):
 *
 *   V = var(p) = U / (U - 1) sum_u (s_u - p n_u)^2 / N^2
 *              = U / (U - 1) (ss - 2 p ns + p^2 nn) / N^2
 *
 * For a difference D of two arms' rates, V is the sum of their variances. The mixture sequential
 * probability ratio test (Robbins 1970; Johari, Koomen, Pekelis and Walsh, "Always Valid
 * Inference", Operations Research 70, 2022, normal mixture N(0, tau^2) over the true difference)
 * has the Bayes factor
 *
 *   L(d) = sqrt(V / (V + tau^2)) exp(tau^2 (D - d)^2 / (2 V (V + tau^2)))
 *
 * against the true difference d. L(d) is then a martingale that begins at 1, so the chance that it
 * ever reaches 1/level is at most `level` (Ville). Hence
 *
 *   p-value           min over all looks of min(1, 1 / L(0))
 *   interval          all d with L(d) < 1 / level: D -+
 *                     sqrt(V (V + tau^2) / tau^2 (log(1 + tau^2 / V) + 2 log(1 / level)))
 *
 * and the interval covers the true difference at all looks together with probability 1 - level: a
 * confidence sequence. tau is about the difference worth finding: the interval is tightest, 3.04
 * standard errors each way at level 0.05, when sqrt(V) = 0.35 tau.
 *
 * V is estimated, so this is true in the limit of many users, with the first look delayed (Bibaut,
 * Kallus and Lindon 2022, "Near-Optimal, Near-Calibrated, Non-Parametric Sequential Tests",
 * arXiv:2212.14411). What breaks it early is a small arm that by chance lacks the few users who
 * have most events or hits: its rate is off and its variance too small at the same time. Two rules
 * against that, each with `pool` the sums of all users of the comparison:
 *
 *   1. a user counts for at least as much variance as one of the pool:
 *      V = max(V, V_pool U_pool / U)
 *   2. nothing is said (p stays where it was, at first 1; intervals are NaN) of an arm with fewer
 *      than SEQUENTIAL_USERS_MIN users, or with fewer than SEQUENTIAL_SPREAD_MIN over whom its
 *      events, or the pool's hits or misses times U / U_pool, are spread: Kish's effective number,
 *      (sum_u x_u)^2 / sum_u x_u^2. The arm's own hits are not asked for: with none it is judged.
 *      SEQUENTIAL_RATE_SPREAD_MIN in its place for an arm's rate by itself.
 *
 * test_peeking.c simulates what both do: docs/BENCHMARKS.md, "Experiments".
 *
 * Pure functions; any thread. docs/METRICS.md, "Experiments". */
#ifndef FRESHET_MONITOR_SEQUENTIAL_H
#define FRESHET_MONITOR_SEQUENTIAL_H

#include <stdbool.h>
#include <stdint.h>

#define SEQUENTIAL_USERS_MIN 100
#define SEQUENTIAL_SPREAD_MIN 10.0      /* for a difference, */
#define SEQUENTIAL_RATE_SPREAD_MIN 50.0 /* and for a rate, which no other's skew balances */

/* K of the sample-ratio check: tightest for shares that are off by about sqrt(1/4 / K) = 0.5%. */
#define SEQUENTIAL_RATIO_CONCENTRATION 10000.0

struct rate_sums {
    uint64_t users, events;
    double sum;        /* of hits, or of reciprocal ranks: of what is between 0 and 1 an event */
    double nn, ns, ss; /* over users: sums of n_u^2, n_u s_u, s_u^2 */
};

struct rate {
    double mean, variance; /* NaN without events; the variance NaN below two users */
};

struct rate_interval {
    double mean, low, high; /* NaN where nothing can be said yet */
};

struct uplift {
    double mean, low, high; /* arm's rate less control's */
    double relative;        /* mean / control's rate; NaN if that is 0 */
    double p;               /* always valid: the smallest at any look so far */
};

struct sequential_test {
    double scale; /* tau > 0 */
    double level; /* 0 < level < 1: chance of a false positive, at all looks together */
};

/* What a test remembers from look to look. Zero-initialise, one for each figure and pair of arms.
 * Losing it (a restart) only loses what earlier looks had found. */
struct sequential {
    double evidence; /* the largest log Bayes factor so far, at least 0 */
};

struct rate rate_of(const struct rate_sums *sums); /* as it is: V of the equation above */

/* The sums of two arms' users, who are different users. */
struct rate_sums rate_add(const struct rate_sums *a, const struct rate_sums *b);

/* exp(-evidence): at or below the level, the null hypothesis is rejected, for good. */
double sequential_p(const struct sequential *sequential);

/* One arm's rate p and its confidence sequence, whose ends are p -+ r on the scale of log(p / (1 -
 * p)), r / (p (1 - p)) there: rates are skewed, and so is the interval, within 0 and 1. At p = 0 or
 * 1, where there is no such scale, p -+ r within 0 and 1. `pool`: all arms. */
struct rate_interval sequential_rate(const struct rate_sums *arm, const struct rate_sums *pool,
                                     struct sequential_test test);

/* A look at the difference between an arm and control; their pool is the two. The interval is this
 * look's alone: should the rates drift, it may come to hold 0 again when p stays small. */
struct uplift sequential_uplift(struct sequential *sequential, const struct rate_sums *arm,
                                const struct rate_sums *control, struct sequential_test test);

/* A guard: is the arm's rate below (1 - drop) of control's? The confidence sequence of
 * a - (1 - drop) c, whose variance is V_a + (1 - drop)^2 V_c, lies below 0. With an arm that is not
 * worse than that, ever true with probability at most `level`; for drop = 0 it is the same as
 * sequential_uplift's high < 0. */
bool sequential_worse(const struct rate_sums *arm, const struct rate_sums *control, double drop,
                      struct sequential_test test);

/* A look at the sample ratio: are users in the arms as the shares say? The Bayes factor of a
 * Dirichlet mixture with parameters K q_i against the multinomial with the shares q_i (Lindon and
 * Malek 2022, "Anytime-Valid Inference for Multinomial Count Data", arXiv:2011.03567):
 *
 *   B = G(K) / G(K + n) prod_i G(K q_i + n_i) / (G(K q_i) q_i^n_i),   n = sum n_i, G: Gamma
 *
 * exact at any number of users. Returns the always-valid p-value. `shares`: [count], need not sum
 * to 1; arms of share 0 are left out with their users. Users counted under other shares make it say
 * what is not so: a new experiment for new shares. */
double sequential_ratio(struct sequential *sequential, const uint64_t *users, const double *shares,
                        uint32_t count);

#endif
