/* One body for all kernels: the compiler makes vectors of it for each processor. */
#include "model/topn_select.h"

#include <string.h>

#define BODY static inline __attribute__((always_inline))
#define LANES 16 /* that a pass takes side by side */
_Static_assert(LANES <= TOPN_SPARE, "a pass writes a whole vector");

/* From a float's bits to whole numbers in the order of the floats, and back. */
BODY int32_t turn(int32_t bits)
{
    return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

/* As the floats compare: 0 for either zero. */
BODY int32_t key_of(float score)
{
    int32_t bits;
    score += 0; /* -0 + 0 is 0 */
    memcpy(&bits, &score, sizeof bits);
    return turn(bits);
}

BODY float score_of(int32_t key)
{
    float score;
    key = turn(key);
    memcpy(&score, &key, sizeof score);
    return score;
}

/* How many are not below `least`, of scores and what fills the last vector. */
BODY uint32_t count_from(const float *scores, size_t filled, float least)
{
    uint32_t reach = 0;
    for (size_t i = 0; i < filled; i++)
        reach += scores[i] >= least;
    return reach;
}

/* The least key that is not below `floor`; there is one. Of the distances above it, as numbers
 * without a sign, those of what is below wrap around to the largest. */
BODY int32_t least_from(const float *scores, size_t filled, int32_t floor)
{
    uint32_t least = UINT32_MAX;
    for (size_t i = 0; i < filled; i++) {
        uint32_t above = (uint32_t)key_of(scores[i]) - (uint32_t)floor;
        least = above < least ? above : least;
    }
    return (int32_t)((uint32_t)floor + least);
}

BODY int32_t largest_key(const float *scores, size_t filled)
{
    int32_t largest = INT32_MIN;
    for (size_t i = 0; i < filled; i++) {
        int32_t key = key_of(scores[i]);
        largest = key > largest ? key : largest;
    }
    return largest;
}

/* By halving the range of keys: passes without a branch, some nine of them for a few hundred
 * scores and 33 at most. At least n keys reach `low`, fewer reach `high`. The last vector is filled
 * with the first score again, which is not counted. */
BODY float nth(float *scores, size_t count, size_t n, size_t more)
{
    size_t filled = (count + LANES - 1) / LANES * LANES;
    for (size_t i = 0; i < LANES; i++)
        scores[count + i] = scores[0];
    int64_t low = least_from(scores, filled, INT32_MIN);
    int64_t high = (int64_t)largest_key(scores, filled) + 1;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        float least = score_of((int32_t)middle);
        size_t reach = count_from(scores, filled, least);
        reach -= scores[0] >= least ? filled - count : 0;
        if (reach >= n && reach <= n + more)
            return score_of(least_from(scores, filled, (int32_t)middle));
        if (reach > n)
            low = middle;
        else
            high = middle;
    }
    return score_of((int32_t)low);
}

static size_t keep(float *scores, uint32_t *columns, size_t count, float least)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        float score = scores[i];
        scores[kept] = score;
        columns[kept] = columns[i];
        kept += score >= least;
    }
    return kept;
}

static size_t take(float *scores, uint32_t *columns, const struct topn_passing *from)
{
    size_t count = 0;
    for (uint64_t bits = from->bits; bits != 0; bits &= bits - 1) {
        int at = __builtin_ctzll(bits);
        columns[count] = from->columns[at] | TOPN_PENDING;
        scores[count++] = from->scores[at] - from->doubt;
    }
    return count;
}

typedef float scores_abreast __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t counts_abreast __attribute__((vector_size(LANES * sizeof(int32_t))));

BODY void rank(float *scores, size_t count, uint32_t *ranks)
{
    memset(scores + count, 0, LANES * sizeof *scores);
    for (size_t i = 0; i < count; i += LANES) {
        scores_abreast own;
        counts_abreast above = {0};
        memcpy(&own, scores + i, sizeof own);
        for (size_t j = 0; j < count; j++)
            above -= (own < scores[j]); /* true is -1 */
        memcpy(ranks + i, &above, sizeof above);
    }
}

/* Those of one kernel for which the compiler makes vectors. */
#define KERNEL(name, target_attribute)                                                           \
    target_attribute static float nth_##name(float *scores, size_t count, size_t n, size_t more) \
    {                                                                                            \
        return nth(scores, count, n, more);                                                      \
    }                                                                                            \
    target_attribute static void rank_##name(float *scores, size_t count, uint32_t *ranks)       \
    {                                                                                            \
        rank(scores, count, ranks);                                                              \
    }

KERNEL(plain, )
#if defined(__x86_64__)
KERNEL(avx2, KERNEL_TARGET_AVX2)
KERNEL(avx512, KERNEL_TARGET_AVX512)
#endif

const struct topn_select *topn_select_for(enum kernel kernel)
{
    static const struct topn_select plain = {nth_plain, keep, take, rank_plain};
#if defined(__x86_64__)
    static const struct topn_select avx2 = {nth_avx2, keep, take, rank_avx2};
    static const struct topn_select avx512 = {nth_avx512, topn_keep_avx512, topn_take_avx512,
                                              rank_avx512};
    if (kernel == KERNEL_AVX512)
        return &avx512;
    if (kernel == KERNEL_AVX2)
        return &avx2;
#endif
    return &plain;
}
