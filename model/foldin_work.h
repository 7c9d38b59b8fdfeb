/* Inside the fold-in: what a solve works on, and the kernels that do it (model/foldin.h).
 *
 * A kernel runs preconditioned conjugate gradient from x on the pairs of `work` and returns the
 * steps taken, or -1 - steps where it gave up. foldin_plain is C loops; the others, the same
 * algorithm on four rows at a time, are tested against it. */
#ifndef FRESHET_MODEL_FOLDIN_WORK_H
#define FRESHET_MODEL_FOLDIN_WORK_H

#include "model/foldin.h"

/* Conjugate gradient in float32 forgets what a system worse than this asks of it; and sums of
 * squares beyond these bounds leave float32's range. Both are left to Cholesky in float64. The
 * preconditioned system D^-1/2 A D^-1/2 has no eigenvalue below 1, so its condition number is its
 * largest one, which d.Ad / d.Dd comes to see within a few steps; a curvature not above 0 is not a
 * number, or was rounded out of positive definiteness. */
#define FOLDIN_CONDITION_MAX 1e5f
#define FOLDIN_SQUARES_MIN 1e-20f
#define FOLDIN_SQUARES_MAX 1e20f

#define FOLDIN_GROUP 4 /* rows that a kernel takes at once */

struct foldin_work {
    const struct basis *basis;
    const struct pair *pairs; /* [count + ahead] */
    size_t count, ahead;
    float residual;

    /* Vectors: [length], the rank rounded up to 16, on 64-byte boundaries. */
    size_t length;
    float *D;       /* w0 g + lambda; 1 beyond rank, where the others are 0 */
    float *inverse; /* of D: the preconditioner */
    float *b, *x, *r, *d, *Ad;
    const float *zeros; /* a row that says nothing: fills the last group */

    /* What the pairs come down to. [capacity], a multiple of FOLDIN_GROUP and >= count. */
    const float **rows; /* into basis->Y, or zeros */
    float *p;           /* each repeated: [4 * capacity], on 64-byte boundaries */
    size_t capacity;
};

typedef int (*foldin_kernel)(struct foldin_work *work);

int foldin_plain(struct foldin_work *work);
#if defined(__x86_64__)
int foldin_avx2(struct foldin_work *work);
int foldin_avx512(struct foldin_work *work);
#endif

#endif
