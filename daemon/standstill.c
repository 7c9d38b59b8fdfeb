#include "daemon/standstill.h"
#include "base/mem.h"

#include <stdlib.h>

struct standstill_wish {
    struct standstill_wish *next;
    void (*told)(void *arg);
    void *arg;
};

void standstill_ask(struct standstill *still, void (*held)(void *arg), void *arg)
{
    struct standstill_wish **at = &still->first;
    while (*at != NULL)
        at = &(*at)->next;
    *at = mem_alloc(sizeof **at);
    **at = (struct standstill_wish){NULL, held, arg};
}

void standstill_release(struct standstill *still)
{
    still->wanted = still->held = false;
    still->passing = true;
}

void standstill_begin_turn(struct standstill *still, bool stopping)
{
    still->wanted |= still->first != NULL && (!still->passing || stopping);
}

void standstill_tell(struct standstill *still)
{
    struct standstill_wish *wish = still->first;
    if (still->held || !still->wanted || wish == NULL)
        return;
    still->first = wish->next;
    still->held = true;
    wish->told(wish->arg); /* may release */
    free(wish);
}

bool standstill_end_turn(struct standstill *still)
{
    bool next = still->passing && still->first != NULL;
    still->passing = false;
    return next;
}

void standstill_deinit(struct standstill *still)
{
    for (struct standstill_wish *next, *wish = still->first; wish != NULL; wish = next) {
        next = wish->next;
        free(wish);
    }
    *still = (struct standstill){0};
}
