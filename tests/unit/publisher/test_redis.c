/* The connection against a server that is part of the test and has no manners. */
#include "publisher/redis.h"

#include "base/mem.h"
#include "harness.h"

#define SHA "0123456789012345678901234567890123456789"
#define GREETED "$40\r\n" SHA "\r\n+PONG\r\n"
#define GREETING_COMMANDS 2 /* SCRIPT LOAD, PING */
#define TIMEOUT_MS 300

/* ---- the fake: counts commands by their "*", answers each connection from a script ---- */

struct fake {
    uv_loop_t *loop;
    uv_tcp_t listener;
    uv_tcp_t *peers[64];
    int accepted;
    int commands;    /* on the present connection */
    char text[4096]; /* what the present connection has sent, as far as it fits */
    int text_bytes;
    const char *greeting; /* answered to the last of the greeting's commands */
    int greeting_commands;
    const char *answer; /* to the `answer_at`th command after the greeting */
    int answer_at;
    bool close_after; /* the answer */
    bool flood;       /* instead of an answer, bytes without end */
    char address[32];
};

struct flood {
    uv_write_t request;
    char bytes[1 << 20];
};

static void on_fake_written(uv_write_t *request, int status)
{
    free(request);
}

static void fake_send(uv_tcp_t *peer, const char *text, size_t length)
{
    uv_write_t *request = malloc(sizeof *request);
    uv_buf_t buf = uv_buf_init((char *)text, (unsigned)length);
    assert_int_equal(uv_write(request, (uv_stream_t *)peer, &buf, 1, on_fake_written), 0);
}

static void free_peer(uv_handle_t *handle)
{
    free(handle);
}

static void fake_hang_up(struct fake *fake, uv_tcp_t *peer)
{
    for (int i = 0; i < fake->accepted; i++) {
        if (fake->peers[i] == peer)
            fake->peers[i] = NULL;
    }
    if (!uv_is_closing((uv_handle_t *)peer))
        uv_close((uv_handle_t *)peer, free_peer);
}

static void on_flooded(uv_write_t *request, int status)
{
    uv_tcp_t *peer = (uv_tcp_t *)request->handle;
    struct flood *flood = (struct flood *)request;
    uv_buf_t buf = uv_buf_init(flood->bytes, sizeof flood->bytes);
    if (status != 0 || uv_is_closing((uv_handle_t *)peer) ||
        uv_write(request, (uv_stream_t *)peer, &buf, 1, on_flooded) != 0)
        free(flood);
}

static void start_flood(uv_tcp_t *peer)
{
    struct flood *flood = calloc(1, sizeof *flood);
    memset(flood->bytes, 'x', sizeof flood->bytes);
    uv_buf_t buf = uv_buf_init(flood->bytes, sizeof flood->bytes);
    assert_int_equal(uv_write(&flood->request, (uv_stream_t *)peer, &buf, 1, on_flooded), 0);
}

static void fake_answer(struct fake *fake, uv_tcp_t *peer)
{
    if (fake->answer != NULL)
        fake_send(peer, fake->answer, strlen(fake->answer));
    if (fake->flood)
        start_flood(peer);
    if (fake->close_after)
        fake_hang_up(fake, peer);
}

static void fake_take_command(struct fake *fake, uv_tcp_t *peer)
{
    fake->commands++;
    if (fake->commands == fake->greeting_commands && fake->greeting != NULL)
        fake_send(peer, fake->greeting, strlen(fake->greeting));
    if (fake->commands == fake->greeting_commands + fake->answer_at)
        fake_answer(fake, peer);
}

static void on_fake_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char bytes[65536];
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_fake_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct fake *fake = stream->data;
    if (count < 0) {
        fake_hang_up(fake, (uv_tcp_t *)stream);
        return;
    }
    for (ssize_t i = 0; i < count; i++) {
        if (fake->text_bytes < (int)sizeof fake->text - 1)
            fake->text[fake->text_bytes++] = buf->base[i];
        if (buf->base[i] == '*' && !uv_is_closing((uv_handle_t *)stream))
            fake_take_command(fake, (uv_tcp_t *)stream);
    }
}

static void on_fake_accept(uv_stream_t *listener, int status)
{
    struct fake *fake = listener->data;
    uv_tcp_t *peer = malloc(sizeof *peer);
    uv_tcp_init(fake->loop, peer);
    peer->data = fake;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)peer), 0);
    assert_true((size_t)fake->accepted < sizeof fake->peers / sizeof *fake->peers);
    fake->peers[fake->accepted++] = peer;
    fake->commands = 0;
    fake->text_bytes = 0;
    memset(fake->text, 0, sizeof fake->text);
    uv_read_start((uv_stream_t *)peer, on_fake_buffer, on_fake_read);
}

static void fake_open(struct fake *fake, uv_loop_t *loop)
{
    *fake =
        (struct fake){.loop = loop, .greeting = GREETED, .greeting_commands = GREETING_COMMANDS};
    struct sockaddr_in address;
    int length = sizeof address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, &fake->listener);
    fake->listener.data = fake;
    assert_int_equal(uv_tcp_bind(&fake->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&fake->listener, 16, on_fake_accept), 0);
    uv_tcp_getsockname(&fake->listener, (struct sockaddr *)&address, &length);
    snprintf(fake->address, sizeof fake->address, "127.0.0.1:%d", ntohs(address.sin_port));
}

static void fake_close(struct fake *fake)
{
    for (int i = 0; i < fake->accepted; i++) {
        if (fake->peers[i] != NULL)
            fake_hang_up(fake, fake->peers[i]);
    }
    uv_close((uv_handle_t *)&fake->listener, ignore_close);
}

/* ---- the client ---- */

#define COMMANDS_MAX 8

struct client {
    uv_loop_t loop;
    struct fake fake;
    struct redis *redis;
    struct redis_settings settings;
    int ups, downs, replies, closed;
    int answered[COMMANDS_MAX]; /* how often each command was answered */
    int lost;                   /* of the replies, those with NULL */
    int order_errors;
    int next_expected;
    int64_t number;
    enum redis_reply_type type;
    size_t count;
    char text[256];
    struct error why;
    bool close_in_reply, drop_in_reply, close_in_down;
};

struct asked {
    struct client *client;
    int number;
};
static struct asked asked[COMMANDS_MAX];

static void on_closed(void *arg)
{
    ((struct client *)arg)->closed++;
}

static void on_up(void *arg)
{
    ((struct client *)arg)->ups++;
}

static void on_down(const struct error *why, void *arg)
{
    struct client *client = arg;
    client->downs++;
    client->why = *why;
    if (client->close_in_down)
        redis_close(client->redis, on_closed, client);
}

static const struct redis_hooks hooks = {on_up, on_down};

static void on_reply(const struct redis_reply *reply, void *arg)
{
    struct asked *which = arg;
    struct client *client = which->client;
    client->replies++;
    client->answered[which->number]++;
    client->order_errors += which->number != client->next_expected++;
    client->lost += reply == NULL;
    if (reply != NULL) {
        client->type = reply->type;
        client->number = reply->number;
        client->count = reply->count;
        snprintf(client->text, sizeof client->text, "%.*s", SLICE_ARG(reply->text));
    }
    struct error why = {.code = ERR_DOWN, .text = "dropped by the test"};
    if (client->close_in_reply && client->closed == 0) {
        client->close_in_reply = false;
        redis_close(client->redis, on_closed, client);
    } else if (client->drop_in_reply) {
        client->drop_in_reply = false;
        redis_drop(client->redis, &why);
    }
}

static int open_client(void **state)
{
    struct client *client = calloc(1, sizeof *client);
    assert_int_equal(uv_loop_init(&client->loop), 0);
    fake_open(&client->fake, &client->loop);
    client->settings = (struct redis_settings){.address = client->fake.address,
                                               .username = "",
                                               .password = "",
                                               .timeout_ms = TIMEOUT_MS,
                                               .in_flight_max = COMMANDS_MAX};
    *state = client;
    return 0;
}

static void connect_client(struct client *client)
{
    assert_int_equal(redis_open(&client->redis, &client->loop, &client->settings, "return 1",
                                &hooks, client, NULL),
                     0);
}

static void connect_and_wait(struct client *client)
{
    connect_client(client);
    wait_for(&client->loop, &client->ups, 1);
}

static void send_commands(struct client *client, int count)
{
    for (int i = 0; i < count; i++) {
        asked[i] = (struct asked){client, i};
        struct slice word = SLICE("PING");
        assert_int_equal(redis_command(client->redis, &word, 1, on_reply, &asked[i]), 0);
    }
    assert_int_equal(client->replies, 0); /* never before the call has returned */
}

static void assert_each_answered_once(const struct client *client, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(client->answered[i], 1);
    assert_int_equal(client->order_errors, 0);
}

static int close_client(void **state)
{
    struct client *client = *state;
    if (client->redis != NULL && !client->closed && !client->close_in_down)
        redis_close(client->redis, on_closed, client);
    if (client->redis != NULL)
        wait_for(&client->loop, &client->closed, 1);
    fake_close(&client->fake);
    assert_loop_empties(&client->loop);
    assert_true(client->closed <= 1);
    free(client);
    return 0;
}

/* Sends three commands to a server that answers as told, and expects them lost for this reason, and
 * a new connection. */
static void assert_lost_and_reconnected(struct client *client, const char *reason)
{
    connect_and_wait(client);
    send_commands(client, 3);
    wait_for(&client->loop, &client->downs, 1);
    assert_each_answered_once(client, 3);
    assert_true(client->lost >= 1);
    if (strstr(client->why.text, reason) == NULL)
        fail_msg("not because of \"%s\": %s", reason, client->why.text);
    wait_for(&client->loop, &client->ups, 2);
    assert_each_answered_once(client, 3);
}

/* ---- tests ---- */

static void test_redis_is_up_after_the_greeting(void **state)
{
    struct client *client = *state;
    connect_client(client);
    assert_false(redis_is_up(client->redis));
    assert_int_equal(redis_room(client->redis), 0);
    wait_for(&client->loop, &client->ups, 1);
    assert_true(redis_is_up(client->redis));
    assert_string_equal(redis_script_sha(client->redis), SHA);
    assert_int_equal(redis_room(client->redis), COMMANDS_MAX);
}

static void test_redis_refuses_an_address_that_is_none(void **state)
{
    struct client *client = *state;
    client->settings.address = "nowhere";
    struct error err;
    assert_int_equal(
        redis_open(&client->redis, &client->loop, &client->settings, "", &hooks, client, &err),
        ERR_SETTINGS);
    client->redis = NULL;
}

static void test_redis_refuses_commands_while_it_is_not_up(void **state)
{
    struct client *client = *state;
    connect_client(client);
    struct slice word = SLICE("PING");
    assert_int_equal(redis_command(client->redis, &word, 1, on_reply, NULL), ERR_DOWN);
}

static void test_redis_refuses_more_commands_than_its_cap(void **state)
{
    struct client *client = *state;
    connect_and_wait(client);
    send_commands(client, COMMANDS_MAX);
    assert_int_equal(redis_room(client->redis), 0);
    struct slice word = SLICE("PING");
    assert_int_equal(redis_command(client->redis, &word, 1, on_reply, NULL), ERR_DOWN);
}

static void test_redis_sends_what_is_queued_in_a_turn_in_order(void **state)
{
    struct client *client = *state;
    client->fake.answer = "+a\r\n:7\r\n$3\r\nabc\r\n";
    client->fake.answer_at = 3;
    connect_and_wait(client);
    send_commands(client, 3);
    wait_for(&client->loop, &client->replies, 3);
    assert_each_answered_once(client, 3);
    assert_int_equal(client->lost, 0);
    assert_string_equal(client->text, "abc");
}

static void test_redis_reads_arrays_with_arrays_inside(void **state)
{
    struct client *client = *state;
    client->fake.answer = "*3\r\n$1\r\na\r\n$-1\r\n*2\r\n:1\r\n-ERR in\r\n";
    client->fake.answer_at = 1;
    connect_and_wait(client);
    send_commands(client, 1);
    wait_for(&client->loop, &client->replies, 1);
    assert_int_equal(client->type, REDIS_ARRAY_OF);
    assert_int_equal(client->count, 3);
}

static void test_redis_hands_on_an_error_that_concerns_one_command(void **state)
{
    struct client *client = *state;
    client->fake.answer = "-WRONGTYPE Operation against a key\r\n";
    client->fake.answer_at = 1;
    connect_and_wait(client);
    send_commands(client, 1);
    wait_for(&client->loop, &client->replies, 1);
    assert_int_equal(client->type, REDIS_FAILED);
    assert_true(redis_is_up(client->redis));
}

static void test_redis_loads_the_script_again_when_the_server_lost_it(void **state)
{
    struct client *client = *state;
    client->fake.answer = "-NOSCRIPT No matching script\r\n";
    client->fake.answer_at = 1;
    connect_and_wait(client);
    client->fake.text_bytes = 0;
    int seen = client->fake.commands;
    send_commands(client, 1);
    wait_for(&client->loop, &client->replies, 1);
    wait_for(&client->loop, &client->fake.commands, seen + 2);
    wait_for(&client->loop, &client->fake.text_bytes, 20);
    assert_non_null(strstr(client->fake.text, "SCRIPT"));
    assert_int_equal(redis_room(client->redis), COMMANDS_MAX); /* the load is not the caller's */
}

static void test_redis_survives_a_close_in_the_middle_of_a_reply(void **state)
{
    struct client *client = *state;
    client->fake.answer = "+OK\r\n$100\r\nhalf of it";
    client->fake.answer_at = 3;
    client->fake.close_after = true;
    assert_lost_and_reconnected(client, "closed the connection");
    assert_int_equal(client->lost, 2);
}

static void test_redis_gives_up_on_half_a_reply(void **state)
{
    struct client *client = *state;
    client->fake.answer = "$10\r\nhalf";
    client->fake.answer_at = 3;
    assert_lost_and_reconnected(client, "no answer within 300 ms");
}

static void test_redis_gives_up_on_a_server_that_never_answers(void **state)
{
    struct client *client = *state;
    assert_lost_and_reconnected(client, "no answer within 300 ms");
}

static void test_redis_gives_up_on_a_server_that_never_greets(void **state)
{
    struct client *client = *state;
    client->fake.greeting = NULL;
    connect_client(client);
    wait_for(&client->loop, &client->downs, 2);
    assert_int_equal(client->ups, 0);
    assert_non_null(strstr(client->why.text, "no answer"));
}

static void test_redis_gives_up_on_garbage(void **state)
{
    struct client *client = *state;
    client->fake.answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
    client->fake.answer_at = 3;
    assert_lost_and_reconnected(client, "Protocol error");
}

static void test_redis_gives_up_on_an_answer_to_nothing(void **state)
{
    struct client *client = *state;
    client->fake.answer = "+1\r\n+2\r\n+3\r\n+4\r\n";
    client->fake.answer_at = 3;
    connect_and_wait(client);
    send_commands(client, 3);
    wait_for(&client->loop, &client->downs, 1);
    assert_each_answered_once(client, 3);
    assert_int_equal(client->lost, 0);
    assert_non_null(strstr(client->why.text, "no command"));
}

static void test_redis_does_not_believe_a_huge_bulk_length(void **state)
{
    struct client *client = *state;
    client->fake.answer = "$2147483646\r\n";
    client->fake.answer_at = 3;
    client->fake.flood = true;
    client->settings.timeout_ms = DEADLINE_MS;
    assert_lost_and_reconnected(client, "more than 64 MiB");
}

static void test_redis_does_not_believe_a_huge_array_length(void **state)
{
    struct client *client = *state;
    client->fake.answer = "*2147483647\r\n";
    client->fake.answer_at = 3;
    assert_lost_and_reconnected(client, "too many values");
}

static void test_redis_counts_the_values_of_nested_arrays(void **state)
{
    struct client *client = *state;
    client->fake.answer = "*2\r\n*40000\r\n*40000\r\n";
    client->fake.answer_at = 3;
    assert_lost_and_reconnected(client, "too many values");
}

static void test_redis_takes_an_error_of_the_whole_server_for_a_loss(void **state)
{
    static const char *const errors[] = {
        "-LOADING Redis is loading\r\n", "-READONLY You can't write\r\n",
        "-OOM not allowed\r\n",          "-BUSY a script\r\n",
        "-MASTERDOWN Link down\r\n",     "-NOAUTH required.\r\n"};
    struct client *client = *state;
    connect_and_wait(client);
    for (int i = 0; i < 6; i++) {
        client->replies = client->lost = client->next_expected = 0;
        client->fake.answer = errors[i];
        client->fake.answer_at = 3;
        memset(client->answered, 0, sizeof client->answered);
        send_commands(client, 3);
        wait_for(&client->loop, &client->downs, i + 1);
        assert_each_answered_once(client, 3);
        assert_int_equal(client->lost, 3);
        char kind[16];
        snprintf(kind, sizeof kind, "%.*s", (int)strcspn(errors[i] + 1, " "), errors[i] + 1);
        assert_non_null(strstr(client->why.text, kind));
        wait_for(&client->loop, &client->ups, i + 2);
    }
}

static void test_redis_does_not_take_a_longer_word_for_a_known_one(void **state)
{
    struct client *client = *state;
    client->fake.answer = "-BUSYGROUP name already exists\r\n";
    client->fake.answer_at = 1;
    connect_and_wait(client);
    send_commands(client, 1);
    wait_for(&client->loop, &client->replies, 1);
    assert_int_equal(client->lost, 0);
}

static void test_redis_is_not_up_while_the_server_loads(void **state)
{
    struct client *client = *state;
    client->fake.greeting = "-LOADING Redis is loading\r\n-LOADING Redis is loading\r\n";
    connect_client(client);
    wait_for(&client->loop, &client->downs, 2);
    assert_int_equal(client->ups, 0);
    client->fake.greeting = GREETED;
    wait_for(&client->loop, &client->ups, 1);
}

static void test_redis_says_that_nobody_listens(void **state)
{
    struct client *client = *state;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", free_port());
    client->settings.address = address;
    connect_client(client);
    wait_for(&client->loop, &client->downs, 2);
    assert_int_equal(client->why.code, ERR_DOWN);
    assert_non_null(strstr(client->why.text, address));
    assert_non_null(strstr(client->why.text, "connection refused"));
}

static void test_redis_says_that_there_is_no_socket(void **state)
{
    struct client *client = *state;
    client->settings.address = "/nowhere/at/all.sock";
    connect_client(client);
    wait_for(&client->loop, &client->downs, 2);
    assert_non_null(strstr(client->why.text, "no such file"));
}

static void test_redis_resolves_a_name(void **state)
{
    struct client *client = *state;
    char address[64];
    snprintf(address, sizeof address, "localhost%s", strchr(client->fake.address, ':'));
    client->settings.address = address;
    connect_and_wait(client);
}

static void test_redis_closes_while_a_name_is_being_resolved(void **state)
{
    struct client *client = *state;
    client->settings.address = "localhost:1";
    connect_client(client); /* and the teardown closes it before the loop has turned once */
}

static void test_redis_waits_longer_from_try_to_try(void **state)
{
    struct client *client = *state;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", free_port());
    client->settings.address = address;
    connect_client(client);
    wait_for(&client->loop, &client->downs, 1);
    uint64_t began = uv_hrtime();
    wait_for(&client->loop, &client->downs, 4);
    /* Pauses of 50, 100 and 200 ms, of which chance takes at most a half; timers count whole ms. */
    assert_true(uv_hrtime() - began >= UINT64_C(170) * 1000000);
}

static void test_redis_sends_user_and_password(void **state)
{
    struct client *client = *state;
    client->settings.username = "freshet";
    client->settings.password = "s3cret";
    client->fake.greeting_commands = 3;
    client->fake.greeting = "+OK\r\n" GREETED;
    connect_and_wait(client);
    assert_non_null(
        strstr(client->fake.text, "*3\r\n$4\r\nAUTH\r\n$7\r\nfreshet\r\n$6\r\ns3cret\r\n"));
}

static void test_redis_sends_a_password_alone_without_a_user(void **state)
{
    struct client *client = *state;
    client->settings.password = "s3cret";
    client->fake.greeting_commands = 3;
    client->fake.greeting = "+OK\r\n" GREETED;
    connect_and_wait(client);
    assert_non_null(strstr(client->fake.text, "*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n"));
}

static void test_redis_selects_the_database(void **state)
{
    struct client *client = *state;
    client->settings.database = 5;
    client->fake.greeting_commands = 3;
    client->fake.greeting = "+OK\r\n" GREETED;
    connect_and_wait(client);
    assert_non_null(strstr(client->fake.text, "*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n"));
}

static void test_redis_never_repeats_the_password_in_an_error(void **state)
{
    struct client *client = *state;
    client->settings.password = "s3cret";
    client->fake.greeting_commands = 3;
    client->fake.greeting = "-ERR unknown command 'AUTH', with args beginning with: 's3cret'\r\n";
    connect_client(client);
    wait_for(&client->loop, &client->downs, 1);
    assert_non_null(strstr(client->why.text, "AUTH was refused: ERR"));
    assert_null(strstr(client->why.text, "s3cret"));
}

static void test_redis_close_answers_what_is_outstanding(void **state)
{
    struct client *client = *state;
    connect_and_wait(client);
    send_commands(client, 5);
    redis_close(client->redis, on_closed, client);
    assert_int_equal(client->replies, 0);
    wait_for(&client->loop, &client->closed, 1);
    assert_each_answered_once(client, 5);
    assert_int_equal(client->lost, 5);
    assert_int_equal(client->downs, 0);
}

static void test_redis_may_be_closed_in_a_reply(void **state)
{
    struct client *client = *state;
    client->fake.answer = "+1\r\n+2\r\n+3\r\n";
    client->fake.answer_at = 3;
    connect_and_wait(client);
    client->close_in_reply = true;
    send_commands(client, 3);
    wait_for(&client->loop, &client->closed, 1);
    assert_each_answered_once(client, 3);
    assert_int_equal(client->lost, 2);
}

static void test_redis_may_be_closed_in_a_lost_reply(void **state)
{
    struct client *client = *state;
    client->fake.answer_at = 3;
    client->fake.close_after = true;
    connect_and_wait(client);
    client->close_in_reply = true;
    send_commands(client, 3);
    wait_for(&client->loop, &client->closed, 1);
    assert_each_answered_once(client, 3);
    assert_int_equal(client->downs, 0);
}

static void test_redis_may_be_closed_when_it_goes_down(void **state)
{
    struct client *client = *state;
    client->fake.answer_at = 1;
    client->fake.close_after = true;
    client->close_in_down = true;
    connect_and_wait(client);
    send_commands(client, 1);
    wait_for(&client->loop, &client->closed, 1);
    assert_int_equal(client->downs, 1);
}

static void test_redis_may_be_dropped_in_a_reply(void **state)
{
    struct client *client = *state;
    client->fake.answer = "+1\r\n+2\r\n+3\r\n";
    client->fake.answer_at = 3;
    connect_and_wait(client);
    client->drop_in_reply = true;
    send_commands(client, 3);
    wait_for(&client->loop, &client->ups, 2);
    assert_each_answered_once(client, 3);
    assert_int_equal(client->lost, 2);
    assert_string_equal(client->why.text, "dropped by the test");
}

static void test_redis_closes_in_the_pause_between_tries(void **state)
{
    struct client *client = *state;
    client->settings.address = "/nowhere/at/all.sock";
    connect_client(client);
    wait_for(&client->loop, &client->downs, 3); /* the teardown closes it */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_client, close_client)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_redis_is_up_after_the_greeting),
        TEST(test_redis_refuses_an_address_that_is_none),
        TEST(test_redis_refuses_commands_while_it_is_not_up),
        TEST(test_redis_refuses_more_commands_than_its_cap),
        TEST(test_redis_sends_what_is_queued_in_a_turn_in_order),
        TEST(test_redis_reads_arrays_with_arrays_inside),
        TEST(test_redis_hands_on_an_error_that_concerns_one_command),
        TEST(test_redis_loads_the_script_again_when_the_server_lost_it),
        TEST(test_redis_survives_a_close_in_the_middle_of_a_reply),
        TEST(test_redis_gives_up_on_half_a_reply),
        TEST(test_redis_gives_up_on_a_server_that_never_answers),
        TEST(test_redis_gives_up_on_a_server_that_never_greets),
        TEST(test_redis_gives_up_on_garbage),
        TEST(test_redis_gives_up_on_an_answer_to_nothing),
        TEST(test_redis_does_not_believe_a_huge_bulk_length),
        TEST(test_redis_does_not_believe_a_huge_array_length),
        TEST(test_redis_counts_the_values_of_nested_arrays),
        TEST(test_redis_takes_an_error_of_the_whole_server_for_a_loss),
        TEST(test_redis_does_not_take_a_longer_word_for_a_known_one),
        TEST(test_redis_is_not_up_while_the_server_loads),
        TEST(test_redis_says_that_nobody_listens),
        TEST(test_redis_says_that_there_is_no_socket),
        TEST(test_redis_resolves_a_name),
        TEST(test_redis_closes_while_a_name_is_being_resolved),
        TEST(test_redis_waits_longer_from_try_to_try),
        TEST(test_redis_sends_user_and_password),
        TEST(test_redis_sends_a_password_alone_without_a_user),
        TEST(test_redis_selects_the_database),
        TEST(test_redis_never_repeats_the_password_in_an_error),
        TEST(test_redis_close_answers_what_is_outstanding),
        TEST(test_redis_may_be_closed_in_a_reply),
        TEST(test_redis_may_be_closed_in_a_lost_reply),
        TEST(test_redis_may_be_closed_when_it_goes_down),
        TEST(test_redis_may_be_dropped_in_a_reply),
        TEST(test_redis_closes_in_the_pause_between_tries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
