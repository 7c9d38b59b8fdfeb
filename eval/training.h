/* train_run in a process of its own, as the daemon has it: a state may be open only once in a
 * process, and what training takes of memory goes with it. */
#ifndef FRESHET_EVAL_TRAINING_H
#define FRESHET_EVAL_TRAINING_H

#include "model/train.h"

#include <signal.h>

/* *number: the generation written; 0: there is too little to train on. Ends the other process and
 * returns ERR_DOWN when *stop (may be NULL) is not 0. Signals interrupt the waiting (no
 * SA_RESTART).
 */
int training_run(const struct train_settings *settings, const volatile sig_atomic_t *stop,
                 uint64_t *number, struct error *err);

#endif
