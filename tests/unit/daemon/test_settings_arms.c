#include "settings_fixture.h"

#include <math.h>

#define TWO "arms:\n  a: {control: true}\n"

static const struct settings_arm *arm_named(const struct settings *settings, const char *name)
{
    for (uint32_t i = 0; i < settings->arm_count; i++)
        if (strcmp(settings->arms[i].name, name) == 0)
            return &settings->arms[i];
    fail_msg("no arm %s", name);
    return NULL;
}

static void assert_share(const struct settings *settings, const char *name, double share)
{
    assert_true(fabs(arm_named(settings, name)->share - share) < 1e-12);
}

/* ---- what an arm is ---- */

static void test_with_no_arm_named_there_is_one_for_all(void **state)
{
    static const char *const texts[] = {"", "arms:\n", "arms: {}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct reading reading;
        const struct settings *s = load(&reading, texts[i]);
        assert_int_equal(s->arm_count, 1);
        assert_string_equal(s->arms[0].name, "default");
        assert_true(s->arms[0].control && s->arms[0].share == 1 && !s->arms[0].shadow);
        assert_int_equal(s->arms[0].settings->arm_count, 0);
        assert_int_equal(settings_series_key(s->arms[0].settings, s), 0);
        reading_end(&reading);
    }
}

static void test_an_arm_says_what_the_table_says(void **state)
{
    struct reading reading;
    const struct settings *s = load(&reading, "arms:\n"
                                              "  control: {control: true}\n"
                                              "  A.b_c-9:\n"
                                              "    share: 0.25\n"
                                              "    guard: {hit20_drop: 0.1, churn: 0.5}\n"
                                              "  hidden: {share: 1, shadow: true}\n");
    assert_int_equal(s->arm_count, 3);
    assert_string_equal(s->arms[1].name, "A.b_c-9");
    assert_false(s->arms[1].control || s->arms[1].shadow);
    assert_true(s->arms[1].share == 0.25);
    assert_true(s->arms[1].guard_hit20_drop == 0.1 && s->arms[1].guard_churn == 0.5);
    assert_true(s->arms[2].shadow && s->arms[2].share == 1);
    assert_true(s->arms[0].control && s->arms[0].guard_churn == 0);
    assert_share(s, "control", 0.75);
    reading_end(&reading);
}

static void test_an_arm_is_the_file_with_its_overrides_written_in(void **state)
{
    struct reading reading;
    const struct settings *s =
        load(&reading, "arms:\n"
                       "  control: {control: true}\n"
                       "  other:\n"
                       "    share: 0.1\n"
                       "    model: {rank: 32, trend_weight: 0.5, update: sgd}\n"
                       "    events: {click: {weight: 2}, max: {cap: 3}}\n"
                       "    lists: {n: 50, exclude_categories: [x, y]}\n"
                       "    publish: {min_change: 0.05, churn_limit: 0.2, debounce: 1s}\n"
                       "    explore: {share: 0.1, slots: 2, depth: 10, newest: 9, from: tail}\n"
                       "    impression: {discount: 0.5}\n"
                       "redis: {password: swordfish}\n"
                       "kafka: {client.id: me}\n"
                       "model: {rank: 8, lambda: 0.5}\n"
                       "lists: {exclude_categories: [z]}\n"
                       "events: {click: {half_life: 1d}, max: {weight: -1}}\n");
    const struct settings *other = arm_named(s, "other")->settings;
    assert_int_equal(other->model.rank, 32);
    assert_int_equal(other->model.hyper.rank, 32);
    assert_true(other->model.hyper.lambda == 0.5 && other->model.trend_weight == 0.5);
    assert_int_equal(other->model.update, UPDATE_SGD);
    assert_true(other->events.weights[0].weight == 2);
    assert_int_equal(other->events.weights[0].half_life_ms, 86400000);
    assert_true(other->events.weights[1].weight == -1 && other->events.weights[1].cap == 3);
    assert_false(other->events.counts[1]);
    assert_int_equal(other->lists.n, 50);
    assert_int_equal(other->lists.exclude_category_count, 2);
    assert_true(slice_equal(other->lists.exclude_categories[1], SLICE("y")));
    assert_true(other->publish.min_change == 0.05 && other->publish.churn_limit == 0.2);
    assert_int_equal(other->publish.debounce_ms, 1000);
    assert_true(other->explore.share == 0.1 && other->explore.from == EXPLORE_TAIL);
    assert_int_equal(other->explore.slots, 2);
    assert_int_equal(other->explore.depth, 10);
    assert_int_equal(other->explore.newest, 9);
    assert_true(other->impression.discount == 0.5);
    assert_string_equal(other->redis.password, "swordfish");
    assert_string_equal(other->consumer.properties[1].value, "me");
    assert_string_equal(other->consumer.dead_topic, "events.dead");
    reading_end(&reading);
}

static void test_what_an_arm_overrides_is_its_own(void **state)
{
    struct reading reading;
    const struct settings *s =
        load(&reading,
             "arms:\n"
             "  a: {share: 0.5, events: {click: {weight: 2}}, lists: {exclude_categories: []}}\n"
             "  b: {control: true}\n"
             "events: {click: }\n"
             "lists: {exclude_categories: [z]}\n");
    const struct settings *alike[] = {s, s->arms[1].settings};
    for (size_t i = 0; i < 2; i++) {
        assert_true(alike[i]->events.weights[0].weight == 1);
        assert_int_equal(alike[i]->lists.exclude_category_count, 1);
    }
    assert_int_equal(s->arms[0].settings->lists.exclude_category_count, 0);
    reading_end(&reading);
}

static void test_modules_take_an_arm_as_they_take_the_file(void **state)
{
    struct reading reading;
    const struct settings *s = load(&reading, "arms:\n"
                                              "  a: {control: true}\n"
                                              "  b:\n"
                                              "    share: 0.5\n"
                                              "    model: {objective: hu}\n"
                                              "    events: {default: {weight: 3}}\n"
                                              "    lists: {n: 7, exclude_categories: [x]}\n");
    struct scorer_settings scorer;
    settings_scorer(s->arms[1].settings, &scorer);
    assert_int_equal(scorer.finishing.n, 7);
    assert_true(scorer.types[0].weight == 3);
    assert_true(slice_equal(scorer.exclude_categories[0], SLICE("x")));
    struct train_settings train;
    settings_train(s->arms[1].settings, &train);
    assert_int_equal(train.als.hyper.objective, OBJECTIVE_HU);
    assert_true(train.als.hyper.w0 == 1);
    assert_string_equal(train.type_names[0], "default");
    settings_train(s->arms[0].settings, &train);
    assert_true(train.als.hyper.w0 == 0.1);
    reading_end(&reading);
}

static void test_the_arms_of_the_printed_defaults_can_be_used(void **state)
{
    struct buffer text = {0}, bare = {0};
    settings_write_defaults(&text);
    buffer_byte(&text, '\0');
    const char *line = strstr(text.data, "\narms:\n") + 1;
    do { /* "  # share: 0.1" -> "  share: 0.1" */
        int length = (int)strcspn(line, "\n");
        bool comment = strncmp(line, "  # ", 4) == 0;
        buffer_printf(&bare, "%s%.*s\n", comment ? "  " : "", length - (comment ? 4 : 0),
                      line + (comment ? 4 : 0));
        line += length + 1;
    } while (*line != '\n');
    buffer_byte(&bare, '\0');
    struct reading reading;
    const struct settings *s = load(&reading, bare.data);
    assert_int_equal(s->arm_count, 2);
    assert_share(s, "control", 0.9);
    assert_int_equal(arm_named(s, "shorter")->settings->lists.n, 50);
    for (size_t i = 0; i < settings_row_count; i++) { /* none is left out */
        const char *dot = strrchr(settings_rows[i].path, '.');
        char key[64];
        snprintf(key, sizeof key, " %s: ", dot + 1);
        if (row_is_of_arm(&settings_rows[i]) && strstr(bare.data, key) == NULL)
            fail_msg("no %s", settings_rows[i].path);
    }
    reading_end(&reading);
    buffer_deinit(&text);
    buffer_deinit(&bare);
}

/* ---- what an arm may not say ---- */

static void test_what_cannot_differ_between_arms_is_refused(void **state)
{
    assert_complaints(TWO "  b:\n"
                          "    share: 0.5\n"
                          "    model:\n"
                          "      rank: 8\n"
                          "      kernel: plain\n"
                          "    train: {iterations: 3}\n"
                          "    events:\n"
                          "      max_age: 1d\n"
                          "    lists: {expiry: 9d}\n"
                          "    redis: {password: swordfish}\n"
                          "    kafka: {client.id: x}\n"
                          "    impression: {max: 3}\n"
                          "    experiment: {id: x}\n"
                          "    arms: {}\n",
                      "FILE:7: arms.b.model.kernel: cannot differ between arms\n"
                      "FILE:8: arms.b.train.iterations: cannot differ between arms\n"
                      "FILE:10: arms.b.events.max_age: cannot differ between arms\n"
                      "FILE:11: arms.b.lists.expiry: cannot differ between arms\n"
                      "FILE:12: arms.b.redis.password: cannot differ between arms\n"
                      "FILE:13: arms.b.kafka.client.id: cannot differ between arms\n"
                      "FILE:14: arms.b.impression.max: cannot differ between arms\n"
                      "FILE:15: arms.b.experiment.id: cannot differ between arms\n"
                      "FILE:16: arms.b.arms: cannot differ between arms\n");
}

static void test_an_arm_is_read_as_strictly_as_the_file(void **state)
{
    assert_complaints(TWO "  b:\n"
                          "    share: 2\n"
                          "    shares: 0.5\n"
                          "    model:\n"
                          "      rank: 0\n"
                          "      rank: 8\n"
                          "      ranks: 8\n"
                          "    lists: [1]\n"
                          "    guard: 1\n"
                          "  c: {share: 0, guard: {hits: 1}, events: {default: {wait: 1}}}\n"
                          "  c: {share: 0}\n"
                          "  d: 0.5\n",
                      "FILE:4: arms.b.share: must be a number, 0 to 1, or rest\n"
                      "FILE:5: arms.b.shares: unknown key\n"
                      "FILE:7: arms.b.model.rank: must be a whole number, 1 to 512\n"
                      "FILE:8: arms.b.model.rank: given twice, first on line 7\n"
                      "FILE:9: arms.b.model.ranks: unknown key\n"
                      "FILE:10: arms.b.lists: must hold keys, indented below it\n"
                      "FILE:11: arms.b.guard: must hold keys, indented below it\n"
                      "FILE:12: arms.c.guard.hits: unknown key\n"
                      "FILE:12: arms.c.events.default.wait: unknown key\n"
                      "FILE:13: arms.c: given twice, first on line 12\n"
                      "FILE:14: arms.d: must hold keys, indented below it\n"
                      "FILE:4: arms.b.share: needs a share of the users, 0 to 1\n"
                      "FILE:14: arms.d: needs a share of the users, 0 to 1\n");
    assert_complaints("arms: [a]\n", "FILE:1: arms: must hold keys, indented below it\n");
}

static void test_an_arm_changes_event_types_and_adds_none(void **state)
{
    assert_complaints("arms:\n"
                      "  a: {control: true}\n"
                      "  b:\n"
                      "    share: 0.5\n"
                      "    events:\n"
                      "      click: {weight: 2}\n"
                      "      buy: {weight: 2}\n"
                      "events: {click: }\n",
                      "FILE:7: arms.b.events.buy: is no event type outside the arms, where all are "
                      "named\n");
    assert_complaints(TWO "  b: {share: 0.5, events: {click: {weight: 2}}}\n",
                      "FILE:3: arms.b.events.click: is no event type outside the arms, where all "
                      "are named\n");
}

static void test_what_an_arms_overrides_break_is_told_at_the_arm(void **state)
{
    assert_complaints("lists: {n: 5}\n"
                      "explore: {slots: 3}\n"
                      "arms:\n"
                      "  a: {control: true}\n"
                      "  b: {share: 0.1, lists: {n: 2}}\n"
                      "  c: {share: 0.1, explore: {depth: 2}}\n"
                      "  d: {share: 0.1, explore: {slots: 5}}\n"
                      "  e: {share: 0.1, explore: {slots: 6}}\n",
                      "FILE:5: arms.b.lists.n: explore.slots must be at most explore.depth and "
                      "lists.n\n"
                      "FILE:6: arms.c.explore.depth: explore.slots must be at most explore.depth "
                      "and lists.n\n"
                      "FILE:8: arms.e.explore.slots: explore.slots must be at most explore.depth "
                      "and lists.n\n");
    assert_complaints(
        "model: {w0: 0.5}\n"
        "arms:\n"
        "  a: {control: true}\n"
        "  b:\n"
        "    share: 0.1\n"
        "    model: {objective: hu}\n"
        "  c: {share: 0.1, model: {objective: hu, w0: 1}}\n"
        "  d: {share: 0.1, model: {objective: hu, w0: 2}}\n",
        "FILE:6: arms.b.model.objective: has a w0 of 1 by definition, which the "
        "file's model.w0 is not: give the arm model.w0: 1\n"
        "FILE:8: arms.d.model.w0: is 1 by definition with objective hu or implicit\n");
    /* Told once, where it is, however many arms have it from there. */
    assert_complaints("explore: {slots: 3, depth: 2}\n" TWO "  b: {share: 0.5}\n",
                      "FILE:1: explore.slots: explore.slots must be at most explore.depth and "
                      "lists.n\n");
}

static void test_an_arm_has_a_name_that_fits_anywhere(void **state)
{
    static const char what[] = "an arm's name is 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-'";
    static const char *const names[] = {"", "a b", "a/b", "caf\u00e9", "a:b"};
    char text[200], expected[300], name[66];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(text, sizeof text, TWO "  '%s': {share: 0.5}\n", names[i]);
        snprintf(expected, sizeof expected, "FILE:3: arms.%s: %s\n", names[i], what);
        assert_complaints(text, expected);
    }
    memset(name, 'n', 65);
    name[65] = '\0';
    snprintf(text, sizeof text, TWO "  %s: {share: 0.5}\n", name);
    snprintf(expected, sizeof expected, "FILE:3: arms.%s: %s\n", name, what);
    assert_complaints(text, expected);
    struct reading reading;
    snprintf(text, sizeof text, TWO "  %s: {share: 0.5}\n", name + 1);
    load(&reading, text);
    reading_end(&reading);
}

static void test_there_are_so_many_arms_and_no_more(void **state)
{
    struct buffer text = {0};
    buffer_text(&text, TWO);
    for (int i = 1; i < ARMS_MAX; i++)
        buffer_printf(&text, "  b%d: {share: 0.01}\n", i);
    size_t most = text.length;
    buffer_text(&text, "  more: {share: 0.01}\n");
    struct reading reading;
    read_bytes(&reading, text.data, most);
    assert_int_equal(reading.status, 0);
    assert_int_equal(reading.settings->arm_count, ARMS_MAX);
    reading_end(&reading);
    buffer_byte(&text, '\0');
    assert_complaints(text.data, "FILE:18: arms.more: too many arms\n");
    buffer_deinit(&text);
}

/* ---- how arms go together ---- */

static void test_one_arm_is_control(void **state)
{
    assert_complaints("state:\narms:\n  a: {share: 0.5}\n  b: {share: 0.5, control: false}\n",
                      "FILE:2: arms: one of them needs control: true\n");
    assert_complaints("arms:\n"
                      "  a: {control: true}\n"
                      "  b: {share: 0.1}\n"
                      "  c:\n"
                      "    control: true\n",
                      "FILE:5: arms.c.control: there is one control arm, and it is above\n");
}

static void test_control_is_published_and_never_stopped(void **state)
{
    assert_complaints("arms:\n"
                      "  a:\n"
                      "    control: true\n"
                      "    shadow: true\n"
                      "    guard:\n"
                      "      hit20_drop: 0.1\n"
                      "      churn: 0.1\n",
                      "FILE:4: arms.a.shadow: control's lists are published\n"
                      "FILE:6: arms.a.guard.hit20_drop: control is never stopped\n"
                      "FILE:7: arms.a.guard.churn: control is never stopped\n");
}

static void test_shares_come_to_all_users_at_most(void **state)
{
    assert_complaints("arms:\n"
                      "  a: {control: true}\n"
                      "  b: {share: 0.6}\n"
                      "  c: {shadow: true, share: 1}\n"
                      "  d:\n"
                      "    share: 0.5\n"
                      "  e: {share: 0.5}\n",
                      "FILE:6: arms.d.share: with the arms above it, more than all users\n");
    struct reading reading; /* 1 - 0.8 - 0.1 - 0.1 is below 0 */
    assert_share(load(&reading, TWO "  b: {share: 0.8}\n  c: {share: 0.1}\n  d: {share: 0.1}\n"),
                 "a", 0);
    reading_end(&reading);
}

static void test_an_arm_but_control_needs_a_share(void **state)
{
    assert_complaints(TWO "  b:\n  c: {share: rest}\n  d: {shadow: true}\n  e: {share: 0}\n",
                      "FILE:3: arms.b: needs a share of the users, 0 to 1\n"
                      "FILE:4: arms.c.share: needs a share of the users, 0 to 1\n"
                      "FILE:5: arms.d: needs a share of the users, 0 to 1\n");
}

static void test_control_has_what_the_others_leave(void **state)
{
    struct reading reading;
    assert_share(load(&reading, "arms: {a: {control: true, share: 0.7}, b: {share: 0.3}}\n"), "a",
                 0.7);
    reading_end(&reading);
    assert_share(load(&reading, "arms: {a: {control: true, share: rest}}\n"), "a", 1);
    reading_end(&reading);
    assert_complaints("arms:\n  a: {control: true, share: 0.5}\n  b: {share: 0.3}\n",
                      "FILE:2: arms.a.share: the other arms leave 0.7 of the users (it may be left "
                      "out)\n");
}

/* ---- series ---- */

static const struct settings *load_arms(struct reading *reading, const char *b, const char *c)
{
    char text[400];
    snprintf(text, sizeof text,
             "events: {click: , buy: {half_life: 1d}}\n" TWO "  b: {share: 0.1%s}\n"
             "  c: {share: 0.1%s}\n",
             b, c);
    return load(reading, text);
}

static uint64_t key_of(const struct settings *settings, uint32_t arm)
{
    return settings_series_key(settings->arms[arm].settings, settings);
}

static void test_arms_that_train_as_the_file_says_share_its_generations(void **state)
{
    static const char *const same[] = {
        "",
        ", lists: {n: 5, exclude_categories: [x]}",
        ", model: {update: sgd, sgd_rate: 0.1, first_half_life: 1d}",
        ", model: {rank: 64, w0: 0.1}",
        ", events: {click: {weight: 1}}",
        ", publish: {min_change: 0.5}, explore: {share: 1}, impression: {discount: 0.5}"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct reading reading;
        assert_int_equal(key_of(load_arms(&reading, same[i], ""), 1), 0);
        reading_end(&reading);
    }
}

static void test_all_that_shapes_a_generation_makes_another_series(void **state)
{
    static const char *const other[] = {", model: {objective: hu}",
                                        ", model: {rank: 65}",
                                        ", model: {w0: 0.2}",
                                        ", model: {lambda: 0.2}",
                                        ", model: {alpha: 2}",
                                        ", model: {lambda_scaling: none}",
                                        ", model: {taste: false}",
                                        ", model: {rho: 0.5}",
                                        ", model: {trend_weight: 0.5}",
                                        ", model: {trend_half_life: 1d}",
                                        ", model: {together_weight: 0}",
                                        ", events: {click: {weight: 2}}",
                                        ", events: {buy: {weight: 2}}",
                                        ", events: {click: {half_life: 1d}}",
                                        ", events: {click: {cap: 2}}",
                                        ", events: {click: {value: log}}",
                                        ", events: {click: {hides: false}}"};
    enum { COUNT = sizeof other / sizeof *other };
    uint64_t keys[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        struct reading reading;
        const struct settings *s = load_arms(&reading, other[i], other[i]);
        keys[i] = key_of(s, 1);
        assert_int_not_equal(keys[i], 0);
        assert_int_equal(keys[i], key_of(s, 2)); /* and shares it with its like */
        for (size_t before = 0; before < i; before++)
            if (keys[before] == keys[i])
                fail_msg("%s is %s", other[i], other[before]);
        reading_end(&reading);
    }
}

static void test_a_series_is_known_by_the_same_number_for_ever(void **state)
{
    struct reading reading;
    const struct settings *s = load(&reading, "arms:\n"
                                              "  a: {control: true}\n"
                                              "  b: {share: 0.1, model: {rank: 32}}\n"
                                              "events: {buy: {half_life: 1d}, click: }\n");
    uint64_t key = key_of(s, 1);
    reading_end(&reading);
    s = load(&reading, "events: {click: , buy: {half_life: 1d}}\n" /* in another order */
                       "train: {threads: 3, gate: 0.5, duty: 0.5}\n"
                       "consumer: {topic: t}\n"
                       "arms:\n"
                       "  a: {control: true}\n"
                       "  b: {share: 0.2, model: {rank: 32}, lists: {n: 3}}\n");
    assert_int_equal(key_of(s, 1), key);
    reading_end(&reading);
    /* XXH3 of "series 1\n0 32 0.1 0.01 1 1\n..." with two lines a type, by another program. */
    assert_int_equal(key, UINT64_C(0x61fdb16f377ed405));
}

/* ---- freshet check ---- */

static void test_check_says_of_each_arm_what_it_is(void **state)
{
    struct reading reading;
    const struct settings *s =
        load(&reading, "arms:\n"
                       "  control: {control: true}\n"
                       "  b:\n"
                       "    share: 0.07\n"
                       "    model: {rank: 32, rho: 0.5}\n"
                       "    guard: {hit20_drop: 0.1, churn: 0.5}\n"
                       "  c: {share: 0.2, shadow: true, model: {rank: 32, rho: 0.5}}\n"
                       "  d: {share: 0.1, model: {objective: implicit}}\n"
                       "  e: {share: 0.1, events: {click: {half_life: 36h}}}\n"
                       "  f:\n"
                       "    share: 0.1\n"
                       "    lists: {exclude_categories: [x, y]}\n"
                       "    publish: {debounce: 250ms}\n"
                       "events: {click: }\n");
    struct buffer text = {0};
    settings_write_arms(&text, s);
    buffer_byte(&text, '\0');
    assert_string_equal(
        text.data,
        "arm control: 63% of users, control; the file's generations; as the file says\n"
        "arm b: 7% of users; generations of its own with c; with model.rank 32, model.rho 0.5; "
        "stopped if hit@20 drops by 10%; stopped if churn is above 0.5\n"
        "arm c: 20% of users, in the shadow; generations of its own with b; with model.rank 32, "
        "model.rho 0.5\n"
        "arm d: 10% of users; generations of its own; with model.objective implicit, model.w0 1\n"
        "arm e: 10% of users; generations of its own; with events.click.half_life 36h\n"
        "arm f: 10% of users; the file's generations; with lists.exclude_categories [x, y], "
        "publish.debounce 250ms\n");
    buffer_deinit(&text);
    reading_end(&reading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_with_no_arm_named_there_is_one_for_all),
        cmocka_unit_test(test_an_arm_says_what_the_table_says),
        cmocka_unit_test(test_an_arm_is_the_file_with_its_overrides_written_in),
        cmocka_unit_test(test_what_an_arm_overrides_is_its_own),
        cmocka_unit_test(test_modules_take_an_arm_as_they_take_the_file),
        cmocka_unit_test(test_the_arms_of_the_printed_defaults_can_be_used),
        cmocka_unit_test(test_what_cannot_differ_between_arms_is_refused),
        cmocka_unit_test(test_an_arm_is_read_as_strictly_as_the_file),
        cmocka_unit_test(test_an_arm_changes_event_types_and_adds_none),
        cmocka_unit_test(test_what_an_arms_overrides_break_is_told_at_the_arm),
        cmocka_unit_test(test_an_arm_has_a_name_that_fits_anywhere),
        cmocka_unit_test(test_there_are_so_many_arms_and_no_more),
        cmocka_unit_test(test_one_arm_is_control),
        cmocka_unit_test(test_control_is_published_and_never_stopped),
        cmocka_unit_test(test_shares_come_to_all_users_at_most),
        cmocka_unit_test(test_an_arm_but_control_needs_a_share),
        cmocka_unit_test(test_control_has_what_the_others_leave),
        cmocka_unit_test(test_arms_that_train_as_the_file_says_share_its_generations),
        cmocka_unit_test(test_all_that_shapes_a_generation_makes_another_series),
        cmocka_unit_test(test_a_series_is_known_by_the_same_number_for_ever),
        cmocka_unit_test(test_check_says_of_each_arm_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
