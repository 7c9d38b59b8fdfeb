#include "base/kernel.h"

const char *const kernel_names[KERNEL_COUNT] = {"plain", "avx2", "avx512"};

static int forced = -1;

bool kernel_available(enum kernel kernel)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (kernel == KERNEL_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (kernel == KERNEL_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return kernel == KERNEL_PLAIN;
}

enum kernel kernel_chosen(void)
{
    if (forced >= 0)
        return (enum kernel)forced;
    for (int kernel = KERNEL_COUNT - 1; kernel > KERNEL_PLAIN; kernel--)
        if (kernel_available((enum kernel)kernel))
            return (enum kernel)kernel;
    return KERNEL_PLAIN;
}

bool kernel_force(enum kernel kernel)
{
    if (!kernel_available(kernel))
        return false;
    forced = (int)kernel;
    return true;
}
