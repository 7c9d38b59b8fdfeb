/* The publisher against a real redis-server, which is started, stopped, emptied and killed. */
#include "publisher/publisher.h"

#include "harness.h"
#include "publisher/sending.h"

#define NONCE "0123456789abcdef"
#define STATE_NONCE "nonce:01234567"
#define STATE_HEARTBEAT "heartbeat:01234567"
#define LISTS_MAX 2000

struct client {
    bool refills;         /* and is not done with it */
    bool claims;          /* the next time that it meets others */
    struct client *other; /* on this one's loop, or NULL */
    struct server server;
    uv_loop_t loop;
    struct publisher *publisher;
    struct publisher_settings settings;
    int mets, ups, downs, losses, sents, gots, closed;
    struct publisher_group group; /* as last met */
    struct meta_place place;      /* what `met` answered */
    int ups_at_loss;              /* how often `up` had come when `lost` last did */
    bool lied;                    /* publisher_is_up was wrong in a hook */
    struct error why, what;       /* of `down`, of `refused` */
    int refused;
    int64_t mark_ms;
    char got[2048]; /* the last list got, "absent", or "error: ..." */
    struct slate slate;
    struct slate_list lists[LISTS_MAX];
    char ids[LISTS_MAX][16];
};

static char a_user; /* the publisher only asks whether there is one */
static struct slate_item items[] = {{.score = 0.5f, .id = {"i1", 2}},
                                    {.score = 0.25f, .id = {"i2", 2}}};

static void on_up(void *arg)
{
    struct client *client = arg;
    client->ups++;
    client->lied |= !publisher_is_up(client->publisher);
}

static void on_down(const struct error *why, void *arg)
{
    struct client *client = arg;
    client->downs++;
    client->why = *why;
    client->lied |= publisher_is_up(client->publisher);
}

static void on_lost(void *arg)
{
    struct client *client = arg;
    client->losses++;
    client->ups_at_loss = client->ups;
}

/* What a history would do. */
static void on_met(const struct publisher_group *group, struct meta_place *place, void *arg)
{
    struct client *client = arg;
    client->mets++;
    client->group = *group;
    if (place->epoch == 0)
        place->epoch = group->alive ? group->epoch : group->epoch + 1;
    else if (group->epoch > place->epoch)
        place->epoch = group->epoch;
    if (group->swap_least > place->swap)
        place->swap = group->swap_least;
    client->place = *place;
    if (client->claims)
        publisher_claim(client->publisher);
    client->claims = false;
}

static bool on_filled(void *arg)
{
    return !((struct client *)arg)->refills;
}

static void on_refused(const struct error *what, void *arg)
{
    struct client *client = arg;
    client->refused++;
    client->what = *what;
}

static void on_marked(int64_t mark_ms, void *arg)
{
    struct client *client = arg;
    assert_true(mark_ms > client->mark_ms);
    client->mark_ms = mark_ms;
}

static const struct publisher_hooks hooks = {
    .met = on_met,
    .up = on_up,
    .down = on_down,
    .lost = on_lost,
    .filled = on_filled,
    .refused = on_refused,
    .marked = on_marked,
};

static void on_sent(struct slate *slate, void *arg)
{
    struct client *client = arg;
    assert_ptr_equal(slate, &client->slate);
    client->sents++;
}

static void on_got(struct slice json, const struct error *err, void *arg)
{
    struct client *client = arg;
    client->gots++;
    client->lied |= err != NULL && strstr(err->text, "was lost") != NULL &&
                    client->publisher != NULL && publisher_is_up(client->publisher);
    if (err != NULL)
        snprintf(client->got, sizeof client->got, "error: %s", err->text);
    else if (json.data == NULL)
        snprintf(client->got, sizeof client->got, "absent");
    else
        snprintf(client->got, sizeof client->got, "%.*s", SLICE_ARG(json));
}

static void on_closed(void *arg)
{
    ((struct client *)arg)->closed++;
}

/* ---- beginning and end of each test ---- */

static struct client *new_client(bool tcp)
{
    struct client *client = calloc(1, sizeof *client);
    server_start(&client->server, tcp);
    assert_int_equal(uv_loop_init(&client->loop), 0);
    client->settings = (struct publisher_settings){
        .redis = {.address = client->server.socket,
                  .username = "",
                  .password = "",
                  .timeout_ms = 5000,
                  .in_flight_max = 256},
        .prefix = "rec:",
        .expiry_ms = 1000000,
        .expiry_jitter = 0.1,
        .changes_max = 1000,
        .nonce = NONCE,
        .log = "one log",
        .place = {.epoch = 1},
    };
    client->slate = (struct slate){.lists = client->lists};
    return client;
}

static int set_up(void **state)
{
    *state = new_client(false);
    return 0;
}

static int set_up_tcp(void **state)
{
    *state = new_client(true);
    return 0;
}

static void close_publisher(struct client *client)
{
    client->closed = 0;
    publisher_close(client->publisher, on_closed, client);
    wait_for(&client->loop, &client->closed, 1);
    client->publisher = NULL;
}

static void close_other(struct client *client)
{
    struct client *other = client->other;
    publisher_close(other->publisher, on_closed, other);
    wait_for(&client->loop, &other->closed, 1);
    client->other = NULL;
    free(other);
}

static int tear_down(void **state)
{
    struct client *client = *state;
    if (client->other != NULL) /* the test has failed */
        close_other(client);
    if (client->publisher != NULL)
        close_publisher(client);
    server_stop(&client->server);
    assert_loop_empties(&client->loop);
    assert_false(client->lied);
    free(client);
    return 0;
}

static void open_publisher(struct client *client)
{
    struct error err;
    if (publisher_open(&client->publisher, &client->loop, &client->settings, &hooks, client,
                       &err) != 0)
        fail_msg("%s", err.text);
    publisher_set_plain(client->publisher, true);
}

/* Also waits for our nonce to be in meta, so that what comes next finds nothing under way. */
static void open_and_wait(struct client *client)
{
    open_publisher(client);
    wait_for(&client->loop, &client->ups, 1);
    publisher_get(client->publisher, SLICE("nobody"), on_got, client);
    wait_for(&client->loop, &client->gots, 1);
}

/* ---- slates ---- */

static struct slate_list *add_list(struct client *client, int64_t offset)
{
    size_t i = client->slate.count++;
    assert_true(i < LISTS_MAX);
    int length = snprintf(client->ids[i], sizeof client->ids[i], "u%zu", i);
    client->slate.to_send = client->slate.count;
    client->lists[i] = (struct slate_list){
        .arm_name = SLICE("default"),
        .generation = 7,
        .user = (struct user *)&a_user,
        .user_id = {client->ids[i], (uint32_t)length},
        .version = {.epoch = 1, .partition = 0, .next_offset = offset},
        .items = items,
        .count = 2,
        .outcome = SLATE_REFUSED, /* so that "not touched" shows */
    };
    return &client->lists[i];
}

static void fill(struct client *client, size_t count, int64_t offset)
{
    client->slate.count = client->slate.to_send = 0;
    for (size_t i = 0; i < count; i++)
        add_list(client, offset);
}

static void send_slate(struct client *client)
{
    int before = client->sents;
    publisher_send(client->publisher, &client->slate, on_sent, client);
    assert_int_equal(client->sents, before);
    wait_for(&client->loop, &client->sents, before + 1);
    assert_int_equal(client->sents, before + 1);
}

static void assert_outcomes(const struct client *client, enum slate_outcome outcome)
{
    for (size_t i = 0; i < client->slate.count; i++)
        assert_int_equal(client->lists[i].outcome, outcome);
}

static void send_one(struct client *client, int64_t offset, enum slate_outcome expected)
{
    fill(client, 1, offset);
    send_slate(client);
    assert_int_equal(client->lists[0].outcome, expected);
}

static void get(struct client *client, struct slice user)
{
    int before = client->gots;
    publisher_get(client->publisher, user, on_got, client);
    assert_int_equal(client->gots, before);
    wait_for(&client->loop, &client->gots, before + 1);
}

#define STORED_U0                                                                 \
    "{\"v\":\"00000001.0000.0000000000000005.00000000\",\"user\":\"u0\",\"arm\":" \
    "\"default\",\"gen\":7,\"ts\":0,\"cause\":\"event\",\"items\":[[\"i1\",0.5],[\"i2\",0.25]]}"

/* ---- lists ---- */

static void test_publisher_stores_a_list_and_gets_it_back(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    send_one(client, 5, SLATE_STORED);
    assert_answer(&client->server, "GET rec:u0", STORED_U0);
    get(client, SLICE("u0"));
    assert_string_equal(client->got, STORED_U0);
}

static void test_publisher_stores_over_tcp(void **state)
{
    struct client *client = *state;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", client->server.port);
    client->settings.redis.address = address;
    open_and_wait(client);
    send_one(client, 5, SLATE_STORED);
    assert_answer(&client->server, "GET rec:u0", STORED_U0);
}

static void test_publisher_gives_lists_an_expiry_within_the_jitter(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    fill(client, 50, 5);
    send_slate(client);
    for (int i = 0; i < 50; i++) {
        char command[32];
        snprintf(command, sizeof command, "PTTL rec:u%d", i);
        long long left = ask_number(&client->server, command);
        /* From 90% of 1000 s, less the time since it was sent, which DEADLINE_MS bounds. */
        assert_true(left > 900000 - DEADLINE_MS && left <= 1000000);
    }
}

static void test_publisher_tells_newer_lists_from_lists_replaced(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    send_one(client, 5, SLATE_STORED);
    send_one(client, 5, SLATE_STORED);
    send_one(client, 4, SLATE_OLDER);
    assert_int_equal(client->lists[0].newer.next_offset, 5);
    assert_answer(&client->server, "GET rec:u0", STORED_U0);
    assert_int_equal(publisher_figures(client->publisher)->stored, 2);
    assert_int_equal(publisher_figures(client->publisher)->older, 1);
}

static void test_publisher_refuses_keys_that_are_not_its_own(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    tell(&client->server, "SET rec:u0 mine");
    tell(&client->server, "RPUSH rec:u1 mine");
    fill(client, 3, 5);
    send_slate(client);
    assert_int_equal(client->lists[0].outcome, SLATE_REFUSED);
    assert_int_equal(client->lists[1].outcome, SLATE_REFUSED);
    assert_int_equal(client->lists[2].outcome, SLATE_STORED);
    assert_answer(&client->server, "GET rec:u0", "mine");
    assert_int_equal(publisher_figures(client->publisher)->refused, 2);
    assert_int_equal(client->refused, 2);
    assert_non_null(strstr(client->what.text, "rec:u1: what lies there is not ours"));
}

static void test_publisher_refuses_a_list_of_another_partition(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    send_one(client, 5, SLATE_STORED);
    client->lists[0].version.partition = 1;
    send_slate(client);
    assert_int_equal(client->lists[0].outcome, SLATE_REFUSED);
    assert_non_null(strstr(client->what.text, "rec:u0: what lies there"));
    assert_answer(&client->server, "GET rec:u0", STORED_U0);
}

static void test_publisher_leaves_a_fenced_tombstone_of_a_forgotten_user(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    send_one(client, 5, SLATE_STORED);
    fill(client, 1, 6);
    client->lists[0].forgotten = true;
    send_slate(client);
    assert_int_equal(client->lists[0].outcome, SLATE_STORED);
    send_one(client, 5, SLATE_OLDER);
    assert_answer(&client->server, "GET rec:u0",
                  "{\"v\":\"00000001.0000.0000000000000006.00000000\",\"user\":\"u0\","
                  "\"forgotten\":true,\"items\":[]}");
}

static void test_publisher_writes_the_popular_list_and_no_change_of_it(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    fill(client, 1, 5);
    client->lists[0].user = NULL;
    client->lists[0].user_id = (struct slice){NULL, 0};
    client->lists[0].changed = true;
    send_slate(client);
    assert_int_equal(client->lists[0].outcome, SLATE_STORED);
    get(client, (struct slice){NULL, 0});
    assert_non_null(strstr(client->got, "\"user\":null"));
    assert_int_equal(ask_number(&client->server, "XLEN rec:changes"), 0);
}

static void test_publisher_sends_a_slate_larger_than_the_cap_in_portions(void **state)
{
    struct client *client = *state;
    client->settings.redis.in_flight_max = 3;
    open_and_wait(client);
    fill(client, LISTS_MAX, 5);
    for (size_t i = 0; i < LISTS_MAX; i++)
        client->lists[i].changed = true;
    send_slate(client);
    assert_outcomes(client, SLATE_STORED);
    assert_int_equal(publisher_figures(client->publisher)->sent, LISTS_MAX);
    assert_answer(&client->server, "GET rec:u0", STORED_U0);
}

static void test_publisher_sends_no_list_beyond_what_is_to_send(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    fill(client, 5, 5);
    client->slate.to_send = 2;
    for (int i = 2; i < 5; i++) {
        client->lists[i].outcome = SLATE_HELD;
        client->lists[i].changed = true;
    }
    send_slate(client);
    assert_int_equal(client->slate.count, 5); /* the others come back as they were */
    for (int i = 0; i < 5; i++)
        assert_int_equal(client->lists[i].outcome, i < 2 ? SLATE_STORED : SLATE_HELD);
    assert_int_equal(ask_number(&client->server, "EXISTS rec:u0 rec:u1"), 2);
    assert_int_equal(ask_number(&client->server, "EXISTS rec:u2 rec:u3 rec:u4"), 0);
    assert_int_equal(ask_number(&client->server, "EXISTS rec:changes"), 0);
}

static void test_publisher_hands_a_slate_back_of_which_nothing_is_to_send(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    fill(client, 3, 5);
    client->slate.to_send = 0;
    for (int i = 0; i < 3; i++)
        client->lists[i].outcome = SLATE_HELD;
    send_slate(client);
    assert_outcomes(client, SLATE_HELD);
    assert_int_equal(client->mark_ms, 0); /* behind nothing there is no mark */
    assert_int_equal(ask_number(&client->server, "EXISTS rec:u0"), 0);
}

static void test_publisher_leaves_what_is_held_back_when_it_is_not_up(void **state)
{
    struct client *client = *state;
    open_publisher(client);
    fill(client, 2, 5);
    client->slate.to_send = 1;
    client->lists[1].outcome = SLATE_HELD;
    send_slate(client);
    assert_int_equal(client->lists[0].outcome, SLATE_UNSENT);
    assert_int_equal(client->lists[1].outcome, SLATE_HELD);
}

static void test_publisher_sends_with_room_for_one_command(void **state)
{
    struct client *client = *state;
    client->settings.redis.in_flight_max = 1;
    open_and_wait(client);
    fill(client, 20, 5);
    client->lists[19].changed = true;
    send_slate(client);
    assert_outcomes(client, SLATE_STORED);
    assert_int_equal(ask_number(&client->server, "XLEN rec:changes"), 1);
}

static void test_publisher_hands_an_empty_slate_back_from_the_loop(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    fill(client, 0, 5);
    send_slate(client);
}

static void test_publisher_hands_a_slate_back_unsent_when_it_is_not_up(void **state)
{
    struct client *client = *state;
    open_publisher(client);
    fill(client, 3, 5);
    send_slate(client);
    assert_outcomes(client, SLATE_UNSENT);
}

/* ---- changes ---- */

static void test_publisher_names_the_users_whose_lists_changed(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    fill(client, 3, 5);
    client->lists[1].changed = true;
    send_slate(client);
    redisReply *reply = ask(&client->server, "XRANGE rec:changes - +");
    assert_int_equal(reply->elements, 1);
    redisReply *fields = reply->element[0]->element[1];
    assert_string_equal(fields->element[0]->str, "user");
    assert_string_equal(fields->element[1]->str, "u1");
    assert_string_equal(fields->element[2]->str, "v");
    assert_string_equal(fields->element[3]->str, "00000001.0000.0000000000000005.00000000");
    freeReplyObject(reply);
}

static void test_publisher_caps_the_stream_of_changes(void **state)
{
    struct client *client = *state;
    client->settings.changes_max = 100;
    open_and_wait(client);
    fill(client, LISTS_MAX, 5);
    for (size_t i = 0; i < LISTS_MAX; i++)
        client->lists[i].changed = true;
    send_slate(client);
    /* "~" keeps whole nodes, of 100 entries by default: at most one more than asked for. */
    long long length = ask_number(&client->server, "XLEN rec:changes");
    assert_true(length >= 100 && length <= 200);
}

static void test_publisher_writes_no_changes_when_none_are_wanted(void **state)
{
    struct client *client = *state;
    client->settings.changes_max = 0;
    open_and_wait(client);
    fill(client, 1, 5);
    client->lists[0].changed = true;
    send_slate(client);
    assert_int_equal(ask_number(&client->server, "EXISTS rec:changes"), 0);
}

static void test_publisher_stores_lists_though_the_stream_is_none(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    tell(&client->server, "SET rec:changes mine");
    fill(client, 2, 5);
    client->lists[0].changed = true;
    send_slate(client);
    assert_outcomes(client, SLATE_STORED);
    assert_int_equal(publisher_figures(client->publisher)->changes_refused, 1);
}

/* ---- gets ---- */

static void test_publisher_gets_absent_for_a_user_without_a_list(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    get(client, SLICE("stranger"));
    assert_string_equal(client->got, "absent");
}

static void test_publisher_gets_an_error_from_a_key_of_another_type(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    tell(&client->server, "RPUSH rec:u0 mine");
    get(client, SLICE("u0"));
    assert_int_equal(strncmp(client->got, "error: WRONGTYPE", 16), 0);
}

static void test_publisher_gets_an_error_when_it_is_not_up(void **state)
{
    struct client *client = *state;
    open_publisher(client);
    get(client, SLICE("u0"));
    assert_string_equal(client->got, "error: Redis is away");
}

static void test_publisher_answers_more_gets_than_its_cap(void **state)
{
    struct client *client = *state;
    client->settings.redis.in_flight_max = 2;
    open_and_wait(client);
    for (int i = 0; i < 50; i++)
        publisher_get(client->publisher, SLICE("u0"), on_got, client);
    wait_for(&client->loop, &client->gots, 51);
    assert_string_equal(client->got, "absent");
}

/* ---- meta ---- */

static void test_publisher_finds_its_lists_lost_in_an_empty_redis(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    assert_int_equal(client->losses, 1);
    assert_int_equal(client->ups_at_loss, 1); /* after up */
    assert_answer(&client->server, "HGET rec:meta " STATE_NONCE, NONCE);
    assert_answer(&client->server, "HGET rec:meta nonce", NONCE);
    assert_answer(&client->server, "HGET rec:meta schema", "1");
}

static void reopen(struct client *client)
{
    close_publisher(client);
    client->ups = client->losses = client->gots = 0;
    open_and_wait(client);
}

static void test_publisher_finds_its_lists_again_after_a_restart(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    while (ask_number(&client->server, "HEXISTS rec:meta filled:01234567") == 0)
        reaches_within(&client->loop, &client->losses, 2, 50); /* heartbeats go on */
    reopen(client);
    assert_int_equal(client->losses, 0);
}

static void test_publisher_takes_a_refill_that_was_not_done_for_lost(void **state)
{
    struct client *client = *state;
    client->refills = true;
    open_and_wait(client);
    assert_false(reaches_within(&client->loop, &client->losses, 2, PUBLISHER_HEARTBEAT_MS + 500));
    reopen(client);
    assert_int_equal(client->losses, 1);
}

/* Two, as the first may have been under way. */
static void wait_for_looks(uv_loop_t *loop, const struct client *client)
{
    int before = client->mets;
    wait_for(loop, &client->mets, before + 2);
}

static void test_publisher_takes_a_second_refill_that_was_not_done_for_lost(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    wait_for_looks(&client->loop, client); /* the first one is done, and Redis knows */
    client->refills = true;
    tell(&client->server, "FLUSHALL");
    wait_for(&client->loop, &client->losses, 2);
    wait_for_looks(&client->loop, client);
    reopen(client);
    assert_int_equal(client->losses, 1);
}

#define OTHER_NONCE "fedcba9876543210"

static struct client *open_other(struct client *client, uint32_t epoch, const char *log)
{
    struct client *other = client->other = calloc(1, sizeof *other);
    other->settings = client->settings;
    other->settings.nonce = OTHER_NONCE;
    other->settings.log = log;
    other->settings.place.epoch = epoch;
    assert_int_equal(
        publisher_open(&other->publisher, &client->loop, &other->settings, &hooks, other, NULL), 0);
    return other;
}

static void test_publisher_takes_another_states_redis_for_lost(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    client->settings.nonce = OTHER_NONCE;
    reopen(client);
    assert_int_equal(client->losses, 1);
}

static void test_publisher_takes_another_nonce_of_the_same_name_for_lost(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    client->settings.nonce = NONCE "0";
    reopen(client);
    assert_int_equal(client->losses, 1);
}

static void test_publisher_lives_with_another_state_in_one_prefix(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    struct client *other = open_other(client, 1, "one log");
    wait_for(&client->loop, &other->losses, 1);
    /* Neither is lost once more in the time of a heartbeat of both. */
    assert_false(reaches_within(&client->loop, &client->losses, 2, PUBLISHER_HEARTBEAT_MS + 500));
    assert_int_equal(other->losses, 1);
    close_other(client);
}

/* ---- others under the prefix ---- */

static void test_publisher_without_an_epoch_joins_those_that_are_alive(void **state)
{
    struct client *client = *state;
    client->settings.place.epoch = 7;
    open_and_wait(client);
    struct client *other = open_other(client, 0, "one log");
    wait_for(&client->loop, &other->ups, 1);
    assert_int_equal(other->downs, 1); /* while it watched, and said so */
    assert_non_null(strstr(other->why.text, "rec:meta"));
    assert_int_equal(other->place.epoch, 7);
    close_other(client);
}

static void test_publisher_does_not_count_those_as_alive_whose_fields_are_gone(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    open_other(client, 1, "one log");
    for (int looks = 0; looks < 2 && !client->group.alive; looks++)
        wait_for_looks(&client->loop, client);
    assert_true(client->group.alive);
    close_other(client);
    tell(&client->server, "HDEL rec:meta heartbeat:fedcba98");
    wait_for_looks(&client->loop, client);
    assert_false(client->group.alive);
}

static void test_publisher_does_not_count_those_as_alive_whose_heartbeat_stands(void **state)
{
    struct client *client = *state;
    tell(&client->server, "HSET rec:meta heartbeat:fedcba98 5 log:fedcba98 x");
    client->settings.log = "x";
    open_and_wait(client);
    assert_int_equal(client->mets, 1);
    assert_false(client->group.alive);
}

static void test_publisher_without_an_epoch_does_not_join_the_dead(void **state)
{
    struct client *client = *state;
    client->settings.place.epoch = 7;
    open_and_wait(client);
    close_publisher(client);
    struct client *other = open_other(client, 0, "one log");
    wait_for(&client->loop, &other->ups, 1);
    assert_int_equal(other->place.epoch, 8);
    assert_answer(&client->server, "HGET rec:meta epoch", "8");
    close_other(client);
}

static void test_publisher_hears_of_a_greater_epoch_with_a_heartbeat(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    struct client *other = open_other(client, 9, "one log");
    wait_for(&client->loop, &other->ups, 1);
    client->mets = 0;
    while (client->group.epoch != 9)
        wait_for(&client->loop, &client->mets, client->mets + 1);
    assert_int_equal(client->place.epoch, 9);
    close_other(client);
}

static void test_publisher_never_lowers_the_swap_of_all(void **state)
{
    struct client *client = *state;
    tell(&client->server, "HSET rec:meta swap 9 claimed fedcba98");
    client->settings.place.swap = 4;
    open_and_wait(client);
    assert_answer(&client->server, "HGET rec:meta swap", "9");
    assert_answer(&client->server, "HGET rec:meta claimed", "fedcba98");
}

static void test_publisher_claims_a_swap_above_the_others(void **state)
{
    struct client *client = *state;
    client->settings.place.swap = 4;
    open_and_wait(client);
    assert_answer(&client->server, "HGET rec:meta swap", "4");
    struct client *other = open_other(client, 1, "one log");
    wait_for(&client->loop, &other->ups, 1);
    assert_int_equal(other->downs, 0); /* it has an epoch, so it need not watch whether we live */
    publisher_claim(other->publisher);
    assert_false(publisher_is_up(other->publisher));
    wait_for(&client->loop, &other->ups, 2);
    assert_true(other->group.taken_over);
    assert_int_equal(other->place.swap, 5);
    assert_answer(&client->server, "HGET rec:meta swap", "5");
    assert_answer(&client->server, "HGET rec:meta claimed", "fedcba98");
    publisher_claim(other->publisher); /* nobody wrote a swap since */
    wait_for(&client->loop, &other->ups, 3);
    assert_false(other->group.taken_over);
    assert_answer(&client->server, "HGET rec:meta swap", "5");
    publisher_claim(client->publisher);
    wait_for(&client->loop, &client->ups, 2);
    assert_true(client->group.taken_over);
    wait_for_looks(&client->loop, other);
    assert_int_equal(other->place.swap, 5); /* it has claimed nothing since */
    assert_answer(&client->server, "HGET rec:meta swap", "6");
    close_other(client);
}

static void test_publisher_sends_nothing_before_its_place_is_known(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    publisher_set_place(client->publisher, &(struct meta_place){.epoch = 1, .swap = 3});
    fill(client, 3, 5);
    send_slate(client);
    assert_outcomes(client, SLATE_UNSENT);
    wait_for(&client->loop, &client->ups, 2);
    assert_answer(&client->server, "HGET rec:meta swap", "3");
    send_slate(client);
    assert_outcomes(client, SLATE_STORED);
}

static void
test_publisher_that_claims_while_it_connects_is_up_once_it_has_looked_again(void **state)
{
    struct client *client = *state;
    client->claims = true;
    open_publisher(client);
    wait_for(&client->loop, &client->ups, 1);
    assert_int_equal(client->mets, 2);
}

static void test_publisher_yields_to_a_living_state_of_another_log(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    struct client *other = open_other(client, 2, "another log");
    wait_for(&client->loop, &other->downs, 2); /* it watched, and found the first alive */
    assert_non_null(strstr(other->why.text, "redis.prefix"));
    assert_non_null(strstr(other->why.text, "one log"));
    assert_int_equal(other->ups, 0);
    assert_answer(&client->server, "HGET rec:meta epoch", "1");
    close_publisher(client);
    wait_for(&client->loop, &other->ups, 1);
    close_other(client);
}

static void test_publisher_notices_a_flush(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    tell(&client->server, "FLUSHALL");
    wait_for(&client->loop, &client->losses, 2);
    assert_int_equal(client->ups, 1); /* on the same connection */
    get(client, SLICE("nobody"));
    assert_answer(&client->server, "HGET rec:meta " STATE_NONCE, NONCE);
}

static void test_publisher_notices_that_redis_went_back_in_time(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    tell(&client->server, "HSET rec:meta " STATE_HEARTBEAT " 1700000000000");
    wait_for(&client->loop, &client->losses, 2);
}

/* By a process that died before the state kept it, while the clock was ahead. */
static void test_publisher_marks_go_on_from_what_lies_in_redis(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    tell(&client->server, "HSET rec:meta " STATE_HEARTBEAT " 99000000000000");
    reopen(client);
    send_one(client, 5, SLATE_STORED);
    assert_true(client->mark_ms > INT64_C(99000000000000));
}

static void test_publisher_writes_the_generation_with_a_heartbeat(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    assert_answer(&client->server, "HGET rec:meta generation", "0");
    publisher_set_generation(client->publisher, 42);
    reaches_within(&client->loop, &client->downs, 1, PUBLISHER_HEARTBEAT_MS + 500);
    assert_int_equal(client->downs, 0);
    assert_answer(&client->server, "HGET rec:meta generation", "42");
}

static void test_publisher_beats_while_a_slate_takes_all_the_room(void **state)
{
    struct client *client = *state;
    client->settings.redis.in_flight_max = 1;
    open_and_wait(client);
    publisher_set_generation(client->publisher, 42);
    uint64_t began = uv_hrtime();
    while (uv_hrtime() - began < (PUBLISHER_HEARTBEAT_MS + 500) * UINT64_C(1000000)) {
        fill(client, LISTS_MAX, 5);
        send_slate(client);
    }
    assert_answer(&client->server, "HGET rec:meta generation", "42");
}

static void test_publisher_takes_back_what_was_acknowledged_before_a_loss(void **state)
{
    struct client *client = *state;
    fill(client, 3, 5);
    client->lists[0].outcome = client->lists[1].outcome = client->lists[2].outcome = SLATE_STORED;
    struct sending sending = {.slate = &client->slate, .next = 3, .answered = 2};
    sending_forget(&sending);
    assert_int_equal(client->lists[0].outcome, SLATE_UNSENT);
    assert_int_equal(client->lists[1].outcome, SLATE_UNSENT);
    assert_int_equal(client->lists[2].outcome, SLATE_STORED);
}

/* The server is frozen with the first lists before it until a heartbeat waits for room behind them,
 * and meanwhile another client's FLUSHALL arrives. Thawed, it does what has arrived before it can
 * see the heartbeat; what follows the heartbeat comes after the flush for certain. */
static void test_publisher_owes_what_a_flush_met_in_the_middle_of_a_slate(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    server_freeze(&client->server);
    fill(client, LISTS_MAX, 5);
    publisher_send(client->publisher, &client->slate, on_sent, client);
    assert_false(reaches_within(&client->loop, &client->sents, 1, PUBLISHER_HEARTBEAT_MS + 500));
    int written = 0;
    assert_int_equal(redisAppendCommand(client->server.client, "FLUSHALL"), REDIS_OK);
    while (!written)
        assert_int_equal(redisBufferWrite(client->server.client, &written), REDIS_OK);
    server_thaw(&client->server);
    wait_for(&client->loop, &client->sents, 1);
    assert_int_equal(client->losses, 2);
    assert_int_equal(client->lists[0].outcome, SLATE_UNSENT);
    assert_int_equal(client->lists[LISTS_MAX - 1].outcome, SLATE_STORED);
    redisReply *flushed = NULL;
    assert_int_equal(redisGetReply(client->server.client, (void **)&flushed), REDIS_OK);
    freeReplyObject(flushed);
}

static void test_publisher_is_not_up_where_meta_is_no_hash(void **state)
{
    struct client *client = *state;
    tell(&client->server, "SET rec:meta mine");
    open_publisher(client);
    wait_for(&client->loop, &client->downs, 2);
    assert_int_equal(client->ups, 0);
    assert_non_null(strstr(client->why.text, "rec:meta: WRONGTYPE"));
    assert_answer(&client->server, "GET rec:meta", "mine");
    tell(&client->server, "DEL rec:meta");
    wait_for(&client->loop, &client->ups, 1);
}

/* ---- users and passwords ---- */

static void protect(struct client *client)
{
    tell(&client->server, "ACL SETUSER freshet on >s3cret ~rec:* +@all");
    tell(&client->server, "ACL SETUSER default resetpass >other");
    client->settings.redis.username = "freshet";
    client->settings.redis.password = "s3cret";
}

static void test_publisher_signs_in_with_user_and_password(void **state)
{
    struct client *client = *state;
    protect(client);
    open_and_wait(client);
    send_one(client, 5, SLATE_STORED);
}

static void test_publisher_says_that_the_password_is_wrong_but_not_which(void **state)
{
    struct client *client = *state;
    protect(client);
    client->settings.redis.password = "hunter2";
    open_publisher(client);
    wait_for(&client->loop, &client->downs, 2);
    assert_int_equal(client->ups, 0);
    assert_non_null(strstr(client->why.text, "WRONGPASS"));
    assert_null(strstr(client->why.text, "hunter2"));
}

static void test_publisher_is_not_up_where_a_password_is_missing(void **state)
{
    struct client *client = *state;
    protect(client);
    client->settings.redis.username = client->settings.redis.password = "";
    open_publisher(client);
    wait_for(&client->loop, &client->downs, 1);
    assert_non_null(strstr(client->why.text, "NOAUTH"));
}

static void test_publisher_says_what_the_user_may_not_do(void **state)
{
    struct client *client = *state;
    protect(client);
    client->settings.prefix = "elsewhere:";
    open_publisher(client);
    wait_for(&client->loop, &client->downs, 1);
    assert_int_equal(client->ups, 0);
    assert_non_null(strstr(client->why.text, "NOPERM"));
}

static void test_publisher_says_what_its_script_may_not_do(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    tell(&client->server, "ACL SETUSER default -exists");
    freeReplyObject(
        ask(&client->server, "SET rec:u0 %s", "")); /* it asks EXISTS of what is empty */
    fill(client, 1, 5);
    send_slate(client);
    assert_outcomes(client, SLATE_UNSENT);
    wait_for(&client->loop, &client->downs, 1);
    assert_non_null(strstr(client->why.text, "writing a list: "));
    if (strstr(client->why.text, "it runs GETRANGE, EXISTS and SET") == NULL)
        fail_msg("%s", client->why.text);
}

/* What cannot be looked at is not there, for all we know: nothing says that the lists are lost. */
static void test_publisher_is_not_up_where_it_may_not_look(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    tell(&client->server, "ACL SETUSER default -hgetall");
    wait_for(&client->loop, &client->downs, 1);
    assert_non_null(strstr(client->why.text, "rec:meta: NOPERM"));
    wait_for(&client->loop, &client->downs, 2);
    assert_int_equal(client->ups, 1);
    assert_int_equal(client->losses, 1); /* at the beginning */
}

/* ---- a server in trouble ---- */

static void test_publisher_is_down_at_once_when_a_mark_is_refused(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    int mets = client->mets;
    tell(&client->server, "ACL SETUSER default -hset");
    fill(client, 1, 5);
    send_slate(client);
    assert_outcomes(client, SLATE_UNSENT); /* in Redis, but nothing says that it stays */
    wait_for(&client->loop, &client->downs, 1);
    assert_non_null(strstr(client->why.text, "rec:meta: NOPERM"));
    assert_int_equal(client->mets, mets); /* no heartbeat was needed to find out */
    tell(&client->server, "ACL SETUSER default +hset");
    wait_for(&client->loop, &client->ups, 2);
    send_slate(client);
    assert_outcomes(client, SLATE_STORED);
}

static void test_publisher_keeps_lists_unsent_when_the_server_is_killed(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    server_freeze(&client->server); /* so that no list can be answered before the end */
    fill(client, LISTS_MAX, 5);
    publisher_send(client->publisher, &client->slate, on_sent, client);
    assert_false(reaches_within(&client->loop, &client->sents, 1, 100));
    server_kill(&client->server);
    wait_for(&client->loop, &client->sents, 1);
    assert_outcomes(client, SLATE_UNSENT);
    wait_for(&client->loop, &client->downs, 1);
    assert_int_equal(client->sents, 1);
    assert_int_equal(publisher_figures(client->publisher)->unsent, LISTS_MAX);
}

static void test_publisher_gives_up_the_change_of_a_list_that_was_not_answered(void **state)
{
    struct client *client = *state;
    client->settings.redis.in_flight_max = 1; /* the change waits for the list's answer */
    open_and_wait(client);
    server_freeze(&client->server);
    fill(client, 1, 5);
    client->lists[0].changed = true;
    publisher_send(client->publisher, &client->slate, on_sent, client);
    uv_run(&client->loop, UV_RUN_NOWAIT); /* the list is under way */
    assert_int_equal(publisher_figures(client->publisher)->sent, 1);
    server_kill(&client->server);
    wait_for(&client->loop, &client->sents, 1);
    assert_outcomes(client, SLATE_UNSENT);
}

static void test_publisher_gets_an_error_when_the_server_is_killed(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    server_freeze(&client->server);
    publisher_get(client->publisher, SLICE("u0"), on_got, client);
    assert_false(reaches_within(&client->loop, &client->gots, 2, 100));
    server_kill(&client->server);
    wait_for(&client->loop, &client->gots, 2);
    assert_string_equal(client->got, "error: the connection to Redis was lost");
    wait_for(&client->loop, &client->downs, 1);
}

static void test_publisher_owes_all_to_a_server_that_comes_back_empty(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    server_kill(&client->server);
    wait_for(&client->loop, &client->downs, 1);
    server_remove(&client->server, "redis.sock");
    server_run(&client->server);
    wait_for(&client->loop, &client->losses, 2);
    assert_int_equal(client->ups, 2);
    assert_int_equal(client->ups_at_loss, 2);
    send_one(client, 5, SLATE_STORED);
}

static void test_publisher_gives_up_on_a_server_that_hangs(void **state)
{
    struct client *client = *state;
    client->settings.redis.timeout_ms = 300;
    open_and_wait(client);
    server_freeze(&client->server);
    fill(client, 3, 5);
    send_slate(client);
    assert_outcomes(client, SLATE_UNSENT);
    wait_for(&client->loop, &client->downs, 1);
    server_thaw(&client->server);
    wait_for(&client->loop, &client->ups, 2);
    assert_int_equal(client->losses, 1); /* it has kept its lists */
}

static void test_publisher_sends_again_after_a_lost_script(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    tell(&client->server, "SCRIPT FLUSH");
    send_one(client, 5, SLATE_UNSENT);
    send_one(client, 5, SLATE_STORED);
    assert_int_equal(client->downs, 0);
}

static void test_publisher_is_down_while_the_server_is_full(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    tell(&client->server, "CONFIG SET maxmemory 1");
    send_one(client, 5, SLATE_UNSENT);
    wait_for(&client->loop, &client->downs, 2);
    assert_non_null(strstr(client->why.text, "OOM"));
    assert_int_equal(client->ups, 1);
    tell(&client->server, "CONFIG SET maxmemory 0");
    wait_for(&client->loop, &client->ups, 2);
    send_one(client, 5, SLATE_STORED);
}

static void test_publisher_is_not_up_on_a_replica(void **state)
{
    struct client *client = *state;
    tell(&client->server, "REPLICAOF 127.0.0.1 1");
    open_publisher(client);
    wait_for(&client->loop, &client->downs, 2);
    assert_int_equal(client->ups, 0);
    assert_non_null(strstr(client->why.text, "READONLY"));
    tell(&client->server, "REPLICAOF NO ONE");
    wait_for(&client->loop, &client->ups, 1);
}

/* ---- the end ---- */

static void test_publisher_close_hands_back_what_is_under_way(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    server_freeze(&client->server);
    fill(client, LISTS_MAX, 5);
    publisher_send(client->publisher, &client->slate, on_sent, client);
    publisher_get(client->publisher, SLICE("u0"), on_got, client);
    assert_false(reaches_within(&client->loop, &client->sents, 1, 100));
    close_publisher(client);
    assert_int_equal(client->sents, 1);
    assert_outcomes(client, SLATE_UNSENT);
    assert_int_equal(strncmp(client->got, "error: ", 7), 0);
    assert_int_equal(client->downs, 0);
}

static void test_publisher_close_hands_back_what_has_not_begun(void **state)
{
    struct client *client = *state;
    open_and_wait(client);
    fill(client, 3, 5);
    publisher_send(client->publisher, &client->slate, on_sent, client);
    publisher_get(client->publisher, SLICE("u0"), on_got, client);
    close_publisher(client);
    assert_int_equal(client->sents, 1);
    assert_int_equal(client->gots, 2);
    assert_outcomes(client, SLATE_UNSENT);
}

static void test_publisher_closes_before_it_was_up(void **state)
{
    struct client *client = *state;
    open_publisher(client);
    close_publisher(client);
    assert_int_equal(client->ups, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_publisher_stores_a_list_and_gets_it_back),
        cmocka_unit_test_setup_teardown(test_publisher_stores_over_tcp, set_up_tcp, tear_down),
        TEST(test_publisher_gives_lists_an_expiry_within_the_jitter),
        TEST(test_publisher_tells_newer_lists_from_lists_replaced),
        TEST(test_publisher_refuses_keys_that_are_not_its_own),
        TEST(test_publisher_refuses_a_list_of_another_partition),
        TEST(test_publisher_leaves_a_fenced_tombstone_of_a_forgotten_user),
        TEST(test_publisher_writes_the_popular_list_and_no_change_of_it),
        TEST(test_publisher_sends_a_slate_larger_than_the_cap_in_portions),
        TEST(test_publisher_sends_no_list_beyond_what_is_to_send),
        TEST(test_publisher_hands_a_slate_back_of_which_nothing_is_to_send),
        TEST(test_publisher_leaves_what_is_held_back_when_it_is_not_up),
        TEST(test_publisher_sends_with_room_for_one_command),
        TEST(test_publisher_hands_an_empty_slate_back_from_the_loop),
        TEST(test_publisher_hands_a_slate_back_unsent_when_it_is_not_up),
        TEST(test_publisher_names_the_users_whose_lists_changed),
        TEST(test_publisher_caps_the_stream_of_changes),
        TEST(test_publisher_writes_no_changes_when_none_are_wanted),
        TEST(test_publisher_stores_lists_though_the_stream_is_none),
        TEST(test_publisher_gets_absent_for_a_user_without_a_list),
        TEST(test_publisher_gets_an_error_from_a_key_of_another_type),
        TEST(test_publisher_gets_an_error_when_it_is_not_up),
        TEST(test_publisher_answers_more_gets_than_its_cap),
        TEST(test_publisher_finds_its_lists_lost_in_an_empty_redis),
        TEST(test_publisher_finds_its_lists_again_after_a_restart),
        TEST(test_publisher_takes_a_refill_that_was_not_done_for_lost),
        TEST(test_publisher_takes_a_second_refill_that_was_not_done_for_lost),
        TEST(test_publisher_takes_another_states_redis_for_lost),
        TEST(test_publisher_takes_another_nonce_of_the_same_name_for_lost),
        TEST(test_publisher_lives_with_another_state_in_one_prefix),
        TEST(test_publisher_without_an_epoch_joins_those_that_are_alive),
        TEST(test_publisher_does_not_count_those_as_alive_whose_heartbeat_stands),
        TEST(test_publisher_does_not_count_those_as_alive_whose_fields_are_gone),
        TEST(test_publisher_without_an_epoch_does_not_join_the_dead),
        TEST(test_publisher_hears_of_a_greater_epoch_with_a_heartbeat),
        TEST(test_publisher_never_lowers_the_swap_of_all),
        TEST(test_publisher_claims_a_swap_above_the_others),
        TEST(test_publisher_sends_nothing_before_its_place_is_known),
        TEST(test_publisher_that_claims_while_it_connects_is_up_once_it_has_looked_again),
        TEST(test_publisher_yields_to_a_living_state_of_another_log),
        TEST(test_publisher_notices_a_flush),
        TEST(test_publisher_notices_that_redis_went_back_in_time),
        TEST(test_publisher_marks_go_on_from_what_lies_in_redis),
        TEST(test_publisher_writes_the_generation_with_a_heartbeat),
        TEST(test_publisher_beats_while_a_slate_takes_all_the_room),
        TEST(test_publisher_takes_back_what_was_acknowledged_before_a_loss),
        TEST(test_publisher_owes_what_a_flush_met_in_the_middle_of_a_slate),
        TEST(test_publisher_is_not_up_where_meta_is_no_hash),
        TEST(test_publisher_signs_in_with_user_and_password),
        TEST(test_publisher_says_that_the_password_is_wrong_but_not_which),
        TEST(test_publisher_is_not_up_where_a_password_is_missing),
        TEST(test_publisher_says_what_the_user_may_not_do),
        TEST(test_publisher_says_what_its_script_may_not_do),
        TEST(test_publisher_is_not_up_where_it_may_not_look),
        TEST(test_publisher_is_down_at_once_when_a_mark_is_refused),
        TEST(test_publisher_keeps_lists_unsent_when_the_server_is_killed),
        TEST(test_publisher_gives_up_the_change_of_a_list_that_was_not_answered),
        TEST(test_publisher_gets_an_error_when_the_server_is_killed),
        TEST(test_publisher_owes_all_to_a_server_that_comes_back_empty),
        TEST(test_publisher_gives_up_on_a_server_that_hangs),
        TEST(test_publisher_sends_again_after_a_lost_script),
        TEST(test_publisher_is_down_while_the_server_is_full),
        TEST(test_publisher_is_not_up_on_a_replica),
        TEST(test_publisher_close_hands_back_what_is_under_way),
        TEST(test_publisher_close_hands_back_what_has_not_begun),
        TEST(test_publisher_closes_before_it_was_up),
    };
    signal(SIGPIPE, SIG_IGN); /* as daemon_run does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
