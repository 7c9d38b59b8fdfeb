/* The plain twin of the fold-in's kernels: one row at a time, as the equations read. */
#include "model/foldin_work.h"

static float dot(const float *a, const float *b, size_t length)
{
    float sum = 0;
    for (size_t k = 0; k < length; k++)
        sum += a[k] * b[k];
    return sum;
}

static const float *row_of_pair(const struct foldin_work *w, size_t i)
{
    return w->basis->Y + w->pairs[i].row * w->basis->stride;
}

/* b = sum q y,  r = b - A x */
static void begin(struct foldin_work *w)
{
    for (size_t k = 0; k < w->length; k++) {
        w->b[k] = 0;
        w->r[k] = -(w->D[k] * w->x[k]);
        w->inverse[k] = 1 / w->D[k];
    }
    for (size_t i = 0; i < w->count; i++) {
        const float *y = row_of_pair(w, i);
        float q = w->pairs[i].q, e = q - w->pairs[i].p * dot(y, w->x, w->length);
        for (size_t k = 0; k < w->length; k++) {
            w->b[k] += q * y[k];
            w->r[k] += e * y[k];
        }
    }
}

/* Ad = (D + sum p y y') d */
static void multiply(struct foldin_work *w)
{
    for (size_t k = 0; k < w->length; k++)
        w->Ad[k] = w->D[k] * w->d[k];
    for (size_t i = 0; i < w->count; i++) {
        const float *y = row_of_pair(w, i);
        float t = w->pairs[i].p * dot(y, w->d, w->length);
        for (size_t k = 0; k < w->length; k++)
            w->Ad[k] += t * y[k];
    }
}

static float weighted(const float *a, const float *weight, size_t length) /* a' diag(weight) a */
{
    float sum = 0;
    for (size_t k = 0; k < length; k++)
        sum += a[k] * weight[k] * a[k];
    return sum;
}

int foldin_plain(struct foldin_work *w)
{
    begin(w);
    float b_squared = dot(w->b, w->b, w->length);
    if (!(b_squared > FOLDIN_SQUARES_MIN && b_squared < FOLDIN_SQUARES_MAX))
        return -1;
    float enough = w->residual * w->residual * b_squared;
    for (size_t k = 0; k < w->length; k++)
        w->d[k] = w->inverse[k] * w->r[k];
    float rz = weighted(w->r, w->inverse, w->length);

    int steps = 0;
    while (!(dot(w->r, w->r, w->length) <= enough)) {
        if (steps == FOLDIN_STEPS_MAX)
            return -1 - steps;
        multiply(w);
        float curvature = dot(w->d, w->Ad, w->length);
        if (!(curvature > 0 && curvature < FOLDIN_CONDITION_MAX * weighted(w->d, w->D, w->length)))
            return -1 - steps;
        float along = rz / curvature;
        for (size_t k = 0; k < w->length; k++) {
            w->x[k] += along * w->d[k];
            w->r[k] -= along * w->Ad[k];
        }
        float rz_next = weighted(w->r, w->inverse, w->length);
        for (size_t k = 0; k < w->length; k++)
            w->d[k] = w->inverse[k] * w->r[k] + rz_next / rz * w->d[k];
        rz = rz_next;
        steps++;
    }
    return steps;
}
