/* A record that is changed where it is has the bytes of the one that is made anew, and one that
 * somebody else holds stays as it was. */
#include "base/buffer.h"
#include "model/user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LIVES 400
#define STEPS 120
#define HELD_MAX 4

struct held { /* and what it was like when it was taken */
    const struct user_record *record;
    char *bytes;
};

struct life {
    struct user_limits limits;
    const struct user_record *plain; /* each time anew */
    const struct user_record *record;
    struct held held[HELD_MAX];
    struct buffer aside;
    uint32_t in_place, copied;
};

static void assert_equal_records(const struct user_record *a, const struct user_record *b)
{
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a, b, a->bytes);
}

static void draw_limits(struct user_limits *limits, int most)
{
    *limits = (struct user_limits){.history_max = (uint32_t)(1 + rand() % most),
                                   .seen_max = (uint32_t)(rand() % most),
                                   .dedup_window = (uint32_t)(rand() % 6),
                                   .impressions_max = (uint32_t)(rand() % 5)};
}

static void let_go(struct held *held)
{
    if (held->record == NULL)
        return;
    assert_memory_equal(held->record, held->bytes, held->record->bytes);
    user_record_unref(held->record);
    free(held->bytes);
    *held = (struct held){0};
}

/* As a commit or a slate does. */
static void hold(struct life *life)
{
    struct held *held = &life->held[rand() % HELD_MAX];
    let_go(held);
    held->record = user_record_ref(life->record);
    held->bytes = malloc(life->record->bytes);
    memcpy(held->bytes, life->record, life->record->bytes);
}

static void replace(const struct user_record **record, const struct user_record *next)
{
    user_record_unref(*record);
    *record = next;
}

static void use(struct life *life, int64_t offset, int items)
{
    struct interaction interaction = {
        .ts_ms = 1000 + rand() % 40,
        .offset = offset,
        .value = rand() % 5,
        .id_hash = (uint64_t)(rand() % 30),
        .item = (uint32_t)(rand() % items),
        .type = (uint16_t)(rand() % 3),
    };
    struct trial_counts counts = {.trial = 7, .events = (uint32_t)offset};
    const struct trial_counts *given = rand() % 2 == 0 ? &counts : NULL;
    replace(&life->plain, user_apply(life->plain, &interaction, &life->limits, given));
    const struct user_record *before = life->record;
    life->record = user_apply_onto(life->record, &interaction, &life->limits, given, &life->aside);
    life->in_place += life->record == before;
    life->copied += life->record != before;
}

static void show(struct life *life, int items)
{
    uint32_t item = (uint32_t)(rand() % items);
    int64_t ts_ms = 1000 + rand() % 40;
    uint64_t id = (uint64_t)(rand() % 30);
    user_record_ref(life->plain); /* so it is copied */
    replace(&life->plain,
            user_impress_onto(life->plain, item, ts_ms, id, &life->limits, &life->aside));
    const struct user_record *before = life->record;
    life->record = user_impress_onto(life->record, item, ts_ms, id, &life->limits, &life->aside);
    life->in_place += life->record == before;
    life->copied += life->record != before;
}

static void acknowledge(struct life *life, int64_t offset)
{
    uint32_t list[7] = {5, 3, 8, 1, 9, 2, 4}, count = (uint32_t)(rand() % 8);
    replace(&life->plain, user_acknowledge(life->plain, offset, 1, list, count, true));
    replace(&life->record, user_acknowledge(life->record, offset, 1, list, count, true));
}

static void live(struct life *life, int items)
{
    struct interaction first = {.ts_ms = 1000, .value = 1};
    draw_limits(&life->limits, items);
    life->plain = user_apply(NULL, &first, &life->limits, NULL);
    life->record = user_apply(NULL, &first, &life->limits, NULL);
    for (int64_t offset = 1; offset < STEPS; offset++) {
        int kind = rand() % 20;
        if (kind < 12)
            use(life, offset, items);
        else if (kind < 15)
            show(life, items);
        else if (kind < 17)
            acknowledge(life, offset);
        else if (kind < 19)
            hold(life);
        else if (rand() % 4 == 0)
            draw_limits(&life->limits, items);
        assert_equal_records(life->record, life->plain);
    }
    for (int i = 0; i < HELD_MAX; i++)
        let_go(&life->held[i]);
    user_record_unref(life->plain);
    user_record_unref(life->record);
}

static void test_a_record_changed_in_place_is_the_one_made_anew(void **state)
{
    unsigned seed = 7301;
    struct life life = {0};
    print_message("seed %u\n", seed);
    srand(seed);
    for (int run = 0; run < LIVES; run++)
        live(&life, run % 2 == 0 ? 6 : 60);
    assert_true(life.in_place > LIVES * STEPS / 4);
    assert_true(life.copied > LIVES * STEPS / 20);
    buffer_deinit(&life.aside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_changed_in_place_is_the_one_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
