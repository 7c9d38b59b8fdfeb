#include "model/sgd_work.h"

#if defined(__x86_64__)
#define KERNEL sgd_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 8
#include "model/sgd_kernel.h"
#endif
