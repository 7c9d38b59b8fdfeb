#include "base/marks.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void marks_deinit(struct marks *marks)
{
    free(marks->of);
    *marks = (struct marks){0};
}

/* No number has the mark 0 of its own. */
void marks_clear(struct marks *marks, uint32_t places)
{
    if (marks->next == 0 || places > UINT32_MAX - marks->next) {
        if (marks->size > 0)
            memset(marks->of, 0, marks->size * sizeof *marks->of);
        marks->next = 1;
    }
    marks->first = marks->next;
    marks->next += places;
}

void marks_reserve(struct marks *marks, uint32_t number)
{
    uint32_t size = number + number / 2 + 64;
    marks->of = mem_array(marks->of, size, sizeof *marks->of);
    memset(marks->of + marks->size, 0, (size - marks->size) * sizeof *marks->of);
    marks->size = size;
}
