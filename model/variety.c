#include "model/variety.h"
#include "model/generation.h"

#include <math.h>

static double norm_of(const float *y, int rank)
{
    double square = 0;
    for (int k = 0; k < rank; k++)
        square += (double)y[k] * y[k];
    return sqrt(square);
}

/* With n unit vectors v, the sum over pairs i < j of v_i.v_j = (|sum v|^2 - n) / 2. */
double variety_diversity(const float *Y, size_t stride, int rank, const uint32_t *rows,
                         uint32_t count)
{
    double sum[RANK_MAX] = {0}, square = 0, n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i] == ROW_NONE)
            continue;
        const float *y = Y + rows[i] * stride;
        double norm = norm_of(y, rank);
        if (norm == 0)
            continue;
        for (int k = 0; k < rank; k++)
            sum[k] += (double)y[k] / norm;
        n++;
    }
    if (n < 2)
        return NAN;
    for (int k = 0; k < rank; k++)
        square += sum[k] * sum[k];
    return 1 - (square - n) / (n * (n - 1));
}

double variety_novelty(const double *uses, uint32_t count, double uses_total)
{
    double sum = 0;
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (uses[i] <= 0)
            continue;
        sum -= log2(uses[i] / uses_total);
        used++;
    }
    return used > 0 ? sum / used : NAN;
}
