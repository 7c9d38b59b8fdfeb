/* The simulator: the real line and the real history in a world that a seed decides.
 *
 * Real are daemon/line*.c, settling.c, waiting.c, renewal.c, swapper.c; model/history*.c and what
 * it is made of, scorers.c, arms.c; the publisher but for its connection. Fake are what they stand
 * on: libuv (loop.c), the disk (disk.c), memory (memory.c), clock and log (main.c), Kafka
 * (kafka.c), Redis at the other end of redis_command (redis.c), the scorer and generations
 * (scorer.c).
 *
 * Everything that can happen next is a *choice*: a timer that is due, a worker that may run, a
 * reply on its way, a broker that rebalances, the power that fails. A step takes one of them, by
 * weight and by the seed, and afterwards what must hold is looked at (checks.c). So a seed is a
 * run: the same program and the same seed take the same steps. One thread, one `sim`. */
#ifndef FRESHET_TESTS_SIM_H
#define FRESHET_TESTS_SIM_H

#include "tests/sim/stream.h"

#include "base/error.h"
#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define CHOICES_MAX 512
#define SWAPS_MAX 256 /* of a seed */
#define STORM_STEPS_MAX 20000
#define CALM_STEPS_MAX 60000 /* to come to rest; beyond, somebody waits forever */

struct choice {
    uint32_t weight;
    const char *name;
    void (*take)(int arg);
    int arg;
};

struct choices {
    struct choice at[CHOICES_MAX]; /* [count] */
    size_t count;
    uint64_t weight; /* of all together */
};

/* weight 0: left out. */
void choices_add(struct choices *choices, uint32_t weight, const char *name, void (*take)(int arg),
                 int arg);

/* How this seed's world goes: drawn before the first step. */
struct mood {
    /* How eagerly ordinary things happen, and time passes. */
    uint32_t loop, worker, disk, kafka, redis, time;
    /* Faults: 0 never. */
    uint32_t crash, end, disk_fails, rebalance, redis_cut, redis_away, redis_flush, redis_copy,
        redis_taken, letter_fails, reload, generation, ask, group_fails, clock;
    uint32_t redis_refuses; /* of 100 commands */
    uint32_t faults_max;    /* crashes and ends together */
};

struct sim {
    uint64_t seed, random;
    uint64_t step;
    uint64_t digest; /* of all steps taken: two runs of a seed must agree */
    bool trace, calm;
    int64_t now_ns;         /* of the world's clock */
    int64_t wall_offset_ms; /* somebody set the wall clock */
    struct mood mood;
    uint32_t faults; /* crashes and ends so far */
    jmp_buf failed;
    char failure[1024];
};
extern struct sim sim;

uint32_t sim_below(uint32_t n); /* 0 .. n - 1 */
static inline uint32_t sim_between(uint32_t low, uint32_t high)
{
    return low + sim_below(high - low + 1);
}
static inline bool sim_chance(uint32_t per_cent)
{
    return sim_below(100) < per_cent;
}
static inline int64_t sim_now_ms(void)
{
    return sim.now_ns / 1000000;
}

void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Something that must hold does not: ends the seed. */
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define sim_check(holds, ...)      \
    do {                           \
        if (!(holds))              \
            sim_fail(__VA_ARGS__); \
    } while (0)

/* ---- memory.c: the process's. It goes all at once in a crash. */
void memory_drop(void);
size_t memory_blocks(void); /* in use */

/* ---- loop.c: libuv's. */
uv_loop_t *loop_of(void);
void loop_choices(struct choices *choices);
void loop_drop(void);             /* a crash */
bool loop_is_empty(void);         /* no handle, no work: the process may end */
bool loop_is_idle(void);          /* nothing to do but wait for a timer */
int64_t loop_next_timer_ms(void); /* INT64_MAX: none */

/* ---- disk.c, or disk_lmdb.c: what survives. */
struct state;
void disk_begin(void);          /* empty, for a seed */
void disk_crash(void);          /* the process is gone: whoever had it open has no more */
bool disk_is_crashing(void);    /* just now: nothing is written any more */
struct state *disk_state(void); /* as opened by the process; NULL: not open */

/* ---- checks.c */
void checks_begin(void);
void checks_step(void);                     /* after each */
void checks_committed(struct state *state); /* a transaction is durable */
struct learned;
void checks_learned(const struct learned *learned); /* what a batch made of its users */
void checks_all_durable(void);                      /* nothing learned is only in memory */
void checks_at_rest(void);
int64_t checks_durable(int32_t partition); /* next offset; 0: nothing yet */
bool checks_has_epoch(void); /* durably. It is the time when the state first met Redis, which must
                              * not go back before, nor Redis keep lists without their epoch */
struct state_meta;
void checks_live(const struct state_meta *meta, uint32_t config); /* lists may be made so */
void checks_joined(void); /* a swap takes effect at once, durable or not */
void checks_list(int user, struct slice version, struct slice json);
struct version;
void checks_stored(int user, const struct version *version);

/* ---- kafka.c */
void kafka_begin(void);
void kafka_choices(struct choices *choices);
void kafka_crash(void);
bool kafka_is_drained(void);
void kafka_settle_down(void); /* no more trouble: everything is produced, all is assigned */
int64_t kafka_end(int32_t partition);
bool kafka_was_delivered(bool items, int32_t partition, int64_t offset);

/* ---- redis.c */
void redis_begin(void);
void redis_choices(struct choices *choices);
void redis_crash(void);   /* of the process: its connection is gone */
void redis_restart(void); /* of the server, with an older copy of its data if it has one */
void redis_settle_down(void);
bool redis_is_quiet(void);
/* What is at the user's key: false if nothing. */
bool redis_list(int user, struct slice *version, struct slice *json);
/* It was put there by a copy that is older than the last that was written there. */
bool redis_list_is_of_copy(int user);

/* ---- scorer.c: the generations on the disk, and what the arms do. */
void scorer_begin(void);
void scorer_add_generation(void); /* one more file, of a series drawn */
size_t scorer_newest(uint64_t series);

/* ---- process.c: what daemon.c is. */
struct line;
struct history;
void process_begin(void);
void process_start(void);
void process_choices(struct choices *choices);
bool process_is_running(void);
bool process_is_at_rest(void);
const char *process_why_not(void);
void process_crash(void);
void process_end(void); /* SIGTERM */
void process_settle_down(void);
struct history *process_history(void); /* NULL: none is open */
uint32_t process_config(void);
void process_check(void); /* after each step */
void process_check_rest(void);

#endif
