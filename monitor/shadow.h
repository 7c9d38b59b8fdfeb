/* The last lists of a shadow arm, which nothing else remembers: of SHADOW_USERS users at most, by a
 * hash of their names. A set of four places takes four users; of a fifth, the one whose list is
 * oldest goes. Loop thread. */
#ifndef FRESHET_MONITOR_SHADOW_H
#define FRESHET_MONITOR_SHADOW_H

#include "model/slate.h"

#define SHADOW_USERS 16384

struct shadow_list {
    uint64_t user;  /* hash of the name; 0: an empty place */
    uint32_t count; /* of items, LIST_DEPTH at most */
    uint32_t items[LIST_DEPTH];
};

struct shadow;
struct shadow *shadow_new(void);
void shadow_free(struct shadow *shadow);

uint64_t shadow_hash(struct slice user); /* of this process alone */

/* The user's last list, until the next shadow_put; NULL if it is not (any more) there. */
const struct shadow_list *shadow_find(const struct shadow *shadow, uint64_t user);

/* Takes the place of the user's last one. */
void shadow_put(struct shadow *shadow, uint64_t user, const struct slate_list *list);
void shadow_forget(struct shadow *shadow, uint64_t user);

/* From 1; 0: not there. */
uint32_t shadow_rank(const struct shadow_list *list, uint32_t item);

#endif
