#include "model/foldin_work.h"

#if defined(__x86_64__)
#define KERNEL foldin_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 8
#include "model/foldin_kernel.h"
#endif
