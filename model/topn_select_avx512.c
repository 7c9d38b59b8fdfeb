/* The passes that move entries, of which a compiler makes no vectors: those of sixteen that stay
 * are put side by side in a register and stored whole, over the room behind them. */
#include "model/topn_select.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define LANES 16 /* of a register */
_Static_assert(LANES <= TOPN_SPARE, "a whole register is stored");

/* Returns how many. */
TARGET static inline size_t store(float *scores, uint32_t *columns, __mmask16 which, __m512 score,
                                  __m512i column)
{
    _mm512_storeu_ps(scores, _mm512_maskz_compress_ps(which, score));
    _mm512_storeu_si512(columns, _mm512_maskz_compress_epi32(which, column));
    return (size_t)__builtin_popcount(which);
}

TARGET size_t topn_keep_avx512(float *scores, uint32_t *columns, size_t count, float least)
{
    size_t kept = 0;
    __m512 limit = _mm512_set1_ps(least);
    for (size_t i = 0; i < count; i += LANES) {
        __m512 score = _mm512_loadu_ps(scores + i);
        uint32_t there = count - i < LANES ? (1u << (count - i)) - 1 : 0xffff;
        __mmask16 stays = _mm512_mask_cmp_ps_mask((__mmask16)there, score, limit, _CMP_GE_OQ);
        kept += store(scores + kept, columns + kept, stays, score, _mm512_loadu_si512(columns + i));
    }
    return kept;
}

TARGET size_t topn_take_avx512(float *scores, uint32_t *columns, const struct topn_passing *from)
{
    size_t count = 0, at = 0;
    __m512 doubt = _mm512_set1_ps(from->doubt);
    __m512i pending = _mm512_set1_epi32((int)TOPN_PENDING);
    for (uint64_t bits = from->bits; bits != 0; bits >>= LANES, at += LANES) {
        __m512 score = _mm512_sub_ps(_mm512_load_ps(from->scores + at), doubt);
        __m512i column = _mm512_or_si512(_mm512_loadu_si512(from->columns + at), pending);
        count += store(scores + count, columns + count, (__mmask16)bits, score, column);
    }
    return count;
}
#endif
