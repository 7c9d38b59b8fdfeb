/* What the daemon would hold at a moment of a corpus's stream: item sums, co-occurrence, and which
 * items anybody has met. As if all of it were one partition, in the stream's merged order, with an
 * event's place there for its offset: so it does not depend on how the log was partitioned, nor on
 * the order in which partitions were read. Any one thread. */
#ifndef FRESHET_MODEL_TAIL_STATE_H
#define FRESHET_MODEL_TAIL_STATE_H

#include "model/corpus.h"
#include "model/pairs.h"
#include "model/sums.h"

struct tail_state {
    const struct corpus *corpus;   /* borrowed */
    const bool *first;             /* [log]: the user's first meeting with the item; borrowed */
    uint64_t counting;             /* bit t: type t has a positive weight */
    struct item_sums *sums;        /* [items], by row */
    uint8_t *known;                /* [items]: somebody has met it */
    struct pairs pairs;            /* by row */
    const struct tail_state *head; /* whose tables of pairs it shares until it changes them */
};

/* Before all events. ERR_DOWN if memory lacks; deinit all the same. */
int tail_state_init(struct tail_state *state, const struct corpus *corpus, const bool *first,
                    uint32_t neighbours_max, struct error *err);

/* As `head` is, which must outlive it and not change; without its pairs if they are not wanted. */
int tail_state_copy(struct tail_state *state, const struct tail_state *head, bool with_pairs,
                    struct error *err);

void tail_state_deinit(struct tail_state *state);

/* Learns the interaction at `at` of the log, which is `user`'s and number `place` of the stream. */
void tail_state_learn(struct tail_state *state, size_t at, size_t user, size_t place);

#endif
