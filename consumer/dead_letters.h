/* The producer of dead letters, and what becomes of each.
 *
 * Sending and reports are on the loop thread. For the end there are three steps:
 * dead_letters_finish may run in another thread (nothing else may then run but
 * dead_letters_abandon); dead_letters_report after it, on the loop, makes the last callbacks;
 * dead_letters_free, by whoever is last, gives the memory back. */
#ifndef FRESHET_CONSUMER_DEAD_LETTERS_H
#define FRESHET_CONSUMER_DEAD_LETTERS_H

#include "consumer/consumer.h"

struct dead_letters;

int dead_letters_open(struct dead_letters **letters, const struct consumer_settings *settings,
                      struct error *err);

/* From now on `wake` is called, from any thread, when there may be something to report. */
void dead_letters_watch(struct dead_letters *letters, void (*wake)(void *arg), void *arg);

/* See consumer_send_dead_letter. */
int dead_letters_send(struct dead_letters *letters, struct slice key, struct slice json,
                      uint64_t token, dead_letter_cb delivered, void *arg, struct error *err);

/* Makes the callbacks of the letters whose fate is known. */
void dead_letters_report(struct dead_letters *letters);

/* Whether the producer can go on; if not, why. */
int dead_letters_check(const struct dead_letters *letters, struct error *err);

/* Waits for what is on its way, gives up what is not delivered in `timeout_ms`, and destroys the
 * producer. */
void dead_letters_finish(struct dead_letters *letters, int timeout_ms);

/* On the loop, while another thread is stuck in dead_letters_finish: calls back for every letter,
 * as not delivered where it is not known. */
void dead_letters_abandon(struct dead_letters *letters);

void dead_letters_free(struct dead_letters *letters);

#endif
