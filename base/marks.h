/* A set of numbers below 2^31, each with a place, that is emptied at no cost: what was put in
 * before has a mark below those of now.
 *
 * Takes 6 bytes for each number up to the largest that was put in. One thread at a time. */
#ifndef FRESHET_BASE_MARKS_H
#define FRESHET_BASE_MARKS_H

#include <stdbool.h>
#include <stdint.h>

struct marks {    /* zero-initialise */
    uint32_t *of; /* [size] by number */
    uint32_t size;
    uint32_t first, next; /* this set's marks are [first, next) */
};

void marks_deinit(struct marks *marks);

/* Empties the set, which is for places below `places` from now on. */
void marks_clear(struct marks *marks, uint32_t places);

/* For marks_put: room for this number, which is beyond what there is. */
void marks_reserve(struct marks *marks, uint32_t number);

static inline void marks_put(struct marks *marks, uint32_t number, uint32_t place)
{
    if (number >= marks->size)
        marks_reserve(marks, number);
    marks->of[number] = marks->first + place;
}

/* The number's place, or one that is not below marks_clear's. */
static inline uint32_t marks_place(const struct marks *marks, uint32_t number)
{
    uint32_t mark = number < marks->size ? marks->of[number] : 0;
    return mark - marks->first;
}

static inline bool marks_has(const struct marks *marks, uint32_t number)
{
    return number < marks->size && marks->of[number] >= marks->first;
}

#endif
