/* sim [--seeds N] [--first S] [--jobs J]   runs so many seeds from S on, J at a time
 * sim --seed S [--trace]                   runs one, and with --trace says what happens
 *
 * Prints each seed that fails, with the step and what did not hold; the last line says how many ran
 * and how fast. Exit status 1 if any failed. --digest prints a number for all steps taken. */
#include "base/clock.h"
#include "base/log.h"
#include "publisher/publisher.h"
#include "tests/sim/sim.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BEGIN_MS INT64_C(1700000000000)
#define JOBS_MAX 64

struct sim sim;

/* -- chance ------------------------------------------------------------------------------------ */

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t draw(void)
{
    uint64_t z = sim.random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t sim_below(uint32_t n)
{
    return (uint32_t)((draw() >> 32) * n >> 32);
}

/* The system's: the same in each run of a seed. The seed of tables in memory is drawn once a
 * process, so it may not depend on which seed is the first. */
ssize_t __wrap_getrandom(void *bytes, size_t count, unsigned flags);
ssize_t __wrap_getrandom(void *bytes, size_t count, unsigned flags)
{
    (void)flags;
    memset(bytes, 0x5a, count);
    if (count > sizeof sim.seed)
        memcpy(bytes, &sim.seed, sizeof sim.seed);
    return (ssize_t)count;
}

/* -- clock and log ----------------------------------------------------------------------------- */

int64_t clock_wall_ms(void)
{
    return BEGIN_MS + sim_now_ms() + sim.wall_offset_ms;
}

int64_t clock_monotonic_ns(void)
{
    return sim.now_ns;
}

int64_t clock_cpu_ns(void)
{
    return 0;
}

__attribute__((format(printf, 1, 0))) static void say(const char *format, va_list args)
{
    printf("%6" PRIu64 " %8.3f   ", sim.step, (double)sim.now_ns * 1e-9);
    vprintf(format, args);
    putchar('\n');
}

void sim_trace(const char *format, ...)
{
    va_list args;
    if (!sim.trace)
        return;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void log_line(enum log_level level, const char *format, ...)
{
    va_list args;
    (void)level;
    if (!sim.trace)
        return;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

bool log_once_a_minute(int64_t *last_ms)
{
    (void)last_ms;
    return sim.trace;
}

void sim_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(sim.failure, sizeof sim.failure, format, args);
    va_end(args);
    longjmp(sim.failed, 1);
}

/* -- a step ------------------------------------------------------------------------------------ */

void choices_add(struct choices *choices, uint32_t weight, const char *name, void (*take)(int arg),
                 int arg)
{
    if (weight == 0 || choices->count == CHOICES_MAX)
        return;
    choices->at[choices->count++] = (struct choice){weight, name, take, arg};
    choices->weight += weight;
}

static void pass_time(int arg)
{
    (void)arg;
    int64_t next_ms = loop_next_timer_ms(), now_ms = sim_now_ms();
    if (next_ms != INT64_MAX && next_ms > now_ms && sim_chance(sim.calm ? 100 : 50))
        sim.now_ns = next_ms * 1000000;
    else
        sim.now_ns += (int64_t)(1 + sim_below(20)) * 1000000;
}

static void set_wall_clock(int arg)
{
    (void)arg;
    if (!checks_has_epoch())
        return;
    sim.wall_offset_ms = ((int64_t)sim_below(3) - 1) * 86400000;
}

static void note(const struct choice *choice)
{
    for (const char *c = choice->name; *c != '\0'; c++)
        sim.digest = (sim.digest ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    sim.digest = (sim.digest ^ (uint64_t)choice->arg) * UINT64_C(0x100000001b3);
    sim_trace("-- %s %d", choice->name, choice->arg);
}

static void step(void)
{
    static struct choices choices;
    choices.count = 0;
    choices.weight = 0;
    loop_choices(&choices);
    kafka_choices(&choices);
    redis_choices(&choices);
    process_choices(&choices);
    choices_add(&choices, sim.mood.clock, "wall clock", set_wall_clock, 0);
    choices_add(&choices, choices.count == 0 || !sim.calm ? sim.mood.time : 0, "time", pass_time,
                0);
    uint64_t at = (draw() >> 32) * choices.weight >> 32;
    const struct choice *choice = choices.at;
    while (at >= choice->weight)
        at -= choice++->weight;
    sim.step++;
    note(choice);
    choice->take(choice->arg);
    process_check();
    checks_step();
}

/* -- a seed ------------------------------------------------------------------------------------ */

static uint32_t eagerness(void)
{
    static const uint32_t weights[] = {20, 200, 1000, 1000};
    return weights[sim_below(4)];
}

static uint32_t trouble(uint32_t most)
{
    return sim_chance(50) ? 0 : 1 + sim_below(most);
}

static void draw_mood(void)
{
    sim.mood = (struct mood){
        .loop = 1000,
        .worker = eagerness(),
        .disk = eagerness(),
        .kafka = eagerness() / 4 + 1,
        .redis = eagerness(),
        .time = eagerness() / 2,
        .crash = trouble(20),
        .end = trouble(20),
        .disk_fails = trouble(50),
        .rebalance = trouble(40),
        .redis_cut = trouble(40),
        .redis_away = trouble(20),
        .redis_flush = trouble(20),
        .redis_copy = trouble(20),
        .redis_taken = trouble(20),
        .redis_refuses = trouble(4),
        .letter_fails = trouble(60),
        .group_fails = trouble(60),
        .reload = trouble(20),
        .generation = trouble(30),
        .ask = trouble(40),
        .clock = trouble(10),
        .faults_max = sim_between(1, 8),
    };
}

static void begin(uint64_t seed, bool trace)
{
    memory_drop();
    loop_drop();
    sim = (struct sim){.seed = seed, .random = seed, .digest = 1, .trace = trace};
    draw();
    draw_mood();
    stream_begin();
    disk_begin();
    checks_begin();
    kafka_begin();
    redis_begin();
    scorer_begin();
    process_begin();
}

/* No more trouble: what is broken is whole again. */
static void settle_down(void)
{
    sim_trace("calm");
    sim.calm = true;
    sim.mood.clock = 0;
    kafka_settle_down();
    redis_settle_down();
    process_settle_down();
}

static void come_to_rest(void)
{
    uint64_t last = sim.step + CALM_STEPS_MAX;
    int64_t begun_ms = sim_now_ms(); /* what Redis lost is seen at the next heartbeat */
    while (!process_is_at_rest() || sim_now_ms() < begun_ms + 2 * PUBLISHER_HEARTBEAT_MS) {
        sim_check(sim.step < last, "it does not come to rest: %s", process_why_not());
        step();
    }
    checks_at_rest();
}

/* What memory says at rest must be what is read again after the power fails, and an orderly end
 * gives everything back. */
static void run(void)
{
    uint32_t steps = sim_between(100, 1200);
    while (sim.step < steps)
        step();
    settle_down();
    come_to_rest();
    process_crash();
    come_to_rest();
    process_end();
    while (process_is_running())
        step();
}

static bool run_seed(uint64_t seed, bool trace)
{
    begin(seed, trace);
    if (setjmp(sim.failed) == 0) {
        run();
        return true;
    }
    printf("sim: seed %" PRIu64 " fails at step %" PRIu64 ": %s\n", sim.seed, sim.step,
           sim.failure);
    return false;
}

/* -- many -------------------------------------------------------------------------------------- */

struct worker {    /* shared with the parent */
    uint64_t seed; /* under way */
    uint64_t done, failed, steps, digest;
};

struct options {
    uint64_t first, seeds;
    int jobs;
    bool trace, one, digest, stop;
};

static void work(struct worker *worker, const struct options *options)
{
    uint64_t end = options->first + options->seeds;
    for (; worker->seed < end; worker->seed += (uint64_t)options->jobs) {
        bool holds = run_seed(worker->seed, options->trace);
        worker->failed += !holds;
        worker->done++;
        worker->steps += sim.step;
        worker->digest += sim.digest;
        if (!holds && options->stop)
            break;
    }
    fflush(stdout);
}

/* A process that dies is a seed that failed; another goes on with the next. */
static void supervise(struct worker *worker, const struct options *options)
{
    uint64_t end = options->first + options->seeds;
    while (worker->seed < end) {
        int status;
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            work(worker, options);
            _exit(0);
        }
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return;
        printf("sim: seed %" PRIu64 " fails: the process died (status %d)\n", worker->seed, status);
        worker->failed++;
        worker->done++;
        worker->seed += (uint64_t)options->jobs;
        if (options->stop)
            return;
    }
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Of all processes: what the machine would need if it did nothing else. */
static double processor_s(void)
{
    struct rusage own, children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    return (double)(own.ru_utime.tv_sec + children.ru_utime.tv_sec + own.ru_stime.tv_sec +
                    children.ru_stime.tv_sec) +
           1e-6 * (double)(own.ru_utime.tv_usec + children.ru_utime.tv_usec + own.ru_stime.tv_usec +
                           children.ru_stime.tv_usec);
}

static struct worker run_all(const struct options *options)
{
    struct worker *workers = mmap(NULL, JOBS_MAX * sizeof *workers, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct worker all = {0};
    for (int j = 0; j < options->jobs; j++) {
        workers[j].seed = options->first + (uint64_t)j;
        if (fork() == 0) {
            supervise(&workers[j], options);
            fflush(stdout);
            _exit(0);
        }
    }
    while (wait(NULL) > 0)
        continue;
    for (int j = 0; j < options->jobs; j++) {
        all.done += workers[j].done;
        all.failed += workers[j].failed;
        all.steps += workers[j].steps;
        all.digest += workers[j].digest;
    }
    return all;
}

static void usage(void)
{
    fprintf(stderr, "usage: sim [--seeds N] [--first S] [--jobs J] [--stop] [--digest]\n"
                    "       sim --seed S [--trace]\n");
    exit(64);
}

static void read_options(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"seeds", required_argument, NULL, 'n'}, {"first", required_argument, NULL, 'f'},
        {"jobs", required_argument, NULL, 'j'},  {"seed", required_argument, NULL, 's'},
        {"trace", no_argument, NULL, 't'},       {"digest", no_argument, NULL, 'd'},
        {"stop", no_argument, NULL, 'x'},        {0}};
    *options = (struct options){.first = 1, .seeds = 1000, .jobs = 2};
    for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        uint64_t number = optarg != NULL ? strtoull(optarg, NULL, 10) : 0;
        if (o == 'n')
            options->seeds = number;
        else if (o == 'f')
            options->first = number;
        else if (o == 'j' && number >= 1 && number <= JOBS_MAX)
            options->jobs = (int)number;
        else if (o == 's')
            *options = (struct options){number, 1, 1, options->trace, true, options->digest, false};
        else if (o == 't')
            options->trace = true;
        else if (o == 'd')
            options->digest = true;
        else if (o == 'x')
            options->stop = true;
        else
            usage();
    }
}

int main(int argc, char **argv)
{
    struct options options;
    struct worker all = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_options(&options, argc, argv);
    double begun_s = now_s();
    if (options.one) {
        all.seed = options.first;
        work(&all, &options);
    } else {
        all = run_all(&options);
    }
    double seconds = now_s() - begun_s;
    if (options.digest)
        printf("sim: digest %016" PRIx64 "\n", all.digest);
    printf("sim: %" PRIu64 " seeds, %" PRIu64 " failed, %.0f steps a seed, %.0f seeds a minute "
           "(%.0f a minute of one processor)\n",
           all.done, all.failed, (double)all.steps / (double)(all.done + (all.done == 0)),
           (double)all.done * 60 / seconds, (double)all.done * 60 / processor_s());
    return all.failed > 0;
}
