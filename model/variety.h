/* How various a list is, and how far from what everybody knows.
 *
 *   diversity   1 - the mean cosine of the factors of all pairs of its items; items without factors
 *               are left out
 *   novelty     the mean over its items of -log2(uses of the item / uses of all items), in bits;
 *               items without uses are left out (Zhou et al. 2010, self-information)
 *
 * Pure functions. */
#ifndef FRESHET_MODEL_VARIETY_H
#define FRESHET_MODEL_VARIETY_H

#include <stddef.h>
#include <stdint.h>

/* rows: [count] of the list's items in Y, ROW_NONE for one without. Y: [.., stride]. NaN if fewer
 * than two have factors. */
double variety_diversity(const float *Y, size_t stride, int rank, const uint32_t *rows,
                         uint32_t count);

/* uses: [count] of the list's items. NaN if none has any. */
double variety_novelty(const double *uses, uint32_t count, double uses_total);

#endif
