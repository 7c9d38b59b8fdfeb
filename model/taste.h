/* Taste: a user's factors x_u, made anew from the kept history whenever a list is.
 *
 * `als` solves the user's row exactly (model/foldin.h), always from zero, so x_u is a function of
 * the record and the stream time alone. `sgd` takes one step (model/sgd.h) for each kept
 * interaction, oldest first, from zero; a step's confidence is that of its interaction by itself at
 * its own time, so what was stepped through stays valid when an event is appended. The vector after
 * the last step is kept with the user, under a fingerprint of the interactions behind it: where
 * they are still the beginning of the history, only what follows is stepped through; where not (a
 * late event, a retraction, an oldest one dropped), all of it is. One thread at a time. */
#ifndef FRESHET_MODEL_TASTE_H
#define FRESHET_MODEL_TASTE_H

#include "model/foldin.h"
#include "model/generation.h"

enum update { UPDATE_ALS, UPDATE_SGD };

struct taste_settings {
    enum update update;
    double sgd_rate;
    const struct type_weight *types; /* by the state's type number, [EVENT_TYPES_MAX] */
};

struct taste;
struct taste *taste_new(const struct taste_settings *settings);
void taste_free(struct taste *taste);

/* The generation to use from now on, rotated; borrowed until the next. NULL: none. rho: of the
 * fold-in; not always the generation's own. */
void taste_set_generation(struct taste *taste, const struct generation *generation, double rho);

/* x: [stride] of the generation. False if there is nothing to make it of: no generation, or no
 * interaction of a type that counts with an item that has factors; or if it is all zeros. row_of:
 * as in confidence_pairs. *cache: NULL or an earlier call's for this user; free() releases it. */
bool taste_factors(struct taste *taste, const struct user_record *record, int64_t now_ms,
                   const uint32_t *row_of, size_t row_count, float *x, void **cache);

/* What each kept interaction adds to x_u.y_row, exactly (by the equations of model/foldin.h and
 * model/sgd.h, in float64): added: [interaction_count], their sum is x_u.y_row. A pair's share goes
 * to its interactions in proportion to what they are of its confidence; a dislike by itself adds
 * nothing: it is in the matrix, and makes what the others add smaller. confidence: [the same], c;
 * 0 for what does not count. row ROW_NONE: an item without factors, to which nothing adds. */
void taste_added(struct taste *taste, const struct user_record *record, int64_t now_ms,
                 const uint32_t *row_of, size_t row_count, uint32_t row, double *added,
                 double *confidence);

#endif
