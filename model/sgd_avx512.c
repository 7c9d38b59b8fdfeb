#include "model/sgd_work.h"

#if defined(__x86_64__)
#define KERNEL sgd_avx512
#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")))
#define WIDTH 16
#include "model/sgd_kernel.h"
#endif
