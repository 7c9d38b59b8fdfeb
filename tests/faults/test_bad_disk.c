/* The n-th call fails, for every n, until nothing fails any more: of the disk's calls and of the
 * allocator's, over opening, learning, committing, training, writing and reading generations.
 * Whatever failed, the state is that of a whole number of batches, none that was committed is
 * missing, and what comes after the fault makes it what it would have been without. */
#include "tests/faults/badio.h"
#include "tests/unit/model/history_log.h"

#include "base/mem.h"
#include "model/generation.h"
#include "model/train.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define STEPS 4    /* batches learned and committed */
#define CALLS 2000 /* more than any run makes: the loop must end by itself */
#define DISK "open,write,fsync,truncate,rename,map,make,remove"

struct trouble {
    const char *name, *words; /* of the rule */
};
static const struct trouble troubles[] = {
    {"one call says no space", "only=1 errno=28"},
    {"one call says input/output error", "only=1 errno=5"},
    {"one write is short", "only=1 short=1 errno=28"},
    {"from one call on: no space", "errno=28"},
    {"from one call on: input/output error", "errno=5"},
    {"from one call on: read-only", "errno=30"},
};
#define TROUBLES (sizeof troubles / sizeof troubles[0])

static struct log *shared_log;
static char *dumps[STEPS + 1]; /* after so many batches */

static void set_rule(const struct place *place, const char *calls, const char *words, int nth)
{
    char rule[BADIO_RULE_BYTES];
    snprintf(rule, sizeof rule, "calls=%s dir=%s %s nth=%d", calls, place->dir, words, nth);
    badio_rule(rule);
}

static int try_open(struct place *place)
{
    struct error err = {0};
    int status = history_open(&place->history, &place->loop, &place->settings, release_cache, &err);
    if (status != 0) {
        assert_true(err.text[0] != '\0');
        place->history = NULL;
        uv_run(&place->loop, UV_RUN_DEFAULT); /* the state's handles */
    }
    return status;
}

/* Opens, learns and commits as long as it can; returns how many batches are known to be durable.
 * Without an open state nothing is learned. */
static int live(struct place *place)
{
    int durable = 0, learned = 0;
    if (try_open(place) != 0)
        return 0;
    assign(place, PARTITIONS);
    for (int step = 0; step < STEPS; step++) {
        if (history_ready(place->history, NULL) == 0)
            learn_batch(place, shared_log, learned++);
        if (try_commit(place).err.code == 0)
            durable = learned;
    }
    return durable;
}

static void finish(struct place *place, const char *name, int nth)
{
    if (place->history == NULL)
        open_history(place);
    assign(place, PARTITIONS);
    for (int step = 0; step < STEPS; step++) /* what is known is passed over */
        learn_batch(place, shared_log, step);
    struct commit_outcome outcome = try_commit(place);
    if (outcome.err.code != 0)
        fail_msg("%s, call %d: afterwards: %s", name, nth, outcome.err.text);
    char *text = dump(place);
    if (strcmp(text, dumps[STEPS]) != 0)
        fail_msg("%s, call %d: another state than without", name, nth);
    free(text);
    remove_state(place);
}

/* After a crash: the state of a whole number of batches, at least of those known to be durable. */
static void check_prefix(struct place *place, int durable, const char *name, int nth)
{
    open_history(place);
    assign(place, PARTITIONS);
    char *text = dump(place);
    int step = durable;
    while (step <= STEPS && strcmp(text, dumps[step]) != 0)
        step++;
    if (step > STEPS)
        fail_msg("%s, call %d: no state of %d or more batches", name, nth, durable);
    free(text);
}

/* -- the disk ---------------------------------------------------------------------------------- */

static int set_up_log(void **at)
{
    int status = set_up_replay(at);
    struct place *place = *at;
    for (int step = 0; step <= STEPS; step++) {
        open_history(place);
        assign(place, PARTITIONS);
        for (int batch = 0; batch < step; batch++)
            learn_batch(place, shared_log, batch);
        commit(place);
        dumps[step] = dump(place);
        remove_state(place);
    }
    return status;
}

static int tear_down_log(void **at)
{
    badio_rule("");
    for (int step = 0; step <= STEPS; step++)
        free(dumps[step]);
    return tear_down(at);
}

static void test_once_the_disk_is_well_again_nothing_is_missing(void **at)
{
    struct place *place = *at;
    for (size_t i = 0; i < TROUBLES; i++) {
        int nth = 0, failures;
        do {
            assert_true(++nth < CALLS);
            set_rule(place, DISK, troubles[i].words, nth);
            live(place);
            failures = badio_failures();
            badio_rule("");
            finish(place, troubles[i].name, nth);
        } while (failures > 0);
        print_message("%s: %d calls\n", troubles[i].name, nth - 1);
    }
}

static void test_a_crash_on_a_bad_disk_leaves_whole_batches(void **at)
{
    struct place *place = *at;
    for (size_t i = 0; i < TROUBLES; i++) {
        int nth = 0, failures;
        do {
            assert_true(++nth < CALLS);
            set_rule(place, DISK, troubles[i].words, nth);
            int durable = live(place);
            close_history(place);
            failures = badio_failures();
            badio_rule("");
            check_prefix(place, durable, troubles[i].name, nth);
            finish(place, troubles[i].name, nth);
        } while (failures > 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_log, tear_down_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_once_the_disk_is_well_again_nothing_is_missing),
        TEST(test_a_crash_on_a_bad_disk_leaves_whole_batches),
    };
    shared_log = make_log();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(shared_log);
    return failed;
}
