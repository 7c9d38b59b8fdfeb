/* What the daemon is asked, by the control socket or over HTTP, request by request. */
#include "daemon/daemon.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

/* A request that is answered later. */
struct deferred {
    struct daemon *daemon;
    struct request *request;
};

static struct deferred *defer(struct daemon *daemon, struct request *request)
{
    struct deferred *deferred = mem_alloc(sizeof *deferred);
    *deferred = (struct deferred){daemon, request};
    return deferred;
}

static void answer_ok(struct request *request)
{
    request_answer(request, SLICE("{\"ok\":true}"));
}

static void answer_error(struct request *request, int code, const char *text)
{
    struct error err = {0};
    error_set(&err, code, "%s", text);
    request_fail(request, &err);
}

/* Answers with ok, or the error, and frees. */
static void finish(struct deferred *deferred, const struct error *err)
{
    if (err == NULL)
        answer_ok(deferred->request);
    else
        request_fail(deferred->request, err);
    free(deferred);
}

/* Answers with what `write` says of the daemon. */
static void request_figures(struct daemon *daemon, struct request *request,
                            void (*write)(struct daemon *daemon, struct json_writer *w))
{
    struct buffer text = {0};
    struct json_writer w = {&text, false};
    json_begin_object(&w, NULL);
    json_bool(&w, "ok", true);
    write(daemon, &w);
    json_end_object(&w);
    request_answer(request, buffer_slice(&text));
    buffer_deinit(&text);
}

static void request_metrics(struct daemon *daemon, struct request *request)
{
    struct buffer metrics = {0}, text = {0};
    struct json_writer w = {&text, false};
    daemon_metrics(daemon, &metrics);
    json_begin_object(&w, NULL);
    json_bool(&w, "ok", true);
    json_string(&w, "text", buffer_slice(&metrics));
    json_end_object(&w);
    request_answer(request, buffer_slice(&text));
    buffer_deinit(&metrics);
    buffer_deinit(&text);
}

/* -- recommend --------------------------------------------------------------------------------- */

/* The titles of a list's items, as an object by item id. */
static void write_titles(struct daemon *daemon, struct json_writer *w, const struct json *list)
{
    const struct items *items = history_items(daemon->history);
    const struct json *entries = json_get(list, "items");
    json_begin_object(w, "titles");
    for (size_t i = 0; i < json_count(entries); i++) {
        struct slice id = json_to_string(json_at(json_at(entries, i), 0), SLICE(""));
        uint32_t item = ids_find(&items->ids, id);
        const struct item_info *info = item == IDS_NONE ? NULL : items_info(items, item);
        if (info == NULL || info->title.length == 0)
            continue;
        json_key(w, id);
        json_string(w, NULL, info->title);
    }
    json_end_object(w);
}

static void got_list(struct slice json, const struct error *err, void *arg)
{
    struct deferred *deferred = arg;
    struct error bad = {0};
    if (err != NULL) {
        finish(deferred, err);
        return;
    }
    if (json.data == NULL) {
        error_set(&bad, ERR_DATA, "this user has no list (yet); the popular list stands for it");
        finish(deferred, &bad);
        return;
    }
    struct json *list = json_parse(json, &bad);
    if (list == NULL) {
        error_wrap(&bad, "the list in Redis");
        finish(deferred, &bad);
        return;
    }
    struct buffer text = {0};
    struct json_writer w = {&text, false};
    json_begin_object(&w, NULL);
    json_bool(&w, "ok", true);
    json_string(&w, "text", json);
    json_raw(&w, "list", json);
    write_titles(deferred->daemon, &w, list);
    json_end_object(&w);
    json_free(list);
    request_answer(deferred->request, buffer_slice(&text));
    buffer_deinit(&text);
    free(deferred);
}

static void request_recommend(struct daemon *daemon, struct request *request,
                              const struct json *body)
{
    struct slice user = json_get_string(body, "user", SLICE(""));
    if (user.length == 0)
        answer_error(request, ERR_USAGE, "recommend wants a user");
    else if (!publisher_is_up(daemon->publisher))
        answer_error(request, ERR_DOWN, "Redis is away");
    else
        publisher_get(daemon->publisher, user, got_list, defer(daemon, request));
}

/* -- publish ----------------------------------------------------------------------------------- */

static void lists_sent(bool ok, void *arg)
{
    struct error err = {0};
    error_set(&err, ERR_DOWN, "Redis went away; the lists stay owed and are sent when it is back");
    finish(arg, ok ? NULL : &err);
}

static void all_queued(void *arg)
{
    struct deferred *deferred = arg;
    line_when_sent(deferred->daemon->line, lists_sent, deferred);
}

static void request_publish(struct daemon *daemon, struct request *request, const struct json *body)
{
    struct slice id = json_get_string(body, "user", SLICE(""));
    if (!publisher_is_up(daemon->publisher)) {
        answer_error(request, ERR_DOWN, "Redis is away");
        return;
    }
    if (json_get_bool(body, "all", false)) {
        renewal_start(daemon->renewal, CAUSE_FORCED, true);
        renewal_when_queued(daemon->renewal, all_queued, defer(daemon, request));
        return;
    }
    struct error err = {0};
    struct user *user = history_find_user(daemon->history, id, &err);
    if (user == NULL) {
        if (err.code == 0)
            error_set(&err, ERR_DATA, "nothing is kept of user \"%.*s\"", SLICE_ARG(id));
        request_fail(request, &err);
        return;
    }
    line_queue(daemon->line, user, CAUSE_FORCED);
    line_when_sent(daemon->line, lists_sent, defer(daemon, request));
}

/* -- generations and the state ----------------------------------------------------------------- */

static void deferred_done(const struct error *err, void *arg)
{
    finish(arg, err);
}

static void request_rollback(struct daemon *daemon, struct request *request,
                             const struct json *body)
{
    int64_t number = json_get_int(body, "generation", 0);
    if (number <= 0)
        answer_error(request, ERR_USAGE, "rollback wants a generation's number");
    else
        swapper_force(daemon->swapper,
                      scorers_series_of(daemon->scorers, scorers_control(daemon->scorers)),
                      (uint64_t)number, deferred_done, defer(daemon, request));
}

void daemon_request(struct request *request, const struct json *body, void *arg)
{
    struct daemon *daemon = arg;
    struct slice command = json_get_string(body, "cmd", SLICE(""));
    if (slice_equal(command, SLICE("status"))) {
        request_figures(daemon, request, daemon_status);
    } else if (slice_equal(command, SLICE("metrics"))) {
        request_metrics(daemon, request);
    } else if (slice_equal(command, SLICE("overview"))) {
        request_figures(daemon, request, daemon_overview);
    } else if (slice_equal(command, SLICE("arms"))) {
        request_figures(daemon, request, daemon_arms);
    } else if (daemon->leaving) {
        answer_error(request, ERR_DOWN, "the daemon is stopping");
    } else if (slice_equal(command, SLICE("recommend"))) {
        request_recommend(daemon, request, body);
    } else if (slice_equal(command, SLICE("publish"))) {
        request_publish(daemon, request, body);
    } else if (slice_equal(command, SLICE("explain"))) {
        daemon_explain(daemon, request, body);
    } else if (slice_equal(command, SLICE("whatif"))) {
        daemon_whatif(daemon, request, body);
    } else if (slice_equal(command, SLICE("similar"))) {
        daemon_similar(daemon, request, body);
    } else if (slice_equal(command, SLICE("rollback"))) {
        request_rollback(daemon, request, body);
    } else if (slice_equal(command, SLICE("trained"))) {
        swapper_look(daemon->swapper);
        answer_ok(request);
    } else if (slice_equal(command, SLICE("commit"))) {
        settling_commit(line_settling(daemon->line), deferred_done, defer(daemon, request));
    } else {
        answer_error(request, ERR_USAGE, "unknown request");
    }
}
