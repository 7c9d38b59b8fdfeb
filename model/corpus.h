/* The histories as training wants them: one array of interactions, items numbered in byte order.
 *
 * corpus_read copies them out of one snapshot of the state; tests and tools build one by
 * corpus_add_user and corpus_finish. Users come in the byte order of their ids, a user's
 * interactions by time, and what has the same time is shuffled by the seed: the order of lines
 * within an invoice must not help whoever predicts the next one. Interactions of types without a
 * weight are left out. One thread; readers of a finished corpus may be many. */
#ifndef FRESHET_MODEL_CORPUS_H
#define FRESHET_MODEL_CORPUS_H

#include "consumer/event.h"
#include "model/als.h"
#include "model/generation.h"
#include "model/state.h"

struct corpus_draft;

struct corpus {
    size_t users, items;
    size_t *user_begin;      /* [users + 1]: into log */
    struct interaction *log; /* [user_begin[users]]; item is a row, id_hash the shuffle's */
    int32_t *partition;      /* [users] */
    size_t *older_begin;     /* [users + 1]: into older */
    uint32_t *older;         /* rows of items seen before anything kept in the log */
    struct slice *ids;       /* [items], strict byte order */
    uint32_t *row_of;        /* [items]: the identity, for confidence_pairs */
    int64_t now_ms;          /* time of the latest interaction */
    struct type_weight types[EVENT_TYPES_MAX]; /* by the state's type number */

    struct generation_cutoff *cutoffs; /* what the snapshot covers; empty if not from a state */
    size_t cutoff_count;
    uint64_t live_generation; /* of the series read for; 0: none */

    char *id_bytes;             /* what ids point into */
    struct corpus_draft *draft; /* while it is built */
};

void corpus_deinit(struct corpus *corpus);

/* Building: zero-initialise, set types, add users, finish. Items are numbers into `item_ids`, and
 * interactions ordered by time; seen: items that the user has or had in his history. */
void corpus_add_user(struct corpus *corpus, struct slice id, int32_t partition,
                     const struct interaction *interactions, size_t count,
                     const struct seen_item *seen, size_t seen_count);
int corpus_finish(struct corpus *corpus, const struct slice *item_ids, size_t item_count,
                  uint64_t seed, struct error *err);

/* One read view, opened, copied and closed. Types of the state that are not among `type_names`
 * weigh nothing. `series`: whose live generation is told. */
int corpus_read(struct corpus *corpus, const struct state_settings *state, struct slice topic,
                const struct type_weight *types, const char *const *type_names, uint32_t type_count,
                uint64_t series, uint64_t seed, struct error *err);

/* The pairs of each user's log up to `end` (absolute, [users]; NULL: all of it) at rho = 1, both
 * ways. */
int corpus_ratings(const struct corpus *corpus, const struct hyperparameters *hyper,
                   const size_t *end, int64_t now_ms, struct ratings *ratings, struct error *err);

/* The user whose log holds an interaction. */
size_t corpus_user_at(const struct corpus *corpus, size_t at);

#endif
