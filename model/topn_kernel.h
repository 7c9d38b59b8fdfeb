/* The kernels under topn: what one panel of items gives one group of users, in all its forms.
 *
 * A tile is TOPN_PANEL items times TOPN_GROUP users. A kernel makes its products in registers, adds
 * the bias, compares with each user's limit, and writes down the few that pass: no score matrix.
 * They are filters: how far each may err is in model/topn.c, and what passes is scored again by a
 * dot product that has the same bits in all its forms. */
#ifndef FRESHET_MODEL_TOPN_KERNEL_H
#define FRESHET_MODEL_TOPN_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOPN_PANEL 48 /* items: three AVX-512 registers */
#define TOPN_GROUP 8  /* users: 24 accumulators of the 32 registers */
#define TOPN_LANES 16 /* partial sums of topn_dot_* */
#define TOPN_QUAD 4   /* coordinates that one instruction of the byte kernel multiplies and adds */

enum topn_filter {
    TOPN_PLAIN,
    TOPN_AVX2,        /* AVX2 and FMA */
    TOPN_AVX512,      /* F, DQ, BW and VL */
    TOPN_BYTES,       /* AVX-512 with VNNI: products of bytes, four times as many an instruction */
    TOPN_BYTES_PLAIN, /* its twin: slow, for tests anywhere */
    TOPN_FILTERS
};
extern const char *const topn_filter_names[TOPN_FILTERS];

/* In floats a step is one coordinate: panel [steps, TOPN_PANEL], users [steps, TOPN_GROUP]. In
 * bytes it is a quad of them: panel [steps, TOPN_PANEL, 4] of u8, which are 128 more than what they
 * stand for, users [steps, TOPN_GROUP, 4] of s8. All 64-byte aligned. */
struct topn_tile {
    const void *panel, *users;
    const float *bias; /* [TOPN_PANEL]; NaN: the item is nobody's */
    float bias_max;    /* of those that are numbers; -INFINITY if none is */
    int steps;
    int first_steps; /* end early if after these none passes first_limit; 0: do not ask */
    float limit[TOPN_GROUP];
    float first_limit[TOPN_GROUP]; /* less what the other coordinates can still add */

    /* Bytes alone: score = scale (sum - offset) + bias, offset = 128 times the sum of the user's
     * bytes (of the first steps in first_offset). */
    float scale[TOPN_GROUP];
    const int32_t *offset, *first_offset; /* [TOPN_GROUP] */

    /* Results. */
    bool ended_early;
    uint64_t passing[TOPN_GROUP]; /* bit i: item i, !(score < limit); for users returned alone */
    _Alignas(64) float scores[TOPN_GROUP][TOPN_PANEL]; /* of users with something passing */
};

/* Returns a bit for each user that something passes for. */
typedef unsigned topn_kernel(struct topn_tile *tile);
topn_kernel topn_run_plain, topn_run_avx2, topn_run_avx512, topn_run_bytes;
topn_kernel topn_run_bytes_plain; /* the twin of topn_run_bytes */

/* x.y over `count` floats, a multiple of TOPN_LANES: lane l sums l, l + 16, l + 32 ... by fused
 * multiply-add, then lanes l and l + 8 are added, l and l + 4, l + 2, l + 1. So all forms give the
 * same bits. */
typedef float topn_dot(const float *x, const float *y, size_t count);
topn_dot topn_dot_plain, topn_dot_avx2, topn_dot_avx512;

bool topn_filter_available(enum topn_filter filter);
topn_kernel *topn_filter_kernel(enum topn_filter filter);
topn_dot *topn_filter_dot(enum topn_filter filter);

#endif
