#include "consumer/scan.h"
#include "consumer/scan_bytes.h"

#include <math.h>
#include <stdlib.h>

#define REAL_BYTES_ON_STACK 64
#define EIGHTS_MANTISSA_MAX 100000000000u /* times 10^8 it is below 2^64 */

static inline bool at_digit(const struct scan *scan)
{
    return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

/* The eights of digits that begin here, while there is no doubt that they fit. */
static inline void take_eights(struct scan *scan, uint64_t *mantissa)
{
    uint64_t word;
    while (scan->end - scan->at >= (ptrdiff_t)sizeof word && *mantissa < EIGHTS_MANTISSA_MAX) {
        memcpy(&word, scan->at, sizeof word);
        word = le64toh(word);
        if (!bytes_are_digits(word))
            return;
        *mantissa = *mantissa * 100000000 + bytes_number(word);
        scan->at += sizeof word;
    }
}

/* Digits into `*mantissa`; `*exact` is cleared when they no longer fit. Returns how many. */
static int take_digits(struct scan *scan, uint64_t *mantissa, bool *exact)
{
    const unsigned char *from = scan->at;
    take_eights(scan, mantissa);
    while (at_digit(scan)) {
        uint64_t digit = (uint64_t)(*scan->at++ - '0');
        if (*mantissa > (UINT64_MAX - digit) / 10)
            *exact = false;
        else
            *mantissa = *mantissa * 10 + digit;
    }
    return (int)(scan->at - from);
}

static bool take_exponent(struct scan *scan, int *exponent)
{
    bool negative = false;
    scan->at++; /* the e */
    if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
        negative = *scan->at++ == '-';
    uint64_t digits = 0;
    bool exact = true;
    if (take_digits(scan, &digits, &exact) == 0)
        return false;
    int size = exact && digits < 10000 ? (int)digits : 10000;
    *exponent += negative ? -size : size;
    return true;
}

/* The number by strtod, which needs a closing NUL that the text does not have. */
static double slow_real(struct scan *scan, const unsigned char *from)
{
    size_t length = (size_t)(scan->at - from);
    char on_stack[REAL_BYTES_ON_STACK];
    char *copy = length < sizeof on_stack ? on_stack : batch_alloc(scan->batch, length + 1);
    memcpy(copy, from, length);
    copy[length] = '\0';
    return strtod(copy, NULL);
}

/* m * 10^e is correctly rounded in one operation where both factors are exact doubles: m < 2^53 and
 * |e| <= 22 (Clinger, How to read floating point numbers accurately, 1990). */
static double make_real(struct scan *scan, const unsigned char *from, uint64_t mantissa, bool exact,
                        int exponent)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (!exact || mantissa >> 53 != 0 || exponent < -22 || exponent > 22)
        return slow_real(scan, from);
    double real = (double)mantissa;
    real = exponent < 0 ? real / powers[-exponent] : real * powers[exponent];
    return *from == '-' ? -real : real;
}

static bool make_integer(uint64_t magnitude, bool exact, bool negative, struct scan_value *value)
{
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    if (!exact || magnitude > limit)
        return false;
    value->type = SCAN_INT;
    value->integer = (int64_t)(negative ? 0 - magnitude : magnitude);
    value->number = (double)value->integer;
    return true;
}

/* The fraction and the exponent of a number whose integer part is `mantissa`. */
static bool take_real(struct scan *scan, const unsigned char *from, uint64_t mantissa, bool exact,
                      struct scan_value *value)
{
    int exponent = 0;
    if (*scan->at == '.') {
        scan->at++;
        int digits = take_digits(scan, &mantissa, &exact);
        if (digits == 0)
            return false;
        exponent = -digits;
    }
    if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E'))
        if (!take_exponent(scan, &exponent))
            return false;
    value->type = SCAN_REAL;
    value->number = make_real(scan, from, mantissa, exact, exponent);
    return isfinite(value->number);
}

bool scan_number(struct scan *scan, struct scan_value *value)
{
    const unsigned char *from = scan->at;
    bool negative = *from == '-';
    if (negative)
        scan->at++;
    if (!at_digit(scan))
        return false;
    uint64_t mantissa = 0;
    bool exact = true, zero = *scan->at == '0';
    int digits = take_digits(scan, &mantissa, &exact);
    if (zero && digits > 1)
        return false;
    if (scan->at < scan->end && (*scan->at == '.' || *scan->at == 'e' || *scan->at == 'E'))
        return take_real(scan, from, mantissa, exact, value);
    from += negative && zero; /* -0 is 0 */
    value->text = (struct slice){(const char *)from, (uint32_t)(scan->at - from)};
    return make_integer(mantissa, exact, negative, value);
}
