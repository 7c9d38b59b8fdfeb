/* Looking at many bytes at once: what the scanner does with most of a record.
 *
 * Each is there twice, for any processor (eight bytes at a time, in a word) and for one with SSE2,
 * which is every x86-64; the unsuffixed name is the faster of the two. Pure functions; none reads
 * outside [at, end). */
#ifndef FRESHET_CONSUMER_SCAN_BYTES_H
#define FRESHET_CONSUMER_SCAN_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define BYTES_ONES 0x0101010101010101u
#define BYTES_HIGHS 0x8080808080808080u

/* -- a string's plain bytes: up to a quote, a backslash or what may not be there ----------------
 */

/* The highest bit of every byte of `word` that is `byte`; above the lowest such byte there may be
 * false ones, from the borrow (Mycroft 1987). */
static inline uint64_t bytes_equal(uint64_t word, unsigned char byte)
{
    uint64_t zeros = word ^ (BYTES_ONES * byte);
    return (zeros - BYTES_ONES) & ~zeros & BYTES_HIGHS;
}

static inline uint64_t bytes_below(uint64_t word, unsigned char byte)
{
    return (word - BYTES_ONES * byte) & ~word & BYTES_HIGHS;
}

static inline const unsigned char *bytes_plain_end_words(const unsigned char *at,
                                                         const unsigned char *end)
{
    for (uint64_t word; end - at >= (ptrdiff_t)sizeof word; at += sizeof word) {
        memcpy(&word, at, sizeof word);
        word = le64toh(word); /* so that the first byte is the lowest */
        uint64_t stops = bytes_equal(word, '"') | bytes_equal(word, '\\') | bytes_below(word, 0x20);
        if (stops != 0)
            return at + __builtin_ctzll(stops) / 8;
    }
    while (at < end && *at >= 0x20 && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* -- whether all is ASCII -----------------------------------------------------------------------
 */

static inline bool bytes_are_ascii_words(const unsigned char *at, const unsigned char *end)
{
    uint64_t all = 0, word;
    for (; end - at >= (ptrdiff_t)sizeof word; at += sizeof word) {
        memcpy(&word, at, sizeof word);
        all |= word;
    }
    for (; at < end; at++)
        all |= *at;
    return (all & BYTES_HIGHS) == 0;
}

/* -- whether there may be a control character over U+001F: a byte 0x7F, or 0xC2, which begins those
 *    from U+0080 to U+009F and some letters ------------------------------------------------------
 */

static inline bool bytes_hint_control_words(const unsigned char *at, const unsigned char *end)
{
    uint64_t hints = 0, word;
    for (; end - at >= (ptrdiff_t)sizeof word; at += sizeof word) {
        memcpy(&word, at, sizeof word);
        hints |= bytes_equal(word, 0x7F) | bytes_equal(word, 0xC2); /* right whether any is */
    }
    for (; at < end; at++)
        hints |= *at == 0x7F || *at == 0xC2;
    return hints != 0;
}

#if defined(__SSE2__)

static inline __m128i bytes_load(const unsigned char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline const unsigned char *bytes_plain_end(const unsigned char *at,
                                                   const unsigned char *end)
{
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i last_bad = _mm_set1_epi8(0x1F);
    for (; end - at >= 16; at += 16) {
        __m128i bytes = bytes_load(at);
        __m128i bad = _mm_cmpeq_epi8(_mm_max_epu8(bytes, last_bad), last_bad); /* <= 0x1F */
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        unsigned stops = (unsigned)_mm_movemask_epi8(_mm_or_si128(stop, bad));
        if (stops != 0)
            return at + __builtin_ctz(stops);
    }
    return bytes_plain_end_words(at, end);
}

static inline bool bytes_are_ascii(const unsigned char *at, const unsigned char *end)
{
    __m128i all = _mm_setzero_si128();
    if (end - at < 16)
        return bytes_are_ascii_words(at, end);
    for (; end - at > 16; at += 16)
        all = _mm_or_si128(all, bytes_load(at));
    all = _mm_or_si128(all, bytes_load(end - 16)); /* some of it again */
    return _mm_movemask_epi8(all) == 0;
}

static inline bool bytes_hint_control(const unsigned char *at, const unsigned char *end)
{
    const __m128i del = _mm_set1_epi8(0x7F), lead = _mm_set1_epi8((char)0xC2);
    __m128i hints = _mm_setzero_si128();
    if (end - at < 16)
        return bytes_hint_control_words(at, end);
    for (; at<end; at = end - at> 16 ? at + 16 : end) {
        __m128i bytes = bytes_load(end - at > 16 ? at : end - 16);
        hints = _mm_or_si128(hints, _mm_cmpeq_epi8(bytes, del));
        hints = _mm_or_si128(hints, _mm_cmpeq_epi8(bytes, lead));
    }
    return _mm_movemask_epi8(hints) != 0;
}

#else

static inline const unsigned char *bytes_plain_end(const unsigned char *at,
                                                   const unsigned char *end)
{
    return bytes_plain_end_words(at, end);
}

static inline bool bytes_are_ascii(const unsigned char *at, const unsigned char *end)
{
    return bytes_are_ascii_words(at, end);
}

static inline bool bytes_hint_control(const unsigned char *at, const unsigned char *end)
{
    return bytes_hint_control_words(at, end);
}

#endif

/* -- digits, eight at a time --------------------------------------------------------------------
 */

/* Whether each of the eight bytes is a digit: its high half is 3, and is still with 6 added. */
static inline bool bytes_are_digits(uint64_t word)
{
    return ((word & 0xF0F0F0F0F0F0F0F0u) |
            (((word + 0x0606060606060606u) & 0xF0F0F0F0F0F0F0F0u) >> 4)) == 0x3333333333333333u;
}

/* Their number, the first byte (the lowest) being the first digit: pairs, fours, then all. */
static inline uint32_t bytes_number(uint64_t word)
{
    word = (word & 0x0F0F0F0F0F0F0F0Fu) * 2561 >> 8;
    word = (word & 0x00FF00FF00FF00FFu) * 6553601 >> 16;
    return (uint32_t)((word & 0x0000FFFF0000FFFFu) * 42949672960001u >> 32);
}

#endif
