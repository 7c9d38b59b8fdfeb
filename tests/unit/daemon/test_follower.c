/* Following another instance's generations. History and swapper are not here: what follower.c asks
 * of them is answered below. */
#include "daemon/follower.h"
#include "base/mem.h"
#include "model/als.h"
#include "tests/unit/own_dir.h"

#define WAIT_MS 30000

struct fixture {
    uv_loop_t loop;
    struct follower *follower; /* NULL: freed, or about to be */
    int freed;
};

static struct {
    char note[64]; /* of series 0 */
    bool busy;
    int looks; /* begun, or not for that it is busy */
    int forced;
    uint64_t number; /* last forced */
    void (*done)(const struct error *err, void *arg);
    void *arg;
} world;

struct slice history_note(const struct history *history, const char *name)
{
    assert_string_equal(name, "followed:0000000000000000");
    return slice_of(world.note);
}

bool history_set_note(struct history *history, const char *name, struct slice text)
{
    assert_string_equal(name, "followed:0000000000000000");
    snprintf(world.note, sizeof world.note, "%.*s", SLICE_ARG(text));
    return true;
}

bool swapper_busy(const struct swapper *swapper)
{
    world.looks++;
    return world.busy;
}

void swapper_force(struct swapper *swapper, uint64_t key, uint64_t generation,
                   void (*done)(const struct error *err, void *arg), void *arg)
{
    assert_int_equal(key, 0);
    world.forced++;
    world.number = generation;
    world.done = done;
    world.arg = arg;
}

/* The swap under way, if there is one, has ended. */
static void swapped(const struct error *err)
{
    void (*done)(const struct error *err, void *arg) = world.done;
    world.done = NULL;
    if (done != NULL)
        done(err, world.arg);
}

/* -- files ------------------------------------------------------------------------------------- */

/* One item of rank 2, in the trainer's directory; `factor` makes its bytes. */
static void train(uint64_t number, enum gate gate, float factor)
{
    char path[PATH_MAX];
    struct error err = {0};
    struct generation *g = mem_zalloc(sizeof *g);
    g->number = number;
    g->hyper = (struct hyperparameters){OBJECTIVE_IALS, 2, 0.1, 0.01, 1, LAMBDA_COUNT};
    g->weights = (struct score_weights){.taste = 1, .trend_half_life = 3, .rho = 1};
    g->gate = gate;
    g->items = 1;
    g->stride = als_stride(2);
    g->bytes = mem_strdup("i1");
    g->ids = mem_array(NULL, 1, sizeof *g->ids);
    g->ids[0] = (struct slice){g->bytes, 2};
    g->Y = mem_try(g->stride, sizeof *g->Y);
    g->Y[0] = factor;
    generation_make_dir(in_dir("trainer"), 0, &err);
    generation_path(path, sizeof path, in_dir("trainer"), 0, number);
    if (generation_write(g, path, &err) != 0)
        fail_msg("%s", err.text);
    generation_free(g);
}

static void assert_taken(const char *name)
{
    char from[64], to[64];
    struct file_sum theirs, ours;
    struct error err = {0};
    snprintf(from, sizeof from, "trainer/generations/%s", name);
    snprintf(to, sizeof to, "state/generations/%s", name);
    assert_int_equal(file_sum(in_dir(from), &theirs, NULL, NULL, &err), 0);
    if (file_sum(in_dir(to), &ours, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(theirs.hash == ours.hash);
}

/* -- beginning and end ------------------------------------------------------------------------- */

static void begin(struct fixture *fixture)
{
    static const uint64_t base = 0;
    fixture->follower =
        follower_new(&fixture->loop, in_dir("trainer"), in_dir("state"), NULL, NULL);
    follower_set_series(fixture->follower, &base, 1);
}

static void count_freed(void *arg)
{
    ++*(int *)arg;
}

static void end(struct fixture *fixture)
{
    if (fixture->follower != NULL)
        follower_free(fixture->follower, count_freed, &fixture->freed);
    fixture->follower = NULL;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    memset(&world, 0, sizeof world);
    uv_loop_init(&fixture->loop);
    *state = fixture;
    if (make_dir(state) != 0)
        return -1;
    return mkdir(in_dir("trainer"), 0700) == 0 && mkdir(in_dir("state"), 0700) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    end(fixture);
    swapped(NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    int status = uv_loop_close(&fixture->loop);
    free(fixture);
    return drop_dir(state) == 0 ? status : -1;
}

static void give_up(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Turns the loop until the condition holds. */
#define wait_until(fixture, condition)                          \
    do {                                                        \
        bool over_ = false;                                     \
        uv_timer_t timer_;                                      \
        uv_timer_init(&(fixture)->loop, &timer_);               \
        timer_.data = &over_;                                   \
        uv_timer_start(&timer_, give_up, WAIT_MS, 0);           \
        while (!(condition) && !over_)                          \
            uv_run(&(fixture)->loop, UV_RUN_ONCE);              \
        uv_close((uv_handle_t *)&timer_, NULL);                 \
        uv_run(&(fixture)->loop, UV_RUN_NOWAIT);                \
        if (!(condition))                                       \
            fail_msg("not within %d ms: " #condition, WAIT_MS); \
    } while (0)

/* Two, and what the first found. */
static void wait_for_looks(struct fixture *fixture)
{
    int before = world.looks;
    wait_until(fixture, world.looks >= before + 2);
}

/* -- following --------------------------------------------------------------------------------- */

static void test_the_newest_is_taken_swapped_in_and_noted(void **state)
{
    struct fixture *fixture = *state;
    train(1, GATE_FIRST, 0.5f);
    train(2, GATE_PASSED, 0.25f);
    begin(fixture);
    wait_until(fixture, world.forced == 1);
    assert_int_equal(world.number, 2);
    assert_taken("00000002.gen");
    assert_string_equal(world.note, ""); /* not before it is live */
    swapped(NULL);
    assert_int_equal(strncmp(world.note, "2 ", 2), 0);
    assert_string_equal(follower_why(fixture->follower), "");
}

/* As after a restart, and after a rollback here. */
static void test_what_was_followed_is_not_taken_again_and_what_replaced_it_is(void **state)
{
    struct fixture *fixture = *state;
    train(2, GATE_PASSED, 0.25f);
    begin(fixture);
    wait_until(fixture, world.forced == 1);
    swapped(NULL);
    end(fixture);
    wait_until(fixture, fixture->freed == 1);
    begin(fixture);
    train(3, GATE_REFUSED, 0.75f);
    train(2, GATE_PASSED, 0.125f); /* the trainer began anew and came to the same number */
    wait_until(fixture, world.forced == 2);
    assert_int_equal(world.number, 2);
    assert_taken("00000002.gen");
    swapped(NULL);
    train(4, GATE_PASSED, 0.5f);
    wait_until(fixture, world.forced == 3); /* and nothing in between */
    assert_int_equal(world.number, 4);
}

static void test_what_the_trainers_gate_refused_is_passed_over(void **state)
{
    struct fixture *fixture = *state;
    train(1, GATE_FIRST, 0.5f);
    train(2, GATE_REFUSED, 0.25f);
    begin(fixture);
    wait_until(fixture, world.forced == 1);
    assert_int_equal(world.number, 1);
    assert_int_equal(world.looks, 1);
    swapped(NULL);
    /* Nor is it read again: that it is damaged now does not show. */
    assert_int_equal(truncate(in_dir("trainer/generations/00000002.gen"), 200), 0);
    wait_for_looks(fixture);
    assert_string_equal(follower_why(fixture->follower), "");
    assert_int_equal(world.forced, 1); /* nor is the first followed twice */
}

static void test_nothing_is_followed_while_another_swap_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    world.busy = true;
    train(1, GATE_FIRST, 0.5f);
    begin(fixture);
    wait_for_looks(fixture);
    assert_int_equal(world.forced, 0);
    world.busy = false;
    wait_until(fixture, world.forced == 1);
    train(2, GATE_PASSED, 0.25f); /* while ours is */
    bool over = false;
    uv_timer_t timer;
    uv_timer_init(&fixture->loop, &timer);
    timer.data = &over;
    uv_timer_start(&timer, give_up, FOLLOWER_LOOK_MS + 500, 0);
    while (!over)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_int_equal(world.forced, 1);
    swapped(NULL);
    wait_until(fixture, world.forced == 2);
}

static void test_a_swap_that_failed_is_tried_again(void **state)
{
    struct fixture *fixture = *state;
    struct error failed = {ERR_IO, "no room"};
    train(1, GATE_FIRST, 0.5f);
    begin(fixture);
    wait_until(fixture, world.forced == 1);
    swapped(&failed);
    assert_string_equal(follower_why(fixture->follower), "no room");
    assert_string_equal(world.note, "");
    wait_until(fixture, world.forced == 2);
}

static void test_a_damaged_file_says_why_and_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    train(1, GATE_FIRST, 0.5f);
    train(2, GATE_PASSED, 0.5f);
    assert_int_equal(truncate(in_dir("trainer/generations/00000002.gen"), 200), 0);
    begin(fixture);
    wait_until(fixture, follower_why(fixture->follower)[0] != '\0');
    assert_non_null(strstr(follower_why(fixture->follower), "00000002.gen"));
    assert_int_equal(world.forced, 0);
    train(3, GATE_PASSED, 0.5f);
    wait_until(fixture, world.forced == 1);
    assert_string_equal(follower_why(fixture->follower), "");
}

static void test_a_directory_without_generations_is_said(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    wait_until(fixture, follower_why(fixture->follower)[0] != '\0');
    assert_non_null(strstr(follower_why(fixture->follower), "no generations"));
    train(1, GATE_FIRST, 0.5f);
    wait_until(fixture, world.forced == 1);
}

static void test_it_is_freed_after_the_swap_that_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    train(1, GATE_FIRST, 0.5f);
    begin(fixture);
    wait_until(fixture, world.forced == 1);
    end(fixture);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_int_equal(fixture->freed, 0);
    swapped(NULL);
    wait_until(fixture, fixture->freed == 1);
}

static void wait_for_leave(uv_work_t *work)
{
    uv_sem_wait(work->data);
}

static void ignore(uv_work_t *work, int status)
{
}

/* The only worker is held until then, or the look might have ended before. */
static void test_it_is_freed_after_the_look_that_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    uv_sem_t leave;
    uv_work_t holding = {.data = &leave};
    assert_int_equal(uv_sem_init(&leave, 0), 0);
    assert_int_equal(uv_queue_work(&fixture->loop, &holding, wait_for_leave, ignore), 0);
    train(1, GATE_FIRST, 0.5f);
    begin(fixture);
    uv_run(&fixture->loop, UV_RUN_NOWAIT); /* the look waits for the worker */
    end(fixture);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_int_equal(fixture->freed, 0);
    uv_sem_post(&leave);
    wait_until(fixture, fixture->freed == 1);
    assert_int_equal(world.forced, 0);
    uv_sem_destroy(&leave);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    setenv("UV_THREADPOOL_SIZE", "1", 1); /* before the pool begins */
    const struct CMUnitTest tests[] = {
        TEST(test_the_newest_is_taken_swapped_in_and_noted),
        TEST(test_what_was_followed_is_not_taken_again_and_what_replaced_it_is),
        TEST(test_what_the_trainers_gate_refused_is_passed_over),
        TEST(test_nothing_is_followed_while_another_swap_is_under_way),
        TEST(test_a_swap_that_failed_is_tried_again),
        TEST(test_a_damaged_file_says_why_and_changes_nothing),
        TEST(test_a_directory_without_generations_is_said),
        TEST(test_it_is_freed_after_the_swap_that_is_under_way),
        TEST(test_it_is_freed_after_the_look_that_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
