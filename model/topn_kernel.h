/* The kernels under topn: what one panel of items gives one group of users, in all its forms.
 *
 * A tile is TOPN_PANEL items times TOPN_GROUP users. A kernel makes its products in registers, adds
 * the bias, compares with each user's limit, and writes down the few that pass: no score matrix.
 * They are filters: how far each may err is in model/topn.c, and what passes is scored again by a
 * dot product that has the same bits in all its forms. */
#ifndef FRESHET_MODEL_TOPN_KERNEL_H
#define FRESHET_MODEL_TOPN_KERNEL_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOPN_PANEL 48 /* items: three AVX-512 registers */
#define TOPN_GROUP 8  /* users: 24 accumulators of the 32 registers */
#define TOPN_LANES 16 /* partial sums of topn_dots */
#define TOPN_QUAD 4   /* coordinates that one instruction of the byte kernel multiplies and adds */

enum topn_filter {
    TOPN_PLAIN,
    TOPN_AVX2,         /* AVX2 and FMA */
    TOPN_AVX512,       /* F, DQ, BW and VL */
    TOPN_BYTES_AVX2,   /* products of bytes, of which a register holds four times as many */
    TOPN_BYTES_AVX512, /* the same with the wider registers */
    TOPN_BYTES_VNNI,   /* and with one instruction where they take three */
    TOPN_BYTES_PLAIN,  /* their twin: slow, for tests anywhere */
    TOPN_FILTERS
};
extern const char *const topn_filter_names[TOPN_FILTERS];

struct topn_panel { /* the largest of its items, rounded up */
    float norm;     /* |y| */
    float rest;     /* |y| beyond the first steps */

    /* Bytes alone, where y = scale q + d: */
    float scale;
    float rounded;  /* |scale q| */
    float rounding; /* |d| */
};

/* Users side by side; norms rounded up. Who is missing in a group has zeros, but a threshold of
 * FLT_MAX. */
struct topn_group {
    float threshold[TOPN_GROUP]; /* no score below it is wanted */
    float slack[TOPN_GROUP];     /* how far floats err: F in model/topn.c */
    float norm[TOPN_GROUP];      /* |x| */
    float rest[TOPN_GROUP];      /* |x| beyond the first steps */

    /* Bytes alone, where x = scale p + r: */
    float scale[TOPN_GROUP];
    float rounding[TOPN_GROUP];       /* |r| */
    int32_t offset[TOPN_GROUP];       /* 128 times the sum of p */
    int32_t first_offset[TOPN_GROUP]; /* of p of the first steps */
};

/* In floats a step is one coordinate: items [steps, TOPN_PANEL], users [steps, TOPN_GROUP]. In
 * bytes it is a quad of them: items [steps, TOPN_PANEL, 4] of u8, which are 128 more than what they
 * stand for, users [steps, TOPN_GROUP, 4] of s8; score = scale (sum - offset) + bias. All 64-byte
 * aligned. */
struct topn_tile {
    const void *items, *users;
    const struct topn_panel *panel;
    const struct topn_group *group;
    const float *bias; /* [TOPN_PANEL]; NaN: the item is nobody's */
    float bias_max;    /* of those that are numbers; -INFINITY if none is */
    int steps;
    int first_steps; /* after these, ask whether the rest is worth it; 0: do not; < steps */

    /* Results. */
    bool ended_early;             /* after the first steps */
    float doubt[TOPN_GROUP];      /* how far the scores may err; unless the panel is out of reach */
    uint64_t passing[TOPN_GROUP]; /* bit i: item i may be wanted; for users returned alone */
    _Alignas(64) float scores[TOPN_GROUP][TOPN_PANEL]; /* of users with something passing */
};

/* Returns a bit for each user that something passes for. */
typedef unsigned topn_kernel(struct topn_tile *tile);
topn_kernel topn_run_plain, topn_run_avx2, topn_run_avx512;
topn_kernel topn_run_bytes_plain, topn_run_bytes_avx2, topn_run_bytes_avx512, topn_run_bytes_vnni;

/* out[i] = x . Y[rows[i]], over `stride` floats, a multiple of TOPN_LANES: lane l sums l, l + 16,
 * l + 32 ... by fused multiply-add, then lanes l and l + 8 are added, l and l + 4, l + 2, l + 1. So
 * all forms give the same bits, and what else is asked for beside a row makes no difference. */
typedef void topn_dots(const float *x, const float *Y, size_t stride, const uint32_t *rows,
                       size_t count, float *out);
topn_dots topn_dots_plain, topn_dots_avx2, topn_dots_avx512;

#define TOPN_ABREAST 4 /* rows at once: so many sums do not wait for each other */
#define TOPN_AHEAD 8   /* rows on their way from memory; a multiple of TOPN_ABREAST */

/* The rows that topn_dots takes after the next ones. */
static inline void topn_fetch_ahead(const float *Y, size_t stride, const uint32_t *rows, size_t at,
                                    size_t count)
{
    for (size_t i = at + TOPN_AHEAD; i < count && i < at + TOPN_AHEAD + TOPN_ABREAST; i++)
        for (size_t k = 0; k < stride; k += 64 / sizeof(float))
            __builtin_prefetch(Y + rows[i] * stride + k);
}

/* -- what all forms begin with; written so that the compiler takes the users side by side ---------
 */

#define TOPN_MARGIN 0x1p-21f /* more than what rounding moves a sum of a few terms */

struct topn_limits {
    _Alignas(32) float last[TOPN_GROUP];  /* filter scores below it are not wanted */
    _Alignas(32) float first[TOPN_GROUP]; /* nor scores of the first steps below this */
    _Alignas(32) float scale[TOPN_GROUP]; /* of bytes: the user's times the panel's */
};

/* Whether an item of this norm and bias may be wanted by any of the group: |x| |y| + bias. */
static inline __attribute__((always_inline)) bool topn_may_reach(const struct topn_group *group,
                                                                 float norm, float bias)
{
    unsigned may = 0;
    for (int user = 0; user < TOPN_GROUP; user++) {
        float most = group->norm[user] * norm + bias + group->slack[user];
        may |= !(most + __builtin_fabsf(most) * TOPN_MARGIN + FLT_MIN < group->threshold[user]);
    }
    return may != 0;
}

static inline __attribute__((always_inline)) void topn_find_limits(struct topn_tile *tile,
                                                                   struct topn_limits *limits)
{
    const struct topn_group *group = tile->group;
    const struct topn_panel panel = *tile->panel;
    for (int user = 0; user < TOPN_GROUP; user++) {
        float doubt = (group->rounding[user] * panel.rounded + group->norm[user] * panel.rounding +
                       group->slack[user]) *
                      (1 + TOPN_MARGIN);
        float limit = group->threshold[user] - doubt;
        float margin = __builtin_fabsf(limit) * TOPN_MARGIN;
        float first = limit - group->rest[user] * panel.rest * (1 + TOPN_MARGIN);
        tile->doubt[user] = doubt;
        limits->last[user] = limit - margin;
        limits->first[user] = first - __builtin_fabsf(first) * TOPN_MARGIN - margin;
        limits->scale[user] = group->scale[user] * panel.scale;
    }
}

/* bar[user]: a sum of bytes that does not exceed it cannot reach the limit with any bias of the
 * panel. The quotient's rounding moves it by less than two and a few millionths, which are taken
 * off. Where it is not a number (0 / 0), everything exceeds it. */
static inline __attribute__((always_inline)) void
topn_find_bars(const struct topn_tile *tile, const float *limit, const float *scale,
               const int32_t *offset, int32_t *bar)
{
    const float farthest = 0x1p29f; /* beyond 512 * 127 * 127 and any offset */
    for (int user = 0; user < TOPN_GROUP; user++) {
        float sum = (limit[user] - tile->bias_max) / scale[user];
        sum = sum > -farthest ? sum : -farthest;
        sum = sum < farthest ? sum : farthest;
        bar[user] = (int32_t)(sum - __builtin_fabsf(sum) * 0x1p-20f - 3) + offset[user];
    }
}

bool topn_filter_is_bytes(enum topn_filter filter);
int topn_filter_user_most(enum topn_filter filter); /* of a user's bytes, either sign */
bool topn_filter_available(enum topn_filter filter);
topn_kernel *topn_filter_kernel(enum topn_filter filter);
topn_dots *topn_filter_dots(enum topn_filter filter);

#endif
