/* What a request asks for, without the wire: the path and the parameters taken apart, addresses
 * and Host headers, and where the routes lead (daemon/api.c), with a daemon of which nothing else
 * is there. What reaches a command is JSON, and nobody without a token gets to a user's path.
 *
 * Input: one byte of flags (1: POST, 2: local, 4: with the token), then the path up to the first
 * "?", then a form. */
#include "base/buffer.h"
#include "base/json.h"
#include "base/mem.h"
#include "daemon/api.h"
#include "daemon/daemon.h"
#include "tests/fuzz/fuzz.h"

enum { POST = 1, LOCAL = 2, TOKEN = 4 };

static int answered;

/* -- what the routes lead to, and how they answer ---------------------------------------------- */

void http_answer(struct http_request *request, const struct http_answer *answer)
{
    MUST(answer->status >= 200 && answer->status <= 599);
    answered++;
}

void http_fail(struct http_request *request, int status, const struct error *err)
{
    MUST(status >= 400 && status <= 599 && err->text[0] != '\0');
    answered++;
}

void daemon_metrics(struct daemon *daemon, struct buffer *out)
{
    buffer_text(out, "up 1\n");
}

void daemon_request(struct request *request, const struct json *body, void *arg)
{
    struct error err = {0};
    MUST(json_type(body) == JSON_OBJECT && json_get_string(body, "cmd", SLICE("")).length > 0);
    if (json_get(body, "user") != NULL)
        MUST(json_get_string(body, "user", SLICE("")).length > 0);
    if (json_count(body) % 2 == 0) {
        request_answer(request, SLICE("{\"ok\":true}"));
        return;
    }
    error_set(&err, ERR_DATA, "there is none");
    request_fail(request, &err);
}

bool daemon_redis_is_up(const struct daemon *daemon)
{
    return false;
}

const char *daemon_redis_why(const struct daemon *daemon)
{
    return "connection refused";
}

size_t history_partitions(const struct history *history, int32_t *partitions, size_t max)
{
    return 0;
}

const char *settling_trouble(const struct settling *settling)
{
    return "the disk is full";
}

struct settling *line_settling(struct line *line)
{
    return NULL;
}

/* -- one request ------------------------------------------------------------------------------- */

static void check_target(const struct http_target *target)
{
    MUST(target->segment_count <= HTTP_SEGMENTS_MAX);
    for (size_t i = 0; i < target->segment_count; i++)
        MUST(target->segments[i].length == 0 ||
             memchr(target->segments[i].data, 0, target->segments[i].length) == NULL);
}

static void ask(struct http_request *request)
{
    static char token[] = "right";
    static struct settings settings = {.http = {.token = token}};
    struct daemon *daemon = mem_zalloc(sizeof *daemon);
    daemon->settings = &settings;
    answered = 0;
    api_handle(request, daemon);
    MUST(answered == 1);
    free(daemon);
}

static void request(struct slice path, struct slice form, unsigned flags)
{
    struct http_request request = {.method = flags & POST ? HTTP_POST : HTTP_GET,
                                   .local = (flags & LOCAL) != 0,
                                   .has_token = (flags & TOKEN) != 0};
    struct error err = {0};
    if (http_target_set_path(&request.target, path, &err) == 0 &&
        http_target_add_form(&request.target, form, &err) == 0) {
        check_target(&request.target);
        ask(&request);
    } else {
        MUST(err.text[0] != '\0');
    }
    http_target_deinit(&request.target);
}

static void addresses(struct slice text)
{
    struct http_address address;
    struct error err = {0};
    char name[256], written[HTTP_ADDRESS_TEXT_MAX];
    snprintf(name, sizeof name, "%.*s", SLICE_ARG(text));
    http_host_is_loopback(text);
    if (http_address_parse(&address, name, &err) != 0)
        return;
    http_address_write(&address, written);
    MUST(http_address_parse(&address, written, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, (uint32_t)size};
    unsigned flags = (unsigned)take_number(&input, 1);
    char *copy = copy_exactly(input);
    const char *question = input.length > 0 ? memchr(copy, '?', input.length) : NULL;
    uint32_t length = question != NULL ? (uint32_t)(question - copy) : input.length;
    struct slice path = {copy, length};
    struct slice form = {copy + length + (question != NULL),
                         input.length - length - (question != NULL)};
    if (memchr(copy, 0, input.length) == NULL) /* as libmicrohttpd gives it: a string */
        request(path, form, flags);
    addresses(input);
    free(copy);
    return 0;
}
