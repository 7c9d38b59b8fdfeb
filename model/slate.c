#include "model/slate.h"
#include "model/history.h"
#include "model/user.h"

#include <assert.h>
#include <stdlib.h>

/* The lowest `digits` of them, and then `end`. Returns what follows. */
static char *write_hex(char *text, uint64_t value, int digits, char end)
{
    for (int i = digits - 1; i >= 0; i--, value >>= 4)
        text[i] = "0123456789abcdef"[value & 15];
    text[digits] = end;
    return text + digits + 1;
}

void version_format(char text[VERSION_TEXT_BYTES], const struct version *version)
{
    assert(version->partition >= 0 && version->partition <= UINT16_MAX);
    text = write_hex(text, version->epoch, 8, '.');
    text = write_hex(text, (uint64_t)version->partition, 4, '.');
    text = write_hex(text, (uint64_t)version->next_offset, 16, '.');
    write_hex(text, version->swap, 8, '\0');
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, int digits, uint64_t *number)
{
    *number = 0;
    for (int i = 0; i < digits; i++) {
        int value = digit_value(text[i]);
        if (value < 0)
            return false;
        *number = *number << 4 | (uint64_t)value;
    }
    return true;
}

bool version_parse(struct version *version, struct slice text)
{
    uint64_t epoch, partition, next_offset, swap;
    const char *at = text.data;
    if (text.length != 8 + 1 + 4 + 1 + 16 + 1 + 8 || at[8] != '.' || at[13] != '.' || at[30] != '.')
        return false;
    if (!parse_hex(at, 8, &epoch) || !parse_hex(at + 9, 4, &partition) ||
        !parse_hex(at + 14, 16, &next_offset) || !parse_hex(at + 31, 8, &swap))
        return false;
    *version = (struct version){.epoch = (uint32_t)epoch,
                                .partition = (int32_t)partition,
                                .next_offset = (int64_t)next_offset,
                                .swap = (uint32_t)swap};
    return true;
}

const char *slate_cause_name(enum slate_cause cause)
{
    static const char *const names[CAUSE_COUNT] = {"event", "generation", "arms", "sweep",
                                                   "forced"};
    return (unsigned)cause < CAUSE_COUNT ? names[cause] : "unknown";
}

bool slate_list_is_stale(const struct slate_list *list)
{
    if (list->user == NULL || list->record == NULL)
        return false;
    const struct user_record *now = list->user->record, *then = list->record;
    return now->acked_offset != then->acked_offset || now->acked_swap != then->acked_swap;
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
