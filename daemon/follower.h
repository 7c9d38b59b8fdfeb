/* The follower: generations of another instance, in place of own training (train.follow).
 *
 * Every FOLLOWER_LOOK_MS it looks into a directory that has the trainer's `generations` in it: its
 * state directory, or a place that they are copied to. The newest of each series that the trainer's
 * gate did not refuse is checked in full, written into the own state directory under its own
 * number, and swapped in, whatever the own gate says. What was followed last (number and checksum)
 * is a note in the state, so that a rollback here stays until the trainer has something new. While
 * the directory is away or a file is damaged, the live generation stays and `why` says so; told in
 * the log once a minute. Files are read and written on a worker; else loop thread. */
#ifndef FRESHET_DAEMON_FOLLOWER_H
#define FRESHET_DAEMON_FOLLOWER_H

#include "daemon/swapper.h"

#define FOLLOWER_LOOK_MS 2000

struct follower;

/* Both directories are copied; the rest is borrowed. */
struct follower *follower_new(uv_loop_t *loop, const char *dir, const char *state_dir,
                              struct history *history, struct swapper *swapper);
void follower_free(struct follower *follower, void (*freed)(void *arg), void *arg);

/* Which series there are from now on. count <= ARMS_MAX. */
void follower_set_series(struct follower *follower, const uint64_t *keys, size_t count);

/* What keeps it from following; "" if nothing does. */
const char *follower_why(const struct follower *follower);

#endif
