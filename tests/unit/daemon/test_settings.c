#include "settings_fixture.h"

static void assert_default_settings(const struct settings *s)
{
    assert_int_equal(s->consumer.property_count, 1);
    assert_string_equal(s->consumer.properties[0].name, "bootstrap.servers");
    assert_string_equal(s->consumer.properties[0].value, "127.0.0.1:9092");
    assert_string_equal(s->consumer.topic, "events");
    assert_string_equal(s->consumer.items_topic, "items");
    assert_string_equal(s->consumer.dead_topic, "events.dead");
    assert_string_equal(s->consumer.group, "freshet");
    assert_string_equal(s->consumer.instance, "");
    assert_int_equal(s->consumer.create_partitions, 0);
    assert_int_equal(s->consumer.batch_events, 1024);
    assert_int_equal(s->consumer.event_bytes_max, 65536);
    assert_int_equal(s->consumer.dead_pending_max, 10000);
    assert_int_equal(s->events.max_ahead_ms, 300000);
    assert_int_equal(s->events.max_age_ms, 0);
    assert_int_equal(s->events.type_count, 1);
    assert_int_equal(s->events.default_type, 0);
    assert_string_equal(s->events.names[0], "default");
    assert_true(s->events.weights[0].weight == 1);
    assert_int_equal(s->events.weights[0].half_life_ms, 0);
    assert_true(s->events.weights[0].cap == 1);
    assert_int_equal(s->events.weights[0].value, VALUE_NONE);
    assert_true(s->events.weights[0].hides);
    assert_true(s->events.counts[0]);
    assert_int_equal(s->history.max, 200);
    assert_int_equal(s->history.seen_max, 1000);
    assert_int_equal(s->history.dedup_window, 100);
    assert_string_equal(s->state.dir, "./state");
    assert_int_equal(s->state.commit_ms, 1000);
    assert_int_equal(s->state.map_bytes, INT64_C(64) << 30);
    assert_int_equal(s->state.hot_bytes, 256 << 20);
    assert_int_equal(s->model.hyper.objective, OBJECTIVE_IALS);
    assert_int_equal(s->model.hyper.rank, 64);
    assert_true(s->model.hyper.w0 == 0.1);
    assert_true(s->model.hyper.lambda == 0.01);
    assert_int_equal(s->model.hyper.lambda_scaling, LAMBDA_COUNT);
    assert_true(s->model.hyper.alpha == 1);
    assert_int_equal(s->model.update, UPDATE_ALS);
    assert_true(s->model.sgd_rate == 0.05);
    assert_true(s->model.rho == 0);
    assert_true(s->model.trend_weight == -1);
    assert_int_equal(s->model.trend_half_life, -1);
    assert_int_equal(half_life_ms[s->model.first_half_life], INT64_C(7) * 86400000);
    assert_int_equal(s->train.every_ms, 3600000);
    assert_int_equal(s->train.min_events, 1000);
    assert_int_equal(s->train.first_events, 1000);
    assert_int_equal(s->train.iterations, 12);
    assert_int_equal(s->train.warm_iterations, 4);
    assert_int_equal(s->train.threads, 1);
    assert_int_equal(s->train.seed, 1);
    assert_int_equal(s->train.keep, 5);
    assert_true(s->train.gate == 0.05);
    assert_true(s->train.duty == 1);
    assert_int_equal(s->lists.n, 100);
    assert_int_equal(s->lists.batch_users, 256);
    assert_int_equal(s->lists.pace, 2000);
    assert_int_equal(s->lists.active_ms, INT64_C(90) * 86400000);
    assert_int_equal(s->lists.sweep_ms, 6 * 3600000);
    assert_int_equal(s->lists.expiry_ms, 7 * 86400000);
    assert_true(s->lists.expiry_jitter == 0.1);
    assert_int_equal(s->lists.changes_max, 10000);
    assert_int_equal(s->lists.exclude_category_count, 0);
    assert_true(s->publish.min_change == 0 && s->publish.churn_limit == 0);
    assert_int_equal(s->publish.debounce_ms, 0);
    assert_true(s->explore.share == 0);
    assert_int_equal(s->explore.slots, 1);
    assert_int_equal(s->explore.depth, 20);
    assert_int_equal(s->explore.newest, 100);
    assert_int_equal(s->explore.from, EXPLORE_NEWEST);
    assert_true(s->impression.discount == 0);
    assert_int_equal(s->impression.max, 100);
    assert_string_equal(s->experiment.id, "");
    assert_string_equal(s->experiment.salt, "");
    assert_true(s->experiment.start_ms == INT64_MIN);
    assert_true(s->experiment.end_ms == INT64_MAX);
    assert_true(s->experiment.scale == 0.01 && s->experiment.level == 0.05);
    assert_true(s->monitor.chr_min == 1);
    assert_string_equal(s->http.listen, "127.0.0.1:7878");
    assert_string_equal(s->http.token, "");
    assert_string_equal(s->redis.address, "127.0.0.1:6379");
    assert_string_equal(s->redis.username, "");
    assert_string_equal(s->redis.password, "");
    assert_string_equal(s->redis.prefix, "rec:");
    assert_int_equal(s->redis.database, 0);
    assert_int_equal(s->redis.timeout_ms, 2000);
    assert_int_equal(s->redis.in_flight_max, 4096);
    assert_int_equal(s->daemon.drain_ms, 20000);
    assert_int_equal(s->daemon.log_level, LOG_LEVEL_INFO);
}

/* ---- defaults, and what is printed from the table ---- */

static void test_no_file_means_the_defaults(void **state)
{
    struct settings *settings;
    struct buffer complaints = {0};
    assert_int_equal(settings_load(&settings, NULL, &complaints, NULL), 0);
    assert_default_settings(settings);
    assert_int_equal(complaints.length, 0);
    settings_free(settings);
}

static void test_an_empty_file_means_the_defaults(void **state)
{
    static const char *const texts[] = {"", "# nothing\n", "---\n...\n", "state:\nevents: {}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct reading reading;
        assert_default_settings(load(&reading, texts[i]));
        reading_end(&reading);
    }
}

static void test_the_printed_defaults_mean_the_defaults(void **state)
{
    struct buffer text = {0};
    settings_write_defaults(&text);
    struct reading reading;
    read_bytes(&reading, text.data, text.length);
    assert_string_equal(reading.complaints.data, "");
    assert_default_settings(reading.settings);
    reading_end(&reading);
    buffer_deinit(&text);
}

static void test_every_row_is_printed_with_its_default_and_its_sentence(void **state)
{
    struct buffer page = {0};
    settings_write_markdown(&page);
    buffer_byte(&page, '\0');
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        char cell[64];
        snprintf(cell, sizeof cell, "| `%s` |", row_key(row));
        assert_non_null(strstr(page.data, cell));
        assert_non_null(strstr(page.data, row->sentence));
    }
    buffer_deinit(&page);
}

static void assert_file_is(const char *name, void (*write)(struct buffer *out))
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", FRESHET_SOURCE_DIR, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct buffer kept = {0}, made = {0};
    kept.length = fread(buffer_reserve(&kept, 1 << 20), 1, 1 << 20, file);
    fclose(file);
    write(&made);
    buffer_byte(&kept, '\0');
    buffer_byte(&made, '\0');
    assert_string_equal(kept.data, made.data);
    buffer_deinit(&kept);
    buffer_deinit(&made);
}

static void test_the_shipped_settings_are_those_printed(void **state)
{
    assert_file_is("configs/freshet.yaml", settings_write_defaults);
}

static void test_the_reference_is_the_one_printed(void **state)
{
    assert_file_is("docs/CONFIG.md", settings_write_markdown);
}

static void test_every_row_has_a_section_and_a_sentence_that_ends(void **state)
{
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct row *row = &settings_rows[i];
        size_t homes = 0;
        for (size_t n = 0; n < settings_section_count; n++)
            homes += row_is_in(row, &settings_sections[n]);
        assert_int_equal(homes, 1);
        assert_int_equal(row->sentence[strlen(row->sentence) - 1], '.');
        assert_ptr_equal(row_find(row->path), row); /* no path twice */
    }
}

/* ---- values ---- */

static void test_values_of_every_type_are_read(void **state)
{
    struct reading reading;
    const struct settings *s = load(&reading, "consumer: {topic: clicks, batch_events: 7}\n"
                                              "state:\n"
                                              "  commit: 250ms\n"
                                              "  map: 4GiB\n"
                                              "model:\n"
                                              "  objective: hu\n"
                                              "  rho: 0.8\n"
                                              "  trend_weight: 0\n"
                                              "  trend_half_life: 1d\n"
                                              "lists:\n"
                                              "  exclude_categories: [adult, 'two words']\n"
                                              "redis: {prefix: \"a b:\"}\n");
    assert_string_equal(s->consumer.topic, "clicks");
    assert_string_equal(s->consumer.dead_topic, "clicks.dead");
    assert_int_equal(s->consumer.batch_events, 7);
    assert_int_equal(s->state.commit_ms, 250);
    assert_int_equal(s->state.map_bytes, INT64_C(4) << 30);
    assert_int_equal(s->model.hyper.objective, OBJECTIVE_HU);
    assert_true(s->model.hyper.w0 == 1); /* by the definition of hu */
    assert_true(s->model.rho == 0.8);
    assert_true(s->model.trend_weight == 0);
    assert_int_equal(half_life_ms[s->model.trend_half_life], 86400000);
    assert_int_equal(s->lists.exclude_category_count, 2);
    assert_true(slice_equal(s->lists.exclude_categories[1], SLICE("two words")));
    assert_string_equal(s->redis.prefix, "a b:");
    reading_end(&reading);
}

static void test_durations_are_read_in_every_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"0s", 0},      {"0ms", 0},       {"1500ms", 1500},   {"10s", 10000},
                 {"5m", 300000}, {"6h", 21600000}, {"30d", 2592000000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        snprintf(text, sizeof text, "events: {max_age: %s}\n", cases[i].text);
        struct reading reading;
        assert_int_equal(load(&reading, text)->events.max_age_ms, cases[i].ms);
        reading_end(&reading);
    }
}

static void test_times_are_read_in_utc(void **state)
{
    struct reading reading;
    const struct settings *s =
        load(&reading, "experiment: {start: 1970-01-01T00:00:01Z, end: 2028-02-29T12:30:00Z}\n");
    assert_int_equal(s->experiment.start_ms, 1000);
    assert_int_equal(s->experiment.end_ms, INT64_C(1835440200000));
    reading_end(&reading);
    s = load(&reading, "experiment: {start: '', end: '2026-11-01T00:00:00Z'}\n");
    assert_true(s->experiment.start_ms == INT64_MIN);
    assert_int_equal(s->experiment.end_ms, INT64_C(1793491200000));
    reading_end(&reading);
}

static void test_what_is_no_time_is_refused(void **state)
{
    static const char *const texts[] = {"2026-11-01",
                                        "2026-11-01T00:00:00",
                                        "2026-11-01T00:00:00+01:00",
                                        "2026-11-01 00:00:00Z",
                                        "2026-11-01T00:00:00Zx",
                                        "2026-11-01T00:00:00.5Z",
                                        "2026-13-01T00:00:00Z",
                                        "2026-02-30T00:00:00Z",
                                        "2026-00-01T00:00:00Z",
                                        "2027-02-29T00:00:00Z",
                                        "2026-11-01T24:00:00Z",
                                        "2026-11-01T00:60:00Z",
                                        "now",
                                        "1793491200000"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[64];
        snprintf(text, sizeof text, "experiment: {end: '%s'}\n", texts[i]);
        assert_complaints(text, "FILE:1: experiment.end: must be a time like "
                                "2026-11-01T00:00:00Z, in UTC\n");
    }
}

static void test_what_is_no_duration_is_refused(void **state)
{
    static const char *const texts[] = {"5",
                                        "0",
                                        "5 m",
                                        "1.5h",
                                        "-5m",
                                        "5M",
                                        "m",
                                        "5mm",
                                        "1w",
                                        "''",
                                        "5m ",
                                        "0x5m",
                                        "99999999999999999999d"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[64];
        snprintf(text, sizeof text, "events: {max_age: \"%s\"}\n", texts[i]);
        assert_complaints(text, "FILE:1: events.max_age: must be a duration like 250ms, 10s, 5m, "
                                "6h or 30d, 0s to 36500d\n");
    }
}

static void test_what_is_no_size_is_refused(void **state)
{
    static const char *const texts[] = {"64", "64K", "64kib", "64MB", "-1MiB", "1.5GiB"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[64];
        snprintf(text, sizeof text, "state: {hot: %s}\n", texts[i]);
        assert_complaints(text, "FILE:1: state.hot: must be a size like 64KiB, 256MiB or 4GiB, "
                                "1MiB to 1TiB\n");
    }
}

static void test_what_is_no_whole_number_is_refused(void **state)
{
    static const char *const texts[] = {"1.0", "1e3", "ten", "0x10", "' 5'", "5x", "''", "1_000"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[64];
        snprintf(text, sizeof text, "model: {rank: %s}\n", texts[i]);
        assert_complaints(text, "FILE:1: model.rank: must be a whole number, 1 to 512\n");
    }
}

static void test_what_is_no_number_is_refused(void **state)
{
    static const char *const texts[] = {"nan", "inf", ".inf", "0x1p-3", "1e999", "0,5", " 1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[64];
        snprintf(text, sizeof text, "train: {gate: \"%s\"}\n", texts[i]);
        assert_complaints(text, "FILE:1: train.gate: must be a number, 0 to 1\n");
    }
}

static void test_ranges_hold_at_both_ends(void **state)
{
    struct reading reading;
    assert_int_equal(load(&reading, "model: {rank: 512}\n")->model.rank, 512);
    reading_end(&reading);
    assert_int_equal(load(&reading, "model: {rank: 1}\n")->model.rank, 1);
    reading_end(&reading);
    assert_complains("model: {rank: 513}\n", "FILE:1: model.rank: ");
    assert_complains("model: {rank: 0}\n", "FILE:1: model.rank: ");
    assert_complains("state: {commit: 9ms}\n", "FILE:1: state.commit: ");
    assert_complains("state: {commit: 61s}\n", "FILE:1: state.commit: ");
}

static void test_a_range_may_leave_out_its_lower_end(void **state)
{
    struct reading reading;
    assert_true(load(&reading, "model: {rho: 1}\n")->model.rho == 1);
    reading_end(&reading);
    assert_complaints("model: {rho: 0}\n", "FILE:1: model.rho: must be a number, above 0, up to "
                                           "1, or fitted\n");
}

static void test_choices_and_truths_are_refused_in_other_words(void **state)
{
    assert_complaints("model: {objective: als}\n",
                      "FILE:1: model.objective: must be one of ials, hu or implicit\n");
    assert_complaints("model: {trend_half_life: 2d}\n",
                      "FILE:1: model.trend_half_life: must be one of 10m, 1h, 6h, 1d, 1w, 30d, 1y "
                      "or fitted\n");
    assert_complaints("model: {first_half_life: fitted}\n",
                      "FILE:1: model.first_half_life: must be one of 10m, 1h, 6h, 1d, 1w, 30d or "
                      "1y\n");
    assert_complaints("events: {click: {hides: yes}}\n",
                      "FILE:1: events.click.hides: must be true or false\n");
}

static void test_a_key_without_a_value_is_refused(void **state)
{
    assert_complaints("redis:\n  username:\n",
                      "FILE:2: redis.username: has no value (an empty text is written '')\n");
}

static void test_a_value_of_the_wrong_shape_is_refused(void **state)
{
    assert_complaints("model: {rank: [1]}\n", "FILE:1: model.rank: must be a single value\n");
    assert_complaints("model: [1]\n", "FILE:1: model: must hold keys, indented below it\n");
    assert_complaints("lists: {exclude_categories: adult}\n",
                      "FILE:1: lists.exclude_categories: must be a list of texts, like [a, b]\n");
    assert_complaints("- 1\n", "FILE:1: settings: must be keys and values, like state: ...\n");
}

/* ---- keys ---- */

static void test_unknown_keys_are_refused_with_file_line_and_key(void **state)
{
    assert_complaints("# a comment\nmodel:\n  rank: 8\n  ranks: 8\n",
                      "FILE:4: model.ranks: unknown key\n");
    assert_complaints("modell:\n  rank: 8\n", "FILE:1: modell: unknown key\n");
    assert_complaints("events:\n  click:\n    wait: 1\n",
                      "FILE:3: events.click.wait: unknown key\n");
    assert_complaints("events:\n  max_agee: 5m\n", "FILE:2: events.max_agee: unknown key\n");
    assert_complaints("events:\n  '*.weight': 5\n", "FILE:2: events.*.weight: unknown key\n");
}

static void test_keys_given_twice_are_refused(void **state)
{
    assert_complaints("model:\n  rank: 8\n  w0: 1\n  rank: 9\n",
                      "FILE:4: model.rank: given twice, first on line 2\n");
    assert_complaints("model: {rank: 8}\nstate: {}\nmodel: {w0: 1}\n",
                      "FILE:3: model: given twice, first on line 1\n");
    assert_complaints("events:\n  click: {}\n  click: {}\n",
                      "FILE:3: events.click: given twice, first on line 2\n");
    assert_complaints("kafka:\n  client.id: a\n  client.id: b\n",
                      "FILE:3: kafka.client.id: given twice, first on line 2\n");
}

static void test_all_complaints_are_gathered_not_only_the_first(void **state)
{
    struct reading reading;
    const char *text = "model:\n  rank: none\n  what: 1\nstate:\n  commit: 5\nnonsense: 1\n"
                       "consumer:\n  topic: a/b\n";
    read_bytes(&reading, text, strlen(text));
    assert_string_equal(
        reading.complaints.data,
        "FILE:2: model.rank: must be a whole number, 1 to 512\n"
        "FILE:3: model.what: unknown key\n"
        "FILE:5: state.commit: must be a duration like 250ms, 10s, 5m, 6h or 30d, 10ms to 1m\n"
        "FILE:6: nonsense: unknown key\n"
        "FILE:8: consumer.topic: must be a topic's name: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and "
        "'-'\n");
    assert_non_null(strstr(reading.err.text, ": 5 complaints"));
    reading_end(&reading);
}

static void test_a_complaint_stays_one_line_whatever_the_key(void **state)
{
    assert_complaints("model:\n  \"a\\nb\\e\": 1\n", "FILE:2: model.a?b?: unknown key\n");
}

static void test_a_file_that_is_not_there_is_named(void **state)
{
    struct settings *settings;
    struct buffer complaints = {0};
    struct error err;
    assert_int_equal(settings_load(&settings, "/nonexistent/f.yaml", &complaints, &err),
                     ERR_SETTINGS);
    assert_true(slice_equal(buffer_slice(&complaints),
                            SLICE("/nonexistent/f.yaml: No such file or directory\n")));
    assert_null(settings);
    buffer_deinit(&complaints);
}

/* ---- event types and kafka's properties: free keys ---- */

static void test_named_event_types_are_the_only_ones(void **state)
{
    struct reading reading;
    const struct settings *s = load(&reading, "events:\n"
                                              "  view: {weight: 0.2, half_life: 30d}\n"
                                              "  buy: {weight: 2, value: log, cap: 5}\n"
                                              "  dislike: {weight: -1, hides: false}\n");
    assert_int_equal(s->events.type_count, 3);
    assert_int_equal(s->events.default_type, -1);
    assert_string_equal(s->events.names[0], "view");
    assert_true(s->events.weights[0].weight == 0.2);
    assert_int_equal(s->events.weights[0].half_life_ms, INT64_C(30) * 86400000);
    assert_true(s->events.weights[0].cap == 1);
    assert_int_equal(s->events.weights[1].value, VALUE_LOG);
    assert_true(s->events.weights[1].cap == 5);
    assert_false(s->events.weights[2].hides);
    assert_true(s->events.counts[1]);
    assert_false(s->events.counts[2]); /* a dislike makes no item popular */
    reading_end(&reading);
}

static void test_default_takes_the_rest_if_it_is_named(void **state)
{
    struct reading reading;
    const struct settings *s = load(&reading, "events:\n  buy:\n  default: {weight: 0}\n");
    assert_int_equal(s->events.type_count, 2);
    assert_int_equal(s->events.default_type, 1);
    assert_false(s->events.counts[1]);
    reading_end(&reading);
}

static void test_event_types_that_cannot_be_are_refused(void **state)
{
    assert_complaints("events:\n  retract: {}\n",
                      "FILE:2: events.retract: is a control type, not an interaction\n");
    assert_complaints("events:\n  impression: {}\n",
                      "FILE:2: events.impression: is a control type, not an interaction\n");
    assert_complaints("events:\n  '': {}\n",
                      "FILE:2: events.: an event type's name has 1 to 64 bytes\n");
    struct buffer text = {0};
    buffer_text(&text, "events:\n");
    for (int i = 0; i <= EVENT_TYPES_MAX; i++)
        buffer_printf(&text, "  t%d: {}\n", i);
    buffer_byte(&text, '\0');
    assert_complaints(text.data, "FILE:66: events.t64: too many event types\n");
    buffer_deinit(&text);
}

static void test_kafka_properties_are_handed_on_as_they_are(void **state)
{
    struct reading reading;
    const struct settings *s = load(&reading, "kafka:\n"
                                              "  bootstrap.servers: k1:9092,k2:9092\n"
                                              "  client.id: 'me'\n"
                                              "  fetch.wait.max.ms: 100\n");
    assert_int_equal(s->consumer.property_count, 3);
    assert_string_equal(s->consumer.properties[0].value, "k1:9092,k2:9092");
    assert_string_equal(s->consumer.properties[1].name, "client.id");
    assert_string_equal(s->consumer.properties[1].value, "me");
    assert_string_equal(s->consumer.properties[2].value, "100");
    reading_end(&reading);
}

static void test_kafka_properties_that_are_ours_to_set_are_refused(void **state)
{
    assert_complains("kafka:\n  group.id: mine\n", "FILE:2: kafka.group.id: may not be set: ");
}

static void test_a_kafka_property_is_one_text(void **state)
{
    assert_complains("kafka:\n  ssl:\n    ca: x\n", "FILE:2: kafka.ssl: must be a text");
}

/* ---- what the modules are given ---- */

static void test_modules_get_what_the_file_says(void **state)
{
    struct reading reading;
    const struct settings *s = load(&reading, "consumer: {topic: t, items_topic: ''}\n"
                                              "events: {max_ahead: 1s, buy: {}, default: {}}\n"
                                              "history: {max: 3}\n"
                                              "train: {first_events: 9, warm_iterations: 2}\n"
                                              "lists: {n: 5, exclude_categories: [x]}\n"
                                              "redis: {timeout: 50ms}\n");
    struct consumer_settings consumer;
    settings_consumer(s, &consumer);
    assert_string_equal(consumer.topic, "t");
    assert_string_equal(consumer.dead_topic, "t.dead");
    assert_int_equal(consumer.decode.type_count, 2);
    assert_string_equal(consumer.decode.types[1], "default");
    assert_int_equal(consumer.decode.default_type, 1);
    assert_int_equal(consumer.decode.max_ahead_ms, 1000);

    struct history_settings history;
    settings_history(s, &history);
    assert_true(slice_equal(history.topic, SLICE("t")));
    assert_int_equal(history.items_topic.length, 0);
    assert_int_equal(history.limits.history_max, 3);
    assert_true(history.type_counts[1]);

    struct scorer_settings scorer;
    settings_scorer(s, &scorer);
    assert_int_equal(scorer.finishing.n, 5);
    assert_true(slice_equal(scorer.exclude_categories[0], SLICE("x")));
    assert_true(scorer.first.taste == 0 && scorer.first.trend == 1);

    struct train_settings train;
    settings_train(s, &train);
    assert_int_equal(train.interactions_min, TRAIN_INTERACTIONS_MIN);
    assert_int_equal(train.warm_iterations, 2);
    assert_int_equal(train.als.hyper.rank, 64);
    assert_true(train.als.pace.duty == 1 && train.als.pace.yields);
    assert_string_equal(train.type_names[0], "buy");

    struct publisher_settings publisher;
    struct state_meta meta = {.epoch = 3, .swap = 2, .nonce = "nonce"};
    settings_publisher(s, &meta, "a log", &publisher);
    assert_string_equal(publisher.nonce, "nonce");
    assert_string_equal(publisher.log, "a log");
    assert_int_equal(publisher.place.epoch, 3);
    assert_int_equal(publisher.place.swap, 2);
    assert_int_equal(publisher.redis.timeout_ms, 50);
    reading_end(&reading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_file_means_the_defaults),
        cmocka_unit_test(test_an_empty_file_means_the_defaults),
        cmocka_unit_test(test_the_printed_defaults_mean_the_defaults),
        cmocka_unit_test(test_every_row_is_printed_with_its_default_and_its_sentence),
        cmocka_unit_test(test_the_shipped_settings_are_those_printed),
        cmocka_unit_test(test_the_reference_is_the_one_printed),
        cmocka_unit_test(test_every_row_has_a_section_and_a_sentence_that_ends),
        cmocka_unit_test(test_values_of_every_type_are_read),
        cmocka_unit_test(test_durations_are_read_in_every_unit),
        cmocka_unit_test(test_times_are_read_in_utc),
        cmocka_unit_test(test_what_is_no_time_is_refused),
        cmocka_unit_test(test_what_is_no_duration_is_refused),
        cmocka_unit_test(test_what_is_no_size_is_refused),
        cmocka_unit_test(test_what_is_no_whole_number_is_refused),
        cmocka_unit_test(test_what_is_no_number_is_refused),
        cmocka_unit_test(test_ranges_hold_at_both_ends),
        cmocka_unit_test(test_a_range_may_leave_out_its_lower_end),
        cmocka_unit_test(test_choices_and_truths_are_refused_in_other_words),
        cmocka_unit_test(test_a_key_without_a_value_is_refused),
        cmocka_unit_test(test_a_value_of_the_wrong_shape_is_refused),
        cmocka_unit_test(test_unknown_keys_are_refused_with_file_line_and_key),
        cmocka_unit_test(test_keys_given_twice_are_refused),
        cmocka_unit_test(test_all_complaints_are_gathered_not_only_the_first),
        cmocka_unit_test(test_a_complaint_stays_one_line_whatever_the_key),
        cmocka_unit_test(test_a_file_that_is_not_there_is_named),
        cmocka_unit_test(test_named_event_types_are_the_only_ones),
        cmocka_unit_test(test_default_takes_the_rest_if_it_is_named),
        cmocka_unit_test(test_event_types_that_cannot_be_are_refused),
        cmocka_unit_test(test_kafka_properties_are_handed_on_as_they_are),
        cmocka_unit_test(test_kafka_properties_that_are_ours_to_set_are_refused),
        cmocka_unit_test(test_a_kafka_property_is_one_text),
        cmocka_unit_test(test_modules_get_what_the_file_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
