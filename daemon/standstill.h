/* Who wants the line to stand still: those who change what scoring reads, or use the scorer.
 *
 * They wait in the order of asking, and between two of them the line has a turn. The line asks
 * standstill_is_wanted before it learns or scores, and tells the next one when its worker is done.
 * Loop thread. */
#ifndef FRESHET_DAEMON_STANDSTILL_H
#define FRESHET_DAEMON_STANDSTILL_H

#include <stdbool.h>

struct standstill_wish;

struct standstill { /* zeros: nobody wants it */
    struct standstill_wish *first;
    bool wanted;  /* somebody holds, or waits for the worker */
    bool held;    /* somebody holds */
    bool passing; /* one has let go: a turn for the line before the next holds */
};

void standstill_ask(struct standstill *still, void (*held)(void *arg), void *arg);
void standstill_release(struct standstill *still);

/* The line's turn begins: whether it may go on is decided for this turn. Once the line is stopping,
 * it needs no turn between two who hold. */
void standstill_begin_turn(struct standstill *still, bool stopping);

/* Nothing is being scored: the first who waits holds now, if it is his turn. */
void standstill_tell(struct standstill *still);

/* The turn is over; true if somebody waits who is to have the next one. */
bool standstill_end_turn(struct standstill *still);

/* Whoever still waits is never told. */
void standstill_deinit(struct standstill *still);

#endif
