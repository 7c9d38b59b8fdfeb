#include "model/slate.h"
#include "model/user.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void version_format(char text[VERSION_TEXT_BYTES], const struct version *version)
{
    assert(version->partition >= 0 && version->partition <= UINT16_MAX);
    snprintf(text, VERSION_TEXT_BYTES, "%08" PRIx32 ".%04x.%016" PRIx64 ".%08" PRIx32,
             version->epoch, (unsigned)version->partition & UINT16_MAX,
             (uint64_t)version->next_offset, version->swap);
}

const char *slate_cause_name(enum slate_cause cause)
{
    static const char *const names[CAUSE_COUNT] = {"event", "generation", "arms", "sweep",
                                                   "forced"};
    return (unsigned)cause < CAUSE_COUNT ? names[cause] : "unknown";
}

void slate_clear(struct slate *slate)
{
    for (size_t i = 0; i < slate->count; i++) {
        user_record_unref(slate->lists[i].record);
        free(slate->lists[i].items);
        free(slate->lists[i].explored);
    }
    struct slate_list *lists = slate->lists;
    size_t capacity = slate->capacity;
    *slate = (struct slate){.lists = lists, .capacity = capacity};
}

void slate_deinit(struct slate *slate)
{
    slate_clear(slate);
    free(slate->lists);
    *slate = (struct slate){0};
}
