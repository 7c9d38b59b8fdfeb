/* The fence: the one script by which lists are written, and what it answers.
 *
 * One key, one call, so that it is atomic and runs on any node of a cluster. Two instances, a late
 * retry and a replay may all write the same user's key in any order: the newest version stays. The
 * script reads the version that lies at the key from fixed byte positions (list_write puts it
 * there) and never parses JSON. A value that is not a list of ours is never replaced. */
#ifndef FRESHET_PUBLISHER_FENCE_H
#define FRESHET_PUBLISHER_FENCE_H

/* KEYS[1] = key; ARGV = value, expiry in ms, version of the value. */
extern const char fence_script[];

#define FENCE_STORED "STORED"       /* there was none, or none newer */
#define FENCE_OLDER "OLDER"         /* the one at the key is newer; its version follows */
#define FENCE_PARTITION "PARTITION" /* same epoch, another partition: cannot be compared */
#define FENCE_FOREIGN "FOREIGN"     /* what is at the key is not a list */

#endif
