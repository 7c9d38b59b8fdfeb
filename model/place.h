/* Putting one state in the place of another: whole or not at all.
 *
 * A restored, imported or new state is made aside and then moved into place:
 *
 *   DIR/aside/     is being made; worth nothing after a crash, and removed by who makes the next
 *   DIR/incoming/  the same, whole and on the disk: it only has to be moved. That is the moment
 *                  from which the directory has the other state: who next takes its lock completes
 *                  the move (state_open_writer does)
 *
 * Moved are data.mdb and, if there is an incoming/generations, that in place of all generation
 * files. Whoever makes one has the directory's lock from place_begin to place_end, so that no
 * daemon runs on it. Blocking, any thread. */
#ifndef FRESHET_MODEL_PLACE_H
#define FRESHET_MODEL_PLACE_H

#include "base/error.h"

struct place;

/* Takes the lock (ERR_SETTINGS "in use by process N") and makes an empty aside/. */
int place_begin(struct place **place, const char *dir, struct error *err);
const char *place_aside(const struct place *place); /* its path */

/* What is aside becomes the state. After an error the old state is still there, or the next
 * writer completes the move: the text says which. */
int place_finish(struct place *place, struct error *err);

/* Gives up the lock and, if it was not finished, what is aside. NULL is allowed. */
void place_end(struct place *place);

/* With the lock: completes a move that was begun. Nothing to do is no error. */
int place_complete(const char *dir, struct error *err);

#endif
