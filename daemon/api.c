#include "daemon/api.h"
#include "base/buffer.h"
#include "base/json.h"
#include "base/mem.h"
#include "consumer/scan.h"
#include "daemon/daemon.h"
#include "monitor/assets.h"
#include "monitor/exposition.h"

#include <stdlib.h>

enum access { ACCESS_OPEN, ACCESS_LOCAL, ACCESS_TOKEN };

#define ROUTE_PARAMETERS_MAX 3
#define NUMBER_DIGITS_MAX 9

struct parameter { /* of a query or a form */
    const char *name;
    const char *array; /* it may come any number of times: an array of this name; NULL: once */
    bool number;       /* a whole one, from 0 */
};

struct route {
    const char *path; /* "{name}" stands for one segment */
    enum access access;
    void (*serve)(struct daemon *daemon, struct http_request *request);
    const char *command; /* or this, with the segments by their names */
    struct parameter parameters[ROUTE_PARAMETERS_MAX]; /* that it takes besides; then NULL names */
    bool post;                                         /* as well as GET */
};

static void refuse(struct http_request *request, int status, const char *text)
{
    struct error err;
    error_set(&err, ERR_USAGE, "%s", text);
    http_fail(request, status, &err);
}

/* -- what is no command ------------------------------------------------------------------------ */

static void answer_json(struct http_request *request, int status, struct buffer *body)
{
    http_answer(request, &(struct http_answer){.status = status, .body = buffer_slice(body)});
    buffer_deinit(body);
}

static void serve_health(struct daemon *daemon, struct http_request *request)
{
    http_answer(request, &(struct http_answer){.status = 200, .body = SLICE("{\"alive\":true}")});
}

struct readiness {
    struct json_writer w;
    bool tells; /* reasons in the words of others, which may hold addresses */
    bool ready;
};

static void need(struct readiness *r, bool given, const char *part, const char *text,
                 const char *why)
{
    if (given)
        return;
    r->ready = false;
    json_begin_object(&r->w, NULL);
    json_text(&r->w, "part", part);
    json_text(&r->w, "why", r->tells && why[0] != '\0' ? why : text);
    json_end_object(&r->w);
}

static void serve_readiness(struct daemon *daemon, struct http_request *request)
{
    struct buffer body = {0};
    struct readiness r = {{&body, false}, request->local || request->has_token, true};
    int32_t partitions[PARTITIONS_MAX];
    const char *trouble = settling_trouble(line_settling(daemon->line));
    json_begin_object(&r.w, NULL);
    json_begin_array(&r.w, "reasons");
    need(&r, daemon->kafka_up, "kafka", "it does not answer", daemon->kafka_why);
    need(&r, daemon_redis_is_up(daemon), "redis", "it does not answer", daemon_redis_why(daemon));
    need(&r, history_partitions(daemon->history, partitions, PARTITIONS_MAX) > 0, "partitions",
         "none is assigned", "");
    need(&r, trouble == NULL, "state", "it can not be written", trouble != NULL ? trouble : "");
    need(&r, !daemon->draining && !daemon->leaving, "daemon", "it is draining", "");
    json_end_array(&r.w);
    json_bool(&r.w, "ready", r.ready);
    json_end_object(&r.w);
    answer_json(request, r.ready ? 200 : 503, &body);
}

static void serve_metrics(struct daemon *daemon, struct http_request *request)
{
    struct buffer text = {0};
    daemon_metrics(daemon, &text);
    http_answer(request, &(struct http_answer){.status = 200,
                                               .content_type = EXPOSITION_CONTENT_TYPE,
                                               .body = buffer_slice(&text)});
    buffer_deinit(&text);
}

static void serve_asset(struct daemon *daemon, struct http_request *request)
{
    const struct asset *asset = assets_find(request->target.path);
    if (asset == NULL) {
        refuse(request, 404, "there is nothing at this path");
        return;
    }
    http_answer(request,
                &(struct http_answer){.status = 200,
                                      .content_type = asset->content_type,
                                      .body = {(const char *)asset->bytes, (uint32_t)asset->length},
                                      .body_stays = true,
                                      .etag = asset->etag,
                                      .cache = "no-cache"}); /* kept, but asked about each time */
}

/* -- commands ---------------------------------------------------------------------------------- */

/* The request first, so that the one can be had from the other. */
struct asked {
    struct request request;
    struct http_request *http;
};

static void answer(struct request *request, struct slice json)
{
    struct asked *asked = (struct asked *)request;
    struct slice ok = SLICE(REQUEST_OK ",");
    struct buffer body = {0};
    bool more = json.length > ok.length && memcmp(json.data, ok.data, ok.length) == 0;
    buffer_byte(&body, '{');
    if (more)
        buffer_add(&body, json.data + ok.length, json.length - ok.length);
    else
        buffer_byte(&body, '}');
    answer_json(asked->http, 200, &body);
    free(asked);
}

static int status_of(int code)
{
    switch (code) {
    case ERR_USAGE:
        return 400;
    case ERR_DATA:
        return 404;
    case ERR_DOWN:
        return 503;
    default:
        return 500;
    }
}

static void fail(struct request *request, const struct error *err)
{
    struct asked *asked = (struct asked *)request;
    http_fail(asked->http, status_of(err->code), err);
    free(asked);
}

/* The next segment of a route's path, without its slash; empty at the end. */
static struct slice next_segment(const char **path)
{
    const char *begin = *path + (**path == '/');
    size_t length = strcspn(begin, "/");
    *path = begin + length;
    return (struct slice){begin, (uint32_t)length};
}

static bool is_name(struct slice segment)
{
    return segment.length > 2 && segment.data[0] == '{';
}

static bool is_called(const struct http_parameter *given, const struct parameter *parameter)
{
    return slice_equal(given->name, slice_of(parameter->name));
}

/* Its value; -1 if it is no whole number of at most NUMBER_DIGITS_MAX digits. */
static int64_t number_of(struct slice text)
{
    int64_t number = 0;
    if (text.length == 0 || text.length > NUMBER_DIGITS_MAX)
        return -1;
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        number = number * 10 + (text.data[i] - '0');
    }
    return number;
}

static void write_parameter(struct json_writer *w, const struct parameter *parameter,
                            const struct http_target *target)
{
    if (parameter->array != NULL)
        json_begin_array(w, parameter->array);
    for (size_t i = 0; i < target->parameter_count; i++) {
        const struct http_parameter *given = &target->parameters[i];
        if (!is_called(given, parameter))
            continue;
        if (parameter->number)
            json_int(w, parameter->name, number_of(given->value));
        else
            json_string(w, parameter->array == NULL ? parameter->name : NULL, given->value);
    }
    if (parameter->array != NULL)
        json_end_array(w);
}

/* {"cmd":"explain","user":"u1","item":"i9"} */
static void write_command(struct buffer *out, const struct route *route,
                          const struct http_target *target)
{
    struct json_writer w = {out, false};
    const char *path = route->path;
    json_begin_object(&w, NULL);
    json_text(&w, "cmd", route->command);
    for (size_t i = 0; i < target->segment_count; i++) {
        struct slice name = next_segment(&path);
        if (!is_name(name))
            continue;
        json_key(&w, (struct slice){name.data + 1, name.length - 2});
        json_string(&w, NULL, target->segments[i]);
    }
    for (size_t i = 0; i < ROUTE_PARAMETERS_MAX && route->parameters[i].name != NULL; i++)
        write_parameter(&w, &route->parameters[i], target);
    json_end_object(&w);
}

static const struct parameter *find_parameter(const struct route *route,
                                              const struct http_parameter *given)
{
    for (size_t i = 0; i < ROUTE_PARAMETERS_MAX && route->parameters[i].name != NULL; i++)
        if (is_called(given, &route->parameters[i]))
            return &route->parameters[i];
    return NULL;
}

/* What is wrong with the i-th of those given; NULL: nothing. */
static const char *check_parameter(const struct route *route, const struct http_target *target,
                                   size_t i)
{
    const struct http_parameter *given = &target->parameters[i];
    const struct parameter *parameter = find_parameter(route, given);
    if (parameter == NULL)
        return "this path does not take such a parameter";
    if (!utf8_is_valid(given->value))
        return "a parameter is not UTF-8";
    if (parameter->number && number_of(given->value) < 0)
        return "a parameter that is a whole number is none here";
    while (parameter->array == NULL && i-- > 0)
        if (is_called(&target->parameters[i], parameter))
            return "a parameter is there twice";
    return NULL;
}

/* What is wrong with what the command is given; NULL: nothing. */
static const char *check_given(const struct route *route, const struct http_target *target)
{
    for (size_t i = 0; i < target->segment_count; i++)
        if (!utf8_is_valid(target->segments[i]))
            return "the path is not UTF-8";
    const char *wrong = NULL;
    for (size_t i = 0; i < target->parameter_count && wrong == NULL; i++)
        wrong = check_parameter(route, target, i);
    return wrong;
}

static void ask(struct daemon *daemon, const struct route *route, struct http_request *request)
{
    const char *wrong = check_given(route, &request->target);
    if (wrong != NULL) {
        refuse(request, 400, wrong);
        return;
    }
    struct buffer text = {0};
    struct error err = {0};
    write_command(&text, route, &request->target);
    struct json *body = json_parse(buffer_slice(&text), &err);
    buffer_deinit(&text);
    if (body == NULL) {
        http_fail(request, 400, &err);
        return;
    }
    struct asked *asked = mem_alloc(sizeof *asked);
    *asked = (struct asked){{answer, fail}, request};
    daemon_request(&asked->request, body, daemon);
    json_free(body);
}

/* -- routes ------------------------------------------------------------------------------------ */

static const struct route routes[] = {
    {"/healthz", ACCESS_OPEN, .serve = serve_health},
    {"/readyz", ACCESS_OPEN, .serve = serve_readiness},
    {"/metrics", ACCESS_LOCAL, .serve = serve_metrics},
    {"/api/overview", ACCESS_LOCAL, .command = "overview"},
    {"/api/arms", ACCESS_LOCAL, .command = "arms"},
    {"/api/items/{item}/similar", ACCESS_LOCAL, .command = "similar",
     .parameters = {{.name = "n", .number = true}, {.name = "arm"}}},
    {"/api/users/{user}/list", ACCESS_TOKEN, .command = "recommend", .post = true},
    {"/api/users/{user}/explain/{item}", ACCESS_TOKEN, .command = "explain",
     .parameters = {{.name = "arm"}}, .post = true},
    {"/api/users/{user}/whatif", ACCESS_TOKEN, .command = "whatif",
     .parameters = {{.name = "item", .array = "items"}, {.name = "type"}, {.name = "arm"}},
     .post = true},
};
static const struct route others = {"", ACCESS_LOCAL, .serve = serve_asset};

static bool leads_to(const struct route *route, const struct http_target *target)
{
    const char *path = route->path;
    for (size_t i = 0; i < target->segment_count; i++) {
        if (*path == '\0')
            return false;
        struct slice wanted = next_segment(&path);
        struct slice given = target->segments[i];
        if (is_name(wanted) ? given.length == 0 : !slice_equal(wanted, given))
            return false;
    }
    return *path == '\0' && target->segment_count > 0;
}

static const struct route *find_route(const struct http_target *target)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (leads_to(&routes[i], target))
            return &routes[i];
    return &others;
}

/* Whether it may go on; answered if not. */
static bool admit(const struct daemon *daemon, const struct route *route,
                  struct http_request *request)
{
    bool wants_token =
        route->access == ACCESS_TOKEN || (route->access == ACCESS_LOCAL && !request->local);
    if (!wants_token || request->has_token)
        return true;
    if (daemon->settings->http.token[0] == '\0')
        refuse(request, 403,
               "what names a user is told to those with a token alone, and there is "
               "none: set http.token, and send it as \"Authorization: Bearer TOKEN\"");
    else
        refuse(request, 401,
               "this path wants the token of http.token, as \"Authorization: Bearer "
               "TOKEN\"");
    return false;
}

void api_handle(struct http_request *request, void *arg)
{
    struct daemon *daemon = arg;
    const struct route *route = find_route(&request->target);
    if (!admit(daemon, route, request))
        return;
    if (request->method == HTTP_POST && !route->post)
        http_answer(request, &(struct http_answer){
                                 .status = 405,
                                 .allow = "GET, HEAD",
                                 .body = SLICE("{\"error\":\"this path takes GET and HEAD\"}")});
    else if (route->serve != NULL)
        route->serve(daemon, request);
    else
        ask(daemon, route, request);
}
