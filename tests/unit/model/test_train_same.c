/* The same snapshot, settings and seed give the same generation file. */
#include "history_fixture.h"
#include "base/mem.h"
#include "model/blas.h"
#include "model/train.h"

#include <string.h>

#define SEED 20240607
enum { PARTITIONS = 3, USERS = 90, ITEMS = 150, EVENTS = 4000, STEP = 50 };
enum { NEIGHBOURS = 12 }; /* few, so that some are dropped */

static const struct type_weight weights[] = {
    {1, 0, 1, VALUE_NONE, true}, {2, 0, 4, VALUE_NONE, true}, {0, 0, 1, VALUE_NONE, false}};

struct line {
    int32_t partition;
    int64_t offset;
    uint16_t type;
    char user[8], item[8];
    int64_t ts_ms;
};

/* One log: users like the items of their own kind, many at the same moment. */
static struct line *log_new(void)
{
    uint64_t random = SEED;
    int64_t offsets[PARTITIONS] = {0};
    struct line *lines = mem_array(NULL, EVENTS, sizeof *lines);
    for (int i = 0; i < EVENTS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        unsigned user = (unsigned)(random >> 33) % USERS;
        unsigned item = (unsigned)(random >> 43) % (ITEMS / 3) * 3 + user % 3;
        struct line *line = &lines[i];
        line->partition = (int32_t)(user / 2 % PARTITIONS);
        line->offset = offsets[line->partition]++;
        line->type = (uint16_t)((random >> 60) == 0 ? VIEW : (random >> 60) < 4 ? BUY : CLICK);
        line->ts_ms = (i / 5 + 1) * MINUTE_MS * 10;
        snprintf(line->user, sizeof line->user, "u%u", user);
        snprintf(line->item, sizeof line->item, "i%u", item);
    }
    return lines;
}

static void add(struct place *place, const struct line *line)
{
    struct event *event = click(place, line->offset, line->user, line->item, line->ts_ms);
    event->partition = line->partition;
    event->type = line->type;
}

/* order 0: as it was written; else partition by partition, the last first. */
static void consume(struct place *place, const struct line *lines, int order)
{
    for (int32_t partition = PARTITIONS; partition-- > 0;) {
        for (int i = 0; i < EVENTS; i++) {
            if (order != 0 ? lines[i].partition == partition : partition == 0)
                add(place, &lines[i]);
            if (place->batch.count == STEP)
                learn(place);
        }
        learn(place);
    }
    commit(place);
}

/* The bytes of a generation trained from a new state of its own. */
static char *train_after(const struct line *lines, int order, int threads, size_t *length)
{
    struct place *place = NULL;
    struct error err = {0};
    struct generation *generation;
    char path[128], *bytes = mem_alloc(1 << 20);
    assert_int_equal(set_up((void **)&place), 0);
    place->settings.limits = (struct user_limits){.history_max = 100, .seen_max = 200};
    place->settings.neighbours_max = NEIGHBOURS;
    open_history(place);
    assign(place, PARTITIONS);
    consume(place, lines, order);
    close_history(place);
    struct train_settings settings = {
        .state = place->settings.state,
        .topic = TOPIC,
        .als = {.hyper = {OBJECTIVE_IALS, 8, 0.1, 0.01, 1, LAMBDA_COUNT},
                .iterations = 6,
                .threads = threads,
                .pace = {.duty = 1}},
        .warm_iterations = 2,
        .gate = 0.05,
        .seed = 1,
        .choice = {.taste = true, .trend_weight = -1, .trend_half_life = -1, .together_weight = -1},
        .neighbours_max = NEIGHBOURS,
        .types = weights,
        .type_names = type_names,
        .type_count = 3};
    if (train_run(&settings, NULL, NULL, &generation, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(generation->figures.tail_events >= TAIL_EVENTS_MIN);
    assert_true(generation->weights.together > 0);
    generation_free(generation);
    generation_path(path, sizeof path, place->dir, 0, 1);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    *length = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    unlink(path);
    snprintf(path, sizeof path, "%s/generations", place->dir);
    rmdir(path);
    assert_int_equal(tear_down((void **)&place), 0);
    return bytes;
}

static void compare(int order, int threads)
{
    struct line *lines = log_new();
    size_t length, other_length;
    char *bytes = train_after(lines, 0, 1, &length);
    char *other = train_after(lines, order, threads, &other_length);
    assert_int_equal(length, other_length);
    assert_true(memcmp(bytes, other, length) == 0);
    free(bytes);
    free(other);
    free(lines);
}

static void test_a_second_run_writes_the_same_file(void **state)
{
    printf("seed %d\n", SEED);
    compare(0, 1);
}

static void test_any_number_of_threads_writes_the_same_file(void **state)
{
    compare(0, 3);
}

static void test_any_order_of_partitions_writes_the_same_file(void **state)
{
    compare(1, 2);
}

static int init_blas(void **state)
{
    blas_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_second_run_writes_the_same_file),
        cmocka_unit_test(test_any_number_of_threads_writes_the_same_file),
        cmocka_unit_test(test_any_order_of_partitions_writes_the_same_file),
    };
    return cmocka_run_group_tests(tests, init_blas, NULL);
}
