/* A recorded stream in memory, in the order in which it will be judged.
 *
 * Events are added as they were read, then put in order: by time, equal times mixed by a seed
 * (lines of an invoice have no order of their own, and the one they were written in tells which
 * comes next). Users and items become dense numbers. One thread. */
#ifndef FRESHET_EVAL_STREAM_H
#define FRESHET_EVAL_STREAM_H

#include "base/error.h"
#include "base/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream_event {
    int64_t ts_ms;
    double value;
    uint32_t user, item; /* numbers in the stream's ids */
    uint16_t type;       /* index into the settings' event types */
    bool is_new;         /* the user's first event with the item; set by stream_arrange */
};

struct stream {
    struct stream_event *events; /* [count], owned */
    size_t count, capacity;
    struct ids users, items;
};

void stream_deinit(struct stream *stream); /* zero-initialise */

void stream_add(struct stream *stream, int64_t ts_ms, struct slice user, struct slice item,
                uint16_t type, double value);

/* Sorts by time; events of equal time are first left in the order they were added, then mixed by
 * Fisher and Yates with splitmix64 from the seed. To be called once, after the last stream_add. */
void stream_arrange(struct stream *stream, uint64_t seed);

/* "0.6": a share of the events; "2013-06-01", "2013-06-01T12:30:00" (UTC) or ms since 1970 (a whole
 * number above 1): a time. *at: how many events come before. ERR_USAGE names the option. */
int stream_place(const struct stream *stream, const char *option, const char *text, size_t *at,
                 struct error *err);

/* splitmix64 (Steele, Lea, Flood 2014): the next number of a sequence that `state` stands for. */
uint64_t eval_random(uint64_t *state);

/* A number below `below`; the modulo's bias is below 2^-32 for what is counted here. */
static inline size_t eval_random_below(uint64_t *state, size_t below)
{
    return (size_t)(eval_random(state) % below);
}

#endif
