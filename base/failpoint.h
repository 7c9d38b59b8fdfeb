/* Failpoints: named places where a test makes the process die, fail or stand still.
 *
 * A name stands in the table below and at exactly one place of the code (tests/faults/names.py says
 * so), as FAILPOINT("name"), or as FAILPOINT_FAILS("name") where the place can fail: an expression
 * that is true if it shall. The fault campaign (scripts/faults.sh) walks through the table, but for
 * kafka.down, which is there to fail.
 *
 * Compiled in by -DFRESHET_FAILPOINTS=ON alone (the presets faults, asan and tsan); otherwise both
 * macros are nothing, and no name is in the binary. The environment arms them, at the first one
 * that is passed, for this process and those it spawns:
 *
 *     FRESHET_FAILPOINTS="name=action[:ms][@count[+]],..."
 *
 *     kill    SIGKILL to this process, as if the power went
 *     exit    _exit(70)
 *     error   FAILPOINT_FAILS is true; nothing at a FAILPOINT
 *     stall   stands still for `ms`, or until somebody kills it
 *
 * It happens at the count-th passage (1 if it is not given), once, or with "+" from that one on. A
 * line on stderr says so first. What is not understood ends the process with status 64. Any
 * thread. */
#ifndef FRESHET_BASE_FAILPOINT_H
#define FRESHET_BASE_FAILPOINT_H

#include <stdbool.h>

#define FAILPOINTS(X)                                                                     \
    X("learn.taken", "a batch is taken, and not learned")                                 \
    X("learn.learned", "a batch is learned, and nobody is queued")                        \
    X("commit.gathered", "what changed is gathered, nothing is written")                  \
    X("commit.begin", "before the transaction; can fail")                                 \
    X("commit.put", "before each write into it; can fail")                                \
    X("commit.write", "all is in the transaction, before its commit; can fail")           \
    X("commit.written", "it is on the disk, and the loop does not know")                  \
    X("commit.reported", "the loop is told")                                              \
    X("commit.settle", "before the group's offsets")                                      \
    X("commit.settled", "after them")                                                     \
    X("train.spawn", "before the trainer is spawned; can fail")                           \
    X("train.read", "the trainer: before the snapshot is read")                           \
    X("train.tail", "the trainer: before the tail is judged")                             \
    X("train.finish", "the trainer: before the last solve")                               \
    X("train.open", "the trainer: before the file is made; can fail")                     \
    X("train.write", "the trainer: half of the file is written; can fail")                \
    X("train.sync", "the trainer: all of it is written, before fsync; can fail")          \
    X("train.rename", "the trainer: before the rename; can fail")                         \
    X("train.renamed", "the trainer: after it, before the directory is synced; can fail") \
    X("train.ended", "the daemon hears of its end")                                       \
    X("swap.load", "on the worker, before the file is read; can fail")                    \
    X("swap.loaded", "it is read")                                                        \
    X("swap.announced", "the state knows of the swap, the disk does not")                 \
    X("swap.durable", "the disk knows; lists go on under the old generation")             \
    X("swap.held", "the line stands still")                                               \
    X("swap.installed", "the generation is live, nobody is owed")                         \
    X("swap.owed", "the renewal has begun")                                               \
    X("swap.pruned", "old files are gone")                                                \
    X("publish.score", "on the worker, before a slate is scored")                         \
    X("publish.scored", "it is scored")                                                   \
    X("publish.send", "before its first list is sent")                                    \
    X("publish.list", "before each list is sent")                                         \
    X("publish.answer", "Redis has a list, the state does not know")                      \
    X("publish.sent", "a slate is answered, nothing is acknowledged")                     \
    X("publish.acknowledged", "its users' records say so")                                \
    X("publish.lost", "Redis has lost our lists, nobody is owed")                         \
    X("publish.beat", "before the heartbeat is written")                                  \
    X("kafka.down", "librdkafka says that all brokers are down; can fail")                \
    X("assign.checked", "partitions are given, their logs' ends are checked")             \
    X("assign.load", "before their state is loaded")                                      \
    X("assign.loaded", "after")                                                           \
    X("assign.revoke", "before partitions are given back")                                \
    X("assign.revoked", "after")                                                          \
    X("dead.added", "a refused event is in memory")                                       \
    X("dead.send", "before its dead letter is sent")                                      \
    X("dead.reported", "the broker has it, the loop does not know")                       \
    X("dead.delivered", "the loop is told")                                               \
    X("reload.read", "the settings are read")                                             \
    X("reload.checked", "and checked, nothing is changed")                                \
    X("reload.apply", "the change is durable, before it is made")                         \
    X("reload.applied", "it is made")

#ifdef FRESHET_FAILPOINTS

bool failpoint_passed(const char *name);
#define FAILPOINT(name) ((void)failpoint_passed(name))
#define FAILPOINT_FAILS(name) failpoint_passed(name)

/* What the environment would say; for tests. NULL disarms all. */
void failpoint_arm(const char *text);

#else

#define FAILPOINT(name) ((void)0)
#define FAILPOINT_FAILS(name) false

#endif
#endif
