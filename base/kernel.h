/* Which instructions the numeric kernels use: chosen once, by what the processor has.
 *
 * Each kernel has a plain C twin that it is tested against. Different kernels may differ in the
 * last bits of a sum; the same kernel gives the same bits on any thread. A setting or a test may
 * force one, before any thread is started. */
#ifndef FRESHET_BASE_KERNEL_H
#define FRESHET_BASE_KERNEL_H

#include <stdbool.h>

enum kernel {
    KERNEL_PLAIN,  /* what the compiler makes of C */
    KERNEL_AVX2,   /* with FMA */
    KERNEL_AVX512, /* F, DQ, BW and VL */
    KERNEL_COUNT
};
extern const char *const kernel_names[KERNEL_COUNT]; /* "plain", "avx2", "avx512" */

/* For functions with one body in C, of which the compiler makes the vectors of each kernel. */
#define KERNEL_TARGET_AVX2 __attribute__((target("avx2")))
#if defined(__clang__) /* has no such width to prefer, and makes 512 bits of them by itself or not \
                        */
#define KERNEL_TARGET_AVX512 __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2")))
#else
#define KERNEL_TARGET_AVX512 \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,prefer-vector-width=512")))
#endif

bool kernel_available(enum kernel kernel);

/* The widest available, unless one was forced. */
enum kernel kernel_chosen(void);

/* False, and nothing is changed, if the processor lacks it. */
bool kernel_force(enum kernel kernel);

#endif
