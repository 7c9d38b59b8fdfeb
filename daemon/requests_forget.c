/* What the daemon answers when it is asked what it still has of a user. */
#include "base/mem.h"
#include "daemon/daemon.h"

#include <stdlib.h>

struct receipt {
    struct daemon *daemon;
    struct request *request;
    int32_t partition; /* that the user's events go to */
    uint32_t id_length;
    char id[ID_BYTES_MAX];
};

static struct slice id_of(const struct receipt *receipt)
{
    return (struct slice){receipt->id, receipt->id_length};
}

static void write_record(struct json_writer *w, const struct user_record *record)
{
    json_begin_object(w, "record");
    json_bool(w, "forgotten", record->forgotten);
    json_bool(w, "told", record->forgotten && record->wanted_offset <= record->acked_offset);
    json_int(w, "interactions", record->interaction_count);
    json_int(w, "seen", record->seen_count);
    json_int(w, "shown", record->shown_count);
    json_int(w, "event_ids", record->dedup_count);
    json_int(w, "list", record->list_count);
    json_end_object(w);
}

/* `list`: what Redis has, or data NULL. */
static void answer(struct receipt *receipt, struct slice list)
{
    struct history *history = receipt->daemon->history;
    struct error err = {0};
    struct buffer text = {0};
    struct json_writer w = {&text, false};
    struct user *user = history_user(history, receipt->partition, id_of(receipt), &err);
    json_begin_object(&w, NULL);
    json_bool(&w, "ok", true);
    json_bool(&w, "assigned", history_is_assigned(history, receipt->partition));
    json_int(&w, "partitions", (int64_t)history_partitions(history, NULL, 0));
    json_int(&w, "next_offset", history_next_offset(history, false, receipt->partition));
    if (user != NULL)
        write_record(&w, user->record);
    json_int(&w, "dead_letters", history_dead_of(history, id_of(receipt)));
    if (list.data != NULL)
        json_raw(&w, "redis", list);
    json_end_object(&w);
    request_answer(receipt->request, buffer_slice(&text));
    buffer_deinit(&text);
    free(receipt);
}

static void fail(struct receipt *receipt, const struct error *err)
{
    request_fail(receipt->request, err);
    free(receipt);
}

/* Anybody may have written to the key. */
static void got_list(struct slice json, const struct error *err, void *arg)
{
    struct error bad = {0};
    struct json *list = NULL;
    if (err != NULL) {
        fail(arg, err);
    } else if (json.data != NULL && (list = json_parse(json, &bad)) == NULL) {
        error_wrap(&bad, "what lies in Redis in place of a list");
        fail(arg, &bad);
    } else {
        answer(arg, json);
    }
    json_free(list);
}

/* What is said is on the disk: a receipt for what a crash could undo would be none. */
static void durable(const struct error *err, void *arg)
{
    struct receipt *receipt = arg;
    struct error down = {0};
    if (err != NULL) {
        fail(receipt, err);
    } else if (!publisher_is_up(receipt->daemon->publisher)) {
        error_set(&down, ERR_DOWN, "Redis is away: what it still has cannot be said");
        fail(receipt, &down);
    } else {
        publisher_get(receipt->daemon->publisher, id_of(receipt), got_list, receipt);
    }
}

void daemon_receipt(struct daemon *daemon, struct request *request, const struct json *body)
{
    struct slice user = json_get_string(body, "user", SLICE(""));
    struct error err = {0};
    if (user.length == 0 || user.length > ID_BYTES_MAX) {
        error_set(&err, ERR_USAGE, "receipt wants a user");
        request_fail(request, &err);
        return;
    }
    struct receipt *receipt = mem_alloc(sizeof *receipt);
    *receipt = (struct receipt){.daemon = daemon,
                                .request = request,
                                .partition = (int32_t)json_get_int(body, "partition", 0),
                                .id_length = user.length};
    memcpy(receipt->id, user.data, user.length);
    settling_commit(line_settling(daemon->line), durable, receipt);
}
