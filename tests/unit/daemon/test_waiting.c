#include "daemon/waiting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define USERS 8
#define DEADLINE_MS 30000
#define LONG_MS 3600000

static const char *const types[] = {"view"};
static const bool counts[] = {true};

struct bench {
    char dir[64];
    uv_loop_t loop;
    struct history *history;
    struct waiting *waiting;
    struct user *users[USERS];
    int dues, freed;
};

static struct bench *told_bench;
static int told_ok, told_not_ok;

static void on_due(void *arg)
{
    ((struct bench *)arg)->dues++;
}

static void on_freed(void *arg)
{
    ((struct bench *)arg)->freed++;
}

static void on_sent(bool ok, void *arg)
{
    told_ok += ok;
    told_not_ok += !ok;
}

static void learn_users(struct bench *bench)
{
    struct batch batch;
    struct learned learned;
    batch_init(&batch);
    for (int i = 0; i < USERS; i++) {
        struct event *event = batch_add(&batch);
        char *id = batch_alloc(&batch, 2);
        id[0] = 'u', id[1] = (char)('0' + i);
        event->kind = EVENT_INTERACTION;
        event->offset = i;
        event->ts_ms = event->record_ts_ms = 5000;
        event->value = 1;
        event->pos = -1;
        event->user = (struct slice){id, 2};
        event->item = SLICE("i1");
    }
    history_learn(bench->history, &batch, NULL, NULL, &learned);
    assert_int_equal(learned.user_count, USERS);
    memcpy(bench->users, learned.users, sizeof bench->users); /* dirty: they stay in memory */
    batch_deinit(&batch);
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    snprintf(bench->dir, sizeof bench->dir, "%s/freshet-waiting-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(bench->dir));
    uv_loop_init(&bench->loop);
    struct history_settings settings = {.state = {.dir = bench->dir, .map_bytes = 16 << 20},
                                        .topic = SLICE("events"),
                                        .items_topic = SLICE("items"),
                                        .limits = {.history_max = 5, .seen_max = 5},
                                        .hot_bytes = 1 << 24,
                                        .dead_pending_max = 3,
                                        .type_count = 1,
                                        .types = types,
                                        .type_counts = counts};
    struct error err = {0};
    int32_t zero = 0;
    assert_int_equal(history_open(&bench->history, &bench->loop, &settings, free, &err), 0);
    assert_int_equal(history_assign(bench->history, &zero, 1, &err), 0);
    bench->waiting = waiting_new(&bench->loop, bench->history, on_due, bench);
    learn_users(bench);
    told_bench = bench;
    told_ok = told_not_ok = 0;
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock"};
    if (bench->waiting != NULL)
        waiting_free(bench->waiting, on_freed, bench);
    history_close(bench->history);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    assert_int_equal(bench->freed, 1);
    assert_int_equal(uv_loop_close(&bench->loop), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", bench->dir, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(bench->dir), 0);
    free(bench);
    return 0;
}

static void add(struct bench *bench, int user, enum slate_cause cause, int64_t delay_ms)
{
    assert_true(waiting_add(bench->waiting, bench->users[user], cause, delay_ms));
}

static void add_fresh(struct bench *bench, int user)
{
    add(bench, user, CAUSE_EVENT, 0);
}

/* The users come out in this order: "310". */
static void assert_next(struct bench *bench, const char *order)
{
    for (; *order != '\0'; order++) {
        struct user *user = waiting_next(bench->waiting);
        assert_non_null(user);
        assert_ptr_equal(user, bench->users[*order - '0']);
        user->queued = false; /* as the line does */
        history_unpin(bench->history, user);
    }
}

static void on_wait_over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Until somebody is due; fails after the deadline. */
static void wait_until_fresh(struct bench *bench)
{
    bool over = false;
    uv_timer_t timer;
    uv_timer_init(&bench->loop, &timer);
    timer.data = &over;
    uv_update_time(&bench->loop);
    uv_timer_start(&timer, on_wait_over, DEADLINE_MS, 0);
    while (!waiting_has_fresh(bench->waiting) && !over)
        uv_run(&bench->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&bench->loop, UV_RUN_NOWAIT);
    assert_true(waiting_has_fresh(bench->waiting));
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* -- order ------------------------------------------------------------------------------------- */

static void test_users_with_events_come_first_each_in_the_order_of_coming(void **state)
{
    struct bench *bench = *state;
    add(bench, 0, CAUSE_GENERATION, 0);
    add(bench, 1, CAUSE_SWEEP, 0);
    add_fresh(bench, 3);
    add_fresh(bench, 2);
    assert_true(waiting_has_fresh(bench->waiting) && waiting_has_any(bench->waiting));
    assert_next(bench, "32");
    assert_false(waiting_has_fresh(bench->waiting));
    assert_true(waiting_has_any(bench->waiting));
    assert_next(bench, "01");
    assert_null(waiting_next(bench->waiting));
    assert_false(waiting_has_any(bench->waiting));
}

static void test_a_user_waits_once_where_and_why_he_first_did(void **state)
{
    struct bench *bench = *state;
    add(bench, 0, CAUSE_SWEEP, 0);
    add_fresh(bench, 1);
    add_fresh(bench, 0);
    add(bench, 1, CAUSE_FORCED, 0);
    assert_int_equal(waiting_count(bench->waiting), 2);
    assert_int_equal(waiting_renewals(bench->waiting), 1);
    assert_int_equal(bench->users[0]->cause, CAUSE_SWEEP);
    assert_int_equal(bench->users[1]->cause, CAUSE_EVENT);
    assert_next(bench, "10");
    assert_null(waiting_next(bench->waiting));
}

static void test_who_waits_is_pinned_once(void **state)
{
    struct bench *bench = *state;
    uint32_t before = bench->users[0]->pins;
    add(bench, 0, CAUSE_EVENT, LONG_MS);
    add(bench, 0, CAUSE_EVENT, LONG_MS);
    add_fresh(bench, 1);
    assert_int_equal(bench->users[0]->pins, before + 1);
    waiting_hurry(bench->waiting);
    assert_ptr_equal(waiting_next(bench->waiting), bench->users[1]);
    assert_ptr_equal(waiting_next(bench->waiting), bench->users[0]);
    assert_int_equal(bench->users[0]->pins, before + 1); /* the caller's, now */
    history_unpin(bench->history, bench->users[0]);
    history_unpin(bench->history, bench->users[1]);
}

static void test_users_count_until_they_are_resolved(void **state)
{
    struct bench *bench = *state;
    add_fresh(bench, 0);
    add(bench, 1, CAUSE_ARMS, 0);
    add(bench, 2, CAUSE_EVENT, LONG_MS);
    assert_next(bench, "01");
    assert_int_equal(waiting_count(bench->waiting), 3);
    assert_int_equal(waiting_renewals(bench->waiting), 1);
    waiting_resolve(bench->waiting, CAUSE_ARMS);
    assert_int_equal(waiting_renewals(bench->waiting), 0);
    waiting_resolve(bench->waiting, CAUSE_EVENT);
    assert_int_equal(waiting_count(bench->waiting), 1);
}

/* -- delays ------------------------------------------------------------------------------------ */

static void test_an_event_waits_for_others_of_its_user(void **state)
{
    struct bench *bench = *state;
    int64_t begun_ms = now_ms();
    add(bench, 0, CAUSE_EVENT, 30);
    assert_false(waiting_has_any(bench->waiting));
    assert_null(waiting_next(bench->waiting));
    add(bench, 0, CAUSE_EVENT, 30); /* does not begin the wait anew */
    assert_true(bench->users[0]->due_ms <= now_ms() + 30);
    wait_until_fresh(bench);
    assert_true(now_ms() - begun_ms >= 29); /* both ends are cut to whole ms */
    assert_true(bench->dues >= 1);
    assert_next(bench, "0");
}

static void test_who_has_the_shorter_delay_does_not_wait_for_the_longer(void **state)
{
    struct bench *bench = *state;
    add(bench, 0, CAUSE_EVENT, LONG_MS);
    add(bench, 1, CAUSE_EVENT, 10);
    add(bench, 2, CAUSE_EVENT, 10);
    wait_until_fresh(bench);
    while (waiting_count(bench->waiting) > 1) {
        if (!waiting_has_fresh(bench->waiting))
            wait_until_fresh(bench);
        struct user *user = waiting_next(bench->waiting);
        assert_ptr_not_equal(user, bench->users[0]);
        history_unpin(bench->history, user);
        waiting_resolve(bench->waiting, CAUSE_EVENT);
    }
}

static void test_only_events_are_made_to_wait(void **state)
{
    struct bench *bench = *state;
    add(bench, 0, CAUSE_GENERATION, LONG_MS);
    assert_next(bench, "0");
}

static void test_where_there_are_too_many_delays_nobody_waits(void **state)
{
    struct bench *bench = *state;
    static struct user others[ARMS_MAX];
    memset(others, 0, sizeof others);
    for (int i = 0; i < ARMS_MAX; i++) {
        others[i].pins = 1;
        assert_true(waiting_add(bench->waiting, &others[i], CAUSE_EVENT, LONG_MS + i));
    }
    assert_false(waiting_has_any(bench->waiting));
    add(bench, 0, CAUSE_EVENT, LONG_MS + ARMS_MAX);
    assert_next(bench, "0");
    waiting_hurry(bench->waiting); /* and a delay that nobody has is forgotten for another */
    for (int i = 0; i < ARMS_MAX; i++)
        assert_non_null(waiting_next(bench->waiting));
}

static void test_a_delay_that_nobody_has_makes_room_for_another(void **state)
{
    struct bench *bench = *state;
    for (int i = 0; i < 3 * ARMS_MAX; i++) {
        add(bench, 0, CAUSE_EVENT, LONG_MS + i);
        assert_false(waiting_has_any(bench->waiting));
        waiting_when_sent(bench->waiting, on_sent, NULL); /* lets him go */
        assert_next(bench, "0");
        waiting_resolve(bench->waiting, CAUSE_EVENT);
        waiting_tell(bench->waiting, true);
    }
    assert_int_equal(told_ok, 3 * ARMS_MAX);
}

static void test_in_a_hurry_nobody_waits_any_more(void **state)
{
    struct bench *bench = *state;
    add(bench, 0, CAUSE_EVENT, LONG_MS);
    waiting_hurry(bench->waiting);
    add(bench, 1, CAUSE_EVENT, LONG_MS);
    assert_next(bench, "01");
}

/* -- asking when ------------------------------------------------------------------------------- */

static void test_who_asks_is_told_when_those_before_him_are_sent(void **state)
{
    struct bench *bench = *state;
    add(bench, 0, CAUSE_EVENT, LONG_MS);
    add(bench, 1, CAUSE_SWEEP, 0);
    waiting_when_sent(bench->waiting, on_sent, NULL);
    assert_true(waiting_has_fresh(bench->waiting)); /* nobody is kept waiting */
    add_fresh(bench, 2);                            /* later: not asked for */
    assert_next(bench, "021");
    waiting_resolve(bench->waiting, CAUSE_EVENT);
    waiting_tell(bench->waiting, true);
    assert_int_equal(told_ok, 0);
    waiting_resolve(bench->waiting, CAUSE_SWEEP);
    assert_int_equal(told_ok, 0); /* only by waiting_tell */
    waiting_tell(bench->waiting, true);
    assert_int_equal(told_ok, 1);
    waiting_tell(bench->waiting, true);
    assert_int_equal(told_ok, 1);
}

static void test_renewals_do_not_stand_in_for_events(void **state)
{
    struct bench *bench = *state;
    add_fresh(bench, 0);
    waiting_when_sent(bench->waiting, on_sent, NULL);
    add(bench, 1, CAUSE_SWEEP, 0);
    assert_next(bench, "01");
    waiting_resolve(bench->waiting, CAUSE_SWEEP);
    waiting_tell(bench->waiting, true);
    assert_int_equal(told_ok, 0);
    waiting_resolve(bench->waiting, CAUSE_EVENT);
}

static void test_who_asks_while_nobody_waits_is_told_at_once(void **state)
{
    struct bench *bench = *state;
    waiting_when_sent(bench->waiting, on_sent, NULL);
    waiting_tell(bench->waiting, true);
    assert_int_equal(told_ok, 1);
}

static void test_when_redis_goes_away_all_who_asked_are_told(void **state)
{
    struct bench *bench = *state;
    add_fresh(bench, 0);
    waiting_when_sent(bench->waiting, on_sent, NULL);
    waiting_when_sent(bench->waiting, on_sent, NULL);
    waiting_tell(bench->waiting, false);
    assert_int_equal(told_not_ok, 2);
    waiting_tell(bench->waiting, false);
    assert_int_equal(told_not_ok, 2);
}

static void ask_again(bool ok, void *arg)
{
    struct bench *bench = told_bench;
    told_ok += ok;
    add_fresh(bench, 1);
    waiting_when_sent(bench->waiting, on_sent, NULL);
}

static void test_who_is_told_may_ask_again(void **state)
{
    struct bench *bench = *state;
    waiting_when_sent(bench->waiting, on_sent, NULL);
    waiting_when_sent(bench->waiting, ask_again, NULL);
    waiting_when_sent(bench->waiting, on_sent, NULL);
    waiting_tell(bench->waiting, true);
    assert_int_equal(told_ok, 3);
    waiting_resolve(bench->waiting, CAUSE_EVENT);
    waiting_tell(bench->waiting, true);
    assert_int_equal(told_ok, 4);
}

static void test_the_end_is_told_to_all_who_asked(void **state)
{
    struct bench *bench = *state;
    add(bench, 0, CAUSE_EVENT, LONG_MS);
    add_fresh(bench, 1);
    waiting_when_sent(bench->waiting, on_sent, NULL);
    waiting_free(bench->waiting, on_freed, bench);
    bench->waiting = NULL;
    assert_int_equal(told_not_ok, 1);
    assert_int_equal(bench->freed, 0); /* not before the call has returned */
}

/* -- room -------------------------------------------------------------------------------------- */

static void test_beyond_the_limit_there_is_no_room(void **state)
{
    struct bench *bench = *state;
    struct user *many = calloc(WAITING_MAX, sizeof *many);
    for (int i = 0; i < WAITING_MAX; i++) {
        many[i].pins = 1; /* never to be settled */
        enum slate_cause cause = i % 3 == 0 ? CAUSE_SWEEP : CAUSE_EVENT;
        assert_true(waiting_add(bench->waiting, &many[i], cause, i % 3 == 1 ? LONG_MS : 0));
    }
    uint32_t pins = bench->users[0]->pins;
    assert_false(waiting_add(bench->waiting, bench->users[0], CAUSE_EVENT, 0));
    assert_false(waiting_add(bench->waiting, bench->users[0], CAUSE_EVENT, LONG_MS));
    assert_false(bench->users[0]->queued);
    assert_int_equal(bench->users[0]->pins, pins);
    assert_true(waiting_add(bench->waiting, &many[0], CAUSE_EVENT, 0)); /* waits already */
    assert_int_equal(waiting_count(bench->waiting), WAITING_MAX);
    assert_non_null(waiting_next(bench->waiting));
    add_fresh(bench, 0);
    waiting_hurry(bench->waiting);
    for (int i = 0; i < WAITING_MAX; i++)
        assert_non_null(waiting_next(bench->waiting));
    free(many);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_users_with_events_come_first_each_in_the_order_of_coming),
        TEST(test_a_user_waits_once_where_and_why_he_first_did),
        TEST(test_who_waits_is_pinned_once),
        TEST(test_users_count_until_they_are_resolved),
        TEST(test_an_event_waits_for_others_of_its_user),
        TEST(test_who_has_the_shorter_delay_does_not_wait_for_the_longer),
        TEST(test_only_events_are_made_to_wait),
        TEST(test_where_there_are_too_many_delays_nobody_waits),
        TEST(test_a_delay_that_nobody_has_makes_room_for_another),
        TEST(test_in_a_hurry_nobody_waits_any_more),
        TEST(test_who_asks_is_told_when_those_before_him_are_sent),
        TEST(test_renewals_do_not_stand_in_for_events),
        TEST(test_who_asks_while_nobody_waits_is_told_at_once),
        TEST(test_when_redis_goes_away_all_who_asked_are_told),
        TEST(test_who_is_told_may_ask_again),
        TEST(test_the_end_is_told_to_all_who_asked),
        TEST(test_beyond_the_limit_there_is_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
