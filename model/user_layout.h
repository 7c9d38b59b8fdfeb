/* How a user's record lies in memory; for the files that make one (user*.c) alone.
 *
 *   user.c          references, looking, versions
 *   user_parse.c    bytes of the state -> record
 *   user_apply.c    an event -> the next record */
#ifndef FRESHET_MODEL_USER_LAYOUT_H
#define FRESHET_MODEL_USER_LAYOUT_H

#include "model/user.h"

#include <stddef.h>

extern const struct user_record user_nobody;

/* Of a record with these counts. */
uint64_t user_bytes_of(const struct user_record *counts);

/* A record with the fixed part of `head`, whose counts say how long it is, and arrays to be filled.
 * Where the list ends in the middle of eight bytes, the rest of them is zeroed. */
struct user_record *user_record_new(const struct user_record *head);

/* The same with room for it to become longer. */
struct user_record *user_record_new_roomy(const struct user_record *head);

/* Whether a record with these counts can take the place of `record`: there is room, and nobody else
 * holds a reference. Then, after user_record_become, its fixed part is `head`, and the arrays that
 * have moved are to be filled anew. */
bool user_record_may_become(const struct user_record *record, const struct user_record *head);
struct user_record *user_record_become(const struct user_record *record,
                                       const struct user_record *head);

/* Where the item is among the seen, or their count. */
uint32_t user_find_seen(const struct user_record *record, uint32_t item);

static inline void user_copy_array(const void *to, const void *from, size_t count, size_t bytes)
{
    if (count > 0)
        memcpy((void *)to, from, count * bytes);
}

#endif
