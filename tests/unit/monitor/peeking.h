/* A simulated experiment: users come, have events in bursts, and somebody looks after every step.
 *
 * Each user has a rate of hits of his own (beta distributed), an activity with a heavy tail (the
 * chance of a burst in a step: Pareto, at most 1), and bursts of a length of his own (Pareto, too).
 * So a few users have most of the events, and a user's events resemble each other. */
#ifndef FRESHET_TESTS_PEEKING_H
#define FRESHET_TESTS_PEEKING_H

#include "monitor/sequential.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WORLD_USERS_MAX 20000

struct world {
    const char *name;
    uint32_t steps;         /* looks */
    double first, arriving; /* users there at the beginning, and coming in a step, on average */
    double share;           /* of them in the arm that is not control */
    double rate;            /* of hits, on average */
    double alike;           /* a + b of the beta distribution: the smaller, the more users differ */
    double tail;            /* exponent of the activity's Pareto tail */
    double growing;         /* users arriving at the end are so many times as active as the first */
    double effect;          /* what the arm adds to each user's rate, relative */
};

struct sim_user {
    uint32_t n, s; /* events and hits so far */
    uint64_t hit_below;
    uint64_t active_below; /* a burst in this step if the draw is below */
    double burst;          /* its length on average */
    uint8_t arm;
};

struct sim {
    uint64_t random;
    uint32_t users;
    struct rate_sums sums[2]; /* control, arm */
    struct sim_user user[WORLD_USERS_MAX];
};

static inline uint64_t sim_bits(struct sim *sim) /* splitmix64 (Steele, Lea, Flood 2014) */
{
    uint64_t z = sim->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline double sim_uniform(struct sim *sim) /* in (0, 1) */
{
    return ((double)(sim_bits(sim) >> 11) + 0.5) * 0x1p-53;
}

static inline double sim_normal(struct sim *sim) /* Box and Muller */
{
    double radius = sqrt(-2 * log(sim_uniform(sim)));
    return radius * cos(2 * M_PI * sim_uniform(sim));
}

static inline double sim_gamma(struct sim *sim, double shape) /* Marsaglia and Tsang 2000 */
{
    if (shape < 1)
        return sim_gamma(sim, shape + 1) * pow(sim_uniform(sim), 1 / shape);
    double d = shape - 1 / 3.0, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = sim_normal(sim), v = pow(1 + c * x, 3);
        if (v > 0 && log(sim_uniform(sim)) < x * x / 2 + d - d * v + d * log(v))
            return d * v;
    }
}

static inline double sim_beta(struct sim *sim, double a, double b)
{
    double x = sim_gamma(sim, a), y = sim_gamma(sim, b);
    return x + y > 0 ? x / (x + y) : 0;
}

static inline uint32_t sim_poisson(struct sim *sim, double mean) /* Knuth; for small means */
{
    double product = sim_uniform(sim), end = exp(-mean);
    uint32_t count = 0;
    for (; product > end; count++)
        product *= sim_uniform(sim);
    return count;
}

static inline uint64_t sim_below(double chance) /* a draw of sim_bits is below it with `chance` */
{
    return chance >= 1 ? UINT64_MAX : (uint64_t)ldexp(chance, 64);
}

static inline void sim_arrive(struct sim *sim, const struct world *world, uint32_t step)
{
    if (sim->users == WORLD_USERS_MAX)
        abort(); /* a world too large */
    struct sim_user *user = &sim->user[sim->users++];
    *user = (struct sim_user){.arm = sim_uniform(sim) < world->share};
    double rate = sim_beta(sim, world->rate * world->alike, (1 - world->rate) * world->alike);
    user->hit_below = sim_below(rate * (1 + user->arm * world->effect));
    double grown = 1 + (world->growing - 1) * step / world->steps;
    user->active_below = sim_below(fmin(1, 0.01 * grown * pow(sim_uniform(sim), -1 / world->tail)));
    user->burst = fmin(50, pow(sim_uniform(sim), -1 / 1.5));
}

static inline void sim_burst(struct sim *sim, struct sim_user *user)
{
    uint64_t goes_on = sim_below(1 - 1 / user->burst);
    uint32_t n = 0, s = 0;
    do {
        n++;
        s += sim_bits(sim) < user->hit_below;
    } while (sim_bits(sim) < goes_on);
    struct rate_sums *sums = &sim->sums[user->arm];
    sums->users += user->n == 0;
    sums->events += n;
    sums->sum += s;
    sums->nn += (double)n * (2 * user->n + n);
    sums->ns += (double)n * user->s + (double)s * user->n + (double)n * s;
    sums->ss += (double)s * (2 * user->s + s);
    user->n += n;
    user->s += s;
}

static inline void sim_begin(struct sim *sim, const struct world *world, uint64_t seed)
{
    sim->random = seed;
    sim->users = 0;
    memset(sim->sums, 0, sizeof sim->sums);
    for (uint32_t i = 0; i < world->first; i++)
        sim_arrive(sim, world, 0);
}

static inline void sim_step(struct sim *sim, const struct world *world, uint32_t step)
{
    for (uint32_t i = sim_poisson(sim, world->arriving); i > 0; i--)
        sim_arrive(sim, world, step);
    for (uint32_t i = 0; i < sim->users; i++)
        if (sim_bits(sim) < sim->user[i].active_below)
            sim_burst(sim, &sim->user[i]);
}

#endif
