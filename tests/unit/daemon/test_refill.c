/* Which partitions' lists Redis still lacks. The stations are not here: what refill.c asks of them
 * is answered below. */
#include "daemon/refill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define KNOWN 3 /* partitions that the state has: 0 to 2 */

static struct {
    bool assigned[KNOWN];
    bool running;  /* the renewal */
    size_t queued; /* lists of it */
    int starts;
    bool all; /* the last start: everybody's, not the owed alone */
} world;

bool history_is_assigned(const struct history *history, int32_t partition)
{
    return partition < KNOWN && world.assigned[partition];
}

const struct partition_record *history_partition(const struct history *history, bool items,
                                                 int32_t partition)
{
    static const struct partition_record record;
    return !items && partition < KNOWN ? &record : NULL;
}

bool renewal_running(const struct renewal *renewal)
{
    return world.running;
}

void renewal_start(struct renewal *renewal, enum slate_cause cause, bool all)
{
    world.starts++;
    world.all = all;
    assert_int_equal(cause, all ? CAUSE_FORCED : CAUSE_EVENT);
    world.running = true;
}

size_t line_queued_renewals(const struct line *line)
{
    return world.queued;
}

static int set_up(void **state)
{
    static struct refill refill;
    memset(&refill, 0, sizeof refill);
    memset(&world, 0, sizeof world);
    *state = &refill;
    return 0;
}

/* The renewal has gone through; its last lists are sent. */
static void go_through(void)
{
    world.running = false;
    world.queued = 0;
}

static void test_without_a_loss_nothing_lacks_and_what_is_owed_is_published(void **state)
{
    struct refill *refill = *state;
    world.assigned[0] = true;
    refill_assigned(refill);
    assert_int_equal(world.starts, 1);
    assert_false(world.all);
    go_through();
    assert_true(refill_is_done(refill));
}

static void test_a_refill_is_done_when_its_last_list_is_sent(void **state)
{
    struct refill *refill = *state;
    memset(world.assigned, true, sizeof world.assigned);
    refill_begin(refill);
    assert_true(world.all);
    assert_false(refill_is_done(refill));
    world.running = false;
    world.queued = 1;
    assert_false(refill_is_done(refill));
    go_through();
    assert_true(refill_is_done(refill)); /* and nobody waits for partitions that there are not */
}

static void test_a_partition_lacks_its_lists_until_a_run_with_it_assigned(void **state)
{
    struct refill *refill = *state;
    refill_begin(refill);
    world.assigned[0] = true;
    go_through();
    assert_false(refill_is_done(refill));
    memset(world.assigned, true, sizeof world.assigned);
    refill_assigned(refill);
    assert_true(world.all);
    assert_false(refill_is_done(refill));
    go_through();
    assert_true(refill_is_done(refill));
    refill_assigned(refill);
    assert_false(world.all);
}

static void test_what_was_published_before_the_last_loss_does_not_count(void **state)
{
    struct refill *refill = *state;
    memset(world.assigned, true, sizeof world.assigned);
    refill_begin(refill);
    go_through();
    assert_true(refill_is_done(refill));
    refill_begin(refill);
    assert_false(refill_is_done(refill));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_a_loss_nothing_lacks_and_what_is_owed_is_published),
        TEST(test_a_refill_is_done_when_its_last_list_is_sent),
        TEST(test_a_partition_lacks_its_lists_until_a_run_with_it_assigned),
        TEST(test_what_was_published_before_the_last_loss_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
