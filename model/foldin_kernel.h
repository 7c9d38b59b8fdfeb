/* The fold-in's kernel for registers of WIDTH floats; included by the one file of each.
 *
 * Four rows go together: their four dot products are summed across lanes by one tree of merges, and
 * what they add to a vector is added while the rows are still in registers (rank 64 with AVX-512)
 * or in the first-level cache. Rows are copied side by side where they are few. No guard: KERNEL,
 * TARGET and WIDTH (8 or 16) are the includer's. */
#include "model/foldin_work.h"

#define VECTOR float __attribute__((vector_size(WIDTH * sizeof(float))))
#define INLINE TARGET static inline __attribute__((always_inline))
#define GROUP FOLDIN_GROUP

/* Pairs between a row's use and its fetching: some hundred nanoseconds of work. */
#define FETCH_AHEAD 16

/* Vectors that may stay in registers from one group of rows to the next. */
#define BLOCKS_KEPT (WIDTH / 2)

#define VEC(array, k) (((VECTOR *)(array))[k])
#define CVEC(array, k) (((const VECTOR *)(array))[k])

/* Of two vectors the sums of their halves, and of their quarters: a before b in every part.
 * SWAP_PAIRS and SWAP exchange neighbours. */
#if WIDTH == 16
#define HALVES(a, b)                                                                         \
    (__builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) + \
     __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#define QUARTERS(a, b)                                                                         \
    (__builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) + \
     __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31))
#define SWAP_PAIRS(a) \
    __builtin_shufflevector(a, a, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define SWAP(a) __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#define SPREAD(a, i) __builtin_shufflevector(a, a, i, i, i, i, i, i, i, i, i, i, i, i, i, i, i, i)
#else
#define HALVES(a, b)                                           \
    (__builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + \
     __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15))
#define QUARTERS(a, b)                                         \
    (__builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13) + \
     __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15))
#define SWAP(a) __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6)
#define SPREAD(a, i) __builtin_shufflevector(a, a, i, i, i, i, i, i, i, i)
#endif

/* Four sums across lanes; each fills a quarter of the result. */
INLINE VECTOR sum_four(VECTOR a, VECTOR b, VECTOR c, VECTOR d)
{
    VECTOR sums = QUARTERS(HALVES(a, b), HALVES(c, d));
#if WIDTH == 16
    sums += SWAP_PAIRS(sums);
#endif
    return sums + SWAP(sums);
}

#define QUARTER (WIDTH / 4)

INLINE float sum_lanes(VECTOR a)
{
    return sum_four(a, a, a, a)[0];
}

INLINE void fetch(const float *Y, size_t stride, size_t row)
{
    for (size_t k = 0; k < stride; k += 16)
        __builtin_prefetch(Y + row * stride + k);
}

/* to += sum over the rows of p (y.v) y */
INLINE void multiply_rows(const struct foldin_work *w, const float *v, float *to, bool packed,
                          size_t blocks)
{
    const float *copy = w->copies, *p = w->p, *const *rows = w->rows;
    size_t count = w->count, length = blocks * WIDTH;
    bool keep = blocks <= BLOCKS_KEPT;
    VECTOR kept[BLOCKS_KEPT];
    for (size_t k = 0; keep && k < blocks; k++)
        kept[k] = CVEC(to, k);
    for (size_t i = 0; i < count; i += GROUP, p += WIDTH, copy += GROUP * length) {
        const float *y0 = packed ? copy : rows[i], *y1 = packed ? copy + length : rows[i + 1],
                    *y2 = packed ? copy + 2 * length : rows[i + 2],
                    *y3 = packed ? copy + 3 * length : rows[i + 3];
        VECTOR a = {0}, b = {0}, c = {0}, d = {0};
        for (size_t k = 0; k < blocks; k++) {
            a += CVEC(v, k) * CVEC(y0, k);
            b += CVEC(v, k) * CVEC(y1, k);
            c += CVEC(v, k) * CVEC(y2, k);
            d += CVEC(v, k) * CVEC(y3, k);
        }
        VECTOR t = sum_four(a, b, c, d) * CVEC(p, 0);
        VECTOR t0 = SPREAD(t, 0), t1 = SPREAD(t, QUARTER), t2 = SPREAD(t, 2 * QUARTER),
               t3 = SPREAD(t, 3 * QUARTER);
        for (size_t k = 0; k < blocks; k++) {
            VECTOR sum = keep ? kept[k] : CVEC(to, k);
            sum += t0 * CVEC(y0, k);
            sum += t1 * CVEC(y1, k);
            sum += t2 * CVEC(y2, k);
            sum += t3 * CVEC(y3, k);
            if (keep)
                kept[k] = sum;
            else
                VEC(to, k) = sum;
        }
    }
    for (size_t k = 0; keep && k < blocks; k++)
        VEC(to, k) = kept[k];
}

/* A group's p, each in its quarter. */
INLINE VECTOR quarters(const float *p)
{
#if WIDTH == 16
    return (VECTOR){p[0], p[0], p[0], p[0], p[1], p[1], p[1], p[1],
                    p[2], p[2], p[2], p[2], p[3], p[3], p[3], p[3]};
#else
    return (VECTOR){p[0], p[0], p[1], p[1], p[2], p[2], p[3], p[3]};
#endif
}

/* Lists what the pairs come down to, the last group filled with rows of zeros, and
 * b = sum q y,  inverse = D + sum p y^2 */
INLINE void gather(struct foldin_work *w, bool packed, size_t blocks)
{
    const float *Y = w->basis->Y, *zeros = w->zeros, **rows = w->rows;
    const struct pair *pairs = w->pairs;
    size_t count = w->count, known = count + w->ahead, stride = w->basis->stride;
    float *copy = w->copies, *ps = w->p, *b = w->b, *diagonal = w->inverse;
    bool keep = blocks <= BLOCKS_KEPT;
    VECTOR kept_b[BLOCKS_KEPT], kept_diagonal[BLOCKS_KEPT];
    for (size_t k = 0; keep && k < blocks; k++) {
        kept_b[k] = CVEC(b, k);
        kept_diagonal[k] = CVEC(diagonal, k);
    }
    for (size_t i = 0; i < count; i += GROUP, ps += WIDTH, copy += GROUP * blocks * WIDTH) {
        const float *y[GROUP];
        float p[GROUP], q[GROUP];
        for (size_t j = 0; j < GROUP; j++) {
            if (i + j + FETCH_AHEAD < known)
                fetch(Y, stride, pairs[i + j + FETCH_AHEAD].row);
            bool real = i + j < count;
            y[j] = real ? Y + pairs[i + j].row * stride : zeros;
            p[j] = real ? pairs[i + j].p : 0;
            q[j] = real ? pairs[i + j].q : 0;
            if (!packed)
                rows[i + j] = y[j];
        }
        VEC(ps, 0) = quarters(p);
        for (size_t k = 0; k < blocks; k++) {
            VECTOR b_sum = keep ? kept_b[k] : CVEC(b, k);
            VECTOR diagonal_sum = keep ? kept_diagonal[k] : CVEC(diagonal, k);
            for (size_t j = 0; j < GROUP; j++) {
                VECTOR v = CVEC(y[j], k);
                if (packed)
                    VEC(copy, j * blocks + k) = v;
                b_sum += q[j] * v;
                diagonal_sum += p[j] * (v * v);
            }
            if (keep) {
                kept_b[k] = b_sum;
                kept_diagonal[k] = diagonal_sum;
            } else {
                VEC(b, k) = b_sum;
                VEC(diagonal, k) = diagonal_sum;
            }
        }
    }
    for (size_t k = 0; keep && k < blocks; k++) {
        VEC(b, k) = kept_b[k];
        VEC(diagonal, k) = kept_diagonal[k];
    }
}

INLINE bool is_zero(const float *x, size_t blocks)
{
    VECTOR squares = {0};
    for (size_t k = 0; k < blocks; k++)
        squares += CVEC(x, k) * CVEC(x, k);
    return sum_lanes(squares) == 0;
}

/* b = sum q y,  r = b - A x,  inverse = 1 / diag(A). Returns a bound of the condition number. */
INLINE float begin(struct foldin_work *w, bool packed, size_t blocks)
{
    for (size_t k = 0; k < blocks; k++) {
        VEC(w->b, k) = (VECTOR){0};
        VEC(w->inverse, k) = CVEC(w->D, k);
        VEC(w->Ad, k) = CVEC(w->D, k) * CVEC(w->x, k);
        VEC(w->d, k) = (VECTOR){0};
    }
    gather(w, packed, blocks);
    if (!is_zero(w->x, blocks))
        multiply_rows(w, w->x, w->Ad, packed, blocks);
    /* cond(D^-1/2 A D^-1/2) <= 1 + sum p y' D^-1 y: what the preconditioner leaves to be done */
    VECTOR condition = {1};
    for (size_t k = 0; k < blocks; k++) {
        VEC(w->r, k) = CVEC(w->b, k) - CVEC(w->Ad, k);
        condition += CVEC(w->inverse, k) / CVEC(w->D, k) - 1;
        VEC(w->inverse, k) = 1 / CVEC(w->inverse, k);
    }
    return sum_lanes(condition);
}

/* Ad = (D + sum p y y') d; returns d.Ad */
INLINE float multiply(struct foldin_work *w, bool packed, size_t blocks)
{
    for (size_t k = 0; k < blocks; k++)
        VEC(w->Ad, k) = CVEC(w->D, k) * CVEC(w->d, k);
    multiply_rows(w, w->d, w->Ad, packed, blocks);
    VECTOR curvature = {0};
    for (size_t k = 0; k < blocks; k++)
        curvature += CVEC(w->d, k) * CVEC(w->Ad, k);
    return sum_lanes(curvature);
}

struct products { /* r.r and r' inverse r */
    float rr, rz;
};

/* x += along d,  r -= along Ad, and the products of the new r. */
INLINE struct products advance(struct foldin_work *w, float along, size_t blocks)
{
    VECTOR rr = {0}, rz = {0};
    for (size_t k = 0; k < blocks; k++) {
        VECTOR r = CVEC(w->r, k) - along * CVEC(w->Ad, k);
        VEC(w->x, k) += along * CVEC(w->d, k);
        VEC(w->r, k) = r;
        rr += r * r;
        rz += r * CVEC(w->inverse, k) * r;
    }
    VECTOR sums = sum_four(rr, rz, rr, rz);
    return (struct products){sums[0], sums[QUARTER]};
}

INLINE int conjugate_gradient(struct foldin_work *w, bool packed, size_t blocks)
{
    float condition = begin(w, packed, blocks);
    VECTOR squares = {0};
    for (size_t k = 0; k < blocks; k++)
        squares += CVEC(w->b, k) * CVEC(w->b, k);
    float b_squared = sum_lanes(squares);
    if (!(condition < FOLDIN_CONDITION_MAX && b_squared > FOLDIN_SQUARES_MIN &&
          b_squared < FOLDIN_SQUARES_MAX))
        return -1;
    float enough = w->residual * w->residual * b_squared, beta = 0;
    struct products now = advance(w, 0, blocks);

    int steps = 0;
    while (!(now.rr <= enough)) {
        if (steps == FOLDIN_STEPS_MAX)
            return -1 - steps;
        for (size_t k = 0; k < blocks; k++)
            VEC(w->d, k) = CVEC(w->inverse, k) * CVEC(w->r, k) + beta * CVEC(w->d, k);
        float curvature = multiply(w, packed, blocks);
        if (!(curvature > 0)) /* not a number, or rounded out of positive definiteness */
            return -1 - steps;
        struct products next = advance(w, now.rz / curvature, blocks);
        beta = next.rz / now.rz;
        now = next;
        steps++;
    }
    return steps;
}

/* A rank known to the compiler keeps vectors in registers. */
TARGET int KERNEL(struct foldin_work *w)
{
    bool packed = (w->count + GROUP) * w->length * sizeof(float) <= FOLDIN_COPIES_BYTES;
    if (w->length == 64)
        return packed ? conjugate_gradient(w, true, 64 / WIDTH)
                      : conjugate_gradient(w, false, 64 / WIDTH);
    if (w->length == 128)
        return packed ? conjugate_gradient(w, true, 128 / WIDTH)
                      : conjugate_gradient(w, false, 128 / WIDTH);
    return conjugate_gradient(w, false, w->length / WIDTH);
}
