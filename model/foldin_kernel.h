/* The fold-in's kernel for registers of WIDTH floats; included by the one file of each.
 *
 * Four rows go together: their four dot products are summed across lanes by one tree of merges, and
 * what they add to a vector is added while the rows are still in registers (rank 64 with AVX-512)
 * or in the first-level cache. No guard: KERNEL,
 * TARGET and WIDTH (8 or 16) are the includer's. */
#include "model/foldin_vector.h"
#include "model/foldin_work.h"

#define GROUP FOLDIN_GROUP

/* Pairs between a row's use and its fetching: some hundred nanoseconds of work. */
#define FETCH_AHEAD 16

/* Rows of more than this do not all stay near from one step to the next. */
#define FAR_BYTES (256 * 1024)

/* Vectors that may stay in registers from one group of rows to the next. */
#define BLOCKS_KEPT (WIDTH / 2)

struct group { /* of rows that go together */
    const float *y[GROUP];
};

INLINE struct group group_at(const struct foldin_work *w, size_t i)
{
    struct group group;
    for (size_t j = 0; j < GROUP; j++)
        group.y[j] = w->rows[i + j];
    return group;
}

/* y.v of the rows, in each four. */
INLINE VECTOR dot_group(const struct group *rows, const float *v, size_t blocks)
{
    VECTOR a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t k = 0; k < blocks; k++) {
        a += CVEC(v, k) * CVEC(rows->y[0], k);
        b += CVEC(v, k) * CVEC(rows->y[1], k);
        c += CVEC(v, k) * CVEC(rows->y[2], k);
        d += CVEC(v, k) * CVEC(rows->y[3], k);
    }
    return sum_four(a, b, c, d);
}

/* A sum of vectors, in registers if there are few, else in memory. */
struct sum {
    VECTOR kept[BLOCKS_KEPT];
    float *memory;
};

INLINE void sum_begin(struct sum *sum, float *memory, size_t blocks)
{
    sum->memory = memory;
    for (size_t k = 0; k < blocks && blocks <= BLOCKS_KEPT; k++)
        sum->kept[k] = CVEC(memory, k);
}

INLINE void sum_end(const struct sum *sum, size_t blocks)
{
    for (size_t k = 0; k < blocks && blocks <= BLOCKS_KEPT; k++)
        VEC(sum->memory, k) = sum->kept[k];
}

/* sum += t y of each row; t: the rows' factors in each four. */
INLINE void sum_group(struct sum *sum, const struct group *rows, VECTOR t, size_t blocks)
{
    VECTOR t0 = SPREAD(t, 0), t1 = SPREAD(t, 1), t2 = SPREAD(t, 2), t3 = SPREAD(t, 3);
    for (size_t k = 0; k < blocks; k++) {
        VECTOR v = blocks <= BLOCKS_KEPT ? sum->kept[k] : CVEC(sum->memory, k);
        v += t0 * CVEC(rows->y[0], k);
        v += t1 * CVEC(rows->y[1], k);
        v += t2 * CVEC(rows->y[2], k);
        v += t3 * CVEC(rows->y[3], k);
        if (blocks <= BLOCKS_KEPT)
            sum->kept[k] = v;
        else
            VEC(sum->memory, k) = v;
    }
}

/* Notes where a group's rows are, rows of zeros beyond the last pair, and returns them. p, q: a
 * number for each row. */
INLINE struct group gather_group(struct foldin_work *w, size_t i, FOUR *p, FOUR *q, size_t blocks)
{
    const float *Y = w->basis->Y;
    const struct pair *pairs = w->pairs;
    size_t known = w->count + w->ahead, stride = w->basis->stride;
    struct pair nobody = {.row = 0}, group[GROUP];
    struct group rows;
    for (size_t j = 0; j < GROUP; j++) {
        if (i + j + FETCH_AHEAD < known)
            fetch(Y + pairs[i + j + FETCH_AHEAD].row * stride, blocks * WIDTH);
        bool real = i + j < w->count;
        group[j] = real ? pairs[i + j] : nobody;
        rows.y[j] = real ? Y + group[j].row * stride : w->zeros;
        w->rows[i + j] = rows.y[j];
    }
    *p = (FOUR){group[0].p, group[1].p, group[2].p, group[3].p};
    *q = (FOUR){group[0].q, group[1].q, group[2].q, group[3].q};
    *(FOUR *)(w->p + i) = *p;
    return rows;
}

/* b = sum q y,  r = b - A x */
INLINE void begin(struct foldin_work *w, bool cold, size_t blocks)
{
    struct sum b, r;
    for (size_t k = 0; k < blocks; k++) {
        VEC(w->b, k) = (VECTOR){0};
        VEC(w->r, k) = -(CVEC(w->D, k) * CVEC(w->x, k));
    }
    sum_begin(&b, w->b, blocks);
    sum_begin(&r, w->r, blocks);
    for (size_t i = 0; i < w->count; i += GROUP) {
        FOUR p4, q4;
        struct group rows = gather_group(w, i, &p4, &q4, blocks);
        VECTOR p = REPEAT(p4), q = REPEAT(q4);
        sum_group(&b, &rows, q, blocks);
        if (cold)
            continue;
        VECTOR error = q - p * dot_group(&rows, w->x, blocks);
        sum_group(&r, &rows, error, blocks);
    }
    sum_end(&b, blocks);
    sum_end(&r, blocks);
    for (size_t k = 0; cold && k < blocks; k++)
        VEC(w->r, k) = CVEC(w->b, k);
}

struct products { /* two that are needed at the same time */
    float one, other;
};

INLINE struct products both(VECTOR one, VECTOR other)
{
    VECTOR sums = sum_four(one, other, one, other);
    return (struct products){sums[0], sums[1]};
}

/* Ad = (D + sum p y y') d; returns d.Ad and d.Dd */
INLINE struct products multiply(struct foldin_work *w, size_t blocks)
{
    struct sum Ad;
    for (size_t k = 0; k < blocks; k++)
        VEC(w->Ad, k) = CVEC(w->D, k) * CVEC(w->d, k);
    sum_begin(&Ad, w->Ad, blocks);
    bool far = w->count * blocks * sizeof(VECTOR) > FAR_BYTES;
    for (size_t i = 0; i < w->count; i += GROUP) {
        struct group rows = group_at(w, i);
        if (far && i + FETCH_AHEAD + GROUP <= w->count)
            for (size_t j = 0; j < GROUP; j++)
                fetch(w->rows[i + FETCH_AHEAD + j], blocks * WIDTH);
        FOUR p = *(const FOUR *)(w->p + i);
        VECTOR t = dot_group(&rows, w->d, blocks) * REPEAT(p);
        sum_group(&Ad, &rows, t, blocks);
    }
    sum_end(&Ad, blocks);
    VECTOR curvature = {0}, by_D = {0};
    for (size_t k = 0; k < blocks; k++) {
        curvature += CVEC(w->d, k) * CVEC(w->Ad, k);
        by_D += CVEC(w->d, k) * CVEC(w->D, k) * CVEC(w->d, k);
    }
    return both(curvature, by_D);
}

/* x += along d,  r -= along Ad; returns r.r and r' D^-1 r of the new r. */
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
    return both(rr, rz);
}

/* d = D^-1 r + beta d */
INLINE void turn(struct foldin_work *w, float beta, size_t blocks)
{
    for (size_t k = 0; k < blocks; k++)
        VEC(w->d, k) = CVEC(w->inverse, k) * CVEC(w->r, k) + beta * CVEC(w->d, k);
}

/* Of what a solve needs first: d = Ad = 0; returns x.x */
INLINE float prepare(struct foldin_work *w, size_t blocks)
{
    VECTOR squares = {0};
    for (size_t k = 0; k < blocks; k++) {
        VEC(w->inverse, k) = 1 / CVEC(w->D, k);
        VEC(w->d, k) = VEC(w->Ad, k) = (VECTOR){0};
        squares += CVEC(w->x, k) * CVEC(w->x, k);
    }
    return sum_lanes(squares);
}

INLINE int conjugate_gradient(struct foldin_work *w, size_t blocks)
{
    if (prepare(w, blocks) == 0)
        begin(w, true, blocks);
    else
        begin(w, false, blocks);
    VECTOR squares = {0};
    for (size_t k = 0; k < blocks; k++)
        squares += CVEC(w->b, k) * CVEC(w->b, k);
    float b_squared = sum_lanes(squares);
    if (!(b_squared > FOLDIN_SQUARES_MIN && b_squared < FOLDIN_SQUARES_MAX))
        return -1;
    float enough = w->residual * w->residual * b_squared;
    struct products now = advance(w, 0, blocks); /* r.r and r.z */
    turn(w, 0, blocks);

    int steps = 0;
    while (!(now.one <= enough)) {
        if (steps == FOLDIN_STEPS_MAX)
            return -1 - steps;
        struct products curvature = multiply(w, blocks);
        if (!(curvature.one > 0 && curvature.one < FOLDIN_CONDITION_MAX * curvature.other))
            return -1 - steps;
        struct products next = advance(w, now.other / curvature.one, blocks);
        turn(w, next.other / now.other, blocks);
        now = next;
        steps++;
    }
    return steps;
}

/* A rank known to the compiler keeps vectors in registers. */
TARGET int KERNEL(struct foldin_work *w)
{
    if (w->length == 64)
        return conjugate_gradient(w, 64 / WIDTH);
    if (w->length == 128)
        return conjugate_gradient(w, 128 / WIDTH);
    return conjugate_gradient(w, w->length / WIDTH);
}
