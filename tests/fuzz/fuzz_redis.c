/* What a Redis server may answer, or something that is none: the publisher over a transport that
 * is the input's. Each slate and each GET is answered exactly once, and the loop ends up empty.
 *
 * Input: a run of steps, each one byte and what it takes. A step is a short run of bytes from the
 * server, an answer as a well-behaved server would give it, or something that is asked of us. */
#include "publisher/fence.h"
#include "publisher/publisher.h"
#include "publisher/transport.h"
#include "tests/fuzz/fuzz.h"

#define STEPS_MAX 200
#define LISTS 4
#define NONCE "0123456789abcdef0123456789abcdef"

struct transport {
    const struct transport_hooks *hooks;
    void *arg;
    bool failed;
    void (*closed)(void *arg);
    void *closed_arg;
    uv_idle_t turn; /* says that it is closed, from the loop */
};

static struct transport *live; /* NULL: none */

int transport_open(struct transport **transport, uv_loop_t *loop,
                   const struct transport_settings *settings, const struct transport_hooks *hooks,
                   void *arg, struct error *err)
{
    live = *transport = calloc(1, sizeof **transport);
    live->hooks = hooks;
    live->arg = arg;
    uv_idle_init(loop, &live->turn);
    live->turn.data = live;
    return 0;
}

void transport_write(struct transport *transport, struct buffer *bytes)
{
    buffer_clear(bytes);
}

static void turn_closed(uv_handle_t *handle)
{
    struct transport *transport = handle->data;
    transport->closed(transport->closed_arg);
    free(transport);
}

void transport_close(struct transport *transport, void (*closed)(void *arg), void *arg)
{
    live = NULL;
    transport->closed = closed;
    transport->closed_arg = arg;
    uv_close((uv_handle_t *)&transport->turn, turn_closed);
}

/* -- the client -------------------------------------------------------------------------------- */

struct client {
    uv_loop_t loop;
    struct publisher *publisher;
    struct slate slate;
    struct slate_list lists[LISTS];
    bool sending;
    int asked, got;
    bool closed;
};

static void on_up(void *arg)
{
}

static void on_down(const struct error *why, void *arg)
{
    MUST(why->text[0] != '\0');
}

static void on_met(const struct publisher_group *group, struct meta_place *place, void *arg)
{
    *place = (struct meta_place){1, 1};
}

static bool is_filled(void *arg)
{
    return true;
}

static void on_refused(const struct error *what, void *arg)
{
    MUST(what->text[0] != '\0');
}

static void on_marked(int64_t mark_ms, void *arg)
{
    MUST(mark_ms > 0);
}

static const struct publisher_hooks hooks = {
    .met = on_met,
    .up = on_up,
    .down = on_down,
    .lost = on_up,
    .filled = is_filled,
    .refused = on_refused,
    .marked = on_marked,
};

static void on_sent(struct slate *slate, void *arg)
{
    struct client *client = arg;
    MUST(client->sending);
    client->sending = false;
}

static void on_list(struct slice json, const struct error *err, void *arg)
{
    struct client *client = arg;
    client->got++;
    MUST(client->got <= client->asked);
}

static void on_closed(void *arg)
{
    ((struct client *)arg)->closed = true;
}

static void send_slate(struct client *client)
{
    static struct slate_item items[] = {{.score = 0.5f, .id = {"i1", 2}}};
    if (client->sending)
        return;
    client->slate = (struct slate){.lists = client->lists, .count = LISTS, .to_send = LISTS};
    for (uint32_t i = 0; i < LISTS; i++)
        client->lists[i] = (struct slate_list){.user_id = SLICE("user"),
                                               .version = {1, 0, 7 + i, 1},
                                               .changed = true,
                                               .arm_name = SLICE("default"),
                                               .items = items,
                                               .count = 1};
    client->sending = true;
    publisher_send(client->publisher, &client->slate, on_sent, client);
}

/* -- the server -------------------------------------------------------------------------------- */

static const char *const answers[] = {
    "$40\r\n0123456789012345678901234567890123456789\r\n+PONG\r\n", /* the greeting's */
    "*8\r\n$14\r\nnonce:01234567\r\n$32\r\n" NONCE "\r\n$18\r\nheartbeat:01234567\r\n$1\r\n7\r\n"
    "$5\r\nepoch\r\n$1\r\n1\r\n$4\r\nswap\r\n$1\r\n1\r\n", /* meta, ours */
    "*0\r\n",                                              /* meta, lost */
    ":1\r\n",
    "+" FENCE_STORED "\r\n",
    "+" FENCE_OLDER "\r\n",
    "$-1\r\n",
    "$11\r\n{\"items\":[]}\r\n",
    "-WRONGTYPE Operation against a key\r\n",
    "-NOSCRIPT No matching script\r\n",
    "-READONLY You can't write\r\n",
    "-ERR unknown command\r\n",
    "*1\r\n*1\r\n*1\r\n:1\r\n",
    "*65536\r\n",
    ("*6\r\n$12\r\nlog:89abcdef\r\n$5\r\nother\r\n$18\r\nheartbeat:89abcdef\r\n$1\r\n9\r\n"
     "$7\r\nclaimed\r\n$8\r\n89abcdef\r\n"),                     /* meta, of another state */
    "*4\r\n$5\r\nepoch\r\n:1\r\n$12\r\nlog:89abcdef\r\n$-1\r\n", /* meta, of odd values */
};

static void receive(struct slice bytes)
{
    char *copy = copy_exactly(bytes);
    if (live != NULL && !live->failed && bytes.length > 0)
        live->hooks->received(copy, bytes.length, live->arg);
    free(copy);
}

static void fail(void)
{
    struct error why = {0};
    error_set(&why, ERR_DOWN, "the end");
    if (live == NULL || live->failed)
        return;
    live->failed = true;
    live->hooks->failed(&why, live->arg);
}

static void step(struct client *client, struct slice *input)
{
    unsigned what = (unsigned)take_number(input, 1);
    size_t count = sizeof answers / sizeof *answers;
    if (what < count)
        receive(slice_of(answers[what]));
    else if (what == 32)
        send_slate(client);
    else if (what == 33)
        publisher_get(client->publisher, SLICE("user"), on_list, (client->asked++, client));
    else if (what == 34)
        fail();
    else
        receive(take_bytes(input, what % 64));
    uv_run(&client->loop, UV_RUN_NOWAIT);
}

/* -- one run ----------------------------------------------------------------------------------- */

static void open_client(struct client *client)
{
    struct publisher_settings settings = {.redis = {.address = "127.0.0.1:6379",
                                                    .username = "",
                                                    .password = "",
                                                    .timeout_ms = 1000,
                                                    .in_flight_max = 3},
                                          .prefix = "rec:",
                                          .expiry_ms = 1000,
                                          .changes_max = 10,
                                          .nonce = NONCE,
                                          .log = "log",
                                          .place = {1, 1}};
    struct error err = {0};
    uv_loop_init(&client->loop);
    MUST(publisher_open(&client->publisher, &client->loop, &settings, &hooks, client, &err) == 0);
    MUST(live != NULL);
    live->hooks->connected(live->arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, (uint32_t)size};
    struct client client = {.asked = 0};
    open_client(&client);
    for (int i = 0; i < STEPS_MAX && input.length > 0 && live != NULL; i++)
        step(&client, &input);
    publisher_close(client.publisher, on_closed, &client);
    uv_run(&client.loop, UV_RUN_DEFAULT);
    MUST(client.closed && !client.sending && client.got == client.asked);
    MUST(uv_loop_close(&client.loop) == 0);
    return 0;
}
