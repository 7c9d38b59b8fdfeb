/* The response probe: what a user's factors make of the events that a list answers.
 *
 * One in PROBE_ONE_IN lists is probed, chosen by a hash of user and version, so the same ones every
 * time. x is made of the record without the interactions that came since the last acknowledged list
 * was scored (at or after its offset), x' of the whole record, both at the slate's stream time;
 * with i the item of the newest of these interactions whose type has a positive weight, s = x.y_i,
 * s' = x'.y_i,
 *
 *   gap closed      (s' - s) / (1 - s): 1 is what the objective wants of an item used. Not where
 *                   s >= 1
 *   neighbour lift  the mean of s'_j - s_j over the PROBE_NEIGHBOURS items j nearest to i by the
 *                   cosine of their factors, among PROBE_AMONG spread evenly over the catalogue
 *   drift           1 - cos(x, x')
 *
 * and, of lists of any cause, the diversity of the first LIST_DEPTH items (model/variety.h). All of
 * the taste term alone, without its weight. Costs two fold-ins and rank * PROBE_AMONG operations,
 * whatever the catalogue. Where scorer_run may run, this may; one thread at a time. */
#ifndef FRESHET_MODEL_PROBE_H
#define FRESHET_MODEL_PROBE_H

#include "model/generation.h"
#include "model/slate.h"

#define PROBE_ONE_IN 64
#define PROBE_NEIGHBOURS 10
#define PROBE_AMONG GENERATION_SAMPLE_MAX

struct scorer_parts;

bool probe_wants(const struct slate_list *list);

/* Fills list->probe; the list is scored. */
void probe_list(const struct scorer_parts *parts, int64_t now_ms, struct slate_list *list);

/* NaN where there is no gap, or either score is NaN. */
double probe_gap_closed(double before, double after);

#endif
