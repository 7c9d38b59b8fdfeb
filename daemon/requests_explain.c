/* Questions about one list: explain, whatif, similar.
 *
 * The line is held (so neither learns nor scores), the user looked up on the loop, and the work
 * done on a worker; then the answer is written and the line released. */
#include "base/mem.h"
#include "daemon/daemon.h"
#include "daemon/explain_write.h"

#include <inttypes.h>
#include <stdlib.h>

#define SIMILAR_STANDARD 20

struct question;

struct asked {
    struct daemon *daemon;
    struct request *request;
    const struct question *question;
    struct json *body; /* owned; slices below point into it */
    struct slice items[WHATIF_ITEMS_MAX];
    uint32_t numbers[WHATIF_ITEMS_MAX], item_count; /* numbers: IDS_NONE: unknown */
    uint32_t n;                                     /* of similar */
    uint16_t type;                                  /* of whatif: the state's number */

    struct user user; /* as it was when the line was held; one reference to its record */
    struct scorer *scorer;
    union {
        struct explain explain;
        struct whatif whatif;
        struct similar similar;
    };
    struct error error;
    uv_work_t work;
};

struct question {
    const char *command;
    bool of_user;
    uint32_t items_max;
    bool unknown_too;                  /* an item nobody named will do */
    int (*check)(struct asked *asked); /* what it wants besides; NULL: nothing */
    void (*run)(struct asked *asked);  /* on a worker */
    void (*write)(struct json_writer *w, const struct explain_context *context,
                  struct asked *asked); /* and frees what run made */
};

/* -- the three --------------------------------------------------------------------------------- */

static void run_explain(struct asked *asked)
{
    explain(asked->scorer, &asked->user, asked->numbers[0], &asked->explain);
}

static void write_explain(struct json_writer *w, const struct explain_context *context,
                          struct asked *asked)
{
    explain_write(w, context, &asked->explain);
    explain_deinit(&asked->explain);
}

static int find_type(const struct settings *settings, struct slice name)
{
    for (uint32_t i = 0; i < settings->events.type_count; i++)
        if (slice_equal(name, slice_of(settings->events.names[i])))
            return (int)i;
    return -1;
}

/* The default type, or where there is none the first that counts. */
static int usual_type(const struct settings *settings)
{
    if (settings->events.default_type >= 0)
        return settings->events.default_type;
    for (uint32_t i = 0; i < settings->events.type_count; i++)
        if (settings->events.counts[i])
            return (int)i;
    return 0;
}

static int check_whatif(struct asked *asked)
{
    const struct settings *settings = asked->daemon->settings;
    struct slice name = json_get_string(asked->body, "type", SLICE(""));
    int type = name.length > 0 ? find_type(settings, name) : usual_type(settings);
    if (type < 0)
        return error_set(&asked->error, ERR_USAGE, "\"%.*s\" is no event type of the settings",
                         SLICE_ARG(name));
    asked->type = history_type_number(asked->daemon->history, (uint16_t)type);
    return 0;
}

static void run_whatif(struct asked *asked)
{
    whatif(asked->scorer, &asked->user, asked->numbers, asked->item_count, asked->type,
           &asked->whatif, &asked->error);
}

static void write_whatif(struct json_writer *w, const struct explain_context *context,
                         struct asked *asked)
{
    whatif_write(w, context, &asked->whatif);
    whatif_deinit(&asked->whatif);
}

static int check_similar(struct asked *asked)
{
    int64_t n = json_get_int(asked->body, "n", SIMILAR_STANDARD);
    if (n < 1 || n > SIMILAR_MAX)
        return error_set(&asked->error, ERR_USAGE, "n is from 1 to %d", SIMILAR_MAX);
    asked->n = (uint32_t)n;
    return 0;
}

static void run_similar(struct asked *asked)
{
    similar(asked->scorer, asked->numbers[0], asked->n, &asked->similar);
}

static void write_similar(struct json_writer *w, const struct explain_context *context,
                          struct asked *asked)
{
    similar_write(w, context, &asked->similar);
    similar_deinit(&asked->similar);
}

/* -- asking ------------------------------------------------------------------------------------ */

static void finish(struct asked *asked)
{
    if (asked->error.code != 0)
        request_fail(asked->request, &asked->error);
    asked->daemon->questions--;
    json_free(asked->body);
    free(asked);
}

static void answer(struct asked *asked)
{
    struct daemon *daemon = asked->daemon;
    struct buffer text = {0};
    struct json_writer w = {&text, false};
    const struct explain_context context = {
        .settings = daemon->settings,
        .history = daemon->history,
        .items = history_items(daemon->history),
        .user = json_get_string(asked->body, "user", SLICE("")),
        .asked = asked->items,
        .asked_count = asked->item_count,
        .type = asked->type,
        .kept = asked->user.record != NULL && !asked->user.record->forgotten,
    };
    json_begin_object(&w, NULL);
    json_bool(&w, "ok", true);
    asked->question->write(&w, &context, asked);
    json_end_object(&w);
    request_answer(asked->request, buffer_slice(&text));
    buffer_deinit(&text);
}

static void worked(uv_work_t *work, int status)
{
    struct asked *asked = work->data;
    (void)status;
    if (asked->error.code == 0)
        answer(asked);
    user_record_unref(asked->user.record);
    line_release(asked->daemon->line);
    finish(asked);
}

static void work_on_worker(uv_work_t *work)
{
    struct asked *asked = work->data;
    asked->question->run(asked);
}

/* -- what it is about, once nothing moves ------------------------------------------------------ */

static int find_user(struct asked *asked)
{
    struct history *history = asked->daemon->history;
    struct slice id = json_get_string(asked->body, "user", SLICE(""));
    int32_t partition;
    if (!asked->question->of_user)
        return 0;
    if (history_partitions(history, &partition, 1) == 0)
        return error_set(&asked->error, ERR_DOWN, "no partition is assigned to this instance");
    struct user *user = history_find_user(history, id, &asked->error);
    if (asked->error.code != 0)
        return asked->error.code;
    asked->user = (struct user){.id = id, .partition = partition};
    if (user == NULL)
        return 0; /* a stranger: nothing is kept of him, here */
    asked->user.partition = user->partition;
    asked->user.record = user_record_ref(user->record);
    return 0;
}

/* By name; else the user's own, or control where there is no user. */
static int find_arm(struct asked *asked)
{
    const struct settings *settings = asked->daemon->settings;
    struct scorers *scorers = asked->daemon->scorers;
    struct slice name = json_get_string(asked->body, "arm", SLICE(""));
    uint32_t arm = asked->question->of_user ? scorers_arm_of(scorers, asked->user.id)
                                            : scorers_control(scorers);
    if (name.length > 0)
        for (arm = 0; arm < settings->arm_count; arm++)
            if (slice_equal(name, slice_of(settings->arms[arm].name)))
                break;
    if (arm >= scorers_count(scorers))
        return error_set(&asked->error, ERR_USAGE, "there is no arm \"%.*s\"", SLICE_ARG(name));
    asked->scorer = scorers_at(scorers, arm);
    return 0;
}

/* After every turn of learning, for items are named by events. */
static int find_items(struct asked *asked)
{
    const struct items *items = history_items(asked->daemon->history);
    for (uint32_t i = 0; i < asked->item_count; i++) {
        asked->numbers[i] = ids_find(&items->ids, asked->items[i]);
        if (asked->numbers[i] == IDS_NONE && !asked->question->unknown_too)
            return error_set(&asked->error, ERR_DATA, "nobody ever named an item \"%.*s\"",
                             SLICE_ARG(asked->items[i]));
    }
    return 0;
}

static void held(void *arg)
{
    struct asked *asked = arg;
    struct daemon *daemon = asked->daemon;
    if (daemon->leaving)
        error_set(&asked->error, ERR_DOWN, "the daemon is stopping");
    else if (find_items(asked) == 0 && find_user(asked) == 0 && find_arm(asked) == 0) {
        asked->work.data = asked;
        uv_queue_work(&daemon->loop, &asked->work, work_on_worker, worked);
        return;
    }
    user_record_unref(asked->user.record);
    line_release(daemon->line);
    finish(asked);
}

/* -- the request ------------------------------------------------------------------------------- */

static int add_item(struct asked *asked, struct slice item)
{
    if (item.length == 0)
        return error_set(&asked->error, ERR_USAGE, "%s wants an item", asked->question->command);
    if (asked->item_count == asked->question->items_max)
        return error_set(&asked->error, ERR_USAGE, "%s takes at most %" PRIu32 " items",
                         asked->question->command, asked->question->items_max);
    asked->items[asked->item_count++] = item;
    return 0;
}

/* {"user":..,"item":..} or {"user":..,"items":[..]} */
static int read_body(struct asked *asked)
{
    const struct question *question = asked->question;
    const struct json *items = json_get(asked->body, "items");
    if (question->of_user && json_get_string(asked->body, "user", SLICE("")).length == 0)
        return error_set(&asked->error, ERR_USAGE, "%s wants a user", question->command);
    if (items == NULL)
        return add_item(asked, json_get_string(asked->body, "item", SLICE("")));
    for (size_t i = 0; i < json_count(items); i++)
        if (add_item(asked, json_to_string(json_at(items, i), SLICE(""))) != 0)
            return asked->error.code;
    return asked->item_count > 0 ? 0 : add_item(asked, SLICE(""));
}

static struct json *copy_of(const struct json *body)
{
    struct buffer text = {0};
    json_write(&text, body);
    struct json *copy = json_parse(buffer_slice(&text), &(struct error){0});
    buffer_deinit(&text);
    return copy;
}

static void ask(struct daemon *daemon, struct request *request, const struct json *body,
                const struct question *question)
{
    struct asked *asked = mem_zalloc(sizeof *asked);
    *asked = (struct asked){
        .daemon = daemon, .request = request, .question = question, .body = copy_of(body)};
    if (daemon->questions++ >= DAEMON_QUESTIONS_MAX)
        error_set(&asked->error, ERR_DOWN, "too many questions at once; try again");
    else if (read_body(asked) == 0 && (question->check == NULL || question->check(asked) == 0)) {
        line_hold(daemon->line, held, asked);
        return;
    }
    finish(asked);
}

void daemon_explain(struct daemon *daemon, struct request *request, const struct json *body)
{
    static const struct question question = {.command = "explain",
                                             .of_user = true,
                                             .items_max = 1,
                                             .unknown_too = true,
                                             .run = run_explain,
                                             .write = write_explain};
    ask(daemon, request, body, &question);
}

void daemon_whatif(struct daemon *daemon, struct request *request, const struct json *body)
{
    static const struct question question = {.command = "whatif",
                                             .of_user = true,
                                             .items_max = WHATIF_ITEMS_MAX,
                                             .check = check_whatif,
                                             .run = run_whatif,
                                             .write = write_whatif};
    ask(daemon, request, body, &question);
}

void daemon_similar(struct daemon *daemon, struct request *request, const struct json *body)
{
    static const struct question question = {.command = "similar",
                                             .items_max = 1,
                                             .check = check_similar,
                                             .run = run_similar,
                                             .write = write_similar};
    ask(daemon, request, body, &question);
}
