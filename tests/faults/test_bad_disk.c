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
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define STEPS 4    /* batches learned and committed */
#define CALLS 2000 /* more than any run makes: the loop must end by itself */
#define DISK "open,write,fsync,truncate,rename,map,make,remove"
#define WRITING "open,write,fsync,truncate,rename,map,make" /* what is there can be removed */

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

/* -- generations ------------------------------------------------------------------------------- */

/* One item of rank 2. */
static struct generation *make_generation(uint64_t number)
{
    struct generation *g = mem_zalloc(sizeof *g);
    g->number = number;
    g->hyper = (struct hyperparameters){OBJECTIVE_IALS, 2, 0.1, 0.01, 1, LAMBDA_COUNT};
    g->weights = train_default_weights;
    g->gate = GATE_FIRST;
    g->items = 1;
    g->stride = als_stride(2);
    g->bytes = mem_strdup("i1");
    g->ids = mem_array(NULL, 1, sizeof *g->ids);
    g->ids[0] = (struct slice){g->bytes, 2};
    g->Y = mem_try(g->stride, sizeof *g->Y);
    g->Y[0] = 0.5f;
    return g;
}

static size_t count_files(const struct place *place)
{
    char path[128];
    size_t count = 0;
    generation_dir(path, sizeof path, place->dir, 0);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    if (dir != NULL)
        closedir(dir);
    return count;
}

static void remove_generations(const struct place *place)
{
    char path[128];
    uint64_t *numbers = NULL;
    size_t count = 0;
    generation_list(place->dir, 0, &numbers, &count, NULL);
    for (size_t i = 0; i < count; i++) {
        generation_path(path, sizeof path, place->dir, 0, numbers[i]);
        unlink(path);
    }
    free(numbers);
    generation_dir(path, sizeof path, place->dir, 0);
    rmdir(path);
}

static void test_a_generation_is_written_whole_or_the_old_file_stays(void **at)
{
    struct place *place = *at;
    struct generation *old = make_generation(7), *new = make_generation(8), *read;
    char path[128];
    struct error err = {0};
    generation_make_dir(place->dir, 0, NULL);
    generation_path(path, sizeof path, place->dir, 0, 1);
    for (size_t i = 0; i < TROUBLES; i++)
        for (int nth = 1, failures = 1; failures > 0; nth++) {
            assert_int_equal(generation_write(old, path, &err), 0);
            set_rule(place, WRITING, troubles[i].words, nth);
            int status = generation_write(new, path, &err);
            failures = badio_failures();
            badio_rule("");
            if (status != 0)
                assert_non_null(strstr(err.text, path));
            assert_int_equal(generation_read(&read, path, &err), 0);
            if (read->number != (status == 0 ? 8u : 7u) && status == 0)
                fail_msg("%s, call %d: number %d", troubles[i].name, nth, (int)read->number);
            generation_free(read);
            assert_int_equal(count_files(place), 1); /* what was written aside is gone */
            assert_true(nth < CALLS);
        }
    generation_free(old);
    generation_free(new);
    remove_generations(place);
}

/* -- training ---------------------------------------------------------------------------------- */

static const struct type_weight weights[] = {
    {1, 0, 1, VALUE_NONE, true}, {2, 0, 1, VALUE_NONE, true}, {1, 0, 1, VALUE_NONE, true}};

static int try_train(struct place *place, struct error *err)
{
    struct generation *written = NULL;
    struct train_settings settings = {
        .state = place->settings.state,
        .topic = TOPIC,
        .als = {.hyper = {OBJECTIVE_IALS, 4, 0.1, 0.01, 1, LAMBDA_COUNT},
                .iterations = 2,
                .threads = 1,
                .pace = {.duty = 1}},
        .warm_iterations = 1,
        .gate = 0.05,
        .seed = 1,
        .choice = {.taste = true, .trend_weight = -1, .trend_half_life = -1, .together_weight = -1},
        .neighbours_max = place->settings.neighbours_max,
        .types = weights,
        .type_names = type_names,
        .type_count = 3};
    int status = train_run(&settings, NULL, NULL, &written, err);
    generation_free(written);
    return status;
}

static void make_state(struct place *place)
{
    open_history(place);
    assign(place, PARTITIONS);
    for (int step = 0; step < STEPS; step++)
        learn_batch(place, shared_log, step);
    commit(place);
    close_history(place);
}

/* In place of the disk, memory; `training` is then told of each outcome. */
static void fail_training(struct place *place, const char *calls, const char *words)
{
    char path[128];
    make_state(place);
    generation_path(path, sizeof path, place->dir, 0, 1);
    for (int nth = 1, failures = 1; failures > 0; nth++) {
        struct error err = {0};
        struct generation *read = NULL;
        set_rule(place, calls, words, nth);
        int status = try_train(place, &err);
        failures = badio_failures();
        badio_rule("");
        if (status != 0)
            assert_true(err.text[0] != '\0');
        else
            assert_int_equal(generation_read(&read, path, &err), 0);
        generation_free(read);
        assert_true(count_files(place) <= 1); /* the whole file, or nothing */
        assert_true(status != 0 || count_files(place) == 1);
        remove_generations(place);
        assert_true(nth < CALLS);
    }
    char *text = dump(place);
    assert_string_equal(text, dumps[STEPS]);
    free(text);
}

static void test_training_on_a_bad_disk_writes_a_generation_or_nothing(void **at)
{
    for (size_t i = 0; i < TROUBLES; i++) {
        fail_training(*at, DISK, troubles[i].words);
        remove_state(*at);
    }
}

/* -- memory ------------------------------------------------------------------------------------ */

static void test_what_is_large_and_finds_no_memory_is_an_error(void **at)
{
    fail_training(*at, "large", "only=1");
    remove_state(*at);
    fail_training(*at, "large", "");
}

static void test_a_generation_that_finds_no_memory_is_an_error(void **at)
{
    struct place *place = *at;
    struct generation *g = make_generation(7), *read;
    char path[128];
    generation_make_dir(place->dir, 0, NULL);
    generation_path(path, sizeof path, place->dir, 0, 1);
    for (int nth = 1, failures = 1; failures > 0; nth++) {
        struct error err = {0};
        set_rule(place, "large", "only=1", nth);
        int status = generation_write(g, path, &err);
        if (status == 0)
            status = generation_read(&read, path, &err);
        if (status == 0) {
            status = generation_prepare(read, &err);
            generation_free(read);
        }
        failures = badio_failures();
        badio_rule("");
        assert_int_equal(status != 0, failures > 0);
    }
    generation_free(g);
    remove_generations(place);
}

#if BADIO_MEMORY
/* There are some thousand: after the first hundred, one in so many. */
#define EACH_OF_FIRST 100
#define STRIDE 13

/* Nothing here may assert: it runs in a child, of which the test's runner knows nothing. What is
 * durable is told through the pipe, batch by batch. */
static void live_in_child(struct place *place, int tell)
{
    struct error err = {0};
    char learned = 0;
    if (history_open(&place->history, &place->loop, &place->settings, release_cache, &err) != 0)
        return;
    for (int32_t number = 0; number < PARTITIONS; number++)
        if (history_assign(place->history, &number, 1, &err) != 0)
            return;
    for (int step = 0; step < STEPS; step++) {
        struct commit_outcome outcome = {0};
        if (history_ready(place->history, NULL) == 0)
            learn_batch(place, shared_log, learned++);
        history_commit(place->history, note_commit, &outcome);
        uv_run(&place->loop, UV_RUN_DEFAULT);
        if (outcome.calls == 1 && outcome.err.code == 0 && write(tell, &learned, 1) != 1)
            return;
    }
    history_close(place->history);
    try_train(place, &err);
}

/* False if the child had no n-th allocation. */
static bool fail_allocation(struct place *place, int nth, int *durable)
{
    int ends[2], status;
    char said;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        char rule[64];
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        for (int number = 1; number < SIGRTMIN; number++)
            signal(number, SIG_DFL); /* cmocka's handlers would go on with the tests */
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        snprintf(rule, sizeof rule, "calls=memory only=1 nth=%d", nth);
        uv_loop_init(&place->loop); /* the parent's is not to be shared */
        badio_rule(rule);
        live_in_child(place, ends[1]);
        _exit(badio_failures());
    }
    close(ends[1]);
    for (*durable = 0; read(ends[0], &said, 1) == 1;)
        *durable = said;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGABRT)
        fail_msg("allocation %d: signal %d", nth, WTERMSIG(status));
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void test_an_abort_for_want_of_memory_leaves_whole_batches(void **at)
{
    struct place *place = *at;
    int nth = 1, durable;
    while (fail_allocation(place, nth, &durable)) {
        check_prefix(place, durable, "no memory", nth);
        finish(place, "no memory", nth);
        remove_generations(place);
        nth += nth < EACH_OF_FIRST ? 1 : STRIDE;
    }
    print_message("no memory: about %d allocations\n", nth);
    remove_generations(place);
    remove_state(place);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_log, tear_down_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_once_the_disk_is_well_again_nothing_is_missing),
        TEST(test_a_crash_on_a_bad_disk_leaves_whole_batches),
        TEST(test_a_generation_is_written_whole_or_the_old_file_stays),
        TEST(test_training_on_a_bad_disk_writes_a_generation_or_nothing),
        TEST(test_what_is_large_and_finds_no_memory_is_an_error),
        TEST(test_a_generation_that_finds_no_memory_is_an_error),
#if BADIO_MEMORY
        TEST(test_an_abort_for_want_of_memory_leaves_whole_batches),
#endif
    };
    badio_skip_sync();
    shared_log = make_log();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(shared_log);
    return failed;
}
