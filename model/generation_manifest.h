/* The manifest of a generation file: a generation's header fields <-> one JSON object (its shape is
 * in model/generation.h). Any one thread. */
#ifndef FRESHET_MODEL_GENERATION_MANIFEST_H
#define FRESHET_MODEL_GENERATION_MANIFEST_H

#include "base/buffer.h"
#include "base/json.h"
#include "model/generation.h"

/* "weights":{...}, as in the manifest. */
void manifest_write_weights(struct json_writer *w, const struct score_weights *weights);

void manifest_write(struct buffer *out, const struct generation *generation);

/* Fills number, hyper, weights, figures, gate, seed, iterations and cutoffs (allocated). ERR_DATA
 * with the key that is missing or out of range. */
int manifest_read(struct generation *generation, struct slice json, struct error *err);

#endif
