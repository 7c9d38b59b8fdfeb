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

static void request_metrics(struct daemon *daemon, struct request *request, const struct json *body)
{
    struct buffer metrics = {0}, text = {0};
    struct json_writer w = {&text, false};
    (void)body;
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

/* -- arms and settings ------------------------------------------------------------------------- */

static void answer_whether(struct request *request, int status, const struct error *err)
{
    if (status == 0)
        answer_ok(request);
    else
        request_fail(request, err);
}

static void request_arm(struct daemon *daemon, struct request *request, const struct json *body,
                        bool stop)
{
    char name[ARM_NAME_BYTES_MAX + 1];
    struct error err = {0};
    snprintf(name, sizeof name, "%.*s", SLICE_ARG(json_get_string(body, "arm", SLICE(""))));
    int status = stop ? experiment_stop(daemon->experiment, name, "by hand", &err)
                      : experiment_resume(daemon->experiment, name, &err);
    answer_whether(request, status, &err);
}

static void request_stop_arm(struct daemon *daemon, struct request *request,
                             const struct json *body)
{
    request_arm(daemon, request, body, true);
}

static void request_resume_arm(struct daemon *daemon, struct request *request,
                               const struct json *body)
{
    request_arm(daemon, request, body, false);
}

static void request_reload(struct daemon *daemon, struct request *request, const struct json *body)
{
    struct buffer complaints = {0};
    struct error err = {0}, told = {0};
    (void)body;
    int status = daemon_reload(daemon, &complaints, &err);
    error_set(&told, err.code, "%s\n%.*s", err.text, SLICE_ARG(buffer_slice(&complaints)));
    answer_whether(request, status, &told);
    buffer_deinit(&complaints);
}

/* -- which is which ---------------------------------------------------------------------------- */

static void request_status(struct daemon *daemon, struct request *request, const struct json *body)
{
    (void)body;
    request_figures(daemon, request, daemon_status);
}

static void request_overview(struct daemon *daemon, struct request *request,
                             const struct json *body)
{
    (void)body;
    request_figures(daemon, request, daemon_overview);
}

static void request_arms(struct daemon *daemon, struct request *request, const struct json *body)
{
    (void)body;
    request_figures(daemon, request, daemon_arms);
}

static void request_trained(struct daemon *daemon, struct request *request, const struct json *body)
{
    (void)body;
    swapper_look(daemon->swapper);
    answer_ok(request);
}

static void request_commit(struct daemon *daemon, struct request *request, const struct json *body)
{
    (void)body;
    settling_commit(line_settling(daemon->line), deferred_done, defer(daemon, request));
}

static const struct command {
    const char *name;
    void (*serve)(struct daemon *daemon, struct request *request, const struct json *body);
    bool leaving; /* also while the daemon is stopping */
} commands[] = {
    {"status", request_status, true},          {"metrics", request_metrics, true},
    {"overview", request_overview, true},      {"arms", request_arms, true},
    {"recommend", request_recommend, false},   {"publish", request_publish, false},
    {"explain", daemon_explain, false},        {"whatif", daemon_whatif, false},
    {"similar", daemon_similar, false},        {"stop_arm", request_stop_arm, false},
    {"resume_arm", request_resume_arm, false}, {"reload", request_reload, false},
    {"rollback", request_rollback, false},     {"trained", request_trained, false},
    {"commit", request_commit, false},         {"receipt", daemon_receipt, false},
};

static const struct command *find_command(struct slice name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (slice_equal(name, slice_of(commands[i].name)))
            return &commands[i];
    return NULL;
}

void daemon_request(struct request *request, const struct json *body, void *arg)
{
    struct daemon *daemon = arg;
    const struct command *command = find_command(json_get_string(body, "cmd", SLICE("")));
    if (command == NULL)
        answer_error(request, ERR_USAGE, "unknown request");
    else if (daemon->leaving && !command->leaving)
        answer_error(request, ERR_DOWN, "the daemon is stopping");
    else
        command->serve(daemon, request, body);
}
