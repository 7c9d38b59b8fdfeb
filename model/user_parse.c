#include "model/user_layout.h"

#include <math.h>

/* The fixed part of format 1 is what format 2 begins with; its arrays are the first three, and the
 * list. */
#define FORMAT_1_BYTES offsetof(struct user_record, changed_events)

/* Bytes of the fixed part as it was written, 0 if there is none. */
static uint32_t written_head(struct slice bytes)
{
    uint16_t format;
    if (bytes.length < FORMAT_1_BYTES)
        return 0;
    memcpy(&format, bytes.data + offsetof(struct user_record, format), sizeof format);
    uint32_t length = format == 1 ? FORMAT_1_BYTES : sizeof(struct user_record);
    return bytes.length >= length ? length : 0;
}

bool user_record_head(struct user_record *head, struct slice bytes)
{
    uint32_t written = written_head(bytes);
    if (written == 0)
        return false;
    *head = user_nobody;
    memcpy(head, bytes.data, written);
    if (head->format == 1) {
        head->format = USER_RECORD_FORMAT;
        head->bytes += (uint32_t)sizeof *head - written;
    }
    return true;
}

static bool interactions_are_sound(const struct user_record *record)
{
    const struct interaction *at = user_interactions(record);
    for (uint32_t i = 0; i < record->interaction_count; i++) {
        if (at[i].type >= 64 || !isfinite(at[i].value))
            return false;
        if (i > 0 && (at[i - 1].ts_ms > at[i].ts_ms ||
                      (at[i - 1].ts_ms == at[i].ts_ms && at[i - 1].offset >= at[i].offset)))
            return false;
    }
    return true;
}

/* `length`: of the record in the format written now. */
static bool head_is_sound(const struct user_record *head, uint64_t length)
{
    const struct trial_counts *trial = &head->trial;
    return head->format == USER_RECORD_FORMAT && head->bytes == length &&
           user_bytes_of(head) == length && head->forgotten <= 1 && isfinite(trial->rr) &&
           trial->hits10 <= trial->hits20 && trial->hits20 <= trial->events;
}

int user_record_parse(const struct user_record **record, struct slice bytes, struct error *err)
{
    struct user_record head;
    if (!user_record_head(&head, bytes))
        return error_set(err, ERR_DATA, "a user's record is cut short: %u bytes", bytes.length);
    uint32_t written = written_head(bytes);
    if (!head_is_sound(&head, (uint64_t)bytes.length + sizeof head - written))
        return error_set(err, ERR_DATA,
                         "a user's record is damaged: format %u, %u bytes where %u were written",
                         head.format, bytes.length, head.bytes - (uint32_t)sizeof head + written);
    struct user_record *parsed = user_record_new(&head);
    user_copy_array(parsed + 1, bytes.data + written, bytes.length - written, 1);
    if (!interactions_are_sound(parsed)) {
        user_record_unref(parsed);
        return error_set(err, ERR_DATA, "a user's record is damaged: interactions out of order");
    }
    *record = parsed;
    return 0;
}
