#include "monitor/shadow.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define WAYS 4

struct shadow {
    struct shadow_list sets[SHADOW_USERS / WAYS][WAYS]; /* of each set the newest list first */
};

struct shadow *shadow_new(void)
{
    return mem_zalloc(sizeof(struct shadow));
}

void shadow_free(struct shadow *shadow)
{
    free(shadow);
}

uint64_t shadow_hash(struct slice user)
{
    uint64_t hash = hash_seeded(user.data, user.length);
    return hash != 0 ? hash : 1;
}

/* WAYS: not there. */
static int way_of(const struct shadow_list *set, uint64_t user)
{
    int way = 0;
    while (way < WAYS && set[way].user != user)
        way++;
    return way;
}

const struct shadow_list *shadow_find(const struct shadow *shadow, uint64_t user)
{
    const struct shadow_list *set = shadow->sets[user % (SHADOW_USERS / WAYS)];
    int way = way_of(set, user);
    return way < WAYS ? &set[way] : NULL;
}

void shadow_put(struct shadow *shadow, uint64_t user, const struct slate_list *list)
{
    struct shadow_list *set = shadow->sets[user % (SHADOW_USERS / WAYS)];
    int way = way_of(set, user);
    memmove(set + 1, set, (size_t)(way < WAYS ? way : WAYS - 1) * sizeof *set);
    set->user = user;
    set->count = list->count < LIST_DEPTH ? list->count : LIST_DEPTH;
    for (uint32_t i = 0; i < set->count; i++)
        set->items[i] = list->items[i].item;
}

void shadow_forget(struct shadow *shadow, uint64_t user)
{
    struct shadow_list *set = shadow->sets[user % (SHADOW_USERS / WAYS)];
    int way = way_of(set, user);
    if (way < WAYS)
        set[way].user = 0;
}

uint32_t shadow_rank(const struct shadow_list *list, uint32_t item)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->items[i] == item)
            return i + 1;
    return 0;
}
