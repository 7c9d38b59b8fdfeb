/* Interactions -> the pairs (p, q) that the normal equations are made of.
 *
 *   minimise  sum over seen (u,i) of c_ui (1 - x_u.y_i)^2 + w0 sum over all (u,i) of (x_u.y_i)^2
 *             + lambda_u |x_u|^2 + lambda_i |y_i|^2                     (Rendle et al. 2021)
 *
 * Each item of a user gives one pair: A = w0 G + lambda I + sum p y y', b = sum q y. By objective:
 * ials (c, c); hu (c, 1 + c) with w0 = 1 (Hu, Koren, Volinsky 2008; Spark); implicit (c - 1, c)
 * with w0 = 1 (the library). A type with a negative weight is a dislike: p = |c|, q = 0.
 *
 *   c_ui = alpha * sum over types of +-min(cap, sum over interactions of |weight| value' decay)
 *
 * with the sign of the type's weight. value' is 1, value, or log(1 + value) by the type's `value`;
 * decay is 2^-((now - ts) / half-life) of the type (1 if it has none) times rho^position; position
 * 0 is the user's latest timestamp, 1 the next distinct one before it, interactions of types with
 * weight 0 not counted. `cap` bounds what one item gathers of one type.
 * Pure functions. */
#ifndef FRESHET_MODEL_CONFIDENCE_H
#define FRESHET_MODEL_CONFIDENCE_H

#include "model/user.h"

#include <stddef.h>

enum objective { OBJECTIVE_IALS, OBJECTIVE_HU, OBJECTIVE_IMPLICIT };
enum lambda_scaling { LAMBDA_NONE, LAMBDA_COUNT }; /* count: lambda_u = lambda * number of items */
enum value_kind { VALUE_NONE, VALUE_LINEAR, VALUE_LOG };

struct hyperparameters {
    enum objective objective;
    int rank;
    double w0, lambda, alpha;
    enum lambda_scaling lambda_scaling;
};

struct type_weight {      /* of one event type, by the state's type number */
    double weight;        /* 0: the type is not used */
    int64_t half_life_ms; /* 0: no decay */
    double cap;           /* > 0 */
    enum value_kind value;
    bool hides; /* an item seen by this type is left out of lists */
};

struct pair {
    uint32_t row; /* of the factors it multiplies */
    float p, q;
};

#define ROW_NONE UINT32_MAX /* the item has no factors */

/* Writes at most `count` pairs, one per distinct item with a row and c != 0, and returns how many.
 * interactions: [count], oldest first (as in a user record). row_of: item number -> row or
 * ROW_NONE, [row_count]; items beyond have none. Order of pairs: by the item's latest interaction,
 * newest first. */
size_t confidence_pairs(const struct interaction *interactions, size_t count,
                        const struct type_weight *types, const struct hyperparameters *hyper,
                        double rho, int64_t now_ms, const uint32_t *row_of, size_t row_count,
                        struct pair *pairs);

/* What one interaction adds to its item's c. The shares of a pair add up to its c (but for c beyond
 * what a float32 sum bears, 1e8): a cap is shared in proportion, a dislike's share is negative. */
struct confidence_share {
    size_t pair; /* index into pairs, or PAIR_NONE: no weight, no factors, or c = 0 */
    double c;
};
#define PAIR_NONE SIZE_MAX

/* confidence_pairs, and which interaction made what of them. shares: [count], or NULL. */
size_t confidence_split(const struct interaction *interactions, size_t count,
                        const struct type_weight *types, const struct hyperparameters *hyper,
                        double rho, int64_t now_ms, const uint32_t *row_of, size_t row_count,
                        struct pair *pairs, struct confidence_share *shares);

/* The regularization of a row with `pair_count` pairs. */
double lambda_of(const struct hyperparameters *hyper, size_t pair_count);

#endif
