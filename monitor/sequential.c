#include "monitor/sequential.h"

#include <math.h>

struct rate rate_of(const struct rate_sums *sums)
{
    double n = (double)sums->events, users = (double)sums->users;
    struct rate rate = {NAN, NAN};
    if (sums->events == 0)
        return rate;
    rate.mean = sums->sum / n;
    if (sums->users < 2)
        return rate;
    double squares = sums->ss - 2 * rate.mean * sums->ns + rate.mean * rate.mean * sums->nn;
    rate.variance = users / (users - 1) * fmax(squares, 0) / (n * n); /* rounding may be below 0 */
    return rate;
}

struct rate_sums rate_add(const struct rate_sums *a, const struct rate_sums *b)
{
    return (struct rate_sums){
        .users = a->users + b->users,
        .events = a->events + b->events,
        .sum = a->sum + b->sum,
        .nn = a->nn + b->nn,
        .ns = a->ns + b->ns,
        .ss = a->ss + b->ss,
    };
}

/* Kish: over how many users is a total spread? */
static double spread(double total, double squares)
{
    return squares > 0 ? total * total / squares : 0;
}

static bool known(const struct rate_sums *arm, const struct rate_sums *pool, double least)
{
    double share = (double)arm->users / (double)pool->users;
    double misses = (double)pool->events - pool->sum;
    double misses_squares = pool->nn - 2 * pool->ns + pool->ss;
    return arm->users >= SEQUENTIAL_USERS_MIN && spread((double)arm->events, arm->nn) >= least &&
           spread(pool->sum, pool->ss) * share >= least &&
           spread(misses, misses_squares) * share >= least;
}

/* The arm's rate by the header's two rules; the variance NaN where nothing is to be said. */
static struct rate rate_within(const struct rate_sums *arm, const struct rate_sums *pool,
                               double least)
{
    struct rate rate = rate_of(arm);
    if (!known(arm, pool, least)) {
        rate.variance = NAN;
        return rate;
    }
    double floor = rate_of(pool).variance * (double)pool->users / (double)arm->users;
    rate.variance = fmax(rate.variance, floor);
    if (!(rate.variance > 0)) /* all users alike: no telling how much they might differ */
        rate.variance = NAN;
    return rate;
}

double sequential_p(const struct sequential *sequential)
{
    return exp(-sequential->evidence);
}

static void look(struct sequential *sequential, double evidence)
{
    if (evidence > sequential->evidence)
        sequential->evidence = evidence;
}

/* log L(0), of a difference `d` with variance `v`. */
static double evidence_against_0(double d, double v, double tau)
{
    double t = tau * tau;
    return t * d * d / (2 * v * (v + t)) - log1p(t / v) / 2;
}

/* Half of the interval: where L(d) = 1 / level. */
static double reach(double v, struct sequential_test test)
{
    double t = test.scale * test.scale;
    return sqrt(v * (v + t) / t * (log1p(t / v) - 2 * log(test.level)));
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

struct rate_interval sequential_rate(const struct rate_sums *arm, const struct rate_sums *pool,
                                     struct sequential_test test)
{
    struct rate rate = rate_within(arm, pool, SEQUENTIAL_RATE_SPREAD_MIN);
    double p = rate.mean, half = reach(rate.variance, test);
    if (isnan(half))
        return (struct rate_interval){p, NAN, NAN};
    if (!(p > 0 && p < 1))
        return (struct rate_interval){p, fmax(p - half, 0), fmin(p + half, 1)};
    double middle = log(p / (1 - p)), around = half / (p * (1 - p));
    return (struct rate_interval){p, logistic(middle - around), logistic(middle + around)};
}

static void compare(const struct rate_sums *arm, const struct rate_sums *control, struct rate *a,
                    struct rate *c)
{
    struct rate_sums pool = rate_add(arm, control);
    *a = rate_within(arm, &pool, SEQUENTIAL_SPREAD_MIN);
    *c = rate_within(control, &pool, SEQUENTIAL_SPREAD_MIN);
}

struct uplift sequential_uplift(struct sequential *sequential, const struct rate_sums *arm,
                                const struct rate_sums *control, struct sequential_test test)
{
    struct rate a, c;
    compare(arm, control, &a, &c);
    double difference = a.mean - c.mean, variance = a.variance + c.variance;
    double half = reach(variance, test);
    if (!isnan(half))
        look(sequential, evidence_against_0(difference, variance, test.scale));
    return (struct uplift){
        .mean = difference,
        .low = difference - half,
        .high = difference + half,
        .relative = c.mean > 0 ? difference / c.mean : NAN,
        .p = sequential_p(sequential),
    };
}

bool sequential_worse(const struct rate_sums *arm, const struct rate_sums *control, double drop,
                      struct sequential_test test)
{
    struct rate a, c;
    compare(arm, control, &a, &c);
    double kept = 1 - drop;
    double half = reach(a.variance + kept * kept * c.variance, test);
    return a.mean - kept * c.mean + half < 0; /* NaN is not */
}

static double log_gamma(double x)
{
    int sign; /* lgamma would write a global */
    return lgamma_r(x, &sign);
}

/* log B of the Dirichlet mixture, for arms whose shares sum to `all`. */
static double evidence_of_ratio(const uint64_t *users, const double *shares, uint32_t count,
                                double all)
{
    double total = 0, evidence = 0;
    for (uint32_t arm = 0; arm < count; arm++) {
        if (!(shares[arm] > 0))
            continue;
        double share = shares[arm] / all, n = (double)users[arm];
        double prior = SEQUENTIAL_RATIO_CONCENTRATION * share;
        evidence += log_gamma(prior + n) - log_gamma(prior) - n * log(share);
        total += n;
    }
    return evidence + log_gamma(SEQUENTIAL_RATIO_CONCENTRATION) -
           log_gamma(SEQUENTIAL_RATIO_CONCENTRATION + total);
}

double sequential_ratio(struct sequential *sequential, const uint64_t *users, const double *shares,
                        uint32_t count)
{
    double all = 0;
    for (uint32_t arm = 0; arm < count; arm++)
        all += shares[arm] > 0 ? shares[arm] : 0;
    if (all > 0)
        look(sequential, evidence_of_ratio(users, shares, count, all));
    return sequential_p(sequential);
}
