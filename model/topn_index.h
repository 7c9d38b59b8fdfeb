/* The items of a generation as topn's kernels read them: by falling norm, in panels. Internal to
 * topn; immutable once made. */
#ifndef FRESHET_MODEL_TOPN_INDEX_H
#define FRESHET_MODEL_TOPN_INDEX_H

#include "model/topn.h"
#include "model/topn_kernel.h"

#define TOPN_NORM_MOST (FLT_MAX / 4) /* beyond, nothing is filtered: bounds would be infinite */

struct topn_index {
    const float *Y; /* [rows, stride] */
    size_t rows, stride;
    int rank;
    enum topn_filter filter;
    topn_kernel *kernel;
    topn_dots *dots;
    double norm_max; /* of all rows; INFINITY: there are no panels */

    int steps, first_steps;    /* see struct topn_tile */
    int first_coordinates;     /* in the first steps */
    size_t panel_count;        /* of TOPN_PANEL items */
    size_t panel_bytes;        /* a multiple of 64 */
    uint32_t *order;           /* [panel_count, TOPN_PANEL]: columns, by falling norm */
    uint32_t *places;          /* [rows]: where `order` has them, see topn_place */
    size_t last_items;         /* in the last panel; what `order` has beyond is 0 */
    struct topn_panel *panels; /* [panel_count] */
    unsigned char *packed;     /* [panel_count, panel_bytes] */
};

/* For tests and bench: with a filter other than the best. NULL if the processor lacks it, too. */
struct topn_index *topn_index_new_for(const float *Y, size_t rows, size_t stride, int rank,
                                      enum topn_filter filter);

/* Of an item in a panel, as one number. */
#define TOPN_PLACES 64 /* of a panel, some of them nobody's: bits of a word */
static inline uint32_t topn_place(size_t panel, size_t item)
{
    return (uint32_t)(panel * TOPN_PLACES + item);
}

double topn_norm(const float *row, int begin, int end); /* cannot overflow */
float topn_round_up(double value);                      /* >= value, which is not negative */

#endif
