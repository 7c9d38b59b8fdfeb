/* The other update: x_u as bounded gradient steps over the kept history, oldest first, from zero.
 *
 * Step t over the pair (p, q) of an interaction, in the eigenbasis, is the implicit (proximal) SGD
 * of Toulis & Airoldi 2017, which cannot overshoot at any rate. With s = 1/t, the step's share of
 * the dense terms, and lambda that of a row of t pairs (lambda_of):
 *
 *   x <- x / (1 + rate s (w0 g + lambda))                    each coordinate
 *   x <- x + rate (q - p x.y) / (1 + rate p |y|^2) y         a p below 0 taken as 0 below the line
 *
 * Being a pure function of the pairs in order, the vector after the last step can be cached, so
 * that a new event costs one step. */
#ifndef FRESHET_MODEL_SGD_H
#define FRESHET_MODEL_SGD_H

#include "model/foldin.h"

/* One step: `t` counts from 1. x: [stride]. */
void sgd_step(const struct basis *basis, const struct hyperparameters *hyper, double rate,
              const struct pair *pair, uint32_t t, float *x);

struct sgd_step {
    struct pair pair;
    uint32_t t;
    float *x; /* [stride]; several steps may have the same */
};

/* The same, one after the other, with what comes next fetched into the cache. The kernel is
 * base/kernel.h's choice; a batch gives the bits of single steps. */
void sgd_steps(const struct basis *basis, const struct hyperparameters *hyper, double rate,
               const struct sgd_step *steps, size_t count);

/* What each step adds to x.v at the end, since every step is an affine map of x:
 *
 *   x <- (I - k p y y') S x + k q y,    S = 1 / (1 + rate s (w0 g + lambda)),  k = rate / (1 + rate
 * p |y|^2)
 *
 * Going backwards, step t adds k q (y.v), and to the steps before it v is S (v - k p (y.v) y). In
 * float64. steps: [count], x of them not used; v: [rank], changed; added: [count]. */
void sgd_added(const struct basis *basis, const struct hyperparameters *hyper, double rate,
               const struct sgd_step *steps, size_t count, double *v, double *added);

#endif
