/* A private line: history, training and scorers as in the daemon, without Kafka and Redis.
 *
 * Its state is a directory of its own, which goes with it. Events are those of a stream, as if they
 * came on one partition; items are the stream's numbers here, and the stage knows the history's.
 * Training is `freshet train` in a process of its own (forked, because one process may open a state
 * only once), on what was committed. One thread calls; lists are made on some more. */
#ifndef FRESHET_EVAL_STAGE_H
#define FRESHET_EVAL_STAGE_H

#include "eval/stream.h"
#include "model/scorer.h"
#include "model/train.h"

#include <signal.h>

struct stage_settings {
    struct history_settings history; /* state.dir: not used */
    struct train_settings train;     /* the same */
    size_t generations_keep;
    size_t threads;       /* that lists are made on */
    const char *keep_dir; /* where to work, made if missing, and stay; NULL: a temporary one */
    /* Not 0: a signal asks to stop, and everything that takes long returns ERR_DOWN. */
    const volatile sig_atomic_t *stop;
};

struct stage;

/* The stream is borrowed. */
int stage_open(struct stage **stage, const struct stream *stream,
               const struct stage_settings *settings, struct error *err);
void stage_close(struct stage *stage); /* removes the directory, unless it is to be kept */

/* Learns an event, at the latest when next something is asked for. Commits now and then. */
int stage_learn(struct stage *stage, const struct stream_event *event, struct error *err);

/* Makes what was learned durable. */
int stage_commit(struct stage *stage, struct error *err);

/* Trains on all that was learned, with `settings` (NULL: the stage's; `state` and `topic` are the
 * stage's in any case), writes a generation and reads it, as it is in the file. NULL and no error
 * if there is too little to train on. */
int stage_train(struct stage *stage, const struct train_settings *settings,
                struct generation **generation, struct error *err);

/* The generation is the live one from now on, as after a swap, unless the gate refused it (then
 * returns false). Not installed anywhere yet. */
int stage_make_live(struct stage *stage, const struct generation *generation, bool *live,
                    struct error *err);

/* A scorer on the stage's history; `settings` as for scorer_new (types and n too). */
struct scorer *stage_scorer_new(struct stage *stage, const struct scorer_settings *settings);
void stage_scorer_free(struct stage *stage, struct scorer *scorer);

/* The scorer gets a copy of the generation, rotated. */
int stage_install(struct stage *stage, struct scorer *scorer, const struct generation *generation,
                  struct error *err);

/* A list that is asked for: `scorer` and `list` ([n of the scorer]) are given. */
struct asked {
    struct scorer *scorer;
    uint32_t *list; /* the stream's items, best first */
    uint32_t count; /* how many there are */
};

/* The lists of a user (the stream's number) as of now, each scorer's its own, made side by side on
 * the stage's threads; for a user of whom nothing is known the popular lists. */
int stage_lists(struct stage *stage, uint32_t user, struct asked *asked, size_t count,
                struct error *err);

/* Whether the item is left out of the user's lists because he has met it. Of the types that hide,
 * all are taken to. */
int stage_has_seen(struct stage *stage, uint32_t user, uint32_t item, bool *seen,
                   struct error *err);

struct history *stage_history(struct stage *stage);

/* The record of a user (NULL: none) and the history's number of an item (UINT32_MAX: not met). */
int stage_user(struct stage *stage, uint32_t user, struct user **found, struct error *err);
uint32_t stage_item(const struct stage *stage, uint32_t item);

/* ERR_DOWN if a signal asked to stop. */
int stage_go_on(const struct stage *stage, struct error *err);

#endif
